//! A kept input is planned to be read once more, or it is said why not; whoever
//! dies on the way leaves a ledger that fits together.

use trawler_core::feed::FeedMode;
use trawler_core::judge::Facts;
use trawler_core::open_runs::OpenRuns;
use trawler_core::raw_input::RawInput;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, RunId, RunSeq};
use trawler_fleet::audit;
use trawler_scheduler::{Decider, ReprocessError, Scheduler};

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
        // Whoever goes on asks the partner as little as the dead one would have.
        for run in made {
            let reread = run.rereads.as_ref().unwrap();
            assert_eq!(reread.run, second, "after {writes} write(s)");
            assert_eq!(run.phase, RunPhase::Planned);
        }
        if !died {
            assert_eq!(made.len(), 1);
            assert!(writes > 2, "only {writes} write(s) were cut off");
            return;
        }
        writes += 1;
    }
}

/// The tick found the number open and planned a run that asked the partner,
/// while the command said that the input was read.
#[tokio::test]
async fn a_number_that_another_run_has_is_not_given_to_a_reread() {
    let (world, ticker, [_, second]) = two_days().await;
    let shop = PipeId::parse("shop").unwrap();
    let ordinary = ticker.run_now(&shop).await.unwrap();
    let taken = ticker.reprocess(&second, false).await.unwrap_err();
    assert!(
        matches!(&taken, ReprocessError::Taken { run } if *run == ordinary),
        "{taken}"
    );
    world.clock.advance(HOUR);
    let planned = ticker.reprocess(&second, false).await.unwrap();
    let rereads = |run: &Run| run.rereads.as_ref().map(|reread| reread.run.clone());
    let planned: Option<Run> = world
        .ports
        .documents()
        .get(&Run::key(&planned))
        .await
        .unwrap();
    assert_eq!(planned.as_ref().and_then(rereads), Some(second));
    let first: Option<Run> = world
        .ports
        .documents()
        .get(&Run::key(&ordinary))
        .await
        .unwrap();
    assert_eq!(first.as_ref().and_then(rereads), None);
}

/// Ends a run that began an hour ago; what is known of the pipe's runs then.
async fn ends(world: &World, ticker: &Scheduler, run: &RunId, change: fn(&mut Run)) -> OpenRuns {
    let (documents, now) = (world.ports.documents(), world.ports.clock.now());
    let times = |document: &mut Run| {
        document.started = Some(now - HOUR);
        document.finished = Some(now);
    };
    documents.change(&Run::key(run), times).await.unwrap();
    finish_run(world, run).await;
    documents.change(&Run::key(run), change).await.unwrap();
    ticker.tick().await.unwrap();
    world.crawl.lose_all();
    let known = documents.get(&OpenRuns::key(&run.pipe)).await.unwrap();
    known.unwrap()
}

/// While a partner was down, a kept input that was read once more made the pipe
/// look fresh, and six quick ones made its next crawl look short.
#[tokio::test]
async fn a_kept_input_is_as_old_as_its_run_and_tells_no_time() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let shop = daily().id;
    ticker.tick().await.unwrap();
    let first = runs(&world)[0].id.clone();
    world.clock.advance(HOUR);
    let asked = world.ports.clock.now();
    let known = ends(&world, &ticker, &first, |_| ()).await;
    assert_eq!((known.complete, known.past.len()), (Some(asked), 1));

    world.clock.advance(HOUR * 5);
    let reread = ticker.reprocess(&first, false).await.unwrap();
    let known = ends(&world, &ticker, &reread, |_| ()).await;
    assert_eq!((known.complete, known.past.len()), (Some(asked), 1));
    assert_eq!((&*known.open, known.rereads.len()), (&[][..], 0));

    // What a person accepts came when the run came that was doubted.
    world.clock.advance(HOUR);
    let doubted = ticker.run_now(&shop).await.unwrap();
    let asked = world.ports.clock.now();
    let quarantined = |run: &mut Run| run.phase = RunPhase::Quarantined;
    let known = ends(&world, &ticker, &doubted, quarantined).await;
    assert_eq!(known.past.len(), 2);
    assert!(known.complete < Some(asked));
    let documents = world.ports.documents();
    let raw = raw(&doubted);
    documents.put(&RawInput::key(&doubted), &raw).await.unwrap();
    world.clock.advance(HOUR * 2);
    let decider = Decider {
        by: "ann".to_owned(),
        why: String::new(),
    };
    let accepting = ticker.accept(&doubted, &decider, None).await.unwrap();
    let known = ends(&world, &ticker, &accepting, |_| ()).await;
    assert_eq!((known.complete, known.past.len()), (Some(asked), 2));
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
