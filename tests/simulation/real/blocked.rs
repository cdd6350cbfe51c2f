//! A picture that is blocked while a run brings it back, and a pause right after
//! the commit: nobody sees the picture for as long as the pause lasts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use trawler_catalogue::STORED_ROWS_MAX;
use trawler_core::PipeId;
use trawler_core::blocked_images::{BlockedImages, ImageAct};
use trawler_core::drain::PAUSE_CACHE;
use trawler_core::image::ImageStatus;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::pause::PauseScope;
use trawler_core::ports::{Clock as _, State, StateEntry, StateError, Version, Versioned};
use trawler_core::run::{Run, RunPhase};
use trawler_core::withheld::Note;
use trawler_fleet::{Pauses, Ports};
use trawler_shop::{DayChange, Shop, ShopSpec};
use trawler_tests::until;

use super::fleet::{Ended, Fleet, TestClock};
use super::{on_a_thread_of_its_own, spec};

/// From one run to the next: a picture of a product that comes back sooner than
/// half a day after it went is still stored.
const RUNS_EVERY: Duration = Duration::from_secs(3_600);

/// Somebody blocks a picture as the rows of the run are about to be committed,
/// and pauses the pipe as they are.
struct Beside {
    inner: Arc<dyn State>,
    others: Ports,
    clock: Arc<TestClock>,
    pipe: PipeId,
    blocks: Mutex<Option<BlockedImages>>,
    pauses: AtomicBool,
}

impl Beside {
    async fn replaced(&self, run: &Run) {
        if run.phase != RunPhase::Committing {
            return;
        }
        let blocks = self.blocks.lock().unwrap().take();
        if let Some(blocked) = blocks {
            let documents = self.others.documents();
            documents.put(BlockedImages::KEY, &blocked).await.unwrap();
        }
        if run.version.is_some() && self.pauses.swap(false, Ordering::SeqCst) {
            let scope = PauseScope::Pipe(self.pipe.clone());
            let pauses = Pauses::new(&self.others);
            pauses.pause(&scope, "somebody looks").await.unwrap();
            // So that nobody thinks it knows that there is no pause.
            self.clock.advance(PAUSE_CACHE * 2);
        }
    }
}

#[async_trait]
impl State for Beside {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        self.inner.get(key).await
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.inner.create(key, value).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        let replaced = self.inner.replace(key, value, expected).await?;
        if key.starts_with("runs/") {
            let run: Run = serde_json::from_slice(value).unwrap();
            self.replaced(&run).await;
        }
        Ok(replaced)
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

/// Ids of products and the pictures that they show.
async fn shown(fleet: &Fleet) -> Vec<(String, String)> {
    let catalogue = fleet.catalogue().await;
    let snapshot = catalogue.snapshot().await.unwrap();
    let rows = catalogue.stored_images(&snapshot, &fleet.pipe.id, 0, STORED_ROWS_MAX);
    let rows = rows.await.unwrap().into_iter();
    let shown = rows.filter(|row| row.status == Some(ImageStatus::Stored));
    shown
        .filter_map(|row| Some((row.id, row.sha256?)))
        .collect()
}

/// Blocked after the rows were written, and paused when they are committed.
fn disturb(fleet: &Fleet, sha256: &str) {
    let note = Note {
        by: "ann".to_owned(),
        at: fleet.clock.now(),
        why: String::new(),
    };
    let mut blocked = BlockedImages::default();
    blocked.decide(ImageAct::Block, sha256, &note).unwrap();
    let (others, clock) = (fleet.ports(&fleet.direct()), Arc::clone(&fleet.clock));
    let pipe = fleet.pipe.id.clone();
    fleet.put_between(Arc::new(move |inner| {
        Arc::new(Beside {
            inner,
            others: others.clone(),
            clock: Arc::clone(&clock),
            pipe: pipe.clone(),
            blocks: Mutex::new(Some(blocked.clone())),
            pauses: AtomicBool::new(true),
        })
    }));
}

#[test]
fn a_pause_right_after_the_commit_leaves_no_blocked_picture_to_be_seen() {
    on_a_thread_of_its_own(async {
        let gone_share = 0.34;
        let shop = Shop::start(ShopSpec {
            day_change: DayChange {
                gone_share,
                ..DayChange::NONE
            },
            ..spec()
        });
        let shop = shop.await.unwrap();
        let mut fleet = Fleet::new(&shop);
        let hourly = serde_json::json!({ "cron": "0 * * * *" });
        fleet.pipe.schedule = serde_json::from_value(hourly).unwrap();
        assert_eq!(fleet.live(None).await, Ended::Settled);
        let all = shown(&fleet).await;
        shop.set_day(1);
        fleet.wants_runs(2);
        fleet.clock.advance(RUNS_EVERY);
        assert_eq!(fleet.live(None).await, Ended::Settled);
        let left = shown(&fleet).await;
        let gone = all.iter().find(|row| !left.contains(row)).unwrap();

        shop.set_day(0);
        fleet.wants_runs(3);
        fleet.clock.advance(RUNS_EVERY);
        disturb(&fleet, &gone.1);
        let is_parked = until("the run is parked", || {
            let jobs: Vec<JobRecord> = fleet.documents("jobs/");
            jobs.iter().any(|job| job.status == JobStatus::Parked)
        });
        assert_eq!(fleet.live_until(None, is_parked).await, Ended::Settled);
        let runs: Vec<Run> = fleet.documents("runs/");
        let last = runs.iter().max_by_key(|run| run.id.seq).unwrap();
        assert!(last.version.is_some() && !last.phase.is_over(), "{last:#?}");
        assert!(last.counts.inserts > 0, "{last:#?}");
        let shown = shown(&fleet).await;
        assert!(!shown.is_empty() && shown.len() < all.len());
        let is_blocked = |(_, sha256): &(String, String)| *sha256 == gone.1;
        assert!(!shown.iter().any(is_blocked), "{shown:?}");
    });
}
