//! The handler of the image queue: takes an image job to its result.
//!
//! One result object a job, put once: whichever delivery gets there first, the
//! others find it. Images that may fare better soon are tried again with the
//! whole job by the queue's back-off; those that ended are kept in the job's
//! checkpoint and not fetched twice.
//!
//! Unchanged images cost a request and nothing else (invariant 6). Test:
//! `invariant_06_unchanged_images_cost_nothing`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use trawler_core::blocked_images::BlockedImages;
use trawler_core::image::{ImageOutcome, ImageStatus, Originals};
use trawler_core::image_ended::{EndedImages, given_up};
use trawler_core::image_policy::ImagePolicy;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::pipe::Pipe;
use trawler_core::ports::{BlobError, Secrets};
use trawler_core::verdict::{Ending, Failure};
use trawler_core::{JobId, QueueName};
use trawler_fleet::manifests;
use trawler_fleet::{
    Brief, DocumentError, Handler, JobContext, PipeError, Pipes, Ports, Removals, TakenJob,
};
use trawler_net::Fetcher;

use crate::attempt::{Again, Attempt, Tried};
use crate::studio::Studio;
use crate::way::Way;

/// A checkpoint is written when so much work would be lost.
const CHECKPOINT_WORTH: Duration = Duration::from_secs(60);

/// Settings of the image worker.
#[derive(Debug, Clone)]
pub struct ImageWorkerOptions {
    /// Images of one job fetched at once; the pipe's concurrency bounds it too.
    pub fetches: usize,
    pub source_bytes_max: u64,
    /// Redirects and patience of every fetch.
    pub redirects_max: u32,
    pub first_byte_ms: u64,
    pub idle_ms: u64,
    /// For one image, from the first request to its last byte.
    pub whole_ms: u64,
    pub user_agent: String,
    /// Failures after which the job ends with what it has; the images that
    /// still failed are recorded and tried again by a later run. At most the
    /// attempts of the retry policy, or the job is buried before that.
    pub attempts_max: u32,
    /// What is said of the pictures of all pipes.
    pub policy: ImagePolicy,
    /// Whether the source bytes are kept beside the variants.
    pub originals: Originals,
}

/// What every image job of this process shares.
pub struct ImageWorker {
    ports: Ports,
    pipes: Pipes,
    secrets: Arc<dyn Secrets>,
    fetcher: Fetcher,
    studio: Studio,
    removals: Removals,
    options: ImageWorkerOptions,
}

/// An image that may fare better soon, and the tasks that want it.
struct Unsettled {
    places: Vec<usize>,
    outcome: ImageOutcome,
    again: Again,
}

impl ImageWorker {
    pub fn new(
        ports: Ports,
        pipes: Pipes,
        secrets: Arc<dyn Secrets>,
        fetcher: Fetcher,
        studio: Studio,
        options: ImageWorkerOptions,
    ) -> Self {
        Self {
            removals: Removals::new(&ports),
            ports,
            pipes,
            secrets,
            fetcher,
            studio,
            options,
        }
    }

    async fn work(&self, job: &TakenJob, ctx: &JobContext) -> Result<Ending, Ending> {
        let body =
            ImageJob::decode(&job.record.body).map_err(|error| permanent(error.to_string()))?;
        let failed = |error: PipeError| Ending::Failed(error.into());
        let set = self.pipes.of_run(&body.run).await.map_err(failed)?;
        let pipe = set.pipe(&body.run.pipe).map_err(failed)?;
        let key = Manifest::result_key(&body.run, &job.record.job);
        let there = self.ports.blobs.head(&key).await;
        if there.map_err(|error| blob_failure(&error))?.is_some() {
            return Ok(Ending::Done);
        }
        let mut ended = kept(ctx).await.map_err(Ending::Failed)?;
        if !pipe.images.collect {
            leave(&body.images, &mut ended);
        }
        let unsettled = self.fetch_all(&body.images, pipe, ctx, &mut ended).await?;
        if !unsettled.is_empty() && job.record.attempts + 1 < self.options.attempts_max {
            keep(ctx, &ended).await;
            return Err(again(&unsettled));
        }
        for Unsettled {
            places, outcome, ..
        } in unsettled
        {
            ended.insert(&body.images, &places, &outcome);
        }
        let outcomes = ended.outcomes.into_values().collect();
        self.put_result(&body, &job.record.job, outcomes)
            .await
            .map_err(Ending::Failed)?;
        Ok(Ending::Done)
    }

    /// Pictures that are placeholders because somebody blocked them.
    async fn blocked(&self) -> Result<BlockedImages, Ending> {
        let found = self.ports.documents().get(BlockedImages::KEY).await;
        let found: Option<BlockedImages> = found.map_err(|error| Ending::Failed(error.into()))?;
        Ok(found.unwrap_or_default())
    }

    /// Fetches what has not ended; what ends is moved into `ended`. Returns
    /// the images that may fare better soon.
    async fn fetch_all(
        &self,
        images: &[ImageTask],
        pipe: &Pipe,
        ctx: &JobContext,
        ended: &mut EndedImages,
    ) -> Result<Vec<Unsettled>, Ending> {
        let distinct = distinct(images, ended);
        if distinct.is_empty() {
            return Ok(Vec::new());
        }
        let way = Way::of(&self.fetcher, pipe, &*self.secrets, images).await;
        let way = way.map_err(Ending::Failed)?;
        let policy = self.options.policy.of_pipe(&pipe.images);
        let policy = Arc::new(self.blocked().await?.with(policy));
        let attempt = Attempt {
            ports: &self.ports,
            pipe,
            way: &way,
            studio: &self.studio,
            removals: &self.removals,
            options: &self.options,
            policy: &policy,
            ctx,
        };
        let attempt = &attempt;
        let of_pipe = usize::try_from(pipe.fetch.concurrency).unwrap_or(usize::MAX);
        let at_once = self.options.fetches.min(of_pipe).max(1);
        let started = self.ports.clock.monotonic();
        let mut done = ended.outcomes.len();
        let mut unsettled = Vec::new();
        let mut tries = futures::stream::iter(distinct)
            .map(|places| async move {
                ctx.step().await?;
                let tried = attempt.run(&images[places[0]]).await?;
                Ok((places, tried))
            })
            .buffer_unordered(at_once);
        let interrupted = loop {
            let (places, Tried { outcome, again }) = match tries.next().await {
                None => break None,
                Some(Ok(tried)) => tried,
                Some(Err(ending)) => break Some(ending),
            };
            done += places.len();
            ctx.progress("images", done as u64, Some(images.len() as u64));
            match again {
                None => ended.insert(images, &places, &outcome),
                Some(again) => {
                    ctx.note(&format!("{}: {}", outcome.url, again.reason));
                    unsettled.push(Unsettled {
                        places,
                        outcome,
                        again,
                    });
                }
            }
        };
        // What is under way is given up; nothing of it is half stored.
        drop(tries);
        let Some(ending) = interrupted else {
            return Ok(unsettled);
        };
        let spent = self.ports.clock.monotonic().saturating_sub(started);
        if spent >= CHECKPOINT_WORTH || matches!(ending, Ending::Failed(_)) {
            keep(ctx, ended).await;
        }
        Err(ending)
    }

    async fn has_pipe(&self, body: &ImageJob) -> Result<(), PipeError> {
        let set = self.pipes.of_run(&body.run).await?;
        set.pipe(&body.run.pipe).map(|_| ())
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

    async fn brief(&self, job: &TakenJob) -> Brief {
        Brief::of(&job.record, &self.pipes).await
    }

    /// A buried job has a result as well, or its run would wait for it for
    /// ever. What it had finished stays finished.
    async fn before_bury(
        &self,
        job: &TakenJob,
        ctx: &JobContext,
        reason: &str,
    ) -> Result<(), Failure> {
        let Ok(body) = ImageJob::decode(&job.record.body) else {
            // Not a job that any manifest planned.
            return Ok(());
        };
        let ended = kept(ctx).await?;
        let status = match self.has_pipe(&body).await {
            Ok(()) => ImageStatus::Unreachable,
            Err(error) if error.is_transient() => return Err(error.into()),
            // Nobody was asked, and the images say nothing of their hosts.
            Err(_) => ImageStatus::PipePaused,
        };
        let outcomes = ended.given_up(&body.images, status, reason);
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

/// The places of what has not ended, those that ask for the same with the same
/// knowledge together: products share pictures.
fn distinct(images: &[ImageTask], ended: &EndedImages) -> Vec<Vec<usize>> {
    let mut distinct: Vec<Vec<usize>> = Vec::new();
    // At most JOB_IMAGES_MAX of them, so looking through all is cheap.
    for (place, task) in images.iter().enumerate() {
        if ended.outcomes.contains_key(&place) {
            continue;
        }
        let same = distinct.iter_mut().find(|places| {
            let other = &images[places[0]];
            other.url == task.url && other.known == task.known && other.remake == task.remake
        });
        match same {
            Some(places) => places.push(place),
            None => distinct.push(vec![place]),
        }
    }
    distinct
}

/// Ends what has not ended yet without asking anybody: the pipe wants no images
/// any more.
fn leave(images: &[ImageTask], ended: &mut EndedImages) {
    for (place, task) in images.iter().enumerate() {
        ended.outcomes.entry(place).or_insert_with(|| ImageOutcome {
            status: ImageStatus::NotCollected,
            ..given_up(task, "")
        });
    }
}

/// What an earlier delivery finished.
async fn kept(ctx: &JobContext) -> Result<EndedImages, Failure> {
    match ctx.checkpoint().await {
        Ok(kept) => Ok(kept.unwrap_or_default()),
        Err(error @ DocumentError::Unreadable { .. }) => {
            let job = ctx.job();
            tracing::warn!(%job, %error, "the checkpoint of {job} cannot be read: its images are fetched again");
            Ok(EndedImages::default())
        }
        Err(error) => Err(error.into()),
    }
}

/// Losing a checkpoint costs requests and nothing else, so it fails no job.
async fn keep(ctx: &JobContext, ended: &EndedImages) {
    if ended.outcomes.is_empty() {
        return;
    }
    if let Err(error) = ctx.save_checkpoint(ended).await {
        let job = ctx.job();
        tracing::warn!(%job, %error, "the checkpoint of {job} was not saved: its images are fetched again");
    }
}

/// The whole job again, as late as the most patient host asks for.
fn again(unsettled: &[Unsettled]) -> Ending {
    let first = unsettled.first();
    let first = first.map_or("", |image| image.again.reason.as_str());
    let count = unsettled.len();
    let reason = format!("{count} image(s) failed for now, the first: {first}");
    let waits = unsettled.iter().filter_map(|image| image.again.retry_after);
    match waits.max() {
        Some(wait) => Ending::Failed(Failure::throttled(reason, wait)),
        None => Ending::Failed(Failure::transient(reason)),
    }
}

#[cfg(test)]
mod tests {
    use trawler_core::image::KnownImage;

    use super::*;

    fn task(product_id: &str, url: &str, etag: Option<&str>) -> ImageTask {
        ImageTask {
            product_id: product_id.to_owned(),
            url: url.to_owned(),
            known: KnownImage {
                etag: etag.map(str::to_owned),
                ..KnownImage::default()
            },
            remake: None,
        }
    }

    #[test]
    fn products_that_share_a_picture_share_its_fetch_and_keep_their_ids() {
        let images = [
            task("a", "u1", None),
            task("b", "u2", None),
            task("c", "u1", None),
            task("d", "u1", Some("\"e\"")),
        ];
        let mut ended = EndedImages::default();
        assert_eq!(distinct(&images, &ended), [vec![0, 2], vec![1], vec![3]]);
        let mut outcome = given_up(&images[0], "");
        outcome.status = ImageStatus::NotFound;
        ended.insert(&images, &[0, 2], &outcome);
        assert_eq!(distinct(&images, &ended), [vec![1], vec![3]]);
        assert_eq!(ended.outcomes[&2].product_id, "c");
        assert_eq!(ended.outcomes[&2].status, ImageStatus::NotFound);
    }

    #[test]
    fn the_most_patient_host_decides_when_the_job_comes_again() {
        let unsettled = |retry_after: Option<u64>| Unsettled {
            places: vec![0],
            outcome: given_up(&task("a", "u", None), ""),
            again: Again {
                reason: "no answer".to_owned(),
                retry_after: retry_after.map(Duration::from_secs),
            },
        };
        let check = |images: &[Unsettled], expected: Failure| {
            let Ending::Failed(found) = again(images) else {
                panic!("it fails");
            };
            assert_eq!(
                (found.class, found.retry_after_ms),
                (expected.class, expected.retry_after_ms)
            );
            assert!(found.reason.contains("no answer"));
        };
        check(&[unsettled(None)], Failure::transient(""));
        let waits = [unsettled(Some(3)), unsettled(None), unsettled(Some(90))];
        check(&waits, Failure::throttled("", Duration::from_secs(90)));
    }
}
