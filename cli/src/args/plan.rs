//! `trawler plan` and `trawler scale`.

use clap::{ArgGroup, Args};

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// How far ahead.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=168))]
    pub(crate) hours: u32,
    /// Most machines of each kind, where no group says so.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) max: u32,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("when").required(true).args(["once", "follow"]))]
pub(crate) struct ScaleArgs {
    /// Decide once, then leave.
    #[arg(long)]
    pub(crate) once: bool,
    /// Decide again and again, until told to leave.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Seconds between two decisions.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(5..=300))]
    pub(crate) every: u32,
    /// Say what would be asked for, and ask for nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
