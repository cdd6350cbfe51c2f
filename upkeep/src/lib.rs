//! Looking after stored images: what there is ([`Upkeep::stats`]), whether it
//! is what the catalogue says ([`Upkeep::verify`]), what failed
//! ([`Upkeep::failed`]), and the removal of what nothing refers to any more
//! ([`Upkeep::remove_unused`]). And bringing a pipe back to what an earlier run
//! left ([`Upkeep::restore`]).
//!
//! It works from the catalogue, the blobs and State, and does no image's work
//! itself: what has to be fetched again is listed for a refetch, which the
//! scheduler plans and the crawler takes up. Memory is bounded whatever the size
//! of the catalogue: what has to be known of every image is spilled to 256 files
//! by the first two digits of its key (`spill`) and held one file at a
//! time, 8 to 24 bytes for each distinct image in it: with 600 million variants
//! some 20 MB to remove, 60 MB to count.

mod error;
mod failed;
mod listing;
mod references;
mod remove;
mod restore;
mod spill;
mod stats;
mod sweep;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use trawler_catalogue::Catalogue;
use trawler_fleet::Ports;

pub use error::UpkeepError;
pub use failed::FailedImages;
pub use remove::{RemoveOptions, Removed, Resting};
pub use restore::{RestoreError, RestoreOptions, Restored};
pub use stats::{ImageStats, Stats, StatsOptions};
pub use verify::{Extent, Finding, Repair, Verified, VerifyOptions, What};

/// How far a long piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub what: &'static str,
    pub done: u64,
    pub total: Option<u64>,
}

/// Told often; whoever shows it decides how often it shows something.
pub type Watch<'a> = dyn Fn(Step) + Send + Sync + 'a;

/// What the upkeep works with.
pub struct Upkeep {
    pub ports: Ports,
    pub catalogue: Arc<Catalogue>,
    /// Folder for what is spilled; a folder of its own below it, gone at the end.
    pub scratch: PathBuf,
}

impl Upkeep {
    fn tell(watch: &Watch<'_>, what: &'static str, done: u64, total: Option<u64>) {
        watch(Step { what, done, total });
    }
}
