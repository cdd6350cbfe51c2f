//! One crawl worker without a process: the crawler as it is, over stores that
//! a test makes fail and a clock that it moves, and a site that it makes up.
//!
//! Every delivery is on a machine of its own: nothing goes on but State, blobs
//! and the catalogue.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use trawler_catalogue::{Catalogue, CatalogueOptions, SortLimits};
use trawler_core::feed::FeedMode;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobRecord;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{
    BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put, SecretError, Secrets, State, StateEntry,
    StateError, Version, Versioned,
};
use trawler_core::run::Run;
use trawler_core::secret::{SecretRef, SecretValue};
use trawler_core::verdict::Ending;
use trawler_core::{PipeId, QueueName, RunId};
use trawler_crawler::render::{BrowserSettings, Browsers};
use trawler_crawler::{Crawler, CrawlerOptions};
use trawler_fleet::{Drain, Handler as _, JobContext, Ports, Take, TakenJob};
use trawler_local::CountingMetrics;
use trawler_net::{Fetcher, NetConfig, RetryPolicy};
use trawler_tests::model::{
    Meter, ModelBlobs, ModelObjects, ModelQueue, ModelState, S3, Sqs, SqsOptions, Wire,
};

use crate::clock::TestClock;
use crate::server::{Answer, Server};

pub(crate) const START: &str = "2026-11-21T03:00:00Z";

const AGENT: &str = "Trawler-Test/0.1 (+mailto:a@b.test)";

/// How often work is put away here.
pub(crate) const PUT_EVERY: Duration = Duration::from_millis(300);

/// A site of pages that a test makes up.
pub(crate) struct Made {
    server: Server,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Made {
    /// `serve` gets path and query, and how often they were asked for before.
    pub(crate) fn start(serve: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let log = Arc::clone(&asked);
        let server = Server::start(move |path| {
            let before = {
                let mut log = log.lock().unwrap();
                let count = log.entry(path.to_owned()).or_default();
                *count += 1;
                *count - 1
            };
            serve(path, before)
        });
        Self { server, asked }
    }

    pub(crate) fn host(&self) -> String {
        self.server.host()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// How often each path below `prefix` was asked for.
    pub(crate) fn asked(&self, prefix: &str) -> BTreeMap<String, usize> {
        let asked = self.asked.lock().unwrap();
        let below = asked.iter().filter(|(path, _)| path.starts_with(prefix));
        below.map(|(path, count)| (path.clone(), *count)).collect()
    }

    pub(crate) fn requests(&self, prefix: &str) -> usize {
        self.asked(prefix).values().sum()
    }
}

/// A page that sells one product.
pub(crate) fn product_page(id: &str, title: &str) -> Answer {
    let product = json!({
        "@context": "https://schema.org",
        "@type": "Product",
        "name": title,
        "sku": id,
        "offers": {
            "@type": "Offer",
            "price": "5000",
            "priceCurrency": "KRW",
            "availability": "https://schema.org/InStock",
        },
    });
    html(&format!(
        "<h1>{title}</h1><script type=\"application/ld+json\">{product}</script>"
    ))
}

pub(crate) fn html(body: &str) -> Answer {
    Answer {
        headers: vec![("Content-Type", "text/html; charset=utf-8".to_owned())],
        ..Answer::of(format!("<html><body>{body}</body></html>"))
    }
}

pub(crate) fn status(status: u16, headers: Vec<(&'static str, String)>) -> Answer {
    Answer {
        status,
        headers,
        ..Answer::of("told")
    }
}

/// A sitemap with these addresses.
pub(crate) fn sitemap(urls: impl IntoIterator<Item = String>) -> Answer {
    let urls = urls.into_iter();
    let urls: String = urls
        .map(|url| format!("<url><loc>{url}</loc></url>"))
        .collect();
    Answer::of(format!("<urlset>{urls}</urlset>"))
}

/// Writes that fail: so many of those whose key has this in it.
#[derive(Default)]
pub(crate) struct Ailing {
    rule: Mutex<(&'static str, u32)>,
    pub(crate) failed: AtomicU64,
    pub(crate) done: AtomicU64,
}

impl Ailing {
    pub(crate) fn fail(&self, part: &'static str, times: u32) {
        *self.rule.lock().unwrap() = (part, times);
    }

    /// Whether this write fails.
    fn meets(&self, key: &str) -> bool {
        let mut rule = self.rule.lock().unwrap();
        let is_meant = !rule.0.is_empty() && key.contains(rule.0);
        if is_meant && rule.1 > 0 {
            rule.1 -= 1;
            self.failed.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        if is_meant {
            self.done.fetch_add(1, Ordering::SeqCst);
        }
        false
    }
}

struct AilingBlobs(Arc<dyn Blobs>, Arc<Ailing>);

#[async_trait]
impl Blobs for AilingBlobs {
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError> {
        if self.1.meets(key) {
            return Err(BlobError::Unavailable {
                verb: "put",
                key: key.to_owned(),
                source: "no answer".into(),
            });
        }
        self.0.put(key, body, meta).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        self.0.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        self.0.head(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        self.0.list(prefix, after, limit).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        self.0.delete(keys).await
    }
}

struct AilingState(Arc<dyn State>, Arc<Ailing>);

impl AilingState {
    fn check(&self, verb: &'static str, key: &str) -> Result<(), StateError> {
        match self.1.meets(key) {
            true => Err(StateError::Unavailable {
                verb,
                key: key.to_owned(),
                source: "no answer".into(),
            }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl State for AilingState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        self.0.get(key).await
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.check("create", key)?;
        self.0.create(key, value).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        self.check("replace", key)?;
        self.0.replace(key, value, expected).await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.0.delete(key, expected).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.0.list(prefix, after, limit).await
    }
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

/// A pipe on a made-up site, its run, and what is left between deliveries.
pub(crate) struct Desk {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) ports: Ports,
    pub(crate) blobs: Arc<Ailing>,
    pub(crate) state: Arc<Ailing>,
    s3: Arc<S3>,
    pipe: Pipe,
    pub(crate) run: RunId,
    allow: Vec<String>,
    scratch: TempDir,
    deliveries: AtomicU64,
}

impl Desk {
    /// `fetch` are entries of its table, `site` the lines of `[site]`.
    pub(crate) async fn new(home: &Made, others: &[&Made], fetch: &str, site: &str) -> Arc<Self> {
        let clock = Arc::new(TestClock::flowing(START));
        let meter: Arc<Meter> = Arc::default();
        let s3 = S3::new(clock.clone(), &meter);
        let wire = Wire::direct(clock.clone());
        let queue = || {
            let sqs = Sqs::new(clock.clone(), &meter, SqsOptions::default());
            ModelQueue::new(&sqs, &wire)
        };
        let (blobs, state): (Arc<Ailing>, Arc<Ailing>) = Default::default();
        let ports = Ports {
            state: Arc::new(AilingState(ModelState::new(&s3, &wire), Arc::clone(&state))),
            blobs: Arc::new(AilingBlobs(ModelBlobs::new(&s3, &wire), Arc::clone(&blobs))),
            crawl: queue(),
            image: queue(),
            clock: clock.clone(),
            metrics: Arc::new(CountingMetrics::new()),
        };
        let text = format!(
            "source = {{ kind = \"site\", url = \"{}\" }}\n\
             schedule = {{ cron = \"0 3 * * *\" }}\nimages = {{ collect = false }}\n\
             fetch = {{ {fetch} }}\n[site]\ncurrency = \"KRW\"\n{site}",
            home.url("/"),
        );
        let pipe = Pipe {
            id: PipeId::parse("made").unwrap(),
            ..toml::from_str(&text).unwrap()
        };
        let problems = pipe.problems();
        assert!(problems.is_empty(), "{problems:?}");
        let hosts = [home].into_iter().chain(others.iter().copied());
        let allow =
            hosts.flat_map(|made| [made.host(), made.host().replace("127.0.0.1", "localhost")]);
        let due = START.parse().unwrap();
        let desk = Self {
            run: RunId::new(pipe.id.clone(), due),
            allow: allow.collect(),
            blobs,
            state,
            s3,
            pipe,
            ports,
            clock,
            scratch: tempfile::tempdir().unwrap(),
            deliveries: AtomicU64::new(0),
        };
        desk.plan().await;
        Arc::new(desk)
    }

    async fn plan(&self) {
        let now = self.ports.clock.now();
        let run = Run::plan(self.run.clone(), FeedMode::Full, now);
        let documents = self.ports.documents();
        documents.create(&Run::key(&self.run), &run).await.unwrap();
        let job = self.job();
        let record = JobRecord::plan(
            job.id(),
            QueueName::Crawl,
            job.pipe().clone(),
            job.group(),
            job.encode(),
            now,
        );
        self.ports.jobs().plan(&record).await.unwrap();
    }

    fn job(&self) -> CrawlJob {
        CrawlJob::Collect {
            run: self.run.clone(),
        }
    }

    /// The next delivery of the job: whoever had it before is overtaken.
    pub(crate) async fn take(&self) -> TakenJob {
        let number = self.deliveries.fetch_add(1, Ordering::SeqCst);
        let jobs = self.ports.jobs();
        let job = self.job().id();
        let record = jobs.find(QueueName::Crawl, &job).await.unwrap().unwrap();
        let dedup_id = record.dedup_id();
        let delivery = format!("delivery {number}");
        let taken = jobs.take(QueueName::Crawl, &dedup_id, &delivery);
        match taken.await.unwrap() {
            Take::Work(taken) => *taken,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn context(&self, taken: &TakenJob, drain: &Drain) -> JobContext {
        JobContext::unleased(&self.ports, taken, drain)
    }

    /// A worker on another machine.
    async fn crawler(&self, epoch: u64) -> Crawler {
        let wire = Wire::direct(self.clock.clone());
        let store = ModelObjects::new(&self.s3, &wire);
        let options = CatalogueOptions::default();
        let catalogue = Catalogue::open_or_create(store, options, self.clock.clone()).await;
        let config = NetConfig {
            allow: self
                .allow
                .iter()
                .map(|host| host.parse().unwrap())
                .collect(),
            retry: RetryPolicy::never(),
            ..NetConfig::of(AGENT)
        };
        let scratch = self.scratch.path().join(epoch.to_string());
        std::fs::create_dir_all(&scratch).unwrap();
        Crawler {
            documents: self.ports.documents(),
            jobs: self.ports.jobs(),
            pipes: vec![self.pipe.clone()].into(),
            secrets: Arc::new(NoSecrets),
            catalogue: Arc::new(catalogue.unwrap()),
            fetcher: Fetcher::new(&config).unwrap(),
            robots: Arc::default(),
            browsers: Browsers::new(BrowserSettings::new(
                scratch.join(".browsers"),
                AGENT.to_owned(),
            )),
            options: CrawlerOptions {
                base: scratch.clone(),
                scratch,
                sort: SortLimits::default(),
                user_agent: AGENT.to_owned(),
                redirects_max: 5,
                first_byte_ms: 30_000,
                idle_ms: 20_000,
                keep_input_after: Duration::from_secs(60),
                checkpoint_every: PUT_EVERY,
                remaking: None,
            },
            ports: self.ports.clone(),
        }
    }

    /// One delivery, to its end.
    pub(crate) async fn deliver(self: &Arc<Self>, drain: &Drain) -> Ending {
        let taken = self.take().await;
        let crawler = self.crawler(taken.epoch).await;
        crawler.handle(&taken, &self.context(&taken, drain)).await
    }

    /// One delivery that a test may drop, as a death would.
    pub(crate) fn start(self: &Arc<Self>, drain: &Drain) -> tokio::task::JoinHandle<Ending> {
        let (desk, drain) = (Arc::clone(self), drain.clone());
        tokio::spawn(async move { desk.deliver(&drain).await })
    }

    pub(crate) async fn run(&self) -> Run {
        let documents = self.ports.documents();
        documents.get(&Run::key(&self.run)).await.unwrap().unwrap()
    }

    /// What the job's deliveries saved last.
    pub(crate) async fn checkpoint(&self) -> Option<Value> {
        let job = self.job().id();
        let jobs = self.ports.jobs();
        jobs.checkpoint(QueueName::Crawl, &job).await.unwrap()
    }

    pub(crate) fn pipe_id(&self) -> PipeId {
        self.pipe.id.clone()
    }
}
