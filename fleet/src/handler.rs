//! What a kind of worker does with its jobs.

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::dead::Input;
use trawler_core::ledger::JobRecord;
use trawler_core::maintenance::Touches;
use trawler_core::verdict::{Ending, Failure};

use crate::{JobContext, Pipes};

/// A job in this worker's hands.
#[derive(Debug, Clone)]
pub struct TakenJob {
    /// The record as it was when the delivery took it.
    pub record: JobRecord,
    /// The delivery's epoch; everything that it writes carries it.
    pub epoch: u64,
}

/// What a job is about, for those who look after it while it is worked on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brief {
    /// Kept with the job if it is buried.
    pub input: Input,
    /// Makes it wait where there is maintenance.
    pub touches: Touches,
}

impl Brief {
    /// As the message and the pipe say. The pipe is the one that is configured
    /// now: windows are declared for what is still to come.
    pub async fn of(record: &JobRecord, pipes: &Pipes) -> Self {
        let set = match pipes.current().await {
            Ok(set) => Some(set),
            Err(error) => {
                let job = &record.job;
                tracing::debug!(%job, %error, "the pipe of {job} was not read: its windows are not known");
                None
            }
        };
        let pipe = set.as_deref().and_then(|set| set.pipe(&record.pipe).ok());
        Self {
            input: Input::of(record.queue, &record.body, pipe),
            touches: pipe.map_or_else(Touches::default, |pipe| {
                Touches::of(record.queue, &record.body, pipe)
            }),
        }
    }
}

/// The work itself. Every effect is idempotent, named by content or by run,
/// and durable before [`Ending::Done`] is returned.
#[async_trait]
pub trait Handler: Send + Sync {
    fn queue(&self) -> QueueName;

    /// What the job is about. Asked once a delivery, before the work; what
    /// cannot be found out is left empty. Without a word of its own a handler
    /// says what the body says.
    async fn brief(&self, job: &TakenJob) -> Brief {
        Brief {
            input: Input::of(job.record.queue, &job.record.body, None),
            touches: Touches::default(),
        }
    }

    /// Does the job. Asks [`JobContext::step`] between every two steps and
    /// returns what it says; a body that it cannot decode is a permanent
    /// failure. It may be dropped at any await point when the worker leaves or
    /// the lease is lost and it does not return in time. A panic is a failed
    /// attempt of this job.
    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending;

    /// Called before the job is buried, whatever the reason; idempotent. What
    /// the job had finished is in its checkpoint. An error means that the job
    /// is not buried now and comes again.
    async fn before_bury(
        &self,
        job: &TakenJob,
        ctx: &JobContext,
        reason: &str,
    ) -> Result<(), Failure>;
}
