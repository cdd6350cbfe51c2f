//! The composition root: the one place where configuration, adapters, workers
//! and commands meet. Nothing depends on it but the binary and the journeys.

mod args;
mod commands;
mod compose;
mod config;
mod end;
mod lookup;
mod output;
mod progress;
mod telemetry;
mod work;

use std::process::ExitCode;

use clap::Parser;

/// Parses the command line, runs the command and turns its end into an exit
/// code: 0 done, 1 failed, 2 the command line or the configuration is wrong,
/// 3 something is left that a later run has to do.
pub fn main() -> ExitCode {
    let cli = args::Cli::parse();
    telemetry::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("trawler: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(end) => end.into(),
        Err(error) => {
            eprintln!("trawler: {error:#}");
            match error.downcast_ref::<end::Misuse>() {
                Some(_) => ExitCode::from(2),
                None => ExitCode::FAILURE,
            }
        }
    }
}
