//! The strict model of SQS and S3 under the contract suites. Durability it has
//! none: a restart is another handle on the same services.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trawler_core::ports::{Blobs, Queue, State};
use trawler_tests::model::{Meter, ModelBlobs, ModelQueue, ModelState, S3, Sqs, SqsOptions, Wire};
use trawler_tests::{
    BlobsHarness, ManualClock, QUEUE_RECEIVE_COUNT_MAX, QUEUE_VISIBILITY, QueueHarness,
    StateHarness, until,
};

pub(crate) struct SqsHarness {
    clock: Arc<ManualClock>,
    sqs: Arc<Sqs>,
    queue: Arc<ModelQueue>,
}

impl SqsHarness {
    pub(crate) async fn fresh() -> Self {
        let clock: Arc<ManualClock> = Arc::default();
        let options = SqsOptions {
            visibility: QUEUE_VISIBILITY,
            receives_max: QUEUE_RECEIVE_COUNT_MAX,
            ..SqsOptions::default()
        };
        let sqs = Sqs::new(clock.clone(), &Arc::default(), options);
        let queue = ModelQueue::new(&sqs, &Wire::direct(clock.clone()));
        Self { clock, sqs, queue }
    }
}

#[async_trait]
impl QueueHarness for SqsHarness {
    fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    async fn restart(&mut self) {
        self.queue = ModelQueue::new(&self.sqs, &Wire::direct(self.clock.clone()));
    }

    async fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    async fn until_waiting(&self) {
        until("the receive waits", || self.clock.sleepers() > 0).await;
    }
}

/// A bucket of its own and a way to it.
fn bucket() -> (Arc<S3>, Wire) {
    let clock: Arc<ManualClock> = Arc::default();
    let s3 = S3::new(clock.clone(), &Arc::<Meter>::default());
    (s3, Wire::direct(clock))
}

pub(crate) struct S3StateHarness(Arc<ModelState>);

impl S3StateHarness {
    pub(crate) async fn fresh() -> Self {
        let (s3, wire) = bucket();
        Self(ModelState::new(&s3, &wire))
    }
}

#[async_trait]
impl StateHarness for S3StateHarness {
    fn state(&self) -> Arc<dyn State> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

pub(crate) struct S3BlobsHarness(Arc<ModelBlobs>);

impl S3BlobsHarness {
    pub(crate) async fn fresh() -> Self {
        let (s3, wire) = bucket();
        Self(ModelBlobs::new(&s3, &wire))
    }
}

#[async_trait]
impl BlobsHarness for S3BlobsHarness {
    fn blobs(&self) -> Arc<dyn Blobs> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}
