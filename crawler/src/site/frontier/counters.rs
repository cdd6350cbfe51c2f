//! What a frontier counts, and how the end of a segment carries it.

use std::collections::BTreeMap;

use super::entry::{Bound, Lane};
use super::lane::LaneQueue;

/// What a frontier counts. A replay brings all of it back as it was at the
/// last cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries that were new.
    pub added: u64,
    /// Keys that were only made known.
    pub known: u64,
    /// Offers of a key that was met before.
    pub repeated: u64,
    /// Entries that were put back for another attempt.
    pub again: u64,
    /// Settled entries by outcome.
    pub settled: BTreeMap<u8, u64>,
    pub(super) pending: [u64; 2],
    pub(super) refused: [u64; 4],
}

impl Counters {
    /// Entries of a lane that are not settled, claimed ones among them.
    pub fn pending(&self, lane: Lane) -> u64 {
        self.pending[lane.index()]
    }

    /// Offers, and settled payloads, that were refused for a bound. Above 0
    /// for any bound, the crawl is incomplete.
    pub fn refused(&self, bound: Bound) -> u64 {
        self.refused[bound.index()]
    }

    /// Entries that are settled, of any outcome.
    pub fn settled_total(&self) -> u64 {
        self.settled.values().sum()
    }
}

/// What the end of a segment says: how far the lanes are, to be compared with
/// what a replay finds, and the counts that no frame tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) items: [u64; 2],
    pub(super) pending: [u64; 2],
    pub(super) settled: u64,
    pub(super) repeated: u64,
    pub(super) refused: [u64; 4],
}

impl End {
    pub(super) const BYTES: usize = 10 * 8;

    pub(super) fn of(counters: &Counters, lanes: &[LaneQueue; 2]) -> Self {
        Self {
            items: [lanes[0].items(), lanes[1].items()],
            pending: counters.pending,
            settled: counters.settled_total(),
            repeated: counters.repeated,
            refused: counters.refused,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let numbers = [
            &self.items[..],
            &self.pending,
            &[self.settled, self.repeated],
            &self.refused,
        ];
        let mut bytes = [0; Self::BYTES];
        for (to, number) in bytes
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(numbers.into_iter().flatten())
        {
            *to = number.to_le_bytes();
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut numbers = [0; Self::BYTES / 8];
        for (number, from) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = u64::from_le_bytes(*from);
        }
        let [
            items_source,
            items_page,
            pending_source,
            pending_page,
            settled,
            repeated,
            refused @ ..,
        ] = numbers;
        Some(Self {
            items: [items_source, items_page],
            pending: [pending_source, pending_page],
            settled,
            repeated,
            refused,
        })
    }
}
