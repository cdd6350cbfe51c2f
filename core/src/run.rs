//! A run: one collection of one pipe for one due instant, as people see it.
//!
//! The job that performs a run has a record of its own in the ledger
//! ([`crate::ledger`]) that says where the work stands; this document says what
//! the run found and did. Both carry the run's id.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::book::BookRef;
use crate::decision::Decided;
use crate::feed::FeedMode;
use crate::feed_validators::FeedValidators;
use crate::judge::Facts;
use crate::reprocess::Reread;
use crate::verdict::Ending;
use crate::{PipeId, PipeSetId, RunId, RunSeq};

/// What a run did, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Rows accepted from the source, after duplicates.
    pub rows: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Rows of a summary that are older than the stored ones, and ignored.
    pub stale: u64,
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    /// Deletes that wait for a person, because the run was not complete.
    pub held_deletes: u64,
    pub unchanged: u64,
    /// Rows that were written to data files, copied ones included.
    pub rewritten: u64,
    pub bytes_down: u64,
    pub image_jobs: u64,
    pub images: u64,
}

impl RunCounts {
    pub fn changes(&self) -> u64 {
        self.inserts + self.updates + self.deletes
    }
}

/// How the reason of a superseded run begins; the later run follows.
pub const SUPERSEDED_BY: &str = "superseded by ";

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    Planned,
    Collecting,
    /// Judged and about to be committed; the counts are final.
    Committing,
    /// In the catalogue; image jobs are being written and sent.
    Committed,
    Finished,
    /// Its job was buried.
    Failed,
    Superseded,
    /// Judged not to be believed: nothing of it is in the catalogue, and a
    /// person decides (`crate::decision`).
    Quarantined,
}

impl RunPhase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Collecting => "collecting",
            Self::Committing => "committing",
            Self::Committed => "committed",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Quarantined => "quarantined",
        }
    }

    pub fn is_over(self) -> bool {
        match self {
            Self::Finished | Self::Failed | Self::Superseded | Self::Quarantined => true,
            Self::Planned | Self::Collecting | Self::Committing | Self::Committed => false,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The run document at `runs/{pipe}/{seq}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub mode: FeedMode,
    pub phase: RunPhase,
    pub planned: DateTime<Utc>,
    /// The published set that the run was planned with and keeps. `None` where
    /// pipes are read from a folder, which keeps no older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipe_set: Option<PipeSetId>,
    #[serde(default)]
    pub started: Option<DateTime<Utc>>,
    #[serde(default)]
    pub finished: Option<DateTime<Utc>>,
    /// Delivery epoch of the worker that wrote this last.
    #[serde(default)]
    pub epoch: u64,
    /// Version of the catalogue that holds the run.
    #[serde(default)]
    pub version: Option<i64>,
    #[serde(default)]
    pub counts: RunCounts,
    /// Why the run is not complete; empty when it is. Deletes are held then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// Whether `judge.max_drop` alone held its deletes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_held: bool,
    /// Why it is quarantined; empty when it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<String>,
    /// What it was judged by. None of a run that had nothing to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<Facts>>,
    /// Of a run that has no facts of its own to compare columns with: the last
    /// complete full run that has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_with: Option<RunSeq>,
    /// The run whose kept input this run brings in, because a person accepted
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts: Option<RunId>,
    /// The run whose kept input this run reads once more, if a person asked
    /// for that (`crate::reprocess`). It is judged like any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rereads: Option<Reread>,
    /// The run whose rows this one brought back (`crate::restore`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<RunId>,
    /// What became of it by a decision (`crate::decision`), for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
    /// Things a person should know that do not make the run incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Key of the rejected-rows report among the blobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_report: Option<String>,
    /// Revision of the blocked pictures that its rows were written without
    /// (`crate::blocked_images`): what is blocked later is looked for in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_images: Option<i64>,
    /// What is kept of the feed once the run is in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validators: Option<FeedValidators>,
    /// The same of a site: its page book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub book: Option<BookRef>,
    /// Why it failed or was superseded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Run {
    pub fn plan(id: RunId, mode: FeedMode, now: DateTime<Utc>) -> Self {
        Self {
            id,
            mode,
            phase: RunPhase::Planned,
            planned: now,
            pipe_set: None,
            started: None,
            finished: None,
            epoch: 0,
            version: None,
            counts: RunCounts::default(),
            incomplete: Vec::new(),
            drop_held: false,
            quarantine: Vec::new(),
            facts: None,
            compare_with: None,
            accepts: None,
            rereads: None,
            restores: None,
            decided: None,
            remarks: Vec::new(),
            rejected_report: None,
            blocked_images: None,
            validators: None,
            book: None,
            reason: String::new(),
        }
    }

    /// Under it are all of a pipe, in order.
    pub fn of_pipe(pipe: &PipeId) -> String {
        format!("runs/{pipe}/")
    }

    pub fn key(id: &RunId) -> String {
        format!("{}{}", Self::of_pipe(&id.pipe), id.seq)
    }

    /// Whose kept input it reads, instead of asking the partner for one.
    pub fn input_of(&self) -> Option<&RunId> {
        let rereads = self.rereads.as_ref().map(|reread| &reread.run);
        self.accepts.as_ref().or(rereads)
    }

    pub fn is_complete(&self) -> bool {
        self.incomplete.is_empty()
    }

    /// Whether it is in the catalogue for certain. A run that a worker left at
    /// its commit may be there too.
    pub fn has_landed(&self) -> bool {
        self.version.is_some() || matches!(self.phase, RunPhase::Committed | RunPhase::Finished)
    }

    /// Whose columns the next run is compared with.
    pub fn comparable(&self) -> Option<RunSeq> {
        let is_own = self.facts.is_some() && self.mode == FeedMode::Full && self.is_complete();
        if is_own {
            Some(self.id.seq)
        } else {
            self.compare_with
        }
    }

    /// Whether a person can accept it: all of it, or the deletes that it held.
    pub fn awaits_decision(&self) -> bool {
        let holds = match self.phase {
            RunPhase::Quarantined => true,
            RunPhase::Finished => self.counts.held_deletes > 0,
            RunPhase::Planned
            | RunPhase::Collecting
            | RunPhase::Committing
            | RunPhase::Committed
            | RunPhase::Failed
            | RunPhase::Superseded => false,
        };
        holds && self.decided.is_none()
    }

    /// Whether this delivery may still write the document. A failed run is
    /// taken up again when its job is redriven.
    pub fn admits(&self, epoch: u64) -> bool {
        epoch >= self.epoch && !self.is_settled()
    }

    /// How the job of a settled run ends, for whoever takes it up once more: the
    /// worker that settled the run may have died before it could say so.
    pub fn settled_ending(&self) -> Option<Ending> {
        match self.phase {
            RunPhase::Finished | RunPhase::Quarantined => Some(Ending::Done),
            RunPhase::Superseded => {
                let by = self.reason.strip_prefix(SUPERSEDED_BY);
                let by = by.unwrap_or("a later run").to_owned();
                Some(Ending::Superseded { by })
            }
            RunPhase::Planned
            | RunPhase::Collecting
            | RunPhase::Committing
            | RunPhase::Committed
            | RunPhase::Failed => None,
        }
    }

    /// Whether nothing can bring the run back to work.
    pub fn is_settled(&self) -> bool {
        self.settled_ending().is_some()
    }
}

/// The oldest summary run of a pipe that failed after the pipe's last full
/// run, or is quarantined and was not accepted: what it would have brought is
/// missing until a full run comes.
pub fn gap<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Option<&'a RunId> {
    let full_done = |run: &&Run| run.mode == FeedMode::Full && run.phase == RunPhase::Finished;
    let last_full = runs.clone().filter(full_done).map(|run| run.id.seq).max();
    let is_missing = |run: &&Run| match run.phase {
        RunPhase::Failed => true,
        RunPhase::Quarantined => run.decided != Some(Decided::Accepted),
        _ => false,
    };
    runs.filter(|run| run.mode == FeedMode::Summary)
        .filter(is_missing)
        .filter(|run| last_full.is_none_or(|full| run.id.seq > full))
        .map(|run| &run.id)
        .min_by_key(|id| id.seq)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(second: u32, mode: FeedMode, phase: RunPhase) -> Run {
        let id = RunId::parse(&format!("shop@2026-11-21T03:00:{second:02}.000Z")).unwrap();
        Run {
            phase,
            ..Run::plan(id, mode, DateTime::<Utc>::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_settled_run_ends_its_job_as_it_was_settled() {
        let check = |phase: RunPhase, reason: &str, expected: Option<Ending>| {
            let run = Run {
                reason: reason.to_owned(),
                ..run(1, FeedMode::Full, phase)
            };
            assert_eq!(run.settled_ending(), expected, "{phase:?}");
            assert_eq!(run.is_settled(), expected.is_some(), "{phase:?}");
        };
        let superseded = |by: &str| Some(Ending::Superseded { by: by.to_owned() });
        check(RunPhase::Finished, "", Some(Ending::Done));
        check(RunPhase::Quarantined, "", Some(Ending::Done));
        check(
            RunPhase::Superseded,
            "superseded by shop@1",
            superseded("shop@1"),
        );
        check(RunPhase::Superseded, "", superseded("a later run"));
        check(RunPhase::Committed, "", None);
        check(RunPhase::Failed, "no answer", None);
    }

    #[test]
    fn a_failed_summary_run_leaves_a_gap_until_a_full_run_comes() {
        use FeedMode::{Full, Summary};
        use RunPhase::{Failed, Finished};
        let check = |runs: &[Run], expected: Option<&str>| {
            let found = gap(runs.iter()).map(ToString::to_string);
            assert_eq!(found.as_deref(), expected);
        };
        let failed = run(1, Summary, Failed);
        let later = run(2, Summary, Finished);
        check(&[], None);
        check(std::slice::from_ref(&later), None);
        check(
            &[failed.clone(), later.clone()],
            Some("shop@2026-11-21T03:00:01.000Z"),
        );
        check(&[failed.clone(), later, run(3, Full, Finished)], None);
        check(
            &[run(0, Full, Finished), failed],
            Some("shop@2026-11-21T03:00:01.000Z"),
        );
        check(&[run(1, Full, Failed)], None);
        let mut doubtful = run(1, Summary, RunPhase::Quarantined);
        let missing = Some("shop@2026-11-21T03:00:01.000Z");
        check(std::slice::from_ref(&doubtful), missing);
        doubtful.decided = Some(Decided::Accepted);
        check(&[doubtful], None);
    }

    #[test]
    fn an_older_delivery_and_a_finished_run_are_not_written() {
        let mut document = run(1, FeedMode::Full, RunPhase::Collecting);
        document.epoch = 2;
        assert!(!document.admits(1));
        assert!(document.admits(2));
        document.phase = RunPhase::Failed;
        assert!(
            document.admits(3),
            "a redriven job takes a failed run up again"
        );
        document.phase = RunPhase::Finished;
        assert!(!document.admits(3));
    }
}
