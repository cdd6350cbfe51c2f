//! A shop, the ports of one machine and an image worker, for one test.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use trawler_core::feed::{FeedFormat, FeedMode, FeedOptions};
use trawler_core::image::{
    Fit, ImageOutcome, ImageStatus, KnownImage, Originals, OutputFormat, Variant,
};
use trawler_core::image_policy::ImagePolicy;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::pipe::{
    FetchOptions, HttpSource, ImageOptions, JudgeOptions, Pipe, PipeState, Source,
};
use trawler_core::ports::{
    BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Clock, Put, SecretError, Secrets,
};
use trawler_core::schedule::ScheduleText;
use trawler_core::secret::{SecretRef, SecretValue};
use trawler_core::verdict::Ending;
use trawler_core::{PipeId, QueueName, RunId};
use trawler_fleet::{Drain, Handler, JobContext, Ports, TakenJob, manifests};
use trawler_image_worker::{ImageWorker, ImageWorkerOptions, Limits, Studio};
use trawler_local::{CountingMetrics, LocalStore, MetricsSnapshot, QueueOptions, SystemClock};
use trawler_net::{AllowedHost, Fetcher, HostLimits, NetConfig, RetryPolicy};
use trawler_shop::{ImageMix, Shop, ShopSpec};

/// Failures after which a job ends with what it has.
pub const ATTEMPTS_MAX: u32 = 2;

pub struct NoSecrets;

/// Every secret is the same one.
pub struct Known;

#[async_trait]
impl Secrets for Known {
    async fn resolve(&self, _: &SecretRef) -> Result<SecretValue, SecretError> {
        Ok(SecretValue::new("secret"))
    }
}

#[async_trait]
impl Secrets for NoSecrets {
    async fn resolve(&self, reference: &SecretRef) -> Result<SecretValue, SecretError> {
        Err(SecretError::Missing {
            reference: reference.clone(),
            reason: "the pipe names none".to_owned(),
        })
    }
}

pub struct World {
    pub shop: Shop,
    pub ports: Ports,
    pub metrics: Arc<CountingMetrics>,
    pub drain: Drain,
    pub pipe: Pipe,
    pub variants: Vec<Variant>,
    pub fetches: usize,
    pub policy: ImagePolicy,
    pub originals: Originals,
    pub secrets: Arc<dyn Secrets>,
    /// Hosts that may be asked beside the shop.
    pub allow: Vec<SocketAddr>,
    _folder: tempfile::TempDir,
}

/// A shop of small pictures, one a product, without faults.
pub fn shop_of(products: u32) -> ShopSpec {
    ShopSpec {
        image_px: 80,
        image_mix: ImageMix {
            png_share: 0.2,
            webp_share: 0.2,
            gif_share: 0.2,
        },
        extra_images_max: 0,
        ..ShopSpec::new("Image Shop", 7, products)
    }
}

impl World {
    pub async fn start(spec: ShopSpec) -> Self {
        let shop = Shop::start(spec).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = LocalStore::open(folder.path(), Arc::clone(&clock))
            .await
            .unwrap();
        let options = QueueOptions {
            visibility: Duration::from_secs(300),
            receive_count_max: 100,
        };
        let metrics = Arc::new(CountingMetrics::new());
        let ports = Ports {
            state: Arc::new(store.state()),
            blobs: Arc::new(store.blobs()),
            crawl: Arc::new(store.queue(QueueName::Crawl, options).unwrap()),
            image: Arc::new(store.queue(QueueName::Image, options).unwrap()),
            clock,
            metrics: metrics.clone(),
        };
        let url = shop.feed_url().parse().unwrap();
        let pipe = Pipe {
            id: PipeId::parse("shop").unwrap(),
            name: "Shop".to_owned(),
            source: Source::Http(HttpSource { url }),
            feed: Some(FeedOptions::new(FeedFormat::NaverEp, FeedMode::Full)),
            site: None,
            schedule: ScheduleText {
                cron: "0 3 * * *".to_owned(),
                finish_within_s: None,
                zone: "UTC".to_owned(),
            },
            fetch: FetchOptions {
                rate_per_s: 1000.0,
                ..FetchOptions::default()
            },
            judge: JudgeOptions::default(),
            images: ImageOptions::default(),
            maintenance: Vec::new(),
            off_peak: Vec::new(),
            state: PipeState::Live,
            owner: String::new(),
            contact: String::new(),
            notes: String::new(),
            max_age: None,
        };
        let variant =
            |name: &str, side, fit, format| super::support::variant(name, side, fit, format);
        Self {
            shop,
            ports,
            metrics,
            drain: Drain::new(),
            pipe,
            variants: vec![
                variant("thumb", 16, Fit::Cover, OutputFormat::Jpeg),
                variant("page", 48, Fit::Contain, OutputFormat::Webp),
            ],
            fetches: 8,
            policy: ImagePolicy::default(),
            originals: Originals::Drop,
            secrets: Arc::new(NoSecrets),
            allow: Vec::new(),
            _folder: folder,
        }
    }

    /// Tries a request once; what is worth it, the job tries again.
    pub fn worker(&self) -> ImageWorker {
        let allow = self.allow.iter().copied().chain([self.shop.addr()]);
        let config = NetConfig {
            allow: allow.map(AllowedHost::Socket).collect(),
            hosts: HostLimits {
                concurrency: 64,
                ..HostLimits::default()
            },
            retry: RetryPolicy::never(),
            ..NetConfig::of("Trawler-Test/0.1 (+mailto:a@b.test)")
        };
        ImageWorker::new(
            self.ports.clone(),
            vec![self.pipe.clone()].into(),
            Arc::clone(&self.secrets),
            Fetcher::new(&config).unwrap(),
            self.studio(),
            ImageWorkerOptions {
                fetches: self.fetches,
                source_bytes_max: 1024 * 1024,
                redirects_max: 5,
                first_byte_ms: 30_000,
                idle_ms: 20_000,
                whole_ms: 300_000,
                user_agent: "Trawler-Test/0.1 (+mailto:a@b.test)".to_owned(),
                attempts_max: ATTEMPTS_MAX,
                policy: self.policy.clone(),
                originals: self.originals,
            },
        )
    }

    pub fn studio(&self) -> Studio {
        Studio::new(self.variants.clone(), Limits::default(), 2).unwrap()
    }

    /// A task for every product of the day, in the order of the feed.
    pub fn tasks(&self, day: u32) -> Vec<ImageTask> {
        let products = self.shop.products(day).into_iter();
        products
            .map(|product| task(&product.id, &product.image_link))
            .collect()
    }

    /// The job of one day's run.
    pub fn job(&self, day: i64, images: Vec<ImageTask>) -> ImageJob {
        let due = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000 + day);
        ImageJob {
            run: RunId::new(self.pipe.id.clone(), due),
            group: ImageJob::group_of("shop.test", 0),
            images,
        }
    }

    pub fn taken(&self, job: &ImageJob, attempts: u32) -> TakenJob {
        let mut record = manifests::image_record(job, self.ports.clock.now());
        record.attempts = attempts;
        TakenJob {
            record,
            epoch: u64::from(attempts) + 1,
        }
    }

    /// One delivery of the job after so many failures.
    pub async fn deliver(&self, job: &ImageJob, attempts: u32) -> Ending {
        self.deliver_to(&self.worker(), job, attempts).await
    }

    pub async fn deliver_to(&self, worker: &ImageWorker, job: &ImageJob, attempts: u32) -> Ending {
        let taken = self.taken(job, attempts);
        worker.handle(&taken, &self.context(&taken)).await
    }

    pub fn context(&self, taken: &TakenJob) -> JobContext {
        JobContext::unleased(&self.ports, taken, &self.drain)
    }

    /// Delivers a job that has to succeed at once.
    pub async fn done(&self, job: &ImageJob) -> Vec<ImageOutcome> {
        assert_eq!(self.deliver(job, 0).await, Ending::Done);
        self.result(job)
            .await
            .expect("a done job has a result")
            .outcomes
    }

    pub async fn result(&self, job: &ImageJob) -> Option<ImageResult> {
        let key = Manifest::result_key(&job.run, &job.id());
        self.ports.blobs.head(&key).await.unwrap()?;
        Some(manifests::read_result(&self.ports, &key).await.unwrap())
    }

    pub async fn stored_keys(&self) -> Vec<String> {
        let entries = self.ports.blobs.list("images/", None, 1000).await.unwrap();
        entries.into_iter().map(|entry| entry.key).collect()
    }

    /// Image requests that the shop has seen.
    pub fn requests(&self) -> u64 {
        self.shop.stats().image.requests
    }

    pub fn counted(&self) -> MetricsSnapshot {
        self.metrics.snapshot()
    }
}

pub fn task(product_id: &str, url: &str) -> ImageTask {
    ImageTask {
        product_id: product_id.to_owned(),
        url: url.to_owned(),
        known: KnownImage::default(),
        remake: None,
    }
}

/// The same tasks with what the outcomes taught.
pub fn informed(outcomes: &[ImageOutcome]) -> Vec<ImageTask> {
    let informed = |outcome: &ImageOutcome| ImageTask {
        known: outcome.known.clone(),
        ..task(&outcome.product_id, &outcome.url)
    };
    outcomes.iter().map(informed).collect()
}

pub fn statuses(outcomes: &[ImageOutcome]) -> Vec<ImageStatus> {
    outcomes.iter().map(|outcome| outcome.status).collect()
}

/// A store that stops taking images after so many.
pub struct FullBlobs {
    pub inner: Arc<dyn Blobs>,
    pub images_left: AtomicU32,
}

#[async_trait::async_trait]
impl Blobs for FullBlobs {
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError> {
        let less = |left: u32| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if key.starts_with("images/") && self.images_left.fetch_update(order, order, less).is_err()
        {
            return Err(BlobError::Unavailable {
                verb: "put",
                key: key.to_owned(),
                source: "no answer".into(),
            });
        }
        self.inner.put(key, body, meta).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        self.inner.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        self.inner.head(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        self.inner.delete(keys).await
    }
}

/// Waits until the condition holds, at most ten seconds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
