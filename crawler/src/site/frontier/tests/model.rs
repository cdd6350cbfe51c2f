//! What a frontier should be, held in memory without any cleverness.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use super::super::*;

/// The naive frontier.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) seen: HashSet<String>,
    /// The same, in the order of coming.
    pub(super) met: Vec<String>,
    /// What is not settled, by lane and by the number of coming.
    pub(super) pending: [BTreeMap<u64, Entry>; 2],
    pub(super) claimed: [BTreeSet<u64>; 2],
    returned: [VecDeque<u64>; 2],
    next: u64,
    pub(super) settlements: Vec<Settlement>,
    pub(super) counters: Counters,
}

impl Model {
    pub(super) fn add(&mut self, key: &str, entry: &Entry) -> Added {
        if !self.seen.insert(key.to_owned()) {
            self.counters.repeated += 1;
            return Added::Seen;
        }
        self.met.push(key.to_owned());
        self.push(entry.clone());
        self.counters.added += 1;
        self.counters.pending[entry.lane as usize] += 1;
        Added::New
    }

    fn push(&mut self, entry: Entry) {
        self.pending[entry.lane as usize].insert(self.next, entry);
        self.next += 1;
    }

    pub(super) fn know(&mut self, key: &str) -> Added {
        if !self.seen.insert(key.to_owned()) {
            self.counters.repeated += 1;
            return Added::Seen;
        }
        self.met.push(key.to_owned());
        self.counters.known += 1;
        Added::New
    }

    /// The number and entry that are to be claimed next.
    pub(super) fn claim(&mut self) -> Option<(u64, Entry)> {
        for lane in 0..2 {
            let number = self.returned[lane].pop_front().or_else(|| {
                let mut waiting = self.pending[lane].keys().filter(|number| {
                    !self.claimed[lane].contains(number) && !self.returned[lane].contains(number)
                });
                waiting.next().copied()
            });
            if let Some(number) = number {
                self.claimed[lane].insert(number);
                return Some((number, self.pending[lane][&number].clone()));
            }
        }
        None
    }

    fn unclaim(&mut self, number: u64, lane: Lane) {
        assert!(self.claimed[lane as usize].remove(&number));
    }

    pub(super) fn settle(&mut self, number: u64, lane: Lane, settled: &Settled<'_>) {
        self.unclaim(number, lane);
        self.pending[lane as usize].remove(&number).unwrap();
        self.settlements.push(Settlement {
            lane,
            outcome: settled.outcome,
            payload: settled.payload.to_vec(),
            facts: settled.facts.to_vec(),
        });
        self.counters.pending[lane as usize] -= 1;
        *self.counters.settled.entry(settled.outcome).or_default() += 1;
    }

    pub(super) fn again(&mut self, number: u64, lane: Lane) {
        self.unclaim(number, lane);
        let mut entry = self.pending[lane as usize].remove(&number).unwrap();
        entry.attempt += 1;
        self.push(entry);
        self.counters.again += 1;
    }

    pub(super) fn hand_back(&mut self, number: u64, lane: Lane) {
        self.unclaim(number, lane);
        self.returned[lane as usize].push_back(number);
    }

    /// What a replay of the moment makes of it.
    pub(super) fn replayed(&self) -> Self {
        Self {
            claimed: Default::default(),
            returned: Default::default(),
            ..self.clone()
        }
    }
}
