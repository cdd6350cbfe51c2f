//! How a feed is read: the keys of the `[feed]` table of a pipe file.

use serde::{Deserialize, Serialize};

use crate::pipe::Problem;

/// Whether a feed lists everything or only what changed. Declared by the
/// pipe, never inferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedMode {
    #[default]
    Full,
    Summary,
}

/// How the feed is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedOptions {
    #[serde(default)]
    pub mode: FeedMode,
}

impl FeedOptions {
    /// Every value outside its bound; keys are relative to the table.
    pub fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}
