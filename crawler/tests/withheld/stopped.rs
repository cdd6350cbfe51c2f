//! Invariant 10 where a decision is carried out in a job of the pipe: rewriting
//! a large pipe takes long, and has no steps of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobRecord;
use trawler_core::pause::PauseScope;
use trawler_core::ports::{
    SecretError, Secrets, State, StateEntry, StateError, Version, Versioned,
};
use trawler_core::secret::{SecretRef, SecretValue};
use trawler_core::verdict::Ending;
use trawler_core::withheld::{Act, Note, Withholding};
use trawler_crawler::render::{BrowserSettings, Browsers};
use trawler_crawler::{Crawler, CrawlerOptions, KEEP_INPUT_AFTER};
use trawler_fleet::{Drain, Handler, JobContext, Pauses, Take};
use trawler_net::{Fetcher, NetConfig};

use crate::support::{TestClock, World, pipe_of};
use crate::testing::Table;

const AGENT: &str = "Trawler-test/1 (+https://example.com/test)";

/// Does not come to an end with what carrying a decision out writes.
struct Stuck {
    inner: Arc<dyn State>,
    reached: Arc<AtomicBool>,
}

#[async_trait]
impl State for Stuck {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        self.inner.get(key).await
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        if key.starts_with("decisions/") {
            self.reached.store(true, Ordering::SeqCst);
            return std::future::pending().await;
        }
        self.inner.create(key, value).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        self.inner.replace(key, value, expected).await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.inner.delete(key, expected).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        self.inner.list(prefix, after, limit).await
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

#[tokio::test]
async fn a_pause_is_obeyed_while_a_decision_is_carried_out() {
    let mut world = World::new(
        TestClock::frozen("2026-11-21T03:00:00Z"),
        Duration::from_secs(60),
    );
    let shop = pipe_of("shop");
    let mut document = Withholding::none(shop.id.clone());
    let note = Note {
        by: "ann".to_owned(),
        at: world.ports.clock.now(),
        why: String::new(),
    };
    document.decide(&Act::Hide, &note).unwrap();
    let documents = world.ports.documents();
    documents
        .put(&Withholding::key(&shop.id), &document)
        .await
        .unwrap();
    let reached: Arc<AtomicBool> = Arc::default();
    world.ports.state = Arc::new(Stuck {
        inner: Arc::clone(&world.ports.state),
        reached: Arc::clone(&reached),
    });
    let (ports, table) = (world.ports.clone(), Table::new().await);
    let job = CrawlJob::Fold {
        pipe: shop.id.clone(),
        fold: 1,
    };
    let (group, body) = (job.group(), job.encode());
    let record = JobRecord::plan(
        job.id(),
        QueueName::Crawl,
        shop.id.clone(),
        group,
        body,
        note.at,
    );
    let jobs = ports.jobs();
    jobs.plan(&record).await.unwrap();
    let taken = jobs.take(QueueName::Crawl, &record.dedup_id(), "d").await;
    let Take::Work(taken) = taken.unwrap() else {
        panic!("it is open");
    };
    let folder = tempfile::tempdir().unwrap();
    let crawler = Crawler {
        documents: ports.documents(),
        jobs,
        pipes: vec![shop.clone()].into(),
        secrets: Arc::new(NoSecrets),
        catalogue: Arc::new(table.reopened().await),
        fetcher: Fetcher::new(&NetConfig::of(AGENT)).unwrap(),
        robots: Arc::default(),
        browsers: Browsers::new(BrowserSettings::new(
            folder.path().join("browsers"),
            AGENT.to_owned(),
        )),
        options: CrawlerOptions {
            scratch: folder.path().to_owned(),
            base: folder.path().to_owned(),
            sort: trawler_catalogue::SortLimits::default(),
            user_agent: AGENT.to_owned(),
            redirects_max: 0,
            first_byte_ms: 1_000,
            idle_ms: 1_000,
            keep_input_after: KEEP_INPUT_AFTER,
            checkpoint_every: KEEP_INPUT_AFTER,
            remaking: None,
        },
        ports: ports.clone(),
    };
    let ctx = JobContext::unleased(&ports, &taken, &Drain::new());
    let working = crawler.handle(&taken, &ctx);
    let pausing = async {
        crate::support::until("the decision is carried out", || {
            reached.load(Ordering::SeqCst)
        })
        .await;
        let scope = PauseScope::Pipe(shop.id.clone());
        Pauses::new(&ports).pause(&scope, "moving").await.unwrap();
        loop {
            world.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let ended = tokio::select! {
        ended = working => ended,
        never = pausing => never,
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it goes on"),
    };
    assert!(matches!(ended, Ending::Paused), "{ended:?}");
}
