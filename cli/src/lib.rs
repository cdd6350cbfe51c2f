//! The composition root: the one place where configuration, adapters, workers
//! and commands meet. Nothing depends on it but the binary and the journeys.

#[macro_use]
mod say;

mod args;
mod beside;
mod commands;
mod compose;
mod config;
mod end;
mod lookup;
mod memory;
mod order;
mod output;
mod progress;
mod repairs;
mod secrets;
mod service;
mod telemetry;
mod upkeep_beside;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Parses the command line, runs the command and turns its end into an exit
/// code: 0 done, 1 failed, 2 the command line or the configuration is wrong,
/// 3 something is left that a later run has to do.
pub fn main() -> ExitCode {
    main_ahead(Duration::ZERO)
}

/// As [`main`], by a clock that is so far ahead: for tests of what takes days.
pub fn main_ahead(ahead: Duration) -> ExitCode {
    memory::give_back_large_blocks();
    compose::set_clock_ahead(ahead);
    let cli = args::Cli::parse();
    telemetry::init(cli.command.loudness());
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
        // Whoever reads the output (`head`) has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trawler: {error:#}");
            match error.downcast_ref::<end::Misuse>() {
                Some(_) => ExitCode::from(2),
                None => ExitCode::FAILURE,
            }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    })
}
