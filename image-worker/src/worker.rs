//! The handler of the image queue: takes an image job to its result.
//!
//! One result object a job, put once: whichever delivery gets there first, the
//! others find it. Images that may fare better soon are tried again with the
//! whole job by the queue's back-off; those that ended are kept in the job's
//! checkpoint and not fetched twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use trawler_core::image::ImageOutcome;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::pipe::Pipe;
use trawler_core::ports::BlobError;
use trawler_core::verdict::{Ending, Failure};
use trawler_core::{JobId, PipeId, QueueName};
use trawler_fleet::manifests;
use trawler_fleet::{Handler, JobContext, Ports, TakenJob};
use trawler_net::Fetcher;

use crate::attempt::{Again, Attempt, Tried, given_up};
use crate::studio::Studio;

/// A checkpoint is written when so much work would be lost.
const CHECKPOINT_WORTH: Duration = Duration::from_secs(60);

/// Settings of the image worker.
#[derive(Debug, Clone)]
pub struct ImageWorkerOptions {
    /// Images of one job fetched at once; the pipe's concurrency bounds it too.
    pub fetches: usize,
    pub source_bytes_max: u64,
    pub user_agent: String,
    /// Failures after which the job ends with what it has; the images that
    /// still failed are recorded and tried again by a later run.
    pub attempts_max: u32,
}

/// What every image job of this process shares.
pub struct ImageWorker {
    ports: Ports,
    pipes: Arc<BTreeMap<PipeId, Pipe>>,
    fetcher: Fetcher,
    studio: Studio,
    options: ImageWorkerOptions,
}

/// Outcomes that need no further try.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ended {
    outcomes: BTreeMap<usize, ImageOutcome>,
}

impl ImageWorker {
    pub fn new(
        ports: Ports,
        pipes: Arc<BTreeMap<PipeId, Pipe>>,
        fetcher: Fetcher,
        studio: Studio,
        options: ImageWorkerOptions,
    ) -> Self {
        Self {
            ports,
            pipes,
            fetcher,
            studio,
            options,
        }
    }

    async fn work(&self, job: &TakenJob, ctx: &JobContext) -> Result<Ending, Ending> {
        let body =
            ImageJob::decode(&job.record.body).map_err(|error| permanent(error.to_string()))?;
        let pipe = self.pipes.get(&body.run.pipe).ok_or_else(|| {
            permanent(format!(
                "pipe {} is not configured here; restore its file or purge the job",
                body.run.pipe
            ))
        })?;
        let key = Manifest::result_key(&body.run, &job.record.job);
        let there = self
            .ports
            .blobs
            .head(&key)
            .await
            .map_err(|error| blob_failure(&error))?;
        if there.is_some() {
            return Ok(Ending::Done);
        }
        let mut ended: Ended = ctx
            .checkpoint()
            .await
            .map_err(|error| Ending::Failed(error.into()))?
            .unwrap_or_default();
        let failed = self.fetch_all(&body.images, pipe, ctx, &mut ended).await?;
        if !failed.is_empty() && job.record.attempts + 1 < self.options.attempts_max {
            ctx.save_checkpoint(&ended)
                .await
                .map_err(|error| Ending::Failed(error.into()))?;
            return Err(again(&failed));
        }
        for (at, tried) in failed {
            ended.outcomes.insert(at, tried.outcome);
        }
        self.put_result(
            &body,
            &job.record.job,
            ended.outcomes.into_values().collect(),
        )
        .await
        .map_err(Ending::Failed)?;
        Ok(Ending::Done)
    }

    /// Fetches what has not ended; what ends is moved into `ended`. Returns
    /// the images that may fare better soon.
    async fn fetch_all(
        &self,
        images: &[ImageTask],
        pipe: &Pipe,
        ctx: &JobContext,
        ended: &mut Ended,
    ) -> Result<Vec<(usize, Tried)>, Ending> {
        let attempt = Attempt {
            ports: &self.ports,
            pipe,
            fetcher: &self.fetcher,
            studio: &self.studio,
            source_bytes_max: self.options.source_bytes_max,
            user_agent: &self.options.user_agent,
            ctx,
        };
        let attempt = &attempt;
        let left: Vec<usize> = (0..images.len())
            .filter(|at| !ended.outcomes.contains_key(at))
            .collect();
        let at_once = self
            .options
            .fetches
            .min(pipe.fetch.concurrency as usize)
            .max(1);
        let total = images.len() as u64;
        let started = self.ports.clock.monotonic();
        let mut failed = Vec::new();
        let mut tries = futures::stream::iter(left)
            .map(|at| async move {
                ctx.step().await?;
                Ok((at, attempt.run(&images[at]).await.map_err(Ending::Failed)?))
            })
            .buffer_unordered(at_once);
        let interrupted = loop {
            match tries.next().await {
                None => break None,
                Some(Ok((at, tried))) if tried.again.is_none() => {
                    ended.outcomes.insert(at, tried.outcome);
                    ctx.progress(
                        "images",
                        (ended.outcomes.len() + failed.len()) as u64,
                        Some(total),
                    );
                }
                Some(Ok(retryable)) => failed.push(retryable),
                Some(Err(ending)) => break Some(ending),
            }
        };
        drop(tries);
        let Some(ending) = interrupted else {
            return Ok(failed);
        };
        let spent = self.ports.clock.monotonic().saturating_sub(started);
        if spent >= CHECKPOINT_WORTH
            && let Err(error) = ctx.save_checkpoint(ended).await
        {
            tracing::warn!(%error, "save the checkpoint of an image job: {error}");
        }
        Err(ending)
    }

    async fn put_result(
        &self,
        body: &ImageJob,
        job: &JobId,
        outcomes: Vec<ImageOutcome>,
    ) -> Result<(), Failure> {
        let result = ImageResult {
            job: job.clone(),
            run: body.run.clone(),
            tried: self.ports.clock.now(),
            outcomes,
        };
        manifests::put_result(&self.ports, &result).await?;
        Ok(())
    }
}

#[async_trait]
impl Handler for ImageWorker {
    fn queue(&self) -> QueueName {
        QueueName::Image
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        self.work(job, ctx).await.unwrap_or_else(|ending| ending)
    }

    /// A buried job has a result as well, or its run would wait for it for
    /// ever.
    async fn before_bury(&self, job: &TakenJob, reason: &str) -> Result<(), Failure> {
        let Ok(body) = ImageJob::decode(&job.record.body) else {
            // Not a job that any manifest planned.
            return Ok(());
        };
        let outcomes = body
            .images
            .iter()
            .map(|task| given_up(task, reason))
            .collect();
        self.put_result(&body, &job.record.job, outcomes).await
    }
}

fn permanent(reason: String) -> Ending {
    Ending::Failed(Failure::permanent(reason))
}

fn blob_failure(error: &BlobError) -> Ending {
    let reason = format!("look for the result: {error}");
    Ending::Failed(if error.is_transient() {
        Failure::transient(reason)
    } else {
        Failure::permanent(reason)
    })
}

/// The whole job again, as late as the most patient host asks for.
fn again(failed: &[(usize, Tried)]) -> Ending {
    let waits: Vec<&Again> = failed
        .iter()
        .filter_map(|(_, tried)| tried.again.as_ref())
        .collect();
    let first = waits.first().map_or("", |again| again.reason.as_str());
    let reason = format!(
        "{} image(s) failed for now, the first: {first}",
        waits.len()
    );
    match waits.iter().filter_map(|again| again.retry_after).max() {
        Some(wait) => Ending::Failed(Failure::throttled(reason, wait)),
        None => Ending::Failed(Failure::transient(reason)),
    }
}
