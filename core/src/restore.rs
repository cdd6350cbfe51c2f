//! Bringing the rows of a pipe back to what they were after an earlier run:
//! which runs that can be done for.
//!
//! A restore is a run of its own: it has a number above every landed one and a
//! document, and it lands in one commit. What it commits and in which order it
//! does the rest is in `trawler_upkeep`.

use chrono::{DateTime, Duration, Utc};

use crate::RunId;
use crate::run::Run;

/// Days for which a replaced state can be brought back, unless set otherwise.
pub const RESTORE_DAYS: u16 = 7;

/// Most that may be set: files and images of so many days are kept.
pub const RESTORE_DAYS_MAX: u16 = 90;

/// Why a run cannot be gone back to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRestore {
    #[error("there is no run {run}; `trawler runs --pipe {}` lists them", run.pipe)]
    NoSuchRun { run: RunId },
    #[error("run {run} is {phase} and never was in the catalogue; choose one that landed")]
    NeverLanded { run: RunId, phase: &'static str },
    #[error("nothing has landed since run {run}: the pipe is as it left it")]
    Newest { run: RunId },
    #[error(
        "what run {run} left was replaced by run {by} at {at}, more than catalogue.restore_days = {days} day(s) ago: its images may be gone"
    )]
    TooOld {
        run: RunId,
        by: RunId,
        at: String,
        days: i64,
    },
}

/// The run that can be gone back to, if it is there.
pub fn landed(to: &RunId, found: Option<Run>) -> Result<Run, CannotRestore> {
    let run = to.clone();
    let Some(target) = found else {
        return Err(CannotRestore::NoSuchRun { run });
    };
    if !target.has_landed() {
        let phase = target.phase.as_str();
        return Err(CannotRestore::NeverLanded { run, phase });
    }
    Ok(target)
}

/// The run that replaced what `to` left, which is where the pipe is gone back
/// to just before. `next` is the first that landed after it.
pub fn replaced_by(
    to: &RunId,
    next: Option<Run>,
    now: DateTime<Utc>,
    kept: Duration,
) -> Result<Run, CannotRestore> {
    let run = to.clone();
    let Some(next) = next else {
        return Err(CannotRestore::Newest { run });
    };
    let at = next.finished.unwrap_or(next.planned);
    if now - at > kept {
        return Err(CannotRestore::TooOld {
            run,
            by: next.id.clone(),
            at: at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            days: kept.num_days(),
        });
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::feed::FeedMode;
    use crate::run::RunPhase;

    fn id(day: u32) -> RunId {
        RunId::parse(&format!("shop@2026-11-{day:02}T03:00:00.000Z")).unwrap()
    }

    fn run(day: u32, phase: RunPhase) -> Run {
        let planned = id(day).due();
        Run {
            phase,
            finished: Some(planned),
            ..Run::plan(id(day), FeedMode::Full, planned)
        }
    }

    #[test]
    fn a_landed_run_can_be_gone_back_to_for_some_days_after_it_was_replaced() {
        use RunPhase::{Failed, Finished, Quarantined};
        let runs = [
            run(1, Finished),
            run(2, Quarantined),
            run(3, Failed),
            run(4, Finished),
            run(5, Finished),
        ];
        let at = |day: u32, hours: i64| id(day).due() + Duration::hours(hours);
        let check = |to: u32, now: DateTime<Utc>, expected: Result<u32, &str>| {
            let to_run = runs.iter().find(|run| run.id == id(to)).cloned();
            let mut later = runs.iter().filter(|run| run.id.seq > id(to).seq);
            let next = later.find(|run| run.has_landed()).cloned();
            let found = landed(&id(to), to_run)
                .and_then(|_| replaced_by(&id(to), next, now, Duration::days(7)));
            let found = found.map(|run| run.id);
            match (found, expected) {
                (Ok(found), Ok(day)) => assert_eq!(found, id(day), "to {to}"),
                (Err(error), Err(says)) => {
                    let error = error.to_string();
                    assert!(error.contains(says), "{says:?} is not in {error:?}");
                }
                (found, expected) => panic!("to {to}: {found:?}, not {expected:?}"),
            }
        };
        // A week after its successor landed, not after itself.
        check(1, at(5, 1), Ok(4));
        check(1, at(11, 0), Ok(4));
        check(1, at(11, 1), Err("catalogue.restore_days = 7"));
        check(4, at(11, 1), Ok(5));
        check(2, at(5, 1), Err("quarantined and never was"));
        check(3, at(5, 1), Err("failed and never was"));
        check(5, at(5, 1), Err("nothing has landed since"));
        check(6, at(5, 1), Err("there is no run"));
    }
}
