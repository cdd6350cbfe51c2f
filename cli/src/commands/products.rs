//! `trawler products`: pages of the catalogue.

use serde_json::json;
use trawler_catalogue::{PAGE_ROWS_MAX, rows_as_json};

use crate::args::{ProductsArgs, RowFormat};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::lookup::known_pipe;
use crate::output::{self, Row};

/// What a table shows; the other formats have every column that is not empty.
const COLUMNS: [&str; 9] = [
    "id",
    "title",
    "price_minor",
    "currency",
    "brand",
    "image_status",
    "first_seen",
    "updated",
    "withheld",
];

/// Those that are shown to whoever does not ask for withheld rows.
const SHOWN: usize = COLUMNS.len() - 1;

pub(crate) async fn run(
    loaded: &Loaded,
    args: &ProductsArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let pipe = known_pipe(&machine, &args.pipe).await?;
    let catalogue = machine.catalogue().await?;
    let snapshot = catalogue.snapshot().await?;
    if let Some(id) = &args.id {
        let found = match args.all {
            true => catalogue.stored_product(&snapshot, &pipe, id).await?,
            false => catalogue.product(&snapshot, &pipe, id).await?,
        };
        let rows = found.map(|batch| rows_as_json(&batch)).unwrap_or_default();
        if rows.is_empty() {
            eprintln!("pipe {pipe} has no product {id:?}");
        }
        print(&rows, None, args, as_json)?;
        return Ok(if rows.is_empty() {
            End::Failed
        } else {
            End::Done
        });
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut after = args.after.clone();
    let limit = args.limit as usize;
    let next = loop {
        let want = (limit - rows.len()).min(PAGE_ROWS_MAX);
        let after_id = after.as_deref();
        let page = match args.all {
            true => {
                let page = catalogue.stored_products(&snapshot, &pipe, after_id, want);
                page.await?
            }
            false => {
                let page = catalogue.products(&snapshot, &pipe, after_id, want, None);
                page.await?
            }
        };
        rows.extend(rows_as_json(&page.rows));
        match page.next {
            Some(next) if rows.len() < limit => after = Some(next),
            next => break next,
        }
    };
    print(&rows, next.as_deref(), args, as_json)?;
    Ok(End::Done)
}

fn print(
    rows: &[Row],
    next: Option<&str>,
    args: &ProductsArgs,
    as_json: bool,
) -> anyhow::Result<()> {
    if as_json {
        let rows: Vec<Row> = rows.iter().map(output::without_nulls).collect();
        return output::json(&json!({ "products": rows, "next": next }));
    }
    let columns = match args.all {
        true => &COLUMNS[..],
        false => &COLUMNS[..SHOWN],
    };
    let format = args.format;
    match format {
        RowFormat::Table => output::list(rows, columns)?,
        RowFormat::Jsonl => {
            let rows: Vec<Row> = rows.iter().map(output::without_nulls).collect();
            output::rows(&rows, columns, format)?;
        }
        RowFormat::Csv => output::rows(rows, columns, format)?,
    }
    if let Some(next) = next {
        eprintln!("more: --after {next}");
    }
    Ok(())
}
