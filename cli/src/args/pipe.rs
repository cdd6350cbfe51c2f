//! The command line of `trawler pipe`.

use clap::{Args, Subcommand, ValueEnum};

use super::{PipeDecisionArgs, WayArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum PipeCommand {
    /// Look at a feed or a site and write a commented pipe file for it.
    New(NewPipeArgs),
    /// Take the pipe's products out of products and changes; it is collected as
    /// ever.
    Hide(PipeDecisionArgs),
    /// Take `hide` or `retire` back: the products are there again, as they are
    /// by now.
    Show(PipeDecisionArgs),
    /// Take the pipe's products out of products and changes, and collect it no
    /// more.
    Retire(PipeDecisionArgs),
    /// Who hid, showed, retired, blocked and unblocked what, when and why.
    Decisions {
        /// The pipe.
        pipe: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewPipeArgs {
    /// The pipe's id: its file is pipes/ID.toml.
    pub(crate) id: String,
    /// The feed's or the shop's http(s) URL, or the path of a feed in a file.
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) from: String,
    /// Whether the feed lists everything or what changed. Only the shop knows:
    /// without it the feed is looked at, and nothing is written.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// What the address leads to, where that is not to be found out.
    #[arg(long = "as", value_enum, value_name = "WHAT")]
    pub(crate) as_what: Option<As>,
    /// Currency of amounts that name none, such as EUR.
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    /// Print the pipe file instead of writing it.
    #[arg(long)]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) way: WayArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Full,
    Summary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum As {
    Feed,
    Site,
}
