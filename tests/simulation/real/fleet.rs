//! A shop's pipe, the services, and one process at a time that plays all roles.

#[allow(dead_code, unreachable_pub)]
#[path = "../../../fleet/tests/support/clock.rs"]
mod clock;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use object_store::ObjectStore;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinSet;
use trawler_catalogue::{Catalogue, CatalogueOptions, Fence, SortLimits};
use trawler_core::image::{Fit, Originals, OutputFormat, Variant};
use trawler_core::image_policy::ImagePolicy;
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::Manifest;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{SecretError, Secrets, State};
use trawler_core::run::Run;
use trawler_core::secret::{SecretRef, SecretValue};
use trawler_core::withheld::{Act, Note, Withholding};
use trawler_core::{PipeId, RunId};
use trawler_crawler::{Crawler, CrawlerOptions, Withholder};
use trawler_fleet::{Drain, Pauses, Ports, Worker, WorkerOptions};
use trawler_image_worker::{ImageWorker, ImageWorkerOptions, Limits, Studio};
use trawler_local::CountingMetrics;
use trawler_net::{Fetcher, NetConfig, RetryPolicy};
use trawler_scheduler::{DecideError, Decider, Scheduler, SchedulerOptions};
use trawler_shop::Shop;
use trawler_tests::model::{
    Life, Meter, ModelBlobs, ModelObjects, ModelQueue, ModelState, S3, Side, Sqs, SqsOptions, Wire,
};
use trawler_tests::until;

pub(super) use self::clock::TestClock;

/// A run is due.
const START: &str = "2026-11-21T03:00:00Z";

const VISIBILITY: Duration = Duration::from_secs(300);

/// Settled records rest 10 s before they leave the ledger.
const REST: Duration = Duration::from_secs(11);

const TICK_EVERY: Duration = Duration::from_millis(5);

const AGENT: &str = "Trawler-Test/0.1 (+mailto:a@b.test)";

/// How the life of a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Died,
    /// Nothing was left to do.
    Settled,
}

/// Puts something between a process and its documents.
pub(super) type Between = Arc<dyn Fn(Arc<dyn State>) -> Arc<dyn State> + Send + Sync>;

/// The services, which outlive processes.
pub(super) struct Fleet {
    pub(super) clock: Arc<TestClock>,
    meter: Arc<Meter>,
    pub(super) s3: Arc<S3>,
    crawl: Arc<Sqs>,
    image: Arc<Sqs>,
    pub(super) pipe: Pipe,
    fetcher: Fetcher,
    scratch: TempDir,
    processes: AtomicU32,
    /// How many runs there have to be before everything can be over.
    runs_wanted: AtomicUsize,
    /// What a person accepts when the next process begins.
    accepts: Mutex<Option<RunId>>,
    /// What a person decides about the pipe's products then.
    decides: Mutex<Option<Act>>,
    between: Mutex<Option<Between>>,
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

fn pipe_of(shop: &Shop) -> Pipe {
    let text = format!(
        r#"
        source = {{ kind = "http", url = "{}" }}
        feed = {{ format = "naver-ep", mode = "full" }}
        schedule = {{ cron = "0 3 * * *" }}
        fetch = {{ rate_per_s = 1000.0 }}
        "#,
        shop.feed_url()
    );
    Pipe {
        id: PipeId::parse("shop").unwrap(),
        ..toml::from_str(&text).unwrap()
    }
}

impl Fleet {
    pub(super) fn new(shop: &Shop) -> Self {
        let clock = Arc::new(TestClock::flowing(START));
        let meter: Arc<Meter> = Arc::default();
        let queue = || {
            let options = SqsOptions {
                visibility: VISIBILITY,
                requests_per_s: None,
                ..SqsOptions::default()
            };
            Sqs::new(clock.clone(), &meter, options)
        };
        let config = NetConfig {
            allow: vec![shop.addr().to_string().parse().unwrap()],
            retry: RetryPolicy::never(),
            ..NetConfig::of(AGENT)
        };
        Self {
            crawl: queue(),
            image: queue(),
            s3: S3::new(clock.clone(), &meter),
            meter,
            pipe: pipe_of(shop),
            fetcher: Fetcher::new(&config).unwrap(),
            scratch: tempfile::tempdir().unwrap(),
            processes: AtomicU32::new(0),
            runs_wanted: AtomicUsize::new(1),
            accepts: Mutex::default(),
            decides: Mutex::default(),
            between: Mutex::default(),
            clock,
        }
    }

    pub(super) fn ports(&self, wire: &Wire) -> Ports {
        Ports {
            state: ModelState::new(&self.s3, wire),
            blobs: ModelBlobs::new(&self.s3, wire),
            crawl: ModelQueue::new(&self.crawl, wire),
            image: ModelQueue::new(&self.image, wire),
            clock: self.clock.clone(),
            metrics: Arc::new(CountingMetrics::new()),
        }
    }

    /// Every process from now on begins with a person who accepts the run.
    pub(super) fn accept(&self, run: &RunId) {
        self.runs_wanted.store(2, Ordering::Relaxed);
        *self.accepts.lock().unwrap() = Some(run.clone());
    }

    /// So many runs there have to be before everything can be over.
    pub(super) fn wants_runs(&self, count: usize) {
        self.runs_wanted.store(count, Ordering::Relaxed);
    }

    /// Every process from now on has its documents from behind this.
    pub(super) fn put_between(&self, between: Between) {
        *self.between.lock().unwrap() = Some(between);
    }

    /// Every process from now on begins with a person who decides this.
    pub(super) fn decide(&self, act: Option<Act>) {
        *self.decides.lock().unwrap() = act;
    }

    /// For audits.
    pub(super) fn direct(&self) -> Wire {
        Wire::direct(self.clock.clone())
    }

    pub(super) async fn catalogue(&self) -> Catalogue {
        let store = ModelObjects::new(&self.s3, &self.direct());
        let options = CatalogueOptions::default();
        let opened = Catalogue::open(store, options, self.clock.clone()).await;
        opened.unwrap()
    }

    /// What a dead process held comes back.
    pub(super) fn let_leases_end(&self) {
        self.clock.advance(VISIBILITY + Duration::from_secs(1));
    }

    /// One process, until nothing is left to do or it has made so many writes,
    /// the last of which it does not hear of.
    pub(super) async fn live(&self, writes_max: Option<u64>) -> Ended {
        self.live_until(writes_max, self.until_over()).await
    }

    /// The same, until something else is so.
    pub(super) async fn live_until(
        &self,
        writes_max: Option<u64>,
        is_over: impl Future<Output = ()>,
    ) -> Ended {
        let (meter, before) = (Arc::clone(&self.meter), self.meter.writes());
        let life = Life::watched(self.clock.clone(), move |life| {
            if writes_max.is_some_and(|max| meter.writes() - before >= max) {
                life.kill();
            }
        });
        let mut process = JoinSet::new();
        process.spawn(self.process(&life).run());
        let ended = tokio::select! {
            biased;
            () = life.death() => Ended::Died,
            () = is_over => Ended::Settled,
        };
        life.kill();
        process.shutdown().await;
        ended
    }

    fn process(&self, life: &Arc<Life>) -> Process {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let wire = Wire::near(life);
        let mut ports = self.ports(&wire);
        if let Some(between) = &*self.between.lock().unwrap() {
            ports.state = between(ports.state);
        }
        Process {
            ports,
            store: ModelObjects::new(&self.s3, &wire),
            pipe: self.pipe.clone(),
            fetcher: self.fetcher.clone(),
            accepts: self.accepts.lock().unwrap().clone(),
            decides: self.decides.lock().unwrap().clone(),
            // Each on a machine of its own: threads of a dead one go on.
            scratch: self.scratch.path().join(number.to_string()),
        }
    }

    /// Returns when the run, its images and its fold are over, and the ledger
    /// has let them go.
    async fn until_over(&self) {
        let mut rested = false;
        until("everything is settled", || {
            let settled = self.is_settled();
            if settled && !rested {
                self.clock.advance(REST);
            }
            rested = settled;
            settled && self.keys("jobs/").is_empty() && self.keys("manifests/").is_empty()
        })
        .await;
    }

    fn is_settled(&self) -> bool {
        let empty = |sqs: &Sqs| sqs.peek(Side::Live).total() + sqs.peek(Side::Dead).total() == 0;
        let runs: Vec<Run> = self.documents("runs/");
        let jobs: Vec<JobRecord> = self.documents("jobs/");
        let manifests: Vec<Manifest> = self.documents("manifests/");
        empty(&self.crawl)
            && empty(&self.image)
            && runs.len() >= self.runs_wanted.load(Ordering::Relaxed)
            && runs.iter().all(|run| run.phase.is_over())
            && jobs.iter().all(|job| job.status.is_settled())
            && manifests.iter().all(|manifest| manifest.settled)
            && self.is_withheld()
    }

    /// What is decided is said and carried out.
    fn is_withheld(&self) -> bool {
        let documents: Vec<Withholding> = self.documents(Withholding::ALL);
        let is_said = documents.iter().any(|document| document.said.is_some());
        let is_wanted = self.decides.lock().unwrap().is_some();
        (is_said || !is_wanted) && documents.iter().all(|document| !document.is_behind())
    }

    /// Keys of documents, without a request.
    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self
            .s3
            .peek_keys(&format!("{}{prefix}", ModelState::PREFIX));
        let bare = |key: String| key[ModelState::PREFIX.len()..].to_owned();
        keys.into_iter().map(bare).collect()
    }

    /// Documents as they are stored now, without a request.
    pub(super) fn documents<T: DeserializeOwned>(&self, prefix: &str) -> Vec<T> {
        let keys = self.keys(prefix).into_iter();
        // One that went between the two looks is gone.
        let bodies = keys.filter_map(|key| ModelState::peek(&self.s3, &key));
        let read = |body: bytes::Bytes| serde_json::from_slice(&body).unwrap();
        bodies.map(read).collect()
    }
}

/// One process with all roles.
struct Process {
    ports: Ports,
    store: Arc<dyn ObjectStore>,
    pipe: Pipe,
    fetcher: Fetcher,
    accepts: Option<RunId>,
    decides: Option<Act>,
    scratch: PathBuf,
}

impl Process {
    async fn run(self) {
        let pauses = Pauses::new(&self.ports);
        let drain = Drain::new();
        let crawler = Arc::new(self.crawler().await);
        let images = Arc::new(self.image_worker());
        let options = || WorkerOptions {
            slots: 2,
            ..WorkerOptions::default()
        };
        let crawls = Worker::new(
            &self.ports,
            crawler,
            options(),
            pauses.clone(),
            drain.clone(),
        );
        let images = Worker::new(&self.ports, images, options(), pauses, drain);
        tokio::join!(crawls.run(), images.run(), self.schedule());
    }

    async fn schedule(&self) {
        let scheduler = Scheduler::new(
            self.ports.clone(),
            vec![self.pipe.clone()].into(),
            SchedulerOptions::default(),
        );
        if let Some(run) = &self.accepts {
            let ann = Decider {
                by: "ann".to_owned(),
                why: String::new(),
            };
            match scheduler.accept(run, &ann, None).await {
                // An earlier process got so far.
                Ok(_) | Err(DecideError::Decided { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        if let Some(act) = &self.decides {
            self.decide(act).await;
        }
        loop {
            let ticked = scheduler.tick().await.unwrap();
            assert!(ticked.problems.is_empty(), "{:?}", ticked.problems);
            self.ports.clock.sleep(TICK_EVERY).await;
        }
    }

    /// As the command does it.
    async fn decide(&self, act: &Act) {
        let options = CatalogueOptions::default();
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.ports.clock));
        let catalogue = Catalogue::open(store, options, clock).await.unwrap();
        let withholder = Withholder {
            documents: &self.ports.documents(),
            catalogue: &catalogue,
        };
        let note = Note {
            by: "ann".to_owned(),
            at: self.ports.clock.now(),
            why: String::new(),
        };
        let pipe = &self.pipe.id;
        withholder.decide(pipe, act, &note).await.unwrap();
        withholder.settle(pipe, &Fence::open()).await.unwrap();
    }

    async fn crawler(&self) -> Crawler {
        let store = Arc::clone(&self.store);
        let options = CatalogueOptions::default();
        let clock = Arc::clone(&self.ports.clock);
        let catalogue = Catalogue::open_or_create(store, options, clock).await;
        Crawler {
            ports: self.ports.clone(),
            documents: self.ports.documents(),
            jobs: self.ports.jobs(),
            pipes: vec![self.pipe.clone()].into(),
            secrets: Arc::new(NoSecrets),
            catalogue: Arc::new(catalogue.unwrap()),
            fetcher: self.fetcher.clone(),
            robots: Arc::default(),
            browsers: trawler_crawler::render::Browsers::new(
                trawler_crawler::render::BrowserSettings::new(
                    self.scratch.join(".browsers"),
                    AGENT.to_owned(),
                ),
            ),
            options: CrawlerOptions {
                scratch: self.scratch.clone(),
                base: self.scratch.clone(),
                sort: SortLimits::default(),
                user_agent: AGENT.to_owned(),
                redirects_max: 5,
                first_byte_ms: 30_000,
                idle_ms: 20_000,
                // Every feed counts as dear, so that each death meets one that is kept.
                keep_input_after: Duration::ZERO,
                checkpoint_every: Duration::from_secs(30),
                remaking: None,
            },
        }
    }

    fn image_worker(&self) -> ImageWorker {
        let variant = Variant {
            name: "thumb".to_owned(),
            width: 8,
            height: 8,
            fit: Fit::Contain,
            format: OutputFormat::Jpeg,
            quality: 80,
            background: None,
            transparent: None,
            trim: false,
        };
        ImageWorker::new(
            self.ports.clone(),
            vec![self.pipe.clone()].into(),
            Arc::new(NoSecrets),
            self.fetcher.clone(),
            Studio::new(vec![variant], Limits::default(), 1).unwrap(),
            ImageWorkerOptions {
                fetches: 2,
                source_bytes_max: 1024 * 1024,
                redirects_max: 5,
                first_byte_ms: 30_000,
                idle_ms: 20_000,
                whole_ms: 300_000,
                user_agent: AGENT.to_owned(),
                attempts_max: 2,
                policy: ImagePolicy::default(),
                originals: Originals::Drop,
            },
        )
    }
}
