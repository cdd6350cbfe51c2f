//! The last requests, for tests that ask who came, when and with what.
//!
//! It is a ring: the oldest entry goes when it is full. Counts that must be exact are in `stats`.

use std::collections::VecDeque;
use std::time::Duration;

/// About 2 MB at usual path lengths.
const ENTRIES_MAX: usize = 10_000;

/// One request as the shop saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since the shop's start.
    pub at: Duration,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub user_agent: Option<String>,
    /// Whether it came with `If-None-Match` or `If-Modified-Since`.
    pub conditional: bool,
    /// The status of the answer, or 0 where the connection was closed without one.
    pub status: u16,
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: VecDeque<Seen>,
}

impl RequestLog {
    pub(crate) fn push(&mut self, seen: Seen) {
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(seen);
    }

    pub(crate) fn entries(&self) -> Vec<Seen> {
        self.entries.iter().cloned().collect()
    }
}
