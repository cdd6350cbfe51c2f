//! What `trawler maintenance` is told.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Declare a window: jobs that would touch the target wait for its end.
    Add(AddWindow),
    /// The windows that are declared, and those of the pipe files.
    List,
    /// Take a window back; jobs that wait for its end go on.
    Remove {
        /// As the list shows it.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddWindow {
    #[command(flatten)]
    pub(crate) target: WindowTarget,
    /// An instant, or so long from now (90s, 30m, 12h, 7d); now when absent.
    #[arg(long, value_name = "INSTANT|SPAN")]
    pub(crate) from: Option<String>,
    /// An instant, or so long from now.
    #[arg(long, value_name = "INSTANT|SPAN")]
    pub(crate) until: String,
    /// Why, for the others.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WindowTarget {
    /// A host that feeds or images come from, as in URLs without the port.
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// The partner of a pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// The catalogue: every crawl job.
    #[arg(long)]
    pub(crate) catalogue: bool,
    /// Everything.
    #[arg(long)]
    pub(crate) fleet: bool,
}
