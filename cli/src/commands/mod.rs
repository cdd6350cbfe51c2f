//! The commands, one a file.

mod changes;
mod check;
mod dead;
mod demo;
mod init;
mod pause;
mod pipes;
mod products;
mod run;
mod runs;
mod schema;
mod status;
mod trial;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::config::{self, ConfigError, Loaded};

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

pub(crate) async fn run(cli: Cli) -> anyhow::Result<End> {
    let json = cli.json;
    let dir = cli.dir.as_path();
    match cli.command {
        Command::Demo(args) => demo::run(&args, json).await,
        Command::Init { folder } => init::run(&folder, json),
        Command::Schema => schema::run(json),
        Command::Check => check::run(dir, json),
        Command::Run(args) => run::run(load(dir)?, &args, json).await,
        Command::Status => status::run(&load(dir)?, json).await,
        Command::Pipes => pipes::run(&load(dir)?, json).await,
        Command::Runs(args) => runs::run(&load(dir)?, &args, json).await,
        Command::Products(args) => products::run(&load(dir)?, &args, json).await,
        Command::Changes(args) => changes::run(&load(dir)?, &args, json).await,
        Command::Try(step) => trial::run(dir, step, json).await,
        Command::Pause(args) => pause::pause(&load(dir)?, &args, json).await,
        Command::Resume(scope) => pause::resume(&load(dir)?, &scope, json).await,
        Command::Dead(command) => dead::run(&load(dir)?, command, json).await,
    }
}

fn load(dir: &Path) -> anyhow::Result<Loaded> {
    Ok(config::load(dir).map_err(Misuse::config)?)
}
