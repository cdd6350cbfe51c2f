//! Runs whose job ended without the worker saying so in the run's document.

use trawler_core::ledger::JobStatus;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, QueueName};

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

impl Scheduler {
    pub(crate) async fn close_runs(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        let now = self.now();
        // An unreadable one is told where its pipe is planned.
        let runs = self
            .documents
            .load_readable::<Run>("runs/", usize::MAX)
            .await?;
        for run in runs.documents {
            if run.phase.is_over() {
                continue;
            }
            let Some(record) = self
                .jobs
                .find(QueueName::Crawl, &JobId::from(&run.id))
                .await?
            else {
                continue;
            };
            let phase = match record.status {
                JobStatus::Dead => RunPhase::Failed,
                JobStatus::Superseded => RunPhase::Superseded,
                JobStatus::Open | JobStatus::Parked | JobStatus::Done => continue,
            };
            self.documents
                .change(&Run::key(&run.id), |run: &mut Run| {
                    if !run.phase.is_over() {
                        run.phase = phase;
                        run.finished = Some(now);
                        run.reason.clone_from(&record.reason);
                    }
                })
                .await?;
            report.runs_closed += 1;
        }
        Ok(())
    }
}
