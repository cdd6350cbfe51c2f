//! What was tried, for people.

use serde_json::{Value, json};
use trawler_crawler::feed::TryFeedReport;
use trawler_crawler::page::PageReport;

use crate::output::{self, Row};

/// Rejected rows and unmapped fields that are shown.
const SHOWN_MAX: usize = 10;

pub(crate) fn feed(report: &TryFeedReport) -> anyhow::Result<()> {
    println!(
        "{} rows, {} rejected, {} deletions; charset {}",
        output::grouped(report.rows),
        output::grouped(report.rejected),
        output::grouped(report.deletes),
        report.charset
    );
    match &report.incomplete_reason {
        None => println!("complete"),
        Some(reason) => println!("not complete: {reason}; a run would hold its deletes"),
    }
    if !report.sample.is_empty() {
        println!();
        let rows: Vec<Row> = report
            .sample
            .iter()
            .map(|product| {
                let price = product
                    .price
                    .map(|price| format!("{} {}", price.amount_minor, price.currency));
                row(json!({
                    "id": product.id, "title": product.title, "price (minor)": price,
                    "link": product.link, "image_link": product.image_link,
                }))
            })
            .collect();
        output::list(
            &rows,
            &["id", "title", "price (minor)", "link", "image_link"],
        )?;
    }
    for (column, bad) in &report.bad_values {
        let example = bad.examples.first().map(|bad| {
            format!(
                ", such as {:?} at line {} ({})",
                bad.found, bad.line, bad.reason
            )
        });
        println!(
            "remark: {} wrong value(s) of {column} become empty{}",
            bad.count,
            example.unwrap_or_default()
        );
    }
    for rejected in report.rejected_rows.iter().take(SHOWN_MAX) {
        println!(
            "rejected: line {}: {} (found {:?})",
            rejected.line, rejected.reason, rejected.found
        );
    }
    if !report.unmapped_fields.is_empty() {
        let named: Vec<&str> = report
            .unmapped_fields
            .iter()
            .take(SHOWN_MAX)
            .map(String::as_str)
            .collect();
        println!("kept as extra: {}", named.join(", "));
    }
    Ok(())
}

pub(crate) fn page(report: &PageReport) -> anyhow::Result<()> {
    println!("{} (charset {})", report.url, report.charset);
    match &report.product {
        None => println!("no product found"),
        Some(product) => {
            let fields = serde_json::to_value(product)?;
            let rows: Vec<Row> = fields
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, found)| !found.is_null())
                .map(|(name, found)| row(json!({ "field": name, "value": text(&found["value"]), "from": found["from"] })))
                .collect();
            output::list(&rows, &["field", "value", "from"])?;
        }
    }
    for remark in &report.remarks {
        println!("remark: {remark}");
    }
    Ok(())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.contains_key("amount_minor") => {
            format!(
                "{} {} (minor units)",
                fields["amount_minor"],
                text(&fields["currency"])
            )
        }
        other => other.to_string(),
    }
}

/// A partner's text without the control characters that a terminal obeys.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}
