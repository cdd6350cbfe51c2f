//! Pipes and hosts with dead letters, and those who redrive them.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use trawler_core::dead::{DeadLetter, Input};
use trawler_core::image::KnownImage;
use trawler_core::image_ended::given_up;
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::ports::{Clock, Metric, Metrics};
use trawler_core::{PipeId, QueueName, RunId};
use trawler_fleet::dead::{DeadLetters, RedriveBoard, RedriveOptions, RedriveReport, Selection};
use trawler_fleet::{Drain, JobsError, Pauses, Ports, manifests};

use crate::clock::VirtualClock;
use crate::queue::ThrottledQueue;
use crate::stores::Slow;
use crate::support::{Crash, MemBlobs, MemState};

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

pub(crate) struct NoMetrics;

impl Metrics for NoMetrics {
    fn record(&self, _: Metric) {}
}

/// Image jobs of many pipes that were buried: each with record, letter and the
/// result of its burial.
pub(crate) struct World {
    pub(crate) state: Arc<MemState>,
    pub(crate) queue: Arc<ThrottledQueue>,
    pub(crate) crash: Arc<Crash>,
    pub(crate) ports: Ports,
    /// Job ids by group, in order of planning.
    pub(crate) groups: BTreeMap<String, Vec<String>>,
}

pub(crate) const PIPES: usize = 50;

pub(crate) const GROUPS: usize = 400;

impl World {
    pub(crate) async fn new(jobs: usize) -> Self {
        let clock = Arc::new(VirtualClock {
            origin: Instant::now(),
        });
        let crash = Crash::never();
        let state = Arc::new(MemState::new(&crash));
        let blobs = Arc::new(MemBlobs::new(&crash));
        let queue = Arc::new(ThrottledQueue {
            sent: Mutex::default(),
            clock: clock.clone(),
            crash: crash.clone(),
        });
        let ports = Ports {
            state: Arc::new(Slow(state.clone())),
            blobs: Arc::new(Slow(blobs.clone())),
            crawl: queue.clone(),
            image: queue.clone(),
            clock: clock.clone(),
            metrics: Arc::new(NoMetrics),
        };
        let mut world = Self {
            state,
            queue,
            crash,
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

    pub(crate) fn bury(&mut self, blobs: &MemBlobs, run: &RunId, n: usize, now: DateTime<Utc>) {
        let group = ImageJob::group_of(&format!("img-{}.test", n % GROUPS), 0);
        let job = ImageJob {
            run: run.clone(),
            group: group.clone(),
            images: vec![ImageTask {
                product_id: format!("p{n}"),
                url: format!("https://img-{}.test/{n}.jpg", n % GROUPS),
                known: KnownImage::default(),
                remake: None,
            }],
        };
        // Planned in an order that is not that of the names.
        let planned = now - chrono::Duration::hours(9) + chrono::Duration::milliseconds(n as i64);
        let mut record = manifests::image_record(&job, planned);
        record.mark_sent(planned);
        record.take("d", planned);
        record.bury_unseen("the host is gone", now).unwrap();
        let letter = DeadLetter::of_job(&record, "the host is gone", Input::default(), now);
        let result = ImageResult {
            job: record.job.clone(),
            run: run.clone(),
            tried: now,
            outcomes: vec![given_up(&job.images[0], "the host is gone")],
        };
        let key = Manifest::result_key(run, &record.job);
        blobs.poke(&key, &json(&result));
        let key = DeadLetter::key(QueueName::Image, &letter.job);
        self.state.poke(&key, &json(&letter));
        self.groups.entry(group).or_default().push(letter.job);
        let key = JobRecord::key(QueueName::Image, &record.job);
        self.state.poke(&key, &json(&record));
    }

    pub(crate) async fn plan_manifest(&self, run: &RunId, jobs: u64, now: DateTime<Utc>) {
        let manifest = serde_json::json!({
            "run": run, "jobs_key": Manifest::jobs_key(run, 1), "jobs": jobs, "images": jobs,
            "written": now, "planned": jobs,
        });
        self.state.poke(&Manifest::key(run), &json(&manifest));
    }

    pub(crate) fn letters(&self) -> DeadLetters {
        DeadLetters::new(&self.ports, &Pauses::new(&self.ports))
    }

    pub(crate) async fn redrive(
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

    pub(crate) fn left(&self) -> usize {
        self.state.keys("dead/").len()
    }

    /// Every job was sent once, in the order of planning within its group.
    pub(crate) fn check_sent(&self) {
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
pub(crate) async fn sent(board: &RedriveBoard, sent: u64) {
    loop {
        let figures = board.figures();
        if figures.sent >= sent || figures.letters > 0 && figures.left() == 0 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
