//! A run: one collection of one pipe for one due instant, as people see it.
//!
//! The job that performs a run has a record of its own in the ledger
//! ([`crate::ledger`]) that says where the work stands; this document says what
//! the run found and did. Both carry the run's id.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::RunId;
use crate::feed::FeedMode;

/// What a run did, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Rows accepted from the source, after duplicates.
    pub rows: u64,
    pub rejected: u64,
    pub duplicates: u64,
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
        }
    }

    pub fn is_over(self) -> bool {
        match self {
            Self::Finished | Self::Failed | Self::Superseded => true,
            Self::Planned | Self::Collecting | Self::Committing | Self::Committed => false,
        }
    }
}

/// The run document at `runs/{pipe}/{seq}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub mode: FeedMode,
    pub phase: RunPhase,
    pub planned: DateTime<Utc>,
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
    /// Things a person should know that do not make the run incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Key of the rejected-rows report among the blobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_report: Option<String>,
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
            started: None,
            finished: None,
            epoch: 0,
            version: None,
            counts: RunCounts::default(),
            incomplete: Vec::new(),
            remarks: Vec::new(),
            rejected_report: None,
            reason: String::new(),
        }
    }

    pub fn key(id: &RunId) -> String {
        format!("runs/{}/{}", id.pipe, id.seq)
    }

    pub fn is_complete(&self) -> bool {
        self.incomplete.is_empty()
    }

    /// Whether this delivery may still write the document. A failed run is
    /// taken up again when its job is redriven.
    pub fn admits(&self, epoch: u64) -> bool {
        epoch >= self.epoch && !self.is_settled()
    }

    /// Whether nothing can bring the run back to work.
    pub fn is_settled(&self) -> bool {
        match self.phase {
            RunPhase::Finished | RunPhase::Superseded => true,
            RunPhase::Planned
            | RunPhase::Collecting
            | RunPhase::Committing
            | RunPhase::Committed
            | RunPhase::Failed => false,
        }
    }
}
