//! Actions as columns, for checkpoints: JSON values into Arrow arrays of a
//! nested schema and back. Knows what the checkpoint schema is made of (text,
//! whole numbers, flags, structures, lists and maps of text) and nothing more.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Fields, SchemaRef};
use serde_json::{Map, Value};

/// A batch with one row a value, each an object. What a value does not have,
/// or has of another type than the schema says, is null.
pub(crate) fn batch_of(schema: &SchemaRef, rows: &[Value]) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<Option<&Value>> = rows.iter().map(Some).collect();
    RecordBatch::try_new(Arc::clone(schema), children(schema.fields(), &rows)?)
}

/// A column a field, of the objects in the cells.
fn children<'a>(fields: &Fields, cells: &[Option<&'a Value>]) -> Result<Vec<ArrayRef>, ArrowError> {
    fields
        .iter()
        .map(|field| {
            let child = |cell: &Option<&'a Value>| present((*cell)?.get(field.name())?);
            let cells: Vec<Option<&'a Value>> = cells.iter().map(child).collect();
            column(field.data_type(), &cells)
        })
        .collect()
}

fn present(value: &Value) -> Option<&Value> {
    Some(value).filter(|value| !value.is_null())
}

fn column(kind: &DataType, cells: &[Option<&Value>]) -> Result<ArrayRef, ArrowError> {
    let numbers = || cells.iter().map(|cell| cell.and_then(Value::as_i64));
    Ok(match kind {
        DataType::Utf8 => {
            let texts = cells.iter().map(|cell| cell.and_then(Value::as_str));
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Int64 => Arc::new(numbers().collect::<Int64Array>()),
        DataType::Int32 => {
            let small = numbers().map(|number| i32::try_from(number?).ok());
            Arc::new(small.collect::<Int32Array>())
        }
        DataType::Boolean => {
            let flags = cells.iter().map(|cell| cell.and_then(Value::as_bool));
            Arc::new(flags.collect::<BooleanArray>())
        }
        DataType::Struct(fields) => {
            let columns = children(fields, cells)?;
            let nulls = nulls(cells, Value::is_object);
            Arc::new(StructArray::try_new(fields.clone(), columns, Some(nulls))?)
        }
        DataType::List(item) => {
            let lists: Vec<_> = cells
                .iter()
                .map(|cell| cell.and_then(Value::as_array))
                .collect();
            let lengths = lists.iter().map(|list| list.map_or(0, Vec::len));
            let offsets = OffsetBuffer::from_lengths(lengths);
            let items: Vec<_> = lists.into_iter().flatten().flatten().map(present).collect();
            let items = column(item.data_type(), &items)?;
            let nulls = nulls(cells, Value::is_array);
            Arc::new(ListArray::try_new(
                Arc::clone(item),
                offsets,
                items,
                Some(nulls),
            )?)
        }
        DataType::Map(entry, sorted) => {
            let maps: Vec<_> = cells
                .iter()
                .map(|cell| cell.and_then(Value::as_object))
                .collect();
            let offsets =
                OffsetBuffer::from_lengths(maps.iter().map(|map| map.map_or(0, Map::len)));
            let entries = entries(entry.data_type(), maps.into_iter().flatten())?;
            let nulls = nulls(cells, Value::is_object);
            let map = MapArray::try_new(Arc::clone(entry), offsets, entries, Some(nulls), *sorted)?;
            Arc::new(map)
        }
        other => return Err(unknown(other)),
    })
}

/// Keys and values of maps, one after the other.
fn entries<'a>(
    kind: &DataType,
    maps: impl Iterator<Item = &'a Map<String, Value>>,
) -> Result<StructArray, ArrowError> {
    let DataType::Struct(fields) = kind else {
        return Err(unknown(kind));
    };
    let [_, value] = fields.as_ref() else {
        return Err(unknown(kind));
    };
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (key, value) in maps.flatten() {
        keys.push(Some(key.as_str()));
        values.push(present(value));
    }
    let keys: ArrayRef = Arc::new(StringArray::from(keys));
    let values = column(value.data_type(), &values)?;
    StructArray::try_new(fields.clone(), vec![keys, values], None)
}

fn nulls(cells: &[Option<&Value>], is_kind: fn(&Value) -> bool) -> NullBuffer {
    cells.iter().map(|cell| cell.is_some_and(is_kind)).collect()
}

fn unknown(kind: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("a checkpoint has no column of type {kind}"))
}

/// The rows of a batch as objects, without what is null.
pub(crate) fn rows_of(batch: &RecordBatch) -> impl Iterator<Item = Value> {
    let schema = batch.schema_ref();
    (0..batch.num_rows()).map(move |row| object(schema.fields(), batch.columns(), row))
}

fn object(fields: &Fields, columns: &[ArrayRef], row: usize) -> Value {
    let cells = fields.iter().zip(columns);
    let present = cells.filter_map(|(field, column)| {
        let value = value(column.as_ref(), row)?;
        Some((field.name().clone(), value))
    });
    Value::Object(present.collect())
}

/// `None` for nulls, and for types that other programs add to checkpoints and
/// that nothing here asks for.
fn value(array: &dyn Array, row: usize) -> Option<Value> {
    if array.is_null(row) {
        return None;
    }
    let list = |items: ArrayRef| -> Value {
        let items = (0..items.len()).map(|at| value(&items, at).unwrap_or(Value::Null));
        items.collect()
    };
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Struct(fields) => object(fields, array.as_struct().columns(), row),
        DataType::List(_) => list(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row)),
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let cells = (0..entries.len()).filter_map(|at| {
                let key = value(keys, at)?.as_str()?.to_owned();
                Some((key, value(values, at).unwrap_or(Value::Null)))
            });
            Value::Object(cells.collect())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow_schema::{Field, Schema};
    use serde_json::json;

    use super::*;

    fn schema() -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let entry = Fields::from(vec![
            Field::new("key", DataType::Utf8, false),
            text("value"),
        ]);
        let entry = Arc::new(Field::new("key_value", DataType::Struct(entry), false));
        let inner = Fields::from(vec![
            text("name"),
            Field::new("flag", DataType::Boolean, true),
            Field::new("small", DataType::Int32, true),
            Field::new("map", DataType::Map(entry, false), true),
        ]);
        let item = Arc::new(text("element"));
        Arc::new(Schema::new(vec![
            Field::new("long", DataType::Int64, true),
            Field::new("list", DataType::List(item), true),
            Field::new("inner", DataType::Struct(inner), true),
        ]))
    }

    fn check(rows: &[Value]) {
        let batch = batch_of(&schema(), rows).unwrap();
        assert_eq!(rows_of(&batch).collect::<Vec<_>>(), rows);
    }

    #[test]
    fn what_goes_in_comes_out() {
        check(&[]);
        check(&[json!({}), json!({ "long": i64::MIN })]);
        check(&[
            json!({ "list": [] }),
            json!({ "list": ["a", null, "나"], "long": 7 }),
            json!({ "inner": {} }),
            json!({ "inner": { "name": "", "flag": false, "small": -1 } }),
            json!({ "inner": { "map": {} } }),
            json!({ "inner": { "map": { "pipe": "a", "none": null } }, "list": ["b"] }),
        ]);
    }

    #[test]
    fn what_the_schema_does_not_have_is_passed_over() {
        let batch = batch_of(&schema(), &[json!({ "other": 1, "long": null })]).unwrap();
        assert_eq!(rows_of(&batch).collect::<Vec<_>>(), [json!({})]);
    }
}
