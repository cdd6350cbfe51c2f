//! A run that nobody believed, until a person did: whoever dies between the
//! word and the commit, and after it, the rows are there once.

use trawler_core::RunId;
use trawler_core::decision::{Decided, Decision};
use trawler_core::ledger::JobStatus;
use trawler_core::run::{Run, RunPhase};
use trawler_shop::Shop;

use super::fleet::{Ended, Fleet};
use super::outcome::Outcome;
use super::{on_a_thread_of_its_own, spec};

/// A decision and a run with images and a fold have more writes; fewer would
/// say that the count is wrong.
const WRITES_MIN: u64 = 40;

/// The shop's run, quarantined for want of rows.
async fn doubted(shop: &Shop) -> (Fleet, RunId) {
    let mut fleet = Fleet::new(shop);
    fleet.pipe.judge.min_rows = 1_000;
    assert_eq!(fleet.live(None).await, Ended::Settled);
    let runs: Vec<Run> = fleet.documents("runs/");
    let [run] = &*runs else {
        panic!("{runs:?}");
    };
    assert_eq!(run.phase, RunPhase::Quarantined, "{run:?}");
    let found = Outcome::of(&fleet).await;
    assert!(found.rows.is_empty() && found.commits.is_empty());
    assert!(found.audit.is_settled(), "{:?}", found.audit);
    (fleet, run.id.clone())
}

async fn check(fleet: &Fleet, run: &RunId, writes: u64) {
    let after = format!("a death after write {writes}");
    let found = Outcome::of(fleet).await;
    assert_eq!(found.rows.len(), 3, "{after}");
    let mut commits: Vec<_> = found.commits.iter().collect();
    commits.retain(|((app, _), _)| *app == run.pipe.to_string());
    let accepting = Decision::run_of(run);
    let expected = (run.pipe.to_string(), accepting.seq.0);
    assert_eq!(commits, [(&expected, &1)], "{after}");
    assert!(found.commits.values().all(|times| *times == 1), "{after}");
    assert_eq!(found.images.len(), 2, "{after}");
    assert_eq!(found.stored_twice, [""; 0], "{after}");
    let [before, brought_in] = &*found.runs else {
        panic!("{after}: {:?}", found.runs);
    };
    assert_eq!(before.phase, RunPhase::Quarantined, "{after}");
    assert_eq!(before.decided, Some(Decided::Accepted), "{after}");
    assert_eq!(brought_in.phase, RunPhase::Finished, "{after}");
    assert_eq!(brought_in.accepts.as_ref(), Some(run), "{after}");
    assert_eq!(fleet.keys("decisions/").len(), 1, "{after}");
    assert!(found.audit.is_settled(), "{after}: {:?}", found.audit);
    assert_eq!(found.audit.count(JobStatus::Dead), 0, "{after}");
}

#[test]
fn an_acceptance_survives_a_death_after_any_write() {
    on_a_thread_of_its_own(async {
        let shop = Shop::start(spec()).await.unwrap();
        for writes in 1.. {
            println!("a death after write {writes}");
            let (fleet, run) = doubted(&shop).await;
            fleet.accept(&run);
            let ended = fleet.live(Some(writes)).await;
            if ended == Ended::Died {
                fleet.let_leases_end();
                assert_eq!(fleet.live(None).await, Ended::Settled);
            }
            check(&fleet, &run, writes).await;
            if ended == Ended::Settled {
                assert!(writes >= WRITES_MIN, "only {writes} writes");
                break;
            }
        }
    });
}
