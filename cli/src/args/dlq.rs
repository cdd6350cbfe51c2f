//! What `trawler dlq` is told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// List dead letters, and count them by reason.
    List {
        #[command(flatten)]
        which: WhichLetters,
        /// Rows of the table; the counts are of all.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
        limit: u32,
    },
    /// Everything about one dead letter: what was asked for, what happened.
    Show {
        /// The job, as the list names it.
        job: String,
    },
    /// Keep dead letters as CSV in backups/dead/, beside the images; they stay dead.
    Backup {
        #[command(flatten)]
        which: WhichLetters,
        /// List the backups that there are instead.
        #[arg(long)]
        list: bool,
        /// Write a CSV file as well; it must not exist.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        who: Who,
    },
    /// Send dead letters again, after a backup; stopped and started again it
    /// does nothing twice.
    Redrive {
        #[command(flatten)]
        which: WhichLetters,
        /// Send requests a second, of ten messages each.
        #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
        #[command(flatten)]
        who: Who,
    },
    /// Throw dead letters away, after a backup.
    Purge {
        #[command(flatten)]
        which: WhichLetters,
        /// Keep no copy.
        #[arg(long)]
        no_backup: bool,
        #[command(flatten)]
        who: Who,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WhichLetters {
    /// crawl or image; both when absent.
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Only those of this pipe.
    #[arg(long, value_name = "ID")]
    pub(crate) pipe: Option<String>,
    /// Only this job.
    #[arg(long, value_name = "ID")]
    pub(crate) job: Option<String>,
    /// Only those whose reason contains this text, whichever case.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only those buried since: an instant, or so long ago (90s, 30m, 12h, 7d).
    #[arg(long, value_name = "INSTANT|SPAN")]
    pub(crate) since: Option<String>,
    /// All of them; needed where dead letters are sent or thrown away and
    /// nothing else says which.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Who does it, for the others; default: the user of this machine.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}
