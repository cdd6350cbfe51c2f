//! What is stored at the end of a day, and what must be true of it: in a
//! folder, or wherever the ports lead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use trawler_catalogue::{Catalogue, CatalogueOptions, Watermark, local_store, rows_as_json};
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::ports::{Clock, Queue};
use trawler_core::run::{Run, RunCounts, RunPhase};
use trawler_core::{PipeId, QueueName};
use trawler_fleet::Ports;
use trawler_fleet::audit;
use trawler_local::{CountingMetrics, LocalStore, QueueOptions, SystemClock};
use trawler_shop::Shop;

use crate::support::Folder;

type Row = Map<String, Value>;

/// Columns that tell when an image was looked at, in wall time.
const WALL_TIME: [&str; 2] = ["image_tried", "updated"];

const PAGE: usize = 500;

/// What two folders that collected the same must have in common.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// By pipe and product, without what is wall time.
    rows: BTreeMap<(String, String), Row>,
    /// The images, by key; the digest of each.
    images: BTreeMap<String, String>,
    /// What each run did, without what it read to find that out.
    runs: BTreeMap<String, RunCounts>,
    /// Every commit of a run: pipe and sequence.
    commits: BTreeSet<(String, i64)>,
}

/// Opens the ports of a folder beside the program.
pub(crate) async fn ports(folder: &Folder) -> Ports {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let data = folder.path().join("trawler-data");
    let store = LocalStore::open(data, Arc::clone(&clock)).await.unwrap();
    let options = QueueOptions {
        visibility: Duration::from_secs(300),
        receive_count_max: 1000,
    };
    let queue = |name| Arc::new(store.queue(name, options).unwrap()) as Arc<dyn Queue>;
    Ports {
        state: Arc::new(store.state()),
        blobs: Arc::new(store.blobs()),
        crawl: queue(QueueName::Crawl),
        image: queue(QueueName::Image),
        clock,
        metrics: Arc::new(CountingMetrics::new()),
    }
}

/// Every job of the folder, those that are settled and have left the ledger
/// included (without their bodies).
pub(crate) async fn jobs(ports: &Ports) -> Vec<Arc<JobRecord>> {
    let (ledger, mut all) = (ports.jobs(), BTreeMap::new());
    for queue in QueueName::ALL {
        // A record is in the log before it leaves the ledger.
        let mut known = ledger.list(queue).await.unwrap();
        known.extend(ledger.settled(queue).await.unwrap());
        let by_job = known.into_iter().map(|job| ((queue, job.job.clone()), job));
        all.extend(by_job);
    }
    all.into_values().collect()
}

impl Outcome {
    /// As [`Outcome::read`], of a folder.
    pub(crate) async fn of(folder: &Folder) -> Self {
        let store = local_store(&folder.catalogue()).unwrap();
        Self::read(&ports(folder).await, store).await
    }

    /// Reads everything and holds it against itself: the ledger is settled, no
    /// commit is there twice, and the change feed leads to the table.
    pub(crate) async fn read(ports: &Ports, store: Arc<dyn ObjectStore>) -> Self {
        check_settled(ports).await;
        let commits = commits(&*store).await;
        let clock = Arc::clone(&ports.clock);
        let catalogue = Catalogue::open_or_create(store, CatalogueOptions::default(), clock);
        let catalogue = catalogue.await.unwrap();
        let mut rows = table(&catalogue).await;
        assert_eq!(
            replayed(&catalogue).await,
            rows,
            "the change feed leads to the table"
        );
        for row in rows.values_mut() {
            for column in WALL_TIME {
                row.remove(column);
            }
        }
        Self {
            rows,
            images: images(ports).await,
            runs: runs(ports).await,
            commits,
        }
    }

    /// The catalogue has every product of the shops and no other.
    pub(crate) fn check_against_shops<'a, 'b>(
        &self,
        shops: impl Iterator<Item = (&'a str, &'b Shop)>,
        day: u32,
    ) {
        let mut products = 0;
        for (pipe, shop) in shops {
            for product in shop.products(day) {
                let row = self.rows.get(&(pipe.to_owned(), product.id.clone()));
                let title = row.map(|row| text(&row["title"]));
                assert_eq!(
                    title.as_ref(),
                    Some(&product.title),
                    "{pipe} {}",
                    product.id
                );
                products += 1;
            }
        }
        assert_eq!(self.rows.len(), products);
        assert!(!self.images.is_empty());
    }

    /// Images whose bytes are there under another key as well. Variants of one
    /// small source may be the same.
    pub(crate) fn stored_twice(&self) -> usize {
        let variant = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
        let contents: BTreeSet<_> = self
            .images
            .iter()
            .map(|(key, digest)| (variant(key), digest))
            .collect();
        self.images.len() - contents.len()
    }

    /// As `assert_eq`, but says what differs instead of printing everything.
    #[track_caller]
    pub(crate) fn assert_same(&self, expected: &Self, what: &str) {
        for (key, row) in &expected.rows {
            assert_eq!(self.rows.get(key), Some(row), "{what}: product {key:?}");
        }
        let keys = |outcome: &Self| outcome.rows.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(self), keys(expected), "{what}: products");
        assert_eq!(self.images, expected.images, "{what}: images");
        assert_eq!(self.runs, expected.runs, "{what}: runs");
        assert_eq!(self.commits, expected.commits, "{what}: commits");
    }
}

async fn check_settled(ports: &Ports) {
    let audit = audit(ports).await.unwrap();
    assert!(audit.is_settled(), "{audit:?}");
    assert_eq!(audit.count(JobStatus::Dead), 0, "{audit:?}");
    for queue in QueueName::ALL {
        let depth = ports.queue(queue).depth().await.unwrap();
        assert_eq!(depth.total(), 0, "the {queue} queue is empty");
    }
}

async fn table(catalogue: &Catalogue) -> BTreeMap<(String, String), Row> {
    let snapshot = catalogue.snapshot().await.unwrap();
    let mut rows = BTreeMap::new();
    for (pipe, stats) in snapshot.pipes() {
        let id = PipeId::parse(pipe).unwrap();
        let mut after: Option<String> = None;
        let mut count = 0;
        loop {
            let page = catalogue.products(&snapshot, &id, after.as_deref(), PAGE, None);
            let page = page.await.unwrap();
            for row in rows_as_json(&page.rows) {
                let key = (pipe.to_owned(), text(&row["id"]));
                let doubled = rows.insert(key, row);
                assert!(doubled.is_none(), "there twice: {doubled:?}");
                count += 1;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(stats.rows, count, "rows of {pipe} as the log counts them");
    }
    rows
}

/// Applies the change feed from its beginning; every change must fit.
async fn replayed(catalogue: &Catalogue) -> BTreeMap<(String, String), Row> {
    let mut copy: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut since = Watermark {
        version: 0,
        offset: 0,
    };
    loop {
        let page = catalogue.changes(since, None, PAGE).await.unwrap();
        for mut change in rows_as_json(&page.rows) {
            let kind = text(&change.remove("_change_type").unwrap());
            change.remove("_commit_version");
            change.remove("_commit_timestamp");
            let pipe = text(&change.remove("pipe").unwrap());
            let key = (pipe, text(&change["id"]));
            match kind.as_str() {
                "insert" => assert!(copy.insert(key, change).is_none(), "an insert is new"),
                "update_preimage" => assert_eq!(copy.get(&key), Some(&change)),
                "update_postimage" => assert!(copy.insert(key, change).is_some()),
                "delete" => assert_eq!(copy.remove(&key), Some(change)),
                other => panic!("unknown change {other}"),
            }
        }
        since = page.next;
        if page.is_end {
            return copy;
        }
    }
}

async fn images(ports: &Ports) -> BTreeMap<String, String> {
    let mut images = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = ports
            .blobs
            .list("images/", after.as_deref(), PAGE)
            .await
            .unwrap();
        let Some(last) = page.last() else {
            return images;
        };
        after = Some(last.key.clone());
        for entry in page {
            let body = ports.blobs.get(&entry.key, None).await.unwrap();
            images.insert(entry.key, hex::encode(Sha256::digest(&body)));
        }
    }
}

async fn runs(ports: &Ports) -> BTreeMap<String, RunCounts> {
    let runs = ports
        .documents()
        .load::<Run>("runs/", usize::MAX)
        .await
        .unwrap();
    let counts = runs.iter().map(|run| {
        assert_eq!(run.phase, RunPhase::Finished, "{run:?}");
        assert!(run.is_complete(), "{run:?}");
        (run.id.to_string(), run.counts)
    });
    counts.collect()
}

/// The commits of runs, from the log itself; none is there twice.
async fn commits(store: &dyn ObjectStore) -> BTreeSet<(String, i64)> {
    let mut commits = BTreeSet::new();
    let log = Path::from("_delta_log");
    let entries: Vec<_> = store.list(Some(&log)).try_collect().await.unwrap();
    for entry in entries {
        if entry.location.extension() != Some("json") {
            continue;
        }
        let stored = store.get(&entry.location).await.unwrap();
        let stored = stored.bytes().await.unwrap();
        for line in std::str::from_utf8(&stored).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if let Some(txn) = line.get("txn") {
                let commit = (text(&txn["appId"]), txn["version"].as_i64().unwrap());
                assert!(commits.insert(commit.clone()), "{commit:?} landed twice");
            }
        }
    }
    // How often images were folded depends on when results came in.
    commits.retain(|(app, _)| !app.ends_with("#images"));
    commits
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
