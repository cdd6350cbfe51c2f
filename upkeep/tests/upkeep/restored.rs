//! A restore that dies at any write goes on with the next call, and one that
//! meets another commit of the pipe gives way to it and then undoes it too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use trawler_catalogue::{Deletes, Mode, SortLimits, Watermark};
use trawler_core::book::BookRef;
use trawler_core::decision::{Decided, Decision};
use trawler_core::feed::FeedMode;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::pause::{Pause, PauseScope};
use trawler_core::ports::{State, StateEntry, StateError, Version, Versioned};
use trawler_core::restore::CannotRestore;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, RunId, RunSeq};
use trawler_fleet::{Documents, Pauses, audit};
use trawler_upkeep::{RestoreError, RestoreOptions, Restored, Upkeep};

use crate::testing::{Product, Row, Table, changes_of, replay, run_of};
use crate::world::{DAY, World};

fn products(from: usize, to: usize, title: &str) -> Vec<Product> {
    (from..to)
        .map(|n| Product::new(&format!("{n:05}")).title(title))
        .collect()
}

/// A run of the table with its document.
async fn day(world: &World, day: i64, products: &[Product]) -> RunId {
    let (_, version) = world.table.full_run(&world.shop, day, products).await;
    let run = run_of(&world.shop, day);
    landed(&world.ports.documents(), &run, version).await;
    run
}

async fn landed(documents: &Documents, run: &RunId, version: i64) {
    let document = Run {
        phase: RunPhase::Finished,
        version: Some(version),
        finished: Some(run.due()),
        ..Run::plan(run.clone(), FeedMode::Full, run.due())
    };
    documents.put(&Run::key(run), &document).await.unwrap();
}

fn options(to: &RunId) -> RestoreOptions {
    RestoreOptions {
        to: to.clone(),
        by: "ann".to_owned(),
        why: String::new(),
        kept: chrono::Duration::days(7),
        sort: SortLimits::default(),
    }
}

/// Two days, of which the second is to be undone, and its rows before.
async fn damaged(world: &World) -> (RunId, BTreeMap<String, Row>) {
    let good = day(world, 0, &products(0, 300, "good")).await;
    let before = world.table.rows(&world.shop, 100).await;
    let mut bad = products(50, 200, "good");
    bad.extend(products(200, 320, "bad"));
    day(world, 1, &bad).await;
    world.pass(DAY * 2 + DAY / 24);
    let documents = world.ports.documents();
    let learned = FeedValidators {
        seq: run_of(&world.shop, 1).seq,
        fingerprint: "print".to_owned(),
        etag: Some("\"bad\"".to_owned()),
        last_modified: None,
        sha256: "bad".to_owned(),
    };
    let key = FeedValidators::key(&world.shop);
    documents.put(&key, &learned).await.unwrap();
    (good, before)
}

async fn restore(world: &World, to: &RunId) -> Result<Restored, RestoreError> {
    let pauses = Pauses::new(&world.ports);
    world.upkeep.restore(&options(to), &pauses).await
}

async fn restores(world: &World) -> Vec<Run> {
    let documents = world.ports.documents();
    let runs = documents.load::<Run>("runs/", usize::MAX).await.unwrap();
    let restores = runs.iter().filter(|run| run.restores.is_some());
    restores.map(|run| Run::clone(run)).collect()
}

/// Everything that follows from a restore is there.
async fn holds(world: &World, restore: &Run, before: &BTreeMap<String, Row>) {
    assert_eq!(&world.table.rows(&world.shop, 100).await, before);
    assert_eq!(restore.phase, RunPhase::Finished);
    assert_eq!(restore.decided, Some(Decided::Restored));
    let documents = world.ports.documents();
    let decision: Option<Decision> = documents.get(&Decision::key(&restore.id)).await.unwrap();
    assert_eq!(decision.unwrap().by, "ann");
    let pause = PauseScope::Pipe(world.shop.clone()).key();
    let pause: Option<Pause> = documents.get(&pause).await.unwrap();
    assert!(pause.unwrap().reason.contains("trawler resume"));
    let key = FeedValidators::key(&world.shop);
    let known: Option<FeedValidators> = documents.get(&key).await.unwrap();
    let known = known.unwrap();
    assert_eq!((known.seq, known.etag), (restore.id.seq, None));
    let book: Option<BookRef> = documents.get(&BookRef::key(&world.shop)).await.unwrap();
    assert_eq!(book.unwrap().seq, restore.id.seq);
    let audit = audit(&world.ports).await.unwrap();
    assert_eq!(audit.problems, [""; 0]);
}

#[tokio::test]
async fn a_restore_that_dies_at_any_write_goes_on_with_the_next_call() {
    let mut writes = 0;
    loop {
        let world = World::new().await;
        let (good, before) = damaged(&world).await;
        let after = world.table.rows(&world.shop, 100).await;
        let end = Watermark::after(&world.table.catalogue.snapshot().await.unwrap());
        world.mem.crash.after_writes(writes);
        let died = restore(&world, &good).await;
        world.mem.crash.restart();
        tells_how_far_it_came(&world, died.as_ref().err(), &good).await;
        let died = died.is_err();
        if died {
            let again = restore(&world, &good).await.unwrap();
            assert!(again.run.is_some(), "{writes}: nothing to go on with");
            let counts = (again.inserts, again.updates, again.deletes);
            assert_eq!(counts, (50, 100, 20), "{writes}");
        }
        let found = restores(&world).await;
        let [only] = &*found else {
            panic!("{writes}: {found:#?}");
        };
        holds(&world, only, &before).await;
        // Once, whoever called how often.
        let mut copy: BTreeMap<(String, String), Row> = after
            .into_iter()
            .map(|(id, row)| ((world.shop.to_string(), id), row))
            .collect();
        let (changes, _) = changes_of(&world.table.catalogue, end, None, 1_000).await;
        replay(&mut copy, changes);
        let rows: Vec<Row> = copy.into_values().collect();
        assert_eq!(
            rows,
            before.values().cloned().collect::<Vec<_>>(),
            "{writes}"
        );
        let more = restore(&world, &good).await.unwrap();
        assert_eq!((more.run, more.version), (None, None));
        if !died {
            assert!(writes > 5, "only {writes} write(s) were cut off");
            return;
        }
        writes += 1;
    }
}

/// Who finds the pipe paused, or its restore ended, knows whether its rows are
/// those of then.
async fn tells_how_far_it_came(world: &World, error: Option<&RestoreError>, to: &RunId) {
    let documents = world.ports.documents();
    let pause = PauseScope::Pipe(world.shop.clone()).key();
    let pause: Option<Pause> = documents.get(&pause).await.unwrap();
    let reason = pause.map_or(String::new(), |pause| pause.reason);
    let snapshot = world.table.catalogue.snapshot().await.unwrap();
    let found = restores(world).await;
    let is_back = found
        .first()
        .is_some_and(|run| snapshot.txn(world.shop.as_str()) == Some(run.id.seq.0));
    if reason.contains("trawler resume") {
        assert!(is_back, "{reason}");
        assert!(
            reason.starts_with(&format!("restored to run {to}")),
            "{reason}"
        );
    } else if !reason.is_empty() {
        let expected = format!("the restore to run {to} is under way");
        assert!(reason.starts_with(&expected), "{reason}");
        assert!(reason.contains("same command"), "{reason}");
    }
    let Some(error) = error else {
        return;
    };
    let text = error.to_string();
    let is_begun = found.iter().any(|run| run.decided.is_some());
    if is_begun {
        assert!(text.contains("the same command goes on"), "{text}");
    }
    if !reason.is_empty() {
        assert!(text.contains("paused"), "{text}");
    }
}

type Act = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// Does something when the pipe is paused: a run at its commit.
struct OnPause {
    inner: Arc<dyn State>,
    act: Mutex<Option<Act>>,
}

#[async_trait]
impl State for OnPause {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        self.inner.get(key).await
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        let act = match key.starts_with("pause/pipe/") {
            true => self.act.lock().unwrap().take(),
            false => None,
        };
        if let Some(act) = act {
            act().await;
        }
        self.inner.create(key, value).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        self.inner.replace(key, value, expected).await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.inner.delete(key, expected).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.inner.list(prefix, after, limit).await
    }
}

/// Restores while a run of the day commits in the very moment of the pause.
async fn restore_beside(
    day: i64,
) -> (World, Result<Restored, RestoreError>, BTreeMap<String, Row>) {
    let world = World::new().await;
    let (good, before) = damaged(&world).await;
    let (table, pipe): (Arc<Table>, PipeId) = (Arc::clone(&world.table), world.shop.clone());
    let act: Act = Box::new(move || {
        Box::pin(async move {
            let run = run_of(&pipe, day);
            let staged = table.staged(&products(0, 310, "late"), &[]);
            let (_, prepared) = table
                .prepare(&run, &staged, Mode::Full, Deletes::Apply)
                .await;
            table.commit(&prepared, &run).await;
        })
    });
    let state = OnPause {
        inner: Arc::clone(&world.ports.state),
        act: Mutex::new(Some(act)),
    };
    let mut ports = world.ports.clone();
    ports.state = Arc::new(state);
    let upkeep = Upkeep {
        ports: ports.clone(),
        catalogue: Arc::clone(&world.upkeep.catalogue),
        scratch: world.upkeep.scratch.clone(),
    };
    let (options, pauses) = (options(&good), Pauses::new(&ports));
    let restoring = upkeep.restore(&options, &pauses);
    // It waits between two tries, by a clock that stands still.
    let passing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            world.mem.clock.advance(Duration::from_millis(10));
        }
    };
    let restored = tokio::select! {
        restored = restoring => restored,
        () = passing => unreachable!("time does not end"),
    };
    (world, restored, before)
}

#[tokio::test]
async fn a_run_that_commits_in_between_is_undone_as_well() {
    let (world, restored, before) = restore_beside(2).await;
    let restored = restored.unwrap();
    assert_eq!(restored.updates, 300);
    assert_eq!(restored.deletes, 10);
    let found = restores(&world).await;
    holds_rows(&world, &found[0], &before).await;
}

async fn holds_rows(world: &World, restore: &Run, before: &BTreeMap<String, Row>) {
    assert_eq!(&world.table.rows(&world.shop, 100).await, before);
    assert_eq!(restore.phase, RunPhase::Finished);
    let snapshot = world.table.catalogue.snapshot().await.unwrap();
    assert_eq!(snapshot.txn(world.shop.as_str()), Some(restore.id.seq.0));
}

/// By a clock that is ahead of the one that restores.
#[tokio::test]
async fn a_later_run_that_commits_in_between_stands() {
    let (world, restored, _) = restore_beside(9).await;
    let Err(RestoreError::Overtaken { by, .. }) = restored else {
        panic!("{restored:?}");
    };
    assert_eq!(by, run_of(&world.shop, 9));
    let pause = PauseScope::Pipe(world.shop.clone()).key();
    let pause: Option<Pause> = world.ports.documents().get(&pause).await.unwrap();
    let reason = pause.unwrap().reason;
    assert!(reason.contains("came too late"), "{reason}");
    let found = restores(&world).await;
    assert_eq!(found[0].phase, RunPhase::Superseded);
    let rows = world.table.rows(&world.shop, 100).await;
    assert!(rows.values().all(|row| row["title"] == "late"));
}

#[track_caller]
fn cannot(error: &RestoreError, is_it: fn(&CannotRestore) -> bool) {
    match error {
        RestoreError::Cannot(why) if is_it(why) => {}
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_cannot_be_restored_leaves_no_trace() {
    let world = World::new().await;
    let (good, _) = damaged(&world).await;
    let newest = run_of(&world.shop, 1);
    let error = restore(&world, &newest).await.unwrap_err();
    cannot(&error, |why| matches!(why, CannotRestore::Newest { .. }));
    // A document says that it landed, and the catalogue knows nothing of it.
    let lost = RunId {
        pipe: world.shop.clone(),
        seq: RunSeq(good.seq.0 + 1),
    };
    landed(&world.ports.documents(), &lost, 1).await;
    let error = restore(&world, &lost).await.unwrap_err();
    assert!(matches!(error, RestoreError::NoVersion { .. }), "{error}");
    world.pass(DAY * 8);
    let error = restore(&world, &good).await.unwrap_err();
    cannot(&error, |why| matches!(why, CannotRestore::TooOld { .. }));
    assert!(restores(&world).await.is_empty());
    let documents = world.ports.documents();
    assert!(documents.keys("pause/").await.unwrap().is_empty());
    assert!(documents.keys("decisions/").await.unwrap().is_empty());
}

/// A pipe with a run every ten minutes has 52,000 a year, of 10 to 15 KB.
#[tokio::test]
async fn a_restore_reads_no_more_runs_than_it_has_to() {
    let world = World::new().await;
    let (good, _) = damaged(&world).await;
    let mut document = Run::plan(good.clone(), FeedMode::Full, good.due());
    document.phase = RunPhase::Finished;
    for n in 1..=5_000 {
        document.id.seq = RunSeq(good.seq.0 - n);
        let bytes = serde_json::to_vec(&document).unwrap();
        world.mem.state.poke(&Run::key(&document.id), &bytes);
    }
    let gets = || world.mem.bill().gets;
    let before = gets();
    let looked = world.upkeep.look_at_restore(&options(&good)).await.unwrap();
    assert_eq!(looked.inserts, 50);
    assert!(gets() - before <= 3, "{}", gets() - before);
    let before = gets();
    restore(&world, &good).await.unwrap();
    assert!(gets() - before <= 40, "{}", gets() - before);
}

/// Of two restores that were begun the newer one counts, and the older one is
/// closed though another run has landed over it.
#[tokio::test]
async fn a_restore_that_nobody_went_on_with_is_closed_by_the_next_one() {
    let world = World::new().await;
    let (good, _) = damaged(&world).await;
    world.mem.crash.after_writes(4);
    assert!(restore(&world, &good).await.is_err());
    world.mem.crash.restart();
    let [left] = &*restores(&world).await else {
        panic!("it did not begin");
    };
    assert_eq!(left.phase, RunPhase::Committing);
    let bad = day(&world, 3, &products(0, 310, "late")).await;
    world.pass(DAY * 2);
    let again = restore(&world, &good).await.unwrap();
    assert_ne!(again.run.as_ref(), Some(&left.id));
    assert!(again.run.unwrap().seq > bad.seq);
    let phases: Vec<RunPhase> = restores(&world).await.iter().map(|run| run.phase).collect();
    assert_eq!(phases, [RunPhase::Superseded, RunPhase::Finished]);
}
