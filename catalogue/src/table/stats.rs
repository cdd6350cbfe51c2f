//! Statistics of a data file as the Delta log holds them: row count, and
//! minimum, maximum and null count of the columns that readers skip files by.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch};
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::schema::{ID, STATS_COLUMNS};

/// Strings other than ids are cut to so many characters, as Delta does.
const PREFIX_CHARS: usize = 32;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    pub(crate) num_records: u64,
    #[serde(default)]
    pub(crate) min_values: Map<String, Value>,
    #[serde(default)]
    pub(crate) max_values: Map<String, Value>,
    #[serde(default)]
    pub(crate) null_count: Map<String, Value>,
}

impl Stats {
    /// Smallest and largest id of the file; both are whole.
    pub(crate) fn id_range(&self) -> Option<(&str, &str)> {
        Some((
            self.min_values.get(ID)?.as_str()?,
            self.max_values.get(ID)?.as_str()?,
        ))
    }
}

#[derive(Default)]
struct ColumnRange {
    text: Option<(String, String)>,
    instant: Option<(i64, i64)>,
    nulls: u64,
}

/// Gathers the statistics of a file while it is written.
#[derive(Default)]
pub(crate) struct StatsBuilder {
    rows: u64,
    columns: BTreeMap<&'static str, ColumnRange>,
}

impl StatsBuilder {
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for name in STATS_COLUMNS {
            let Some(array) = batch.column_by_name(name) else {
                continue;
            };
            let range = self.columns.entry(name).or_default();
            range.nulls += array.null_count() as u64;
            if let Some(texts) = array.as_string_opt::<i32>() {
                if let (Some(min), Some(max)) =
                    (texts.iter().flatten().min(), texts.iter().flatten().max())
                {
                    range.widen_text(min, max);
                }
            } else if let Some(instants) = array.as_primitive_opt::<TimestampMicrosecondType>() {
                let values = || instants.iter().flatten();
                if let (Some(min), Some(max)) = (values().min(), values().max()) {
                    let (low, high) = range.instant.unwrap_or((min, max));
                    range.instant = Some((low.min(min), high.max(max)));
                }
            }
        }
    }

    pub(crate) fn finish(self) -> Stats {
        let mut stats = Stats {
            num_records: self.rows,
            ..Stats::default()
        };
        for (name, range) in self.columns {
            stats.null_count.insert(name.to_owned(), range.nulls.into());
            let bounds = match (range.text, range.instant) {
                (Some((min, max)), _) if name == ID => Some((min, Some(max))),
                (Some((min, max)), _) => Some((text_min(&min), text_max(&max))),
                (None, Some((min, max))) => instant_text(min.div_euclid(1_000))
                    // Log instants have milliseconds; the maximum is rounded up.
                    .map(|min| {
                        (
                            min,
                            instant_text(
                                max.div_euclid(1_000) + i64::from(max.rem_euclid(1_000) > 0),
                            ),
                        )
                    }),
                (None, None) => None,
            };
            if let Some((min, max)) = bounds {
                stats.min_values.insert(name.to_owned(), min.into());
                if let Some(max) = max {
                    stats.max_values.insert(name.to_owned(), max.into());
                }
            }
        }
        stats
    }
}

impl ColumnRange {
    fn widen_text(&mut self, min: &str, max: &str) {
        match &mut self.text {
            None => self.text = Some((min.to_owned(), max.to_owned())),
            Some((low, high)) => {
                if min < low.as_str() {
                    min.clone_into(low);
                }
                if max > high.as_str() {
                    max.clone_into(high);
                }
            }
        }
    }
}

fn instant_text(millis: i64) -> Option<String> {
    let instant = DateTime::from_timestamp_millis(millis)?;
    Some(instant.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// A prefix is never above the whole.
fn text_min(text: &str) -> String {
    text.chars().take(PREFIX_CHARS).collect()
}

/// A prefix is below the whole, so it is closed with the highest character.
/// Where the cut text itself goes on with that character no bound is given.
fn text_max(text: &str) -> Option<String> {
    const HIGHEST: char = '\u{10FFFF}';
    let mut chars = text.chars();
    let mut bound: String = chars.by_ref().take(PREFIX_CHARS).collect();
    match chars.next() {
        None => Some(bound),
        Some(HIGHEST) => None,
        Some(_) => {
            bound.push(HIGHEST);
            Some(bound)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cut_bounds_still_bound() {
        let check = |text: &str| {
            assert!(text_min(text).as_str() <= text, "{text}");
            let max = text_max(text);
            assert!(max.is_none_or(|max| max.as_str() >= text), "{text}");
        };
        check("");
        check("short");
        check(&"x".repeat(32));
        check(&"x".repeat(33));
        check(&"가".repeat(40));
        check(&format!("{}\u{10FFFF}z", "x".repeat(32)));
        assert_eq!(text_max(&format!("{}\u{10FFFF}z", "x".repeat(32))), None);
    }

    #[test]
    fn instants_are_written_in_milliseconds() {
        assert_eq!(instant_text(1).unwrap(), "1970-01-01T00:00:00.001Z");
    }
}
