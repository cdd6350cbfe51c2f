//! Drain, pause and the bounds of work at once.

use std::sync::Arc;
use std::time::Duration;

use trawler_core::image::OutputFormat;
use trawler_core::job::ImageJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::pause::PauseScope;
use trawler_core::ports::Notice;
use trawler_core::verdict::{Ending, RetryPolicy};
use trawler_core::{JobId, QueueName};
use trawler_fleet::{Pauses, Worker, WorkerOptions, WorkerReport, manifests};
use trawler_shop::{Fault, Rule};

use crate::bench::{STORED, path, status};
use crate::world::*;

#[tokio::test]
async fn a_drain_takes_the_job_back_within_a_step_and_blames_no_image() {
    let world = Arc::new(World::start(shop_of(6)).await);
    let tasks = world.tasks(0);
    // All that is left hangs when the drain comes.
    for task in &tasks[2..] {
        world
            .shop
            .misbehave(path(task), Fault::Delay(Duration::from_secs(60)));
    }
    let job = world.job(0, tasks);
    let delivery = {
        let (world, job) = (Arc::clone(&world), job.clone());
        tokio::spawn(async move { world.deliver(&job, ATTEMPTS_MAX - 1).await })
    };
    until("four requests hang", || {
        let stats = world.shop.stats().image;
        stats.in_flight == 4 && world.counted().images_stored == 4
    })
    .await;
    world.drain.request(Notice::SpotInterruption);
    let ending = tokio::time::timeout(Duration::from_secs(5), delivery).await;
    assert_eq!(ending.unwrap().unwrap(), Ending::HandedBack);
    assert!(world.result(&job).await.is_none());
}

#[tokio::test]
async fn a_paused_pipe_asks_for_nothing() {
    let world = World::start(shop_of(3)).await;
    let job = world.job(0, world.tasks(0));
    let pauses = Pauses::new(&world.ports);
    let scope = PauseScope::Pipe(world.pipe.id.clone());
    pauses.pause(&scope, "maintenance").await.unwrap();
    assert_eq!(world.deliver(&job, 0).await, Ending::Paused);
    assert_eq!(world.requests(), 0);
    pauses.resume(&scope).await.unwrap();
    assert_eq!(world.deliver(&job, 0).await, Ending::Done);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_pause_is_seen_between_two_images() {
    let mut world = World::start(shop_of(60)).await;
    world.fetches = 1;
    // Longer in all than a worker may go on without looking at the flag.
    world
        .shop
        .misbehave("/img/", Fault::Delay(Duration::from_millis(100)));
    let world = Arc::new(world);
    let job = world.job(0, world.tasks(0));
    let delivery = {
        let (world, job) = (Arc::clone(&world), job.clone());
        tokio::spawn(async move { world.deliver(&job, 0).await })
    };
    until("the job is under way", || world.requests() > 0).await;
    let pauses = Pauses::new(&world.ports);
    pauses.pause(&PauseScope::Fleet, "upgrade").await.unwrap();
    assert_eq!(delivery.await.unwrap(), Ending::Paused);
    assert!(world.requests() < 60, "{}", world.requests());
    assert!(world.result(&job).await.is_none());
}

#[tokio::test]
async fn fetches_at_once_are_the_smaller_of_both_bounds() {
    for (fetches, concurrency, expected) in [(2, 64, 2), (8, 3, 3), (0, 4, 1)] {
        let mut world = World::start(shop_of(9)).await;
        world.fetches = fetches;
        world.pipe.fetch.concurrency = concurrency;
        let slow = Fault::Delay(Duration::from_millis(60));
        world.shop.misbehave("/img/", slow);
        let outcomes = world.done(&world.job(0, world.tasks(0))).await;
        assert_eq!(statuses(&outcomes), [STORED; 9]);
        let at_once = world.shop.stats().image.in_flight_max;
        assert_eq!(at_once, expected, "{fetches} and {concurrency}");
        world.shop.stop().await;
    }
}

async fn record(world: &World, job: &JobId) -> JobRecord {
    let found = world.ports.jobs().find(QueueName::Image, job).await;
    found.unwrap().unwrap()
}

#[tokio::test]
async fn a_worker_of_the_fleet_takes_jobs_to_their_results() {
    let world = Arc::new(World::start(shop_of(12)).await);
    let tasks = world.tasks(0);
    world
        .shop
        .misbehave_by(Rule::new(path(&tasks[1]), status(503)).first(1));
    let jobs: Vec<ImageJob> = tasks
        .chunks(4)
        .map(|images| world.job(0, images.to_vec()))
        .collect();
    let ledger = world.ports.jobs();
    let now = world.ports.clock.now();
    let records = jobs.iter().map(|job| manifests::image_record(job, now));
    ledger.plan_and_send(records.collect()).await.unwrap();

    let options = WorkerOptions {
        slots: 2,
        receive_wait: Duration::from_secs(1),
        retry: RetryPolicy {
            backoff_base_ms: 1,
            ..RetryPolicy::default()
        },
        ..WorkerOptions::default()
    };
    let worker = Worker::new(
        &world.ports,
        Arc::new(world.worker()),
        options,
        Pauses::new(&world.ports),
        world.drain.clone(),
    );
    let working = tokio::spawn(async move { worker.run().await });
    until("all jobs are done", || {
        world.counted().jobs_settled[&QueueName::Image].get("done") == Some(&3)
    })
    .await;
    world.drain.finish();
    let report: WorkerReport = working.await.unwrap();
    assert_eq!((report.done, report.retried), (3, 1), "{report:?}");
    for job in &jobs {
        let outcomes = world.result(job).await.unwrap().outcomes;
        assert_eq!(statuses(&outcomes), [STORED; 4]);
        assert_eq!(record(&world, &job.id()).await.status, JobStatus::Done);
        let formats = outcomes.iter().flat_map(|outcome| &outcome.variants);
        let extensions = [OutputFormat::Jpeg, OutputFormat::Webp].map(OutputFormat::extension);
        for (variant, extension) in formats.zip(extensions.into_iter().cycle()) {
            assert!(variant.key.ends_with(extension), "{}", variant.key);
        }
    }
    assert_eq!(world.requests(), 13);
    let left = world
        .ports
        .state
        .list("checkpoints/", None, 10)
        .await
        .unwrap();
    assert!(left.is_empty(), "{} checkpoints are left", left.len());
}
