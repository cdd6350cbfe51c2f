//! What nobody is shown of the rows that a commit writes: products, which stay
//! stored and carry why (`withhold`), and pictures, which such a row does not
//! have. Rows that come back bring the picture along that they had when they
//! went; what was blocked since is taken out before anybody reads them.
//!
//! Which these are is decided in `trawler_core::withheld` and
//! `trawler_core::blocked_images`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use chrono::{DateTime, Utc};
use trawler_core::blocked_images::withdrawn_from;
use trawler_core::image::ImageStatus;
use trawler_core::withheld::Policy;

use crate::error::{CatalogueError, Result};
use crate::images::{CellReader, ImageCells, apply, build_column};
use crate::schema::{ID, IMAGE_COLUMNS, IMAGE_LINK};

/// What whoever reads the catalogue is not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotShown {
    pub products: Policy,
    /// Pictures by the SHA-256 of their source.
    pub pictures: BTreeSet<String>,
}

/// Takes pictures out of rows, as of an instant.
#[derive(Debug, Default)]
pub(crate) struct Withdrawal {
    pub(crate) pictures: BTreeSet<String>,
    pub(crate) at: DateTime<Utc>,
}

impl Withdrawal {
    /// Rows with all columns of the table, where placeholders stand for the
    /// pictures.
    pub(crate) fn take_out(&self, rows: RecordBatch) -> Result<RecordBatch> {
        if self.pictures.is_empty() {
            return Ok(rows);
        }
        let reader = CellReader::new(&rows);
        let renewed: Vec<Option<ImageCells>> = (0..rows.num_rows())
            .map(|row| self.placeholder(&reader, row))
            .collect();
        if renewed.iter().all(Option::is_none) {
            return Ok(rows);
        }
        let cells: Vec<ImageCells> = renewed
            .into_iter()
            .enumerate()
            .map(|(row, renewed)| renewed.unwrap_or_else(|| reader.cells(row)))
            .collect();
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns());
        let columns: Vec<ArrayRef> = columns
            .map(
                |(field, column)| match IMAGE_COLUMNS.contains(&field.name().as_str()) {
                    true => build_column(field.name(), &cells),
                    false => Arc::clone(column),
                },
            )
            .collect();
        RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(CatalogueError::arrow("take out blocked pictures"))
    }

    /// The state of a row that shows one of the pictures, without it. One whose
    /// picture failed lately shows the last good one.
    fn placeholder(&self, rows: &CellReader<'_>, row: usize) -> Option<ImageCells> {
        let sha256 = rows.text("image_sha256", row)?;
        if !self.pictures.contains(sha256) {
            return None;
        }
        let is_stored = rows.text(IMAGE_COLUMNS[0], row) == Some(ImageStatus::Stored.as_str());
        let shows = is_stored || rows.variants(row).is_some_and(|list| !list.is_empty());
        let (id, link) = (rows.text(ID, row)?, rows.text(IMAGE_LINK, row)?);
        let outcome = withdrawn_from(id.to_owned(), link.to_owned(), sha256);
        apply(&rows.cells(row), &outcome, self.at).filter(|_| shows)
    }
}
