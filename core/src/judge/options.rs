//! What a pipe allows its runs: the table `[judge]` of a pipe file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FACTORS;
use crate::problem::Problem;
use crate::product::column_index;

/// Inputs of one pipe that may be kept: a month of days.
pub const KEEP_RAW_MAX: u32 = 30;

/// Row counts that one pipe may suspect.
const SUSPECTS_MAX: usize = 100;

/// Equal runs that a pipe may wait for.
const EQUAL_MAX: u32 = 100;

/// When a run is not to be trusted. Shares are not judged of fewer than 100
/// rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeOptions {
    /// Share of the live rows that one run may delist; default 0.3, bound 0
    /// to 1. More are held and the run says so.
    pub max_drop: f64,
    /// Share of the products known before whose price may have moved by more
    /// than `price_factor`; default 0.3, bound 0 to 1. A run above it is
    /// quarantined.
    pub max_price_shift: f64,
    /// From which factor on, up or down, a price counts as moved; default 2,
    /// one of 1.1, 1.25, 1.5, 2, 3, 5, 9, 20 and 90.
    pub price_factor: f64,
    /// Share of the rows that may have no price, or the price 0; default 0.5,
    /// bound 0 to 1. A run above it is quarantined, also a first one. Of a feed
    /// with `partial` rows it is not judged.
    pub max_zero_price: f64,
    /// How much of the rows a column may lose against the last complete run:
    /// 0.3 lets one that 90 % of the rows had go down to 60 %; default 0.3,
    /// bound 0 to 1. A full run above it is quarantined.
    pub max_fill_drop: f64,
    /// The same for single columns, such as `{ brand = 0.9 }`; default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max_fill_drop_of: BTreeMap<String, f64>,
    /// Share of the rows that may be lost to a later one of the same id;
    /// default 0.3, bound 0 to 1. A full run above it is quarantined, also a
    /// first one.
    pub max_duplicates: f64,
    /// Row counts at which a program that writes feeds is known to stop; a full
    /// feed with exactly so many rows counts as cut off. Default `[499000]`,
    /// at most 100.
    pub suspect_rows: Vec<u64>,
    /// Rows that a full run has at least; default 0. One with fewer is
    /// quarantined, also a first one.
    pub min_rows: u64,
    /// So many complete runs in a row that list about as much as each other,
    /// and span a day, delist what `max_drop` alone held; default 3, bound 0
    /// (never) to 100.
    pub accept_after_equal: u32,
    /// Inputs of the last runs that are kept, so that a person can accept what
    /// was held or quarantined; default 3, bound 0 to 30. Of a site its rows
    /// are kept.
    pub keep_raw: u32,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self {
            max_drop: 0.3,
            max_price_shift: 0.3,
            price_factor: 2.0,
            max_zero_price: 0.5,
            max_fill_drop: 0.3,
            max_fill_drop_of: BTreeMap::new(),
            max_duplicates: 0.3,
            suspect_rows: vec![499_000],
            min_rows: 0,
            accept_after_equal: 3,
            keep_raw: 3,
        }
    }
}

impl JudgeOptions {
    /// How much of the rows this column may lose.
    pub fn fill_drop_of(&self, column: &str) -> f64 {
        let single = self.max_fill_drop_of.get(column);
        single.copied().unwrap_or(self.max_fill_drop)
    }

    /// Every value outside its bound; keys are those of the table.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut unless = |ok: bool, key: &str, value: String, allowed: String| {
            if !ok {
                found.push(Problem {
                    key: key.to_owned(),
                    found: value,
                    allowed,
                });
            }
        };
        let shares = [
            ("max_drop", self.max_drop),
            ("max_price_shift", self.max_price_shift),
            ("max_zero_price", self.max_zero_price),
            ("max_fill_drop", self.max_fill_drop),
            ("max_duplicates", self.max_duplicates),
        ];
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        for (key, value) in shares {
            let allowed = "a share from 0 to 1".to_owned();
            unless(is_share(value), key, value.to_string(), allowed);
        }
        for (column, value) in &self.max_fill_drop_of {
            let key = format!("max_fill_drop_of.{column}");
            let allowed = "a share from 0 to 1".to_owned();
            unless(is_share(*value), &key, value.to_string(), allowed);
            let allowed = "a column that `trawler schema` lists".to_owned();
            let known = column_index(column).is_some();
            unless(known, &key, format!("{column:?}"), allowed);
        }
        let factors = FACTORS.map(|(factor, ..)| factor);
        let is_factor = factors.contains(&self.price_factor);
        let allowed = format!("one of {factors:?}");
        let factor = self.price_factor.to_string();
        unless(is_factor, "price_factor", factor, allowed);
        let few = self.suspect_rows.len() <= SUSPECTS_MAX;
        let suspects = format!("{} counts", self.suspect_rows.len());
        unless(
            few,
            "suspect_rows",
            suspects,
            format!("at most {SUSPECTS_MAX}"),
        );
        let counts = [
            ("accept_after_equal", self.accept_after_equal, EQUAL_MAX),
            ("keep_raw", self.keep_raw, KEEP_RAW_MAX),
        ];
        for (key, value, max) in counts {
            unless(value <= max, key, value.to_string(), format!("0 to {max}"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_outside_their_bounds_are_told_with_their_keys() {
        let check = |text: &str, expected: &[&str]| {
            let options: JudgeOptions = serde_json::from_str(text).unwrap();
            let keys = options.problems().into_iter().map(|problem| problem.key);
            assert_eq!(keys.collect::<Vec<_>>(), expected, "{text}");
        };
        check("{}", &[]);
        check(r#"{"price_factor": 9}"#, &[]);
        check(r#"{"price_factor": 4}"#, &["price_factor"]);
        check(
            r#"{"max_drop": 1.5, "keep_raw": 31}"#,
            &["max_drop", "keep_raw"],
        );
        check(r#"{"max_fill_drop_of": {"brand": 0.9}}"#, &[]);
        check(
            r#"{"max_fill_drop_of": {"colour": 0.9}}"#,
            &["max_fill_drop_of.colour"],
        );
        check(r#"{"accept_after_equal": 0}"#, &[]);
        check(r#"{"accept_after_equal": 101}"#, &["accept_after_equal"]);
    }
}
