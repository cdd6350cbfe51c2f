//! Takes away what is settled and old: job records, manifests with their
//! results. Run documents stay; they are the history that people look at.

use trawler_core::QueueName;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::Manifest;
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
            for record in self.jobs.list(queue).await? {
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
