#![allow(clippy::unwrap_used)]
//! Whole feeds through `read_feed`, by what could go wrong with them.

mod archives;
mod bounds;
mod charsets;
mod formats;
mod korean;
mod mutated;
mod partial;
mod rows;
mod summary;
mod tagged;

use std::io::Write;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde_json::{Map, Value, json};
use trawler_catalogue::Deleted;
use trawler_core::feed::{FeedFormat, FeedMode, FeedOptions};

use super::*;
use crate::normalise::Normaliser;

/// What a sink was given, in order.
#[derive(Debug, Clone, PartialEq)]
enum Call {
    Upsert(Vec<Value>),
    Delete(Vec<String>),
}

#[derive(Default)]
struct Kept {
    calls: Vec<Call>,
    rows_max: usize,
    bytes_max: usize,
    /// Whether rows are kept or only measured.
    measure_only: bool,
}

impl RowSink for Kept {
    fn upsert(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.rows_max = self.rows_max.max(rows.num_rows());
        self.bytes_max = self.bytes_max.max(rows.get_array_memory_size());
        if !self.measure_only {
            self.calls.push(Call::Upsert(as_json(&rows)));
        }
        Ok(())
    }

    fn delete(&mut self, deleted: Vec<Deleted>) -> Result<(), SinkError> {
        let ids = deleted.into_iter().map(|deleted| deleted.id);
        self.calls.push(Call::Delete(ids.collect()));
        Ok(())
    }
}

/// Rows as objects, without nulls.
fn as_json(rows: &RecordBatch) -> Vec<Value> {
    let schema = rows.schema();
    (0..rows.num_rows())
        .map(|row| {
            let mut object = Map::new();
            for (field, column) in schema.fields().iter().zip(rows.columns()) {
                if column.is_valid(row) {
                    object.insert(field.name().clone(), cell(column, row));
                }
            }
            Value::Object(object)
        })
        .collect()
}

fn cell(column: &ArrayRef, row: usize) -> Value {
    match column.data_type() {
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Timestamp(..) => {
            json!(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::List(_) => {
            let values = column.as_list::<i32>().value(row);
            let values = values.as_string::<i32>();
            json!(values.iter().flatten().collect::<Vec<_>>())
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let keys = entries.column(0).as_string::<i32>();
            let values = entries.column(1).as_string::<i32>();
            let pairs = keys.iter().zip(values.iter());
            let pairs = pairs.map(|(key, value)| (key.unwrap().to_owned(), json!(value)));
            Value::Object(pairs.collect())
        }
        other => panic!("no column of type {other}"),
    }
}

/// A report that can be read after it was given away.
#[derive(Clone, Default)]
struct Report(Arc<Mutex<Vec<u8>>>);

impl Write for Report {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Read {
    outcome: FeedOutcome,
    calls: Vec<Call>,
    rejected: Vec<Value>,
}

impl Read {
    /// All rows, in order.
    fn rows(&self) -> Vec<Value> {
        let rows = self.calls.iter().filter_map(|call| match call {
            Call::Upsert(rows) => Some(rows.clone()),
            Call::Delete(_) => None,
        });
        rows.flatten().collect()
    }

    fn ids(&self) -> Vec<String> {
        let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
        self.rows().iter().map(id).collect()
    }
}

fn read(input: &[u8], options: &FeedOptions) -> Result<Read, FeedError> {
    let (mut sink, report) = (Kept::default(), Report::default());
    let mut rejected = RejectedRows::new(Box::new(report.clone()), 1_000);
    let outcome = read_feed(
        input,
        options,
        FeedTakers {
            sink: &mut sink,
            rejected: &mut rejected,
            normaliser: &mut Normaliser::default(),
            step: &mut |_| Step::Continue,
        },
    )?;
    let bytes = report.0.lock().unwrap().clone();
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let rejected = lines.map(|line| serde_json::from_slice(line).unwrap());
    Ok(Read {
        outcome,
        calls: sink.calls,
        rejected: rejected.collect(),
    })
}

fn options(format: FeedFormat) -> FeedOptions {
    FeedOptions::new(format, FeedMode::Full)
}

fn ep() -> FeedOptions {
    options(FeedFormat::NaverEp)
}

/// A small EP feed of `rows` rows.
fn ep_feed(rows: u64) -> String {
    sample::naver_ep(0..rows, true)
}

const HEADER: &str = "id\ttitle\tprice_pc\tlink\timage_link\n";

fn small(rows: &str) -> String {
    format!("{HEADER}{rows}")
}
