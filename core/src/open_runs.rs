//! Which runs of a pipe are open, and which is its newest: all that a tick
//! has to know of a pipe whose run is not due and not under way.
//!
//! Run documents are the history that people look at and grow by one a day
//! and pipe; this document does not grow. It is written before the run's
//! document: a crash in between leaves an open number without a document,
//! which is planned again.

use serde::{Deserialize, Serialize};

use crate::{PipeId, RunId, RunSeq};

/// The document at `schedule/{pipe}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRuns {
    pub pipe: PipeId,
    /// The newest run that was planned, open or over.
    pub newest: Option<RunSeq>,
    /// Runs that are planned and not over, in order.
    pub open: Vec<RunSeq>,
}

impl OpenRuns {
    pub fn none(pipe: PipeId) -> Self {
        Self {
            pipe,
            newest: None,
            open: Vec::new(),
        }
    }

    pub fn key(pipe: &PipeId) -> String {
        format!("schedule/{pipe}")
    }

    /// Opens a run; says whether it was not open before.
    pub fn begin(&mut self, seq: RunSeq) -> bool {
        self.newest = self.newest.max(Some(seq));
        match self.open.binary_search(&seq) {
            Ok(_) => false,
            Err(at) => {
                self.open.insert(at, seq);
                true
            }
        }
    }

    /// The run is over.
    pub fn end(&mut self, seq: RunSeq) {
        self.open.retain(|open| *open != seq);
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
        assert_eq!((runs.newest, runs.open), (Some(RunSeq(2)), vec![RunSeq(1)]));
    }
}
