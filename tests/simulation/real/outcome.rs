//! What a history has left behind.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trawler_catalogue::rows_as_json;
use trawler_core::ledger::JobStatus;
use trawler_core::run::{Run, RunPhase};
use trawler_fleet::{Audit, audit};
use trawler_tests::model::{ModelBlobs, ModelObjects};

use super::fleet::Fleet;

/// More than the shop's products.
const PAGE_ROWS: usize = 100;

/// When the image was looked at, which each history does at its own time.
const OWN_TIME: &str = "image_tried";

pub(super) struct Outcome {
    pub(super) rows: BTreeMap<String, Map<String, Value>>,
    /// How often each transaction is in the catalogue's log.
    pub(super) commits: BTreeMap<(String, i64), u32>,
    manifests: Vec<String>,
    /// Variants of images.
    pub(super) images: Vec<String>,
    pub(super) runs: Vec<Run>,
    pub(super) stored_twice: Vec<String>,
    pub(super) audit: Audit,
}

impl Outcome {
    pub(super) async fn of(fleet: &Fleet) -> Self {
        let images = format!("{}images/", ModelBlobs::PREFIX);
        Self {
            rows: rows(fleet).await,
            commits: commits(fleet),
            manifests: fleet.keys("settled/manifests/"),
            images: fleet.s3.peek_keys(&images),
            runs: fleet.documents("runs/"),
            stored_twice: fleet.s3.peek_created_twice(ModelBlobs::PREFIX),
            audit: audit(&fleet.ports(&fleet.direct())).await.unwrap(),
        }
    }

    /// That there is something to compare with.
    pub(super) fn check_undisturbed(&self) {
        assert_eq!(self.rows.len(), 3);
        let stored = |row: &Map<String, Value>| row["image_status"] == "stored";
        assert!(self.rows.values().all(stored), "{:#?}", self.rows);
        assert_eq!(self.commits.len(), 2, "a run and a fold");
        assert_eq!((self.manifests.len(), self.runs.len()), (1, 1));
        assert_eq!(self.images.len(), 2);
        self.check(self, 0);
    }

    pub(super) fn check(&self, undisturbed: &Self, writes: u64) {
        let after = format!("a death after write {writes}");
        assert_eq!(self.rows, undisturbed.rows, "{after}");
        assert_eq!(self.commits, undisturbed.commits, "{after}");
        assert!(self.commits.values().all(|times| *times == 1), "{after}");
        assert_eq!(self.manifests, undisturbed.manifests, "{after}");
        assert_eq!(self.images, undisturbed.images, "{after}");
        assert_eq!(self.stored_twice, [""; 0], "{after}");
        let [run] = &*self.runs else {
            panic!("{after}: {:?}", self.runs);
        };
        assert_eq!(run.phase, RunPhase::Finished, "{after}");
        assert_eq!(run.counts, undisturbed.runs[0].counts, "{after}");
        assert!(self.audit.is_settled(), "{after}: {:?}", self.audit);
        assert_eq!(self.audit.count(JobStatus::Dead), 0, "{after}");
    }
}

async fn rows(fleet: &Fleet) -> BTreeMap<String, Map<String, Value>> {
    let catalogue = fleet.catalogue().await;
    let snapshot = catalogue.snapshot().await.unwrap();
    let page = catalogue.products(&snapshot, &fleet.pipe.id, None, PAGE_ROWS, None);
    let page = page.await.unwrap();
    assert!(page.next.is_none());
    let of_id = |mut row: Map<String, Value>| {
        row.remove(OWN_TIME);
        (row["id"].as_str().unwrap().to_owned(), row)
    };
    rows_as_json(&page.rows).into_iter().map(of_id).collect()
}

fn commits(fleet: &Fleet) -> BTreeMap<(String, i64), u32> {
    let mut commits = BTreeMap::new();
    let log = format!("{}_delta_log/", ModelObjects::PREFIX);
    let entries = fleet.s3.peek_keys(&log).into_iter();
    for key in entries.filter(|key| key.ends_with(".json")) {
        let entry = fleet.s3.peek(&key).unwrap();
        for line in std::str::from_utf8(&entry).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if let Some(txn) = line.get("txn") {
                let app = txn["appId"].as_str().unwrap().to_owned();
                let version = txn["version"].as_i64().unwrap();
                *commits.entry((app, version)).or_default() += 1;
            }
        }
    }
    commits
}
