//! A handler of the crawl queue that does what the crawler does, without rows:
//! it resumes, checkpoints, stores parts, commits once, plans images and folds
//! their results, and its troubles are scripted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use trawler_core::image::KnownImage;
use trawler_core::job::{CrawlJob, ImageJob, ImageTask};
use trawler_core::manifest::Manifest;
use trawler_core::run::{Run, RunPhase};
use trawler_core::verdict::{Ending, Failure};
use trawler_core::{PipeId, QueueName, RunId};
use trawler_fleet::manifests::{self, ManifestError};
use trawler_fleet::{DocumentError, Documents, Handler, JobContext, Ports, TakenJob, UpdateError};
use trawler_tests::model::Life;

use crate::log::{Commit, Log, META, failed, persist};
use crate::scenario::Scenario;
use crate::script::{Fate, Script, Trouble};

pub(crate) struct Crawl {
    scenario: Arc<Scenario>,
    ports: Ports,
    documents: Documents,
    log: Log,
    life: Arc<Life>,
}

pub(crate) fn part_key(run: &RunId, step: u32) -> String {
    format!("parts/{}/{}/{step}", run.pipe, run.seq)
}

/// The wait of one step, which an interrupt ends unless the job hangs.
pub(crate) async fn work(ports: &Ports, ctx: &JobContext, span: Duration, hang: Duration) {
    if hang.is_zero() {
        let cancelled = ctx.cancelled();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => {}
            () = ports.clock.sleep(span) => {}
        }
    } else {
        ports.clock.sleep(hang).await;
    }
}

/// What the script has in store for this attempt.
pub(crate) fn trouble(script: &Script, job: &TakenJob, life: &Life) -> Result<(), Ending> {
    match script.trouble(job.record.attempts) {
        None => {}
        Some(Trouble::Transient) => return Err(Ending::Failed(Failure::transient("scripted"))),
        Some(Trouble::ThrottledShort) => {
            let wait = Duration::from_secs(30);
            return Err(Ending::Failed(Failure::throttled("scripted", wait)));
        }
        Some(Trouble::ThrottledLong) => {
            let wait = Duration::from_secs(400);
            return Err(Ending::Failed(Failure::throttled("scripted", wait)));
        }
        Some(Trouble::Panic) => std::panic::resume_unwind(Box::new("scripted")),
    }
    match script.fate {
        Fate::Fine => {}
        Fate::Permanent => return Err(Ending::Failed(Failure::permanent("scripted"))),
        Fate::Poison => life.kill(),
    }
    Ok(())
}

/// As long as URLs of pictures are.
fn picture(number: u32) -> String {
    format!("https://img.test/catalogue/2026/large/0123456789abcdef/{number}.jpg")
}

fn document(error: DocumentError) -> Ending {
    Ending::Failed(error.into())
}

fn manifest(error: ManifestError) -> Ending {
    Ending::Failed(error.into())
}

#[derive(Debug, thiserror::Error)]
#[error("a later delivery has the run")]
struct Refused;

impl Crawl {
    pub(crate) fn new(scenario: &Arc<Scenario>, ports: &Ports, life: &Arc<Life>) -> Self {
        Self {
            scenario: Arc::clone(scenario),
            documents: ports.documents(),
            log: Log::new(ports, scenario.careless),
            ports: ports.clone(),
            life: Arc::clone(life),
        }
    }

    async fn collect(
        &self,
        run: &RunId,
        job: &TakenJob,
        ctx: &JobContext,
    ) -> Result<Ending, Ending> {
        ctx.step().await?;
        let key = Run::key(run);
        let known: Option<Run> = self.documents.get(&key).await.map_err(document)?;
        let Some(known) = known else {
            return Err(Ending::Failed(Failure::permanent("no run document")));
        };
        if let Some(ending) = known.settled_ending() {
            return Ok(ending);
        }
        self.log.refresh().await?;
        let stored = self.log.stored(run.pipe.as_str());
        if let Some(by) = stored.filter(|stored| *stored > run.seq.0) {
            return self.superseded(run, ctx, by).await;
        }
        let script = self.scenario.script(ctx.job());
        if stored != Some(run.seq.0) {
            let now = self.ports.clock.now();
            self.update(run, ctx, |run| {
                run.phase = RunPhase::Collecting;
                run.finished = None;
                run.reason.clear();
                run.started.get_or_insert(now);
            })
            .await?;
            self.gather(run, &script, job, ctx).await?;
            self.update(run, ctx, |run| run.phase = RunPhase::Committing)
                .await?;
            ctx.step().await?;
            let committed = self.log.commit(run.pipe.as_str(), run.seq.0, ctx).await?;
            if let Commit::Overtaken(by) = committed {
                return self.superseded(run, ctx, by).await;
            }
        }
        ctx.step().await?;
        self.update(run, ctx, |run| run.phase = RunPhase::Committed)
            .await?;
        let planned = self.plan_images(run, &script, ctx).await?;
        let now = self.ports.clock.now();
        self.update(run, ctx, |run| {
            run.phase = RunPhase::Finished;
            run.finished = Some(now);
            run.counts.image_jobs = planned.jobs;
            run.counts.images = planned.images;
        })
        .await?;
        Ok(Ending::Done)
    }

    async fn gather(
        &self,
        run: &RunId,
        script: &Script,
        job: &TakenJob,
        ctx: &JobContext,
    ) -> Result<(), Ending> {
        let mut next: u32 = ctx.checkpoint().await.map_err(document)?.unwrap_or(0);
        while next < script.steps {
            ctx.step().await?;
            if next == script.steps / 2 {
                trouble(script, job, &self.life)?;
            }
            work(&self.ports, ctx, script.step, script.hang).await;
            ctx.step().await?;
            if script.stores {
                self.put_part(run, next).await?;
            }
            next += 1;
            if next.is_multiple_of(script.checkpoint_every) {
                let saved = ctx.save_checkpoint(&next).await;
                saved.map_err(|error| Ending::Failed(error.into()))?;
            }
        }
        Ok(())
    }

    async fn put_part(&self, run: &RunId, step: u32) -> Result<(), Ending> {
        let key = part_key(run, step);
        let body = Bytes::from(key.clone());
        let put = || self.ports.blobs.put(&key, body.clone(), META);
        let stored = persist(&self.ports, put).await;
        stored.map(drop).map_err(|error| failed(&error))
    }

    async fn plan_images(
        &self,
        run: &RunId,
        script: &Script,
        ctx: &JobContext,
    ) -> Result<Manifest, Ending> {
        let existing = manifests::find(&self.documents, run).await;
        if let Some(existing) = existing.map_err(document)? {
            return Ok(existing);
        }
        ctx.step().await?;
        let jobs = self.image_jobs(run, script);
        manifests::write(&self.ports, run, ctx.epoch(), &jobs)
            .await
            .map_err(manifest)
    }

    fn image_jobs(&self, run: &RunId, script: &Script) -> Vec<ImageJob> {
        let offset = run.pipe.as_str().len() as u32;
        let tasks: Vec<ImageTask> = (0..script.images)
            .map(|n| ImageTask {
                product_id: format!("p{n}"),
                // Some pictures are shown by several runs and pipes.
                url: picture((n + offset) % self.scenario.pictures),
                known: KnownImage::default(),
                remake: None,
            })
            .collect();
        let jobs = tasks.chunks(self.scenario.images_a_job).enumerate();
        jobs.map(|(n, images)| {
            let host = format!("img{}.test", n % self.scenario.image_hosts);
            let shard = (n / self.scenario.image_hosts % 2) as u32;
            ImageJob {
                run: run.clone(),
                group: ImageJob::group_of(&host, shard),
                images: images.to_vec(),
            }
        })
        .collect()
    }

    async fn fold(&self, pipe: &PipeId, fold: i64, ctx: &JobContext) -> Result<Ending, Ending> {
        let app = format!("{pipe}#images");
        ctx.step().await?;
        self.log.refresh().await?;
        if self.log.stored(&app).is_some_and(|stored| stored >= fold) {
            return Ok(Ending::Done);
        }
        let mut counted = Vec::new();
        let unsettled = manifests::unsettled_of(&self.documents, pipe)
            .await
            .map_err(document)?;
        for waiting in unsettled {
            let keys = manifests::result_keys(&self.ports, &waiting.run, None, usize::MAX)
                .await
                .map_err(manifest)?;
            for key in &keys {
                ctx.step().await?;
                manifests::read_result(&self.ports, key)
                    .await
                    .map_err(manifest)?;
            }
            counted.push((waiting.run.clone(), keys.len() as u64));
        }
        ctx.step().await?;
        match self.log.commit(&app, fold, ctx).await? {
            Commit::Done => {}
            Commit::Already | Commit::Overtaken(_) => return Ok(Ending::Done),
        }
        let now = self.ports.clock.now();
        for (run, results) in counted {
            manifests::note_fold(&self.documents, &run, results, now)
                .await
                .map_err(document)?;
        }
        Ok(Ending::Done)
    }

    async fn superseded(&self, run: &RunId, ctx: &JobContext, by: i64) -> Result<Ending, Ending> {
        let now = self.ports.clock.now();
        self.update(run, ctx, |run| {
            run.phase = RunPhase::Superseded;
            run.finished = Some(now);
        })
        .await?;
        Ok(Ending::Superseded { by: by.to_string() })
    }

    async fn update(
        &self,
        run: &RunId,
        ctx: &JobContext,
        change: impl Fn(&mut Run),
    ) -> Result<(), Ending> {
        let (epoch, key) = (ctx.epoch(), Run::key(run));
        let updated = self.documents.update::<Run, Refused>(&key, |run| {
            if !run.admits(epoch) {
                return Err(Refused);
            }
            run.epoch = epoch;
            change(run);
            Ok(())
        });
        match updated.await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Ending::Failed(Failure::permanent("no run document"))),
            Err(UpdateError::Change(Refused)) => Err(Ending::HandedBack),
            Err(UpdateError::Document(error)) => Err(document(error)),
        }
    }
}

#[async_trait]
impl Handler for Crawl {
    fn queue(&self) -> QueueName {
        QueueName::Crawl
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        let ended = match CrawlJob::decode(&job.record.body) {
            Ok(CrawlJob::Collect { run }) => self.collect(&run, job, ctx).await,
            Ok(CrawlJob::Fold { pipe, fold }) => self.fold(&pipe, fold, ctx).await,
            Ok(CrawlJob::Refetch { .. } | CrawlJob::Upkeep { .. }) => Err(Ending::Failed(
                Failure::permanent("nobody plans a refetch or upkeep here"),
            )),
            Err(error) => Err(Ending::Failed(Failure::permanent(error.to_string()))),
        };
        ended.unwrap_or_else(|ending| ending)
    }

    async fn before_bury(
        &self,
        job: &TakenJob,
        _: &JobContext,
        reason: &str,
    ) -> Result<(), Failure> {
        let Ok(CrawlJob::Collect { run }) = CrawlJob::decode(&job.record.body) else {
            return Ok(());
        };
        let now = self.ports.clock.now();
        let change = |run: &mut Run| {
            if !run.phase.is_over() {
                run.phase = RunPhase::Failed;
                reason.clone_into(&mut run.reason);
                run.finished = Some(now);
            }
        };
        self.documents.change(&Run::key(&run), change).await?;
        Ok(())
    }
}
