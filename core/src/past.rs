//! What is kept of runs that are over, so that the next one's time can be told.

use serde::{Deserialize, Serialize};

use crate::run::{Run, RunPhase};

/// Past runs of a pipe that are kept and looked at: two working weeks of a
/// daily pipe.
pub const PAST_MAX: usize = 10;

/// One run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// From its first delivery to its end.
    pub ms: i64,
    pub rows: u64,
    /// Image jobs that it planned.
    #[serde(default)]
    pub image_jobs: u64,
}

impl PastRun {
    /// Of a run that did its work; one that failed or was superseded tells
    /// nothing of the next, nor does one that asked no partner.
    pub fn of(run: &Run) -> Option<Self> {
        if run.input_of().is_some() {
            return None;
        }
        match run.phase {
            RunPhase::Finished | RunPhase::Quarantined => {}
            RunPhase::Planned
            | RunPhase::Collecting
            | RunPhase::Committing
            | RunPhase::Committed
            | RunPhase::Failed
            | RunPhase::Superseded => return None,
        }
        let ms = (run.finished? - run.started?).num_milliseconds();
        (ms >= 0).then_some(Self {
            ms,
            rows: run.counts.rows,
            image_jobs: run.counts.image_jobs,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::RunId;
    use crate::feed::FeedMode;
    use crate::reprocess::Reread;

    #[test]
    fn runs_that_did_their_work_are_kept() {
        let check = |phase: RunPhase, seconds: Option<i64>, expected: Option<i64>| {
            let id = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
            let mut run = Run::plan(id, FeedMode::Full, DateTime::<Utc>::UNIX_EPOCH);
            run.phase = phase;
            run.started = Some(run.planned);
            run.finished = seconds.map(|s| run.planned + TimeDelta::seconds(s));
            assert_eq!(PastRun::of(&run).map(|past| past.ms), expected, "{phase:?}");
        };
        check(RunPhase::Finished, Some(90), Some(90_000));
        check(RunPhase::Quarantined, Some(90), Some(90_000));
        check(RunPhase::Finished, Some(-1), None);
        check(RunPhase::Finished, None, None);
        check(RunPhase::Failed, Some(90), None);
        check(RunPhase::Superseded, Some(90), None);
    }

    #[test]
    fn runs_that_asked_no_partner_are_not_kept() {
        let id = RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap();
        let mut run = Run::plan(id.clone(), FeedMode::Full, DateTime::UNIX_EPOCH);
        run.phase = RunPhase::Finished;
        (run.started, run.finished) = (Some(run.planned), Some(run.planned));
        assert!(PastRun::of(&run).is_some());
        let accepts = Run {
            accepts: Some(id.clone()),
            ..run.clone()
        };
        assert_eq!(PastRun::of(&accepts), None);
        run.rereads = Some(Reread {
            run: id,
            forced: false,
        });
        assert_eq!(PastRun::of(&run), None);
    }
}
