//! What `trawler runs` is told. Without a subcommand it lists.

use clap::{Args, Subcommand};

use super::Who;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArgs {
    /// Only runs of this pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// Only those that wait for a decision: quarantined, or with held deletes.
    #[arg(long)]
    pub(crate) waiting: bool,
    /// At most so many, newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// One run: what it found, why it is held or quarantined, who decided.
    Show(ShowRunArgs),
    /// Bring in what a run holds back: all of a quarantined run, or the deletes
    /// that are held. Once, and not when a later run has landed.
    Accept(AcceptArgs),
    /// Say that what a run holds back stays out.
    Reject(RejectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowRunArgs {
    /// The run, as `trawler runs` prints it.
    pub(crate) run: String,
    /// Also how prices moved, how columns are filled, and examples.
    #[arg(long)]
    pub(crate) diff: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// The run, as `trawler runs` prints it.
    pub(crate) run: String,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) who: Who,
    /// Do it here until it is done, instead of leaving it to `trawler run`.
    #[arg(long)]
    pub(crate) work: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// The run, as `trawler runs` prints it.
    pub(crate) run: String,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) who: Who,
}
