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

/// How far beyond the first job that has to wait jobs are planned: enough that
/// a full host does not hold back the others behind it, few enough that the
/// document and a look at it stay small (at most 1,000 spans).
pub const LOOK_AHEAD_JOBS: u64 = 2_000;

/// The document at `manifests/{pipe}/{seq}` until it is settled, and at
/// `settled/manifests/{pipe}/{seq}` afterwards, so that who lists the first
/// place sees open work alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub run: RunId,
    /// Key of the blob with one [`crate::job::ImageJob`] a line.
    pub jobs_key: String,
    pub jobs: u64,
    pub images: u64,
    pub written: DateTime<Utc>,
    /// Jobs from the front of the blob that were planned.
    #[serde(default)]
    pub planned: u64,
    /// Jobs behind these that were planned while one before them had to wait:
    /// numbers from the first to before the second, in order, apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<(u64, u64)>,
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

    /// Where the document of a settled manifest is.
    pub fn settled_key(run: &RunId) -> String {
        format!("{}{}/{}", Self::SETTLED, run.pipe, run.seq)
    }

    /// Under it are the documents of all settled manifests.
    pub const SETTLED: &str = "settled/manifests/";

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

    /// Whether job number `job` was planned.
    pub fn is_planned(&self, job: u64) -> bool {
        let spans = &self.ahead;
        job < self.planned
            || spans
                .get(spans.partition_point(|(_, end)| *end <= job))
                .is_some_and(|(from, _)| *from <= job)
    }

    /// How many jobs were planned.
    pub fn planned_jobs(&self) -> u64 {
        let ahead: u64 = self.ahead.iter().map(|(from, end)| end - from).sum();
        self.planned + ahead
    }

    /// Jobs of these numbers were planned. Noting what is noted changes
    /// nothing, so that two planners of one manifest agree in the end.
    pub fn note_planned(&mut self, jobs: &[u64]) {
        let new = jobs.iter().map(|job| (*job, job + 1));
        let mut spans: Vec<(u64, u64)> = self.ahead.drain(..).chain(new).collect();
        spans.sort_unstable();
        for (from, end) in spans {
            if from <= self.planned {
                self.planned = self.planned.max(end);
                continue;
            }
            match self.ahead.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(end),
                Some(_) | None => self.ahead.push((from, end)),
            }
        }
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
            ahead: Vec::new(),
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

    #[test]
    fn jobs_planned_ahead_are_kept_as_spans_and_join_the_front() {
        let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let mut manifest = Manifest {
            jobs_key: Manifest::jobs_key(&run, 1),
            run,
            jobs: 20,
            images: 20,
            written: DateTime::<Utc>::UNIX_EPOCH,
            planned: 2,
            ahead: Vec::new(),
            folded: 0,
            folded_at: None,
            settled: false,
        };
        let mut check = |noted: &[u64], planned: u64, ahead: &[(u64, u64)]| {
            manifest.note_planned(noted);
            assert_eq!((manifest.planned, &*manifest.ahead), (planned, ahead));
            for job in 0..20 {
                let inside = |(from, end): &(u64, u64)| (*from..*end).contains(&job);
                let expected = job < planned || ahead.iter().any(inside);
                assert_eq!(manifest.is_planned(job), expected, "{job}");
            }
            let spans: u64 = ahead.iter().map(|(from, end)| end - from).sum();
            assert_eq!(manifest.planned_jobs(), planned + spans);
        };
        check(&[4, 5, 9], 2, &[(4, 6), (9, 10)]);
        check(&[5, 6, 1], 2, &[(4, 7), (9, 10)]);
        check(&[7, 8], 2, &[(4, 10)]);
        check(&[3], 2, &[(3, 10)]);
        check(&[2], 10, &[]);
        check(&[10, 11], 12, &[]);
    }
}
