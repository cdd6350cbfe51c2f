//! Puts rows of several batches together. Most of the hundred columns hold
//! nothing in a given feed; those are not copied row by row.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;

use crate::error::{CatalogueError, Result};

/// Rows by (batch, row), in the order given.
pub(crate) fn rows(batches: &[&RecordBatch], picks: &[(usize, usize)]) -> Result<RecordBatch> {
    by_column(batches, picks.len(), |columns| interleave(columns, picks))
}

/// Runs of rows by (batch, rows), in the order given.
pub(crate) fn runs(
    batches: &[&RecordBatch],
    runs: &[(usize, Range<usize>)],
) -> Result<RecordBatch> {
    let count = runs.iter().map(|(_, run)| run.len()).sum();
    by_column(batches, count, |columns| {
        let slices: Vec<ArrayRef> = runs
            .iter()
            .map(|(batch, run)| columns[*batch].slice(run.start, run.len()))
            .collect();
        let slices: Vec<&dyn Array> = slices.iter().map(AsRef::as_ref).collect();
        concat(&slices)
    })
}

fn by_column(
    batches: &[&RecordBatch],
    rows: usize,
    build: impl Fn(&[&dyn Array]) -> std::result::Result<ArrayRef, ArrowError>,
) -> Result<RecordBatch> {
    let schema = batches[0].schema();
    let columns = (0..schema.fields().len()).map(|at| {
        let columns: Vec<&dyn Array> = batches.iter().map(|b| b.column(at).as_ref()).collect();
        if columns
            .iter()
            .all(|column| column.null_count() == column.len())
        {
            return Ok(new_null_array(schema.field(at).data_type(), rows));
        }
        build(&columns)
    });
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>();
    columns
        .and_then(|columns| RecordBatch::try_new(Arc::clone(&schema), columns))
        .map_err(CatalogueError::arrow("put rows together"))
}
