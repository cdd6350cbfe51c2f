//! Whether what a run collected may delist by absence (invariant 5).

use serde::{Deserialize, Serialize};

/// Drop is not judged against fewer live rows than this: a shop of twelve that
/// lets go of seven is no alarm.
pub const DROP_ROWS_MIN: u64 = 100;

/// What a run would do to the rows that are live in its base snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drop {
    pub live: u64,
    pub deletes: u64,
}

/// What to do with the deletes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    Apply,
    Hold,
}

/// Why the deletes are held, if they are. `incomplete` are the reasons that
/// collecting found; `by_absence` tells whether the deletes were inferred from
/// absence (full run) or said by the partner (summary run).
///
/// Deletes that the partner said are applied also by an incomplete run, but
/// count towards `max_drop` like the others.
pub fn judge_deletes(
    incomplete: &[String],
    by_absence: ByAbsence,
    drop: Drop,
    max_drop: f64,
) -> (Deletes, Vec<String>) {
    let mut reasons = incomplete.to_vec();
    let mut hold = by_absence == ByAbsence::Yes && !reasons.is_empty() && drop.deletes > 0;
    if exceeds(drop, max_drop) {
        reasons.push(format!(
            "{} of {} live rows would be delisted, more than max_drop = {max_drop} allows",
            drop.deletes, drop.live
        ));
        hold = true;
    }
    (if hold { Deletes::Hold } else { Deletes::Apply }, reasons)
}

/// Whether deletes come from absence in a full run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByAbsence {
    Yes,
    No,
}

fn exceeds(drop: Drop, max_drop: f64) -> bool {
    // Rows are far below 2^52, so the conversion is exact.
    drop.live >= DROP_ROWS_MIN && drop.deletes as f64 > max_drop * drop.live as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_run_never_delists_by_absence() {
        let check = |incomplete: bool, by_absence, live, deletes, expected| {
            let reasons = if incomplete {
                vec!["truncated".to_owned()]
            } else {
                vec![]
            };
            let (found, why) = judge_deletes(&reasons, by_absence, Drop { live, deletes }, 0.3);
            assert_eq!(found, expected, "{incomplete} {live} {deletes}");
            assert_eq!(
                found == Deletes::Hold,
                !why.is_empty() && (deletes > 0),
                "says so: {why:?}"
            );
        };
        use ByAbsence::{No, Yes};
        check(false, Yes, 1000, 300, Deletes::Apply);
        check(false, Yes, 1000, 301, Deletes::Hold);
        check(false, Yes, 1000, 0, Deletes::Apply);
        check(true, Yes, 1000, 1, Deletes::Hold);
        check(true, Yes, 10, 9, Deletes::Hold);
        // Below 100 live rows the share says nothing.
        check(false, Yes, 99, 99, Deletes::Apply);
        check(false, Yes, 100, 31, Deletes::Hold);
        // Said by the partner: applied, but within max_drop.
        check(false, No, 1000, 300, Deletes::Apply);
        check(false, No, 1000, 301, Deletes::Hold);
    }

    #[test]
    fn explicit_deletions_of_an_incomplete_summary_are_applied() {
        let (deletes, why) = judge_deletes(
            &["truncated".to_owned()],
            ByAbsence::No,
            Drop {
                live: 1000,
                deletes: 10,
            },
            0.3,
        );
        assert_eq!(deletes, Deletes::Apply);
        assert_eq!(why, ["truncated"]);
    }
}
