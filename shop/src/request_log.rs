//! The last requests, for tests that ask who came, when and with what.
//!
//! It is a ring: the oldest entry goes when it is full ([`crate::ShopSpec::seen_max`]). Counts that
//! must be exact are in `stats`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One request as the shop saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it came, since the shop's start.
    pub at: Duration,
    /// When the last byte of its answer was handed to the connection, or the connection was gone;
    /// none while it is under way.
    pub ended: Option<Duration>,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub host: Option<String>,
    pub user_agent: Option<String>,
    pub cookie: Option<String>,
    pub authorization: Option<String>,
    /// Headers of the client's own, whose names begin with `x-`, in lower case.
    pub custom: BTreeMap<String, String>,
    pub referer: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
    /// Whether it came with `If-None-Match` or `If-Modified-Since`.
    pub conditional: bool,
    /// The status of the answer, or 0 where the connection was closed without one.
    pub status: u16,
    /// Requests under way when it came, itself included.
    pub in_flight: u64,
}

impl Seen {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

#[derive(Debug)]
pub(crate) struct RequestLog {
    entries: VecDeque<Seen>,
    entries_max: usize,
    /// Number of the oldest entry still there.
    first: u64,
}

impl RequestLog {
    pub(crate) fn new(entries_max: usize) -> Self {
        RequestLog {
            entries: VecDeque::new(),
            entries_max: entries_max.max(1),
            first: 0,
        }
    }

    /// The number under which the entry can be ended.
    pub(crate) fn push(&mut self, seen: Seen) -> u64 {
        if self.entries.len() == self.entries_max {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(seen);
        self.first + self.entries.len() as u64 - 1
    }

    pub(crate) fn end(&mut self, number: u64, at: Duration) {
        let place = number.checked_sub(self.first);
        let entry = place
            .and_then(|place| usize::try_from(place).ok())
            .and_then(|place| self.entries.get_mut(place));
        if let Some(entry) = entry {
            entry.ended = Some(at);
        }
    }

    pub(crate) fn entries(&self) -> Vec<Seen> {
        self.entries.iter().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn seen(at_ms: u64) -> Seen {
        Seen {
            at: Duration::from_millis(at_ms),
            ended: None,
            method: "GET".into(),
            target: "/a?b=c".into(),
            host: None,
            user_agent: None,
            cookie: None,
            authorization: None,
            custom: BTreeMap::new(),
            referer: None,
            if_none_match: None,
            if_modified_since: None,
            conditional: false,
            status: 200,
            in_flight: 1,
        }
    }

    #[test]
    fn entries_are_ended_by_number_also_after_older_ones_went() {
        let mut log = RequestLog::new(2);
        let numbers: Vec<u64> = (0..3).map(|n| log.push(seen(n))).collect();
        assert_eq!(numbers, [0, 1, 2]);
        for number in numbers {
            log.end(number, Duration::from_millis(10 + number));
        }
        let ended: Vec<_> = log.entries().iter().map(|e| e.ended.unwrap()).collect();
        assert_eq!(ended, [11, 12].map(Duration::from_millis));
        assert_eq!(log.entries()[0].path(), "/a");
        log.clear();
        let number = log.push(seen(9));
        log.end(number, Duration::from_millis(9));
        assert_eq!(log.entries()[0].ended, Some(Duration::from_millis(9)));
    }
}
