//! Stored rows against incoming rows, both in order of id: the alignment that
//! comparing and rewriting share, and the rules that say what follows from it.

use std::cmp::Ordering;

use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use futures::stream::StreamExt;

use crate::error::Result;
use crate::sorted::{SortedReader, ids};
use crate::table::reader::OpenFile;
use crate::work::Cancelled;

/// Rows of one stored and one incoming batch, in order of id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aligned {
    Stored { from: usize, len: usize },
    Incoming { at: usize },
    Both { stored: usize, incoming: usize },
}

/// What happens to rows; stored rows that are not named here are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Keep {
        from: usize,
        len: usize,
    },
    Insert {
        incoming: usize,
    },
    Update {
        stored: usize,
        incoming: usize,
    },
    Delete {
        from: usize,
        len: usize,
    },
    /// The incoming row is older than the stored one, which stays.
    Stale {
        stored: usize,
    },
    /// The incoming row is not stored yet and holds too little for a product.
    Refuse {
        incoming: usize,
    },
}

/// A row that is new or changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changed {
    pub(crate) incoming: usize,
    pub(crate) stored: Option<usize>,
}

/// Decides what incoming rows do to stored ones.
pub(crate) trait Rule: Send + Sync {
    /// Columns that [`Rule::decide`] needs of stored rows.
    fn stored_columns(&self) -> &[&'static str];

    /// Columns that [`Rule::decide`] needs of incoming rows; `None` is all.
    fn incoming_columns(&self) -> Option<&[&'static str]>;

    /// Whether stored rows change that no incoming row names. If not, files
    /// without incoming rows are not even read.
    fn absence_matters(&self) -> bool;

    /// Says what happens to the aligned rows, in their order.
    fn decide(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<Vec<Op>>;

    /// Builds new and changed rows with all columns of the table.
    fn build(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        changed: &[Changed],
    ) -> Result<RecordBatch>;

    /// Whether rows may be withheld from readers. Then what readers hear is
    /// said in change files, also where everything that happens is an insert.
    fn withholds(&self) -> bool {
        false
    }

    /// Whether a changed row may have another picture than before, or a row may
    /// go. If not, nothing is lost of rows that nobody hears of.
    fn replaces_pictures(&self) -> bool {
        true
    }
}

/// Adds stored rows to the operations, joined with their forerunners.
pub(crate) fn push_keep(ops: &mut Vec<Op>, from: usize, len: usize) {
    match ops.last_mut() {
        Some(Op::Keep {
            from: start,
            len: l,
        }) if *start + *l == from => *l += len,
        _ => ops.push(Op::Keep { from, len }),
    }
}

pub(crate) fn push_delete(ops: &mut Vec<Op>, from: usize, len: usize) {
    match ops.last_mut() {
        Some(Op::Delete {
            from: start,
            len: l,
        }) if *start + *l == from => *l += len,
        _ => ops.push(Op::Delete { from, len }),
    }
}

/// Takes each aligned piece of a merge.
pub(crate) trait Sink {
    async fn take(
        &mut self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<()>;
}

/// Merges one stored file (or none) with incoming rows up to `upper`.
pub(crate) async fn merge(
    file: Option<&OpenFile>,
    columns: &SchemaRef,
    incoming: &mut SortedReader,
    upper: Option<&str>,
    cancelled: &Cancelled,
    sink: &mut impl Sink,
) -> Result<()> {
    let none_stored = RecordBatch::new_empty(columns.clone());
    let mut none_incoming = None;
    if let Some(file) = file {
        let mut batches = file.scan(columns, None)?;
        while let Some(stored) = batches.next().await {
            let stored = stored?;
            let mut row = 0;
            while row < stored.num_rows() {
                cancelled.check()?;
                row = step(&stored, row, incoming, upper, &mut none_incoming, sink).await?;
            }
        }
    }
    loop {
        cancelled.check()?;
        let Some((batch, from)) = incoming.current()? else {
            return Ok(());
        };
        let batch = batch.clone();
        let to = first_at_or_above(ids(&batch), from, upper);
        if to == from {
            return Ok(());
        }
        let aligned: Vec<Aligned> = (from..to).map(|at| Aligned::Incoming { at }).collect();
        sink.take(&none_stored, &batch, &aligned).await?;
        incoming.advance(to - from);
    }
}

/// Merges a stored batch from `row` on with the incoming batch in hand until
/// one of them ends; returns the stored row that comes next.
async fn step(
    stored: &RecordBatch,
    row: usize,
    incoming: &mut SortedReader,
    upper: Option<&str>,
    none_incoming: &mut Option<RecordBatch>,
    sink: &mut impl Sink,
) -> Result<usize> {
    let rest = Aligned::Stored {
        from: row,
        len: stored.num_rows() - row,
    };
    let (batch, from) = match incoming.current()? {
        Some((batch, from)) => (batch.clone(), from),
        None => {
            let schema = incoming.schema();
            let none = none_incoming.get_or_insert_with(|| RecordBatch::new_empty(schema));
            sink.take(stored, none, &[rest]).await?;
            return Ok(stored.num_rows());
        }
    };
    let end = first_at_or_above(ids(&batch), from, upper);
    if end == from {
        sink.take(stored, &batch, &[rest]).await?;
        return Ok(stored.num_rows());
    }
    let (aligned, next_stored, next_incoming) = align(ids(stored), row, ids(&batch), from, end);
    sink.take(stored, &batch, &aligned).await?;
    incoming.advance(next_incoming - from);
    Ok(next_stored)
}

/// Aligns until one side ends.
fn align(
    stored: &StringArray,
    mut row: usize,
    incoming: &StringArray,
    mut at: usize,
    end: usize,
) -> (Vec<Aligned>, usize, usize) {
    let mut aligned = Vec::new();
    while row < stored.len() && at < end {
        match stored.value(row).cmp(incoming.value(at)) {
            Ordering::Less => {
                match aligned.last_mut() {
                    Some(Aligned::Stored { len, .. }) => *len += 1,
                    _ => aligned.push(Aligned::Stored { from: row, len: 1 }),
                }
                row += 1;
            }
            Ordering::Greater => {
                aligned.push(Aligned::Incoming { at });
                at += 1;
            }
            Ordering::Equal => {
                aligned.push(Aligned::Both {
                    stored: row,
                    incoming: at,
                });
                row += 1;
                at += 1;
            }
        }
    }
    (aligned, row, at)
}

/// The first row from `from` on whose id is not below `upper`.
fn first_at_or_above(ids: &StringArray, from: usize, upper: Option<&str>) -> usize {
    let Some(upper) = upper else {
        return ids.len();
    };
    let (mut low, mut high) = (from, ids.len());
    while low < high {
        let middle = low.midpoint(high);
        if ids.value(middle) < upper {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_by_id_until_one_side_ends() {
        let check = |stored: &str, incoming: &str, expected: &str| {
            let array = |text: &str| StringArray::from_iter_values(text.split_whitespace());
            let (stored, incoming) = (array(stored), array(incoming));
            let (aligned, row, at) = align(&stored, 0, &incoming, 0, incoming.len());
            let shown: Vec<String> = aligned
                .iter()
                .map(|aligned| match aligned {
                    Aligned::Stored { from, len } => format!("s{from}+{len}"),
                    Aligned::Incoming { at } => format!("i{at}"),
                    Aligned::Both { stored, incoming } => format!("b{stored},{incoming}"),
                })
                .collect();
            assert_eq!(format!("{} /{row},{at}", shown.join(" ")), expected);
        };
        check("a b c", "a b c", "b0,0 b1,1 b2,2 /3,3");
        check("a b d", "c", "s0+2 i0 /2,1");
        check("b", "a b c", "i0 b0,1 /1,2");
        check("a", "", " /0,0");
    }
}
