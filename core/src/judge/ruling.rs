//! The rules, and what follows from them.

use super::facts::share;
use super::{Facts, JudgeOptions};
use crate::feed::FeedMode;
use crate::product::COLUMNS;

/// Shares are not judged of fewer rows than this: a shop of twelve that lets
/// go of seven is no alarm.
pub const ROWS_MIN: u64 = 100;

/// A run to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub facts: &'a Facts,
    pub mode: FeedMode,
    /// Why not everything was read or believed.
    pub incomplete: &'a [String],
}

/// What happens with what the run collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Apply,
    /// The rows are applied and the deletes wait.
    HoldDeletes,
    /// Nothing of it is seen before a person has accepted it.
    Quarantine,
}

/// The judgement of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    pub action: Action,
    /// Why the run is not complete, if it is not.
    pub incomplete: Vec<String>,
    /// Whether `max_drop` is all that stands against it.
    pub by_drop_alone: bool,
    /// Why it is quarantined, if it is.
    pub quarantine: Vec<String>,
}

/// Judges a run by everything that is known of it so far.
///
/// Deletes that follow from absence are held by any reason why the run is
/// incomplete. Those that the partner said are applied also by an incomplete
/// run, but count towards `max_drop` like the others (invariant 5).
pub fn rule(case: &Case<'_>, options: &JudgeOptions) -> Ruling {
    let facts = case.facts;
    let mut incomplete = case.incomplete.to_vec();
    incomplete.extend(suspicion(case, options));
    let by_absence = case.mode == FeedMode::Full;
    let mut hold = by_absence && !incomplete.is_empty() && facts.deletes > 0;
    let drop = drop(facts, options);
    let by_drop_alone = incomplete.is_empty() && drop.is_some();
    hold |= drop.is_some();
    incomplete.extend(drop);
    let mut quarantine = Vec::new();
    quarantine.extend(error_page(facts));
    quarantine.extend(too_few(case, options));
    quarantine.extend(price_shift(facts, options));
    quarantine.extend(zero_prices(facts, options));
    if case.mode == FeedMode::Full {
        // A summary may list a product each time that it changed.
        quarantine.extend(duplicates(facts, options));
        quarantine.extend(fill_drops(facts, options));
    }
    Ruling {
        action: match (quarantine.is_empty(), hold) {
            (false, _) => Action::Quarantine,
            (true, true) => Action::HoldDeletes,
            (true, false) => Action::Apply,
        },
        incomplete,
        by_drop_alone,
        quarantine,
    }
}

/// Whether a share of so many rows is judged, and above what is allowed. The
/// product is compared and not the quotient, which rounds.
fn exceeds(part: u64, whole: u64, allowed: f64) -> bool {
    whole >= ROWS_MIN && part as f64 > allowed * whole as f64
}

fn drop(facts: &Facts, options: &JudgeOptions) -> Option<String> {
    let (live, deletes, max_drop) = (facts.live, facts.deletes, options.max_drop);
    exceeds(deletes, live, max_drop).then(|| {
        format!(
            "{deletes} of {live} live rows would be delisted, more than max_drop = {max_drop} allows"
        )
    })
}

/// A full feed that stops where a program is known to stop.
fn suspicion(case: &Case<'_>, options: &JudgeOptions) -> Option<String> {
    let facts = case.facts;
    let read = facts.filled.read + facts.rejected;
    let suspect = case.mode == FeedMode::Full && options.suspect_rows.contains(&read);
    suspect.then(|| {
        format!(
            "the feed has exactly {read} rows, which judge.suspect_rows names: it counts as cut off"
        )
    })
}

fn error_page(facts: &Facts) -> Option<String> {
    let text = facts.error_text.as_ref()?;
    Some(format!(
        "among the rows stands error text of the partner's program: {text:?}"
    ))
}

fn too_few(case: &Case<'_>, options: &JudgeOptions) -> Option<String> {
    let (rows, min) = (case.facts.rows, options.min_rows);
    (case.mode == FeedMode::Full && rows < min)
        .then(|| format!("{rows} rows, fewer than judge.min_rows = {min}"))
}

fn price_shift(facts: &Facts, options: &JudgeOptions) -> Option<String> {
    let (compared, factor) = (facts.prices.compared, options.price_factor);
    let (moved, max) = (facts.prices.beyond(factor), options.max_price_shift);
    exceeds(moved, compared, max).then(|| {
        format!(
            "the prices of {moved} of {compared} known products moved by more than a factor of {factor}, more than judge.max_price_shift = {max} allows"
        )
    })
}

fn zero_prices(facts: &Facts, options: &JudgeOptions) -> Option<String> {
    let (unpriced, read) = (facts.unpriced, facts.filled.read);
    let max = options.max_zero_price;
    exceeds(unpriced, read, max).then(|| {
        format!(
            "{unpriced} of {read} rows have no price or the price 0, more than judge.max_zero_price = {max} allows"
        )
    })
}

fn duplicates(facts: &Facts, options: &JudgeOptions) -> Option<String> {
    let (lost, max) = (facts.duplicates, options.max_duplicates);
    let all = facts.rows + lost;
    exceeds(lost, all, max).then(|| {
        format!("{lost} of {all} rows repeat an id, more than judge.max_duplicates = {max} allows")
    })
}

fn fill_drops(facts: &Facts, options: &JudgeOptions) -> Vec<String> {
    let Some(before) = &facts.before else {
        return Vec::new();
    };
    if facts.filled.read < ROWS_MIN || before.filled.read < ROWS_MIN {
        return Vec::new();
    }
    let lost = |column: &str| {
        let (was, is) = (before.filled.share(column), facts.filled.share(column));
        let (max, single) = (
            options.fill_drop_of(column),
            options.max_fill_drop_of.contains_key(column),
        );
        let key = match single {
            true => format!("judge.max_fill_drop_of.{column}"),
            false => "judge.max_fill_drop".to_owned(),
        };
        (was - is > max).then(|| {
            format!(
                "{column} is filled in {} of the rows, and was in {}: a drop of more than {key} = {max}",
                percent(is),
                percent(was)
            )
        })
    };
    COLUMNS
        .iter()
        .filter_map(|column| lost(column.name))
        .collect()
}

/// A share as people read it.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

impl Facts {
    /// Share of the known prices that moved by more than a factor.
    pub fn shift(&self, factor: f64) -> f64 {
        share(self.prices.beyond(factor), self.prices.compared)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::RunSeq;
    use crate::judge::{Before, Filled, PriceMoves};

    fn options(text: &str) -> JudgeOptions {
        serde_json::from_str(text).unwrap()
    }

    fn ruling(facts: &Facts, mode: FeedMode, incomplete: bool, options: &JudgeOptions) -> Ruling {
        let reasons = match incomplete {
            true => vec!["truncated".to_owned()],
            false => Vec::new(),
        };
        let case = Case {
            facts,
            mode,
            incomplete: &reasons,
        };
        rule(&case, options)
    }

    /// The action, and that a reason names the key.
    fn check(facts: &Facts, judge: &str, expected: Action, says: &str) {
        let found = ruling(facts, FeedMode::Full, false, &options(judge));
        assert_eq!(found.action, expected, "{facts:?} {judge}: {found:?}");
        let all = [found.incomplete, found.quarantine].concat().join("; ");
        assert!(all.contains(says), "{says:?} is not in {all:?}");
        assert_eq!(all.is_empty(), says.is_empty(), "{all:?}");
    }

    #[test]
    fn an_incomplete_run_never_delists_by_absence() {
        use FeedMode::{Full, Summary};
        let check = |incomplete: bool, mode, live, deletes, expected: Action| {
            let facts = Facts {
                live,
                deletes,
                ..Facts::default()
            };
            let found = ruling(&facts, mode, incomplete, &JudgeOptions::default());
            assert_eq!(found.action, expected, "{incomplete} {live} {deletes}");
            let says = expected == Action::HoldDeletes;
            assert!(!says || !found.incomplete.is_empty(), "{found:?}");
            let alone = expected == Action::HoldDeletes && !incomplete;
            assert_eq!(found.by_drop_alone, alone, "{found:?}");
        };
        check(false, Full, 1000, 300, Action::Apply);
        check(false, Full, 1000, 301, Action::HoldDeletes);
        check(false, Full, 1000, 0, Action::Apply);
        check(true, Full, 1000, 1, Action::HoldDeletes);
        check(true, Full, 10, 9, Action::HoldDeletes);
        // Below 100 live rows the share says nothing.
        check(false, Full, 99, 99, Action::Apply);
        check(false, Full, 100, 31, Action::HoldDeletes);
        // Said by the partner: applied, but within max_drop.
        check(false, Summary, 1000, 300, Action::Apply);
        check(false, Summary, 1000, 301, Action::HoldDeletes);
        check(true, Summary, 1000, 10, Action::Apply);
    }

    #[test]
    fn explicit_deletions_of_an_incomplete_summary_are_applied_and_it_says_so() {
        let facts = Facts {
            live: 1000,
            deletes: 10,
            ..Facts::default()
        };
        let found = ruling(&facts, FeedMode::Summary, true, &JudgeOptions::default());
        assert_eq!(found.action, Action::Apply);
        assert_eq!(found.incomplete, ["truncated"]);
    }

    #[test]
    fn prices_that_moved_quarantine() {
        let moved = |compared: u64, far: u64| {
            let mut prices = PriceMoves {
                compared,
                ..PriceMoves::default()
            };
            prices.rose[6] = far;
            Facts {
                prices,
                ..Facts::default()
            }
        };
        check(&moved(1000, 300), "{}", Action::Apply, "");
        check(
            &moved(1000, 301),
            "{}",
            Action::Quarantine,
            "max_price_shift",
        );
        check(&moved(99, 99), "{}", Action::Apply, "");
        check(
            &moved(1000, 301),
            r#"{"max_price_shift": 1}"#,
            Action::Apply,
            "",
        );
        check(
            &moved(1000, 900),
            r#"{"price_factor": 20}"#,
            Action::Apply,
            "",
        );
        // Nothing stored: nothing to compare.
        check(&moved(0, 0), r#"{"max_price_shift": 0}"#, Action::Apply, "");
    }

    #[test]
    fn rows_without_a_price_quarantine_also_a_first_run() {
        let read = |read: u64, unpriced: u64| Facts {
            unpriced,
            filled: Filled {
                read,
                ..Filled::default()
            },
            ..Facts::default()
        };
        check(&read(1000, 500), "{}", Action::Apply, "");
        check(&read(1000, 501), "{}", Action::Quarantine, "max_zero_price");
        check(&read(99, 99), "{}", Action::Apply, "");
        check(
            &read(1000, 1000),
            r#"{"max_zero_price": 1}"#,
            Action::Apply,
            "",
        );
    }

    #[test]
    fn a_column_that_empties_quarantines() {
        let filled = |read: u64, brand: u64| Filled {
            read,
            columns: [("brand".to_owned(), brand)].into(),
        };
        let facts = |was: Option<(u64, u64)>, is: (u64, u64)| Facts {
            filled: filled(is.0, is.1),
            before: was.map(|(read, brand)| {
                Box::new(Before {
                    run: RunSeq(1),
                    filled: filled(read, brand),
                })
            }),
            ..Facts::default()
        };
        check(&facts(None, (1000, 0)), "{}", Action::Apply, "");
        check(
            &facts(Some((1000, 900)), (2000, 1300)),
            "{}",
            Action::Apply,
            "",
        );
        check(
            &facts(Some((1000, 900)), (1000, 590)),
            "{}",
            Action::Quarantine,
            "brand is filled in 59.0 % of the rows, and was in 90.0 %",
        );
        check(
            &facts(Some((1000, 900)), (1000, 0)),
            r#"{"max_fill_drop_of": {"brand": 1}}"#,
            Action::Apply,
            "",
        );
        check(
            &facts(Some((1000, 900)), (1000, 800)),
            r#"{"max_fill_drop_of": {"brand": 0.05}}"#,
            Action::Quarantine,
            "max_fill_drop_of.brand",
        );
        // What few rows have cannot fall far, and few rows say nothing.
        check(
            &facts(Some((1000, 200)), (1000, 0)),
            "{}",
            Action::Apply,
            "",
        );
        check(&facts(Some((99, 99)), (1000, 0)), "{}", Action::Apply, "");
        // A summary lists what changed.
        let emptied = facts(Some((1000, 900)), (1000, 0));
        let found = ruling(&emptied, FeedMode::Summary, false, &JudgeOptions::default());
        assert_eq!(found.action, Action::Apply);
    }

    #[test]
    fn repeated_ids_quarantine() {
        let facts = |rows, duplicates| Facts {
            rows,
            duplicates,
            ..Facts::default()
        };
        check(&facts(700, 300), "{}", Action::Apply, "");
        check(&facts(699, 301), "{}", Action::Quarantine, "max_duplicates");
        check(&facts(9, 90), "{}", Action::Apply, "");
    }

    #[test]
    fn a_count_that_is_known_holds_and_too_few_rows_quarantine() {
        let facts = |read: u64, deletes| Facts {
            live: 2_000_000,
            deletes,
            rows: read,
            filled: Filled {
                read,
                ..Filled::default()
            },
            ..Facts::default()
        };
        check(
            &facts(499_000, 7),
            "{}",
            Action::HoldDeletes,
            "suspect_rows",
        );
        check(&facts(499_001, 7), "{}", Action::Apply, "");
        let other = r#"{"suspect_rows": [12]}"#;
        check(&facts(12, 7), other, Action::HoldDeletes, "suspect_rows");
        check(&facts(499_000, 7), other, Action::Apply, "");
        // Nothing to hold, but it says so all the same.
        check(&facts(12, 0), other, Action::Apply, "suspect_rows");
        let least = r#"{"min_rows": 10}"#;
        check(&facts(9, 0), least, Action::Quarantine, "min_rows");
        check(&facts(10, 0), least, Action::Apply, "");
        let found = ruling(&facts(9, 0), FeedMode::Summary, false, &options(least));
        assert_eq!(found.action, Action::Apply);
    }

    #[test]
    fn error_text_quarantines_however_small_the_run() {
        let facts = Facts {
            error_text: Some("Fatal error: out of memory".to_owned()),
            rows: 3,
            ..Facts::default()
        };
        check(&facts, "{}", Action::Quarantine, "Fatal error");
    }
}
