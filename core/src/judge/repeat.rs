//! Whether runs have said the same thing often enough to be believed: a shop
//! that really let go of half of its products lists the other half day after
//! day.

use chrono::Duration;

use crate::run::{Run, RunPhase};

/// Row counts that differ by no more than this are equal: a shop goes on
/// trading while somebody wonders about it.
pub const EQUAL_SHARE: f64 = 0.05;

/// Equal runs have to span this long: what an hourly feed says for three hours
/// may be one fault of one night.
pub const SPAN_MIN: Duration = Duration::days(1);

/// Earlier runs that are looked at: four days of an hourly pipe.
pub const LOOK_BACK: usize = 100;

/// Whether `run`, whose deletes only `max_drop` holds, is one of at least
/// `wanted` equal runs in a row. `earlier` are the runs before it, the newest
/// first; one that failed says nothing.
pub fn is_repeated<'a>(run: &Run, earlier: impl Iterator<Item = &'a Run>, wanted: u32) -> bool {
    if wanted == 0 {
        return false;
    }
    let (mut equal, mut oldest) = (1, run.id.due());
    let is_enough = |equal: u32, oldest| equal >= wanted && run.id.due() - oldest >= SPAN_MIN;
    for before in earlier.take(LOOK_BACK) {
        if is_enough(equal, oldest) {
            break;
        }
        match before.phase {
            RunPhase::Failed | RunPhase::Superseded => continue,
            RunPhase::Finished if before.drop_held && is_equal(run, before) => {
                equal += 1;
                oldest = before.id.due();
            }
            RunPhase::Finished
            | RunPhase::Quarantined
            | RunPhase::Planned
            | RunPhase::Collecting
            | RunPhase::Committing
            | RunPhase::Committed => break,
        }
    }
    // A single run spans nothing, and is all that was asked for.
    is_enough(equal, oldest) || wanted == 1
}

fn is_equal(one: &Run, other: &Run) -> bool {
    let (one, other) = (one.counts.rows, other.counts.rows);
    one.abs_diff(other) as f64 <= EQUAL_SHARE * one as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::feed::FeedMode;
    use crate::{PipeId, RunId, RunSeq};

    const HOUR_MS: i64 = 3_600_000;

    fn run(hour: i64, rows: u64, phase: RunPhase, drop_held: bool) -> Run {
        let id = RunId {
            pipe: PipeId::parse("shop").unwrap(),
            seq: RunSeq(1_000_000 * HOUR_MS + hour * HOUR_MS),
        };
        let mut run = Run::plan(id, FeedMode::Full, chrono::DateTime::UNIX_EPOCH);
        run.phase = phase;
        run.counts.rows = rows;
        run.drop_held = drop_held;
        run
    }

    #[test]
    fn equal_runs_over_a_day_are_believed() {
        use RunPhase::{Failed, Finished, Quarantined};
        let check = |earlier: &[Run], wanted: u32, expected: bool| {
            let now = run(72, 1000, Finished, true);
            let found = is_repeated(&now, earlier.iter(), wanted);
            assert_eq!(found, expected, "{wanted} of {earlier:?}");
        };
        let held = |hour, rows| run(hour, rows, Finished, true);
        let days = [held(48, 1000), held(24, 960)];
        check(&days, 3, true);
        check(&days, 4, false);
        check(&days, 0, false);
        check(&days, 1, true);
        check(&[], 2, false);
        check(&[held(48, 1000), held(24, 940)], 3, false);
        // Another run in between ends the row, one that failed does not.
        check(&[run(48, 1000, Finished, false), held(24, 1000)], 2, false);
        check(
            &[run(48, 1000, Quarantined, false), held(24, 1000)],
            2,
            false,
        );
        check(&[run(48, 0, Failed, false), held(24, 1000)], 2, true);
        // Three hours are no day; a day of hours is.
        let hours: Vec<Run> = (0..72).rev().map(|hour| held(hour, 1000)).collect();
        check(&hours[..2], 3, false);
        check(&hours, 3, true);
    }
}
