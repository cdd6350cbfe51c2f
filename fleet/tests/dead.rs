//! Burial, redrive and purge against behaving ports with faults.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use support::{TestClock, World, image_job_at, pipe, until};
use trawler_core::dead::{DeadLetter, Input};
use trawler_core::feed::FeedMode;
use trawler_core::image::{ImageOutcome, ImageStatus};
use trawler_core::image_ended::given_up;
use trawler_core::job::{CrawlJob, ImageJob};
use trawler_core::job_log::LOG_BYTES_MAX;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::pause::PauseScope;
use trawler_core::ports::{Blobs, Clock, Lease, Queue};
use trawler_core::run::{Run, RunPhase};
use trawler_core::verdict::{Ending, Failure, RetryPolicy};
use trawler_core::{QueueName, RunId};
use trawler_fleet::dead::{
    Backup, DeadLetters, RedriveBoard, RedriveOptions, RedriveReport, Selection, Stopped,
};
use trawler_fleet::{
    Drain, Handler, JobContext, JobsError, Pauses, TakenJob, Worker, WorkerOptions, manifests,
};

const V: Duration = Duration::from_secs(60);

fn world() -> World {
    World::new(TestClock::flowing("2026-11-21T03:00:00Z"), V)
}

fn run(name: &str, hour: u32) -> RunId {
    RunId::parse(&format!("{name}@2026-11-20T{hour:02}:00:00.000Z")).unwrap()
}

/// Seeds of one test.
struct Seeds<'a> {
    world: &'a World,
    planned: DateTime<Utc>,
}

impl Seeds<'_> {
    fn letters(&self) -> DeadLetters {
        DeadLetters::new(&self.world.ports, &Pauses::new(&self.world.ports))
    }

    async fn redrive(&self) -> Result<RedriveReport, JobsError> {
        let options = RedriveOptions {
            requests_per_s: 10_000,
            by: "a test".to_owned(),
            ..RedriveOptions::default()
        };
        let board = RedriveBoard::default();
        self.letters()
            .redrive(&Selection::default(), &options, &Drain::new(), &board)
            .await
    }

    fn poke(&self, key: &str, value: &impl serde::Serialize) {
        let bytes = serde_json::to_vec(value).unwrap();
        self.world.state.poke(key, &bytes);
    }

    fn run(&self, id: &RunId, mode: FeedMode, phase: RunPhase) {
        let document = Run {
            phase,
            ..Run::plan(id.clone(), mode, self.planned)
        };
        self.poke(&Run::key(id), &document);
    }

    /// A job that was sent, worked on once and buried.
    fn bury(&self, mut record: JobRecord) -> String {
        record.mark_sent(self.planned);
        record.take("d", self.planned);
        record
            .bury_unseen("the host is gone", self.planned)
            .unwrap();
        let letter =
            DeadLetter::of_job(&record, "the host is gone", Input::default(), self.planned);
        self.poke(&JobRecord::key(record.queue, &record.job), &record);
        self.poke(&DeadLetter::key(record.queue, &letter.job), &letter);
        letter.job
    }

    fn bury_crawl(&self, job: &CrawlJob) -> String {
        let record = JobRecord::plan(
            job.id(),
            QueueName::Crawl,
            job.pipe().clone(),
            job.group(),
            job.encode(),
            self.planned,
        );
        self.bury(record)
    }

    fn bury_run(&self, id: &RunId, mode: FeedMode) -> String {
        self.run(id, mode, RunPhase::Failed);
        self.bury_crawl(&CrawlJob::Collect { run: id.clone() })
    }

    fn image_job(id: &RunId, n: usize) -> ImageJob {
        image_job_at(id, "img.test", n as u64)
    }

    /// With a result whose image ended like this.
    async fn bury_images(&self, job: &ImageJob, status: ImageStatus) -> String {
        let result = ImageResult {
            job: job.id(),
            run: job.run.clone(),
            tried: self.planned,
            outcomes: vec![ImageOutcome {
                status,
                ..given_up(&job.images[0], "")
            }],
        };
        manifests::put_result(&self.world.ports, &result)
            .await
            .unwrap();
        self.bury(manifests::image_record(job, self.planned))
    }

    fn manifest(&self, id: &RunId, jobs: u64) {
        let manifest = serde_json::json!({
            "run": id, "jobs_key": Manifest::jobs_key(id, 1), "jobs": jobs, "images": jobs,
            "written": self.planned, "planned": jobs,
        });
        self.poke(&Manifest::key(id), &manifest);
    }

    fn status(&self, queue: QueueName, job: &str) -> JobStatus {
        self.world.record(queue, &job.parse().unwrap()).status
    }

    fn phase(&self, id: &RunId) -> RunPhase {
        let bytes = self.world.state.peek(&Run::key(id)).unwrap();
        serde_json::from_slice::<Run>(&bytes).unwrap().phase
    }
}

fn seeds(world: &World) -> Seeds<'_> {
    Seeds {
        world,
        planned: world.clock.now() - chrono::Duration::hours(1),
    }
}

#[tokio::test]
async fn superseded_and_duplicate_work_is_settled_with_a_note() {
    use FeedMode::{Full, Summary};
    let world = world();
    let seeds = seeds(&world);
    // A later full run is in the catalogue: nothing of this is needed.
    let old = [run("a", 1), run("a", 2)];
    seeds.bury_run(&old[0], Full);
    seeds.bury_run(&old[1], Summary);
    seeds.run(&run("a", 3), Full, RunPhase::Finished);
    seeds.run(&run("a", 4), Summary, RunPhase::Finished);
    // Of two dead ones the newer full one does it all; the summary after it
    // is needed besides.
    let two = [run("b", 1), run("b", 2), run("b", 3)];
    for (id, mode) in two.iter().zip([Summary, Full, Summary]) {
        seeds.bury_run(id, mode);
    }
    // A complete summary run stands for nothing.
    let alone = run("c", 1);
    seeds.bury_run(&alone, Full);
    seeds.run(&run("c", 2), Summary, RunPhase::Finished);
    // Folds.
    let fold = |fold| CrawlJob::Fold {
        pipe: pipe("a"),
        fold,
    };
    let folds = [seeds.bury_crawl(&fold(1)), seeds.bury_crawl(&fold(2))];
    // Images: given up, done after all, of a superseded run, folded.
    let of = Seeds::image_job;
    seeds.manifest(&alone, 2);
    let lost = seeds
        .bury_images(&of(&alone, 0), ImageStatus::Unreachable)
        .await;
    let done = seeds.bury_images(&of(&alone, 1), ImageStatus::Stored).await;
    let past = run("d", 1);
    seeds.run(&past, Full, RunPhase::Superseded);
    seeds.manifest(&past, 1);
    let stale = seeds
        .bury_images(&of(&past, 0), ImageStatus::Unreachable)
        .await;
    let folded = seeds
        .bury_images(&of(&run("e", 1), 0), ImageStatus::Unreachable)
        .await;

    let report = seeds.redrive().await.unwrap();
    let notes: BTreeMap<&str, &str> = report
        .coalesced
        .iter()
        .map(|one| (one.job.as_str(), one.by.as_str()))
        .collect();
    let check = |job: &str, expected: &str| {
        assert!(notes[job].contains(expected), "{job}: {}", notes[job]);
    };
    for id in &old {
        check(&id.to_string(), "a@2026-11-20T03:00:00.000Z");
        assert_eq!(seeds.phase(id), RunPhase::Superseded);
    }
    check(&two[0].to_string(), "redriven with it");
    check(&folds[0], "a#images@2");
    check(&done, "its own result");
    check(&stale, "is superseded");
    check(&folded, "the next run of the pipe");
    assert_eq!(notes.len(), 7, "{notes:#?}");
    assert_eq!((report.figures.coalesced, report.figures.sent), (7, 5));
    for job in notes.keys() {
        let queue = QueueName::ALL
            .into_iter()
            .find(|queue| {
                let key = JobRecord::key(*queue, &job.parse().unwrap());
                world.state.peek(&key).is_some()
            })
            .unwrap();
        assert_eq!(seeds.status(queue, job), JobStatus::Superseded, "{job}");
    }
    let sent = world.crawl.sent.lock().unwrap().clone();
    let jobs: Vec<String> = sent.iter().map(|id| id.replace(":1", "")).collect();
    let at = |job: &str| jobs.iter().position(|sent| sent == job).unwrap();
    assert!(
        at(&two[1].to_string()) < at(&two[2].to_string()),
        "in order"
    );
    at(&alone.to_string());
    at(&folds[1]);
    assert_eq!(jobs.len(), 4);
    assert_eq!(seeds.phase(&alone), RunPhase::Planned);
    assert_eq!(*world.image.sent.lock().unwrap(), [format!("{lost}:1")]);
    // The result of the burial would tell the worker that all is done.
    let key = Manifest::result_key(&alone, &lost.parse().unwrap());
    assert_eq!(world.blobs.head(&key).await.unwrap(), None);
    assert!(world.state.keys("dead/").is_empty());
}

#[tokio::test]
async fn a_redrive_that_dies_anywhere_sends_each_job_once() {
    let mut writes = 0;
    loop {
        let world = world();
        let seeds = seeds(&world);
        let mut expected = Vec::new();
        for name in ["a", "b"] {
            seeds.bury_run(&run(name, 1), FeedMode::Summary);
            seeds.bury_run(&run(name, 2), FeedMode::Full);
            expected.push(run(name, 2).to_string());
        }
        let (a, b) = (run("x", 1), run("x", 2));
        seeds.manifest(&a, 3);
        for n in 0..3 {
            let job = Seeds::image_job(&a, n);
            let job = seeds.bury_images(&job, ImageStatus::Unreachable).await;
            expected.push(job);
        }
        let job = Seeds::image_job(&b, 0);
        seeds.bury_images(&job, ImageStatus::Unreachable).await;
        let strange = strange_letter(seeds.planned);
        seeds.poke(&DeadLetter::key(QueueName::Crawl, &strange.job), &strange);

        world.crash.after_writes(writes);
        let first = seeds.redrive().await;
        world.crash.restart();
        let is_last = first.is_ok();
        let again = seeds.redrive().await.unwrap();
        assert_eq!(again.figures.refused, 1, "what names no job stays");
        assert_eq!(world.state.keys("dead/").len(), 1, "{writes}");
        expected.sort();
        let mut queued = Vec::new();
        for queue in [&world.crawl, &world.image] {
            while let Some(lease) = next(queue).await {
                let (job, sends) = lease.dedup_id.rsplit_once(':').unwrap();
                assert_eq!(sends, "1", "{writes}");
                queued.push(job.to_owned());
                queue.ack(lease).await.unwrap();
            }
        }
        queued.sort();
        assert_eq!(queued, expected, "{writes}");
        for backup in seeds.letters().backups().await.unwrap() {
            if backup.complete {
                let mut csv = Vec::new();
                let written = seeds.letters().write_backup(&backup, &mut csv).await;
                written.unwrap();
                let lines = csv::Reader::from_reader(csv.as_slice()).records().count();
                assert_eq!(lines as u64, backup.letters);
            }
        }
        if is_last {
            assert!(writes > 30, "{writes}");
            return;
        }
        writes += 1;
    }
}

fn strange_letter(now: DateTime<Utc>) -> DeadLetter {
    let lease = Lease {
        message_id: "m 1/2".to_owned(),
        group: "g".to_owned(),
        dedup_id: "who is this".to_owned(),
        body: "hello".to_owned(),
        receive_count: 1,
        receipt: String::new(),
        buried: None,
    };
    DeadLetter::of_message(QueueName::Crawl, &lease, "nobody knows it", now)
}

async fn next(queue: &Arc<support::MemQueue>) -> Option<Lease> {
    queue.receive(1, Duration::ZERO).await.unwrap().pop()
}

#[tokio::test]
async fn a_letter_that_is_older_than_the_ledger_is_taken_away_and_nothing_sent() {
    let world = world();
    let seeds = seeds(&world);
    let id = run("a", 1);
    let job = seeds.bury_run(&id, FeedMode::Full);
    let key = DeadLetter::key(QueueName::Crawl, &job);
    let letter = world.state.peek(&key).unwrap();
    assert_eq!(seeds.redrive().await.unwrap().figures.sent, 1);
    let jobs = world.ports.jobs();
    let name = job.parse().unwrap();
    // Taken by a worker since: in its hands, and then given back.
    jobs.take(QueueName::Crawl, &format!("{job}:1"), "d1")
        .await
        .unwrap();
    world.state.poke(&key, &letter);
    let report = seeds.redrive().await.unwrap();
    assert!(report.refused[0].reason.contains("in hand"), "{report:?}");
    assert!(world.state.peek(&key).is_some());
    let now = world.clock.now();
    let back = |record: &mut JobRecord| record.hand_back(record.epoch, now);
    jobs.transition("test", QueueName::Crawl, &name, back)
        .await
        .unwrap();
    let report = seeds.redrive().await.unwrap();
    assert_eq!((report.figures.outdated, report.figures.sent), (1, 0));
    assert!(world.state.peek(&key).is_none());
    // Buried anew while the redrive was about to take the letter away.
    assert_eq!(world.crawl.len(), 1, "sent once in all");
}

#[tokio::test]
async fn a_message_that_the_queue_refuses_stays_a_dead_letter() {
    let world = world();
    let seeds = seeds(&world);
    let job = seeds.bury_run(&run("a", 1), FeedMode::Full);
    // Once in its batch and once alone.
    let id = format!("{job}:1");
    world.crawl.refuse_once.lock().unwrap().insert(id.clone());
    let report = seeds.redrive().await.unwrap();
    assert_eq!(report.figures.refused, 1, "{report:?}");
    assert_eq!(seeds.status(QueueName::Crawl, &job), JobStatus::Dead);
    assert_eq!(world.state.keys("dead/").len(), 1);
    assert_eq!(seeds.redrive().await.unwrap().figures.sent, 1);
}

#[tokio::test]
async fn a_paused_fleet_redrives_nothing_and_purges_nothing() {
    let world = world();
    let seeds = seeds(&world);
    seeds.bury_run(&run("a", 1), FeedMode::Full);
    let pauses = Pauses::new(&world.ports);
    pauses.pause(&PauseScope::Fleet, "moving").await.unwrap();
    let report = seeds.redrive().await.unwrap();
    assert_eq!(
        report.stopped,
        Some(Stopped::Paused("the fleet".to_owned()))
    );
    assert!(report.backups.is_empty());
    assert_eq!(world.state.keys("dead/").len(), 1);
}

#[tokio::test]
async fn a_purge_backs_up_and_notes_who_and_when() {
    let world = world();
    let seeds = seeds(&world);
    let job = seeds.bury_run(&run("a", 1), FeedMode::Full);
    let strange = strange_letter(seeds.planned);
    seeds.poke(&DeadLetter::key(QueueName::Crawl, &strange.job), &strange);
    let purge = |backup| {
        let letters = seeds.letters();
        async move {
            let (all, drain) = (Selection::default(), Drain::new());
            letters.purge(&all, "ann", backup, &drain).await.unwrap()
        }
    };
    let report = purge(Backup::First).await;
    assert_eq!(report.purged, 2);
    assert_eq!(report.backups[0].letters, 2);
    let record = world.record(QueueName::Crawl, &job.parse().unwrap());
    assert_eq!(record.purged.unwrap().by, "ann");
    assert_eq!(record.status, JobStatus::Dead);
    assert!(world.state.keys("dead/").is_empty());
    assert!(purge(Backup::No).await.backups.is_empty());
    let listed = seeds.letters().backups().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].by.as_str(), listed[0].complete), ("ann", true));
    let body: Bytes = world.blobs.get(&listed[0].file, None).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.starts_with("job,queue,pipe,group,reason"), "{text}");
    assert!(text.contains("nobody knows it"), "{text}");
}

/// Says what it does, and fails.
struct Talkative;

#[async_trait]
impl Handler for Talkative {
    fn queue(&self) -> QueueName {
        QueueName::Crawl
    }

    async fn handle(&self, job: &TakenJob, ctx: &JobContext) -> Ending {
        for n in 0..40 {
            ctx.note(&format!("page {n} of {}: {}", job.epoch, "x".repeat(50)));
        }
        ctx.progress("rows", 3, Some(9));
        let n = job.record.attempts + 1;
        Ending::Failed(Failure::transient(format!("the {n}. time\nit broke")))
    }

    async fn before_bury(&self, _: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_failure_buries_with_reason_input_and_log() {
    let world = world();
    let job = CrawlJob::Collect { run: run("a", 1) };
    let record = JobRecord::plan(
        job.id(),
        QueueName::Crawl,
        pipe("a"),
        job.group(),
        job.encode(),
        world.clock.now(),
    );
    world
        .ports
        .jobs()
        .plan_and_send(vec![record])
        .await
        .unwrap();
    let options = WorkerOptions {
        receive_wait: Duration::from_millis(20),
        retry: RetryPolicy {
            attempts_max: 3,
            crashes_max: 3,
            backoff_base_ms: 5,
            backoff_max_ms: 10,
        },
        ..WorkerOptions::default()
    };
    let drain = Drain::new();
    let pauses = Pauses::new(&world.ports);
    let worker = Worker::new(
        &world.ports,
        Arc::new(Talkative),
        options,
        pauses,
        drain.clone(),
    );
    let running = tokio::spawn(async move { worker.run().await });
    until("it is buried", || !world.state.keys("dead/").is_empty()).await;
    until("its message is gone", || world.crawl.len() == 0).await;
    drain.finish();
    assert_eq!(running.await.unwrap().buried, 1);
    let letters = world.ports.jobs().dead_letters(QueueName::Crawl).await;
    let letter = &letters.unwrap()[0];
    assert!(letter.reason.contains("the 3. time"), "{}", letter.reason);
    assert_eq!(letter.attempts, 3);
    assert_eq!(letter.input.facts["run"], run("a", 1).to_string());
    assert!(letter.input.words.starts_with("collect run a@"));
    assert!(letter.first_failure.unwrap() < letter.last_failure.unwrap());
    let log = letter.log.lines();
    let bytes: usize = log.iter().map(|line| line.len() + 1).sum();
    assert!(
        bytes <= LOG_BYTES_MAX && bytes > LOG_BYTES_MAX / 2,
        "{bytes}"
    );
    let last = log.last().unwrap();
    assert!(
        last.contains("attempt 3 failed: the 3. time it broke"),
        "{last}"
    );
    assert!(
        log[log.len() - 2].contains("got as far as rows 3 of 9"),
        "{log:#?}"
    );
    assert!(log.iter().any(|line| line.contains("page 39 of 3")));
    // The record keeps the same, for the next life of the job.
    assert_eq!(world.record(QueueName::Crawl, &job.id()).log, letter.log);
}
