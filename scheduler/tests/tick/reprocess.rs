//! A kept input is planned to be read once more, or it is said why not; whoever
//! dies on the way leaves a ledger that fits together.

use trawler_core::feed::FeedMode;
use trawler_core::judge::Facts;
use trawler_core::raw_input::RawInput;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, RunId, RunSeq};
use trawler_fleet::audit;
use trawler_scheduler::{ReprocessError, Scheduler};

use crate::bench::{HOUR, daily, finish_run, run_ids, runs, scheduler, world_at};
use crate::support::World;

fn raw(run: &RunId) -> RawInput {
    RawInput {
        run: run.clone(),
        kept: run.due(),
        prefix: RawInput::prefix(run, 1),
        parts: 1,
        bytes: 1,
        stored_bytes: 1,
        sha256: String::new(),
        etag: None,
        last_modified: None,
        truncated: None,
    }
}

/// Two days that landed, with their inputs.
async fn two_days() -> (World, Scheduler, [RunId; 2]) {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let documents = world.ports.documents();
    let mut landed = Vec::new();
    for _ in 0..2 {
        ticker.tick().await.unwrap();
        let run = runs(&world).last().unwrap().id.clone();
        let found = |document: &mut Run| document.facts = Some(Box::new(Facts::default()));
        documents.change(&Run::key(&run), found).await.unwrap();
        finish_run(&world, &run).await;
        documents
            .put(&RawInput::key(&run), &raw(&run))
            .await
            .unwrap();
        ticker.tick().await.unwrap();
        world.crawl.lose_all();
        world.clock.advance(HOUR * 24);
        landed.push(run);
    }
    // Between two due instants.
    world.clock.advance(HOUR * 23);
    let landed = [landed[0].clone(), landed[1].clone()];
    (world, ticker, landed)
}

#[tokio::test]
async fn the_newest_input_is_chosen_and_an_older_one_needs_force() {
    let (_, ticker, [first, second]) = two_days().await;
    let shop = PipeId::parse("shop").unwrap();
    let landed = Some(second.seq);
    let choose = async |run: Option<&RunId>, forced: bool, landed: Option<RunSeq>| {
        let chosen = ticker.choose_input(&shop, run, forced, landed).await;
        chosen.map(|raw| raw.run)
    };
    assert_eq!(choose(None, false, landed).await.unwrap(), second);
    assert_eq!(choose(Some(&first), true, landed).await.unwrap(), first);
    let older = choose(Some(&first), false, landed).await.unwrap_err();
    assert!(
        matches!(&older, ReprocessError::Older { by, .. } if *by == second),
        "{older}"
    );
    // Of what is not in the catalogue nothing is newer.
    let alone = choose(Some(&first), false, Some(first.seq)).await;
    assert_eq!(alone.unwrap(), first);
    let mut lost = first.clone();
    lost.seq = RunSeq(first.seq.0 + 1);
    let absent = choose(Some(&lost), false, landed).await.unwrap_err();
    assert!(absent.to_string().contains(&second.to_string()), "{absent}");
    let other = PipeId::parse("other").unwrap();
    let none = ticker.choose_input(&other, None, false, None).await;
    assert!(matches!(none, Err(ReprocessError::NothingKept { .. })));
    let foreign = ticker.choose_input(&other, Some(&first), false, None).await;
    assert!(matches!(foreign, Err(ReprocessError::OtherPipe { .. })));
}

#[tokio::test]
async fn a_reprocessing_that_dies_at_any_write_leaves_a_ledger_that_fits() {
    let mut writes = 0;
    loop {
        let (world, ticker, [_, second]) = two_days().await;
        ticker.tick().await.unwrap();
        let before = run_ids(&world).len();
        world.crash.after_writes(writes);
        let died = ticker.reprocess(&second, false).await.is_err();
        world.crash.restart();
        ticker.tick().await.unwrap();
        let problems = audit(&world.ports).await.unwrap().problems;
        assert_eq!(problems, [""; 0], "after {writes} write(s)");
        let planned = runs(&world);
        let made = &planned[before..];
        assert!(made.len() <= 1, "{made:#?}");
        if !died {
            let reread = made[0].rereads.as_ref().unwrap();
            assert_eq!(reread.run, second);
            assert_eq!(made[0].phase, RunPhase::Planned);
            assert!(writes > 2, "only {writes} write(s) were cut off");
            return;
        }
        writes += 1;
    }
}

/// A pipe with a run every ten minutes has 52,000 a year, of 10 to 15 KB.
#[tokio::test]
async fn choosing_an_input_reads_no_more_runs_than_it_has_to() {
    let (world, ticker, [first, second]) = two_days().await;
    let mut document = Run::plan(first.clone(), FeedMode::Full, first.due());
    document.phase = RunPhase::Finished;
    document.facts = Some(Box::new(Facts::default()));
    for n in 1..=5_000 {
        document.id.seq = RunSeq(first.seq.0 - n);
        let bytes = serde_json::to_vec(&document).unwrap();
        world.state.poke(&Run::key(&document.id), &bytes);
    }
    let shop = PipeId::parse("shop").unwrap();
    let asked = async |run: Option<&RunId>| {
        let before = world.bill();
        let chosen = ticker
            .choose_input(&shop, run, false, Some(second.seq))
            .await;
        (chosen.is_ok(), world.bill() - before)
    };
    let (is_chosen, bill) = asked(None).await;
    assert!(is_chosen && bill.gets <= 4 && bill.lists <= 2, "{bill:?}");
    let (is_chosen, bill) = asked(Some(&first)).await;
    assert!(!is_chosen && bill.gets <= 4 && bill.lists <= 2, "{bill:?}");
}
