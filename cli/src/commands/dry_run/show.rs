//! The report of a run on paper, for people.

use serde_json::{Value, json};

use super::report::{Outcome, Prices, Report, Update};
use crate::commands::trial::plain;
use crate::output::{self, Row, grouped};

/// Characters of the longest bar.
const BAR_CHARS: u64 = 40;

/// Characters of a value that is shown.
const VALUE_CHARS: usize = 60;

const FILL_HEAD: [&str; 4] = ["column", "stored", "now", "change"];

const ROW_HEAD: [&str; 5] = ["id", "title", "price_minor", "currency", "link"];

pub(super) fn show(report: &Report) -> anyhow::Result<()> {
    let counts = &report.counts;
    say!("dry run of pipe {}: nothing of it stays", report.pipe);
    if let Some(run) = &report.reads_input_of {
        say!("reads        the kept input of run {run}");
    }
    say!("the judge    {}", verdict(report.outcome));
    for reason in &report.reasons {
        say!("             {}", plain(reason));
    }
    say!("stored       {} rows", grouped(counts.stored));
    say!(
        "read         {} rows, {} rejected, {} repeated",
        grouped(counts.rows),
        grouped(counts.rejected),
        grouped(counts.duplicates)
    );
    say!(
        "changes      {} inserts, {} updates, {} deletes ({} of them held); {} as they were",
        grouped(counts.inserts),
        grouped(counts.updates),
        grouped(counts.deletes),
        grouped(counts.held_deletes),
        grouped(counts.unchanged)
    );
    say!("images       {} to be fetched", grouped(counts.images));
    for remark in &report.remarks {
        say!("remark       {}", plain(remark));
    }
    show_prices(&report.prices);
    show_fill(report)?;
    show_rejected(report);
    show_unmapped(report);
    show_rows("inserts", &report.inserts)?;
    show_updates(&report.updates);
    show_rows("deletes", &report.deletes)
}

fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "would apply it",
        Outcome::Unchanged => "has nothing to judge: the source is as the last complete run saw it",
        Outcome::DeletesHeld => "would apply it and hold its deletes",
        Outcome::Incomplete => "would apply what was read, and call the run incomplete",
        Outcome::Quarantined => "would quarantine it: nothing of it would be seen",
        Outcome::Waits => "was not asked: the run would wait",
        Outcome::Failed => "was not asked: the run would fail",
    }
}

fn show_prices(prices: &Prices) {
    if prices.compared == 0 {
        return;
    }
    say!(
        "\nprice shifts of {} known products",
        grouped(prices.compared)
    );
    let mut bars = Vec::new();
    for step in prices.steps.iter().rev() {
        bars.push((format!("fell by more than {}", step.factor), step.fell));
    }
    bars.push(("much as they were".to_owned(), prices.still));
    for step in &prices.steps {
        bars.push((format!("rose by more than {}", step.factor), step.rose));
    }
    for line in picture(&bars) {
        say!("{line}");
    }
    for moved in &prices.examples {
        say!(
            "  {}: {} -> {}",
            plain(&moved.id),
            moved.before,
            moved.after
        );
    }
}

/// Bars as long as their shares of the highest, without the empty ones. What is
/// there at all is seen.
fn picture(bars: &[(String, u64)]) -> Vec<String> {
    let highest = bars.iter().map(|(_, rows)| *rows).max().unwrap_or_default();
    let there = bars.iter().filter(|(_, rows)| *rows > 0);
    there
        .map(|(name, rows)| {
            let chars = u128::from(BAR_CHARS) * u128::from(*rows) / u128::from(highest.max(1));
            let bar = "#".repeat(usize::try_from(chars).unwrap_or_default().max(1));
            format!(
                "  {name:<22} {bar:<width$} {}",
                grouped(*rows),
                width = BAR_CHARS as usize
            )
        })
        .collect()
}

fn show_fill(report: &Report) -> anyhow::Result<()> {
    let percent = |share: Option<f64>| match share {
        Some(share) => json!(format!("{:.1} %", share * 100.0)),
        None => json!("-"),
    };
    let row = |fill: &super::report::ColumnFill| -> Row {
        let change = match (fill.stored, fill.now) {
            (Some(stored), Some(now)) => json!(format!("{:+.1}", (now - stored) * 100.0)),
            _ => json!(""),
        };
        let cells = [
            json!(fill.column),
            percent(fill.stored),
            percent(fill.now),
            change,
        ];
        let names = FILL_HEAD.iter().map(|name| (*name).to_owned());
        names.zip(cells).collect()
    };
    let rows: Vec<Row> = report.fill.iter().map(row).collect();
    if !rows.is_empty() {
        say!("\nrows that have a value, by column");
        output::list(&rows, &FILL_HEAD)?;
    }
    Ok(())
}

fn show_rejected(report: &Report) {
    if report.rejected.is_empty() {
        return;
    }
    say!("\nrejected rows");
    for one in &report.rejected {
        let column = one.column.as_deref().unwrap_or("row");
        say!(
            "  {} of {column}: {}",
            grouped(one.rows),
            plain(&one.reason)
        );
        for row in &one.examples {
            let id = row["id"].as_str().unwrap_or("no id");
            let found = row["found"].as_str().unwrap_or_default();
            let line = row["line"].as_u64().unwrap_or_default();
            say!(
                "    line {line}, {}: found {:?}",
                plain(id),
                shortened(found)
            );
        }
    }
}

fn show_unmapped(report: &Report) {
    let kinds = [
        ("categories", &report.unmapped.categories),
        ("brands", &report.unmapped.brands),
    ];
    for (kind, counted) in kinds {
        if counted.rows == 0 {
            continue;
        }
        say!(
            "\n{} row(s) with unmapped {kind}, the most frequent:",
            grouped(counted.rows)
        );
        for (value, rows) in &counted.values {
            say!("  {:>9}  {}", grouped(*rows), shortened(value));
        }
    }
}

fn show_rows(what: &str, rows: &[Row]) -> anyhow::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    say!("\nsome of the {what}");
    output::list(rows, &ROW_HEAD)
}

fn show_updates(updates: &[Update]) {
    if updates.is_empty() {
        return;
    }
    say!("\nsome of the updates");
    for update in updates {
        say!("  {}", plain(&update.id));
        for (column, change) in &update.columns {
            let shown = |value: &Value| match value {
                Value::Null => "nothing".to_owned(),
                Value::String(text) => format!("{:?}", shortened(text)),
                other => shortened(&other.to_string()),
            };
            say!(
                "    {column}: {} -> {}",
                shown(&change.before),
                shown(&change.after)
            );
        }
    }
}

fn shortened(text: &str) -> String {
    let text = plain(text);
    match text.chars().count() > VALUE_CHARS {
        true => text.chars().take(VALUE_CHARS).chain(['…']).collect(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_what_is_there() {
        let check = |bars: &[(&str, u64)], expected: &[&str]| {
            let bars: Vec<(String, u64)> = bars
                .iter()
                .map(|(name, rows)| ((*name).to_owned(), *rows))
                .collect();
            let lines: Vec<String> = picture(&bars)
                .iter()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            assert_eq!(lines, expected);
        };
        let whole = "#".repeat(40);
        check(&[], &[]);
        check(&[("a", 0)], &[]);
        check(
            &[("fell", 1), ("still", 10_000), ("rose", 5_000)],
            &[
                "fell # 1",
                &format!("still {whole} 10,000"),
                &format!("rose {} 5,000", "#".repeat(20)),
            ],
        );
        check(
            &[("a", u64::MAX)],
            &[&format!("a {whole} 18,446,744,073,709,551,615")],
        );
    }
}
