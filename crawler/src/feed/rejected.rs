//! The report of rejected rows: one JSON line each, bounded, with every row
//! counted.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::convert::cut;

/// Bytes of a wrong value that are shown.
const FOUND_BYTES_MAX: usize = 200;

/// Rejected rows held for showing, beside those in the report.
const EXAMPLES_MAX: usize = 10;

/// One rejected row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    /// Line of the feed, or number of the item, from 1.
    pub line: u64,
    /// Offset of the row in the feed's text as UTF-8.
    pub byte_offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<&'static str>,
    /// Beginning of what was found.
    pub found: String,
    pub reason: String,
}

/// Why a row is rejected, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    MissingValue,
    WrongValue,
    FieldCount,
    TooLong,
    Malformed,
    MalformedCharacters,
    Class,
}

/// Takes rejected rows.
pub struct RejectedRows {
    report: Option<Box<dyn Write + Send>>,
    kept_max: u64,
    kept: u64,
    counts: BTreeMap<Reason, u64>,
    examples: Vec<RejectedRow>,
}

impl RejectedRows {
    /// Writes at most `kept_max` rows to `report`.
    pub fn new(report: Box<dyn Write + Send>, kept_max: u64) -> Self {
        Self {
            report: Some(report),
            kept_max,
            ..Self::counted()
        }
    }

    /// Counts, and keeps a few examples.
    pub fn counted() -> Self {
        Self {
            report: None,
            kept_max: 0,
            kept: 0,
            counts: BTreeMap::new(),
            examples: Vec::new(),
        }
    }

    /// Takes one row that stands for `rows` rows of the feed.
    pub(super) fn take(&mut self, reason: Reason, rows: u64, row: RejectedRow) -> io::Result<()> {
        *self.counts.entry(reason).or_default() += rows;
        if self.kept < self.kept_max
            && let Some(report) = &mut self.report
        {
            self.kept += 1;
            let mut line = serde_json::to_vec(&row).map_err(io::Error::other)?;
            line.push(b'\n');
            report.write_all(&line)?;
        }
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(row);
        }
        Ok(())
    }

    /// Writes out what is still buffered on the way to the report.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.report {
            Some(report) => report.flush(),
            None => Ok(()),
        }
    }

    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub fn counts(&self) -> &BTreeMap<Reason, u64> {
        &self.counts
    }

    /// The first rejected rows.
    pub fn examples(&self) -> &[RejectedRow] {
        &self.examples
    }
}

/// Beginning of a wrong value, for a report. What stood for malformed bytes
/// is shown as the replacement character.
pub(super) fn shown(found: &str) -> String {
    let head = cut(found, FOUND_BYTES_MAX);
    head.replace(super::text::MALFORMED, "\u{fffd}")
}
