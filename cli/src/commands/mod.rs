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

use std::path::Path;

use crate::args::{Cli, Command};
use crate::config::{self, Loaded};
use crate::end::{End, Misuse};

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
