//! The rule of a run: incoming products against stored ones by row hash.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use chrono::{DateTime, Utc};
use trawler_core::image::ImageStatus;

use crate::error::{CatalogueError, Result};
use crate::merge::{Aligned, Changed, Op, Rule, push_delete, push_keep};
use crate::schema::{
    FIRST_SEEN, ID, IMAGE_COLUMNS, IMAGE_LINK, ROW_HASH, RUN, UPDATED, content_schema, table_schema,
};
use crate::staging::DELETED;

/// What it means that a stored row does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The feed lists everything: the product is gone.
    Full,
    /// The feed lists changes: nothing. Only explicit deletions delete.
    Summary,
}

/// Who writes and when, as it is stored in new and changed rows.
#[derive(Debug, Clone)]
pub(crate) struct RowStamp {
    pub(crate) run: String,
    pub(crate) due: DateTime<Utc>,
    /// Of an image that is new.
    pub(crate) fresh: ImageStatus,
}

pub(crate) struct ContentRule {
    pub(crate) mode: Mode,
    /// Only building rows needs it.
    pub(crate) stamp: Option<RowStamp>,
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch
        .column_by_name(name)
        .expect("batches are read with the columns that the rule names")
}

impl Rule for ContentRule {
    fn stored_columns(&self) -> &[&'static str] {
        &[ID, ROW_HASH]
    }

    fn incoming_columns(&self) -> Option<&[&'static str]> {
        Some(&[ID, ROW_HASH, DELETED])
    }

    fn absence_matters(&self) -> bool {
        self.mode == Mode::Full
    }

    fn decide(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<Vec<Op>> {
        let stored_hash: &BinaryArray = column(stored, ROW_HASH).as_binary();
        let incoming_hash: &BinaryArray = column(incoming, ROW_HASH).as_binary();
        let deleted: &BooleanArray = column(incoming, DELETED).as_boolean();
        let mut ops = Vec::with_capacity(aligned.len());
        for aligned in aligned {
            match *aligned {
                Aligned::Stored { from, len } => match self.mode {
                    Mode::Full => push_delete(&mut ops, from, len),
                    Mode::Summary => push_keep(&mut ops, from, len),
                },
                Aligned::Incoming { at } if deleted.value(at) => {}
                Aligned::Incoming { at } => ops.push(Op::Insert { incoming: at }),
                Aligned::Both { stored, incoming } => {
                    if deleted.value(incoming) {
                        push_delete(&mut ops, stored, 1);
                    } else if stored_hash.value(stored) == incoming_hash.value(incoming) {
                        push_keep(&mut ops, stored, 1);
                    } else {
                        ops.push(Op::Update { stored, incoming });
                    }
                }
            }
        }
        Ok(ops)
    }

    fn build(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        changed: &[Changed],
    ) -> Result<RecordBatch> {
        let stamp = self
            .stamp
            .as_ref()
            .expect("rows are built only by a write, and that has a stamp");
        let from: UInt32Array = changed.iter().map(|row| row.incoming as u32).collect();
        let content = content_schema();
        let images = image_sources(stored, incoming, changed);
        let due = TimestampMicrosecondArray::from_value(stamp.due.timestamp_micros(), 1)
            .with_timezone("UTC");
        let due: ArrayRef = Arc::new(due);
        let columns: Result<Vec<ArrayRef>> = table_schema()
            .fields()
            .iter()
            .map(|field| {
                let name = field.name().as_str();
                let built = if name == ROW_HASH || content.column_with_name(name).is_some() {
                    take(column(incoming, name), &from, None)
                } else if IMAGE_COLUMNS.contains(&name) {
                    let fresh = fresh_image(name, stamp.fresh);
                    interleave(&[column(stored, name).as_ref(), fresh.as_ref()], &images)
                } else if name == RUN {
                    let run = std::iter::repeat_n(&stamp.run, changed.len());
                    Ok(Arc::new(StringArray::from_iter_values(run)) as ArrayRef)
                } else {
                    let keep = name == FIRST_SEEN;
                    debug_assert!(keep || name == UPDATED, "column {name} is not filled");
                    let picks: Vec<(usize, usize)> = changed
                        .iter()
                        .map(|row| row.stored.filter(|_| keep).map_or((1, 0), |at| (0, at)))
                        .collect();
                    interleave(&[column(stored, name).as_ref(), due.as_ref()], &picks)
                };
                built.map_err(CatalogueError::arrow("build changed rows"))
            })
            .collect();
        RecordBatch::try_new(table_schema(), columns?)
            .map_err(CatalogueError::arrow("build changed rows"))
    }
}

/// Rows of [`fresh_image`].
const NEW: usize = 0;
const WITHOUT: usize = 1;

/// Image state of a row whose image is new, and of one without.
fn fresh_image(name: &str, status: ImageStatus) -> ArrayRef {
    if name == IMAGE_COLUMNS[0] {
        return Arc::new(StringArray::from(vec![Some(status.as_str()), None]));
    }
    let schema = table_schema();
    let field = schema
        .field_with_name(name)
        .expect("the table has every image column");
    new_null_array(field.data_type(), 2)
}

/// Where each changed row has its image state from: the stored row while the
/// image link is the same, else a fresh one.
fn image_sources(
    stored: &RecordBatch,
    incoming: &RecordBatch,
    changed: &[Changed],
) -> Vec<(usize, usize)> {
    let stored_links: &StringArray = column(stored, IMAGE_LINK).as_string();
    let incoming_links: &StringArray = column(incoming, IMAGE_LINK).as_string();
    let link =
        |links: &StringArray, at: usize| links.is_valid(at).then(|| links.value(at).to_owned());
    changed
        .iter()
        .map(|row| {
            let new = link(incoming_links, row.incoming);
            match row.stored {
                Some(at) if link(stored_links, at) == new => (0, at),
                _ => (1, if new.is_some() { NEW } else { WITHOUT }),
            }
        })
        .collect()
}
