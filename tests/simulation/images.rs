//! A handler of the image queue that does what the image worker does, without
//! pixels: each picture stored under its content's name, one result a job.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use trawler_core::QueueName;
use trawler_core::image::{ImageOutcome, ImageStatus};
use trawler_core::job::ImageJob;
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{Handler, JobContext, Ports, TakenJob, manifests};
use trawler_tests::model::Life;

use crate::crawl::{trouble, work};
use crate::log::{META, failed, persist};
use crate::scenario::Scenario;

/// An image that hangs is given up sooner than a site.
const HANG_MAX: Duration = Duration::from_secs(200);

pub(crate) struct Images {
    scenario: Arc<Scenario>,
    ports: Ports,
    life: Arc<Life>,
}

/// The picture at a URL is its name.
pub(crate) fn image_key(url: &str) -> String {
    format!("images/{}", url.rsplit('/').next().unwrap_or(url))
}

impl Images {
    pub(crate) fn new(scenario: &Arc<Scenario>, ports: &Ports, life: &Arc<Life>) -> Self {
        Self {
            scenario: Arc::clone(scenario),
            ports: ports.clone(),
            life: Arc::clone(life),
        }
    }

    async fn fetch(
        &self,
        images: &ImageJob,
        job: &TakenJob,
        ctx: &JobContext,
    ) -> Result<Ending, Ending> {
        let script = self.scenario.script(ctx.job());
        let pace = script.image;
        let result = Manifest::result_key(&images.run, ctx.job());
        let there = persist(&self.ports, || self.ports.blobs.head(&result)).await;
        if there.map_err(|error| failed(&error))?.is_some() {
            return Ok(Ending::Done);
        }
        let earlier: Option<u32> = ctx
            .checkpoint()
            .await
            .map_err(|error| Ending::Failed(error.into()))?;
        debug_assert!(earlier.is_none(), "image jobs of the script keep nothing");
        for (at, image) in images.images.iter().enumerate() {
            ctx.step().await?;
            if at == images.images.len() / 2 {
                trouble(&script, job, &self.life)?;
            }
            work(&self.ports, ctx, pace, script.hang.min(HANG_MAX)).await;
            ctx.step().await?;
            if !script.stores {
                continue;
            }
            let key = image_key(&image.url);
            let body = Bytes::from(key.clone());
            persist(&self.ports, || {
                self.ports.blobs.put(&key, body.clone(), META)
            })
            .await
            .map_err(|error| failed(&error))?;
        }
        let result = self.result(images, job, ImageStatus::Stored);
        manifests::put_result(&self.ports, &result)
            .await
            .map_err(|error| Ending::Failed(error.into()))?;
        Ok(Ending::Done)
    }

    fn result(&self, images: &ImageJob, job: &TakenJob, status: ImageStatus) -> ImageResult {
        let outcomes = images.images.iter().map(|image| ImageOutcome {
            product_id: image.product_id.clone(),
            url: image.url.clone(),
            status,
            reason: String::new(),
            source: None,
            known: image.known.clone(),
            variants: Vec::new(),
        });
        ImageResult {
            job: job.record.job.clone(),
            run: images.run.clone(),
            tried: self.ports.clock.now(),
            outcomes: outcomes.collect(),
        }
    }
}

#[async_trait]
impl Handler for Images {
    fn queue(&self) -> QueueName {
        QueueName::Image
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        let ended = match ImageJob::decode(&job.record.body) {
            Ok(images) => self.fetch(&images, job, ctx).await,
            Err(error) => Err(Ending::Failed(Failure::permanent(error.to_string()))),
        };
        ended.unwrap_or_else(|ending| ending)
    }

    async fn before_bury(&self, job: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
        let Ok(images) = ImageJob::decode(&job.record.body) else {
            return Ok(());
        };
        let result = self.result(&images, job, ImageStatus::Unreachable);
        manifests::put_result(&self.ports, &result).await?;
        Ok(())
    }
}
