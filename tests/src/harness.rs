//! How an adapter enters the contract suites: each harness owns one fresh
//! store and can let time pass and start the store again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trawler_core::ports::{Blobs, Queue, State};

/// The visibility of every queue under test. Whole seconds, as SQS counts, and
/// few, for adapters where time really has to pass.
pub const QUEUE_VISIBILITY: Duration = Duration::from_secs(10);

/// Deliveries before the backstop, of every queue under test.
pub const QUEUE_RECEIVE_COUNT_MAX: u32 = 3;

/// One fresh queue with [`QUEUE_VISIBILITY`] and [`QUEUE_RECEIVE_COUNT_MAX`].
#[async_trait]
pub trait QueueHarness: Send + Sync {
    fn queue(&self) -> Arc<dyn Queue>;

    /// Ends the handle as a crash does and opens another on what is durable.
    async fn restart(&mut self);

    /// Lets so much time pass.
    async fn pass(&self, span: Duration);

    /// The longest time that can be made to pass. Cases that need more print
    /// that they are skipped.
    fn patience(&self) -> Duration {
        Duration::MAX
    }

    /// How long a receive must wait to see all there is; zero where a look is
    /// exact.
    fn look(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns once a receive of this harness's queue has looked, found nothing
    /// and waits. Where that cannot be seen, at once.
    async fn until_waiting(&self) {}
}

/// One fresh state store.
#[async_trait]
pub trait StateHarness: Send + Sync {
    fn state(&self) -> Arc<dyn State>;

    /// Ends the handle as a crash does and opens another on what is durable.
    async fn restart(&mut self);
}

/// One fresh object store.
#[async_trait]
pub trait BlobsHarness: Send + Sync {
    fn blobs(&self) -> Arc<dyn Blobs>;

    /// Whether the store keeps what caches are told; files have no place for it.
    fn keeps_headers(&self) -> bool {
        true
    }

    /// Ends the handle as a crash does and opens another on what is durable.
    async fn restart(&mut self);
}
