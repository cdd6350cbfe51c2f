//! What `trawler images` is told. Without a subcommand it is the role that
//! works on the image queue.

use clap::{Args, Subcommand};

use super::WorkerArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ImagesArgs {
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
    #[command(subcommand)]
    pub(crate) command: Option<ImagesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Products by image status, distinct images and their bytes.
    Stats(StatsArgs),
    /// Fetch failed images again: those that came to an age of 1, 2, 4, 8, 16
    /// or 30 days, or 30 more, since the last retry.
    Retry(RetryArgs),
    /// Count stored images that nothing refers to any more, and remove them.
    Gc(GcArgs),
    /// Read stored images and compare them with what the catalogue says.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Only this pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// Go through the store as well, and count what it holds.
    #[arg(long)]
    pub(crate) objects: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Only this pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// Only images with this status; may be given more than once.
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Vec<String>,
    /// All of them, however long they have failed.
    #[arg(long)]
    pub(crate) all: bool,
    /// Count them and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do it here until it is done, instead of leaving it to `trawler run`.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) work: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Remove what an earlier call marked at least a day ago, and mark what is
    /// unused now. Without it nothing is touched.
    #[arg(long)]
    pub(crate) delete: bool,
    /// Days within which a reader of the catalogue or of its changes still finds
    /// every image that they name; catalogue.restore_days if that is more.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) grace_days: u16,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only this pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// Products to look at, spread evenly over all.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sample: u64,
    /// Every product.
    #[arg(long, conflicts_with = "sample")]
    pub(crate) all: bool,
    /// Remove what is damaged, and fetch it and what is missing again.
    #[arg(long)]
    pub(crate) repair: bool,
    /// Do that here until it is done, and look once more, instead of leaving it
    /// to `trawler run`.
    #[arg(long, requires = "repair")]
    pub(crate) work: bool,
}
