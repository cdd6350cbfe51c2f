//! `[store]` and `[catalogue]`: where things are kept and in what portions.

use std::path::PathBuf;

use serde::Deserialize;

use super::load::Bounds;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreConfig {
    /// Folder for everything Trawler keeps: `catalogue/` (Delta table),
    /// `blobs/` (images, results, reports), `trawler.db` (queues and state),
    /// `scratch/` (may be deleted while nothing runs). Absolute, or relative
    /// to the folder of this file. Default `trawler-data`.
    pub(crate) dir: PathBuf,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("trawler-data"),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CatalogueConfig {
    /// Rows in one data file. Default 200000, bound 1000 to 5000000.
    pub(crate) file_rows: usize,
    /// Memory of the sort that orders a feed by id, in MiB. Default 64, bound
    /// 8 to 4096.
    pub(crate) sort_mib: usize,
    /// Commits between two checkpoints of the table's log. Default 100, bound
    /// 10 to 10000.
    pub(crate) checkpoint_every: u64,
}

impl Default for CatalogueConfig {
    fn default() -> Self {
        Self {
            file_rows: 200_000,
            sort_mib: 64,
            checkpoint_every: 100,
        }
    }
}

impl CatalogueConfig {
    pub(crate) fn check(&self, bounds: &mut Bounds) {
        bounds.within(
            "catalogue.file_rows",
            self.file_rows as u64,
            1_000,
            5_000_000,
        );
        bounds.within("catalogue.sort_mib", self.sort_mib as u64, 8, 4_096);
        bounds.within(
            "catalogue.checkpoint_every",
            self.checkpoint_every,
            10,
            10_000,
        );
    }
}
