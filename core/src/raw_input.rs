//! The input of a run as it came, kept so that it can be collected once more
//! without asking the partner.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{PipeId, RunId};

/// The document at `raw/{pipe}/{seq}`, written when all parts are in Blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawInput {
    pub run: RunId,
    pub kept: DateTime<Utc>,
    /// The parts are at `{prefix}/{number}`, six digits; one after the other
    /// they are one zstd stream.
    pub prefix: String,
    pub parts: u32,
    /// Of the input itself.
    pub bytes: u64,
    pub stored_bytes: u64,
    /// Hex digest of the input itself.
    pub sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Why it is not whole, if the download was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<String>,
}

impl RawInput {
    pub fn key(run: &RunId) -> String {
        format!("{}{}", Self::of_pipe(&run.pipe), run.seq)
    }

    /// Under it are the documents of a pipe, and among the blobs the parts.
    pub fn of_pipe(pipe: &PipeId) -> String {
        format!("raw/{pipe}/")
    }

    /// Where one delivery puts its parts.
    pub fn prefix(run: &RunId, epoch: u64) -> String {
        format!("{}-{epoch}", Self::key(run))
    }

    pub fn part_key(prefix: &str, part: u32) -> String {
        format!("{prefix}/{part:06}")
    }

    pub fn part_keys(&self) -> Vec<String> {
        (0..self.parts)
            .map(|part| Self::part_key(&self.prefix, part))
            .collect()
    }
}
