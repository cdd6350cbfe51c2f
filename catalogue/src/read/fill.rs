//! How many stored rows of a pipe have a value, by column. Every row is read;
//! for a person who compares a feed with what is stored, and not for a run.

use std::sync::Arc;

use arrow_array::Array;
use futures::stream::StreamExt;
use trawler_core::PipeId;
use trawler_core::judge::Filled;

use crate::catalogue::{Catalogue, Snapshot};
use crate::error::Result;
use crate::schema::content_schema;
use crate::table::reader::{OpenFile, Pages};
use crate::work::off_reactor;

impl Catalogue {
    /// Counts values in the content columns of a pipe's rows.
    pub async fn fill(&self, snapshot: &Snapshot, pipe: &PipeId) -> Result<Filled> {
        let files = snapshot.files(pipe)?;
        let store = Arc::clone(&self.store);
        off_reactor(&self.threads, move |cancelled| async move {
            let mut filled = Filled::default();
            for file in files.iter() {
                let open = OpenFile::open(&store, &file.file, Pages::Skipped).await?;
                let mut batches = open.scan(&content_schema(), None)?;
                while let Some(rows) = batches.next().await {
                    cancelled.check()?;
                    let rows = rows?;
                    filled.read += rows.num_rows() as u64;
                    let schema = rows.schema();
                    for (field, column) in schema.fields().iter().zip(rows.columns()) {
                        let values = (column.len() - column.null_count()) as u64;
                        if values > 0 {
                            *filled.columns.entry(field.name().clone()).or_default() += values;
                        }
                    }
                }
            }
            Ok(filled)
        })
        .await
    }
}
