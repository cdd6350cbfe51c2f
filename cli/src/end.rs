//! How commands end, and what the user did wrong.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// It ran, and what it worked on failed.
    Failed,
    /// The configuration is wrong.
    Misused,
    /// Something is parked or held and a later run has to do it.
    Left,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::SUCCESS,
            End::Failed => Self::FAILURE,
            End::Misused => Self::from(2),
            End::Left => Self::from(3),
        }
    }
}

/// The user has to change the command line or the configuration.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl Misuse {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn config(errors: Vec<ConfigError>) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self(format!(
            "the configuration has {} error(s)\n{}",
            errors.len(),
            lines.join("\n")
        ))
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}
