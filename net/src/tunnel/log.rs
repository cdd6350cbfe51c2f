//! What a tunnel let through and what it refused: totals, and the latest
//! entries.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// One thing that was asked of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TunnelEntry {
    /// `CONNECT shop.example:443`, or method and URL, without secrets.
    pub asked: String,
    /// Why it was refused or failed; `None` was let through.
    pub refused: Option<String>,
}

/// Totals of a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TunnelFigures {
    /// Connections and requests let through.
    pub allowed: u64,
    /// Those that were not.
    pub refused: u64,
    /// Bytes from its user to the hosts.
    pub bytes_up: u64,
    /// Bytes from the hosts to its user.
    pub bytes_down: u64,
}

pub(super) struct Log {
    max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<TunnelEntry>,
    allowed: u64,
    refused: u64,
}

impl Log {
    pub(super) fn new(max: u32) -> Self {
        Self {
            max: usize::try_from(max).unwrap_or(usize::MAX),
            kept: Mutex::default(),
        }
    }

    pub(super) fn note(&self, entry: TunnelEntry) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match entry.refused {
            None => kept.allowed += 1,
            Some(_) => kept.refused += 1,
        }
        kept.entries.push_back(entry);
        if kept.entries.len() > self.max {
            kept.entries.pop_front();
        }
    }

    pub(super) fn entries(&self) -> Vec<TunnelEntry> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.iter().cloned().collect()
    }

    /// Let through, and refused.
    pub(super) fn counts(&self) -> (u64, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.allowed, kept.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_entries_are_kept_and_all_are_counted() {
        let log = Log::new(3);
        for n in 0..10 {
            log.note(TunnelEntry {
                asked: n.to_string(),
                refused: (n % 2 == 0).then(|| "no".to_owned()),
            });
        }
        let asked: Vec<String> = log.entries().into_iter().map(|e| e.asked).collect();
        assert_eq!(asked, ["7", "8", "9"]);
        assert_eq!(log.counts(), (5, 5));
    }
}
