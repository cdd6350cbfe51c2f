//! Capacity where there is exactly one worker process and nobody to ask for
//! another.

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::ports::{Capacity, CapacityError, Completion, Headcount};

/// One process works on every queue. Wishes are accepted and change nothing:
/// the answer to `want` "comes later, if at all".
#[derive(Debug, Clone, Copy, Default)]
pub struct OneMachine;

#[async_trait]
impl Capacity for OneMachine {
    async fn want(&self, _queue: QueueName, _workers: u32) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn headcount(&self, _queue: QueueName) -> Result<Headcount, CapacityError> {
        Ok(Headcount {
            in_service: 1,
            busy: 1,
            launched: 1,
            held: 1,
            wanted: 1,
            min: 1,
            max: 1,
            ..Headcount::default()
        })
    }

    async fn protect(&self, _busy: bool) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn replace(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn complete(&self) -> Result<Completion, CapacityError> {
        Ok(Completion::NoHook)
    }
}
