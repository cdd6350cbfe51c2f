//! The hash of a row's content, by which a changed row is known.
//!
//! 128 bits of XXH3 over (column name, value) pairs in schema order. What is
//! null, and a list or map without entries, is left out, so that a new column
//! that no row fills changes no hash. Image and bookkeeping columns are not
//! part of it, nor is the instant at which the partner says that it changed
//! the row: shop software writes the time of the feed there.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, BinaryArray, BooleanArray, Float64Array, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use trawler_core::product::PARTNER_UPDATED;
use twox_hash::XxHash3_128;

use crate::schema::content_schema;

/// One column, ready to be read row by row without looking at its type again.
enum Values<'a> {
    Text(&'a StringArray),
    Int(&'a Int64Array),
    Float(&'a Float64Array),
    Bool(&'a BooleanArray),
    Instant(&'a TimestampMicrosecondArray),
    TextList(&'a ListArray, &'a StringArray),
    TextMap(&'a MapArray, &'a StringArray, &'a StringArray),
}

struct Column<'a> {
    tag: [u8; 8],
    values: Values<'a>,
    has_nulls: bool,
    array: &'a dyn Array,
}

/// Hashes the content columns of each row; the batch may hold others besides.
pub(crate) fn row_hashes(batch: &RecordBatch) -> BinaryArray {
    let columns = columns(batch);
    let mut row_bytes = Vec::with_capacity(1024);
    let mut pairs = Vec::new();
    let hashes: Vec<[u8; 16]> = (0..batch.num_rows())
        .map(|row| {
            row_bytes.clear();
            for column in &columns {
                if !(column.has_nulls && column.array.is_null(row)) {
                    column.append(row, &mut row_bytes, &mut pairs);
                }
            }
            XxHash3_128::oneshot(&row_bytes).to_be_bytes()
        })
        .collect();
    BinaryArray::from_iter_values(hashes)
}

fn columns(batch: &RecordBatch) -> Vec<Column<'_>> {
    content_schema()
        .fields()
        .iter()
        .filter(|field| field.name() != PARTNER_UPDATED)
        .filter_map(|field| {
            let array = batch.column_by_name(field.name())?;
            if array.null_count() == array.len() {
                return None;
            }
            Some(Column {
                tag: tag(field.name()),
                values: values(array.as_ref()),
                has_nulls: array.null_count() > 0,
                array: array.as_ref(),
            })
        })
        .collect()
}

/// Eight bytes that stand for the column's name.
fn tag(name: &str) -> [u8; 8] {
    let hash = XxHash3_128::oneshot(name.as_bytes()).to_be_bytes();
    let mut tag = [0; 8];
    tag.copy_from_slice(&hash[..8]);
    tag
}

fn values(array: &dyn Array) -> Values<'_> {
    match array.data_type() {
        DataType::Utf8 => Values::Text(array.as_string()),
        DataType::Int64 => Values::Int(array.as_primitive::<Int64Type>()),
        DataType::Float64 => Values::Float(array.as_primitive::<Float64Type>()),
        DataType::Boolean => Values::Bool(array.as_boolean()),
        DataType::Timestamp(_, _) => {
            Values::Instant(array.as_primitive::<TimestampMicrosecondType>())
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            Values::TextList(list, list.values().as_string())
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            Values::TextMap(map, map.keys().as_string(), map.values().as_string())
        }
        other => unreachable!("the content schema has no column of type {other}"),
    }
}

impl<'a> Column<'a> {
    fn append(&self, row: usize, out: &mut Vec<u8>, pairs: &mut Vec<(&'a str, &'a str)>) {
        match &self.values {
            Values::Text(text) => {
                out.extend_from_slice(&self.tag);
                put_text(out, text.value(row));
            }
            Values::Int(ints) => {
                out.extend_from_slice(&self.tag);
                out.extend_from_slice(&ints.value(row).to_le_bytes());
            }
            Values::Float(floats) => {
                out.extend_from_slice(&self.tag);
                out.extend_from_slice(&floats.value(row).to_bits().to_le_bytes());
            }
            Values::Bool(bools) => {
                out.extend_from_slice(&self.tag);
                out.push(u8::from(bools.value(row)));
            }
            Values::Instant(instants) => {
                out.extend_from_slice(&self.tag);
                out.extend_from_slice(&instants.value(row).to_le_bytes());
            }
            Values::TextList(list, texts) => self.append_list(row, list, texts, out),
            Values::TextMap(map, keys, values) => {
                pairs.clear();
                let (from, to) = span(map.value_offsets(), row);
                pairs.extend((from..to).map(|at| {
                    let value = if values.is_null(at) {
                        ""
                    } else {
                        values.value(at)
                    };
                    (keys.value(at), value)
                }));
                // The order in which a partner sends fields means nothing.
                pairs.sort_unstable();
                if !pairs.is_empty() {
                    out.extend_from_slice(&self.tag);
                    put_len(out, pairs.len());
                    for (key, value) in pairs.iter() {
                        put_text(out, key);
                        put_text(out, value);
                    }
                }
            }
        }
    }

    fn append_list(&self, row: usize, list: &ListArray, texts: &StringArray, out: &mut Vec<u8>) {
        let (from, to) = span(list.value_offsets(), row);
        if from == to {
            return;
        }
        out.extend_from_slice(&self.tag);
        put_len(out, to - from);
        for at in from..to {
            put_text(
                out,
                if texts.is_null(at) {
                    ""
                } else {
                    texts.value(at)
                },
            );
        }
    }
}

fn span(offsets: &[i32], row: usize) -> (usize, usize) {
    let at = |row: usize| usize::try_from(offsets[row]).expect("offsets are never negative");
    (at(row), at(row + 1))
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Lengths keep neighbours apart: ("ab", "c") is not ("a", "bc").
fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&(len as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{Product, batch_of};

    fn hash(product: Product) -> Vec<u8> {
        row_hashes(&batch_of(&[product])).value(0).to_vec()
    }

    #[test]
    fn content_alone_decides() {
        let base = || Product::new("1").title("hat").price(100);
        assert_eq!(hash(base()), hash(base()));
        assert_ne!(hash(base()), hash(base().title("cap")));
        assert_ne!(hash(base()), hash(base().price(101)));
        assert_ne!(
            hash(base()),
            hash(Product::new("2").title("hat").price(100))
        );
        assert_ne!(hash(base()), hash(base().extra("colour", "red")));
    }

    #[test]
    fn order_of_extra_fields_means_nothing_and_empty_is_null() {
        let one = Product::new("1").extra("a", "1").extra("b", "2");
        let other = Product::new("1").extra("b", "2").extra("a", "1");
        assert_eq!(hash(one), hash(other));
        assert_eq!(
            hash(Product::new("1")),
            hash(Product::new("1").empty_extra())
        );
    }

    #[test]
    fn a_value_does_not_slip_into_the_next_column() {
        let one = Product::new("ab").title("c");
        let other = Product::new("a").title("bc");
        assert_ne!(hash(one), hash(other));
    }

    #[test]
    fn slices_hash_like_wholes() {
        let batch = batch_of(&[
            Product::new("1").extra("a", "1"),
            Product::new("2").extra("b", "2"),
        ]);
        let whole = row_hashes(&batch);
        let sliced = row_hashes(&batch.slice(1, 1));
        assert_eq!(whole.value(1), sliced.value(0));
    }

    /// The hash is stored: another value for the same content would rewrite
    /// every row of every table.
    #[test]
    fn the_hash_never_changes() {
        let found = hash(Product::new("1").title("hat").price(100).extra("a", "1"));
        assert_eq!(hex::encode(found), "86d1c59cef173cb120a54f0654abd433");
    }
}
