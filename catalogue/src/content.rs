//! The rule of a run: incoming products against stored ones by row hash.
//!
//! A row of a summary that says that it is older than the stored one is
//! ignored; a full feed is believed whatever its instants say, so that what a
//! wrong clock did is over the next day. Rows that hold only what changed take
//! the rest from the stored row, and the hash is that of the whole.

use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use chrono::{DateTime, Utc};
use trawler_core::image::ImageStatus;
use trawler_core::product::PARTNER_UPDATED;
use trawler_core::withheld::Policy;

use crate::error::{CatalogueError, Result};
use crate::hash::row_hashes;
use crate::layers::{Stack, lay};
use crate::merge::{Aligned, Changed, Op, Rule, push_delete, push_keep};
use crate::not_shown::Withdrawal;
use crate::partial::FRESH;
use crate::returning::Returning;
use crate::schema::{
    EXTRA, FIRST_SEEN, ID, IMAGE_COLUMNS, IMAGE_LINK, ROW_HASH, RUN, UPDATED, WITHHELD,
    content_schema, table_schema,
};
use crate::sorted::ids;
use crate::staging::{DELETED, RowsHold};
use crate::withhold;

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
    pub(crate) hold: RowsHold,
    /// Only building rows needs these two.
    pub(crate) stamp: Option<RowStamp>,
    pub(crate) returning: Returning,
    /// Of new and changed rows, what nobody is shown.
    pub(crate) withheld: Policy,
    pub(crate) withdrawal: Withdrawal,
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch
        .column_by_name(name)
        .expect("batches are read with the columns that the rule names")
}

/// Without these a row is no product.
const REQUIRED: [&str; 2] = ["title", "link"];

/// Every content column and the hash, to lay changes over them.
fn whole_rows() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let columns = trawler_core::product::COLUMNS.iter();
        let names = columns.map(|column| column.name);
        names.chain([EXTRA, ROW_HASH]).collect()
    })
}

/// Whether the incoming row says that it is older than the stored one.
struct Ages<'a> {
    stored: &'a TimestampMicrosecondArray,
    incoming: &'a TimestampMicrosecondArray,
}

impl<'a> Ages<'a> {
    fn new(stored: &'a RecordBatch, incoming: &'a RecordBatch) -> Self {
        Self {
            stored: column(stored, PARTNER_UPDATED).as_primitive(),
            incoming: column(incoming, PARTNER_UPDATED).as_primitive(),
        }
    }

    fn is_stale(&self, stored: usize, incoming: usize) -> bool {
        self.stored.is_valid(stored)
            && self.incoming.is_valid(incoming)
            && self.incoming.value(incoming) < self.stored.value(stored)
    }
}

impl ContentRule {
    /// Rows of the two batches as they become, one a pair; a pair without
    /// stored row is an insert.
    fn whole(
        stored: &RecordBatch,
        incoming: &RecordBatch,
        pairs: impl Iterator<Item = (Option<usize>, usize)>,
    ) -> Result<RecordBatch> {
        let fresh: &BooleanArray = column(incoming, FRESH).as_boolean();
        let stacks: Vec<Stack> = pairs
            .map(|(row, at)| match row.filter(|_| !fresh.value(at)) {
                Some(row) => vec![(0, row), (1, at)],
                None => vec![(1, at)],
            })
            .collect();
        lay(&[stored, incoming], &stacks)
    }

    /// [`Rule::decide`] for rows that hold only what changed.
    fn decide_changes(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<Vec<Op>> {
        let deleted: &BooleanArray = column(incoming, DELETED).as_boolean();
        let stored_hash: &BinaryArray = column(stored, ROW_HASH).as_binary();
        let ages = Ages::new(stored, incoming);
        let pairs = aligned.iter().filter_map(|aligned| match *aligned {
            Aligned::Incoming { at } if !deleted.value(at) => Some((None, at)),
            Aligned::Both { stored, incoming } if !deleted.value(incoming) => {
                Some((Some(stored), incoming))
            }
            Aligned::Stored { .. } | Aligned::Incoming { .. } | Aligned::Both { .. } => None,
        });
        let whole = Self::whole(stored, incoming, pairs)?;
        let hashes = row_hashes(&whole);
        let required = REQUIRED.map(|name| column(&whole, name));
        // The next row of `whole`; pairs come in the order of `aligned`.
        let mut next = 0..whole.num_rows();
        let mut row = || next.next().expect("every row to be laid has its pair");
        let is_product = |row: usize| required.iter().all(|column| column.is_valid(row));
        let mut ops = Vec::with_capacity(aligned.len());
        for aligned in aligned {
            match *aligned {
                Aligned::Stored { from, len } => match self.mode {
                    Mode::Full => push_delete(&mut ops, from, len),
                    Mode::Summary => push_keep(&mut ops, from, len),
                },
                Aligned::Incoming { at } if deleted.value(at) => {}
                Aligned::Incoming { at } if is_product(row()) => {
                    ops.push(Op::Insert { incoming: at });
                }
                Aligned::Incoming { at } => ops.push(Op::Refuse { incoming: at }),
                Aligned::Both { stored, incoming } => {
                    let is_stale = ages.is_stale(stored, incoming);
                    if deleted.value(incoming) {
                        match is_stale {
                            true => ops.push(Op::Stale { stored }),
                            false => push_delete(&mut ops, stored, 1),
                        }
                        continue;
                    }
                    let at = row();
                    if stored_hash.value(stored) == hashes.value(at) {
                        push_keep(&mut ops, stored, 1);
                    } else if is_stale {
                        ops.push(Op::Stale { stored });
                    } else if is_product(at) {
                        ops.push(Op::Update { stored, incoming });
                    } else {
                        // Deleted by the feed, and not said anew as a whole.
                        push_delete(&mut ops, stored, 1);
                        ops.push(Op::Refuse { incoming });
                    }
                }
            }
        }
        Ok(ops)
    }
}

impl Rule for ContentRule {
    fn stored_columns(&self) -> &[&'static str] {
        match (self.hold, self.mode) {
            (RowsHold::Everything, Mode::Full) => &[ID, ROW_HASH],
            (RowsHold::Everything, Mode::Summary) => &[ID, ROW_HASH, PARTNER_UPDATED],
            (RowsHold::Changes, _) => whole_rows(),
        }
    }

    fn incoming_columns(&self) -> Option<&[&'static str]> {
        match (self.hold, self.mode) {
            (RowsHold::Everything, Mode::Full) => Some(&[ID, ROW_HASH, DELETED]),
            (RowsHold::Everything, Mode::Summary) => {
                Some(&[ID, ROW_HASH, DELETED, PARTNER_UPDATED])
            }
            (RowsHold::Changes, _) => None,
        }
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
        if self.hold == RowsHold::Changes {
            return self.decide_changes(stored, incoming, aligned);
        }
        let stored_hash: &BinaryArray = column(stored, ROW_HASH).as_binary();
        let incoming_hash: &BinaryArray = column(incoming, ROW_HASH).as_binary();
        let deleted: &BooleanArray = column(incoming, DELETED).as_boolean();
        let ages = (self.mode == Mode::Summary).then(|| Ages::new(stored, incoming));
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
                    let gone = deleted.value(incoming);
                    if !gone && stored_hash.value(stored) == incoming_hash.value(incoming) {
                        push_keep(&mut ops, stored, 1);
                    } else if let Some(ages) = &ages
                        && ages.is_stale(stored, incoming)
                    {
                        ops.push(Op::Stale { stored });
                    } else if gone {
                        push_delete(&mut ops, stored, 1);
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
        let content = self.content(stored, incoming, changed)?;
        let images = self.image_sources(stored, &content, changed);
        let firsts = self.first_seen_sources(&content, changed);
        let due = TimestampMicrosecondArray::from_value(stamp.due.timestamp_micros(), 1)
            .with_timezone("UTC");
        let due: ArrayRef = Arc::new(due);
        let columns: Result<Vec<ArrayRef>> = table_schema()
            .fields()
            .iter()
            .map(|field| {
                let name = field.name().as_str();
                let built = if let Some(built) = content.column_by_name(name) {
                    Ok(Arc::clone(built))
                } else if IMAGE_COLUMNS.contains(&name) {
                    let fresh = fresh_image(name, stamp.fresh);
                    let back = self.returning.column(name);
                    let sources = [column(stored, name).as_ref(), fresh.as_ref(), back.as_ref()];
                    interleave(&sources, &images)
                } else if name == RUN {
                    let run = std::iter::repeat_n(&stamp.run, changed.len());
                    Ok(Arc::new(StringArray::from_iter_values(run)) as ArrayRef)
                } else if name == WITHHELD {
                    Ok(withhold::column(&self.withheld, ids(&content)))
                } else if name == FIRST_SEEN {
                    let back = self.returning.column(name);
                    let sources = [column(stored, name).as_ref(), due.as_ref(), back.as_ref()];
                    interleave(&sources, &firsts)
                } else {
                    debug_assert!(name == UPDATED, "column {name} is not filled");
                    interleave(&[due.as_ref()], &vec![(0, 0); changed.len()])
                };
                built.map_err(CatalogueError::arrow("build changed rows"))
            })
            .collect();
        let rows = RecordBatch::try_new(table_schema(), columns?)
            .map_err(CatalogueError::arrow("build changed rows"))?;
        self.withdrawal.take_out(rows)
    }

    fn withholds(&self) -> bool {
        self.withheld.withholds_any()
    }
}

impl ContentRule {
    /// Content and hash of changed rows.
    fn content(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        changed: &[Changed],
    ) -> Result<RecordBatch> {
        let mut fields: Vec<Arc<Field>> = content_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(ROW_HASH, DataType::Binary, true)));
        let columns = match self.hold {
            RowsHold::Everything => {
                let from: UInt32Array = changed.iter().map(|row| row.incoming as u32).collect();
                let taken = fields.iter().map(|field| {
                    take(column(incoming, field.name()), &from, None)
                        .map_err(CatalogueError::arrow("build changed rows"))
                });
                taken.collect::<Result<Vec<ArrayRef>>>()?
            }
            RowsHold::Changes => {
                let pairs = changed.iter().map(|row| (row.stored, row.incoming));
                let whole = Self::whole(stored, incoming, pairs)?;
                let mut columns = whole.columns().to_vec();
                columns.push(Arc::new(row_hashes(&whole)));
                columns
            }
        };
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
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

impl ContentRule {
    /// Where each changed row has its image state from: the stored row, or the one
    /// that comes back, while the image link is the same, else a fresh one.
    fn image_sources(
        &self,
        stored: &RecordBatch,
        content: &RecordBatch,
        changed: &[Changed],
    ) -> Vec<(usize, usize)> {
        let stored_links: &StringArray = column(stored, IMAGE_LINK).as_string();
        let links: &StringArray = column(content, IMAGE_LINK).as_string();
        let link =
            |links: &StringArray, at: usize| links.is_valid(at).then(|| links.value(at).to_owned());
        let fresh = |has_link: bool| (1, if has_link { NEW } else { WITHOUT });
        changed
            .iter()
            .enumerate()
            .map(|(at, row)| {
                let new = link(links, at);
                match row.stored {
                    Some(at) if link(stored_links, at) == new => (0, at),
                    Some(_) => fresh(new.is_some()),
                    None => {
                        let back = self
                            .returning
                            .row_with_image(ids(content).value(at), new.as_deref());
                        back.map_or_else(|| fresh(new.is_some()), |row| (2, row))
                    }
                }
            })
            .collect()
    }

    /// Where each changed row has the instant from at which it was first seen.
    fn first_seen_sources(
        &self,
        content: &RecordBatch,
        changed: &[Changed],
    ) -> Vec<(usize, usize)> {
        let ids = ids(content);
        let rows = changed.iter().enumerate();
        rows.map(|(at, row)| match row.stored {
            Some(stored) => (0, stored),
            None => self
                .returning
                .row(ids.value(at))
                .map_or((1, 0), |row| (2, row)),
        })
        .collect()
    }
}
