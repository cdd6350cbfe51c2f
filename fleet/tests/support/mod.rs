//! Behaving ports in memory, for the tests of the fleet and the scheduler:
//! order, leases, deduplication and compare-and-swap as the traits demand,
//! with faults that a test switches on. They prove nothing about adapters; the
//! contract suite does.
#![allow(dead_code, unreachable_pub, unused_imports, clippy::unwrap_used)]

pub mod clock;
pub mod queue;
pub mod seeds;
pub mod stores;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trawler_core::ledger::JobRecord;
use trawler_core::ports::{Metric, Metrics};
use trawler_core::{JobId, QueueName};
use trawler_fleet::Ports;

pub use clock::TestClock;
pub use queue::MemQueue;
pub use seeds::{image_job_at, pipe, pipe_due, pipe_of, put_result};
pub use stores::{Bill, MemBlobs, MemState};

/// The process dies at the n-th write: that one and all later calls fail for
/// good, in every port, until it is switched off.
pub struct Crash {
    writes_left: AtomicI64,
}

impl Crash {
    pub fn never() -> Arc<Self> {
        Arc::new(Self {
            writes_left: AtomicI64::new(i64::MAX),
        })
    }

    pub fn after_writes(&self, writes: i64) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    pub fn restart(&self) {
        self.after_writes(i64::MAX);
    }

    /// False when the process is dead.
    pub fn write(&self) -> bool {
        self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0
    }

    pub fn is_alive(&self) -> bool {
        self.writes_left.load(Ordering::SeqCst) > 0
    }
}

#[derive(Default)]
pub struct MemMetrics {
    pub seen: Mutex<Vec<Metric>>,
}

impl Metrics for MemMetrics {
    fn record(&self, metric: Metric) {
        self.seen.lock().unwrap().push(metric);
    }
}

impl MemMetrics {
    pub fn count(&self, wanted: impl Fn(&Metric) -> bool) -> usize {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .filter(|m| wanted(m))
            .count()
    }
}

/// All ports of one test.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<TestClock>,
    pub state: Arc<MemState>,
    pub blobs: Arc<MemBlobs>,
    pub crawl: Arc<MemQueue>,
    pub image: Arc<MemQueue>,
    pub metrics: Arc<MemMetrics>,
    pub crash: Arc<Crash>,
    pub ports: Ports,
}

impl World {
    pub fn new(clock: TestClock, visibility: Duration) -> Self {
        let clock = Arc::new(clock);
        let crash = Crash::never();
        let state = Arc::new(MemState::new(&crash));
        let blobs = Arc::new(MemBlobs::new(&crash));
        let crawl = Arc::new(MemQueue::new(&clock, &crash, visibility));
        let image = Arc::new(MemQueue::new(&clock, &crash, visibility));
        let metrics = Arc::new(MemMetrics::default());
        let ports = Ports {
            state: state.clone(),
            blobs: blobs.clone(),
            crawl: crawl.clone(),
            image: image.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        Self {
            clock,
            state,
            blobs,
            crawl,
            image,
            metrics,
            crash,
            ports,
        }
    }

    /// What all requests so far would be billed as.
    pub fn bill(&self) -> Bill {
        self.state.bill() + self.blobs.bill()
    }

    /// The record as it is stored now.
    pub fn record(&self, queue: QueueName, job: &JobId) -> JobRecord {
        let bytes = self.state.peek(&JobRecord::key(queue, job)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

/// Waits until the condition holds, in real time, at most a minute.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
