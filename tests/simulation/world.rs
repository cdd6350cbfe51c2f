//! One fleet on the strict model: its processes, what befalls them, and the
//! calm in which everything has to come to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use trawler_core::QueueName;
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::Manifest;
use trawler_core::pause::PauseScope;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{Clock, Metric, Metrics};
use trawler_core::run::Run;
use trawler_fleet::{Drain, Pauses, Ports};
use trawler_tests::model::{
    FaultRates, Meter, ModelBlobs, ModelQueue, ModelState, Network, S3, Side, Sqs, SqsOptions,
    VirtualClock, Wire,
};

use crate::process::Role;
use crate::scenario::{Blow, BlowKind, Blows, Scenario};
use crate::script::seed_of;

/// Everything settles well within this, or something hangs.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 3600);

pub(crate) struct World {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) crawl: Arc<Sqs>,
    pub(crate) image: Arc<Sqs>,
    pub(crate) s3: Arc<S3>,
    pub(crate) network: Arc<Network>,
    pub(crate) pipes: Arc<[Pipe]>,
    pub(crate) stops: AtomicU64,
    pub(crate) coming: Mutex<BTreeMap<u64, Blow>>,
    pub(crate) blows: Mutex<Blows>,
    /// Which processes met which of them.
    pub(crate) struck: Mutex<BTreeSet<(Role, BlowKind)>>,
    /// Sentences about what a process did that it must not.
    pub(crate) problems: Mutex<Vec<String>>,
    /// Ticks under way that may still plan a run.
    pub(crate) planning: Arc<AtomicUsize>,
}

struct NoMetrics;

impl Metrics for NoMetrics {
    fn record(&self, _metric: Metric) {}
}

impl World {
    pub(crate) fn new(scenario: &Arc<Scenario>, clock: &Arc<VirtualClock>) -> Arc<Self> {
        let meter: Arc<Meter> = Arc::default();
        let queue = |visibility_s| {
            let options = SqsOptions {
                visibility: Duration::from_secs(visibility_s),
                ..SqsOptions::default()
            };
            Sqs::new(clock.clone(), &meter, options)
        };
        Arc::new(Self {
            crawl: queue(300),
            image: queue(120),
            s3: S3::new(clock.clone(), &meter),
            meter,
            network: Network::new(clock.clone(), scenario.seed, scenario.rates),
            pipes: scenario.pipes(),
            stops: AtomicU64::new(0),
            coming: Mutex::new(scenario.blows.clone()),
            blows: Mutex::default(),
            struck: Mutex::default(),
            problems: Mutex::default(),
            planning: Arc::default(),
            scenario: Arc::clone(scenario),
            clock: Arc::clone(clock),
        })
    }

    /// Plays until everything is settled and stays so when all have left;
    /// false when it never is.
    pub(crate) async fn play(self: &Arc<Self>) -> bool {
        loop {
            if !self.shift().await {
                return false;
            }
            // A slow tick may have planned something at the last moment.
            if self.is_settled() {
                return true;
            }
        }
    }

    /// The fleet comes, works until everything is settled, and leaves.
    async fn shift(self: &Arc<Self>) -> bool {
        let mut processes = JoinSet::new();
        let over = Drain::new();
        let scenario = &self.scenario;
        let mut staff = Vec::new();
        staff.extend((0..scenario.schedulers).map(|n| (Role::Scheduler, n)));
        staff.extend((0..scenario.crawlers).map(|n| (Role::Crawler, n)));
        staff.extend((0..scenario.image_workers).map(|n| (Role::ImageWorker, n)));
        for (role, slot) in staff {
            let (world, over) = (Arc::clone(self), over.clone());
            processes.spawn(async move { world.staff(role, slot, &over).await });
        }
        if scenario.pauses {
            let (world, over) = (Arc::clone(self), over.clone());
            processes.spawn(async move { world.pause_now_and_then(&over).await });
        }
        let settled = self.until_settled().await;
        over.finish();
        while let Some(ended) = processes.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        settled
    }

    pub(crate) fn stops(&self) -> u64 {
        self.stops.load(Ordering::Relaxed)
    }

    /// Ports without distance or faults, for audits.
    pub(crate) fn direct(&self) -> Ports {
        self.ports_over(&Wire::direct(self.clock.clone()), self.clock.clone())
    }

    pub(crate) fn ports_over(&self, wire: &Wire, clock: Arc<dyn Clock>) -> Ports {
        Ports {
            state: ModelState::new(&self.s3, wire),
            blobs: ModelBlobs::new(&self.s3, wire),
            crawl: ModelQueue::new(&self.crawl, wire),
            image: ModelQueue::new(&self.image, wire),
            clock,
            metrics: Arc::new(NoMetrics),
        }
    }

    /// Whether all runs of this history have a document.
    pub(crate) fn is_planned(&self) -> bool {
        let runs = self.s3.peek_keys(&format!("{}runs/", ModelState::PREFIX));
        runs.len() >= self.scenario.pipes * self.scenario.runs
    }

    /// Somebody pauses the fleet, a queue or a pipe, and resumes it.
    async fn pause_now_and_then(self: Arc<Self>, over: &Drain) {
        let ports = self.direct();
        let pauses = Pauses::new(&ports);
        let mut rng = SmallRng::seed_from_u64(seed_of(self.scenario.seed, "pauses"));
        for _ in 0..2 {
            let scope = match rng.random_range(0..4) {
                0 => PauseScope::Fleet,
                1 => PauseScope::Queue(QueueName::Crawl),
                2 => PauseScope::Queue(QueueName::Image),
                _ => PauseScope::Pipe(self.pipes[0].id.clone()),
            };
            let wait = Duration::from_secs(rng.random_range(20..600));
            let span = Duration::from_secs(rng.random_range(1..900));
            if !self.wait(wait, over).await {
                return;
            }
            pauses.pause(&scope, "for the test").await.unwrap();
            self.wait(span, over).await;
            pauses.resume(&scope).await.unwrap();
        }
    }

    /// False when everything is over.
    pub(crate) async fn wait(&self, span: Duration, over: &Drain) -> bool {
        tokio::select! {
            biased;
            () = over.wait() => false,
            () = self.clock.sleep(span) => true,
        }
    }

    async fn until_settled(&self) -> bool {
        let calm_at = Duration::from_secs(2 * 3600);
        while self.clock.monotonic() < PATIENCE {
            self.clock.sleep(Duration::from_secs(15)).await;
            let now = self.clock.monotonic();
            if now > calm_at {
                self.network.set_rates(FaultRates::default());
                self.coming.lock().unwrap().clear();
            }
            let planned = self.is_planned() && self.planning.load(Ordering::Relaxed) == 0;
            if planned && now >= self.scenario.idle && self.is_settled() {
                return true;
            }
        }
        false
    }

    /// As the audit would say, without a request.
    fn is_settled(&self) -> bool {
        let empty = |sqs: &Sqs| sqs.peek(Side::Live).total() + sqs.peek(Side::Dead).total() == 0;
        empty(&self.crawl)
            && empty(&self.image)
            && self
                .documents::<JobRecord>("jobs/")
                .all(|job| job.status.is_settled())
            && self
                .documents::<Manifest>("manifests/")
                .all(|manifest| manifest.settled)
            && self
                .documents::<Run>("runs/")
                .all(|run| run.phase.is_over())
    }

    /// Documents as they are stored now.
    pub(crate) fn documents<T: serde::de::DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> impl Iterator<Item = T> {
        let keys = self
            .s3
            .peek_keys(&format!("{}{prefix}", ModelState::PREFIX));
        keys.into_iter().map(|key| {
            let body = ModelState::peek(&self.s3, &key[ModelState::PREFIX.len()..]).unwrap();
            serde_json::from_slice(&body).unwrap()
        })
    }

    /// Job records by id, also those that were moved to the log of settled
    /// ones.
    pub(crate) fn jobs(&self) -> BTreeMap<String, JobRecord> {
        let mut jobs = BTreeMap::new();
        for key in self
            .s3
            .peek_keys(&format!("{}settled/", ModelBlobs::PREFIX))
        {
            let body = self.s3.peek(&key).unwrap();
            for line in std::str::from_utf8(&body).unwrap().lines() {
                let record: JobRecord = serde_json::from_str(line).unwrap();
                jobs.insert(record.job.to_string(), record);
            }
        }
        let records = self.documents::<JobRecord>("jobs/");
        jobs.extend(records.map(|record| (record.job.to_string(), record)));
        jobs
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn lasted(&self) -> Duration {
        self.clock.monotonic()
    }

    /// What is stored, what was asked for, and when it ended: two histories
    /// with the same digest were the same.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = DefaultHasher::new();
        for key in self.s3.peek_keys("") {
            (&key, self.s3.peek(&key)).hash(&mut hasher);
        }
        let (bill, lasted) = (self.meter.read(), self.lasted());
        format!("{:016x} after {lasted:?}, {bill}", hasher.finish())
    }
}
