//! Jobs that have to go into the queue (again): never sent, parked and due,
//! resumed, lost.

use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::pause::PauseScope;
use trawler_core::{JobId, PipeId, QueueName};
use trawler_fleet::JobsError;

use crate::error::SchedulerError;
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

impl Scheduler {
    pub(crate) async fn move_jobs(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let now = self.now();
        let all = QueueName::ALL.iter().flat_map(|queue| look.jobs(*queue));
        let paused = match all
            .filter(|at| at.document.status == JobStatus::Parked)
            .count()
        {
            0 => Vec::new(),
            _ => self.documents.keys("pause/").await?,
        };
        let is_paused = |queue, pipe: &PipeId| {
            let mut scopes = PauseScope::of_job(queue, pipe).into_iter();
            scopes.any(|scope| paused.binary_search(&scope.key()).is_ok())
        };
        for queue in QueueName::ALL {
            let mut unsent = Vec::new();
            for record in look.jobs(queue).iter().map(|at| &at.document) {
                if record.needs_send() {
                    unsent.extend(self.unsent(queue, &record.job).await?);
                } else if record.is_lost(now, self.options.unseen_max) {
                    let resent = self
                        .jobs
                        .resend_lost(queue, &record.job, self.options.unseen_max)
                        .await?;
                    report.jobs_resent += resent.sent as u64;
                } else if record.is_due(now, is_paused(queue, &record.pipe)) {
                    report.jobs_unparked += self.unpark(record).await?;
                }
            }
            report.jobs_sent += self.jobs.send(&unsent).await?.sent as u64;
        }
        Ok(())
    }

    /// The whole record of a job that seems to need a send, if it still does.
    /// A planner that died may have left one of a job that is settled.
    async fn unsent(
        &self,
        queue: QueueName,
        job: &JobId,
    ) -> Result<Option<JobRecord>, SchedulerError> {
        let record = self.jobs.find(queue, job).await?;
        let Some(record) = record.filter(JobRecord::needs_send) else {
            return Ok(None);
        };
        if record.is_unseen() && self.jobs.withdraw_settled(queue, job).await? {
            return Ok(None);
        }
        Ok(Some(record))
    }

    async fn unpark(&self, record: &JobRecord) -> Result<u64, SchedulerError> {
        match self.jobs.unpark(record.queue, &record.job).await {
            Ok(sent) => Ok(sent.sent as u64),
            // Another scheduler was faster.
            Err(JobsError::Ledger(_)) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
