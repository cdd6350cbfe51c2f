//! `trawler changes`: the change feed, and the next watermark.

use serde_json::json;
use trawler_catalogue::{PAGE_ROWS_MAX, Watermark, rows_as_json};

use crate::args::{ChangesArgs, RowFormat};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::known_pipe;
use crate::output::{self, Row};

const COLUMNS: [&str; 8] = [
    "_change_type",
    "_commit_version",
    "pipe",
    "id",
    "title",
    "price_minor",
    "currency",
    "image_status",
];

pub(crate) async fn run(loaded: &Loaded, args: &ChangesArgs, as_json: bool) -> anyhow::Result<End> {
    let mut since = watermark(&args.since)?;
    let machine = Machine::open(loaded).await?;
    let pipe = match &args.pipe {
        Some(text) => Some(known_pipe(&machine, text).await?),
        None => None,
    };
    let catalogue = machine.catalogue().await?;
    let limit = args.limit as usize;
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let want = (limit - rows.len()).min(PAGE_ROWS_MAX);
        let page = catalogue.changes(since, pipe.as_ref(), want).await?;
        rows.extend(rows_as_json(&page.rows).iter().map(output::without_nulls));
        since = page.next;
        if page.is_end || rows.len() >= limit {
            break;
        }
    }
    if as_json {
        output::json(&json!({ "changes": rows, "next": since.to_string() }))?;
        return Ok(End::Done);
    }
    match args.format {
        RowFormat::Table if rows.is_empty() => say!("no change since then"),
        RowFormat::Table => output::list(&rows, &COLUMNS)?,
        RowFormat::Jsonl | RowFormat::Csv => output::rows(&rows, &COLUMNS, args.format)?,
    }
    eprintln!("next watermark: {since}");
    Ok(End::Done)
}

/// `0` is the beginning; a bare number is the beginning of that version.
fn watermark(text: &str) -> anyhow::Result<Watermark> {
    if let Ok(version) = text.parse::<u32>() {
        return Ok(Watermark {
            version: i64::from(version),
            offset: 0,
        });
    }
    text.parse()
        .map_err(|error: trawler_catalogue::CatalogueError| Misuse::new(error.to_string()).into())
}
