//! What the table says of stored images: the image state of rows by their
//! position, for those who count or verify, and the keys of every variant that a
//! reader of some past days can meet, for those who remove what nobody refers to.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use chrono::{DateTime, Utc};
use futures::stream::StreamExt;
use trawler_core::PipeId;
use trawler_core::image::{Damage, ImageStatus, StoredVariant};

use crate::catalogue::{Catalogue, Snapshot};
use crate::error::{CatalogueError, Result};
use crate::images::CellReader;
use crate::log::entry;
use crate::read::changes::{gone_sources, stored_rows};
use crate::schema::{ID, IMAGE_LINK, project, table_schema};
use crate::table::reader::{FileRef, OpenFile, Pages};
use crate::work::off_reactor;

/// Most rows of one call: at some 500 bytes each 5 MB.
pub const STORED_ROWS_MAX: usize = 10_000;

/// Log entries read at a time on the way back.
const ENTRIES_A_READ: i64 = 256;

/// Writers' clocks differ by less.
const CLOCKS_DIFFER: chrono::Duration = chrono::Duration::hours(1);

const VARIANTS: &str = "image_variants";

/// The image state of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    pub id: String,
    /// `None` for a product without a picture.
    pub image_link: Option<String>,
    /// `None` when there is none, or none that this program knows.
    pub status: Option<ImageStatus>,
    /// Since when it has this status.
    pub tried: Option<DateTime<Utc>>,
    /// Of the source bytes that the variants were made of.
    pub sha256: Option<String>,
    /// Why the file that was fetched last could be decoded in part only.
    pub damaged: Option<Damage>,
    pub variants: Vec<StoredVariant>,
}

/// Files in which every key stands that a reader can meet.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    /// Version of the table that they were listed at.
    pub version: i64,
    files: Vec<KeyFile>,
}

#[derive(Debug, Clone)]
struct KeyFile {
    file: FileRef,
    /// Of the table as it is, so that it has to be there.
    is_live: bool,
}

impl KeyFiles {
    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl Catalogue {
    /// Rows of a pipe in order of id, from a position on, at most `limit` (and
    /// [`STORED_ROWS_MAX`]); none behind its last.
    pub async fn stored_images(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRow>> {
        let files = snapshot.files(pipe)?;
        let limit = limit.clamp(1, STORED_ROWS_MAX);
        let store = Arc::clone(&self.store);
        off_reactor(&self.threads, move |cancelled| async move {
            let names = [
                ID,
                IMAGE_LINK,
                "image_status",
                "image_tried",
                "image_sha256",
                "image_damaged",
                VARIANTS,
            ];
            let schema = project(&table_schema(), &names);
            let mut rows = Vec::new();
            let mut start = 0;
            for file in files.iter() {
                let end = start + file.rows;
                let next = from + rows.len() as u64;
                if next < end {
                    let open = OpenFile::open(&store, &file.file, Pages::Located).await?;
                    let wanted = (limit - rows.len()) as u64;
                    let of_file = open.rows(next - start, wanted);
                    let mut batches = open.scan(&schema, Some(of_file))?;
                    while let Some(batch) = batches.next().await {
                        cancelled.check()?;
                        rows.extend(stored_rows_of(&batch?));
                    }
                }
                if rows.len() >= limit {
                    break;
                }
                start = end;
            }
            Ok(rows)
        })
        .await
    }

    /// Files in which every key stands that a row of any version since `since`
    /// has: those of the newest version, and of every later commit the rows that
    /// it took away or changed. What follows from the change feed since then is
    /// among them.
    ///
    /// Keeps some 100 bytes a file in memory. The table is looked at anew, so
    /// that what was committed before the call is seen.
    pub async fn key_files(&self, since: DateTime<Utc>) -> Result<KeyFiles> {
        let state = self.refresh().await?;
        let live = state.pipes.values().flat_map(|files| files.iter());
        let mut files: Vec<KeyFile> = live
            .map(|file| KeyFile {
                file: file.file.clone(),
                is_live: true,
            })
            .collect();
        let since_ms = (since - CLOCKS_DIFFER).timestamp_millis();
        let mut next = state.version;
        while next >= 0 {
            let first = (next - ENTRIES_A_READ + 1).max(0);
            let entries = entry::read_range(&self.store, first..=next).await?;
            let recent: Vec<_> = entries
                .iter()
                .filter(|entry| entry.timestamp() >= since_ms)
                .collect();
            for entry in &recent {
                let taken = gone_sources(entry)?.into_iter();
                files.extend(taken.map(|file| KeyFile {
                    file,
                    is_live: false,
                }));
            }
            // All of them are older, and so is what lies before.
            if recent.is_empty() {
                break;
            }
            next = first - 1;
        }
        Ok(KeyFiles {
            version: state.version,
            files,
        })
    }

    /// Gives every key of one of the files to `take`, from a thread that may
    /// block, until that refuses one. A file of the past that somebody removed
    /// cannot be read by anybody else either, and is passed over.
    pub async fn variant_keys<F>(&self, files: &KeyFiles, at: usize, mut take: F) -> Result<()>
    where
        F: FnMut(&str) -> std::io::Result<()> + Send + 'static,
    {
        let Some(KeyFile { file, is_live }) = files.files.get(at).cloned() else {
            return Ok(());
        };
        let store = Arc::clone(&self.store);
        off_reactor(&self.threads, move |cancelled| async move {
            let open = match OpenFile::open(&store, &file, Pages::Skipped).await {
                Err(CatalogueError::Store {
                    source: object_store::Error::NotFound { .. },
                    ..
                }) if !is_live => return Ok(()),
                open => open?,
            };
            let mut batches = open.scan(&stored_rows(VARIANTS), None)?;
            while let Some(batch) = batches.next().await {
                cancelled.check()?;
                keys_of(&batch?, &mut take).map_err(|source| CatalogueError::Scratch {
                    doing: "keep the keys of images",
                    path: "of the removal".to_owned(),
                    source,
                })?;
            }
            Ok(())
        })
        .await
    }
}

fn stored_rows_of(batch: &RecordBatch) -> Vec<StoredRow> {
    let cells = CellReader::new(batch);
    let row = |at: usize| StoredRow {
        id: cells.text(ID, at).unwrap_or_default().to_owned(),
        image_link: cells.text(IMAGE_LINK, at).map(str::to_owned),
        status: cells.text("image_status", at).and_then(ImageStatus::parse),
        tried: cells.tried(at).and_then(DateTime::from_timestamp_micros),
        sha256: cells.text("image_sha256", at).map(str::to_owned),
        damaged: cells.text("image_damaged", at).and_then(Damage::parse),
        variants: cells.variants(at).unwrap_or_default(),
    };
    (0..batch.num_rows()).map(row).collect()
}

fn keys_of(
    batch: &RecordBatch,
    take: &mut impl FnMut(&str) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let lists = batch.column(0).as_list::<i32>();
    for row in 0..lists.len() {
        if lists.is_null(row) {
            continue;
        }
        let variants = lists.value(row);
        let keys = variants.as_struct().column_by_name("key");
        for key in keys.iter().flat_map(|keys| keys.as_string::<i32>().iter()) {
            key.map_or(Ok(()), &mut *take)?;
        }
    }
    Ok(())
}
