//! The command line.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// Prints how much one core does: feeds, images, catalogue, sites.
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
    /// Product pages of each site that is crawled
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(200..=1_000_000))]
    pub(crate) pages: u32,
    /// Folder with book pages; default: those of the real input, where they
    /// are
    #[arg(long)]
    books: Option<PathBuf>,
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
    Photos,
    Catalogue,
    Site,
    Extract,
}

impl Args {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    pub(crate) fn photographs(&self) -> PathBuf {
        let given = self.photos.clone();
        given.unwrap_or_else(|| real_input().join("images/photos"))
    }

    pub(crate) fn book_pages(&self) -> PathBuf {
        let given = self.books.clone();
        given.unwrap_or_else(|| real_input().join("books"))
    }
}

/// Real pages and images, beside the project's own folder.
fn real_input() -> PathBuf {
    std::env::var_os("TRAWLER_REAL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real"),
        PathBuf::from,
    )
}
