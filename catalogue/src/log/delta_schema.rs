//! The table's schema in the words of the Delta log.

use std::collections::BTreeMap;

use arrow_schema::{DataType, Field};
use serde_json::{Value, json};
use trawler_core::product::{COLUMNS, column_index};

use crate::error::{CatalogueError, Result};
use crate::schema::{PIPE, table_schema};

/// The schema string of the table: the partition column, then the columns of
/// the data files.
pub(crate) fn schema_string() -> String {
    let mut fields = vec![json!({
        "name": PIPE, "type": "string", "nullable": true,
        "metadata": {"comment": "The partner shop that the product is of."},
    })];
    fields.extend(table_schema().fields().iter().map(|field| {
        let comment = column_index(field.name()).map(|at| COLUMNS[at].doc);
        let metadata = comment.map_or_else(|| json!({}), |doc| json!({ "comment": doc }));
        // Every column is nullable in Delta, also the id: a constraint there
        // would ask for a higher protocol and is held by the writer anyway.
        json!({
            "name": field.name(), "type": delta_type(field.data_type()),
            "nullable": true, "metadata": metadata,
        })
    }));
    json!({"type": "struct", "fields": fields}).to_string()
}

fn delta_type(data_type: &DataType) -> Value {
    match data_type {
        DataType::Utf8 => json!("string"),
        DataType::Int64 => json!("long"),
        DataType::Float64 => json!("double"),
        DataType::Boolean => json!("boolean"),
        DataType::Binary => json!("binary"),
        DataType::Timestamp(_, _) => json!("timestamp"),
        DataType::List(element) => json!({
            "type": "array", "elementType": delta_type(element.data_type()), "containsNull": true,
        }),
        DataType::Map(entries, _) => delta_map(entries),
        DataType::Struct(fields) => {
            let fields: Vec<Value> = fields
                .iter()
                .map(|field| {
                    json!({
                        "name": field.name(), "type": delta_type(field.data_type()),
                        "nullable": true, "metadata": {},
                    })
                })
                .collect();
            json!({"type": "struct", "fields": fields})
        }
        other => unreachable!("the table schema has no column of type {other}"),
    }
}

fn delta_map(entries: &Field) -> Value {
    let DataType::Struct(fields) = entries.data_type() else {
        unreachable!("entries of an Arrow map are a struct of key and value");
    };
    json!({
        "type": "map", "keyType": delta_type(fields[0].data_type()),
        "valueType": delta_type(fields[1].data_type()), "valueContainsNull": true,
    })
}

/// How the schema in the log relates to the one of this program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SchemaFit {
    Same,
    /// The program has columns that the table does not have yet.
    Grown,
}

/// Compares by name and type; comments and order do not matter.
pub(crate) fn compare(stored: &str) -> Result<SchemaFit> {
    compare_schemas(stored, &schema_string())
}

fn compare_schemas(stored: &str, ours: &str) -> Result<SchemaFit> {
    let stored = columns(stored)?;
    let ours = columns(ours)?;
    for (name, data_type) in &stored {
        match ours.get(name) {
            Some(known) if known == data_type => {}
            Some(known) => {
                return Err(CatalogueError::UnsupportedTable {
                    reason: format!(
                        "its column {name} has type {data_type}, and this program writes {known}"
                    ),
                });
            }
            None => {
                return Err(CatalogueError::UnsupportedTable {
                    reason: format!(
                        "it has a column {name} that this program does not know; use the release that wrote it, or a newer one"
                    ),
                });
            }
        }
    }
    Ok(if stored.len() == ours.len() {
        SchemaFit::Same
    } else {
        SchemaFit::Grown
    })
}

fn columns(schema: &str) -> Result<BTreeMap<String, String>> {
    let malformed = || CatalogueError::UnsupportedTable {
        reason: "the schema in its metadata is not a Delta struct".to_owned(),
    };
    let schema: Value = serde_json::from_str(schema).map_err(|_| malformed())?;
    let fields = schema["fields"].as_array().ok_or_else(malformed)?;
    let mut columns = BTreeMap::new();
    for field in fields {
        let name = field["name"].as_str().ok_or_else(malformed)?;
        for rule in [
            "delta.invariants",
            "delta.generationExpression",
            "delta.identity.start",
        ] {
            if field["metadata"].get(rule).is_some() {
                return Err(CatalogueError::UnsupportedTable {
                    reason: format!(
                        "its column {name} carries the rule {rule}, which this writer cannot hold"
                    ),
                });
            }
        }
        columns.insert(name.to_owned(), field["type"].to_string());
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn schema(fields: &[(&str, &str)]) -> String {
        let fields: Vec<Value> = fields
            .iter()
            .map(|(name, kind)| json!({"name": name, "type": kind, "metadata": {}}))
            .collect();
        json!({"type": "struct", "fields": fields}).to_string()
    }

    #[test]
    fn growth_is_told_from_conflict() {
        let ours = schema(&[("pipe", "string"), ("id", "string"), ("stock", "long")]);
        let check = |stored: &[(&str, &str)]| compare_schemas(&schema(stored), &ours);
        let grown = check(&[("pipe", "string"), ("id", "string")]).unwrap();
        assert_eq!(grown, SchemaFit::Grown);
        assert_eq!(compare_schemas(&ours, &ours).unwrap(), SchemaFit::Same);
        assert!(check(&[("id", "string"), ("stock", "string")]).is_err());
        assert!(check(&[("id", "string"), ("colour", "string")]).is_err());
        assert_eq!(compare(&schema_string()).unwrap(), SchemaFit::Same);
    }
}
