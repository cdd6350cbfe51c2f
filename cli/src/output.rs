//! Printing for people (aligned columns) and for programs (JSON, JSON lines,
//! CSV). What goes to standard output is the result and nothing else; word
//! about the work goes to standard error.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::args::RowFormat;

/// Widest cell of a table; longer ones are cut with `…`.
const CELL_COLUMNS_MAX: usize = 48;

/// Widest cell of the last column, which pushes nothing aside.
const LAST_COLUMNS_MAX: usize = 200;

/// A row of the catalogue or of a list.
pub(crate) type Row = Map<String, Value>;

/// Prints one JSON document.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).context("print JSON")?;
    writeln!(out)?;
    Ok(())
}

/// Prints rows in the asked format. A table shows `columns`; the other formats
/// show everything.
pub(crate) fn rows(rows: &[Row], columns: &[&str], format: RowFormat) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        RowFormat::Table => table(&mut out, rows, columns),
        RowFormat::Jsonl => {
            for row in rows {
                serde_json::to_writer(&mut out, row).context("print JSON")?;
                writeln!(out)?;
            }
            Ok(())
        }
        RowFormat::Csv => csv(out, rows),
    }
}

/// Prints rows as aligned columns with a head line.
pub(crate) fn list(rows: &[Row], columns: &[&str]) -> anyhow::Result<()> {
    table(&mut io::stdout().lock(), rows, columns)
}

fn table(out: &mut impl Write, rows: &[Row], columns: &[&str]) -> anyhow::Result<()> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            columns
                .iter()
                .enumerate()
                .map(|(at, column)| {
                    cell(
                        row.get(*column),
                        if at + 1 == columns.len() {
                            LAST_COLUMNS_MAX
                        } else {
                            CELL_COLUMNS_MAX
                        },
                    )
                })
                .collect()
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            cells
                .iter()
                .map(|row| row[at].width())
                .chain([column.width()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut line = |texts: &[&str]| -> io::Result<()> {
        let padded: Vec<String> = texts
            .iter()
            .zip(&widths)
            .map(|(text, width)| pad(text, *width))
            .collect();
        writeln!(out, "{}", padded.join("  ").trim_end())
    };
    line(columns)?;
    for row in &cells {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// One value as it stands in a table. Control characters of a partner's text
/// never reach the terminal.
fn cell(value: Option<&Value>, columns_max: usize) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut shown = String::new();
    let mut width = 0;
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        width += c.width().unwrap_or(0);
        if width >= columns_max {
            shown.push('…');
            break;
        }
        shown.push(c);
    }
    shown
}

fn csv(out: impl Write, rows: &[Row]) -> anyhow::Result<()> {
    let mut columns: Vec<&String> = Vec::new();
    for row in rows {
        for name in row.keys() {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
    }
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(&columns)?;
    for row in rows {
        writer.write_record(columns.iter().map(|name| match row.get(*name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }))?;
    }
    writer.flush()?;
    Ok(())
}

/// About 100 columns, most of them empty in most shops.
pub(crate) fn without_nulls(row: &Row) -> Row {
    row.iter()
        .filter(|(_, value)| **value != Value::Null)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    STEPS.iter().find(|(_, step)| count >= *step).map_or_else(
        || format!("{count} B"),
        |(unit, step)| format!("{:.1} {unit}", count as f64 / *step as f64),
    )
}

/// A span as people read it.
pub(crate) fn span(span: chrono::Duration) -> String {
    let seconds = span.num_seconds();
    match seconds {
        ..0 => "0s".to_owned(),
        0..10 => format!("{:.1}s", span.num_milliseconds() as f64 / 1000.0),
        10..120 => format!("{seconds}s"),
        120..7200 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn tables_align_wide_characters_and_hide_control_characters() {
        let rows = [
            row(serde_json::json!({"id": "1", "title": "사과 주스"})),
            row(serde_json::json!({"id": "22", "title": "a\u{1b}[31mb"})),
        ];
        let mut out = Vec::new();
        table(&mut out, &rows, &["id", "title", "none"]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "id  title      none\n1   사과 주스\n22  a [31mb\n"
        );
    }

    #[test]
    fn figures_are_readable() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(span(chrono::Duration::milliseconds(1500)), "1.5s");
        assert_eq!(span(chrono::Duration::seconds(125)), "2m05s");
    }
}
