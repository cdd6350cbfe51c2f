//! What speaks for a full feed and what for a summary. It is never decided
//! here: a summary that is read as full delists what it does not mention.

use serde::Serialize;

use super::names::fold;
use super::table::Table;

/// Rows below which a whole file is small for a shop.
const FEW_ROWS: usize = 20;

/// Words in an address, of parts between punctuation.
const SUMMARY_WORDS: &[&str] = &[
    "summary",
    "sum",
    "partial",
    "part",
    "update",
    "updates",
    "updated",
    "delta",
    "diff",
    "change",
    "changes",
    "changed",
    "incremental",
    "inc",
    "요약",
    "변경",
];
const FULL_WORDS: &[&str] = &["full", "all", "whole", "entire", "total", "전체"];

/// Sentences for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ModeEvidence {
    pub for_full: Vec<String>,
    pub for_summary: Vec<String>,
    /// What looks like evidence and is none.
    pub says_nothing: Vec<String>,
    /// Whether the feed can be read as a summary at all.
    pub has_class: bool,
    /// Rows of class D among the first.
    pub deletions: usize,
}

/// `place` is the address or path of the feed.
pub(super) fn evidence(table: Option<&Table>, place: &str, is_whole: bool) -> ModeEvidence {
    let mut found = ModeEvidence::default();
    let words: Vec<String> = place
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .collect();
    let named = |list: &[&str]| {
        words
            .iter()
            .find(|word| list.contains(&word.as_str()))
            .cloned()
    };
    if let Some(word) = named(SUMMARY_WORDS) {
        found
            .for_summary
            .push(format!("its address has the word {word:?}"));
    }
    if let Some(word) = named(FULL_WORDS) {
        found
            .for_full
            .push(format!("its address has the word {word:?}"));
    }
    let Some(table) = table else {
        found
            .says_nothing
            .push("a format without the field class cannot be read as a summary".to_owned());
        return found;
    };
    classes(table, &mut found);
    if has(table, "updatetime") {
        found.says_nothing.push(
            "it has update_time, which some shop software writes into full feeds too".to_owned(),
        );
    }
    let rows = table.rows.len();
    if is_whole && rows < FEW_ROWS {
        found.for_summary.push(format!("it has {rows} row(s) only"));
    }
    if !is_whole {
        found
            .for_full
            .push("it is longer than what was looked at".to_owned());
    }
    found
}

fn has(table: &Table, folded: &str) -> bool {
    table.names.iter().any(|name| fold(name) == folded)
}

fn classes(table: &Table, found: &mut ModeEvidence) {
    let at = table.names.iter().position(|name| fold(name) == "class");
    let Some(at) = at else {
        found
            .for_full
            .push("it has no field class (I, U or D on every row)".to_owned());
        return;
    };
    let count = |letter: &str| {
        let values = table.values_at(at);
        values
            .filter(|value| value.eq_ignore_ascii_case(letter))
            .count()
    };
    let (new, updates, deletes) = (count("I"), count("U"), count("D"));
    let rows = table.rows.len();
    found.has_class = true;
    found.deletions = deletes;
    if deletes > 0 {
        found.for_summary.push(format!(
            "{deletes} of the first {rows} rows are deletions (class D), which full feeds seldom have"
        ));
    } else if new + updates == rows {
        found.says_nothing.push(format!(
            "all of the first {rows} rows have class I ({new}) or U ({updates}); some shop software \
             writes class into full feeds too"
        ));
    } else {
        found.for_full.push(format!(
            "{} of the first {rows} rows have no class of I, U or D",
            rows - new - updates
        ));
    }
    if updates > 0 && new > 0 {
        found
            .for_summary
            .push("classes differ from row to row".to_owned());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::onboard::rows::layout;

    fn told(text: &str, place: &str, is_whole: bool) -> (String, String, String) {
        let table = layout(text, true).unwrap().table;
        let found = evidence(Some(&table), place, is_whole);
        (
            found.for_full.join("; "),
            found.for_summary.join("; "),
            found.says_nothing.join("; "),
        )
    }

    #[test]
    fn both_sides_are_heard() {
        let (full, summary, _) = told("id\ttitle\n1\ta\n", "https://a/ep_all.tsv", false);
        assert!(
            full.contains("\"all\"") && full.contains("no field class"),
            "{full}"
        );
        assert!(full.contains("longer than"), "{full}");
        assert_eq!(summary, "");
        let rows = "id\ttitle\tclass\tupdate_time\n1\ta\tI\tx\n2\tb\tU\tx\n3\tc\tD\tx\n";
        let (full, summary, nothing) = told(rows, "https://a/ep.summary.tsv", true);
        assert_eq!(full, "");
        assert!(
            summary.contains("1 of the first 3 rows are deletions"),
            "{summary}"
        );
        assert!(summary.contains("\"summary\"") && summary.contains("3 row(s) only"));
        assert!(nothing.contains("update_time"), "{nothing}");
        // Shop software that writes class into full feeds.
        let rows = "id\ttitle\tclass\n1\ta\tU\n2\tb\tU\n";
        let (_, _, nothing) = told(rows, "https://a/ep.tsv", true);
        assert!(nothing.contains("all of the first 2 rows"), "{nothing}");
        // Part of a word is no word.
        let (_, summary, _) = told("id\ttitle\n1\ta\n", "https://summarise.example/ep", false);
        assert_eq!(summary, "");
    }
}
