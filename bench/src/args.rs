//! The command line.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// Prints how much one core does: feeds, images, catalogue.
#[derive(Debug, Parser)]
#[command(name = "trawler-bench")]
pub(crate) struct Args {
    /// Products of a feed and of the catalogue; memory is also measured at a
    /// tenth of them
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    pub(crate) rows: u32,
    /// Images rendered a run
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) images: u32,
    /// Measured runs of each case, after one that does not count; the median
    /// is shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// Measure one part
    #[arg(long)]
    only: Option<Part>,
    /// Folder with photographs; default: those of the real input, where they
    /// are
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Folder for feeds and tables, about 5 kB a row; default: the system's
    /// temporary folder
    #[arg(long)]
    pub(crate) scratch: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// What a child process of this program is to do.
    #[arg(long, hide = true)]
    pub(crate) case: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Feed,
    Images,
    Catalogue,
}

impl Args {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    pub(crate) fn photographs(&self) -> PathBuf {
        self.photos.clone().unwrap_or_else(|| {
            let real = std::env::var_os("TRAWLER_REAL").map_or_else(
                || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real"),
                PathBuf::from,
            );
            real.join("images/photos")
        })
    }
}
