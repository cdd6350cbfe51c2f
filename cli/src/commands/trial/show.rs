//! What was tried, for people.

use serde_json::{Value, json};
use trawler_crawler::feed::TryFeedReport;

use crate::output::{self, Row};

/// Rejected rows and unmapped fields that are shown.
const SHOWN_MAX: usize = 10;

pub(crate) fn feed(report: &TryFeedReport) -> anyhow::Result<()> {
    say!(
        "{} rows, {} rejected, {} deletions; charset {}",
        output::grouped(report.rows),
        output::grouped(report.rejected),
        output::grouped(report.deletes),
        report.charset
    );
    match &report.incomplete_reason {
        None => say!("complete"),
        Some(reason) => say!("not complete: {reason}; a run would hold its deletes"),
    }
    if !report.sample.is_empty() {
        say!("");
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
        say!(
            "remark: {} wrong value(s) of {column} become empty{}",
            bad.count,
            example.unwrap_or_default()
        );
    }
    for rejected in report.rejected_rows.iter().take(SHOWN_MAX) {
        say!(
            "rejected: line {}: {} (found {:?})",
            rejected.line,
            rejected.reason,
            rejected.found
        );
    }
    if !report.unmapped_fields.is_empty() {
        let named: Vec<&str> = report
            .unmapped_fields
            .iter()
            .take(SHOWN_MAX)
            .map(String::as_str)
            .collect();
        say!("kept as extra: {}", named.join(", "));
    }
    if !report.personal_fields.is_empty() {
        let named: Vec<String> = report
            .personal_fields
            .iter()
            .take(SHOWN_MAX)
            .map(|name| plain(name))
            .collect();
        say!(
            "left out as personal data of sellers: {}; feed.keep keeps them",
            named.join(", ")
        );
    }
    Ok(())
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
