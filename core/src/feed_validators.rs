//! What a run learned about its feed, so that an unchanged one is neither sent
//! nor read again.

use serde::{Deserialize, Serialize};

use crate::{PipeId, RunSeq};

/// The document at `validators/{pipe}`, written after the commit of a complete
/// run and by nothing else. On its way there it is part of the run document,
/// so that a worker that dies in between loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedValidators {
    pub seq: RunSeq,
    /// Pipe, mapping, schema and parser that the run used; others force a full
    /// read.
    pub fingerprint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Hex SHA-256 of the feed as it was stored on disk.
    pub sha256: String,
}

impl FeedValidators {
    pub fn key(pipe: &PipeId) -> String {
        format!("validators/{pipe}")
    }
}
