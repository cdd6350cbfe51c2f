//! Values of columns to Arrow record batches of the catalogue's schema.
//!
//! A column is built from its first value on; rows without value cost
//! nothing until the next one arrives, and a column without values becomes
//! one array of nulls.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, MapBuilder,
    MapFieldNames, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, SchemaRef};
use trawler_core::product::COLUMNS;

/// The schema of the rows that reading a feed gives.
pub fn schema() -> SchemaRef {
    trawler_catalogue::content_schema()
}

/// The same for a feed whose rows hold only what changed.
pub fn partial_schema() -> SchemaRef {
    trawler_catalogue::partial_schema()
}

enum Builder {
    Text(StringBuilder),
    TextList(ListBuilder<StringBuilder>),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Instant(TimestampMicrosecondBuilder),
}

/// One value, of the type of its column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    TextList(&'a [&'a str]),
    Int(i64),
    Float(f64),
    Bool(bool),
    Instant(i64),
}

pub(super) struct Batch {
    schema: SchemaRef,
    builders: Vec<Option<Builder>>,
    extra: Option<MapBuilder<StringBuilder, StringBuilder>>,
    /// Names of columns that rows empty; none where rows hold everything.
    cleared: Option<ListBuilder<StringBuilder>>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            schema: schema(),
            cleared: None,
            builders: COLUMNS.iter().map(|_| None).collect(),
            extra: None,
            rows: 0,
            bytes: 0,
        }
    }

    /// For rows that hold only what changed.
    pub(super) fn partial() -> Self {
        let schema = partial_schema();
        let cleared = schema.field(COLUMNS.len() + 1).data_type();
        let DataType::List(element) = cleared else {
            unreachable!("the names of cleared columns are a list");
        };
        let element = Arc::clone(element);
        Self {
            cleared: Some(ListBuilder::new(StringBuilder::new()).with_field(element)),
            schema,
            ..Self::new()
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the values held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets a column of the current row; at most once a row.
    pub(super) fn set(&mut self, column: usize, value: Value<'_>) {
        let builder = self.builders[column]
            .get_or_insert_with(|| Builder::new(self.schema.field(column).data_type()));
        builder.pad(self.rows);
        self.bytes += builder.push(value);
    }

    /// Sets the unmapped fields of the current row.
    pub(super) fn set_extra<'a>(&mut self, entries: impl Iterator<Item = (&'a str, &'a str)>) {
        let data_type = self.schema.field(COLUMNS.len()).data_type();
        let map = self.extra.get_or_insert_with(|| map_builder(data_type));
        for _ in map.len()..self.rows {
            map.append(false)
                .expect("keys and values are appended in pairs");
        }
        for (key, value) in entries {
            map.keys().append_value(key);
            map.values().append_value(value);
            self.bytes += key.len() + value.len();
        }
        map.append(true)
            .expect("keys and values are appended in pairs");
    }

    pub(super) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Ends a row that empties the named columns.
    pub(super) fn end_partial_row(&mut self, cleared: &[String]) {
        let lists = self
            .cleared
            .as_mut()
            .expect("only a batch of partial rows is told what rows empty");
        for name in cleared {
            lists.values().append_value(name);
            self.bytes += name.len();
        }
        lists.append(!cleared.is_empty());
        self.rows += 1;
    }

    /// The rows so far; the batch is empty afterwards.
    pub(super) fn take(&mut self) -> RecordBatch {
        let rows = self.rows;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (field, builder) in self.schema.fields().iter().zip(&mut self.builders) {
            arrays.push(match builder {
                Some(builder) => {
                    builder.pad(rows);
                    builder.finish()
                }
                None => new_null_array(field.data_type(), rows),
            });
        }
        let extra_type = self.schema.field(COLUMNS.len()).data_type();
        arrays.push(match &mut self.extra {
            Some(map) => {
                for _ in map.len()..rows {
                    map.append(false)
                        .expect("keys and values are appended in pairs");
                }
                Arc::new(map.finish())
            }
            None => new_null_array(extra_type, rows),
        });
        if let Some(cleared) = &mut self.cleared {
            arrays.push(Arc::new(cleared.finish()));
        }
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(self.schema.clone(), arrays)
            .expect("every array is built for its field and padded to the row count")
    }
}

fn map_builder(data_type: &DataType) -> MapBuilder<StringBuilder, StringBuilder> {
    let DataType::Map(entries, _) = data_type else {
        unreachable!("the column after the product columns is the map of unmapped fields");
    };
    let DataType::Struct(pair) = entries.data_type() else {
        unreachable!("the entries of a map are a struct");
    };
    let names = MapFieldNames {
        entry: entries.name().clone(),
        key: pair[0].name().clone(),
        value: pair[1].name().clone(),
    };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        .with_values_field(Arc::clone(&pair[1]))
}

impl Builder {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::List(element) => {
                let element: &Arc<Field> = element;
                let list = ListBuilder::new(StringBuilder::new());
                Self::TextList(list.with_field(Arc::clone(element)))
            }
            DataType::Int64 => Self::Int(Int64Builder::new()),
            DataType::Float64 => Self::Float(Float64Builder::new()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Timestamp(_, zone) => {
                Self::Instant(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn pad(&mut self, rows: usize) {
        match self {
            Self::Text(builder) => builder.append_nulls(rows - builder.len()),
            Self::TextList(builder) => {
                for _ in builder.len()..rows {
                    builder.append_null();
                }
            }
            Self::Int(builder) => builder.append_nulls(rows - builder.len()),
            Self::Float(builder) => builder.append_nulls(rows - builder.len()),
            Self::Bool(builder) => builder.append_nulls(rows - builder.len()),
            Self::Instant(builder) => builder.append_nulls(rows - builder.len()),
        }
    }

    /// Appends a value; gives its bytes.
    fn push(&mut self, value: Value<'_>) -> usize {
        match (self, value) {
            (Self::Text(builder), Value::Text(text)) => {
                builder.append_value(text);
                text.len()
            }
            (Self::TextList(builder), Value::TextList(values)) => {
                for value in values {
                    builder.values().append_value(value);
                }
                builder.append(true);
                values.iter().map(|value| value.len()).sum()
            }
            (Self::Int(builder), Value::Int(value)) => {
                builder.append_value(value);
                size_of::<i64>()
            }
            (Self::Float(builder), Value::Float(value)) => {
                builder.append_value(value);
                size_of::<f64>()
            }
            (Self::Bool(builder), Value::Bool(value)) => {
                builder.append_value(value);
                1
            }
            (Self::Instant(builder), Value::Instant(value)) => {
                builder.append_value(value);
                size_of::<i64>()
            }
            _ => unreachable!("a converter gives values of its column's type"),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::TextList(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Instant(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Builders hold no rows between batches, so a column of one batch does not
/// weigh on the next.
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use trawler_core::product::column_index;

    #[test]
    fn gaps_become_nulls() {
        let (id, brand) = (0, column_index("brand").unwrap());
        let lists = column_index("highlights").unwrap();
        let mut batch = Batch::new();
        for row in 0..5 {
            batch.set(id, Value::Text(&row.to_string()));
            if row == 2 {
                batch.set(brand, Value::Text("x"));
                batch.set(lists, Value::TextList(&["a", "b"]));
                batch.set_extra([("k", "v")].into_iter());
            }
            batch.end_row();
        }
        let rows = batch.take();
        assert_eq!(rows.num_rows(), 5);
        let brands = rows.column(brand).as_string::<i32>();
        let shown: Vec<Option<&str>> = brands.iter().collect();
        assert_eq!(shown, [None, None, Some("x"), None, None]);
        assert_eq!(rows.column(lists).null_count(), 4);
        assert_eq!(rows.column(COLUMNS.len()).null_count(), 4);
        assert_eq!(batch.rows(), 0);
        batch.set(id, Value::Text("5"));
        batch.end_row();
        assert_eq!(batch.take().num_rows(), 1);
    }
}
