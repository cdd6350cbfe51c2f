//! A scheduler on a frozen clock, and what workers would have done.

use std::time::Duration;

use trawler_core::dead::{DeadLetter, Input};
use trawler_core::job::ImageJob;
use trawler_core::ledger::JobStatus;
use trawler_core::pipe::Pipe;
use trawler_core::ports::Clock;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, QueueName, RunId};
use trawler_fleet::Take;
use trawler_fleet::manifests::{self, Windows};
use trawler_scheduler::{Scheduler, SchedulerOptions};

use crate::support::{TestClock, World, image_job_at, pipe_of, put_result};

pub(crate) const V: Duration = Duration::from_secs(60);

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) const CRAWL: QueueName = QueueName::Crawl;

pub(crate) const IMAGE: QueueName = QueueName::Image;

pub(crate) fn daily() -> Pipe {
    pipe_of("shop")
}

pub(crate) fn world_at(start: &str) -> World {
    World::new(TestClock::frozen(start), V)
}

pub(crate) fn scheduler(world: &World, pipes: &[Pipe]) -> Scheduler {
    let options = SchedulerOptions {
        windows: Windows {
            host: 3,
            queue: 100,
        },
        ..SchedulerOptions::default()
    };
    Scheduler::new(world.ports.clone(), pipes.to_vec().into(), options)
}

pub(crate) fn runs(world: &World) -> Vec<Run> {
    let keys = world.state.keys("runs/");
    let read = |key: &String| serde_json::from_slice(&world.state.peek(key).unwrap()).unwrap();
    keys.iter().map(read).collect()
}

pub(crate) fn run_ids(world: &World) -> Vec<String> {
    runs(world).iter().map(|run| run.id.to_string()).collect()
}

/// Takes the job's newest message from the queue and settles the job.
pub(crate) async fn settle(world: &World, queue: QueueName, job: &JobId, status: JobStatus) {
    let jobs = world.ports.jobs();
    let sends = world.record(queue, job).sends - 1;
    let Take::Work(taken) = jobs
        .take(queue, &format!("{job}:{sends}"), "d")
        .await
        .unwrap()
    else {
        panic!("{job} is not open");
    };
    jobs.transition("settle", queue, job, |record| {
        record.settle(taken.epoch, status, "so it is", record.planned)
    })
    .await
    .unwrap();
}

/// Writes the dead letter of a dead job.
pub(crate) async fn bury(world: &World, queue: QueueName, job: &JobId) {
    let (record, now) = (world.record(queue, job), world.clock.now());
    let letter = DeadLetter::of_job(&record, "so it is", Input::default(), now);
    let key = DeadLetter::key(queue, job.as_str());
    world.ports.documents().put(&key, &letter).await.unwrap();
}

pub(crate) async fn finish_run(world: &World, run: &RunId) {
    let documents = world.ports.documents();
    documents
        .change(&Run::key(run), |run: &mut Run| {
            run.phase = RunPhase::Finished
        })
        .await
        .unwrap();
    settle(world, CRAWL, &JobId::from(run), JobStatus::Done).await;
}

pub(crate) async fn park(world: &World, job: &JobId, wait: Duration, reason: &str) {
    let jobs = world.ports.jobs();
    let sends = world.record(CRAWL, job).sends - 1;
    let Take::Work(taken) = jobs
        .take(CRAWL, &format!("{job}:{sends}"), "d")
        .await
        .unwrap()
    else {
        panic!("{job} is not open");
    };
    world.crawl.lose_all();
    let (now, due) = (world.clock.now(), world.clock.now() + wait);
    jobs.transition("park", CRAWL, job, |record| {
        record.park(taken.epoch, due, reason, now)
    })
    .await
    .unwrap();
}

pub(crate) fn image_job(run: &RunId, n: usize) -> ImageJob {
    image_job_at(run, "img.test", n as u64)
}

/// A finished run with a manifest of so many image jobs.
pub(crate) async fn with_images(
    world: &World,
    ticker: &Scheduler,
    count: usize,
) -> (RunId, Vec<ImageJob>) {
    ticker.tick().await.unwrap();
    let run = runs(world)[0].id.clone();
    finish_run(world, &run).await;
    world.crawl.lose_all();
    let jobs: Vec<_> = (0..count).map(|n| image_job(&run, n)).collect();
    manifests::write(&world.ports, &run, 1, &jobs)
        .await
        .unwrap();
    (run, jobs)
}

pub(crate) async fn finish_image(world: &World, job: &ImageJob) {
    put_result(world, job).await;
    settle(world, IMAGE, &job.id(), JobStatus::Done).await;
}
