//! One fleet on the strict model: its processes, what befalls them, and the
//! calm in which everything has to come to its end.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::Manifest;
use trawler_core::pause::PauseScope;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{Clock, Metric, Metrics, Notice};
use trawler_core::run::Run;
use trawler_core::{JobId, PipeId, QueueName};
use trawler_fleet::{Drain, Pauses, Pipes, Ports, Worker, WorkerOptions};
use trawler_scheduler::{Scheduler, SchedulerOptions};
use trawler_tests::model::{
    FaultRates, Life, LifeClock, Meter, ModelBlobs, ModelQueue, ModelState, Network, S3, Side, Sqs,
    SqsOptions, VirtualClock, Wire,
};

use crate::crawl::Crawl;
use crate::images::Images;
use crate::script::{Script, seed_of};

/// A run of each pipe is due every so many minutes.
const RUN_EVERY_MIN: u64 = 10;

/// Everything settles well within this, or something hangs.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 3600);

/// Invariant 9, for a process that is neither frozen nor cut off: 25 s, and
/// the latency of its last calls.
const EXIT_MAX: Duration = Duration::from_secs(26);

/// What befalls a process at one of its stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Kill,
    /// SIGSTOP, and SIGCONT after so long.
    Freeze(Duration),
    /// Reaches nothing for so long.
    Cut(Duration),
    /// Told to leave, and killed after the lead if it is still there.
    Notice(Duration),
}

/// What is played.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) pipes: usize,
    /// Runs of each pipe.
    pub(crate) runs: usize,
    pub(crate) crawlers: usize,
    pub(crate) image_workers: usize,
    pub(crate) schedulers: usize,
    pub(crate) slots: usize,
    /// Whether jobs have troubles of their own.
    pub(crate) troubled: bool,
    pub(crate) rates: FaultRates,
    /// By the number of the stop, counted over all processes.
    pub(crate) blows: BTreeMap<u64, Blow>,
    /// Whether somebody pauses things now and then.
    pub(crate) pauses: bool,
    /// Breaks the commit rule on purpose.
    pub(crate) careless: bool,
    /// Every job does this, instead of what the seed says.
    pub(crate) script: Option<Script>,
    pub(crate) images_a_job: usize,
    pub(crate) image_hosts: usize,
    /// How long the fleet stays at least.
    pub(crate) idle: Duration,
    /// Different pictures; several products may show one.
    pub(crate) pictures: u32,
}

impl Scenario {
    /// A small fleet without any disturbance.
    pub(crate) fn calm(seed: u64) -> Self {
        Self {
            seed,
            pipes: 1,
            runs: 2,
            crawlers: 2,
            image_workers: 1,
            schedulers: 1,
            slots: 2,
            troubled: false,
            rates: FaultRates::default(),
            blows: BTreeMap::new(),
            pauses: false,
            careless: false,
            script: None,
            images_a_job: 2,
            image_hosts: 1,
            pictures: 7,
            idle: Duration::ZERO,
        }
    }

    pub(crate) fn script(&self, job: &JobId) -> Script {
        if let Some(script) = &self.script {
            return script.clone();
        }
        Script::of(self.seed, job.as_str(), self.troubled)
    }

    fn pipes(&self) -> Arc<[Pipe]> {
        let text = format!(
            r#"
            source = {{ kind = "file", path = "feed.tsv" }}
            feed = {{ format = "google-tsv", mode = "full" }}
            schedule = {{ cron = "*/{RUN_EVERY_MIN} * * * *" }}
            "#
        );
        let pipe: Pipe = toml::from_str(&text).unwrap();
        (0..self.pipes)
            .map(|n| Pipe {
                id: PipeId::parse(&format!("shop{n}")).unwrap(),
                ..pipe.clone()
            })
            .collect()
    }
}

/// What has befallen the fleet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Blows {
    pub(crate) kills: u64,
    pub(crate) freezes: u64,
    pub(crate) cuts: u64,
    pub(crate) notices: u64,
}

pub(crate) struct World {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) crawl: Arc<Sqs>,
    pub(crate) image: Arc<Sqs>,
    pub(crate) s3: Arc<S3>,
    network: Arc<Network>,
    pipes: Arc<[Pipe]>,
    stops: AtomicU64,
    coming: Mutex<BTreeMap<u64, Blow>>,
    pub(crate) blows: Mutex<Blows>,
    /// Sentences about what a process did that it must not.
    pub(crate) problems: Mutex<Vec<String>>,
    /// Ticks under way that may still plan a run.
    planning: Arc<AtomicUsize>,
}

/// A tick that may plan a run, until it ends or its process does.
struct Planning(Arc<AtomicUsize>);

impl Planning {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Planning {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct NoMetrics;

impl Metrics for NoMetrics {
    fn record(&self, _metric: Metric) {}
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Crawler,
    ImageWorker,
    Scheduler,
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
            s3: S3::new(&meter),
            meter,
            network: Network::new(clock.clone(), scenario.seed, scenario.rates),
            pipes: scenario.pipes(),
            stops: AtomicU64::new(0),
            coming: Mutex::new(scenario.blows.clone()),
            blows: Mutex::default(),
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

    fn ports_over(&self, wire: &Wire, clock: Arc<dyn Clock>) -> Ports {
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
    fn is_planned(&self) -> bool {
        let runs = self.s3.peek_keys(&format!("{}runs/", ModelState::PREFIX));
        runs.len() >= self.scenario.pipes * self.scenario.runs
    }

    /// Keeps one place filled: whoever dies or leaves is followed by another.
    async fn staff(self: Arc<Self>, role: Role, slot: usize, over: &Drain) {
        let name = format!("{role:?} {slot}");
        let mut rng = SmallRng::seed_from_u64(seed_of(self.scenario.seed, &name));
        while !over.requested() {
            self.live(role, &name, &mut rng, over).await;
            let pause = Duration::from_millis(rng.random_range(1_000..30_000));
            self.wait(pause, over).await;
        }
    }

    /// One process, from its start to its end.
    async fn live(self: &Arc<Self>, role: Role, name: &str, rng: &mut SmallRng, over: &Drain) {
        let (drain, told) = (Drain::new(), Arc::new(Told::default()));
        let life = {
            let (world, drain, told) = (Arc::clone(self), drain.clone(), Arc::clone(&told));
            Life::watched(self.clock.clone(), move |life| {
                world.at_stop(life, &drain, &told);
            })
        };
        let skew = chrono::Duration::milliseconds(rng.random_range(-2_000..=2_000));
        let clock = LifeClock::new(&life, skew);
        let ports = self.ports_over(&Wire::new(&self.network, &life), clock);
        let mut process = JoinSet::new();
        let (world, of_process) = (Arc::clone(self), Arc::clone(&life));
        process.spawn({
            let drain = drain.clone();
            async move { world.run(role, &ports, &of_process, &drain).await }
        });
        tokio::select! {
            biased;
            () = life.death() => {}
            joined = process.join_next() => {
                if let Some(Err(error)) = joined {
                    std::panic::resume_unwind(error.into_panic());
                }
                self.judge_exit(name, &told);
            }
            () = over.wait() => {
                drain.finish();
                tokio::select! {
                    biased;
                    () = life.death() => {}
                    _ = process.join_next() => {}
                }
            }
            () = self.after_notice(&told, &drain) => {}
        }
        // Nothing of it goes on, wherever it is.
        life.kill();
        process.shutdown().await;
    }

    /// Returns when the lead of a notice is over.
    async fn after_notice(&self, told: &Told, drain: &Drain) {
        drain.wait().await;
        let lead = told.lead();
        self.clock.sleep(lead).await;
    }

    fn judge_exit(&self, name: &str, told: &Told) {
        let quiet = self.scenario.rates == FaultRates::default();
        let Some(noticed) = told.alone_at() else {
            return;
        };
        let took = self.clock.monotonic().saturating_sub(noticed);
        if quiet && took > EXIT_MAX {
            let mut problems = self.problems.lock().unwrap();
            problems.push(format!("{name} took {took:?} to leave"));
        }
    }

    async fn run(&self, role: Role, ports: &Ports, life: &Arc<Life>, drain: &Drain) {
        let options = WorkerOptions {
            slots: self.scenario.slots,
            ..WorkerOptions::default()
        };
        let pauses = Pauses::new(ports);
        match role {
            Role::Crawler => {
                let handler = Arc::new(Crawl::new(&self.scenario, ports, life));
                let worker = Worker::new(ports, handler, options, pauses, drain.clone());
                worker.run().await;
            }
            Role::ImageWorker => {
                let handler = Arc::new(Images::new(&self.scenario, ports, life));
                let worker = Worker::new(ports, handler, options, pauses, drain.clone());
                worker.run().await;
            }
            Role::Scheduler => self.schedule(ports, drain).await,
        }
    }

    async fn schedule(&self, ports: &Ports, drain: &Drain) {
        let options = SchedulerOptions::default();
        let every = options.tick_every;
        let scheduler = Scheduler::new(ports.clone(), Pipes::from(self.pipes.to_vec()), options);
        while !drain.requested() {
            // A tick that fails is tried again, as in `Scheduler::run`.
            if self.is_planned() {
                let _ = scheduler.tick_without_planning().await;
            } else {
                let _planning = Planning::begin(&self.planning);
                let _ = scheduler.tick().await;
            }
            tokio::select! {
                biased;
                () = drain.wait() => {}
                () = ports.clock.sleep(every) => {}
            }
        }
    }

    fn at_stop(&self, life: &Life, drain: &Drain, told: &Told) {
        if life.is_dead() {
            return;
        }
        let number = self.stops.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(blow) = self.coming.lock().unwrap().remove(&number) else {
            return;
        };
        let mut blows = self.blows.lock().unwrap();
        match blow {
            Blow::Kill => {
                blows.kills += 1;
                life.kill();
            }
            Blow::Freeze(span) => {
                blows.freezes += 1;
                told.disturb();
                life.freeze(span);
            }
            Blow::Cut(span) => {
                blows.cuts += 1;
                told.disturb();
                life.cut(span);
            }
            Blow::Notice(lead) => {
                blows.notices += 1;
                told.notice(self.clock.monotonic(), lead);
                drain.request(Notice::SpotInterruption);
            }
        }
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
    async fn wait(&self, span: Duration, over: &Drain) -> bool {
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
            && self.documents::<JobRecord>("jobs/").all(|job| job.status.is_settled())
            && self.documents::<Manifest>("manifests/").all(|manifest| {
                manifest.settled
            })
            && self.documents::<Run>("runs/").all(|run| run.phase.is_over())
    }

    /// Documents as they are stored now.
    pub(crate) fn documents<T: serde::de::DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> impl Iterator<Item = T> {
        let keys = self.s3.peek_keys(&format!("{}{prefix}", ModelState::PREFIX));
        keys.into_iter().map(|key| {
            let body = ModelState::peek(&self.s3, &key[ModelState::PREFIX.len()..]).unwrap();
            serde_json::from_slice(&body).unwrap()
        })
    }

    /// Job records by id, also those that were moved to the log of settled
    /// ones.
    pub(crate) fn jobs(&self) -> BTreeMap<String, JobRecord> {
        let mut jobs = BTreeMap::new();
        for key in self.s3.peek_keys(&format!("{}settled/", ModelBlobs::PREFIX)) {
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

/// What one process was told and what else befell it.
#[derive(Default)]
struct Told {
    inner: Mutex<Notified>,
}

#[derive(Default)]
struct Notified {
    at: Option<Duration>,
    lead: Duration,
    disturbed: bool,
}

impl Told {
    fn notice(&self, at: Duration, lead: Duration) {
        let mut inner = self.inner.lock().unwrap();
        inner.at.get_or_insert(at);
        inner.lead = lead;
    }

    fn disturb(&self) {
        self.inner.lock().unwrap().disturbed = true;
    }

    fn lead(&self) -> Duration {
        self.inner.lock().unwrap().lead
    }

    /// When it was told to leave, if nothing else befell it.
    fn alone_at(&self) -> Option<Duration> {
        let inner = self.inner.lock().unwrap();
        inner.at.filter(|_| !inner.disturbed)
    }
}
