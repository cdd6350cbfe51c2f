//! The folds of a pipe, by number.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::PipeId;

/// The document at `folds/{pipe}`. A fold is planned when the one before it is
/// settled, so all but the newest are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folds {
    /// The newest that was planned; 0 before the first.
    pub newest: i64,
    /// The newest that is known to be settled. Its record may be gone.
    #[serde(default)]
    pub done: i64,
    /// When the newest was planned, of one that is not older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<DateTime<Utc>>,
}

impl Folds {
    pub fn key(pipe: &PipeId) -> String {
        format!("folds/{pipe}")
    }

    pub fn is_done(&self, fold: i64) -> bool {
        fold <= self.done || fold < self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_newest_are_done() {
        let folds = Folds {
            newest: 3,
            ..Folds::default()
        };
        assert!(folds.is_done(2) && !folds.is_done(3));
        assert!(Folds { done: 3, ..folds }.is_done(3));
    }
}
