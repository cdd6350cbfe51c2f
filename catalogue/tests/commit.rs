//! The commit under fire: many writers, lost responses, stale and fenced
//! deliveries, crashes.

#![allow(clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::task::JoinSet;
use trawler_catalogue::{
    Catalogue, CatalogueError, CommitError, CommitOutcome, Deletes, Fence, Mode, Txn,
};

use testing::{Product, Table, pipe, rows_of, run_of, small_files, stamp_of, txn_of};

fn products(count: usize, title: &str) -> Vec<Product> {
    (0..count)
        .map(|n| Product::new(&format!("{n:05}")).title(title))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_writers_of_different_pipes_lose_nothing() {
    const WRITERS: usize = 64;
    let table = Table::new().await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let catalogue = table.reopened().await;
        let shop = pipe(&format!("shop-{number}"));
        let run = run_of(&shop, 0);
        let staged = table.staged(&products(3, "x"), &[]);
        writers.spawn(async move {
            let base = catalogue.snapshot().await.unwrap();
            let diff = catalogue
                .diff(&base, &shop, &staged, Mode::Full)
                .await
                .unwrap();
            let prepared = catalogue
                .write(&diff, &stamp_of(&run), Deletes::Apply)
                .await
                .unwrap();
            catalogue
                .commit(&prepared, &txn_of(&run), &Fence::open())
                .await
                .unwrap()
        });
    }
    let outcomes = writers.join_all().await;
    let mut versions: Vec<i64> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            CommitOutcome::Committed {
                version,
                found_in_log: false,
            } => version,
            other => panic!("expected a commit, found {other:?}"),
        })
        .collect();
    versions.sort_unstable();
    assert!(versions.into_iter().eq(1..=WRITERS as i64));
    let snapshot = table.catalogue.snapshot().await.unwrap();
    assert_eq!(snapshot.pipes().count(), WRITERS);
    assert!(snapshot.pipes().all(|(_, stats)| stats.rows == 3));
}

/// A store whose puts of log entries fail: before they are made, or after.
#[derive(Debug)]
struct Unreliable {
    inner: LocalFileSystem,
    lost_before: AtomicU32,
    lost_after: AtomicU32,
}

impl fmt::Display for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unreliable store")
    }
}

fn take_one(left: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

#[async_trait]
impl ObjectStore for Unreliable {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let lost = || object_store::Error::Generic {
            store: "test",
            source: "connection reset".into(),
        };
        let is_entry = location.as_ref().ends_with(".json");
        if is_entry && take_one(&self.lost_before) {
            return Err(lost());
        }
        let put = self.inner.put_opts(location, payload, options).await;
        if is_entry && take_one(&self.lost_after) {
            return Err(lost());
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_response_was_lost_is_known_again() {
    let check = async |before: u32, after: u32, found: bool| {
        let table = Table::new().await;
        let store = Unreliable {
            inner: LocalFileSystem::new_with_prefix(table.folder.path()).unwrap(),
            lost_before: AtomicU32::new(before),
            lost_after: AtomicU32::new(after),
        };
        let catalogue = Catalogue::open(Arc::new(store), small_files(), table.clock.clone())
            .await
            .unwrap();
        let shop = pipe("shop");
        let run = run_of(&shop, 0);
        let (_, prepared) = table
            .prepare(
                &run,
                &table.staged(&products(5, "x"), &[]),
                Mode::Full,
                Deletes::Apply,
            )
            .await;
        let outcome = catalogue
            .commit(&prepared, &txn_of(&run), &Fence::open())
            .await
            .unwrap();
        let expected = CommitOutcome::Committed {
            version: 1,
            found_in_log: found,
        };
        assert_eq!(outcome, expected);
        assert_eq!(rows_of(&catalogue, &shop, 10).await.len(), 5);
        // Committing the same files again changes nothing.
        let again = catalogue
            .commit(&prepared, &txn_of(&run), &Fence::open())
            .await
            .unwrap();
        assert_eq!(
            again,
            CommitOutcome::Committed {
                version: 1,
                found_in_log: true
            }
        );
        assert_eq!(catalogue.snapshot().await.unwrap().version(), 1);
    };
    check(0, 1, true).await;
    check(3, 1, true).await;
    check(3, 0, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_down_is_an_error() {
    let table = Table::new().await;
    let store = Unreliable {
        inner: LocalFileSystem::new_with_prefix(table.folder.path()).unwrap(),
        lost_before: AtomicU32::new(u32::MAX),
        lost_after: AtomicU32::new(0),
    };
    let catalogue = Catalogue::open(Arc::new(store), small_files(), table.clock.clone())
        .await
        .unwrap();
    let run = run_of(&pipe("shop"), 0);
    let staged = table.staged(&products(5, "x"), &[]);
    let (_, prepared) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    let error = catalogue
        .commit(&prepared, &txn_of(&run), &Fence::open())
        .await
        .unwrap_err();
    match error {
        CommitError::Catalogue(error @ CatalogueError::Store { .. }) => {
            assert!(error.is_transient())
        }
        other => panic!("expected an error of the store, found {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_commits_once_and_never_after_a_later_one() {
    let table = Table::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_is_refused_before_every_put() {
    let table = Table::new().await;
    let shop = pipe("shop");
    let run = run_of(&shop, 0);
    let staged = table.staged(&products(5, "x"), &[]);
    let (_, prepared) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    let store = Unreliable {
        inner: LocalFileSystem::new_with_prefix(table.folder.path()).unwrap(),
        lost_before: AtomicU32::new(1),
        lost_after: AtomicU32::new(0),
    };
    let catalogue = Catalogue::open(Arc::new(store), small_files(), table.clock.clone())
        .await
        .unwrap();
    let asked = AtomicU32::new(0);
    // The lease is there for the first put, which fails, and gone after it.
    let fence = Fence::new(|| std::future::ready(asked.fetch_add(1, Ordering::Relaxed) == 0));
    let error = catalogue
        .commit(&prepared, &txn_of(&run), &fence)
        .await
        .unwrap_err();
    assert!(matches!(error, CommitError::FencedOff { .. }), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(catalogue.snapshot().await.unwrap().version(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_pipe_conflict() {
    let table = Table::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn other_applications_have_their_own_transactions() {
    let table = Table::new().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_commit_leaves_orphans_and_a_whole_table() {
    let table = Table::new().await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(120, "x")).await;
    let before = table.objects();
    let run = run_of(&shop, 1);
    let staged = table.staged(&products(120, "y"), &[]);
    let (_, aborted) = table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    assert!(aborted.writes_data() && aborted.rows_written() == 120);
    drop(aborted);
    let left = table.objects();
    let catalogue = table.reopened().await;
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
    assert_eq!(table.objects(), left);
    let distant = chrono::DateTime::from_timestamp(i64::from(u32::MAX), 0).unwrap();
    let orphans = catalogue.orphans(distant).await.unwrap();
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
    assert_eq!(catalogue.vacuum_orphans(distant).await.unwrap(), []);
    assert!(
        table
            .rows(&shop, 50)
            .await
            .values()
            .all(|row| row["title"] == "y")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_removed_and_named_files_are_kept() {
    let table = Table::new().await;
    let shop = pipe("shop");
    table.full_run(&shop, 0, &products(60, "x")).await;
    table.full_run(&shop, 1, &products(60, "y")).await;
    let whole = table.objects();
    let run = run_of(&shop, 2);
    let staged = table.staged(&products(60, "z"), &[]);
    table
        .prepare(&run, &staged, Mode::Full, Deletes::Apply)
        .await;
    let distant = chrono::DateTime::from_timestamp(i64::from(u32::MAX), 0).unwrap();
    let removed = table.catalogue.vacuum_orphans(distant).await.unwrap();
    assert!(!removed.is_empty());
    assert_eq!(table.objects(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_input_and_stamp_give_the_same_bytes() {
    let files = async || {
        let table = Table::new().await;
        let shop = pipe("shop");
        table.full_run(&shop, 0, &products(130, "x")).await;
        let mut rows = products(130, "x");
        rows[70] = rows[70].clone().title("y");
        table.full_run(&shop, 1, &rows).await;
        let paths = table
            .objects()
            .into_keys()
            .filter(|path| path.ends_with("parquet"));
        paths
            .map(|path| {
                (
                    std::fs::read(table.folder.path().join(&path)).unwrap(),
                    path,
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(files().await, files().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_needs_a_table_and_creating_twice_is_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let clock = testing::StillClock::at(testing::DAY_0_MS);
    let store = trawler_catalogue::local_store(&folder.path().join("deep/catalogue")).unwrap();
    let none = Catalogue::open(store.clone(), small_files(), clock.clone()).await;
    assert!(matches!(none.err(), Some(CatalogueError::NoTable)));
    let create = || Catalogue::open_or_create(store.clone(), small_files(), clock.clone());
    let (one, two) = futures::join!(create(), create());
    let (one, two) = (one.unwrap().snapshot().await, two.unwrap().snapshot().await);
    assert_eq!((one.unwrap().version(), two.unwrap().version()), (0, 0));
}
