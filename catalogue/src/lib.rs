//! The catalogue: one Delta Lake table of products, partitioned by pipe, with
//! its own write path.
//!
//! A run stages what it collected ([`Staging`]), compares it with what is
//! stored ([`Catalogue::diff`]), has it judged, writes files
//! ([`Catalogue::write`]) and commits them ([`Catalogue::commit`]); image
//! results are folded in the same way ([`Catalogue::fold_images`]). Readers get
//! pages of products ([`Catalogue::products`]) and an exact change feed
//! ([`Catalogue::changes`]). Rows of a pipe lie sorted by id in files that do
//! not overlap, so that a day's change rewrites the files that it touches.
//!
//! There is no SQL engine here and no cloud: every byte goes through the
//! `ObjectStore` that the caller hands in.

mod catalogue;
mod commit;
mod content;
mod diff;
mod error;
mod hash;
mod images;
mod layers;
mod log;
mod merge;
mod not_shown;
mod orphans;
mod paper;
mod partial;
mod pick;
mod plan;
mod read;
mod restore;
mod returning;
mod rewrite;
mod schema;
mod sort;
mod sorted;
mod staging;
mod table;
mod withhold;
mod work;

#[cfg(test)]
extern crate self as trawler_catalogue;
#[cfg(test)]
mod testing;

pub use catalogue::{Catalogue, CatalogueOptions, PipeStats, Snapshot, local_store};
pub use commit::{CommitError, CommitOutcome, Fence, Txn};
pub use content::Mode;
pub use diff::{Diff, FoldStamp, PreparedCommit, RunStamp, WriteId};
pub use error::{CatalogueError, Result};
pub use not_shown::NotShown;
pub use orphans::{ORPHANS_MAX, Orphan};
pub use read::candidates::{CANDIDATES_MAX, ImagePage, ImageRow};
pub use read::changes::{ChangePage, Watermark};
pub use read::json::rows_as_json;
pub use read::products::{PAGE_ROWS_MAX, ProductPage};
pub use read::stored_images::{KeyFiles, STORED_ROWS_MAX, StoredRow};
pub use restore::Restoring;
pub use schema::{
    CHANGE_TYPE, CLEARED, COMMIT_TIMESTAMP, COMMIT_VERSION, EXTRA, EXTRA_PREFIX, FIRST_SEEN, ID,
    IMAGE_COLUMNS, IMAGE_LINK, PIPE, ROW_HASH, RUN, UPDATED, WITHHELD, content_schema,
    partial_schema, table_schema,
};
pub use sort::{ID_BYTES_MAX, SortLimits};
pub use staging::{Deleted, ImageStaging, Staged, StagedImages, Staging};
pub use trawler_core::judge::Deletes;
pub use withhold::Withholds;
