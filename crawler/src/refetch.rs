//! A refetch: images that somebody wants again between two runs become a
//! manifest of their own. Its jobs are sent, and their results folded, as those
//! of a run are. The shop of a pipe that is not collected any more is asked
//! nothing, whenever that was decided.

use std::collections::HashSet;
use std::sync::Arc;

use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::ports::BlobError;
use trawler_core::refetch::{Refetches, Wanted};
use trawler_core::verdict::{Ending, Failure};
use trawler_core::withheld::Withholding;
use trawler_core::{JobName, PipeId};
use trawler_fleet::{JobContext, PipeError, TakenJob, retry};

use crate::crawler::Crawler;
use crate::failure::documents_failure;
use crate::plan_images::{Pick, PlanImages};

/// One delivery of one refetch.
pub(crate) struct Refetch<'a> {
    pub(crate) crawler: &'a Crawler,
    pub(crate) pipe: &'a PipeId,
    pub(crate) refetch: i64,
    pub(crate) wanted: &'a Wanted,
    pub(crate) job: &'a TakenJob,
    pub(crate) ctx: &'a JobContext,
}

impl Refetch<'_> {
    pub(crate) async fn run(self) -> Result<Ending, Ending> {
        self.ctx.step().await?;
        let key = Refetches::key(self.pipe);
        let documents = &self.crawler.documents;
        let known: Option<Refetches> = documents.get(&key).await.map_err(documents_failure)?;
        let newest = known.unwrap_or_default().newest;
        if newest > self.refetch {
            // A dead one that was sent again: a later one did its work.
            return Err(Ending::Superseded {
                by: JobName::refetch_id(self.pipe, newest).to_string(),
            });
        }
        let failed = |error: PipeError| Ending::Failed(error.into());
        let set = self.crawler.pipes.current().await.map_err(failed)?;
        let pipe = set.pipe(self.pipe).map_err(failed)?;
        if pipe.images.collect && self.is_collected(pipe).await? {
            self.plan(pipe).await?;
        }
        if let Some(until) = self.wanted.retries_until() {
            documents
                .change(&key, |refetches: &mut Refetches| {
                    refetches.retried = refetches.retried.max(Some(until));
                })
                .await
                .map_err(documents_failure)?;
        }
        if let Wanted::Listed { key } = self.wanted {
            let deleted = self.crawler.ports.blobs.delete(std::slice::from_ref(key));
            deleted.await.map_err(|error| blob_failure(key, &error))?;
        }
        Ok(Ending::Done)
    }

    /// By its file, and by what persons said since the refetch was planned.
    async fn is_collected(&self, pipe: &Pipe) -> Result<bool, Ending> {
        let key = Withholding::key(&pipe.id);
        let known = self.crawler.documents.get::<Withholding>(&key);
        let said = known.await.map_err(documents_failure)?;
        let said = said.and_then(|known| known.said);
        Ok(pipe.state.is_collected() && said != Some(PipeState::Retired))
    }

    async fn plan(&self, pipe: &Pipe) -> Result<(), Ending> {
        let pick = match self.wanted {
            Wanted::Failed(failed) => Pick::Failed(failed.clone()),
            Wanted::Listed { key } => match self.listed(key).await? {
                Some(products) => Pick::Listed(Arc::new(products)),
                // An earlier delivery was through with it.
                None => return Ok(()),
            },
        };
        let run = Refetches::run(self.pipe, self.refetch);
        let plan = PlanImages {
            crawler: self.crawler,
            pipe,
            run: &run,
            pick,
            job: self.job,
            ctx: self.ctx,
        };
        let planned = plan.run().await?;
        let (refetch, pipe) = (self.refetch, self.pipe);
        tracing::info!(%pipe, refetch, images = planned.images, "refetch {refetch} of pipe {pipe} has {} image(s)", planned.images);
        Ok(())
    }

    async fn listed(&self, key: &str) -> Result<Option<HashSet<String>>, Ending> {
        let ports = &self.crawler.ports;
        let got = retry(&*ports.clock, BlobError::is_transient, || {
            ports.blobs.get(key, None)
        });
        let body = match got.await {
            Ok(body) => body,
            Err(BlobError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(blob_failure(key, &error)),
        };
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| Ending::Failed(Failure::permanent(format!("read {key}: {error}"))))
    }
}

fn blob_failure(key: &str, error: &BlobError) -> Ending {
    let reason = format!("the list of products {key}: {error}");
    Ending::Failed(if error.is_transient() {
        Failure::transient(reason)
    } else {
        Failure::permanent(reason)
    })
}
