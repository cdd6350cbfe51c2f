//! `SqsQueue` against MiniStack.
//!
//! What MiniStack 1.5.33 does otherwise than SQS, and how the suite holds all
//! the same: it takes a receipt after its visibility has ended or the message
//! was released, until the message is received again, and knows no 12 hours.
//! The adapter judges both by its own clock before it asks, so no case is
//! skipped for it. Skipped is what needs more patience than a test has: the 5
//! minutes of the dedup memory and the 12 hours of a lease, which the strict
//! model and the adapter's own tests have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use trawler_aws::{Cloud, SqsOptions, SqsQueue};
use trawler_core::ports::{Clock, Queue};
use trawler_core::{Environment, QueueName};
use trawler_local::SystemClock;
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::{QUEUE_RECEIVE_COUNT_MAX, QUEUE_VISIBILITY, QueueHarness};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct SqsHarness {
    clock: Arc<dyn Clock>,
    options: SqsOptions,
    queue: Arc<dyn Queue>,
}

/// As another process gets to it.
async fn cloud() -> Cloud {
    let emulator = tokio::task::spawn_blocking(Ministack::shared)
        .await
        .unwrap();
    Cloud::at(&emulator.endpoint(), REGION).await
}

impl SqsHarness {
    pub(crate) async fn fresh() -> Self {
        static QUEUES: AtomicU32 = AtomicU32::new(0);
        let number = QUEUES.fetch_add(1, Ordering::Relaxed);
        // The crawl queue: a case sends one dedup id to two groups, and the
        // image queue remembers dedup ids for each group.
        let options = SqsOptions {
            name: QueueName::Crawl,
            environment: Environment::parse("contract").unwrap(),
            queue: format!("contract-{number}-crawl.fifo"),
            visibility: QUEUE_VISIBILITY,
            receive_count_max: QUEUE_RECEIVE_COUNT_MAX,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let made = SqsQueue::create(&cloud().await, Arc::clone(&clock), options.clone()).await;
        Self {
            clock,
            options,
            queue: Arc::new(made.unwrap()),
        }
    }
}

#[async_trait]
impl QueueHarness for SqsHarness {
    fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.queue)
    }

    async fn restart(&mut self) {
        let (clock, options) = (Arc::clone(&self.clock), self.options.clone());
        let opened = SqsQueue::open(&cloud().await, clock, options).await;
        self.queue = Arc::new(opened.unwrap());
    }

    async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
