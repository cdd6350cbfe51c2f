//! The image work that a run planned: which jobs there are and how far they
//! are. Jobs wait here until the image queue has room for their host.
//!
//! The manifest document in State says how far; the jobs themselves are one
//! blob of JSON lines, written before the document, since a first load plans
//! far more than a document may hold.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::image::ImageOutcome;
use crate::{JobId, PipeId, RunId};

/// Unsettled jobs of one image host that may be in the queue.
pub const HOST_WINDOW: usize = 2_000;

/// Unsettled jobs of all hosts that may be in the queue: SQS FIFO looks for
/// free groups in the first 120,000 messages only.
pub const QUEUE_WINDOW: usize = 100_000;

/// The document at `manifests/{pipe}/{seq}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub run: RunId,
    /// Key of the blob with one [`crate::job::ImageJob`] a line.
    pub jobs_key: String,
    pub jobs: u64,
    pub images: u64,
    pub written: DateTime<Utc>,
    /// Jobs from the front of the blob that have a record in the ledger.
    #[serde(default)]
    pub planned: u64,
    /// Results that were there when the pipe was folded last.
    #[serde(default)]
    pub folded: u64,
    /// When the pipe was folded last for this manifest.
    #[serde(default)]
    pub folded_at: Option<DateTime<Utc>>,
    /// Every job has a result and every result is in the catalogue.
    #[serde(default)]
    pub settled: bool,
}

impl Manifest {
    pub fn key(run: &RunId) -> String {
        format!("manifests/{}/{}", run.pipe, run.seq)
    }

    pub fn keys_of(pipe: &PipeId) -> String {
        format!("manifests/{pipe}/")
    }

    pub fn jobs_key(run: &RunId, epoch: u64) -> String {
        format!("manifests/{}/{}-{epoch}.jsonl", run.pipe, run.seq)
    }

    /// Where results of this manifest's jobs are.
    pub fn results_of(run: &RunId) -> String {
        format!("results/{}/{}/", run.pipe, run.seq)
    }

    /// Where the result of one job is, whichever delivery made it.
    pub fn result_key(run: &RunId, job: &JobId) -> String {
        format!("{}{job}.json", Self::results_of(run))
    }

    /// Whether it is time to fold what is there: everything has a result, or
    /// new results waited for `fold_after`.
    pub fn wants_fold(
        &self,
        results: u64,
        now: DateTime<Utc>,
        fold_after: chrono::Duration,
    ) -> bool {
        if self.settled || results == 0 && self.jobs > 0 {
            return false;
        }
        let since = self.folded_at.unwrap_or(self.written);
        results >= self.jobs || (results > self.folded && now - since >= fold_after)
    }
}

/// What became of one image job, put once under its result key; buried jobs
/// have one as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageResult {
    pub job: JobId,
    pub run: RunId,
    pub tried: DateTime<Utc>,
    pub outcomes: Vec<ImageOutcome>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn folds_when_everything_is_there_or_the_wait_is_over() {
        let written = DateTime::<Utc>::UNIX_EPOCH;
        let hours = chrono::Duration::hours;
        let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let manifest = Manifest {
            jobs_key: Manifest::jobs_key(&run, 1),
            run,
            jobs: 10,
            images: 100,
            written,
            planned: 10,
            folded: 4,
            folded_at: None,
            settled: false,
        };
        let check = |results, after, expected| {
            assert_eq!(
                manifest.wants_fold(results, written + after, hours(2)),
                expected,
                "{results}"
            );
        };
        check(0, hours(9), false);
        check(4, hours(9), false);
        check(5, hours(1), false);
        check(5, hours(2), true);
        check(10, hours(0), true);
        let settled = Manifest {
            settled: true,
            ..manifest.clone()
        };
        assert!(!settled.wants_fold(10, written, hours(2)));
    }
}
