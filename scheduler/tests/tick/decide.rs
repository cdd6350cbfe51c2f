//! What a person decides stands once, whoever dies on the way.

use trawler_core::decision::{Decided, Decision};
use trawler_core::ledger::JobStatus;
use trawler_core::raw_input::RawInput;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, RunId, RunSeq};
use trawler_fleet::audit;
use trawler_scheduler::{DecideError, Decider, Scheduler};

use crate::bench::{CRAWL, daily, run_ids, runs, scheduler, settle, world_at};
use crate::support::World;

const RUN: &str = "shop@2026-11-21T03:00:00.000Z";

const ACCEPTING: &str = "shop@2026-11-21T03:00:00.001Z";

fn decider(by: &str) -> Decider {
    Decider {
        by: by.to_owned(),
        why: "seen it".to_owned(),
    }
}

/// A run that is quarantined, and its kept input.
async fn doubtful() -> (World, Scheduler, RunId) {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    ticker.tick().await.unwrap();
    let run = RunId::parse(RUN).unwrap();
    end(&world, &run, RunPhase::Quarantined).await;
    let raw = RawInput {
        run: run.clone(),
        kept: chrono::DateTime::UNIX_EPOCH,
        prefix: RawInput::prefix(&run, 1),
        parts: 1,
        bytes: 1,
        stored_bytes: 1,
        sha256: String::new(),
        etag: None,
        last_modified: None,
        truncated: None,
    };
    let documents = world.ports.documents();
    documents.put(&RawInput::key(&run), &raw).await.unwrap();
    ticker.tick().await.unwrap();
    world.crawl.lose_all();
    (world, ticker, run)
}

async fn end(world: &World, run: &RunId, phase: RunPhase) {
    let documents = world.ports.documents();
    documents
        .change(&Run::key(run), |run: &mut Run| run.phase = phase)
        .await
        .unwrap();
    settle(world, CRAWL, &JobId::from(run), JobStatus::Done).await;
}

async fn decision(world: &World, run: &RunId) -> Option<Decision> {
    let found = world.ports.documents().get(&Decision::key(run)).await;
    found.unwrap()
}

#[tokio::test]
async fn an_acceptance_that_dies_at_any_write_is_carried_out_once_or_not_at_all() {
    let (mut writes, mut undone, mut healed) = (0, 0, 0);
    loop {
        let (world, ticker, run) = doubtful().await;
        world.crash.after_writes(writes);
        let died = ticker.accept(&run, &decider("ann"), None).await.is_err();
        world.crash.restart();
        // Another process looks, before the person tries again.
        ticker.tick().await.unwrap();
        let stands = decision(&world, &run).await.is_some();
        let is_planned = runs(&world).len() == 2;
        // A tick finds what is open; only between the number and the decision
        // there is nothing that it could carry out.
        assert!(stands || !is_planned, "{writes}");
        if died && is_planned {
            healed += 1;
        }
        if !is_planned {
            undone += 1;
            let again = ticker.accept(&run, &decider("kim"), None).await;
            assert_eq!(again.unwrap().to_string(), ACCEPTING, "{writes}");
        }
        assert_eq!(run_ids(&world), [RUN, ACCEPTING], "{writes}");
        let planned = runs(&world);
        let [before, accepting] = &*planned else {
            panic!("two runs")
        };
        assert_eq!(accepting.accepts.as_ref(), Some(&run), "{writes}");
        assert_eq!(before.decided, Some(Decided::Accepted), "{writes}");
        assert_eq!(world.crawl.len(), 1, "{writes}");
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        let again = ticker.accept(&run, &decider("eve"), None).await;
        let Err(DecideError::Decided { decision, .. }) = again else {
            panic!("{writes}: {again:?}");
        };
        assert_eq!(decision.by, if stands { "ann" } else { "kim" }, "{writes}");
        // It ends as any run, and the pipe goes on.
        let accepting = accepting.id.clone();
        end(&world, &accepting, RunPhase::Finished).await;
        ticker.tick().await.unwrap();
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if !died {
            break;
        }
        writes += 1;
    }
    println!("{writes} deaths: {undone} before the decision, {healed} healed by the tick");
    assert!(writes >= 6 && undone >= 1 && healed >= 3);
}

#[tokio::test]
async fn what_cannot_be_accepted_is_refused_and_changes_nothing() {
    let (world, ticker, run) = doubtful().await;
    let ann = decider("ann");
    let later = Some(RunSeq(run.seq.0 + 1));
    let refused = ticker.accept(&run, &ann, later).await;
    assert!(matches!(refused, Err(DecideError::Overtaken { .. })));
    let nobody = RunId::parse("shop@2026-11-20T03:00:00.000Z").unwrap();
    let refused = ticker.accept(&nobody, &ann, None).await;
    assert!(matches!(refused, Err(DecideError::NoSuchRun { .. })));
    let documents = world.ports.documents();
    documents.delete(&RawInput::key(&run)).await.unwrap();
    let refused = ticker.accept(&run, &ann, None).await;
    assert!(matches!(refused, Err(DecideError::NoInput { .. })));
    assert_eq!(
        (decision(&world, &run).await, runs(&world).len()),
        (None, 1)
    );
    // What lies before the run does not stand against it.
    ticker.reject(&run, &ann).await.unwrap();
    let again = ticker.accept(&run, &ann, Some(RunSeq(1))).await;
    assert!(matches!(again, Err(DecideError::Decided { .. })));
    let again = ticker.reject(&run, &ann).await;
    assert!(matches!(again, Err(DecideError::Decided { .. })));
    assert_eq!(runs(&world)[0].decided, Some(Decided::Rejected));
    ticker.tick().await.unwrap();
    assert_eq!(run_ids(&world), [RUN]);
}

#[tokio::test]
async fn of_two_who_decide_at_once_one_stands() {
    for _ in 0..20 {
        let (world, _, run) = doubtful().await;
        let decide = |by: &'static str, accepts: bool| {
            let (ticker, run) = (scheduler(&world, &[daily()]), run.clone());
            async move {
                match accepts {
                    true => ticker.accept(&run, &decider(by), None).await.is_ok(),
                    false => ticker.reject(&run, &decider(by)).await.is_ok(),
                }
            }
        };
        let (one, other) = tokio::join!(decide("ann", true), decide("bob", false));
        assert!(one != other, "{one} {other}");
        let ticker = scheduler(&world, &[daily()]);
        ticker.tick().await.unwrap();
        let accepted = runs(&world).len() == 2;
        assert_eq!(accepted, one);
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
    }
}
