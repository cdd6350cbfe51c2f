//! The handler of the crawl queue: takes a crawl job to its end.

use async_trait::async_trait;
use trawler_core::job::CrawlJob;
use trawler_core::run::{Run, RunPhase};
use trawler_core::verdict::{Ending, Failure};
use trawler_core::{QueueName, RunId};
use trawler_fleet::{Brief, Handler, JobContext, PipeError, TakenJob};

use crate::collect::Collect;
use crate::crawler::Crawler;
use crate::fold::Fold;
use crate::refetch::Refetch;

#[async_trait]
impl Handler for Crawler {
    fn queue(&self) -> QueueName {
        QueueName::Crawl
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        let body = match CrawlJob::decode(&job.record.body) {
            Ok(body) => body,
            Err(error) => return Ending::Failed(Failure::permanent(error.to_string())),
        };
        let result = match body {
            CrawlJob::Collect { run } => self.collect(run, job, ctx).await,
            CrawlJob::Fold { pipe, fold } => {
                Fold {
                    crawler: self,
                    pipe: &pipe,
                    fold,
                    job,
                    ctx,
                }
                .run()
                .await
            }
            CrawlJob::Refetch {
                pipe,
                refetch,
                wanted,
            } => {
                let work = Refetch {
                    crawler: self,
                    pipe: &pipe,
                    refetch,
                    wanted: &wanted,
                    job,
                    ctx,
                };
                work.run().await
            }
            // Whoever hires the crawler gives it to another.
            CrawlJob::Upkeep { task, .. } => {
                let why =
                    format!("{task}: this worker only collects; start one that has its upkeep");
                return Ending::Failed(Failure::permanent(why));
            }
        };
        result.unwrap_or_else(|ending| ending)
    }

    async fn brief(&self, job: &TakenJob) -> Brief {
        Brief::of(&job.record, &self.pipes).await
    }

    async fn before_bury(
        &self,
        job: &TakenJob,
        _: &JobContext,
        reason: &str,
    ) -> Result<(), Failure> {
        // A fold or a refetch has no document of its own: its dead letter says
        // all.
        let Ok(CrawlJob::Collect { run }) = CrawlJob::decode(&job.record.body) else {
            return Ok(());
        };
        let now = self.ports.clock.now();
        self.documents
            .update::<Run, std::convert::Infallible>(&Run::key(&run), |run| {
                if !run.phase.is_over() {
                    run.phase = RunPhase::Failed;
                    reason.clone_into(&mut run.reason);
                    run.finished = Some(now);
                }
                Ok(())
            })
            .await
            .map(|_| ())
            .map_err(|error| Failure::transient(format!("mark run {run} failed: {error}")))
    }
}

impl Crawler {
    /// With the pipe as it was when the run was planned.
    async fn collect(
        &self,
        run: RunId,
        job: &TakenJob,
        ctx: &JobContext,
    ) -> Result<Ending, Ending> {
        let failed = |error: PipeError| Ending::Failed(error.into());
        let set = self.pipes.of_run(&run).await.map_err(failed)?;
        let collect = Collect {
            crawler: self,
            pipe: set.pipe(&run.pipe).map_err(failed)?,
            set: &set,
            run,
            job,
            ctx,
        };
        collect.run().await
    }
}
