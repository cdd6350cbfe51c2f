//! Image work: sends what has room, plans a fold when results are in, and
//! retires manifests that are settled.
//!
//! Results are not listed to be counted: a result is put before its job is
//! settled, so the planned jobs of a manifest less those that are open or
//! parked have one. They are listed in one case alone, which bounds the
//! listings: all jobs are settled, and an earlier fold found fewer results than
//! jobs. That is one listing a 1,000 results, at most once in `fold_after`
//! where it finds nothing new.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use trawler_core::folds::Folds;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::{JobId, JobName, PipeId, QueueName, RunId};
use trawler_fleet::Jobs;
use trawler_fleet::manifests::{self, Ledger};

use crate::error::SchedulerError;
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

/// Manifests retired in one tick, so that a tick stays short.
const RETIRED_A_TICK: usize = 200;

impl Scheduler {
    pub(crate) async fn move_images(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let (settled, open): (Vec<_>, Vec<_>) =
            look.manifests.iter().partition(|manifest| manifest.settled);
        self.send_images(look, &open, report).await?;
        let unsettled = self.unsettled_images(look).await?;
        let mut ready: BTreeSet<PipeId> = BTreeSet::new();
        let folding = folding(look);
        for manifest in open {
            let pipe = &manifest.run.pipe;
            if ready.contains(pipe) || folding.contains_key(pipe) {
                continue;
            }
            let waiting = unsettled.get(&manifest.run).copied().unwrap_or_default();
            match self.wants_fold(manifest, waiting).await {
                Ok(true) => {
                    ready.insert(pipe.clone());
                }
                Ok(false) => {}
                Err(error) => report.keep(error)?,
            }
        }
        for pipe in ready {
            match self.plan_fold(&pipe).await {
                Ok(planned) => report.folds_planned += u64::from(planned),
                Err(error) => report.keep(error)?,
            }
        }
        for manifest in settled.into_iter().take(RETIRED_A_TICK) {
            match manifests::retire(&self.ports, &self.documents, manifest).await {
                Ok(()) => report.pruned += 1,
                Err(error) => report.keep(error)?,
            }
        }
        Ok(())
    }

    async fn send_images(
        &self,
        look: &Look,
        open: &[&std::sync::Arc<Manifest>],
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let ledger = Ledger::of(&look.image);
        let mut room = ledger.room(self.options.windows);
        for manifest in open {
            let sent = self
                .filler
                .send_more(&self.ports, &self.jobs, manifest, &ledger, &mut room)
                .await;
            match sent {
                Ok(sent) => report.image_jobs_sent += sent,
                Err(error) => report.keep(error)?,
            }
        }
        self.filler
            .keep_only(open.iter().map(|manifest| &manifest.run));
        Ok(())
    }

    /// How many jobs of each run are open or parked.
    async fn unsettled_images(&self, look: &Look) -> Result<HashMap<RunId, u64>, SchedulerError> {
        let mut unsettled: HashMap<RunId, u64> = HashMap::new();
        for job in look.image.iter().map(|at| &at.document) {
            if !job.status.is_settled()
                && let Some(run) = self.jobs.run_of_image(&job.job).await?
            {
                *unsettled.entry(run).or_default() += 1;
            }
        }
        Ok(unsettled)
    }

    async fn wants_fold(&self, manifest: &Manifest, waiting: u64) -> Result<bool, SchedulerError> {
        let (now, after) = (self.now(), self.options.fold_after);
        let results = manifest.planned_jobs().saturating_sub(waiting);
        if !manifest.wants_fold(results, now, after) {
            return Ok(false);
        }
        let Some(folded_at) = manifest.folded_at.filter(|_| results >= manifest.jobs) else {
            return Ok(true);
        };
        let counted = self.memory().counted.get(&manifest.run).copied();
        if counted.is_some_and(|at| at >= folded_at && now - at < after) {
            return Ok(false);
        }
        let results = manifests::result_count(&self.ports, &manifest.run).await?;
        if results > manifest.folded {
            return Ok(true);
        }
        let (run, missing) = (&manifest.run, manifest.jobs - results);
        tracing::error!(%run, "all image jobs of run {run} are settled and {missing} result(s) are missing: its manifest waits");
        self.memory().counted.insert(run.clone(), now);
        Ok(false)
    }

    /// Plans the pipe's next fold, unless one is under way. The number is
    /// taken before the job is recorded, so that a crash in between leaves a
    /// number without a job, which is recorded then.
    pub(crate) async fn plan_fold(&self, pipe: &PipeId) -> Result<bool, SchedulerError> {
        let key = Folds::key(pipe);
        let folds: Folds = self.documents.get(&key).await?.unwrap_or_default();
        if folds.newest > folds.done {
            let newest = JobName::fold_id(pipe, folds.newest);
            match self.jobs.find(QueueName::Crawl, &newest).await? {
                Some(record) if !record.status.is_settled() => return Ok(false),
                // A dead fold waits for a person: another one would die as well.
                Some(record) if record.status == JobStatus::Dead && !Jobs::is_purged(&record) => {
                    return Ok(false);
                }
                Some(_) => {}
                None => {
                    self.send_fold(pipe, folds.newest).await?;
                    return Ok(true);
                }
            }
        }
        let next = Folds {
            newest: folds.newest + 1,
            done: folds.newest,
            planned: Some(self.now()),
        };
        self.documents.create(&key, &folds).await?;
        let taken = self.documents.change(&key, |stored: &mut Folds| {
            if stored.newest == folds.newest {
                *stored = next;
            }
        });
        if taken.await? != Some(next) {
            // Another scheduler is planning it.
            return Ok(false);
        }
        self.send_fold(pipe, next.newest).await?;
        Ok(true)
    }

    async fn send_fold(&self, pipe: &PipeId, fold: i64) -> Result<(), SchedulerError> {
        let pipe = pipe.clone();
        let job = CrawlJob::Fold { pipe, fold };
        self.plan_crawl(&job).await
    }
}

/// Why no fold of a pipe is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Folding {
    UnderWay,
    /// It waits for a person.
    Dead(JobId),
}

/// Pipes with a fold that is under way, or dead and waiting for a person.
pub(crate) fn folding(look: &Look) -> BTreeMap<PipeId, Folding> {
    let mut found = BTreeMap::new();
    for job in look.crawl.iter().map(|at| &at.document) {
        let folding = match job.status {
            JobStatus::Open | JobStatus::Parked => Folding::UnderWay,
            JobStatus::Dead if !Jobs::is_purged(job) => Folding::Dead(job.job.clone()),
            JobStatus::Dead | JobStatus::Done | JobStatus::Superseded => continue,
        };
        match JobName::parse(QueueName::Crawl, &job.job) {
            Some(JobName::Fold { pipe, .. }) => {
                // One that is at work carries out what a dead one did not.
                let known = found.entry(pipe).or_insert_with(|| folding.clone());
                if folding == Folding::UnderWay {
                    *known = folding;
                }
            }
            Some(
                JobName::Collect(_)
                | JobName::Refetch { .. }
                | JobName::Upkeep { .. }
                | JobName::Image(_),
            )
            | None => {}
        }
    }
    found
}
