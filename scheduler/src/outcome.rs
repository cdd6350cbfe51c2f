//! Open runs: those that are over leave the pipe's schedule document, those
//! whose job ended without the worker saying so are closed, and those that a
//! dead planner left half planned are planned.
//!
//! A run whose job is open or parked is left alone without a request; only
//! what is settled or incomplete is read.

use std::collections::HashMap;
use std::sync::Arc;

use trawler_core::ledger::JobStatus;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, JobName, QueueName, RunId};
use trawler_fleet::JobBrief;

use crate::error::SchedulerError;
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

/// Dead jobs whose run was found closed, so that they are not looked at each
/// tick; with more of them some are.
const CLOSED_MAX: usize = 100_000;

impl Scheduler {
    pub(crate) async fn close_runs(
        &self,
        look: &mut Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let jobs = look.crawl_jobs();
        let open: Vec<RunId> = look
            .schedules
            .values()
            .flat_map(|runs| runs.runs())
            .collect();
        for run in open {
            let job = jobs.get(&JobId::from(&run));
            if job.is_some_and(|job| !job.status.is_settled()) {
                continue;
            }
            match self.look_after(&run, job, look, report).await {
                Ok(false) => {}
                Ok(true) => {
                    look.over.insert(run);
                }
                Err(error) => report.keep(error)?,
            }
        }
        self.close_dead(&jobs, look, report).await
    }

    /// An open run whose job is settled or has no record; says whether it is
    /// over.
    async fn look_after(
        &self,
        run: &RunId,
        job: Option<&Arc<JobBrief>>,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<bool, SchedulerError> {
        let found: Option<Run> = match job {
            Some(job) => self.close(run, job, report).await?,
            None => self.documents.get(&Run::key(run)).await?,
        };
        let over = found.filter(|run| run.phase.is_over());
        if let Some(over) = &over {
            self.end_over(over).await?;
        } else if job.is_none() {
            let known = look.schedules.get(&run.pipe);
            let reread = known.and_then(|known| known.rereads.get(&run.seq));
            self.heal(run, reread).await?;
            report.jobs_sent += 1;
        }
        Ok(over.is_some())
    }

    /// Runs that were redriven and died again are in no schedule document.
    async fn close_dead(
        &self,
        jobs: &HashMap<JobId, Arc<JobBrief>>,
        look: &mut Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        for job in jobs.values().filter(|job| job.status == JobStatus::Dead) {
            let Some(JobName::Collect(run)) = JobName::parse(QueueName::Crawl, &job.job) else {
                continue;
            };
            let known = (job.job.clone(), job.epoch);
            if look.over.contains(&run) || self.memory().closed.contains(&known) {
                continue;
            }
            match self.close(&run, job, report).await {
                Ok(_) => {
                    let mut memory = self.memory();
                    if memory.closed.len() >= CLOSED_MAX {
                        memory.closed.clear();
                    }
                    memory.closed.insert(known);
                }
                Err(error) => report.keep(error)?,
            }
        }
        Ok(())
    }

    /// Writes how the job ended into a run that does not say so; gives the run.
    async fn close(
        &self,
        run: &RunId,
        job: &JobBrief,
        report: &mut TickReport,
    ) -> Result<Option<Run>, SchedulerError> {
        let phase = match job.status {
            JobStatus::Dead => Some(RunPhase::Failed),
            JobStatus::Superseded => Some(RunPhase::Superseded),
            // The worker finishes the run before it settles the job.
            JobStatus::Open | JobStatus::Parked | JobStatus::Done => None,
        };
        let now = self.now();
        let mut closed = false;
        let changed = self
            .documents
            .change(&Run::key(run), |document: &mut Run| {
                closed = false;
                if let Some(phase) = phase
                    && !document.phase.is_over()
                {
                    closed = true;
                    document.phase = phase;
                    document.finished = Some(now);
                    document.reason.clone_from(&job.reason);
                }
            })
            .await?;
        report.runs_closed += u64::from(closed);
        Ok(changed)
    }
}
