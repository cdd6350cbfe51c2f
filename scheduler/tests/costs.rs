//! What a fleet's scheduler asks of an object store: listings and writes at $5
//! a million, reads at $0.40. `cargo test -p trawler-scheduler --test costs --
//! --nocapture` prints the figures.
#![allow(clippy::unwrap_used)]

#[path = "../../fleet/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use support::{Bill, TestClock, World, image_job_at, pipe, pipe_of, put_result};
use trawler_core::feed::FeedMode;
use trawler_core::job::ImageJob;
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::open_runs::OpenRuns;
use trawler_core::past::PastRun;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{Capacity, CapacityError, Clock, Completion, Headcount};
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, JobName, PipeId, QueueName, RunId};
use trawler_fleet::audit;
use trawler_fleet::{Take, manifests};
use trawler_scheduler::{PlanOptions, Scheduler, SchedulerOptions, TickReport};

const PIPES: usize = 5_000;
const DAYS: i64 = 7;
const MINUTE: Duration = Duration::from_secs(60);
/// Image jobs of one pipe, when 5,000 of them have a million.
const IMAGE_JOBS: u64 = 200;
/// Pipes whose image work is measured at once.
const IMAGE_PIPES: u64 = 5;

fn world_at(start: &str) -> World {
    World::new(TestClock::frozen(start), MINUTE)
}

fn scheduler(world: &World, pipes: usize) -> Scheduler {
    let pipes: Vec<Pipe> = (0..pipes)
        .map(|n| pipe_of(&format!("shop-{n:04}")))
        .collect();
    let options = SchedulerOptions::default();
    Scheduler::new(world.ports.clone(), pipes.into(), options)
}

/// What a tick asked for and did.
async fn tick(world: &World, ticker: &Scheduler) -> (Bill, TickReport) {
    let before = world.bill();
    let report = ticker.tick().await.unwrap();
    (world.bill() - before, report)
}

fn poke(world: &World, key: &str, document: &impl serde::Serialize) {
    world
        .state
        .poke(key, &serde_json::to_vec(document).unwrap());
}

/// A week of history: finished runs, settled manifests, logs.
fn a_week_of_history(world: &World, today: DateTime<Utc>) {
    for n in 0..PIPES {
        let id = pipe(&format!("shop-{n:04}"));
        let mut schedule = OpenRuns::none(id.clone());
        for day in 0..DAYS {
            let run = RunId::new(id.clone(), today - TimeDelta::days(day));
            schedule.begin(run.seq);
            let past = PastRun {
                ms: 600_000,
                rows: 20_000,
                image_jobs: 200,
            };
            schedule.end_as(run.seq, Some(past));
            let mut document = Run::plan(run.clone(), FeedMode::Full, run.due());
            document.phase = RunPhase::Finished;
            poke(world, &Run::key(&run), &document);
            let manifest = serde_json::json!({
                "run": run, "jobs_key": "", "jobs": 200, "images": 20_000,
                "written": run.due(), "planned": 200, "folded": 200, "settled": true,
            });
            poke(world, &Manifest::settled_key(&run), &manifest);
        }
        poke(world, &OpenRuns::key(&id), &schedule);
        poke(
            world,
            &format!("folds/{id}"),
            &serde_json::json!({"newest": 7, "done": 7}),
        );
    }
    for minute in 0..DAYS * 24 * 60 {
        let at = (today - TimeDelta::minutes(minute)).timestamp_millis();
        let key = format!("settled/image/{at:014}-0000000000000000.jsonl");
        world.blobs.poke(&key, b"");
    }
}

#[tokio::test]
async fn an_idle_tick_costs_the_same_however_long_the_history() {
    let world = world_at("2026-11-21T03:30:00Z");
    a_week_of_history(&world, "2026-11-21T03:00:00Z".parse().unwrap());
    let ticker = scheduler(&world, PIPES);
    let (cold, report) = tick(&world, &ticker).await;
    assert_eq!((report.runs_planned, &*report.problems), (0, &[][..]));
    world.clock.advance(MINUTE);
    let (idle, report) = tick(&world, &ticker).await;
    assert_eq!(report, TickReport::default());
    world.clock.advance(MINUTE * 60);
    let (prune, _) = tick(&world, &ticker).await;
    let day = idle.dollars() * 1440.0 + (prune - idle).dollars() * 24.0;
    println!("first tick {cold:?}, idle tick {idle:?}, with its prune pass {prune:?}");
    println!("an idle day of {PIPES} pipes: ${day:.3}");
    assert!(idle.lists + idle.puts <= 30 && idle.gets == 0, "{idle:?}");
    // The schedule documents, once; and the first prune pass.
    assert!(cold.gets <= PIPES as u64 + 10, "{cold:?}");
    assert!(cold.lists + cold.puts <= 120, "{cold:?}");
    assert!(
        prune.lists + prune.puts <= 120 && prune.gets <= 10,
        "{prune:?}"
    );
}

/// Two groups with so many busy machines each.
#[derive(Default)]
struct Groups {
    busy: AtomicU32,
    described: AtomicU32,
    wishes: AtomicU32,
}

#[async_trait]
impl Capacity for Groups {
    async fn want(&self, _: QueueName, _: u32) -> Result<(), CapacityError> {
        self.wishes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn headcount(&self, _: QueueName) -> Result<Headcount, CapacityError> {
        self.described.fetch_add(1, Ordering::SeqCst);
        let busy = self.busy.load(Ordering::SeqCst);
        Ok(Headcount {
            in_service: busy,
            busy,
            launched: busy,
            held: busy,
            wanted: busy,
            max: 10,
            ..Headcount::default()
        })
    }

    async fn protect(&self, _: bool) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn replace(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn complete(&self) -> Result<Completion, CapacityError> {
        Ok(Completion::NoHook)
    }
}

/// The second of two ticks: the first may prune, and notes what has changed.
async fn second_tick(world: &World, ticker: &Scheduler) -> Bill {
    tick(world, ticker).await;
    world.clock.advance(MINUTE);
    let (bill, report) = tick(world, ticker).await;
    assert_eq!(report, TickReport::default());
    bill
}

#[tokio::test]
async fn planning_costs_an_idle_tick_three_reads_a_listing_and_a_write() {
    let world = world_at("2026-11-21T03:30:00Z");
    a_week_of_history(&world, "2026-11-21T03:00:00Z".parse().unwrap());
    let bare = second_tick(&world, &scheduler(&world, PIPES)).await;
    let groups = Arc::new(Groups::default());
    let ticker = scheduler(&world, PIPES)
        .with_capacity(Arc::clone(&groups) as Arc<dyn Capacity>)
        .with_planning(PlanOptions::default());
    for (what, hours, busy, lists, puts) in [
        ("nothing is due for a day", 0, 0, 0, 0),
        // The pauses.
        ("runs are due tonight", 13, 0, 1, 0),
        // And the record.
        ("machines are there", 0, 2, 1, 1),
    ] {
        world.clock.advance(MINUTE * 60 * hours);
        groups.busy.store(busy, Ordering::SeqCst);
        let described = groups.described.load(Ordering::SeqCst);
        let bill = second_tick(&world, &ticker).await - bare;
        let described = groups.described.load(Ordering::SeqCst) - described;
        println!("planning, when {what}: {bill:?}");
        let gets = 3;
        assert_eq!(bill, Bill { puts, lists, gets }, "{what}");
        // Of two ticks, for the plan and for the figures.
        assert_eq!(described, 2 * 2 * 2, "{what}");
    }
    assert_eq!(groups.wishes.load(Ordering::SeqCst), 0);
}

async fn take(world: &World, queue: QueueName, job: &JobId) -> u64 {
    let sends = world.record(queue, job).sends - 1;
    let taken = world
        .ports
        .jobs()
        .take(queue, &format!("{job}:{sends}"), "d")
        .await
        .unwrap();
    let Take::Work(taken) = taken else {
        panic!("{job} is open");
    };
    taken.epoch
}

async fn settle(world: &World, queue: QueueName, job: &JobId, epoch: u64) {
    let now = world.clock.now();
    let settle = world.ports.jobs();
    let settle = settle.transition("settle", queue, job, |record| {
        record.settle(epoch, JobStatus::Done, "", now)
    });
    settle.await.unwrap();
}

/// What the crawler writes of a run: five changes of the run's document.
async fn collect(world: &World, run: &RunId) {
    let documents = world.ports.documents();
    for phase in [
        RunPhase::Collecting,
        RunPhase::Committing,
        RunPhase::Committed,
        RunPhase::Finished,
    ] {
        let change = |run: &mut Run| run.phase = phase;
        documents.change(&Run::key(run), change).await.unwrap();
    }
    let committed = |run: &mut Run| run.version = Some(1);
    documents.change(&Run::key(run), committed).await.unwrap();
}

#[tokio::test]
async fn a_day_of_an_unchanged_pipe_costs_a_dozen_writes() {
    const RUNS: u64 = 100;
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, RUNS as usize);
    let before = world.bill();
    assert_eq!(ticker.tick().await.unwrap().runs_planned, RUNS);
    world.clock.advance(MINUTE);
    ticker.tick().await.unwrap();
    for n in 0..RUNS {
        let run = RunId::new(
            pipe(&format!("shop-{n:04}")),
            "2026-11-21T03:00:00Z".parse().unwrap(),
        );
        let job = JobId::from(&run);
        let epoch = take(&world, QueueName::Crawl, &job).await;
        collect(&world, &run).await;
        let writer = manifests::ManifestWriter::new(&world.ports, &run, 1);
        writer.finish().await.unwrap();
        settle(&world, QueueName::Crawl, &job, epoch).await;
    }
    world.clock.advance(MINUTE);
    assert_eq!(ticker.tick().await.unwrap().records_taken, RUNS);
    let bill = world.bill() - before;
    println!("{RUNS} unchanged runs of their own pipe: {bill:?}");
    println!(
        "a run: ${:.6}; 5,000 a day: ${:.2}",
        bill.dollars() / RUNS as f64,
        bill.dollars() / RUNS as f64 * 5_000.0
    );
    assert!(bill.puts <= RUNS * 13, "{bill:?}");
    assert!(bill.gets <= RUNS * 25, "{bill:?}");
    assert!(
        bill.lists <= RUNS + 40,
        "the first look at each pipe: {bill:?}"
    );
    world.crawl.lose_all();
    assert!(audit(&world.ports).await.unwrap().is_settled());
}

/// A finished run with image jobs to send.
async fn with_images(world: &World, pipe: PipeId) -> Vec<ImageJob> {
    let run = RunId::new(pipe, "2026-11-21T03:00:00Z".parse().unwrap());
    let mut document = Run::plan(run.clone(), FeedMode::Full, run.due());
    document.phase = RunPhase::Finished;
    poke(world, &Run::key(&run), &document);
    let host = format!("{}.test", run.pipe);
    let jobs: Vec<ImageJob> = (0..IMAGE_JOBS)
        .map(|n| image_job_at(&run, &host, n))
        .collect();
    manifests::write(&world.ports, &run, 1, &jobs)
        .await
        .unwrap();
    jobs
}

#[tokio::test]
async fn an_image_job_costs_four_writes() {
    let world = world_at("2026-11-21T04:00:00Z");
    let ticker = scheduler(&world, 0);
    ticker.tick().await.unwrap();
    let before = world.bill();
    let mut jobs = Vec::new();
    for n in 0..IMAGE_PIPES {
        jobs.extend(with_images(&world, pipe(&format!("shop-{n:04}"))).await);
    }
    let all = jobs.len() as u64;
    assert_eq!(ticker.tick().await.unwrap().image_jobs_sent, all);
    let mut epochs = Vec::new();
    for job in &jobs {
        epochs.push(take(&world, QueueName::Image, &job.id()).await);
    }
    world.clock.advance(MINUTE);
    ticker.tick().await.unwrap();
    for (job, epoch) in jobs.iter().zip(epochs) {
        // As the image worker does: is there a result, and a checkpoint?
        let key = Manifest::result_key(&job.run, &job.id());
        assert!(world.ports.blobs.head(&key).await.unwrap().is_none());
        let documents = world.ports.documents();
        let key = format!("checkpoints/image/{}", job.id());
        assert!(documents.get::<u32>(&key).await.unwrap().is_none());
        put_result(&world, job).await;
        settle(&world, QueueName::Image, &job.id(), epoch).await;
    }
    world.clock.advance(MINUTE);
    assert_eq!(ticker.tick().await.unwrap().folds_planned, IMAGE_PIPES);
    for n in 0..IMAGE_PIPES {
        let pipe = pipe(&format!("shop-{n:04}"));
        let fold = JobName::fold_id(&pipe, 1);
        let epoch = take(&world, QueueName::Crawl, &fold).await;
        let documents = world.ports.documents();
        let open = manifests::unsettled_of(&documents, &pipe).await.unwrap();
        for manifest in open {
            let keys = manifests::result_keys(&world.ports, &manifest.run, None, usize::MAX);
            for key in keys.await.unwrap() {
                manifests::read_result(&world.ports, &key).await.unwrap();
            }
            let now = world.clock.now();
            manifests::note_fold(&documents, &manifest.run, IMAGE_JOBS, now)
                .await
                .unwrap();
        }
        settle(&world, QueueName::Crawl, &fold, epoch).await;
    }
    for _ in 0..2 {
        world.clock.advance(MINUTE);
        ticker.tick().await.unwrap();
    }
    let bill = world.bill() - before;
    let each = |count: u64| count as f64 / all as f64;
    println!("{all} image jobs of {IMAGE_PIPES} pipes, fold and aftercare included: {bill:?}");
    println!(
        "a job: {:.2} writes, {:.3} listings, {:.2} reads; a million: ${:.2}",
        each(bill.puts),
        each(bill.lists),
        each(bill.gets),
        bill.dollars() / all as f64 * 1e6
    );
    assert!(each(bill.puts + bill.lists) <= 4.25, "{bill:?}");
    assert!(each(bill.gets) <= 14.0, "{bill:?}");
    assert_eq!(world.state.keys("jobs/"), [""; 0]);
    assert_eq!(world.state.keys("manifests/"), [""; 0]);
    world.crawl.lose_all();
    world.image.lose_all();
    let audited = audit(&world.ports).await.unwrap();
    assert!(audited.is_settled(), "{audited:?}");
    assert_eq!(audited.count(JobStatus::Done), 2 * IMAGE_PIPES + all);
}
