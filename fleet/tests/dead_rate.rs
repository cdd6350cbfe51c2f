//! A hundred thousand dead letters against a queue that takes 300 requests a
//! second and a store that takes 10 ms for everything, in virtual time.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use trawler_core::dead::{DeadLetter, Input};
use trawler_core::image::KnownImage;
use trawler_core::image_ended::given_up;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::pause::PauseScope;
use trawler_core::ports::{
    BlobEntry, BlobError, BlobMeta, Blobs, Clock, Depth, Lease, Metric, Metrics, Outgoing, Put,
    Queue, QueueError, SendError, State, StateEntry, StateError, Version, Versioned,
};
use trawler_core::{PipeId, QueueName, RunId};
use trawler_fleet::dead::{
    DeadLetters, REQUESTS_PER_S, RedriveBoard, RedriveFigures, RedriveOptions, RedriveReport,
    Selection, Stopped,
};
use trawler_fleet::{Drain, JobsError, Pauses, Ports, manifests};

const STATE_LATENCY: Duration = Duration::from_millis(10);
const QUEUE_LATENCY: Duration = Duration::from_millis(20);
const DEDUP: Duration = Duration::from_secs(5 * 60);

/// What the queue takes at once beyond its rate.
const BURST: f64 = 30.0;

/// The clock of tokio, which tests pause.
struct VirtualClock {
    origin: Instant,
}

impl VirtualClock {
    fn epoch() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-11-21T03:00:00Z")
            .unwrap()
            .to_utc()
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        Self::epoch() + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        sleep(span).await;
    }
}

/// Dies at a write, with every port of the process.
struct Life {
    writes_left: AtomicI64,
}

impl Life {
    fn write(&self) -> bool {
        self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0
    }

    fn is_over(&self) -> bool {
        self.writes_left.load(Ordering::SeqCst) <= 0
    }
}

struct SlowState {
    documents: Mutex<BTreeMap<String, (u64, Vec<u8>)>>,
    versions: AtomicU64,
    life: Arc<Life>,
}

impl SlowState {
    fn poke(&self, key: String, value: &impl serde::Serialize) {
        let version = self.versions.fetch_add(1, Ordering::SeqCst);
        let bytes = serde_json::to_vec(value).unwrap();
        self.documents.lock().unwrap().insert(key, (version, bytes));
    }

    fn count(&self, prefix: &str) -> usize {
        let documents = self.documents.lock().unwrap();
        documents
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .count()
    }

    fn over(verb: &'static str, key: &str) -> StateError {
        StateError::Refused {
            verb,
            key: key.to_owned(),
            reason: "the process is dead".to_owned(),
        }
    }

    async fn write(
        &self,
        verb: &'static str,
        key: &str,
        expected: Option<&Version>,
        value: Option<&[u8]>,
    ) -> Result<Version, StateError> {
        sleep(STATE_LATENCY).await;
        if !self.life.write() {
            return Err(Self::over(verb, key));
        }
        let mut documents = self.documents.lock().unwrap();
        let found = documents.get(key).map(|(version, _)| version.to_string());
        if found.as_deref() != expected.map(|version| version.0.as_str()) {
            let key = key.to_owned();
            return Err(StateError::Conflict { verb, key });
        }
        let version = self.versions.fetch_add(1, Ordering::SeqCst);
        match value {
            Some(value) => documents.insert(key.to_owned(), (version, value.to_vec())),
            None => documents.remove(key),
        };
        Ok(Version(version.to_string()))
    }
}

#[async_trait]
impl State for SlowState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        sleep(STATE_LATENCY).await;
        if self.life.is_over() {
            return Err(Self::over("read", key));
        }
        let documents = self.documents.lock().unwrap();
        Ok(documents.get(key).map(|(version, value)| Versioned {
            value: value.clone(),
            version: Version(version.to_string()),
        }))
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.write("create", key, None, Some(value)).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        self.write("replace", key, Some(expected), Some(value))
            .await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.write("delete", key, Some(expected), None).await?;
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        sleep(STATE_LATENCY).await;
        let documents = self.documents.lock().unwrap();
        let from = after.map_or(prefix, |after| after.max(prefix));
        let found = documents
            .range(from.to_owned()..)
            .filter(|(key, _)| Some(key.as_str()) != after)
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, (version, _))| StateEntry {
                key: key.clone(),
                version: Version(version.to_string()),
            });
        Ok(found.collect())
    }
}

struct SlowBlobs {
    objects: Mutex<HashMap<String, Bytes>>,
    life: Arc<Life>,
}

impl SlowBlobs {
    fn over(verb: &'static str, key: &str) -> BlobError {
        BlobError::Refused {
            verb,
            key: key.to_owned(),
            reason: "the process is dead".to_owned(),
        }
    }
}

#[async_trait]
impl Blobs for SlowBlobs {
    async fn put(&self, key: &str, body: Bytes, _: BlobMeta) -> Result<Put, BlobError> {
        sleep(STATE_LATENCY).await;
        if !self.life.write() {
            return Err(Self::over("put", key));
        }
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Ok(Put::Existed);
        }
        objects.insert(key.to_owned(), body);
        Ok(Put::Created)
    }

    async fn get(&self, key: &str, _: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        sleep(STATE_LATENCY).await;
        if self.life.is_over() {
            return Err(Self::over("get", key));
        }
        let objects = self.objects.lock().unwrap();
        objects
            .get(key)
            .cloned()
            .ok_or_else(|| BlobError::NotFound {
                verb: "get",
                key: key.to_owned(),
            })
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, BlobError> {
        sleep(STATE_LATENCY).await;
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(key).map(|body| body.len() as u64))
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<BlobEntry>, BlobError> {
        Ok(Vec::new())
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        sleep(STATE_LATENCY).await;
        if !self.life.write() {
            return Err(Self::over("delete", &keys.join(" ")));
        }
        let mut objects = self.objects.lock().unwrap();
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Sent {
    tokens: f64,
    refilled: Duration,
    seen: HashMap<String, Duration>,
    /// Messages that were accepted and not swallowed, in order.
    messages: Vec<Outgoing>,
    requests: u64,
    throttled: u64,
}

/// Takes [`REQUESTS_PER_S`] requests a second and throttles the rest.
struct ThrottledQueue {
    sent: Mutex<Sent>,
    clock: Arc<VirtualClock>,
    life: Arc<Life>,
}

impl ThrottledQueue {
    fn take_token(&self, sent: &mut Sent) -> bool {
        let now = self.clock.monotonic();
        let passed = (now - sent.refilled).as_secs_f64();
        sent.refilled = now;
        sent.tokens = (sent.tokens + passed * f64::from(REQUESTS_PER_S)).min(BURST);
        sent.requests += 1;
        if sent.tokens < 1.0 {
            sent.throttled += 1;
            return false;
        }
        sent.tokens -= 1.0;
        true
    }
}

#[async_trait]
impl Queue for ThrottledQueue {
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError> {
        assert!((1..=10).contains(&batch.len()));
        {
            let mut sent = self.sent.lock().unwrap();
            if !self.life.write() {
                return Err(QueueError::Refused {
                    verb: "send",
                    reason: "the process is dead".to_owned(),
                });
            }
            if !self.take_token(&mut sent) {
                return Err(QueueError::Unavailable {
                    verb: "send",
                    source: "throttled".into(),
                });
            }
            let now = self.clock.monotonic();
            for message in batch {
                let repeated = sent
                    .seen
                    .get(&message.dedup_id)
                    .is_some_and(|at| now - *at < DEDUP);
                if !repeated {
                    sent.seen.insert(message.dedup_id.clone(), now);
                    sent.messages.push(message.clone());
                }
            }
        }
        sleep(QUEUE_LATENCY).await;
        Ok(Vec::new())
    }

    async fn receive(&self, _: usize, _: Duration) -> Result<Vec<Lease>, QueueError> {
        Ok(Vec::new())
    }

    async fn extend(&self, _: &Lease, _: Duration) -> Result<(), QueueError> {
        Ok(())
    }

    async fn ack(&self, _: Lease) -> Result<(), QueueError> {
        Ok(())
    }

    async fn release(&self, _: Lease, _: Duration) -> Result<(), QueueError> {
        Ok(())
    }

    async fn bury(&self, _: Lease, _: &str) -> Result<(), QueueError> {
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }

    async fn receive_dead(&self, _: usize) -> Result<Vec<Lease>, QueueError> {
        Ok(Vec::new())
    }

    async fn ack_dead(&self, _: Lease) -> Result<(), QueueError> {
        Ok(())
    }

    fn visibility(&self) -> Duration {
        Duration::from_secs(120)
    }
}

struct NoMetrics;

impl Metrics for NoMetrics {
    fn record(&self, _: Metric) {}
}

/// Image jobs of many pipes that were buried: each with record, letter and the
/// result of its burial.
struct World {
    state: Arc<SlowState>,
    queue: Arc<ThrottledQueue>,
    life: Arc<Life>,
    ports: Ports,
    /// Job ids by group, in order of planning.
    groups: BTreeMap<String, Vec<String>>,
}

const PIPES: usize = 50;
const GROUPS: usize = 400;

impl World {
    async fn new(jobs: usize) -> Self {
        let clock = Arc::new(VirtualClock {
            origin: Instant::now(),
        });
        let life = Arc::new(Life {
            writes_left: AtomicI64::new(i64::MAX),
        });
        let state = Arc::new(SlowState {
            documents: Mutex::default(),
            versions: AtomicU64::new(1),
            life: life.clone(),
        });
        let blobs = Arc::new(SlowBlobs {
            objects: Mutex::default(),
            life: life.clone(),
        });
        let queue = Arc::new(ThrottledQueue {
            sent: Mutex::default(),
            clock: clock.clone(),
            life: life.clone(),
        });
        let ports = Ports {
            state: state.clone(),
            blobs: blobs.clone(),
            crawl: queue.clone(),
            image: queue.clone(),
            clock: clock.clone(),
            metrics: Arc::new(NoMetrics),
        };
        let mut world = Self {
            state,
            queue,
            life,
            ports,
            groups: BTreeMap::new(),
        };
        let now = clock.now();
        let runs: Vec<RunId> = (0..PIPES)
            .map(|n| RunId::new(PipeId::parse(&format!("pipe-{n}")).unwrap(), now))
            .collect();
        for n in 0..jobs {
            world.bury(&blobs, &runs[n % PIPES], n, now);
        }
        for run in &runs {
            world
                .plan_manifest(run, (jobs / PIPES) as u64 + 1, now)
                .await;
        }
        world
    }

    fn bury(&mut self, blobs: &SlowBlobs, run: &RunId, n: usize, now: DateTime<Utc>) {
        let group = ImageJob::group_of(&format!("img-{}.test", n % GROUPS), 0);
        let job = ImageJob {
            run: run.clone(),
            group: group.clone(),
            images: vec![ImageTask {
                product_id: format!("p{n}"),
                url: format!("https://img-{}.test/{n}.jpg", n % GROUPS),
                known: KnownImage::default(),
            }],
        };
        // Planned in an order that is not that of the names.
        let planned = now - chrono::Duration::hours(9) + chrono::Duration::milliseconds(n as i64);
        let mut record = manifests::image_record(&job, planned);
        record.mark_sent(planned);
        record.take(planned);
        record.bury_unseen("the host is gone", now).unwrap();
        let letter = DeadLetter::of_job(&record, "the host is gone", Input::default(), now);
        let result = ImageResult {
            job: record.job.clone(),
            run: run.clone(),
            tried: now,
            outcomes: vec![given_up(&job.images[0], "the host is gone")],
        };
        let key = Manifest::result_key(run, &record.job);
        let body = Bytes::from(serde_json::to_vec(&result).unwrap());
        blobs.objects.lock().unwrap().insert(key, body);
        self.state
            .poke(DeadLetter::key(QueueName::Image, &letter.job), &letter);
        self.groups.entry(group).or_default().push(letter.job);
        self.state
            .poke(JobRecord::key(QueueName::Image, &record.job), &record);
    }

    async fn plan_manifest(&self, run: &RunId, jobs: u64, now: DateTime<Utc>) {
        let manifest = serde_json::json!({
            "run": run, "jobs_key": Manifest::jobs_key(run, 1), "jobs": jobs, "images": jobs,
            "written": now, "planned": jobs,
        });
        self.state.poke(Manifest::key(run), &manifest);
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::new(&self.ports, &Pauses::new(&self.ports))
    }

    async fn redrive(
        &self,
        drain: &Drain,
        board: &RedriveBoard,
    ) -> Result<RedriveReport, JobsError> {
        self.letters()
            .redrive(
                &Selection::default(),
                &RedriveOptions::default(),
                drain,
                board,
            )
            .await
    }

    fn left(&self) -> usize {
        self.state.count("dead/")
    }

    /// Every job was sent once, in the order of planning within its group.
    fn check_sent(&self) {
        let sent = self.queue.sent.lock().unwrap();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for message in &sent.messages {
            let job = message.dedup_id.rsplit_once(':').unwrap().0.to_owned();
            found.entry(message.group.clone()).or_default().push(job);
        }
        assert_eq!(found, self.groups);
        let bodies: HashSet<&str> = sent.messages.iter().map(|m| m.body.as_str()).collect();
        assert_eq!(bodies.len(), sent.messages.len());
    }
}

/// Waits until so many were sent, or everything.
async fn sent(board: &RedriveBoard, sent: u64) {
    loop {
        let figures = board.figures();
        if figures.sent >= sent || figures.letters > 0 && figures.left() == 0 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn letters_are_redriven_as_fast_as_the_queue_takes_them() {
    const LETTERS: u64 = 15_000;
    let world = World::new(LETTERS as usize).await;
    let began = Instant::now();
    let report = world
        .redrive(&Drain::new(), &RedriveBoard::default())
        .await
        .unwrap();
    let took = began.elapsed();
    let throttled = world.queue.sent.lock().unwrap().throttled;
    let requests = report.figures.requests;
    println!(
        "{LETTERS} letters: {took:?} of virtual time, {requests} requests, {throttled} throttled"
    );
    let expected = RedriveFigures {
        letters: LETTERS,
        sent: LETTERS,
        requests,
        ..RedriveFigures::default()
    };
    assert_eq!(report.figures, expected);
    assert!(requests <= LETTERS / 10 + 20, "{requests}");
    // Ten messages a request, and the backup and the last letters besides.
    let at_best = Duration::from_secs(LETTERS / 10 / u64::from(REQUESTS_PER_S));
    assert!(took <= at_best + Duration::from_secs(5), "{took:?}");
    assert_eq!(world.left(), 0);
    world.check_sent();
    let backup = &report.backups[0];
    assert!(backup.complete && backup.letters == LETTERS, "{backup:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_letters_are_redriven_within_a_minute() {
    const LETTERS: u64 = 100_000;
    const PART: u64 = LETTERS / 5;
    let real = std::time::Instant::now();
    let world = World::new(LETTERS as usize).await;
    let (pauses, drain) = (Pauses::new(&world.ports), Drain::new());
    let began = Instant::now();
    // Paused: it ends in good order, and does not begin again until resumed.
    let board = RedriveBoard::default();
    let scope = PauseScope::Queue(QueueName::Image);
    let pause = async {
        sent(&board, PART).await;
        pauses.pause(&scope, "wait").await.unwrap();
    };
    let (report, ()) = tokio::join!(world.redrive(&drain, &board), pause);
    let report = report.unwrap();
    assert!(matches!(report.stopped, Some(Stopped::Paused(_))));
    assert_eq!(report.figures.left(), world.left() as u64);
    let refused = world
        .redrive(&drain, &RedriveBoard::default())
        .await
        .unwrap();
    assert!(matches!(refused.stopped, Some(Stopped::Paused(_))));
    assert_eq!(refused.figures.sent, 0);
    pauses.resume(&scope).await.unwrap();
    // Dead at a write.
    let board = RedriveBoard::default();
    let kill = async {
        sent(&board, PART).await;
        world.life.writes_left.store(77, Ordering::SeqCst);
    };
    let (report, ()) = tokio::join!(world.redrive(&drain, &board), kill);
    report.unwrap_err();
    world.life.writes_left.store(i64::MAX, Ordering::SeqCst);
    // Told to leave.
    let board = RedriveBoard::default();
    let leave = async {
        sent(&board, PART).await;
        drain.finish();
    };
    let (report, ()) = tokio::join!(world.redrive(&drain, &board), leave);
    assert_eq!(report.unwrap().stopped, Some(Stopped::Drain));
    assert!(world.left() > 0);
    // And to its end.
    let report = world.redrive(&Drain::new(), &RedriveBoard::default()).await;
    assert_eq!(report.unwrap().stopped, None);
    let took = began.elapsed();
    let (requests, throttled) = {
        let sent = world.queue.sent.lock().unwrap();
        (sent.requests, sent.throttled)
    };
    println!(
        "{LETTERS} letters, interrupted three times: {took:?} of virtual time, {requests} requests, {throttled} throttled; {:?} of real time",
        real.elapsed()
    );
    assert_eq!(world.left(), 0);
    world.check_sent();
    assert!(took <= Duration::from_secs(60), "{took:?}");
}
