//! What `trawler reprocess` and `trawler restore` are told.

use clap::Args;

use super::Who;

#[derive(Debug, Args)]
pub(crate) struct ReprocessArgs {
    /// The pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: String,
    /// The run whose input is read; the newest that is kept when absent.
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Show what it would change, and keep none of it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also an input that is older than what is in the catalogue.
    #[arg(long)]
    pub(crate) force: bool,
    /// Do it here until it is done, instead of leaving it to `trawler run`.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) work: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: String,
    /// The run whose rows come back, as `trawler runs` prints it.
    #[arg(long, value_name = "RUN")]
    pub(crate) to: String,
    /// Show what it would change, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) who: Who,
}
