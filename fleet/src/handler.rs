//! What a kind of worker does with its jobs.

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::ledger::JobRecord;
use trawler_core::verdict::{Ending, Failure};

use crate::JobContext;

/// A job in this worker's hands.
#[derive(Debug, Clone)]
pub struct TakenJob {
    /// The record as it was when the delivery took it.
    pub record: JobRecord,
    /// The delivery's epoch; everything that it writes carries it.
    pub epoch: u64,
}

/// The work itself. Every effect is idempotent, named by content or by run,
/// and durable before [`Ending::Done`] is returned.
#[async_trait]
pub trait Handler: Send + Sync {
    fn queue(&self) -> QueueName;

    /// Does the job. Asks [`JobContext::step`] between every two steps and
    /// returns what it says; a body that it cannot decode is a permanent
    /// failure. It may be dropped at any await point when the worker leaves or
    /// the lease is lost and it does not return in time. A panic is a failed
    /// attempt of this job.
    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending;

    /// Called before the job is buried, whatever the reason; idempotent. An
    /// error means that the job is not buried now and comes again.
    async fn before_bury(&self, job: &TakenJob, reason: &str) -> Result<(), Failure>;
}
