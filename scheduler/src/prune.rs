//! Takes away what is settled and old: job records, manifests with their
//! results. Run documents stay; they are the history that people look at.

use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::Manifest;
use trawler_core::{JobId, QueueName};
use trawler_fleet::manifests;

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

/// Things taken away in one tick, so that a tick stays short.
const PRUNED_A_TICK: u64 = 1_000;

impl Scheduler {
    pub(crate) async fn prune(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        let before = self.now() - self.options.settled_kept;
        for manifest in self
            .documents
            .load::<Manifest>("manifests/", usize::MAX)
            .await?
        {
            let folded = manifest.folded_at.unwrap_or(manifest.written);
            if manifest.settled && folded < before && report.pruned < PRUNED_A_TICK {
                manifests::remove(&self.ports, &self.documents, &manifest).await?;
                report.pruned += 1;
            }
        }
        for queue in QueueName::ALL {
            for record in self.jobs.list_readable(queue).await?.documents {
                // A dead job stays with its dead letter until that is purged.
                let gone = matches!(record.status, JobStatus::Done | JobStatus::Superseded);
                let old = record.seen.unwrap_or(record.planned) < before;
                if gone
                    && old
                    && report.pruned < PRUNED_A_TICK
                    && !self.is_newest_fold(&record).await?
                {
                    self.documents
                        .delete(&JobRecord::key(queue, &record.job))
                        .await?;
                    report.pruned += 1;
                }
            }
        }
        self.prune_checkpoints(report).await
    }

    /// A worker removes the checkpoint of a job that it settled; what a crash
    /// left goes here. Those of dead jobs stay, for a redrive goes on from them.
    async fn prune_checkpoints(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        for queue in QueueName::ALL {
            let prefix = format!("checkpoints/{queue}/");
            for key in self.documents.keys(&prefix).await? {
                let Ok(job) = JobId::parse(&key[prefix.len()..]) else {
                    continue;
                };
                let useless = match self.jobs.find(queue, &job).await? {
                    None => true,
                    Some(record) => match record.status {
                        JobStatus::Done | JobStatus::Superseded => true,
                        JobStatus::Open | JobStatus::Parked | JobStatus::Dead => false,
                    },
                };
                if useless && report.pruned < PRUNED_A_TICK {
                    self.documents.delete(&key).await?;
                    report.pruned += 1;
                }
            }
        }
        Ok(())
    }

    /// The newest fold's record tells the planner that it has been done.
    async fn is_newest_fold(&self, record: &JobRecord) -> Result<bool, SchedulerError> {
        if !record.job.as_str().contains("#images@") {
            return Ok(false);
        }
        Ok(self
            .newest_fold(&record.pipe)
            .await?
            .is_some_and(|job| job == record.job))
    }
}
