//! `trawler schema`: every column of a product, its type, unit and source.

use serde_json::json;
use trawler_core::product::COLUMNS;

use crate::end::End;
use crate::output::{self, Row};

pub(crate) fn run(as_json: bool) -> anyhow::Result<End> {
    let rows: Vec<Row> = COLUMNS
        .iter()
        .filter_map(|column| {
            let row = json!({
                "column": column.name, "type": column.kind.as_str(), "unit": column.unit,
                "naver_ep": column.naver_ep, "merchant": column.merchant, "meaning": column.doc,
            });
            row.as_object().cloned()
        })
        .collect();
    if as_json {
        output::json(&rows)?;
    } else {
        output::list(
            &rows,
            &["column", "type", "unit", "naver_ep", "merchant", "meaning"],
        )?;
    }
    Ok(End::Done)
}
