//! Builds this machine from its configuration: adapters behind ports, the
//! catalogue, the fetcher, the workers. What is on this machine is in `local`,
//! what is on AWS in `aws`; nothing else knows which of the two a port is.

mod aws;
mod fanout;
mod local;
pub(crate) mod notices;
mod paper;
mod planning;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::OnceCell;
use trawler_aws::MetricsSender;
use trawler_catalogue::{Catalogue, CatalogueOptions, SortLimits};
use trawler_core::dead::DeadLetter;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{Blobs, Capacity, Clock, Metrics, Queue, Secrets, State};
use trawler_core::run::Run;
use trawler_core::{PipeId, QueueName};
use trawler_crawler::render::{BrowserSettings, Browsers};
use trawler_crawler::{Crawler, CrawlerOptions, KEEP_INPUT_AFTER, fetcher_of};
use trawler_fleet::{Pauses, PipeSets, Pipes, Ports, chain};
use trawler_image_worker::{ImageWorker, ImageWorkerOptions, Limits, Studio};
use trawler_local::{CountingMetrics, SystemClock};
use trawler_net::{AllowedHost, Fetcher, HostLimits, NetConfig};
use trawler_scheduler::{Scheduler, SchedulerOptions};
use trawler_upkeep::Upkeep;

use crate::args::{EgressArg, WayArgs};
use crate::config::{Config, Loaded, Place, QueueKind};
use crate::end::Misuse;
use crate::secrets::ProcessSecrets;

pub(crate) use aws::{Aws, sqs_error};
pub(crate) use planning::plan_options;

use fanout::Fanout;
use local::Local;

/// How far the clock of this process is ahead; not at all but in tests.
static AHEAD: OnceLock<Duration> = OnceLock::new();

/// Counts once, before the first clock is made.
pub(crate) fn set_clock_ahead(ahead: Duration) {
    AHEAD.get_or_init(|| ahead);
}

fn clock() -> Arc<dyn Clock> {
    let ahead = AHEAD.get().copied().unwrap_or_default();
    Arc::new(SystemClock::ahead(ahead))
}

/// By the clock of this process.
pub(crate) fn now() -> DateTime<Utc> {
    clock().now()
}

/// Most documents of one kind that a command looks at.
const DOCUMENTS_MAX: usize = 1_000_000;

/// Everything that commands and workers of one folder share.
pub(crate) struct Machine {
    pub(crate) ports: Ports,
    pub(crate) pipes: Pipes,
    /// The published sets, in a fleet.
    pub(crate) sets: Option<PipeSets>,
    pub(crate) metrics: Arc<CountingMetrics>,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) aws: Option<Aws>,
    pub(crate) blobs_dir: PathBuf,
    pub(crate) catalogue_dir: PathBuf,
    /// Delivers figures to CloudWatch; whoever works takes it and runs it.
    sender: Mutex<Option<MetricsSender>>,
    pauses: Pauses,
    catalogue: OnceCell<Arc<Catalogue>>,
    catalogue_place: Place,
    catalogue_options: CatalogueOptions,
    /// Of crawl jobs, where it is not the store's.
    scratch: Option<PathBuf>,
}

/// What a machine is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Look,
    Work,
}

/// Size of the catalogue.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct CatalogueFigures {
    pub(crate) version: i64,
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Machine {
    /// For commands, which look and leave.
    pub(crate) async fn open(loaded: &Loaded) -> anyhow::Result<Self> {
        Self::open_for(loaded, Purpose::Look).await
    }

    pub(crate) async fn open_for(loaded: &Loaded, purpose: Purpose) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let clock = clock();
        let aws = match config.is_on_aws() {
            true => Some(Aws::open(config).await?),
            false => None,
        };
        let metrics = Arc::new(CountingMetrics::new());
        let mut listeners: Vec<Arc<dyn Metrics>> = vec![metrics.clone()];
        let mut sender = None;
        if let (Purpose::Work, true, Some(aws)) = (purpose, config.metrics.cloudwatch, &aws) {
            let (cloudwatch, task) = aws.metrics(&config.metrics, Arc::clone(&clock));
            listeners.push(cloudwatch);
            sender = Some(task);
        }
        let parts = Parts {
            loaded,
            local: Local::of(loaded, Arc::clone(&clock)),
            aws: aws.as_ref(),
            clock: &clock,
        };
        let ports = Ports {
            state: parts.state().await?,
            blobs: parts.blobs().await?,
            crawl: parts.queue(QueueName::Crawl).await?,
            image: parts.queue(QueueName::Image).await?,
            clock,
            metrics: Arc::new(Fanout(listeners)),
        };
        let sets = config.is_fleet().then(|| PipeSets::new(&ports));
        let dir = loaded.store_dir();
        Ok(Self {
            pauses: Pauses::new(&ports),
            pipes: match &sets {
                Some(sets) => Pipes::new(sets.clone()),
                None => {
                    let mappings = loaded.dir.join("mappings");
                    Pipes::in_folder(loaded.pipes.clone(), loaded.read, mappings)
                }
            },
            sets,
            secrets: Arc::new(ProcessSecrets::new(aws.as_ref(), &ports.clock)),
            sender: Mutex::new(sender),
            aws,
            ports,
            metrics,
            blobs_dir: dir.join("blobs"),
            catalogue_dir: dir.join("catalogue"),
            catalogue: OnceCell::new(),
            catalogue_place: config.store.catalogue(),
            catalogue_options: CatalogueOptions {
                file_rows: config.catalogue.file_rows as u64,
                checkpoint_every: i64::try_from(config.catalogue.checkpoint_every)
                    .unwrap_or(i64::MAX),
                ..CatalogueOptions::default()
            },
            scratch: None,
        })
    }

    /// Folder for what crawl jobs have on disk while they are at work.
    fn scratch(&self, loaded: &Loaded) -> PathBuf {
        let own = self.scratch.clone();
        own.unwrap_or_else(|| loaded.store_dir().join("scratch"))
    }

    /// Opened with its first use: not every command and role has one.
    pub(crate) async fn catalogue(&self) -> anyhow::Result<&Arc<Catalogue>> {
        let open = async || {
            let place = match &self.catalogue_place {
                Place::Local => self.catalogue_dir.display().to_string(),
                Place::S3(location) => location.clone(),
            };
            let store = match (&self.catalogue_place, &self.aws) {
                (Place::S3(location), Some(aws)) => aws.catalogue_store(location).await?,
                (Place::S3(_) | Place::Local, _) => local::catalogue_store(&self.catalogue_dir)?,
            };
            let clock = Arc::clone(&self.ports.clock);
            let catalogue = Catalogue::open_or_create(store, self.catalogue_options.clone(), clock)
                .await
                .with_context(|| format!("open the catalogue in {place}"))?;
            anyhow::Ok(Arc::new(catalogue))
        };
        self.catalogue.get_or_try_init(open).await
    }

    /// Once.
    pub(crate) fn take_metrics_sender(&self) -> Option<MetricsSender> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.take()
    }

    /// The groups of a fleet, where the configuration names any.
    pub(crate) async fn capacity(
        &self,
        loaded: &Loaded,
    ) -> anyhow::Result<Option<Arc<dyn Capacity>>> {
        let config = &loaded.config;
        match &self.aws {
            Some(aws) if config.capacity.is_set() => {
                let clock = Arc::clone(&self.ports.clock);
                Ok(Some(aws.capacity(config, clock).await?))
            }
            Some(_) | None => Ok(None),
        }
    }

    pub(crate) fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    pub(crate) async fn runs(&self, prefix: &str) -> anyhow::Result<Vec<Run>> {
        let runs = self
            .ports
            .documents()
            .load::<Run>(prefix, DOCUMENTS_MAX)
            .await?;
        Ok(runs.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    pub(crate) async fn dead_letters(&self) -> anyhow::Result<Vec<DeadLetter>> {
        let letters = self
            .ports
            .documents()
            .load::<DeadLetter>("dead/", DOCUMENTS_MAX)
            .await?;
        Ok(letters.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    pub(crate) async fn live_rows(&self, pipe: &PipeId) -> anyhow::Result<u64> {
        Ok(self.catalogue().await?.snapshot().await?.live_rows(pipe))
    }

    pub(crate) async fn catalogue_figures(&self) -> anyhow::Result<CatalogueFigures> {
        let snapshot = self.catalogue().await?.snapshot().await?;
        let mut figures = CatalogueFigures {
            version: snapshot.version(),
            ..CatalogueFigures::default()
        };
        for (_, stats) in snapshot.pipes() {
            figures.rows += stats.rows;
            figures.files += stats.files;
            figures.bytes += stats.bytes;
        }
        Ok(figures)
    }

    pub(crate) async fn crawler(
        &self,
        loaded: &Loaded,
        fetcher: &Fetcher,
    ) -> anyhow::Result<Crawler> {
        Ok(Crawler {
            ports: self.ports.clone(),
            pipes: self.pipes.clone(),
            secrets: Arc::clone(&self.secrets),
            catalogue: Arc::clone(self.catalogue().await?),
            documents: self.ports.documents(),
            jobs: self.ports.jobs(),
            fetcher: fetcher.clone(),
            robots: Arc::default(),
            browsers: browsers(loaded, &self.scratch(loaded)),
            options: CrawlerOptions {
                scratch: self.scratch(loaded),
                base: loaded.dir.clone(),
                sort: sort_limits(&loaded.config),
                user_agent: loaded.config.net.user_agent(),
                redirects_max: loaded.config.net.redirects_max,
                first_byte_ms: loaded.config.net.first_byte_s * 1000,
                idle_ms: loaded.config.net.idle_s * 1000,
                keep_input_after: KEEP_INPUT_AFTER,
                checkpoint_every: std::time::Duration::from_secs(
                    loaded.config.workers.checkpoint_s,
                ),
                remaking: Some(loaded.config.images.remaking()),
            },
        })
    }

    pub(crate) async fn upkeep(&self, loaded: &Loaded) -> anyhow::Result<Upkeep> {
        Ok(Upkeep {
            ports: self.ports.clone(),
            catalogue: Arc::clone(self.catalogue().await?),
            // Not the crawler's, which clears what it finds in its own.
            scratch: loaded.store_dir().join("scratch-upkeep"),
        })
    }

    pub(crate) fn image_worker(
        &self,
        loaded: &Loaded,
        fetcher: &Fetcher,
    ) -> anyhow::Result<ImageWorker> {
        let config = &loaded.config;
        Ok(ImageWorker::new(
            self.ports.clone(),
            self.pipes.clone(),
            Arc::clone(&self.secrets),
            fetcher.clone(),
            studio(config)?,
            ImageWorkerOptions {
                fetches: config.workers.image_fetches,
                source_bytes_max: config.images.source_mib_max * 1024 * 1024,
                user_agent: config.net.user_agent(),
                redirects_max: config.net.redirects_max,
                first_byte_ms: config.net.first_byte_s * 1000,
                idle_ms: config.net.idle_s * 1000,
                whole_ms: config.images.timeout_s * 1000,
                attempts_max: config.retry.attempts_max,
                policy: config.images.policy(),
                originals: config.images.originals,
            },
        ))
    }

    /// With groups, it tells the backlog for each of their workers.
    pub(crate) fn scheduler(
        &self,
        loaded: &Loaded,
        groups: Option<&Arc<dyn Capacity>>,
    ) -> Scheduler {
        let config = &loaded.config.scheduler;
        let scheduler = Scheduler::new(
            self.ports.clone(),
            self.pipes.clone(),
            SchedulerOptions {
                tick_every: config.tick(loaded.config.queue.kind),
                fold_after: chrono::Duration::seconds(
                    i64::try_from(config.fold_after_s).unwrap_or(i64::MAX),
                ),
                settled_kept: chrono::Duration::days(i64::from(config.settled_days)),
                retry: loaded.config.images.retry_schedule(),
                upkeep: loaded.config.images.upkeep(&loaded.config.catalogue),
                ..SchedulerOptions::default()
            },
        );
        match groups {
            Some(groups) if loaded.config.plan.enabled => scheduler
                .with_capacity(Arc::clone(groups))
                .with_planning(plan_options(&loaded.config)),
            Some(groups) => scheduler.with_capacity(Arc::clone(groups)),
            None => scheduler,
        }
    }
}

/// Builds each port where the configuration says that it is.
struct Parts<'a> {
    loaded: &'a Loaded,
    local: Local,
    aws: Option<&'a Aws>,
    clock: &'a Arc<dyn Clock>,
}

impl Parts<'_> {
    async fn state(&self) -> anyhow::Result<Arc<dyn State>> {
        match (self.loaded.config.store.state(), self.aws) {
            (Place::S3(location), Some(aws)) => aws.state(&location).await,
            (Place::S3(_) | Place::Local, _) => self.local.state().await,
        }
    }

    async fn blobs(&self) -> anyhow::Result<Arc<dyn Blobs>> {
        match (self.loaded.config.store.blobs(), self.aws) {
            (Place::S3(location), Some(aws)) => aws.blobs(&location).await,
            (Place::S3(_) | Place::Local, _) => self.local.blobs().await,
        }
    }

    async fn queue(&self, queue: QueueName) -> anyhow::Result<Arc<dyn Queue>> {
        let config = &self.loaded.config.queue;
        match (config.kind, self.aws) {
            (QueueKind::Sqs, Some(aws)) => aws.queue(config, queue, Arc::clone(self.clock)).await,
            (QueueKind::Sqs | QueueKind::Local, _) => self.local.queue(config, queue).await,
        }
    }
}

/// The one fetcher of the process.
pub(crate) fn fetcher(config: &Config, allow: &[String]) -> anyhow::Result<Fetcher> {
    let parsed: Result<Vec<AllowedHost>, _> = config
        .net
        .allow
        .iter()
        .chain(allow)
        .map(|text| text.parse::<AllowedHost>())
        .collect();
    let settings = NetConfig {
        allow: parsed.map_err(|error| Misuse::new(error.to_string()))?,
        connect_ms: config.net.connect_s * 1000,
        fixed_egress: config.net.fixed_egress(|name| std::env::var(name).ok()),
        memory_bytes: config.net.memory_mib * 1024 * 1024,
        hosts: HostLimits::default(),
        ..NetConfig::of(config.net.user_agent())
    };
    Fetcher::new(&settings).map_err(|error| Misuse::new(chain(&error)).into())
}

/// What asks for what a person looks at: by the way that the command line says,
/// else by that of the pipe that is named, with its proxy.
pub(crate) async fn fetcher_by(
    config: &Config,
    way: &WayArgs,
    pipe: Option<&Pipe>,
) -> anyhow::Result<Fetcher> {
    let direct = fetcher(config, &way.allow)?;
    let found = match (way.egress, pipe) {
        (Some(EgressArg::Fixed), _) => direct.fixed().map_err(|error| error.to_string()),
        (Some(EgressArg::Any), _) | (None, None) => Ok(direct),
        (None, Some(pipe)) => {
            let secrets = ProcessSecrets::new(None, &clock());
            let found = fetcher_of(&pipe.fetch, &direct, &secrets).await;
            found.map_err(|failure| failure.reason)
        }
    };
    found.map_err(|reason| Misuse::new(reason).into())
}

/// Renders images on as many threads as there are cores, unless said
/// otherwise.
pub(crate) fn studio(config: &Config) -> anyhow::Result<Studio> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = match config.workers.image_threads {
        0 => cores,
        threads => threads,
    };
    let studio = Studio::new(
        config.images.variants.clone(),
        image_limits(config),
        threads,
    );
    studio.map_err(|error| Misuse::new(error.to_string()).into())
}

/// What a source image may be.
pub(crate) fn image_limits(config: &Config) -> Limits {
    Limits {
        source_bytes_max: config.images.source_mib_max << 20,
        pixels_max: config.images.megapixels_max * 1_000_000,
        together_bytes_max: config.images.memory_mib << 20,
        ..Limits::default()
    }
}

/// Memory of one sort.
pub(crate) fn sort_limits(config: &Config) -> SortLimits {
    SortLimits {
        buffer_bytes: config.catalogue.sort_mib << 20,
        ..SortLimits::default()
    }
}

/// None runs before a pipe needs one.
fn browsers(loaded: &Loaded, scratch: &Path) -> Arc<Browsers> {
    let config = &loaded.config;
    let profiles = scratch.join(".browsers");
    Browsers::new(BrowserSettings {
        chromium: config.workers.chromium.clone(),
        browsers: config.workers.browsers,
        ..BrowserSettings::new(profiles, config.net.user_agent())
    })
}
