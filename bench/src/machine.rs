//! One machine as `trawler` composes it, on local disk, for one pipe whose server is let in by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use trawler_catalogue::{Catalogue, CatalogueOptions, SortLimits, local_store};
use trawler_core::image::{Originals, Variant};
use trawler_core::image_policy::ImagePolicy;
use trawler_core::ports::{Clock, SecretError, Secrets};
use trawler_core::secret::{SecretRef, SecretValue};
use trawler_core::{QueueName, pipe::Pipe};
use trawler_crawler::render::{BrowserSettings, Browsers};
use trawler_crawler::{Crawler, CrawlerOptions, KEEP_INPUT_AFTER};
use trawler_fleet::Ports;
use trawler_image_worker::{ImageWorker, ImageWorkerOptions, Limits, Studio};
use trawler_local::{CountingMetrics, LocalStore, QueueOptions, SystemClock};
use trawler_net::{Fetcher, HostLimits, NetConfig};
use url::Url;

/// Requests at a time of a pipe and a host; as many as the peers are given.
pub(crate) const CONCURRENCY: u32 = 64;
/// The largest that a pipe may set: the server stands it.
pub(crate) const RATE_PER_S: f64 = 100_000.0;
const AGENT: &str = "Trawler-Bench/0.1 (+https://shop.example/bot)";
/// Of a queue, as the fleet has it.
const VISIBILITY: Duration = Duration::from_secs(300);
const RECEIVES_MAX: u32 = 100;
const REDIRECTS_MAX: u32 = 5;
const FIRST_BYTE_MS: u64 = 30_000;
const IDLE_MS: u64 = 20_000;
const WHOLE_MS: u64 = 300_000;
/// As in a configuration without settings of its own.
const SOURCE_BYTES_MAX: u64 = 20 << 20;
const ATTEMPTS_MAX: u32 = 5;

pub(crate) struct Machine {
    pub(crate) ports: Ports,
    /// What the ports counted.
    pub(crate) metrics: Arc<CountingMetrics>,
    folder: PathBuf,
    pipe: Pipe,
    fetcher: Fetcher,
}

impl Machine {
    /// `server` is a URL of the only host that is reached.
    pub(crate) async fn start(folder: &Path, server: &str, pipe: Pipe) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = LocalStore::open(folder.join("state"), Arc::clone(&clock))
            .await
            .context("open the local store")?;
        let options = QueueOptions {
            visibility: VISIBILITY,
            receive_count_max: RECEIVES_MAX,
        };
        let queue = |name| store.queue(name, options);
        let metrics = Arc::new(CountingMetrics::new());
        let ports = Ports {
            state: Arc::new(store.state()),
            blobs: Arc::new(store.blobs()),
            crawl: Arc::new(queue(QueueName::Crawl)?),
            image: Arc::new(queue(QueueName::Image)?),
            clock,
            metrics: metrics.clone(),
        };
        Ok(Self {
            ports,
            metrics,
            folder: folder.to_owned(),
            pipe,
            fetcher: fetcher(server)?,
        })
    }

    pub(crate) async fn crawler(&self) -> Result<Crawler> {
        let table = self.folder.join("catalogue");
        std::fs::create_dir_all(&table).context("make a folder for the catalogue")?;
        let options = CatalogueOptions::default();
        let clock = Arc::clone(&self.ports.clock);
        let catalogue = Catalogue::open_or_create(local_store(&table)?, options, clock).await?;
        let profiles = self.folder.join(".browsers");
        Ok(Crawler {
            ports: self.ports.clone(),
            documents: self.ports.documents(),
            jobs: self.ports.jobs(),
            pipes: vec![self.pipe.clone()].into(),
            secrets: Arc::new(NoSecrets),
            catalogue: Arc::new(catalogue),
            fetcher: self.fetcher.clone(),
            robots: Arc::default(),
            browsers: Browsers::new(BrowserSettings::new(profiles, AGENT.to_owned())),
            options: CrawlerOptions {
                scratch: self.folder.join("scratch"),
                base: self.folder.clone(),
                sort: SortLimits::default(),
                user_agent: AGENT.to_owned(),
                redirects_max: REDIRECTS_MAX,
                first_byte_ms: FIRST_BYTE_MS,
                idle_ms: IDLE_MS,
                keep_input_after: KEEP_INPUT_AFTER,
                checkpoint_every: Duration::from_secs(30),
                remaking: None,
            },
        })
    }

    /// Renders one image at a time, `fetches` of a job on their way.
    pub(crate) fn image_worker(
        &self,
        variants: Vec<Variant>,
        fetches: usize,
    ) -> Result<ImageWorker> {
        let studio = Studio::new(variants, Limits::default(), 1).context("set up variants")?;
        Ok(ImageWorker::new(
            self.ports.clone(),
            vec![self.pipe.clone()].into(),
            Arc::new(NoSecrets),
            self.fetcher.clone(),
            studio,
            ImageWorkerOptions {
                fetches,
                source_bytes_max: SOURCE_BYTES_MAX,
                redirects_max: REDIRECTS_MAX,
                first_byte_ms: FIRST_BYTE_MS,
                idle_ms: IDLE_MS,
                whole_ms: WHOLE_MS,
                user_agent: AGENT.to_owned(),
                attempts_max: ATTEMPTS_MAX,
                policy: ImagePolicy::default(),
                originals: Originals::Drop,
            },
        ))
    }
}

fn fetcher(server: &str) -> Result<Fetcher> {
    let url = Url::parse(server).context("parse the server's address")?;
    let host = url.authority().parse().context("let the server in")?;
    let config = NetConfig {
        allow: vec![host],
        hosts: HostLimits {
            concurrency: CONCURRENCY,
            ..HostLimits::default()
        },
        ..NetConfig::of(AGENT)
    };
    Fetcher::new(&config).context("make the fetcher")
}

struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn resolve(&self, reference: &SecretRef) -> Result<SecretValue, SecretError> {
        Err(SecretError::Missing {
            reference: reference.clone(),
            reason: "the pipe names none".to_owned(),
        })
    }
}
