//! What the last complete run learned about its feed, so that an unchanged one
//! is neither sent nor read again.

use serde::{Deserialize, Serialize};
use trawler_core::{PipeId, RunSeq};
use trawler_net::Validators;

/// The document at `validators/{pipe}`, written after the commit of a complete
/// run and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedValidators {
    pub seq: RunSeq,
    pub fingerprint: String,
    pub http: Validators,
    /// Hex SHA-256 of the feed as it was stored on disk.
    pub sha256: String,
}

impl FeedValidators {
    pub fn key(pipe: &PipeId) -> String {
        format!("validators/{pipe}")
    }
}
