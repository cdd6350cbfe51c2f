//! What a person decided about a run that was quarantined, or whose deletes
//! are held, and that one brought the rows of an earlier run back.
//!
//! Whoever accepts a run has it collected once more, from the input that was
//! kept of it. That is a run of its own, whose number follows the accepted
//! run's: so it commits after it and before every later run of the pipe, and
//! the catalogue itself refuses it once a later run has landed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{PipeId, RunId, RunSeq};

/// The document at `decisions/{pipe}/{seq}`: created once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub run: RunId,
    pub verdict: Decided,
    /// Who, or the setting that decided.
    pub by: String,
    pub at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    Accepted,
    Rejected,
    /// The run itself applied its deletes: enough equal ones came before it.
    AppliedByItself,
    /// The run brought the rows of an earlier run back.
    Restored,
}

impl Decided {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::AppliedByItself => "applied by itself",
            Self::Restored => "restored",
        }
    }
}

impl Decision {
    pub fn key(run: &RunId) -> String {
        format!("{}{}", Self::of_pipe(&run.pipe), run.seq)
    }

    /// Under it are all of a pipe.
    pub fn of_pipe(pipe: &PipeId) -> String {
        format!("decisions/{pipe}/")
    }

    /// The run that brings in what is accepted.
    pub fn run_of(accepted: &RunId) -> RunId {
        RunId {
            pipe: accepted.pipe.clone(),
            seq: RunSeq(accepted.seq.0 + 1),
        }
    }

    /// The run that such a run would accept, if it is one.
    pub fn accepted_by(run: &RunId) -> RunId {
        RunId {
            pipe: run.pipe.clone(),
            seq: RunSeq(run.seq.0 - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_accepted_comes_right_after_the_run() {
        let run = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let accepting = Decision::run_of(&run);
        assert_eq!(accepting.to_string(), "shop@2026-11-21T03:00:00.001Z");
        assert_eq!(Decision::accepted_by(&accepting), run);
        assert!(Decision::key(&run).starts_with(&Decision::of_pipe(&run.pipe)));
    }
}
