//! The local adapter in the suites, and what it promises beyond the ports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tempfile::TempDir;
use trawler_core::QueueName;
use trawler_core::ports::{Blobs, Clock, Queue, State};
use trawler_local::{LocalStore, QueueOptions, SystemClock};
use trawler_tests::{
    BlobsHarness, ManualClock, QUEUE_RECEIVE_COUNT_MAX, QUEUE_VISIBILITY, QueueHarness,
    StateHarness, WAIT_MAX, until,
};

use crate::queue::{bodies, message, send_all};

pub(crate) const OPTIONS: QueueOptions = QueueOptions {
    visibility: QUEUE_VISIBILITY,
    receive_count_max: QUEUE_RECEIVE_COUNT_MAX,
};

pub(crate) struct LocalQueueHarness {
    folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    queue: Arc<dyn Queue>,
}

impl LocalQueueHarness {
    pub(crate) async fn fresh() -> Self {
        Self::with_clock(Arc::default()).await
    }

    pub(crate) async fn with_clock(clock: Arc<ManualClock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queue = open_queue(&folder, clock.clone()).await;
        Self {
            folder,
            clock,
            queue,
        }
    }
}

async fn open(folder: &TempDir, clock: Arc<dyn Clock>) -> LocalStore {
    LocalStore::open(folder.path(), clock).await.unwrap()
}

async fn open_queue(folder: &TempDir, clock: Arc<dyn Clock>) -> Arc<dyn Queue> {
    let store = open(folder, clock).await;
    Arc::new(store.queue(QueueName::Crawl, OPTIONS).unwrap())
}

#[async_trait]
impl QueueHarness for LocalQueueHarness {
    fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.queue)
    }

    async fn restart(&mut self) {
        self.queue = open_queue(&self.folder, self.clock.clone()).await;
    }

    async fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    async fn until_waiting(&self) {
        until("the receive waits", || self.clock.sleepers() > 0).await;
    }
}

pub(crate) struct LocalStateHarness {
    folder: TempDir,
    state: Arc<dyn State>,
}

impl LocalStateHarness {
    pub(crate) async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, Arc::new(SystemClock::new())).await;
        Self {
            folder,
            state: Arc::new(store.state()),
        }
    }
}

#[async_trait]
impl StateHarness for LocalStateHarness {
    fn state(&self) -> Arc<dyn State> {
        Arc::clone(&self.state)
    }

    async fn restart(&mut self) {
        let store = open(&self.folder, Arc::new(SystemClock::new())).await;
        self.state = Arc::new(store.state());
    }
}

pub(crate) struct LocalBlobsHarness {
    folder: TempDir,
    blobs: Arc<dyn Blobs>,
}

impl LocalBlobsHarness {
    pub(crate) async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, Arc::new(SystemClock::new())).await;
        Self {
            folder,
            blobs: Arc::new(store.blobs()),
        }
    }
}

#[async_trait]
impl BlobsHarness for LocalBlobsHarness {
    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::clone(&self.blobs)
    }

    fn keeps_headers(&self) -> bool {
        false
    }

    async fn restart(&mut self) {
        let store = open(&self.folder, Arc::new(SystemClock::new())).await;
        self.blobs = Arc::new(store.blobs());
    }
}

#[tokio::test]
async fn queues_of_one_file_are_apart() {
    let _beside = crate::machine::beside().await;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Arc::new(ManualClock::default())).await;
    let crawl = store.queue(QueueName::Crawl, OPTIONS).unwrap();
    let image = store.queue(QueueName::Image, OPTIONS).unwrap();
    send_all(&crawl, &[message("g", 1)]).await;
    assert!(image.receive(10, Duration::ZERO).await.unwrap().is_empty());
    // The same dedup id and group, and neither stands in the other's way.
    send_all(&image, &[message("g", 1)]).await;
    let held = crawl.receive(1, Duration::ZERO).await.unwrap();
    let leases = image.receive(1, Duration::ZERO).await.unwrap();
    assert_eq!(bodies(&leases), ["g:1"]);
    for lease in held {
        crawl.bury(lease, "for the test").await.unwrap();
    }
    assert!(image.receive_dead(10).await.unwrap().is_empty());
    assert_eq!(crawl.receive_dead(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_receive_fills_its_slots_from_the_oldest_group_first() {
    let _beside = crate::machine::beside().await;
    let harness = LocalQueueHarness::fresh().await;
    let queue = harness.queue();
    let sent = [("a", 1), ("b", 1), ("a", 2), ("b", 2)].map(|(group, n)| message(group, n));
    send_all(&*queue, &sent).await;
    let leases = queue.receive(3, Duration::ZERO).await.unwrap();
    assert_eq!(bodies(&leases), ["a:1", "a:2", "b:1"]);
}

#[tokio::test]
async fn stores_of_one_folder_see_each_other() {
    let _beside = crate::machine::beside().await;
    let folder = tempfile::tempdir().unwrap();
    let open_one = async || {
        let store = open(&folder, Arc::new(SystemClock::new())).await;
        store.queue(QueueName::Crawl, OPTIONS).unwrap()
    };
    let (here, there) = (open_one().await, open_one().await);
    let waiting = tokio::spawn(async move { here.receive(1, Duration::from_secs(20)).await });
    // No wake reaches the other store; its poll of the file does.
    send_all(&there, &[message("g", 1)]).await;
    let leases = waiting.await.unwrap().unwrap();
    assert_eq!(bodies(&leases), ["g:1"]);
    assert!(there.receive(1, Duration::ZERO).await.unwrap().is_empty());
    for lease in leases {
        there.ack(lease).await.unwrap();
    }
    assert_eq!(there.depth().await.unwrap().total(), 0);
}

/// Cancelled receives give back what they took, uncounted, wherever the cut
/// falls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receive_that_is_dropped_gives_back_what_it_took() {
    let _beside = crate::machine::beside().await;
    let harness = LocalQueueHarness::fresh().await;
    let queue = harness.queue();
    send_all(&*queue, &[message("g", 1)]).await;
    for cut in 0..200 {
        let receiver = Arc::clone(&queue);
        let receiving = tokio::spawn(async move { receiver.receive(1, Duration::ZERO).await });
        for _ in 0..cut {
            tokio::task::yield_now().await;
        }
        receiving.abort();
        let ended = receiving.await;
        let leases = match ended {
            Ok(leases) => leases.unwrap(),
            Err(_) => Vec::new(),
        };
        let delivered = u32::try_from(leases.len()).unwrap();
        for lease in leases {
            queue.release(lease, Duration::ZERO).await.unwrap();
        }
        // Time stands still: only giving back makes the message visible again,
        // once the transaction that took it has ended.
        let deadline = Instant::now() + WAIT_MAX;
        let lease = loop {
            let again = queue.receive(1, Duration::ZERO).await.unwrap();
            if let Some(lease) = again.into_iter().next() {
                break lease;
            }
            assert!(Instant::now() < deadline, "cut {cut}: not given back");
            tokio::task::yield_now().await;
        };
        assert_eq!(lease.receive_count, delivered + 1, "cut {cut}");
        queue.ack(lease).await.unwrap();
        send_all(&*queue, &[message("g", cut + 2)]).await;
    }
}
