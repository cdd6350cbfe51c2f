//! What a run found and would do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PriceMoves;
use crate::RunSeq;

/// Examples of each kind: enough to see what happened, and some hundred bytes
/// of a run's document.
pub const EXAMPLES_MAX: usize = 10;

/// Values of one kind that no rule covers: what a person writes rules for at a
/// sitting, and 2 KB of a run's document.
pub const UNRULED_MAX: usize = 20;

/// What a run is judged by, as it stands in its document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Live rows of the base snapshot.
    pub live: u64,
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    /// Distinct ids that were collected.
    pub rows: u64,
    /// Rows that lost to a later one of the same id.
    pub duplicates: u64,
    pub rejected: u64,
    /// Rows without a price, or with the price 0, of `filled.read`.
    pub unpriced: u64,
    pub prices: PriceMoves,
    pub filled: Filled,
    /// What the columns are compared with: the last complete full run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Before>>,
    /// What looks like the error page of the partner's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_text: Option<String>,
    #[serde(skip_serializing_if = "Examples::is_empty")]
    pub examples: Examples,
    /// What the mapping tables of the pipe have no rule for.
    #[serde(skip_serializing_if = "Unruled::is_empty")]
    pub unmapped: Unruled,
}

/// Values that no rule of a mapping table covers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unruled {
    #[serde(skip_serializing_if = "Counted::is_empty")]
    pub categories: Counted,
    #[serde(skip_serializing_if = "Counted::is_empty")]
    pub brands: Counted,
}

/// Values of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counted {
    /// Rows that have any of them.
    pub rows: u64,
    /// The most frequent ones with their rows, at most [`UNRULED_MAX`].
    pub values: Vec<(String, u64)>,
}

impl Unruled {
    pub fn is_empty(&self) -> bool {
        self.categories.is_empty() && self.brands.is_empty()
    }
}

impl Counted {
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// How many rows have a value, by column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filled {
    /// Rows that were read, those with repeated ids included.
    pub read: u64,
    /// Columns without any value are left out.
    pub columns: BTreeMap<String, u64>,
}

impl Filled {
    /// Share of the rows that have a value in the column.
    pub fn share(&self, column: &str) -> f64 {
        let filled = self.columns.get(column).copied().unwrap_or_default();
        share(filled, self.read)
    }
}

/// The columns of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    pub run: RunSeq,
    pub filled: Filled,
}

/// Ids of products, a few of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Examples {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inserts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<String>,
}

impl Examples {
    pub fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.updates.is_empty() && self.deletes.is_empty()
    }
}

/// A part of a whole, 0 of nothing. Rows are far below 2^52, so the conversion
/// is exact.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    }
}
