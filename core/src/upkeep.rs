//! Looking after stored images by schedule: jobs on the crawl queue that are
//! about no partner. They are planned under a pipe id of their own, so that they
//! are listed, paused and given up as all jobs are, and run one at a time in its
//! message group.

use std::fmt;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::PipeId;

/// The pipe id of these jobs, which no pipe may have.
pub static UPKEEP_PIPE: LazyLock<PipeId> = LazyLock::new(|| {
    PipeId::parse("trawler-upkeep").expect("lower-case letters and a dash make a pipe id")
});

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpkeepTask {
    /// Unused images that were marked before are removed, others marked.
    Gc { grace_days: u16 },
    /// A sample of stored images is read and repaired.
    Verify { products: u64 },
}

/// Kinds of tasks, each with a schedule of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpkeepKind {
    Gc,
    Verify,
}

impl UpkeepKind {
    pub const ALL: [Self; 2] = [Self::Gc, Self::Verify];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gc => "gc",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for UpkeepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl UpkeepTask {
    pub fn kind(self) -> UpkeepKind {
        match self {
            Self::Gc { .. } => UpkeepKind::Gc,
            Self::Verify { .. } => UpkeepKind::Verify,
        }
    }
}

impl fmt::Display for UpkeepTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gc { grace_days } => {
                write!(f, "remove images that were unused for {grace_days} day(s)")
            }
            Self::Verify { products } => {
                write!(f, "verify the stored images of {products} product(s)")
            }
        }
    }
}

/// The document at `upkeep/{kind}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpkeepPlanned {
    /// The due instant that was planned last, or passed over.
    pub newest: DateTime<Utc>,
    /// The newest whose job is known to be settled. Its record may be gone.
    pub done: DateTime<Utc>,
}

impl UpkeepPlanned {
    pub fn key(kind: UpkeepKind) -> String {
        format!("upkeep/{kind}")
    }

    /// Whether the job of this instant is settled: the next is planned when the
    /// one before it is.
    pub fn is_done(&self, due: DateTime<Utc>) -> bool {
        due <= self.done || due < self.newest
    }
}
