//! Builds this machine from its configuration: adapters behind ports, the
//! catalogue, the fetcher, the workers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use trawler_catalogue::{Catalogue, CatalogueOptions, SortLimits, local_store};
use trawler_core::dead::DeadLetter;
use trawler_core::pipe::Pipe;
use trawler_core::ports::Clock;
use trawler_core::run::Run;
use trawler_core::{PipeId, QueueName};
use trawler_crawler::mappings::Mappings;
use trawler_crawler::{Crawler, CrawlerOptions};
use trawler_fleet::{Pauses, Ports};
use trawler_image_worker::{ImageWorker, ImageWorkerOptions, Limits, Studio};
use trawler_local::{CountingMetrics, LocalStore, QueueOptions, SystemClock};
use trawler_net::{AllowedHost, Fetcher, HostLimits, NetConfig};
use trawler_scheduler::{Scheduler, SchedulerOptions};

use crate::config::{Config, Loaded};
use crate::end::Misuse;

/// Most documents of one kind that a command looks at.
const DOCUMENTS_MAX: usize = 1_000_000;

/// Everything that commands and workers of one folder share.
pub(crate) struct Machine {
    pub(crate) ports: Ports,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) metrics: Arc<CountingMetrics>,
    pub(crate) blobs_dir: PathBuf,
    pub(crate) catalogue_dir: PathBuf,
    pauses: Pauses,
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
    pub(crate) async fn open(loaded: &Loaded) -> anyhow::Result<Self> {
        let dir = loaded.store_dir();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = LocalStore::open(&dir, Arc::clone(&clock)).await?;
        let queue = |name: QueueName, visibility: Duration| {
            let options = QueueOptions {
                visibility,
                receive_count_max: loaded.config.queue.receives_max,
            };
            store.queue(name, options).map(Arc::new)
        };
        let metrics = Arc::new(CountingMetrics::new());
        let ports = Ports {
            state: Arc::new(store.state()),
            blobs: Arc::new(store.blobs()),
            crawl: queue(QueueName::Crawl, loaded.config.queue.crawl_visibility())?,
            image: queue(QueueName::Image, loaded.config.queue.image_visibility())?,
            clock,
            metrics: metrics.clone(),
        };
        let catalogue_dir = dir.join("catalogue");
        let options = CatalogueOptions {
            file_rows: loaded.config.catalogue.file_rows as u64,
            checkpoint_every: i64::try_from(loaded.config.catalogue.checkpoint_every)
                .unwrap_or(i64::MAX),
            ..CatalogueOptions::default()
        };
        let clock = Arc::clone(&ports.clock);
        let catalogue = Catalogue::open_or_create(local_store(&catalogue_dir)?, options, clock)
            .await
            .with_context(|| format!("open the catalogue in {}", catalogue_dir.display()))?;
        Ok(Self {
            pauses: Pauses::new(&ports),
            ports,
            catalogue: Arc::new(catalogue),
            metrics,
            blobs_dir: dir.join("blobs"),
            catalogue_dir,
        })
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
        Ok(self.catalogue.snapshot().await?.live_rows(pipe))
    }

    pub(crate) async fn catalogue_figures(&self) -> anyhow::Result<CatalogueFigures> {
        let snapshot = self.catalogue.snapshot().await?;
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

    pub(crate) fn crawler(&self, loaded: &Loaded, fetcher: &Fetcher) -> Crawler {
        Crawler {
            ports: self.ports.clone(),
            pipes: pipes_by_id(loaded),
            mappings: Mappings::in_folder(loaded.dir.join("mappings")),
            catalogue: Arc::clone(&self.catalogue),
            documents: self.ports.documents(),
            jobs: self.ports.jobs(),
            fetcher: fetcher.clone(),
            options: CrawlerOptions {
                scratch: loaded.store_dir().join("scratch"),
                base: loaded.dir.clone(),
                sort: SortLimits {
                    buffer_bytes: loaded.config.catalogue.sort_mib << 20,
                    ..SortLimits::default()
                },
                user_agent: loaded.config.net.user_agent(),
                redirects_max: loaded.config.net.redirects_max,
                first_byte_ms: loaded.config.net.first_byte_s * 1000,
                idle_ms: loaded.config.net.idle_s * 1000,
            },
        }
    }

    pub(crate) fn image_worker(
        &self,
        loaded: &Loaded,
        fetcher: &Fetcher,
    ) -> anyhow::Result<ImageWorker> {
        let config = &loaded.config;
        Ok(ImageWorker::new(
            self.ports.clone(),
            pipes_by_id(loaded),
            fetcher.clone(),
            studio(config)?,
            ImageWorkerOptions {
                fetches: config.workers.image_fetches,
                source_bytes_max: config.images.source_mib_max * 1024 * 1024,
                user_agent: config.net.user_agent(),
                redirects_max: config.net.redirects_max,
                first_byte_ms: config.net.first_byte_s * 1000,
                idle_ms: config.net.idle_s * 1000,
                attempts_max: config.retry.attempts_max,
            },
        ))
    }

    pub(crate) fn scheduler(&self, loaded: &Loaded) -> Scheduler {
        let config = &loaded.config.scheduler;
        Scheduler::new(
            self.ports.clone(),
            loaded.pipes.clone().into(),
            SchedulerOptions {
                tick_every: config.tick(),
                fold_after: chrono::Duration::seconds(
                    i64::try_from(config.fold_after_s).unwrap_or(i64::MAX),
                ),
                settled_kept: chrono::Duration::days(i64::from(config.settled_days)),
                ..SchedulerOptions::default()
            },
        )
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
        hosts: HostLimits::default(),
        ..NetConfig::of(config.net.user_agent())
    };
    Fetcher::new(&settings).map_err(|error| Misuse::new(error.to_string()).into())
}

fn pipes_by_id(loaded: &Loaded) -> Arc<BTreeMap<PipeId, Pipe>> {
    Arc::new(
        loaded
            .pipes
            .iter()
            .map(|pipe| (pipe.id.clone(), pipe.clone()))
            .collect(),
    )
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
        ..Limits::default()
    }
}
