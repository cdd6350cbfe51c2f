//! Counts of values without rule, in bounded memory.

use std::collections::HashMap;

use serde::Serialize;

/// Values counted at once.
const COUNTED_MAX: usize = 2_000;

/// Values in a report.
const REPORTED_MAX: usize = 100;

/// Values without rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unmapped {
    /// Rows with a value that no rule covers.
    pub rows: u64,
    /// The most frequent ones.
    pub values: Vec<UnmappedValue>,
    /// A count in `values` may be short by this many, where there were too
    /// many different values to count each.
    pub short_by_max: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmappedValue {
    pub value: String,
    pub rows: u64,
}

/// Counts the frequent values: when there are too many, the rarer half is
/// forgotten.
#[derive(Debug, Default)]
pub(super) struct Counter {
    counts: HashMap<String, u64>,
    rows: u64,
    short_by_max: u64,
}

impl Counter {
    pub(super) fn count(&mut self, value: &str) {
        self.rows += 1;
        if let Some(count) = self.counts.get_mut(value) {
            *count += 1;
            return;
        }
        if self.counts.len() >= COUNTED_MAX {
            self.forget_rare();
        }
        self.counts.insert(value.to_owned(), 1);
    }

    fn forget_rare(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        counts.sort_unstable();
        let bound = counts[counts.len() / 2];
        self.counts.retain(|_, count| *count > bound);
        self.short_by_max += bound;
    }

    pub(super) fn report(&self) -> Unmapped {
        let mut values: Vec<UnmappedValue> = self
            .counts
            .iter()
            .map(|(value, rows)| UnmappedValue {
                value: value.clone(),
                rows: *rows,
            })
            .collect();
        values.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.value.cmp(&b.value)));
        values.truncate(REPORTED_MAX);
        Unmapped {
            rows: self.rows,
            values,
            short_by_max: self.short_by_max,
        }
    }
}
