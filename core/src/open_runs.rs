//! Which runs of a pipe are open, and which is its newest: all that a tick
//! has to know of a pipe whose run is not due and not under way.
//!
//! Run documents are the history that people look at and grow by one a day
//! and pipe; this document does not grow. It is written before the run's
//! document: a crash in between leaves an open number without a document,
//! which is planned again.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::past::{PAST_MAX, PastRun};
use crate::reprocess::Reread;
use crate::{PipeId, RunId, RunSeq};

/// The document at `schedule/{pipe}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRuns {
    pub pipe: PipeId,
    /// The newest run that was planned, open or over.
    pub newest: Option<RunSeq>,
    /// Runs that are planned and not over, in order.
    pub open: Vec<RunSeq>,
    /// The last runs that did their work, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<PastRun>,
    /// The first run that was planned, of a pipe that is not older than this
    /// field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<RunSeq>,
    /// Restores that were begun since the last one that came to its end: their
    /// run documents tell how they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restoring: Vec<RunSeq>,
    /// What open runs read instead of asking the partner: known with the number,
    /// so that whoever finds it without a document plans the run that was meant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rereads: BTreeMap<RunSeq, Reread>,
    /// When the last complete run ended; of one that read a kept input, the run
    /// that the input is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<DateTime<Utc>>,
}

impl OpenRuns {
    pub fn none(pipe: PipeId) -> Self {
        Self {
            pipe,
            newest: None,
            open: Vec::new(),
            past: Vec::new(),
            first: None,
            restoring: Vec::new(),
            rereads: BTreeMap::new(),
            complete: None,
        }
    }

    /// Under it are all of them.
    pub const ALL: &'static str = "schedule/";

    pub fn key(pipe: &PipeId) -> String {
        format!("{}{pipe}", Self::ALL)
    }

    /// Opens a run; says whether it was not open before.
    pub fn begin(&mut self, seq: RunSeq) -> bool {
        self.newest = self.newest.max(Some(seq));
        self.first.get_or_insert(seq);
        match self.open.binary_search(&seq) {
            Ok(_) => false,
            Err(at) => {
                self.open.insert(at, seq);
                true
            }
        }
    }

    /// Opens a run that reads a kept input; says whether the number is its own.
    pub fn begin_reread(&mut self, seq: RunSeq, reread: &Reread) -> bool {
        if self.begin(seq) {
            self.rereads.insert(seq, reread.clone());
        }
        // Or a write of before landed after all.
        self.rereads.get(&seq) == Some(reread)
    }

    /// The run is over.
    pub fn end(&mut self, seq: RunSeq) {
        self.rereads.remove(&seq);
        self.open.retain(|open| *open != seq);
    }

    /// The run is over and took so long; one that was over before is not
    /// counted again.
    pub fn end_as(&mut self, seq: RunSeq, past: Option<PastRun>) {
        if self.open.binary_search(&seq).is_ok() {
            self.past.extend(past);
            let over = self.past.len().saturating_sub(PAST_MAX);
            self.past.drain(..over);
        }
        self.end(seq);
    }

    /// A restore begins; of those before it these are over.
    pub fn restores(&mut self, seq: RunSeq, over: &[RunSeq]) {
        self.restoring.retain(|known| !over.contains(known));
        if !self.restoring.contains(&seq) {
            self.restoring.push(seq);
        }
    }

    /// A run was complete, and over at this instant.
    pub fn completed(&mut self, at: DateTime<Utc>) {
        self.complete = self.complete.max(Some(at));
    }

    pub fn runs(&self) -> impl Iterator<Item = RunId> + '_ {
        self.open.iter().map(|seq| RunId {
            pipe: self.pipe.clone(),
            seq: *seq,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_begin_once_and_the_newest_is_remembered() {
        let mut runs = OpenRuns::none(PipeId::parse("shop").unwrap());
        assert!(runs.begin(RunSeq(2)));
        assert!(!runs.begin(RunSeq(2)));
        assert!(runs.begin(RunSeq(1)));
        assert_eq!(runs.open, [RunSeq(1), RunSeq(2)]);
        runs.end(RunSeq(2));
        runs.end(RunSeq(3));
        assert_eq!(
            (runs.newest, runs.first),
            (Some(RunSeq(2)), Some(RunSeq(2)))
        );
        assert_eq!(runs.open, vec![RunSeq(1)]);
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        runs.completed(at(5));
        runs.completed(at(3));
        assert_eq!(runs.complete, Some(at(5)));
    }

    #[test]
    fn restores_are_known_until_they_are_over() {
        let mut runs = OpenRuns::none(PipeId::parse("shop").unwrap());
        runs.restores(RunSeq(1), &[]);
        runs.restores(RunSeq(2), &[]);
        runs.restores(RunSeq(2), &[]);
        assert_eq!(runs.restoring, [RunSeq(1), RunSeq(2)]);
        runs.restores(RunSeq(3), &[RunSeq(1), RunSeq(2)]);
        assert_eq!(runs.restoring, [RunSeq(3)]);
        assert_eq!((runs.newest, &*runs.open), (None, &[][..]));
    }

    #[test]
    fn a_number_is_for_one_reread_or_for_none() {
        let mut runs = OpenRuns::none(PipeId::parse("shop").unwrap());
        let reread = |seq| Reread {
            run: RunId {
                pipe: runs.pipe.clone(),
                seq: RunSeq(seq),
            },
            forced: false,
        };
        let (first, second) = (reread(1), reread(2));
        runs.begin(RunSeq(4));
        assert!(!runs.begin_reread(RunSeq(4), &first));
        assert!(runs.begin_reread(RunSeq(5), &first));
        assert!(runs.begin_reread(RunSeq(5), &first));
        assert!(!runs.begin_reread(RunSeq(5), &second));
        let text = serde_json::to_string(&runs).unwrap();
        assert_eq!(serde_json::from_str::<OpenRuns>(&text).unwrap(), runs);
        runs.end_as(RunSeq(5), None);
        assert_eq!((runs.open.len(), runs.rereads.len()), (1, 0));
    }

    #[test]
    fn the_last_runs_are_remembered_once_each() {
        let mut runs = OpenRuns::none(PipeId::parse("shop").unwrap());
        let past = |ms| PastRun {
            ms,
            rows: 1,
            image_jobs: 0,
        };
        for seq in 0..15 {
            runs.begin(RunSeq(seq));
            runs.end_as(RunSeq(seq), Some(past(seq)));
            runs.end_as(RunSeq(seq), Some(past(99)));
        }
        runs.begin(RunSeq(15));
        runs.end_as(RunSeq(15), None);
        let kept: Vec<i64> = runs.past.iter().map(|past| past.ms).collect();
        assert_eq!(kept, (5..15).collect::<Vec<i64>>());
        assert!(runs.open.is_empty());
    }
}
