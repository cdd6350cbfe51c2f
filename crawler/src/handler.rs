//! The handler of the crawl queue: takes a crawl job to its end.

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::job::CrawlJob;
use trawler_core::run::{Run, RunPhase};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{Handler, JobContext, TakenJob};

use crate::collect::Collect;
use crate::crawler::Crawler;
use crate::fold::Fold;

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
        let Some(pipe) = self.pipes.get(body.pipe()) else {
            return Ending::Failed(Failure::permanent(format!(
                "pipe {} is not configured here; restore its file or purge the job",
                body.pipe()
            )));
        };
        let result = match body {
            CrawlJob::Collect { run } => {
                Collect {
                    crawler: self,
                    pipe,
                    run,
                    job,
                    ctx,
                }
                .run()
                .await
            }
            CrawlJob::Fold { fold, .. } => {
                Fold {
                    crawler: self,
                    pipe,
                    fold,
                    job,
                    ctx,
                }
                .run()
                .await
            }
        };
        result.unwrap_or_else(|ending| ending)
    }

    async fn before_bury(&self, job: &TakenJob, reason: &str) -> Result<(), Failure> {
        // A fold has no document of its own: its dead letter says all.
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
