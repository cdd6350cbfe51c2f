//! What is due becomes a run document, a job record and a message, in this
//! order: a crash between two of them is healed by the next tick.

use std::sync::Arc;

use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobRecord;
use trawler_core::pipe::Pipe;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, PipeId, QueueName, RunId};

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

/// Runs of one pipe that may be unsettled: one that is worked on and one that
/// waits. More would only repeat what the waiting one will do.
const UNSETTLED_RUNS_MAX: usize = 2;

impl Scheduler {
    pub(crate) async fn plan_due(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        for pipe in self.pipes.iter() {
            if let Err(error) = self.plan_pipe(pipe, report).await {
                report.keep(error)?;
            }
        }
        Ok(())
    }

    async fn plan_pipe(&self, pipe: &Pipe, report: &mut TickReport) -> Result<(), SchedulerError> {
        let schedule = pipe.schedule().map_err(|source| SchedulerError::Schedule {
            pipe: pipe.id.clone(),
            source,
        })?;
        let runs = self.runs_of(&pipe.id).await?;
        self.heal(pipe, &runs, report).await?;
        let Some(due) = schedule.latest_at_or_before(self.now()) else {
            return Ok(());
        };
        let run = RunId::new(pipe.id.clone(), due);
        if runs.iter().any(|known| known.id.seq >= run.seq) {
            return Ok(());
        }
        let unsettled = runs.iter().filter(|run| !run.phase.is_over()).count();
        if unsettled >= UNSETTLED_RUNS_MAX {
            report.pipes_behind += 1;
            return Ok(());
        }
        self.plan_run(pipe, &run).await?;
        report.runs_planned += 1;
        Ok(())
    }

    /// Runs of the pipe, in order.
    async fn runs_of(&self, pipe: &PipeId) -> Result<Vec<Arc<Run>>, SchedulerError> {
        Ok(self
            .documents
            .load::<Run>(&format!("runs/{pipe}/"), usize::MAX)
            .await?)
    }

    /// A run that was planned and has no job: the planner died in between.
    async fn heal(
        &self,
        pipe: &Pipe,
        runs: &[Arc<Run>],
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        for run in runs.iter().filter(|run| run.phase == RunPhase::Planned) {
            if self
                .jobs
                .find(QueueName::Crawl, &JobId::from(&run.id))
                .await?
                .is_none()
            {
                self.send_run(pipe, &run.id).await?;
                report.jobs_sent += 1;
            }
        }
        Ok(())
    }

    pub(crate) async fn plan_run(&self, pipe: &Pipe, run: &RunId) -> Result<(), SchedulerError> {
        let document = Run::plan(run.clone(), pipe.feed.mode, self.now());
        self.documents.create(&Run::key(run), &document).await?;
        tracing::info!(%run, "planned run {run}");
        self.send_run(pipe, run).await
    }

    async fn send_run(&self, pipe: &Pipe, run: &RunId) -> Result<(), SchedulerError> {
        let job = CrawlJob::Collect { run: run.clone() };
        self.plan_crawl(&job, &pipe.id).await
    }

    /// Records a crawl job and sends it; what is recorded and not accepted by
    /// the queue is sent by a later tick.
    pub(crate) async fn plan_crawl(
        &self,
        job: &CrawlJob,
        pipe: &PipeId,
    ) -> Result<(), SchedulerError> {
        let record = JobRecord::plan(
            job.id(),
            QueueName::Crawl,
            pipe.clone(),
            job.group(),
            job.encode(),
            self.now(),
        );
        self.jobs.plan_and_send(vec![record]).await?;
        Ok(())
    }
}
