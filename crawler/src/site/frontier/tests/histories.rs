//! Random histories with kills. A kill loses what was not cut; the replayed
//! frontier has to be the model as it was at the last cut, and goes on.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::PathBuf;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::super::*;
use super::model::Model;
use super::{downloaded, key, scratch};

/// Histories with kills.
const HISTORIES: u64 = 2000;

/// Histories whose journal is cut short, at forty lengths each.
const TORN_HISTORIES: u64 = 150;

struct History {
    rng: SmallRng,
    root: tempfile::TempDir,
    /// Machines that were used up so far.
    machines: u32,
    limits: FrontierLimits,
    frontier: Frontier,
    model: Model,
    /// The model at the last cut, and how many segments there were.
    cut: Option<(Model, u32)>,
    hands: Vec<(u64, Claimed)>,
    /// By settlement (facts name it): how many keys were met before it.
    met_before: HashMap<Vec<u8>, usize>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let limits = FrontierLimits {
            block_bytes: [1, 80, 300, 4000][rng.random_range(0..4)],
            claims_max: rng.random_range(1..12),
            ..FrontierLimits::default()
        };
        let root = scratch();
        let frontier = Frontier::create(&root.path().join("0"), key(), limits).unwrap();
        Self {
            rng,
            root,
            machines: 0,
            limits,
            frontier,
            model: Model::default(),
            cut: None,
            hands: Vec::new(),
            met_before: HashMap::new(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(self.machines.to_string())
    }

    fn entry(&mut self) -> (String, Entry) {
        let lane = if self.rng.random_ratio(1, 5) {
            Lane::Source
        } else {
            Lane::Page
        };
        let number = self.rng.random_range(0..200);
        let entry = Entry {
            depth: self.rng.random_range(0..3),
            kind: self.rng.random_range(0..3),
            source: self.rng.random_range(0..300),
            page: self.rng.random_range(0..300),
            lastmod: self.rng.random_bool(0.5).then_some(1_700_000_000 + number),
            ..Entry::new(lane, format!("https://shop.example/{lane:?}/{number}"))
        };
        let key = match lane {
            Lane::Source => format!("source {}", entry.url),
            // Some keys are not the URL's own.
            Lane::Page if number % 7 == 0 => format!("canonical of {number}"),
            Lane::Page => entry.url.clone(),
        };
        (key, entry)
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..40 => {
                let (key, entry) = self.entry();
                assert_eq!(
                    self.frontier.add(&key, &entry).unwrap(),
                    self.model.add(&key, &entry)
                );
                assert!(self.frontier.knows(&key).unwrap());
            }
            40..43 => {
                let (key, _) = self.entry();
                assert_eq!(self.frontier.know(&key).unwrap(), self.model.know(&key));
            }
            43..70 => self.claim(),
            70..92 => self.let_go(),
            92..97 => self.make_cut(),
            _ => {
                // Somebody dropped it: it waits for a replay.
                if self.rng.random_ratio(1, 8) {
                    self.hands.pop();
                }
            }
        }
    }

    fn claim(&mut self) {
        if self.frontier.claimed() == self.limits.claims_max {
            assert!(self.frontier.claim().unwrap().is_none());
            return;
        }
        let claimed = self.frontier.claim().unwrap();
        let expected = self.model.claim();
        assert_eq!(
            claimed.as_ref().map(Claimed::entry),
            expected.as_ref().map(|(_, entry)| entry)
        );
        if let (Some(claimed), Some((number, _))) = (claimed, expected) {
            self.hands.push((number, claimed));
        }
    }

    fn let_go(&mut self) {
        if self.hands.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.hands.len());
        let (number, claimed) = self.hands.swap_remove(at);
        let lane = claimed.entry().lane;
        match self.rng.random_range(0..10) {
            0..2 => {
                self.frontier.again(claimed).unwrap();
                self.model.again(number, lane);
            }
            2 => {
                self.frontier.hand_back(claimed);
                self.model.hand_back(number, lane);
            }
            _ => {
                let rows = format!("{{\"url\":\"{}\"}}\n", claimed.entry().url);
                let payload = rows.repeat(self.rng.random_range(0..4));
                let facts = self.met_before.len().to_string().into_bytes();
                self.met_before.insert(facts.clone(), self.model.met.len());
                let outcome = self.rng.random_range(0..4);
                let settled = Settled {
                    outcome,
                    payload: payload.as_bytes(),
                    facts: &facts,
                };
                assert_eq!(
                    self.frontier.settle(claimed, &settled).unwrap(),
                    Kept::Whole
                );
                self.model.settle(number, lane, &settled);
            }
        }
    }

    fn make_cut(&mut self) {
        let number = self.frontier.cut().unwrap().map(|segment| {
            assert_eq!(fs::metadata(&segment.path).unwrap().len(), segment.bytes);
            segment.number
        });
        match (number, &self.cut) {
            (Some(number), _) => self.cut = Some((self.model.replayed(), number)),
            // Nothing was written; offers of known keys are not.
            (None, Some((model, _))) => assert_eq!(model.settlements, self.model.settlements),
            (None, None) => assert!(self.model.seen.is_empty()),
        }
    }

    /// The machine is gone. Another one has the segments that were cut.
    fn kill(&mut self) {
        let from = self.folder();
        self.machines += 1;
        self.hands.clear();
        let Some((model, last)) = self.cut.clone() else {
            self.model = Model::default();
            self.frontier = Frontier::create(&self.folder(), key(), self.limits).unwrap();
            return;
        };
        let elsewhere = self.root.path().join("downloads");
        let segments = downloaded(&from, last, &elsewhere);
        let (frontier, replayed) = Frontier::replay(&self.folder(), self.limits, segments).unwrap();
        assert_eq!(
            replayed,
            Replayed {
                segments: last,
                torn: None
            }
        );
        self.frontier = frontier;
        self.model = model;
        self.compare();
    }

    fn compare(&self) {
        assert_eq!(self.frontier.counters(), &self.model.counters);
        let settlements: Vec<_> = self
            .frontier
            .payloads()
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(settlements, self.model.settlements);
    }
}

#[test]
fn killed_at_any_moment_it_is_what_it_was_at_the_last_cut() {
    for seed in 0..HISTORIES {
        println!("seed {seed}");
        let mut history = History::new(seed);
        for _ in 0..history.rng.random_range(1..5) {
            for _ in 0..history.rng.random_range(0..150) {
                history.step();
            }
            history.compare();
            history.kill();
        }
        // What is left comes in the order of the model, each entry once.
        history.frontier.limits_for_tests().claims_max = usize::MAX;
        while let Some((_, entry)) = history.model.claim() {
            assert_eq!(history.frontier.claim().unwrap().unwrap().entry(), &entry);
        }
        assert!(history.frontier.claim().unwrap().is_none());
    }
}

/// Replays what lies on disk with the open segment cut short anywhere: between
/// blocks, within a block, within the header.
#[test]
fn a_journal_that_ends_anywhere_has_lost_no_url() {
    for seed in 0..TORN_HISTORIES {
        println!("seed {seed}");
        let mut history = History::new(seed);
        for _ in 0..history.rng.random_range(20..120) {
            history.step();
        }
        let last = history.cut.as_ref().map_or(1, |(_, last)| last + 1);
        let open = fs::read(history.folder().join(Segment::file_name(last))).unwrap();
        let folder = history.root.path().join("torn");
        // Blocks of one frame or a few: anywhere is often between two, or within a header.
        let mut lengths: Vec<usize> = (0..38)
            .map(|_| history.rng.random_range(0..=open.len()))
            .collect();
        lengths.extend([open.len(), open.len().saturating_sub(1)]);
        for length in lengths {
            drop(fs::remove_dir_all(&folder));
            let segments = downloaded(&history.folder(), last, &folder);
            File::options()
                .write(true)
                .open(folder.join(Segment::file_name(last)))
                .unwrap()
                .set_len(length as u64)
                .unwrap();
            let (frontier, replayed) = match Frontier::replay(&folder, history.limits, segments) {
                Ok(replayed) => replayed,
                // Nothing is left of it.
                Err(FrontierError::Damaged {
                    segment: 1,
                    offset: 0,
                    ..
                }) if last == 1 && length < 44 => continue,
                Err(error) => panic!("{length}: {error}"),
            };
            let torn = replayed.torn.unwrap();
            assert_eq!(
                (torn.segment, torn.offset + torn.bytes),
                (last, length as u64)
            );
            check_torn(&history, frontier, last, &folder);
        }
    }
}

fn check_torn(history: &History, mut frontier: Frontier, last: u32, folder: &std::path::Path) {
    // All that was cut is there, and what was settled has what it led to.
    let cut = history
        .cut
        .as_ref()
        .map(|(model, _)| model.clone())
        .unwrap_or_default();
    for key in &cut.seen {
        assert!(frontier.knows(key).unwrap(), "{key} is lost");
    }
    let settlements: Vec<_> = frontier.payloads().unwrap().map(Result::unwrap).collect();
    assert_eq!(settlements, history.model.settlements[..settlements.len()]);
    assert!(settlements.len() >= cut.settlements.len());
    for settlement in &settlements {
        for key in &history.model.met[..history.met_before[&settlement.facts]] {
            assert!(frontier.knows(key).unwrap(), "{key} is lost");
        }
    }
    let counters = frontier.counters().clone();
    let pending = counters.pending(Lane::Source) + counters.pending(Lane::Page);
    assert_eq!(counters.added, pending + settlements.len() as u64);
    assert!(counters.added >= cut.counters.added);

    // It goes on, and the torn segment stays where it is.
    frontier
        .add("new", &Entry::new(Lane::Page, "https://shop.example/new"))
        .unwrap();
    let claimed = frontier.claim().unwrap().unwrap();
    frontier
        .settle(
            claimed,
            &Settled {
                outcome: 9,
                payload: b"",
                facts: b"",
            },
        )
        .unwrap();
    frontier.cut().unwrap().unwrap();
    let counters = frontier.counters().clone();
    let path = |number| Ok(folder.join(Segment::file_name(number)));
    let (mut frontier, replayed) =
        Frontier::replay(folder, history.limits, (1..=last + 1).map(path)).unwrap();
    assert_eq!(
        replayed,
        Replayed {
            segments: last + 1,
            torn: None
        }
    );
    assert_eq!(frontier.counters(), &counters);

    // None is pending twice.
    frontier.limits_for_tests().claims_max = usize::MAX;
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(claimed) = frontier.claim().unwrap() {
        *times.entry(claimed.entry().url.clone()).or_default() += 1;
    }
    assert_eq!(times.values().copied().max().unwrap_or(1), 1, "{times:?}");
    let pending = counters.pending(Lane::Source) + counters.pending(Lane::Page);
    assert_eq!(times.len() as u64, pending);
}
