//! Commits on the strict model of S3 while it refuses requests, meets writes
//! (409) and loses answers at random, from a printed seed. A delivery that
//! fails is followed by another, as a job's is.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;
use tokio::task::JoinSet;
use trawler_catalogue::{
    Catalogue, CatalogueError, CommitError, CommitOutcome, Deletes, Fence, Mode, RunStamp, WriteId,
};
use trawler_core::RunId;
use trawler_tests::model::FaultRates;

use super::stores::ModelCatalogueHarness;
use super::testing::{Table, pipe, rows_of, run_of, small_files, txn_of};
use super::{CatalogueHarness, products};

const SEEDS: u64 = 12;
const WRITERS: usize = 4;
const DAYS: i64 = 3;

/// A delivery fails with one request in some hundreds, which its client gives
/// up.
const DELIVERIES_MAX: u64 = 50;

/// Puts whose answer is lost, or that meet another, are what commits are
/// about; and many enough that a client now and then gives a request up.
const RATES: FaultRates = FaultRates {
    throttled: 0.01,
    failed: 0.01,
    answer_lost: 0.35,
    conflict: 0.2,
    slow: 0.01,
};

/// What one delivery of a run came to.
enum Delivered {
    Committed,
    Failed,
}

/// Only what may fare better later fails a delivery.
fn failed(error: &CatalogueError) -> Delivered {
    assert!(error.is_transient(), "{error:?}");
    Delivered::Failed
}

async fn deliver(
    table: &Table,
    store: Arc<dyn ObjectStore>,
    run: &RunId,
    title: &str,
    delivery: u64,
) -> Delivered {
    let opened = Catalogue::open(store, small_files(), table.clock.clone()).await;
    let catalogue = match opened {
        Ok(catalogue) => catalogue,
        Err(error) => return failed(&error),
    };
    let stamp = RunStamp {
        run: run.clone(),
        write_id: WriteId::of_run(run, delivery),
        collects_images: true,
    };
    let staged = table.staged(&products(5, title), &[]);
    let prepared = async {
        let base = catalogue.snapshot().await?;
        let diff = catalogue.diff(&base, &run.pipe, &staged, Mode::Full);
        catalogue.write(&diff.await?, &stamp, Deletes::Apply).await
    };
    let prepared = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => return failed(&error),
    };
    let (txn, fence) = (txn_of(run), Fence::open());
    match catalogue.commit(&prepared, &txn, &fence).await {
        Ok(CommitOutcome::Committed { .. } | CommitOutcome::AlreadyCommitted) => {
            Delivered::Committed
        }
        Err(CommitError::Catalogue(error)) => failed(&error),
        other => panic!("expected a commit, found {other:?}"),
    }
}

/// How often each transaction is in the log.
async fn transactions(store: &dyn ObjectStore) -> BTreeMap<(String, i64), u32> {
    let mut found = BTreeMap::new();
    let folder = Path::from("_delta_log");
    let mut listed = store.list(Some(&folder));
    while let Some(object) = listed.try_next().await.unwrap() {
        if object.location.extension() != Some("json") {
            continue;
        }
        let entry = store.get(&object.location).await.unwrap();
        let entry = entry.bytes().await.unwrap();
        for line in std::str::from_utf8(&entry).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if let Some(txn) = line.get("txn") {
                let app = txn["appId"].as_str().unwrap().to_owned();
                let version = txn["version"].as_i64().unwrap();
                *found.entry((app, version)).or_default() += 1;
            }
        }
    }
    found
}

/// Deliveries that failed in the history of one seed.
async fn play(seed: u64) -> u64 {
    let harness = Arc::new(ModelCatalogueHarness::with(seed, RATES));
    let table = Arc::new(Table::over(harness.direct(), small_files()).await);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (harness, table) = (Arc::clone(&harness), Arc::clone(&table));
        writers.spawn(async move {
            let shop = pipe(&format!("shop-{writer}"));
            let mut failures = 0;
            for day in 0..DAYS {
                let (run, title) = (run_of(&shop, day), format!("day {day}"));
                let mut deliveries = 0..DELIVERIES_MAX;
                loop {
                    let number = deliveries.next();
                    let number = number.expect("a run is committed after some deliveries");
                    let store = harness.store().await;
                    match deliver(&table, store, &run, &title, number + 1).await {
                        Delivered::Committed => break,
                        Delivered::Failed => failures += 1,
                    }
                }
            }
            failures
        });
    }
    let failures = writers.join_all().await.into_iter().sum();
    let found = transactions(&*harness.direct()).await;
    assert_eq!(found.len(), WRITERS * DAYS as usize, "{found:?}");
    assert!(found.values().all(|times| *times == 1), "{found:?}");
    let last = format!("day {}", DAYS - 1);
    for writer in 0..WRITERS {
        let shop = pipe(&format!("shop-{writer}"));
        let rows = rows_of(&table.catalogue, &shop, 10).await;
        assert!(rows.len() == 5 && rows.values().all(|row| row["title"] == *last));
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_under_faults_of_the_store_are_made_once() {
    let _beside = crate::machine::beside().await;
    let mut failures = 0;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        failures += play(seed).await;
    }
    println!("{failures} deliveries failed and were followed by another");
    assert!(
        failures > 0,
        "no delivery met a fault that its client cannot heal"
    );
}
