//! The handler of the crawl queue in this program: the crawler, and beside it
//! the jobs that look after stored images. They need the scheduler, which
//! records what is fetched again, and so meet here. Nothing is sent: a worker of
//! a fleet may not, and the tick does it.

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::job::CrawlJob;
use trawler_core::upkeep::UpkeepTask;
use trawler_core::verdict::{Ending, Failure};
use trawler_crawler::Crawler;
use trawler_fleet::{Brief, Handler, JobContext, TakenJob};
use trawler_scheduler::Scheduler;
use trawler_upkeep::{Extent, RemoveOptions, Step, Upkeep, UpkeepError, VerifyOptions};

use crate::repairs::plan_repairs;

pub(crate) struct UpkeepBeside {
    pub(crate) crawler: Crawler,
    pub(crate) upkeep: Upkeep,
    pub(crate) scheduler: Scheduler,
}

#[async_trait]
impl Handler for UpkeepBeside {
    fn queue(&self) -> QueueName {
        QueueName::Crawl
    }

    async fn brief(&self, job: &TakenJob) -> Brief {
        self.crawler.brief(job).await
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        let Ok(CrawlJob::Upkeep { task, .. }) = CrawlJob::decode(&job.record.body) else {
            return self.crawler.handle(job, ctx).await;
        };
        // Neither has anything to undo: what comes next goes on from there.
        let work = ctx.unless_told(self.look_after(task, ctx)).await;
        match work {
            Ok(Ok(())) => Ending::Done,
            Ok(Err(failure)) => Ending::Failed(failure),
            Err(ending) => ending,
        }
    }

    async fn before_bury(
        &self,
        job: &TakenJob,
        ctx: &JobContext,
        reason: &str,
    ) -> Result<(), Failure> {
        self.crawler.before_bury(job, ctx, reason).await
    }
}

impl UpkeepBeside {
    async fn look_after(&self, task: UpkeepTask, ctx: &JobContext) -> Result<(), Failure> {
        match task {
            UpkeepTask::Gc { grace_days } => self.remove_unused(grace_days, ctx).await,
            UpkeepTask::Verify { products } => self.verify(products, ctx).await,
        }
    }

    async fn remove_unused(&self, grace_days: u16, ctx: &JobContext) -> Result<(), Failure> {
        let options = RemoveOptions {
            grace: chrono::Duration::days(grace_days.into()),
            remove: true,
        };
        let watch = |step: Step| ctx.progress(step.what, step.done, step.total);
        let removed = self.upkeep.remove_unused(options, &watch).await;
        let removed = removed.map_err(|error| self.failure(error))?;
        let count = removed.removed.objects;
        let resting = removed.resting.map_or(0, |resting| resting.marked.objects);
        tracing::info!(
            "images gc: {count} unused object(s) removed, {} byte(s); {resting} marked, {} spared",
            removed.removed.bytes,
            removed.spared
        );
        Ok(())
    }

    async fn verify(&self, products: u64, ctx: &JobContext) -> Result<(), Failure> {
        let options = VerifyOptions {
            pipe: None,
            extent: Extent::Sample(products),
            repair: self.scheduler.fetchable().await?,
        };
        let watch = |step: Step| ctx.progress(step.what, step.done, step.total);
        let found = self.upkeep.verify(&options, &watch).await;
        let found = found.map_err(|error| self.failure(error))?;
        for finding in &found.findings {
            let (pipe, what) = (&finding.pipe, finding.what.as_str());
            tracing::warn!(%pipe, key = finding.key, "{} of product {} is {what}", finding.key, finding.product);
        }
        let repairing = plan_repairs(&self.scheduler, &found.repairs).await?;
        for left in &repairing.left {
            tracing::info!("images verify: {left}");
        }
        tracing::info!(
            "images verify: of {} product(s) {} stored object(s), {} missing, {} damaged; the images of {} product(s) are fetched again",
            found.rows,
            found.objects,
            found.missing,
            found.damaged,
            repairing.products
        );
        Ok(())
    }

    fn failure(&self, error: UpkeepError) -> Failure {
        error.into_failure(self.upkeep.ports.clock.now())
    }
}
