//! Which reading of the pipe files somebody goes by. A process keeps what it
//! read when it started, or for some seconds what was published: what it knows
//! of a pipe's file may be older than what another one has taken over already.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What orders two readings of the same pipe files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Edition {
    /// A folder, and when its files were read.
    Folder { read: DateTime<Utc> },
    /// A published set: the number of its publication.
    Published { number: u64 },
}

impl Edition {
    /// Whether who goes by this one says nothing that who went by `known` did
    /// not know. A reading that lies after `now` was made by a clock that was
    /// ahead and orders nothing; nor do a folder and a published set order each
    /// other, of which somebody has changed the one for the other.
    pub fn is_superseded_by(self, known: Self, now: DateTime<Utc>) -> bool {
        match (self, known) {
            (Self::Folder { read }, Self::Folder { read: known }) => known <= now && read <= known,
            (Self::Published { number }, Self::Published { number: known }) => number <= known,
            (Self::Folder { .. }, Self::Published { .. })
            | (Self::Published { .. }, Self::Folder { .. }) => false,
        }
    }

    /// As it is written down: a clock that was ahead is put right.
    pub fn not_after(self, now: DateTime<Utc>) -> Self {
        match self {
            Self::Folder { read } => Self::Folder {
                read: read.min(now),
            },
            Self::Published { .. } => self,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn folder(second: i64) -> Edition {
        Edition::Folder { read: at(second) }
    }

    fn published(number: u64) -> Edition {
        Edition::Published { number }
    }

    #[test]
    fn the_later_reading_counts() {
        let check = |of: Edition, known: Edition, expected: bool| {
            let found = of.is_superseded_by(known, at(100));
            assert_eq!(found, expected, "{of:?} by {known:?}");
        };
        check(folder(10), folder(20), true);
        check(folder(20), folder(10), false);
        check(folder(10), folder(10), true);
        // Read by a clock that was ahead.
        check(folder(10), folder(101), false);
        check(folder(101), folder(20), false);
        check(published(7), published(8), true);
        check(published(8), published(7), false);
        check(published(8), published(8), true);
        // Far below any instant: the folder became a fleet.
        check(published(1), folder(20), false);
        check(folder(10), published(8), false);
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_read_is_put_right() {
        assert_eq!(folder(101).not_after(at(100)), folder(100));
        assert_eq!(folder(99).not_after(at(100)), folder(99));
        assert_eq!(published(8).not_after(at(100)), published(8));
    }
}
