//! Columns of the table: the product columns of `core`, then what the
//! catalogue itself keeps of a row.
//!
//! The names inside lists and maps are the ones of the Parquet standard, so
//! that a file read back without any Arrow hint has this very schema.

use std::sync::{Arc, OnceLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use trawler_core::product::{COLUMNS, Kind};

pub const ID: &str = "id";
pub const IMAGE_LINK: &str = "image_link";
pub const EXTRA: &str = "extra";
/// Partition column; it is in the path and the log, not in the data files.
pub const PIPE: &str = "pipe";
pub const ROW_HASH: &str = "row_hash";
pub const FIRST_SEEN: &str = "first_seen";
pub const UPDATED: &str = "updated";
pub const RUN: &str = "run";
/// Why nobody is shown the row; null where it is shown.
pub const WITHHELD: &str = "withheld";
pub const CHANGE_TYPE: &str = "_change_type";
pub const COMMIT_VERSION: &str = "_commit_version";
pub const COMMIT_TIMESTAMP: &str = "_commit_timestamp";

/// Columns of image state, in order. They describe the picture of the row's
/// present `image_link` and are reset when that changes.
pub const IMAGE_COLUMNS: [&str; 15] = [
    "image_status",
    "image_url",
    "image_sha256",
    "image_format",
    "image_width",
    "image_height",
    "image_bytes",
    "image_variants",
    "image_recipe",
    "image_etag",
    "image_last_modified",
    "image_reason",
    "image_tried",
    "image_phash",
    "image_damaged",
];

/// Columns with statistics in the log, for readers that skip files.
pub(crate) const STATS_COLUMNS: [&str; 4] = [ID, "image_status", FIRST_SEEN, UPDATED];

pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::TextList => DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))),
        Kind::Int => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Instant => instant(),
    }
}

fn extra_type() -> DataType {
    let entries = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(entries), false)),
        false,
    )
}

pub(crate) fn variant_fields() -> Fields {
    Fields::from(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("key", DataType::Utf8, true),
        Field::new("width", DataType::Int64, true),
        Field::new("height", DataType::Int64, true),
        Field::new("bytes", DataType::Int64, true),
        Field::new("sha256", DataType::Utf8, true),
    ])
}

/// What the crawler stages: the product columns in order, then `extra`.
/// Every column but `id` may be null.
pub fn content_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        let mut fields: Vec<Field> = COLUMNS
            .iter()
            .map(|column| Field::new(column.name, data_type(column.kind), column.name != ID))
            .collect();
        fields.push(Field::new(EXTRA, extra_type(), true));
        Arc::new(Schema::new(fields))
    }))
}

/// Columns that a row of a partial feed empties: their names, and `extra.` with
/// the key of an unmapped field.
pub const CLEARED: &str = "_cleared";

/// Before the key of an unmapped field in [`CLEARED`].
pub const EXTRA_PREFIX: &str = "extra.";

/// What the crawler stages of a feed whose rows hold only what changed: null
/// keeps the stored value, unless [`CLEARED`] names the column.
pub fn partial_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        let mut fields: Vec<Arc<Field>> = content_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(
            CLEARED,
            data_type(Kind::TextList),
            true,
        )));
        Arc::new(Schema::new(fields))
    }))
}

/// What a data file holds: content, then bookkeeping. `pipe` is the partition
/// and not in the file.
pub fn table_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        let mut fields: Vec<Arc<Field>> = content_schema().fields().iter().cloned().collect();
        let mut push = |name: &str, data_type: DataType| {
            fields.push(Arc::new(Field::new(name, data_type, true)));
        };
        push(ROW_HASH, DataType::Binary);
        for name in IMAGE_COLUMNS {
            push(name, image_type(name));
        }
        push(FIRST_SEEN, instant());
        push(UPDATED, instant());
        push(RUN, DataType::Utf8);
        push(WITHHELD, DataType::Utf8);
        Arc::new(Schema::new(fields))
    }))
}

fn image_type(name: &str) -> DataType {
    match name {
        "image_width" | "image_height" | "image_bytes" => DataType::Int64,
        "image_tried" => instant(),
        "image_variants" => DataType::List(Arc::new(Field::new(
            "element",
            DataType::Struct(variant_fields()),
            true,
        ))),
        _ => DataType::Utf8,
    }
}

/// What a change file holds: a row of the table and what became of it.
pub(crate) fn change_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        let mut fields: Vec<Arc<Field>> = table_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true)));
        Arc::new(Schema::new(fields))
    }))
}

/// Some columns of a schema, in the schema's order.
pub(crate) fn project(schema: &Schema, names: &[&str]) -> SchemaRef {
    let fields: Vec<Arc<Field>> = schema
        .fields()
        .iter()
        .filter(|field| names.contains(&field.name().as_str()))
        .cloned()
        .collect();
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_comes_first_and_names_are_distinct() {
        let schema = table_schema();
        assert_eq!(schema.field(0).name(), ID);
        let mut names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        names.push(PIPE);
        names.push(CHANGE_TYPE);
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for needed in [IMAGE_LINK, EXTRA, ROW_HASH, RUN] {
            assert!(names.contains(&needed), "{needed}");
        }
    }
}
