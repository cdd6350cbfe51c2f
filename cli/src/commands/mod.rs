//! The commands, one a file.

mod block_image;
mod changes;
mod check;
mod demo;
mod dlq;
mod dry_run;
mod enqueue;
mod fleet;
mod function;
mod images;
mod init;
mod maintenance;
mod pause;
mod pipe;
mod pipes;
mod plan;
mod products;
mod reprocess;
mod restore;
mod roles;
mod run;
mod runs;
mod scale;
mod schema;
mod sets;
mod simulate;
mod status;
mod trial;
mod withhold;

use std::path::{Path, PathBuf};

use crate::args::{Cli, Command};
use crate::config::{self, Loaded};
use crate::end::{End, Misuse};

pub(crate) async fn run(cli: Cli) -> anyhow::Result<End> {
    let json = cli.json;
    let dir = cli.dir.unwrap_or_else(folder);
    let dir = dir.as_path();
    match cli.command {
        Command::Demo(args) => demo::run(&args, json).await,
        Command::Init { folder } => init::run(&folder, json),
        Command::Simulate(args) => simulate::run(args, json).await,
        Command::Schema => schema::run(json),
        Command::Check => check::run(dir, json),
        Command::Run(args) => run::run(load(dir)?, &args, json).await,
        Command::Status => status::run(&load(dir)?, json).await,
        Command::Plan(args) => plan::run(load(dir)?, &args, json).await,
        Command::Scale(args) => scale::run(load(dir)?, &args, json).await,
        Command::Schedule(args) => roles::schedule(load(dir)?, &args, json).await,
        Command::Crawl(args) => roles::crawl(load(dir)?, &args).await,
        Command::Images(args) => images::run(load(dir)?, &args, json).await,
        Command::Fleet(command) => fleet::run(&load(dir)?, &command, json).await,
        Command::Pipe(command) => pipe::run(dir, command, json).await,
        Command::Pipes { command } => match command {
            None => pipes::run(&load(dir)?, json).await,
            Some(command) => sets::run(&load_without_pipes(dir)?, command, json).await,
        },
        Command::Runs(args) => runs::run(&load(dir)?, &args, json).await,
        Command::Reprocess(args) => reprocess::run(&load(dir)?, &args, json).await,
        Command::Restore(args) => restore::run(&load(dir)?, &args, json).await,
        Command::Block(args) => withhold::block(&load(dir)?, args, json).await,
        Command::Unblock(args) => withhold::unblock(&load(dir)?, &args, json).await,
        Command::Products(args) => products::run(&load(dir)?, &args, json).await,
        Command::Changes(args) => changes::run(&load(dir)?, &args, json).await,
        Command::Try(step) => trial::run(dir, step, json).await,
        Command::Pause(args) => pause::pause(&load(dir)?, &args, json).await,
        Command::Resume(scope) => pause::resume(&load(dir)?, &scope, json).await,
        Command::Maintenance(command) => maintenance::run(&load(dir)?, &command, json).await,
        Command::Dlq(command) => dlq::run(&load(dir)?, command, json).await,
    }
}

fn load(dir: &Path) -> anyhow::Result<Loaded> {
    Ok(config::load(dir).map_err(Misuse::config)?)
}

/// Where the pipes are not what is asked for, and may be what is wrong.
fn load_without_pipes(dir: &Path) -> anyhow::Result<Loaded> {
    Ok(config::load_config_only(dir).map_err(Misuse::config)?)
}

/// The folder of a machine that is told nothing else.
fn folder() -> PathBuf {
    std::env::var_os("TRAWLER_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from)
}
