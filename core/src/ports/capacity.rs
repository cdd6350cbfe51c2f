//! How many workers there are and should be. The local adapter is one process.

use async_trait::async_trait;

use crate::QueueName;

#[derive(Debug, thiserror::Error)]
#[error("{verb} capacity of {queue} workers")]
pub struct CapacityError {
    pub verb: &'static str,
    pub queue: QueueName,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

#[async_trait]
pub trait Capacity: Send + Sync {
    /// Asks for so many workers; the answer comes later, if at all.
    async fn want(&self, queue: QueueName, workers: u32) -> Result<(), CapacityError>;

    async fn in_service(&self, queue: QueueName) -> Result<u32, CapacityError>;

    /// Keeps this worker from being chosen for scale-in while it is busy.
    async fn protect(&self, busy: bool) -> Result<(), CapacityError>;

    /// This worker is idle and leaves; the wanted number falls by one.
    async fn leave(&self) -> Result<(), CapacityError>;
}
