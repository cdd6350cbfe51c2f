//! Rows of a partial feed on scratch disk: what one feed says of an id, in
//! whatever number of rows, becomes one row.
//!
//! A deletion takes with it what was said before; what comes after one starts
//! from nothing, and is marked so, that it does not take up stored values.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;

use crate::error::{CatalogueError, Result};
use crate::layers::{Stack, lay_partial};
use crate::schema::partial_schema;
use crate::sorted::{SortedRows, SortedWriter, ids};
use crate::staging::DELETED;

/// Marks a row that starts from nothing, because the feed deleted its id first.
pub(crate) const FRESH: &str = "_fresh";

pub(crate) fn staged_partial_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        let mut fields: Vec<Arc<Field>> = partial_schema().fields().iter().cloned().collect();
        for name in [DELETED, FRESH] {
            fields.push(Arc::new(Field::new(name, DataType::Boolean, false)));
        }
        Arc::new(Schema::new(fields))
    }))
}

/// Turns sorted rows, several an id, into one row an id.
pub(crate) fn fold(rows: &SortedRows, scratch: &Path) -> Result<SortedRows> {
    let folder = tempfile::Builder::new()
        .prefix("folded-")
        .tempdir_in(scratch)
        .map_err(CatalogueError::scratch("create a folder", scratch))?;
    let path = folder.path().join("rows.arrow");
    let schema = staged_partial_schema();
    let mut out = SortedWriter::create(&path, &schema)?;
    let mut reader = rows.read(0..rows.rows(), None)?;
    let mut ids_seen = 0_u64;
    // The last id of a batch may go on in the next one.
    let mut open: Option<RecordBatch> = None;
    while let Some((batch, _)) = reader.current()? {
        let batch = batch.clone();
        reader.advance(batch.num_rows());
        let batch = match open.take() {
            Some(open) => concat_batches(&schema, [&open, &batch])
                .map_err(CatalogueError::arrow("fold partial rows"))?,
            None => batch,
        };
        let folded = fold_batch(&batch)?;
        let closed = folded.num_rows() - 1;
        if closed > 0 {
            ids_seen += closed as u64;
            out.write(&folded.slice(0, closed))?;
        }
        open = Some(folded.slice(closed, 1));
    }
    if let Some(open) = open {
        ids_seen += 1;
        out.write(&open)?;
    }
    out.close()?;
    SortedRows::open(path, schema, rows.rows() - ids_seen, folder)
}

/// One row for each run of rows with the same id.
fn fold_batch(batch: &RecordBatch) -> Result<RecordBatch> {
    let flag = |name: &str| -> &BooleanArray {
        let column = batch.column_by_name(name);
        column
            .expect("staged partial rows have every flag")
            .as_boolean()
    };
    let (id, deleted, fresh) = (ids(batch), flag(DELETED), flag(FRESH));
    let mut stacks: Vec<Stack> = Vec::with_capacity(batch.num_rows());
    let (mut deletions, mut starts) = (Vec::new(), Vec::new());
    let mut from = 0;
    while from < batch.num_rows() {
        let same = (from + 1..batch.num_rows()).take_while(|row| id.value(*row) == id.value(from));
        let to = from + 1 + same.count();
        let last_deletion = (from..to).rev().find(|row| deleted.value(*row));
        let last_start = (from..to).rev().find(|row| fresh.value(*row));
        let is_deletion = last_deletion == Some(to - 1);
        let base = match last_deletion {
            Some(at) if is_deletion => at,
            Some(at) => at + 1,
            None => from,
        };
        let base = base.max(last_start.unwrap_or(from));
        let starts_anew = last_deletion.is_some() || last_start.is_some();
        stacks.push((base..to).map(|row| (0, row)).collect());
        deletions.push(is_deletion);
        starts.push(starts_anew && !is_deletion);
        from = to;
    }
    if stacks.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    let mut columns = lay_partial(&[batch], &stacks)?.columns().to_vec();
    for flags in [deletions, starts] {
        let flags: ArrayRef = Arc::new(BooleanArray::from(flags));
        columns.push(flags);
    }
    RecordBatch::try_new(staged_partial_schema(), columns)
        .map_err(CatalogueError::arrow("fold partial rows"))
}
