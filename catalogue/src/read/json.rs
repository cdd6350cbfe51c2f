//! Rows as JSON objects, for people and for programs that do not read Arrow.
//! Nulls are left out; bytes are hex, instants RFC 3339.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

/// The rows of a page of products or changes.
pub fn rows_as_json(batch: &RecordBatch) -> Vec<Map<String, Value>> {
    let schema = batch.schema_ref();
    (0..batch.num_rows())
        .map(|row| {
            let cells = schema.fields().iter().zip(batch.columns());
            cells
                .filter(|(_, column)| column.is_valid(row))
                .map(|(field, column)| (field.name().clone(), value(column.as_ref(), row)))
                .collect()
        })
        .collect()
}

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Binary => hex::encode(array.as_binary::<i32>().value(row)).into(),
        DataType::Timestamp(_, _) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            DateTime::from_timestamp_micros(micros).map_or(Value::Null, |instant| {
                instant.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
            })
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|at| value(&items, at)).collect()
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let cells = fields.iter().zip(columns.columns());
            let cells = cells.map(|(field, column)| (field.name().clone(), value(column, row)));
            Value::Object(cells.collect())
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let cells = (0..entries.len()).map(|at| (keys.value(at).to_owned(), value(values, at)));
            Value::Object(cells.collect())
        }
        other => unreachable!("the table schema has no column of type {other}"),
    }
}
