//! Reading a kept input once more: which input may be, so that nobody puts an
//! older state of a shop over a newer one without meaning to.

use serde::{Deserialize, Serialize};

use crate::run::Run;
use crate::{RunId, RunSeq};

/// What a run reads instead of asking the partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reread {
    /// The run whose input was kept.
    pub run: RunId,
    /// Whether a person said that an older input is wanted.
    #[serde(default)]
    pub forced: bool,
}

/// Whether a run of the same pipe brought in something newer than the input of
/// `input`: it is in the catalogue, of which `landed` is the last, and read an
/// input of its own. Runs that found nothing new do not count, nor do those
/// that read this very input. A restore counts: the person who made it did not
/// want what came after.
pub fn is_newer(run: &Run, input: &RunId, landed: Option<RunSeq>) -> bool {
    let rereads = run.rereads.as_ref().map(|reread| &reread.run);
    let reads_the_same = run.accepts.as_ref() == Some(input) || rereads == Some(input);
    run.id.seq > input.seq
        && Some(run.id.seq) <= landed
        && run.has_landed()
        && (run.facts.is_some() || run.restores.is_some())
        && !reads_the_same
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::DateTime;

    use super::*;
    use crate::feed::FeedMode;
    use crate::judge::Facts;
    use crate::run::RunPhase;

    fn id(second: u32) -> RunId {
        RunId::parse(&format!("shop@2026-11-21T03:00:{second:02}.000Z")).unwrap()
    }

    fn run(second: u32, phase: RunPhase) -> Run {
        Run {
            phase,
            facts: Some(Box::new(Facts::default())),
            ..Run::plan(id(second), FeedMode::Full, DateTime::UNIX_EPOCH)
        }
    }

    fn newer(input: &RunId, landed: Option<RunSeq>, runs: &[Run]) -> Option<RunId> {
        let newer = runs.iter().filter(|run| is_newer(run, input, landed));
        newer.map(|run| run.id.clone()).max_by_key(|id| id.seq)
    }

    #[test]
    fn an_input_is_older_when_another_one_landed_after_it() {
        use RunPhase::{Failed, Finished, Quarantined, Superseded};
        let landed = id(9).seq;
        let check = |runs: &[Run], expected: Option<u32>| {
            let found = newer(&id(1), Some(landed), runs);
            assert_eq!(found, expected.map(id), "{runs:#?}");
        };
        check(&[], None);
        check(&[run(1, Finished)], None);
        check(&[run(1, Finished), run(2, Finished)], Some(2));
        check(&[run(3, Finished), run(2, Finished)], Some(3));
        check(
            &[run(2, Quarantined), run(3, Failed), run(4, Superseded)],
            None,
        );
        // An unchanged day reads nothing.
        let mut unchanged = run(2, Finished);
        unchanged.facts = None;
        check(std::slice::from_ref(&unchanged), None);
        unchanged.restores = Some(id(0));
        check(&[unchanged], Some(2));
        let mut same = run(2, Finished);
        same.accepts = Some(id(1));
        check(std::slice::from_ref(&same), None);
        same.accepts = None;
        same.rereads = Some(Reread {
            run: id(1),
            forced: false,
        });
        check(&[same], None);
        // Of another input.
        let mut other = run(2, Finished);
        other.accepts = Some(id(0));
        check(&[other], Some(2));
        // At its commit, and in the catalogue.
        let mut left = run(2, RunPhase::Committing);
        check(std::slice::from_ref(&left), None);
        left.version = Some(7);
        check(&[left], Some(2));
        // Before anything landed nothing is newer.
        let runs = [run(2, Finished)];
        assert_eq!(newer(&id(1), None, &runs), None);
        assert_eq!(newer(&id(1), Some(RunSeq(landed.0 - 7_500)), &runs), None);
    }
}
