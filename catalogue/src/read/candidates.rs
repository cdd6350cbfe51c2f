//! Rows whose image may have to be fetched. Only the columns that say so are
//! read; which rows are due is the caller's policy.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::stream::StreamExt;
use object_store::ObjectStore;
use trawler_core::PipeId;
use trawler_core::image::{ImageStatus, KnownImage};

use crate::catalogue::{Catalogue, Snapshot};
use crate::error::Result;
use crate::images::CellReader;
use crate::log::state::DataFile;
use crate::schema::{ID, IMAGE_LINK, project, table_schema};
use crate::table::reader::{OpenFile, Pages};
use crate::work::{Cancelled, off_reactor};

/// Most rows that one call returns.
pub const CANDIDATES_MAX: usize = 10_000;

/// Image state of a row with an image link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    pub id: String,
    pub image_link: String,
    /// `None` when the stored text is none that this program knows.
    pub status: Option<ImageStatus>,
    pub known: KnownImage,
    /// Format of the source that the variants were made of.
    pub format: Option<String>,
    /// Instant of the fold that brought the present state.
    pub tried: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagePage {
    pub rows: Vec<ImageRow>,
    /// Id to go on after; `None` when all rows have been looked at.
    pub next: Option<String>,
}

impl Catalogue {
    /// Rows after an id with an image link for which `is_due` holds, at most
    /// `limit` (and [`CANDIDATES_MAX`]).
    pub async fn image_candidates<F>(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        after: Option<&str>,
        limit: usize,
        is_due: F,
    ) -> Result<ImagePage>
    where
        F: Fn(&ImageRow) -> bool + Send + 'static,
    {
        let files = snapshot.files(pipe)?;
        let limit = limit.clamp(1, CANDIDATES_MAX);
        let after = after.map(str::to_owned);
        let store = Arc::clone(&self.store);
        off_reactor(&self.threads, move |cancelled| async move {
            candidates(&store, &files, after.as_deref(), limit, &is_due, &cancelled).await
        })
        .await
    }
}

async fn candidates(
    store: &Arc<dyn ObjectStore>,
    files: &[Arc<DataFile>],
    after: Option<&str>,
    limit: usize,
    is_due: &dyn Fn(&ImageRow) -> bool,
    cancelled: &Cancelled,
) -> Result<ImagePage> {
    let names = [
        ID,
        IMAGE_LINK,
        "image_status",
        "image_sha256",
        "image_format",
        "image_recipe",
        "image_etag",
        "image_last_modified",
        "image_tried",
        "image_phash",
    ];
    let schema = project(&table_schema(), &names);
    let first = after.map_or(0, |after| {
        files.partition_point(|file| file.max_id.as_str() <= after)
    });
    let mut page = ImagePage::default();
    for file in &files[first..] {
        let open = OpenFile::open(store, &file.file, Pages::Skipped).await?;
        let mut batches = open.scan(&schema, None)?;
        while let Some(batch) = batches.next().await {
            cancelled.check()?;
            let batch = batch?;
            let cells = CellReader::new(&batch);
            for at in 0..batch.num_rows() {
                let Some(row) = image_row(&cells, at) else {
                    continue;
                };
                let is_new = after.is_none_or(|after| row.id.as_str() > after);
                if is_new && is_due(&row) {
                    page.rows.push(row);
                    if page.rows.len() == limit {
                        page.next = page.rows.last().map(|row| row.id.clone());
                        return Ok(page);
                    }
                }
            }
        }
    }
    Ok(page)
}

fn image_row(cells: &CellReader<'_>, at: usize) -> Option<ImageRow> {
    Some(ImageRow {
        image_link: cells.text(IMAGE_LINK, at)?.to_owned(),
        id: cells.text(ID, at)?.to_owned(),
        status: cells.text("image_status", at).and_then(ImageStatus::parse),
        known: cells.known(at),
        format: cells.text("image_format", at).map(str::to_owned),
        tried: cells.tried(at).and_then(DateTime::from_timestamp_micros),
    })
}
