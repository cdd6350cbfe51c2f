//! The season itself, by the program that users run, once a day by a clock that
//! is ahead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::disaster::{CAP, Disaster};
use crate::look::{NO_IMAGES, assert_same, text};
use crate::partner::{Partner, Stock};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

const SHOPS: usize = 20;
const DAYS: u64 = 60;

/// A clear-out that a person accepts, and one that nobody looks at.
const CLEAR_OUT: f64 = 0.6;

/// What is planted: a shop, and what happens to it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Goes(Disaster),
    /// Products return.
    BringsBack,
    /// All titles say the same: nobody notices, and a person takes it back. The
    /// day after it is still so, and then right.
    Garbles,
    /// Most of it is really gone; a person accepts that, or the third equal day.
    ClearsOut {
        accepted: bool,
    },
}

/// Equal complete runs that delist by themselves span so many days more.
const EQUAL_DAYS: u64 = 2;

/// How often each disaster is planted.
const ROUNDS: u64 = 3;

/// Days and shops on which products come back.
const RETURNS: [(u64, usize); 2] = [(20, 1), (41, 8)];

/// The shop of which a state is restored, and the day on which it is spoiled.
const GARBLED: usize = 17;
const GARBLED_DAY: u64 = 50;

/// Every disaster three times, each time to another shop, and the good events
/// that look like one.
fn events() -> BTreeMap<(u64, usize), Event> {
    let mut events = BTreeMap::new();
    for (at, disaster) in Disaster::ALL.into_iter().enumerate() {
        for round in 0..ROUNDS {
            let day = 3 + at as u64 * 2 + round * 17;
            let shop = (at * 3 + round as usize * 5) % SHOPS;
            events.insert((day, shop), Event::Goes(disaster));
        }
    }
    for (day, shop) in RETURNS {
        events.insert((day, shop), Event::BringsBack);
    }
    for day in [GARBLED_DAY, GARBLED_DAY + 1] {
        events.insert((day, GARBLED), Event::Garbles);
    }
    events.insert((31, 4), Event::ClearsOut { accepted: true });
    events.insert((44, 13), Event::ClearsOut { accepted: false });
    events
}

/// A stock whose titles all say the same.
fn garbled(stock: &Stock) -> Stock {
    let mut garbled = stock.clone();
    garbled
        .values_mut()
        .for_each(|told| told.0 = "TEST".to_owned());
    garbled
}

struct Season {
    partners: Vec<Partner>,
    served: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// What the catalogue has to show of each shop.
    expected: Vec<Stock>,
    folder: Folder,
    _server: Server,
    /// How runs of a disaster ended.
    outcomes: BTreeMap<(Disaster, String), u64>,
    /// Of the products of the first day in shops where some come back.
    first_seen: BTreeMap<String, Value>,
    back: Vec<String>,
}

impl Season {
    fn new() -> Self {
        let served: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let serving = Arc::clone(&served);
        let server = Server::start(move |path| {
            let served = serving.lock().unwrap();
            match served.get(path.trim_start_matches('/')) {
                Some(feed) => Answer::of(feed.clone()),
                None => Answer::not_found(),
            }
        });
        let folder = Folder::new(&[server.host()], "");
        let partners: Vec<Partner> = (0..SHOPS).map(Partner::new).collect();
        let judge = format!("{NO_IMAGES}\n[judge]\nsuspect_rows = [{CAP}]\n");
        for partner in &partners {
            let url = server.url(&format!("/{}", partner.id));
            folder.pipe(&partner.id, &pipe(&url, partner.writes.table(), &judge));
        }
        Self {
            expected: vec![Stock::new(); SHOPS],
            partners,
            served,
            folder,
            _server: server,
            outcomes: BTreeMap::new(),
            first_seen: BTreeMap::new(),
            back: Vec::new(),
        }
    }

    fn collect(&self, day: u64) {
        let ended = self.folder.hours_later(24 * day, &["run", "--once"]);
        assert!(
            matches!(ended.code, Some(0 | 1 | 3)),
            "day {day}: {ended:?}"
        );
    }

    fn check(&self, shop: usize, what: &str) {
        let found = self.folder.told(&self.partners[shop].id);
        println!("{what}: {} of {}", self.partners[shop].id, found.len());
        assert_same(&found, &self.expected[shop]);
    }

    fn last_run(&self, shop: usize) -> Value {
        self.folder.last_run(&self.partners[shop].id)
    }

    fn note_first_seen(&mut self) {
        for shop in RETURNS.map(|(_, shop)| shop) {
            let rows = self.folder.rows(&self.partners[shop].id).into_iter();
            let seen = rows.map(|(id, row)| (id, row["first_seen"].clone()));
            self.first_seen.extend(seen);
        }
    }

    /// Every planted disaster came to something, and whatever a person or a rule
    /// decided says so.
    fn audit(&self, events: &BTreeMap<(u64, usize), Event>) {
        println!("{:#?}", self.outcomes);
        for disaster in Disaster::ALL {
            let of_it = self.outcomes.iter().filter(|((of, _), _)| *of == disaster);
            let count: u64 = of_it.map(|(_, count)| count).sum();
            assert_eq!(count, ROUNDS, "{disaster:?}");
        }
        let mut decided = BTreeMap::<String, u64>::new();
        for partner in &self.partners {
            for run in self.all_runs(&partner.id) {
                *decided.entry(text(&run, "decided")).or_default() += 1;
                assert!(
                    run["phase"] != "quarantined" || run["decided"] == "rejected",
                    "{run:#}"
                );
            }
        }
        let quarantined = self.outcomes.iter();
        let quarantined = quarantined.filter(|((_, phase), _)| phase == "quarantined");
        let quarantined: u64 = quarantined.map(|(_, count)| count).sum();
        assert_eq!(decided.get("rejected"), Some(&quarantined), "{decided:?}");
        let cleared = |accepted| {
            let event = Event::ClearsOut { accepted };
            events.values().filter(|found| **found == event).count() as u64
        };
        assert_eq!(decided.get("accepted"), Some(&cleared(true)));
        assert_eq!(decided.get("applied_by_itself"), Some(&cleared(false)));
        let restored = self.folder.runs(&self.partners[GARBLED].id);
        let restored = restored
            .iter()
            .filter(|run| !text(run, "restores").is_empty());
        assert_eq!(restored.count(), 1);
        let dead = self.folder.dead_letters();
        let failed = self
            .outcomes
            .iter()
            .filter(|((_, phase), _)| phase == "failed");
        let failed: u64 = failed.map(|(_, count)| count).sum();
        assert_eq!(dead.len() as u64, failed, "{dead:#?}");
    }

    fn all_runs(&self, pipe: &str) -> Vec<Value> {
        let args = ["runs", "--pipe", pipe, "--limit", "1000", "--json"];
        let runs = self.folder.trawler(&args).with_code(0).json();
        runs.as_array().unwrap().clone()
    }

    fn decide(&self, day: u64, verb: &str, run: &Value, more: &[&str]) {
        let id = text(run, "id");
        let args = [&["runs", verb, &id, "--by", "kim"], more].concat();
        self.folder.hours_later(24 * day, &args).with_code(0);
    }

    /// What a disaster came to: held, quarantined or failed, and nothing lost.
    fn look_at(&mut self, day: u64, shop: usize, disaster: Disaster) {
        let partner = &self.partners[shop];
        let run = self.last_run(shop);
        let what = format!("day {day}, {disaster:?}");
        let phase = text(&run, "phase");
        if disaster.is_seen_through(partner) {
            assert_eq!(phase, "finished", "{what}: {run:#}");
            self.expected[shop] = partner.stock.clone();
        } else {
            let why = run["incomplete"].as_array();
            let is_held = why.is_some_and(|why| !why.is_empty());
            assert!(phase != "finished" || is_held, "{what}: {run:#}");
            let deletes = run["counts"]["deletes"].as_u64().unwrap_or(0);
            assert_eq!(deletes, 0, "{what}: {run:#}");
            self.expected[shop].extend(disaster.listed(partner));
        }
        self.check(shop, &format!("{what}, {phase}"));
        *self.outcomes.entry((disaster, phase.clone())).or_default() += 1;
        if phase == "quarantined" {
            self.decide(day, "reject", &run, &["--why", &what]);
            assert_eq!(self.last_run(shop)["decided"], "rejected", "{what}");
        }
    }

    /// A partner's day, and what it serves of it.
    fn pass(&mut self, day: u64, shop: usize, event: Option<Event>) {
        let partner = &mut self.partners[shop];
        match event {
            Some(Event::ClearsOut { .. }) => partner.clear_out(CLEAR_OUT),
            Some(Event::BringsBack) => self.back.extend(partner.bring_back(10)),
            Some(Event::Goes(_) | Event::Garbles) | None if day > 0 => partner.pass_day(),
            Some(Event::Goes(_) | Event::Garbles) | None => {}
        }
        let partner = &self.partners[shop];
        let served = match event {
            Some(Event::Goes(disaster)) => disaster.feed(partner),
            Some(Event::Garbles) => partner.feed(&garbled(&partner.stock)),
            _ => partner.feed(&partner.stock),
        };
        self.served
            .lock()
            .unwrap()
            .insert(partner.id.clone(), served);
        if matches!(event, None | Some(Event::BringsBack)) {
            self.expected[shop] = self.partners[shop].stock.clone();
        }
    }

    /// The shop cleared out today, and its deletes are held.
    fn decide_on_clear_out(&mut self, day: u64, shop: usize, accepted: bool) {
        let run = self.last_run(shop);
        assert!(run["counts"]["held_deletes"].as_u64() > Some(90), "{run:#}");
        self.check(shop, &format!("day {day}, before anybody looks"));
        self.expected[shop] = self.partners[shop].stock.clone();
        if accepted {
            self.decide(day, "accept", &run, &["--work"]);
            self.check(shop, "accepted");
        }
    }

    /// Takes back what nobody noticed; the pipe is paused, so that the day after
    /// does not bring it again.
    fn restore(&self, day: u64) {
        let id = &self.partners[GARBLED].id;
        let runs = self.folder.runs(id);
        assert_eq!(runs[0]["phase"], "finished", "{:#}", runs[0]);
        let found = self.folder.told(id);
        assert_same(&found, &garbled(&self.partners[GARBLED].stock));
        let (_, end) = self.folder.changes("0");
        let good = text(&runs[1], "id");
        let args = ["restore", "--pipe", id, "--to", &good, "--by", "kim"];
        self.folder.hours_later(24 * day, &args).with_code(0);
        self.check(GARBLED, "restored");
        let (changes, _) = self.folder.changes(&end);
        let told: BTreeSet<String> = changes.iter().map(|change| text(change, "id")).collect();
        let ids = found.keys().chain(self.expected[GARBLED].keys()).cloned();
        assert_eq!(told, ids.collect(), "followers hear of every row");
    }

    /// An id that comes back is as old as it ever was.
    fn look_at_returned(&self, shop: usize) {
        let rows = self.folder.rows(&self.partners[shop].id);
        let of_first_day = self.back.iter().filter_map(|id| {
            let seen = self.first_seen.get(id)?;
            Some((id, seen, &rows.get(id)?["first_seen"]))
        });
        let compared = of_first_day.inspect(|(id, then, now)| assert_eq!(then, now, "{id}"));
        assert!(compared.count() >= 5, "of {:?}", self.back);
    }
}

#[test]
fn a_season_with_disasters_ends_with_the_right_catalogue() {
    let mut season = Season::new();
    let events = events();
    // A shop that waits for equal days stays as it is.
    let mut waiting: Option<(usize, u64)> = None;
    for day in 0..DAYS {
        let today = |shop: usize| events.get(&(day, shop)).copied();
        for shop in 0..SHOPS {
            if waiting.is_none_or(|(waiting, _)| waiting != shop) {
                season.pass(day, shop, today(shop));
            }
        }
        if day == GARBLED_DAY + 2 {
            let id = season.partners[GARBLED].id.clone();
            let resume = ["resume", "--pipe", &id];
            season.folder.hours_later(24 * day, &resume).with_code(0);
        }
        season.collect(day);
        if day == 0 {
            season.note_first_seen();
        }
        for shop in 0..SHOPS {
            match today(shop) {
                Some(Event::Goes(disaster)) => season.look_at(day, shop, disaster),
                Some(Event::ClearsOut { accepted }) => {
                    season.decide_on_clear_out(day, shop, accepted);
                    waiting = if accepted { waiting } else { Some((shop, day)) };
                }
                Some(Event::BringsBack) => {
                    season.check(shop, "some are back");
                    season.look_at_returned(shop);
                }
                Some(Event::Garbles) if day == GARBLED_DAY => season.restore(day),
                Some(Event::Garbles) => season.check(shop, "still as restored"),
                None => {}
            }
        }
        if let Some((shop, _)) = waiting.filter(|(_, since)| day == since + EQUAL_DAYS) {
            season.check(shop, "after equal days");
            let run = season.last_run(shop);
            assert_eq!(run["decided"], "applied_by_itself", "{run:#}");
            waiting = None;
        }
    }
    for shop in 0..SHOPS {
        season.check(shop, "at the end");
    }
    season.audit(&events);
}
