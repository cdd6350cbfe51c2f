//! How long machines of a fleet took to start, as each of them tells it: what
//! the planner has to be ahead by.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::QueueName;

/// Starts that are kept of each group; a sample is enough.
const KEPT: usize = 64;

/// Fewer say nothing of the slowest.
const TELLING: usize = 8;

/// What took longer was no start: a worker that began anew on a machine that
/// had long been there.
const START_MAX: Duration = Duration::from_secs(30 * 60);

/// The last starts of each group, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boots(BTreeMap<QueueName, Vec<Boot>>);

/// From the beginning of a machine to its worker's first poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Boot {
    machine: String,
    ms: u64,
}

impl Boots {
    /// Where the document lies.
    pub const KEY: &'static str = "capacity/boots";

    /// Takes the start of a machine down; false if it tells nothing new. A
    /// machine starts once, however often its worker does.
    pub fn note(&mut self, queue: QueueName, machine: &str, took: Duration) -> bool {
        let known = self.0.get(&queue).map_or(&[][..], Vec::as_slice);
        if took > START_MAX || known.iter().any(|boot| boot.machine == machine) {
            return false;
        }
        let boots = self.0.entry(queue).or_default();
        if boots.len() >= KEPT {
            boots.drain(..=boots.len() - KEPT);
        }
        boots.push(Boot {
            machine: machine.to_owned(),
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        true
    }

    /// Of twenty starts, nineteen took no longer; `None` before there are
    /// enough of them.
    pub fn p95(&self, queue: QueueName) -> Option<Duration> {
        let boots = self.0.get(&queue)?;
        if boots.len() < TELLING {
            return None;
        }
        let mut sorted: Vec<u64> = boots.iter().map(|boot| boot.ms).collect();
        sorted.sort_unstable();
        let at = (sorted.len() * 19).div_ceil(20) - 1;
        Some(Duration::from_millis(sorted[at]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CRAWL: QueueName = QueueName::Crawl;

    fn after(starts: impl IntoIterator<Item = u64>) -> Boots {
        let mut boots = Boots::default();
        for (at, seconds) in starts.into_iter().enumerate() {
            boots.note(CRAWL, &format!("i-{at}"), Duration::from_secs(seconds));
        }
        boots
    }

    #[test]
    fn the_slowest_of_twenty_starts_is_left_out() {
        let p95 = |boots: &Boots| boots.p95(CRAWL).map(|p95| p95.as_secs());
        assert_eq!(p95(&after([30; 7])), None, "too few");
        assert_eq!(p95(&after([30, 30, 30, 30, 30, 30, 30, 55])), Some(55));
        assert_eq!(p95(&after(1..=20)), Some(19));
        assert_eq!(p95(&after(1..=64)), Some(61));
        assert_eq!(after(1..=20).p95(QueueName::Image), None);
    }

    #[test]
    fn only_the_last_starts_count() {
        // Hundreds of slow ones, then as many quick ones as are kept.
        let boots = after([[90; 300].as_slice(), &[30; 64]].concat());
        assert_eq!(boots.0[&CRAWL].len(), KEPT);
        assert_eq!(boots.p95(CRAWL), Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_machine_starts_once_and_soon() {
        let mut boots = Boots::default();
        assert!(boots.note(CRAWL, "i-1", Duration::from_secs(40)));
        let before = boots.clone();
        assert!(!boots.note(CRAWL, "i-1", Duration::from_secs(300)));
        assert!(!boots.note(CRAWL, "i-2", Duration::from_secs(7_200)));
        assert!(!boots.note(QueueName::Image, "i-2", Duration::from_secs(7_200)));
        assert_eq!(boots, before);
    }
}
