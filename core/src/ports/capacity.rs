//! How many workers there are and should be, and this worker's place among
//! them. The local adapter is one process.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::QueueName;

/// Why a change of the capacity did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CapacityError {
    /// No repetition can succeed before somebody changes something: a group
    /// that is not there, a permission, a bound of the group.
    #[error("{verb} {what}: {reason}")]
    Refused {
        verb: &'static str,
        what: String,
        reason: String,
    },
    /// The same call may succeed later. It may also have happened.
    #[error("{verb} {what}: the capacity service did not answer")]
    Unavailable {
        verb: &'static str,
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CapacityError {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}

/// The workers of one queue, as the platform has them now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Headcount {
    /// Could receive now.
    pub in_service: u32,
    /// Of these, so many are not to be taken away.
    pub busy: u32,
    /// Asked for and not in service yet, whether the platform has begun or not.
    pub booting: u32,
    /// On their way out.
    pub leaving: u32,
    /// That the platform has begun to start and that are not gone: those that
    /// are paid for, while some that boot may be asked for and not to be had.
    pub launched: u32,
    /// No wish goes below: what is not to be taken away, of those that boot as
    /// well.
    pub held: u32,
    /// What was asked for last, by whoever asked.
    pub wanted: u32,
    /// What the platform allows.
    pub min: u32,
    pub max: u32,
}

/// A machine of a group and the instant at which the platform launched it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub machine: String,
    pub at: DateTime<Utc>,
}

/// What [`Capacity::complete`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The platform was waiting for this worker, and waits no longer.
    Completed,
    /// The platform does not wait: not yet, or no longer.
    NotAwaited,
    /// The platform never waits for workers.
    NoHook,
}

/// Every call ends within half a minute, with an error at worst, and may be
/// repeated: twice does what once does.
#[async_trait]
pub trait Capacity: Send + Sync {
    /// Asks for so many workers; the answer comes later, if at all. What the
    /// platform does not allow is cut to its bounds.
    async fn want(&self, queue: QueueName, workers: u32) -> Result<(), CapacityError>;

    /// The workers of the queue. May be some seconds old.
    async fn headcount(&self, queue: QueueName) -> Result<Headcount, CapacityError>;

    /// Workers that could receive now.
    async fn in_service(&self, queue: QueueName) -> Result<u32, CapacityError> {
        Ok(self.headcount(queue).await?.in_service)
    }

    /// The start of the machine that this worker is on; `None` where it has no
    /// place in a group, or nobody knows.
    fn start(&self) -> Option<Start> {
        None
    }

    /// Keeps this worker from being chosen for scale-in while it is busy.
    /// Asks the platform only when the answer would change. Cancel-safe.
    async fn protect(&self, busy: bool) -> Result<(), CapacityError>;

    /// Whether the platform would let this worker go now, together with its
    /// place: not where it is to have so many at least. The answer may be old
    /// when `leave` is called, which decides.
    async fn may_leave(&self) -> Result<bool, CapacityError> {
        Ok(true)
    }

    /// This worker is idle and leaves; the wanted number falls by one, also
    /// when this is called again, or when its answer was lost on the way.
    async fn leave(&self) -> Result<(), CapacityError>;

    /// This worker leaves, and another is to take its place: the wanted number
    /// stays what it is.
    async fn replace(&self) -> Result<(), CapacityError>;

    /// The drain is over: a platform that waits for this worker before it
    /// takes the machine away need not wait longer.
    async fn complete(&self) -> Result<Completion, CapacityError>;
}
