//! Takes settled records out of the ledger, once another document tells how
//! the job ended (see `trawler_fleet::Jobs`), so that the next look costs what
//! is open. They rest for a moment first, so that what has just ended can be
//! seen, and ticks that come every second put few logs.

use trawler_core::folds::Folds;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::refetch::Refetches;
use trawler_core::run::Run;
use trawler_core::upkeep::UpkeepPlanned;
use trawler_core::{JobName, QueueName};
use trawler_fleet::{At, JobBrief, Jobs, LOG_RECORDS};

use crate::error::SchedulerError;
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

/// How long a settled record rests.
const REST: chrono::Duration = chrono::Duration::seconds(10);

impl Scheduler {
    /// At most [`LOG_RECORDS`] of each queue, so that a tick stays short.
    pub(crate) async fn take_settled(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let before = self.now() - REST;
        for queue in QueueName::ALL {
            let ended = look.jobs(queue).iter().filter(|at| {
                let job = &at.document;
                is_settled(job) && job.seen.unwrap_or(job.planned) <= before
            });
            let ended: Vec<At<JobBrief>> = ended.take(LOG_RECORDS).cloned().collect();
            let told = match queue {
                QueueName::Image => self.jobs.images_told(ended).await?,
                QueueName::Crawl => self.crawl_told(look, ended, report).await?,
            };
            if !told.is_empty() {
                report.records_taken += self.jobs.take_away(queue, &told).await?;
            }
        }
        Ok(())
    }

    async fn crawl_told(
        &self,
        look: &Look,
        ended: Vec<At<JobBrief>>,
        report: &mut TickReport,
    ) -> Result<Vec<At<JobBrief>>, SchedulerError> {
        let mut told = Vec::new();
        for one in ended {
            match self.is_told(look, &one.document).await {
                Ok(true) => told.push(one),
                Ok(false) => {}
                Err(error) => report.keep(error)?,
            }
        }
        Ok(told)
    }

    async fn is_told(&self, look: &Look, job: &JobRecord) -> Result<bool, SchedulerError> {
        match JobName::parse(QueueName::Crawl, &job.job) {
            Some(JobName::Collect(run)) => {
                if look.over.contains(&run) {
                    return Ok(true);
                }
                let found: Option<Run> = self.documents.get(&Run::key(&run)).await?;
                Ok(found.is_some_and(|run| run.phase.is_over()))
            }
            Some(JobName::Fold { pipe, fold }) => {
                let told = self
                    .documents
                    .change(&Folds::key(&pipe), |folds: &mut Folds| {
                        folds.done = folds.done.max(fold);
                    })
                    .await?;
                Ok(told.is_some())
            }
            Some(JobName::Refetch { pipe, refetch }) => {
                let told = self
                    .documents
                    .change(&Refetches::key(&pipe), |refetches: &mut Refetches| {
                        refetches.done = refetches.done.max(refetch);
                    })
                    .await?;
                Ok(told.is_some())
            }
            Some(JobName::Upkeep { kind, due }) => {
                let told = self
                    .documents
                    .change(&UpkeepPlanned::key(kind), |planned: &mut UpkeepPlanned| {
                        planned.done = planned.done.max(due);
                    })
                    .await?;
                Ok(told.is_some())
            }
            Some(JobName::Image(_)) | None => Ok(false),
        }
    }
}

/// A dead job stays with its dead letter until that is purged.
fn is_settled(job: &JobRecord) -> bool {
    match job.status {
        JobStatus::Done | JobStatus::Superseded => true,
        JobStatus::Dead => Jobs::is_purged(job),
        JobStatus::Open | JobStatus::Parked => false,
    }
}
