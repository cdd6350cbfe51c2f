//! The contract of the catalogue's commit, over any object store: many
//! writers, lost responses, stale and fenced deliveries, crashes.

mod faults;
mod stores;
#[path = "../../../catalogue/src/testing.rs"]
mod testing;
mod unreliable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use trawler_catalogue::{
    Catalogue, CatalogueError, CatalogueOptions, CommitError, CommitOutcome, Deletes, Fence, Mode,
    PreparedCommit, Txn,
};
use trawler_core::RunId;
use trawler_local::SystemClock;

pub(crate) use stores::{LocalCatalogueHarness, MemoryCatalogueHarness, ModelCatalogueHarness};
use testing::{Product, Table, pipe, rows_of, run_of, small_files, stamp_of, txn_of};
use unreliable::Unreliable;

/// One fresh object store.
#[async_trait]
pub(crate) trait CatalogueHarness: Send + Sync {
    /// A handle of its own, as another process has one.
    async fn store(&self) -> Arc<dyn ObjectStore>;

    /// The least that 64 writers at once must reach together.
    fn commits_per_s_min(&self) -> f64 {
        0.0
    }
}

fn products(count: usize, title: &str) -> Vec<Product> {
    (0..count)
        .map(|n| Product::new(&format!("{n:05}")).title(title))
        .collect()
}

async fn table(harness: &impl CatalogueHarness) -> Table {
    Table::over(harness.store().await, small_files()).await
}

async fn reopened(harness: &impl CatalogueHarness, table: &Table) -> Catalogue {
    let store = harness.store().await;
    let opened = Catalogue::open(store, small_files(), table.clock.clone()).await;
    opened.unwrap()
}

/// A part of the harness's store, for cases that need several tables.
async fn part(harness: &impl CatalogueHarness, name: &str) -> Arc<dyn ObjectStore> {
    Arc::new(PrefixStore::new(harness.store().await, name))
}

/// Paths and sizes of everything in the store.
async fn objects(table: &Table) -> BTreeMap<String, u64> {
    let listed = table
        .store
        .list(None)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    let object = |object: object_store::ObjectMeta| (object.location.to_string(), object.size);
    listed.into_iter().map(object).collect()
}

/// How often so many writers of different pipes commit at once, a second.
/// Every writer has prepared its commit when the first one commits; their
/// waits are real, since the store's answers are.
async fn stampede(harness: &impl CatalogueHarness, round: &str) -> f64 {
    const WRITERS: usize = 64;
    let table = Table::over(part(harness, round).await, small_files()).await;
    let ready = Arc::new(Barrier::new(WRITERS + 1));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let options = CatalogueOptions {
            file_rows: 50,
            ..CatalogueOptions::default()
        };
        let clock = Arc::new(SystemClock::new());
        let opened = Catalogue::open(part(harness, round).await, options, clock).await;
        let (catalogue, ready) = (opened.unwrap(), Arc::clone(&ready));
        let shop = pipe(&format!("shop-{number}"));
        let run = run_of(&shop, 0);
        let staged = table.staged(&products(3, "x"), &[]);
        writers.spawn(async move {
            let base = catalogue.snapshot().await.unwrap();
            let diff = catalogue.diff(&base, &shop, &staged, Mode::Full);
            let diff = diff.await.unwrap();
            let stamp = stamp_of(&run);
            let prepared = catalogue.write(&diff, &stamp, Deletes::Apply);
            let prepared = prepared.await.unwrap();
            ready.wait().await;
            let (txn, fence) = (txn_of(&run), Fence::open());
            let committed = catalogue.commit(&prepared, &txn, &fence);
            committed.await.unwrap()
        });
    }
    ready.wait().await;
    let began = Instant::now();
    let outcomes = writers.join_all().await;
    let seconds = began.elapsed().as_secs_f64();
    let mut versions: Vec<i64> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            CommitOutcome::Committed { version, .. } => version,
            other => panic!("expected a commit, found {other:?}"),
        })
        .collect();
    versions.sort_unstable();
    assert!(versions.into_iter().eq(1..=WRITERS as i64));
    let snapshot = table.catalogue.snapshot().await.unwrap();
    assert_eq!(snapshot.pipes().count(), WRITERS);
    assert!(snapshot.pipes().all(|(_, stats)| stats.rows == 3));
    let rate = WRITERS as f64 / seconds;
    println!("{round}: {WRITERS} writers at once: {rate:.1} commits/s ({seconds:.2} s)");
    rate
}

/// What else the machine does can only make a round slower, so the best of a
/// few counts.
pub(crate) async fn sixty_four_writers_of_different_pipes_lose_nothing(
    harness: impl CatalogueHarness,
) {
    const ROUNDS_MAX: u32 = 3;
    let least = harness.commits_per_s_min();
    let mut best = 0.0_f64;
    for round in 0..ROUNDS_MAX {
        best = best.max(stampede(&harness, &format!("round-{round}")).await);
        if best >= least {
            return;
        }
    }
    panic!("{best:.1} commits/s in the best of {ROUNDS_MAX} rounds, wanted {least:.1}");
}

/// A prepared commit of the shop's first run, and a handle whose store
/// fails.
struct Troubled {
    catalogue: Catalogue,
    run: RunId,
    prepared: PreparedCommit,
}

impl Troubled {
    /// In a part of the store of this name.
    async fn new(
        harness: &impl CatalogueHarness,
        name: &str,
        trouble: impl FnOnce(Arc<dyn ObjectStore>) -> Unreliable,
    ) -> Self {
        let table = Table::over(part(harness, name).await, small_files()).await;
        let store = Arc::new(trouble(part(harness, name).await));
        let catalogue = Catalogue::open(store, small_files(), table.clock.clone()).await;
        let run = run_of(&pipe("shop"), 0);
        let staged = table.staged(&products(5, "x"), &[]);
        let (_, prepared) = table
            .prepare(&run, &staged, Mode::Full, Deletes::Apply)
            .await;
        Self {
            catalogue: catalogue.unwrap(),
            run,
            prepared,
        }
    }

    async fn commit(&self, fence: &Fence<'_>) -> Result<CommitOutcome, CommitError> {
        let txn = txn_of(&self.run);
        self.catalogue.commit(&self.prepared, &txn, fence).await
    }

    /// Commits as version 1, and changes nothing when it commits again.
    async fn commits(&self, found_in_log: bool) {
        let committed = |found_in_log| CommitOutcome::Committed {
            version: 1,
            found_in_log,
        };
        let first = self.commit(&Fence::open()).await.unwrap();
        assert_eq!(first, committed(found_in_log));
        assert_eq!(rows_of(&self.catalogue, &self.run.pipe, 10).await.len(), 5);
        let again = self.commit(&Fence::open()).await.unwrap();
        assert_eq!(again, committed(true));
        assert_eq!(self.catalogue.snapshot().await.unwrap().version(), 1);
    }
}

pub(crate) async fn a_commit_whose_response_was_lost_is_known_again(
    harness: impl CatalogueHarness,
) {
    let check = async |before: u32, after: u32, found_in_log: bool| {
        let name = format!("{before}-{after}");
        let trouble = |store| Unreliable::over(store, before, after);
        let troubled = Troubled::new(&harness, &name, trouble).await;
        troubled.commits(found_in_log).await;
    };
    check(0, 1, true).await;
    check(3, 1, true).await;
    check(3, 0, false).await;
}

/// A put that met another at the same moment is refused although its version
/// may stay free.
pub(crate) async fn a_conflict_that_leaves_no_entry_is_tried_again(harness: impl CatalogueHarness) {
    let trouble = |store| Unreliable::conflicting(store, 7);
    let troubled = Troubled::new(&harness, "shops", trouble).await;
    troubled.commits(false).await;
}

pub(crate) async fn a_store_that_stays_down_is_an_error(harness: impl CatalogueHarness) {
    let trouble = |store| Unreliable::over(store, u32::MAX, 0);
    let troubled = Troubled::new(&harness, "shops", trouble).await;
    match troubled.commit(&Fence::open()).await.unwrap_err() {
        CommitError::Catalogue(error @ CatalogueError::Store { .. }) => {
            assert!(error.is_transient())
        }
        other => panic!("expected an error of the store, found {other}"),
    }
}

pub(crate) async fn a_run_commits_once_and_never_after_a_later_one(harness: impl CatalogueHarness) {
    let table = table(&harness).await;
    let shop = pipe("shop");
    let (today, tomorrow) = (run_of(&shop, 0), run_of(&shop, 1));
    let staged = table.staged(&products(5, "x"), &[]);
    let (_, first) = table
        .prepare(&today, &staged, Mode::Full, Deletes::Apply)
        .await;
    // Two deliveries of one run write under their own ids.
    let base = table.catalogue.snapshot().await.unwrap();
    let diff = table
        .catalogue
        .diff(&base, &shop, &staged, Mode::Full)
        .await
        .unwrap();
    let stamp = trawler_catalogue::RunStamp {
        run: today.clone(),
        write_id: trawler_catalogue::WriteId::of_run(&today, 2),
        collects_images: true,
    };
    let second = table
        .catalogue
        .write(&diff, &stamp, Deletes::Apply)
        .await
        .unwrap();
    table.commit(&second, &today).await;
    let commit = async |prepared, run| {
        table
            .catalogue
            .commit(prepared, &txn_of(run), &Fence::open())
            .await
            .unwrap()
    };
    assert_eq!(
        commit(&first, &today).await,
        CommitOutcome::AlreadyCommitted
    );
    table.full_run(&shop, 1, &products(6, "y")).await;
    let stored = tomorrow.seq.0;
    assert_eq!(
        commit(&first, &today).await,
        CommitOutcome::Superseded { stored }
    );
    let rows = table.rows(&shop, 10).await;
    assert!(rows.len() == 6 && rows.values().all(|row| row["title"] == "y"));
}

pub(crate) async fn a_lost_lease_is_refused_before_every_put(harness: impl CatalogueHarness) {
    let trouble = |store| Unreliable::over(store, 1, 0);
    let troubled = Troubled::new(&harness, "shops", trouble).await;
    let asked = AtomicU32::new(0);
    // The lease is there for the first put, which fails, and gone after it.
    let fence = Fence::new(|| std::future::ready(asked.fetch_add(1, Ordering::Relaxed) == 0));
    let error = troubled.commit(&fence).await.unwrap_err();
    assert!(matches!(error, CommitError::FencedOff { .. }), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(troubled.catalogue.snapshot().await.unwrap().version(), 0);
}

pub(crate) async fn two_writers_of_one_pipe_conflict(harness: impl CatalogueHarness) {
    let table = table(&harness).await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(5, "x")).await;
    let run = run_of(&shop, 2);
    let staged = table.staged(&products(5, "z"), &[]);
    let (_, stale) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    let (_, version) = table.full_run(&shop, 1, &products(5, "y")).await;
    let error = table
        .catalogue
        .commit(&stale, &txn_of(&run), &Fence::open())
        .await
        .unwrap_err();
    match error {
        CommitError::Conflict { version: found, .. } => assert_eq!(found, version),
        other => panic!("expected a conflict, found {other}"),
    }
    let (diff, prepared) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    assert_eq!(diff.updates, 5);
    table.commit(&prepared, &run).await;
    let rows = table.rows(&shop, 10).await;
    assert!(rows.values().all(|row| row["title"] == "z"));
}

/// Far ahead of any file's age.
fn distant() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(i64::from(u32::MAX), 0).unwrap()
}

pub(crate) async fn what_does_not_land_leaves_no_files(harness: impl CatalogueHarness) {
    let table = table(&harness).await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(120, "x")).await;
    let staged = table.staged(&products(120, "z"), &[]);
    let prepare = async |run: &RunId| {
        let (_, prepared) = table
            .prepare(run, &staged, Mode::Full, Deletes::Apply)
            .await;
        assert!(!table.catalogue.orphans(distant()).await.unwrap().is_empty());
        prepared
    };
    let land = async |prepared, run: &RunId, fence: &Fence<'_>| {
        let landed = table.catalogue.land(prepared, &txn_of(run), fence).await;
        assert_eq!(table.catalogue.orphans(distant()).await.unwrap(), []);
        landed
    };
    let (open, lost) = (Fence::open(), Fence::new(|| std::future::ready(false)));
    let run = run_of(&shop, 3);

    let fenced = land(prepare(&run).await, &run, &lost).await.unwrap_err();
    assert!(matches!(fenced, CommitError::FencedOff { .. }), "{fenced}");
    let stale = prepare(&run).await;
    table.full_run(&shop, 1, &products(120, "y")).await;
    let conflict = land(stale, &run, &open).await.unwrap_err();
    assert!(
        matches!(conflict, CommitError::Conflict { .. }),
        "{conflict}"
    );
    let again = run_of(&shop, 1);
    let landed = land(prepare(&again).await, &again, &open).await.unwrap();
    assert_eq!(landed, CommitOutcome::AlreadyCommitted);
    let before = run_of(&shop, 0);
    let landed = land(prepare(&before).await, &before, &open).await.unwrap();
    let stored = again.seq.0;
    assert_eq!(landed, CommitOutcome::Superseded { stored });
    let landed = land(prepare(&run).await, &run, &open).await.unwrap();
    assert!(matches!(landed, CommitOutcome::Committed { .. }));
    let rows = table.rows(&shop, 50).await;
    assert!(rows.len() == 120 && rows.values().all(|row| row["title"] == "z"));
}

/// Nobody said what became of the log entry: it may name the files yet.
pub(crate) async fn what_may_have_landed_keeps_its_files(harness: impl CatalogueHarness) {
    for failures in [1, u32::MAX] {
        let name = format!("failures-{failures}");
        let trouble = |store| Unreliable::over(store, failures, 0);
        let troubled = Troubled::new(&harness, &name, trouble).await;
        let asked = AtomicU32::new(0);
        // Where one put fails the lease is lost after it.
        let holds = || failures > 1 || asked.fetch_add(1, Ordering::Relaxed) == 0;
        let fence = Fence::new(|| std::future::ready(holds()));
        let Troubled {
            catalogue,
            run,
            prepared,
        } = troubled;
        let files = prepared.rows_written();
        let landed = catalogue.land(prepared, &txn_of(&run), &fence).await;
        landed.unwrap_err();
        let left = catalogue.orphans(distant()).await.unwrap();
        assert!(files > 0 && !left.is_empty(), "after {failures}");
    }
}

pub(crate) async fn other_applications_have_their_own_transactions(harness: impl CatalogueHarness) {
    let table = table(&harness).await;
    let shop = pipe("shop");
    table.full_run(&shop, 5, &products(2, "x")).await;
    let run = run_of(&shop, 6);
    let staged = table.staged(&products(2, "x"), &[]);
    let (_, prepared) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    let txn = Txn {
        app_id: "other".to_owned(),
        version: 1,
    };
    let outcome = table
        .catalogue
        .commit(&prepared, &txn, &Fence::open())
        .await
        .unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
    let snapshot = table.catalogue.snapshot().await.unwrap();
    assert_eq!(snapshot.txn("other"), Some(1));
    assert_eq!(snapshot.txn("shop"), Some(run_of(&shop, 5).seq.0));
}

pub(crate) async fn a_crash_before_the_commit_leaves_orphans_and_a_whole_table(
    harness: impl CatalogueHarness,
) {
    let table = table(&harness).await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(120, "x")).await;
    let before = objects(&table).await;
    let run = run_of(&shop, 1);
    let staged = table.staged(&products(120, "y"), &[]);
    let (_, aborted) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    assert!(aborted.writes_data() && aborted.rows_written() == 120);
    drop(aborted);
    let left = objects(&table).await;
    let catalogue = reopened(&harness, &table).await;
    assert!(
        rows_of(&catalogue, &shop, 50)
            .await
            .values()
            .all(|row| row["title"] == "x")
    );
    // The same delivery again writes the very same files and commits them.
    let (_, prepared) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    assert_eq!(objects(&table).await, left);
    let orphans = catalogue.orphans(distant()).await.unwrap();
    let named: Vec<&String> = left
        .keys()
        .filter(|path| !before.contains_key(*path))
        .collect();
    assert!(orphans.iter().map(|orphan| &orphan.path).eq(named));
    assert_eq!(
        catalogue
            .orphans(chrono::DateTime::UNIX_EPOCH)
            .await
            .unwrap(),
        []
    );
    table.commit(&prepared, &run).await;
    assert_eq!(catalogue.vacuum_orphans(distant()).await.unwrap(), []);
    assert!(
        table
            .rows(&shop, 50)
            .await
            .values()
            .all(|row| row["title"] == "y")
    );
}

pub(crate) async fn orphans_are_removed_and_named_files_are_kept(harness: impl CatalogueHarness) {
    let table = table(&harness).await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(60, "x")).await;
    table.full_run(&shop, 1, &products(60, "y")).await;
    let whole = objects(&table).await;
    let run = run_of(&shop, 2);
    let staged = table.staged(&products(60, "z"), &[]);
    table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    let distant = chrono::DateTime::from_timestamp(i64::from(u32::MAX), 0).unwrap();
    let removed = table.catalogue.vacuum_orphans(distant).await.unwrap();
    assert!(!removed.is_empty());
    assert_eq!(objects(&table).await, whole);
}

pub(crate) async fn the_same_input_and_stamp_give_the_same_bytes(harness: impl CatalogueHarness) {
    let files = async |name: &str| {
        let table = Table::over(part(&harness, name).await, small_files()).await;
        let shop = pipe("shop");
        table.full_run(&shop, 0, &products(130, "x")).await;
        let mut rows = products(130, "x");
        rows[70] = rows[70].clone().title("y");
        table.full_run(&shop, 1, &rows).await;
        let mut files = Vec::new();
        for path in objects(&table).await.into_keys() {
            if path.ends_with("parquet") {
                let file = table.store.get(&Path::from(path.as_str())).await.unwrap();
                files.push((path, file.bytes().await.unwrap()));
            }
        }
        assert!(!files.is_empty());
        files
    };
    assert!(files("one").await == files("two").await);
}

pub(crate) async fn opening_needs_a_table_and_creating_twice_is_one_table(
    harness: impl CatalogueHarness,
) {
    let clock = testing::StillClock::at(testing::DAY_0_MS);
    let store = harness.store().await;
    let none = Catalogue::open(store.clone(), small_files(), clock.clone()).await;
    assert!(matches!(none.err(), Some(CatalogueError::NoTable)));
    let create = || Catalogue::open_or_create(store.clone(), small_files(), clock.clone());
    let (one, two) = futures::join!(create(), create());
    let (one, two) = (one.unwrap().snapshot().await, two.unwrap().snapshot().await);
    assert_eq!((one.unwrap().version(), two.unwrap().version()), (0, 0));
}
