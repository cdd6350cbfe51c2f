//! Image work: sends what has room, and plans a fold when results are in.

use serde::{Deserialize, Serialize};
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobStatus;
use trawler_core::{JobId, PipeId, QueueName};
use trawler_fleet::manifests;

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

/// The document at `folds/{pipe}`: the number of the newest fold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Folds {
    newest: i64,
}

impl Scheduler {
    pub(crate) async fn move_images(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        report.image_jobs_sent +=
            manifests::fill(&self.ports, &self.jobs, self.options.windows).await?;
        let mut ready: Vec<PipeId> = Vec::new();
        for manifest in manifests::unsettled(&self.documents).await? {
            if ready.contains(&manifest.run.pipe) {
                continue;
            }
            let results = manifests::result_count(&self.ports, &manifest.run).await?;
            if manifest.wants_fold(results, self.now(), self.options.fold_after) {
                ready.push(manifest.run.pipe.clone());
            }
        }
        for pipe in ready {
            report.folds_planned += u64::from(self.plan_fold(&pipe).await?);
        }
        Ok(())
    }

    /// The job of the pipe's newest fold.
    pub(crate) async fn newest_fold(&self, pipe: &PipeId) -> Result<Option<JobId>, SchedulerError> {
        let folds: Option<Folds> = self.documents.get(&format!("folds/{pipe}")).await?;
        Ok(folds.map(|folds| {
            CrawlJob::Fold {
                pipe: pipe.clone(),
                fold: folds.newest,
            }
            .id()
        }))
    }

    /// Plans the pipe's next fold, unless one is under way. The number is
    /// taken before the job is recorded, so that a crash in between leaves a
    /// number without a job, which is recorded then.
    async fn plan_fold(&self, pipe: &PipeId) -> Result<bool, SchedulerError> {
        let key = format!("folds/{pipe}");
        let folds: Folds = self.documents.get(&key).await?.unwrap_or_default();
        let newest = CrawlJob::Fold {
            pipe: pipe.clone(),
            fold: folds.newest,
        };
        match self.jobs.find(QueueName::Crawl, &newest.id()).await? {
            Some(record) if !record.status.is_settled() => return Ok(false),
            // A dead fold waits for a person: another one would die as well.
            Some(record) if record.status == JobStatus::Dead => return Ok(false),
            Some(_) => {}
            None if folds.newest == 0 => {}
            None => {
                self.plan_crawl(&newest, pipe).await?;
                return Ok(true);
            }
        }
        let next = Folds {
            newest: folds.newest + 1,
        };
        self.documents.create(&key, &folds).await?;
        let taken = self.documents.change(&key, |stored: &mut Folds| {
            if stored == &folds {
                *stored = next;
            }
        });
        if taken.await? != Some(next) {
            // Another scheduler is planning it.
            return Ok(false);
        }
        self.plan_crawl(
            &CrawlJob::Fold {
                pipe: pipe.clone(),
                fold: next.newest,
            },
            pipe,
        )
        .await?;
        Ok(true)
    }
}
