//! Images that are fetched between two runs, because somebody asked for it: the
//! failed ones again, or those whose stored objects are missing or damaged.
//!
//! A refetch is a job on the crawl queue as a fold is: numbered for each pipe,
//! in the pipe's message group, one at a time. It writes a manifest like a
//! run's, under a run id of its own that no schedule can give: its sequence is
//! its number, and numbers end where 1970-01-13 begins.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::image::ImageStatus;
use crate::{PipeId, RunId, RunSeq};

/// Highest number of a refetch: as a due instant it lies twelve days after the
/// beginning of 1970, and one a minute lasts for two thousand years.
pub const REFETCH_MAX: i64 = 1 << 30;

/// Products of one list of images to repair: a list is held in memory by the
/// crawler that works on it, some 100 bytes each.
pub const LISTED_MAX: usize = 50_000;

/// The document at `refetches/{pipe}`. A refetch is planned when the one before
/// it is settled, so all but the newest are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refetches {
    /// The newest that was planned; 0 before the first.
    pub newest: i64,
    /// The newest that is known to be settled. Its record may be gone.
    #[serde(default)]
    pub done: i64,
    /// Failed images whose retry was due by then have had it.
    #[serde(default)]
    pub retried: Option<DateTime<Utc>>,
}

impl Refetches {
    pub fn key(pipe: &PipeId) -> String {
        format!("{}{pipe}", Self::ALL)
    }

    /// Under it are the documents of all pipes.
    pub const ALL: &str = "refetches/";

    pub fn is_done(&self, refetch: i64) -> bool {
        refetch <= self.done || refetch < self.newest
    }

    /// What stands for a run in the manifest, the jobs and the results.
    pub fn run(pipe: &PipeId, refetch: i64) -> RunId {
        RunId {
            pipe: pipe.clone(),
            seq: RunSeq(refetch),
        }
    }

    /// The number of the refetch that a run id stands for, if it does.
    pub fn number(run: &RunId) -> Option<i64> {
        (1..=REFETCH_MAX).contains(&run.seq.0).then_some(run.seq.0)
    }
}

/// Which images are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Images that failed.
    Failed(Failed),
    /// Of the products that a blob names, an array of ids as JSON: whatever is
    /// known of them is left out, so that nothing is taken for unchanged.
    Listed { key: String },
}

/// Which failed images are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Only these; all failures when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<ImageStatus>,
    pub which: Ages,
}

/// How long images must have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ages {
    /// However long.
    Any,
    /// Those that came to an age of `recheck::is_retry_due` after `since` and
    /// not after `until`.
    Due {
        since: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
    },
}

impl Wanted {
    /// Under it are the lists of products to repair.
    pub const LISTS: &str = "refetches/";

    /// The list that was written at this instant; those that nobody took up are
    /// known by it.
    pub fn list_key(pipe: &PipeId, now: DateTime<Utc>) -> String {
        format!("{}{pipe}/{:014}", Self::LISTS, now.timestamp_millis())
    }

    /// Up to when every failed image has had its retry once this is done.
    pub fn retries_until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Failed(Failed {
                statuses,
                which: Ages::Due { until, .. },
            }) if statuses.is_empty() => Some(*until),
            Self::Failed(_) | Self::Listed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_schedule_gives_the_run_of_a_refetch() {
        let pipe = PipeId::parse("shop").unwrap();
        let run = Refetches::run(&pipe, 7);
        assert_eq!(Refetches::number(&run), Some(7));
        assert_eq!(run.to_string(), "shop@refetch-7");
        assert_eq!(RunId::parse("shop@refetch-7"), Ok(run));
        let check = |text: &str| assert!(RunId::parse(text).is_err(), "{text}");
        check("shop@refetch-0");
        check("shop@refetch--1");
        check("shop@refetch-x");
        check("shop@refetch-1073741825");
        let due = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        assert_eq!(Refetches::number(&due), None);
        let first = RunId::parse("shop@1970-01-14T00:00:00.000Z").unwrap();
        assert_eq!(Refetches::number(&first), None);
    }

    #[test]
    fn all_but_the_newest_are_done() {
        let refetches = Refetches {
            newest: 3,
            ..Refetches::default()
        };
        assert!(refetches.is_done(2) && !refetches.is_done(3));
        let done = Refetches {
            done: 3,
            ..refetches
        };
        assert!(done.is_done(3));
    }
}
