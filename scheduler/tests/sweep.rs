//! The sweep of the backstop dead-letter queue: what lies there becomes dead
//! letters that say why.
#![allow(clippy::unwrap_used)]

#[path = "../../fleet/tests/support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use support::{TestClock, World, pipe};
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage};
use trawler_core::image_ended::{EndedImages, given_up};
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::Manifest;
use trawler_core::ports::Queue;
use trawler_core::{JobId, QueueName, RunId};
use trawler_fleet::{Drain, JobContext, Pipes, Take, manifests};
use trawler_scheduler::{Scheduler, SchedulerOptions};

const START: &str = "2026-11-21T03:00:00Z";
const CRAWL: QueueName = QueueName::Crawl;
const IMAGE: QueueName = QueueName::Image;

fn scheduler(world: &World) -> Scheduler {
    let pipes = Pipes::from(Vec::new());
    Scheduler::new(world.ports.clone(), pipes, SchedulerOptions::default())
}

fn crawl_record(name: &str, now: DateTime<Utc>) -> JobRecord {
    let (job, group) = (JobId::parse(name).unwrap(), name.to_owned());
    JobRecord::plan(job, CRAWL, pipe(name), group, "{}".to_owned(), now)
}

fn task(n: usize) -> ImageTask {
    ImageTask {
        product_id: format!("p{n}"),
        url: format!("https://img.test/{n}.jpg"),
        known: KnownImage::default(),
        remake: None,
    }
}

#[tokio::test]
async fn a_swept_image_job_keeps_what_it_had_stored_and_why_it_was_buried() {
    let clock = TestClock::frozen(START);
    let world = World::new(clock, Duration::from_secs(60));
    let job = ImageJob {
        run: RunId::parse("shop@2026-11-21T02:00:00.000Z").unwrap(),
        group: ImageJob::group_of("img.test", 0),
        images: vec![task(0), task(1)],
    };
    // Another job of the run is still out, so that its results stay.
    let manifest = serde_json::json!({
        "run": job.run, "jobs_key": Manifest::jobs_key(&job.run, 1), "jobs": 2, "images": 3,
        "written": "2026-11-21T02:00:00Z", "planned": 2,
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    world.state.poke(&Manifest::key(&job.run), &manifest);
    let jobs = world.ports.jobs();
    let now = world.ports.clock.now();
    let record = manifests::image_record(&job, now);
    jobs.plan_and_send(vec![record.clone()]).await.unwrap();
    let lease = world.image.receive(1, Duration::ZERO).await.unwrap();
    let lease = lease.into_iter().next().unwrap();
    let Take::Work(taken) = jobs
        .take(IMAGE, &lease.dedup_id, &lease.delivery())
        .await
        .unwrap()
    else {
        panic!("it is open");
    };
    // It stored one image, and then the queue got it back with a word.
    let stored = ImageOutcome {
        status: ImageStatus::Stored,
        ..given_up(&job.images[1], "")
    };
    let mut ended = EndedImages::default();
    ended.insert(&job.images, &[1], &stored);
    let ctx = JobContext::unleased(&world.ports, &taken, &Drain::new());
    ctx.save_checkpoint(&ended).await.unwrap();
    world
        .image
        .bury(lease, "no worker can read it")
        .await
        .unwrap();

    let report = scheduler(&world).tick_without_planning().await.unwrap();
    assert_eq!(report.dead_swept, 1);
    let letters = jobs.dead_letters(IMAGE).await.unwrap();
    let letter = &letters[0];
    assert_eq!(letter.reason, "buried in the queue: no worker can read it");
    assert!(letter.input.words.contains("2 image(s)"), "{letter:?}");
    assert_eq!(letter.last_failure, Some(now));
    let stands = world.record(IMAGE, &record.job);
    assert_eq!(stands.status, JobStatus::Dead);
    assert_eq!(letter.epoch, stands.epoch, "a later delivery is beyond it");
    let key = Manifest::result_key(&job.run, &record.job);
    let result = manifests::read_result(&world.ports, &key).await.unwrap();
    let statuses: Vec<ImageStatus> = result.outcomes.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [ImageStatus::Unreachable, ImageStatus::Stored]);
}

/// A message of another fleet, or a right that is missing, is told; parked jobs
/// of both queues go on.
#[tokio::test]
async fn a_dead_letter_queue_that_cannot_be_swept_holds_up_nothing_else() {
    let world = World::new(TestClock::frozen(START), Duration::from_secs(60));
    let (jobs, now) = (world.ports.jobs(), world.ports.clock.now());
    let record = crawl_record("parked", now);
    jobs.plan_and_send(vec![record.clone()]).await.unwrap();
    let lease = world.crawl.receive(1, Duration::ZERO).await.unwrap();
    let (dedup_id, delivery) = (&lease[0].dedup_id, lease[0].delivery());
    jobs.take(CRAWL, dedup_id, &delivery).await.unwrap();
    let park = |record: &mut JobRecord| record.park(1, now, "busy", now);
    jobs.transition("park", CRAWL, &record.job, park)
        .await
        .unwrap();
    world.crawl.foreign_dead.store(1, Ordering::SeqCst);
    let report = scheduler(&world).tick_without_planning().await.unwrap();
    assert_eq!(report.jobs_unparked, 1);
    let problem = "sweep the dead-letter queue of the crawl queue: receive_dead: \
                   a message of another fleet is among it";
    assert_eq!(report.problems, [problem]);
}

/// A record that nobody can read keeps its message in the dead-letter queue;
/// what lies behind it is swept.
#[tokio::test]
async fn a_message_that_cannot_be_buried_holds_up_no_other() {
    let world = World::new(TestClock::frozen(START), Duration::from_secs(60));
    let (jobs, now) = (world.ports.jobs(), world.ports.clock.now());
    let records = ["broken", "whole"].map(|name| crawl_record(name, now));
    jobs.plan_and_send(records.to_vec()).await.unwrap();
    world.crawl.exhaust();
    let key = JobRecord::key(CRAWL, &records[0].job);
    world.state.poke(&key, b"{half");
    let report = scheduler(&world).tick_without_planning().await.unwrap();
    assert_eq!(report.dead_swept, 1);
    assert!(
        report.problems.iter().any(|problem| problem.contains(&key)),
        "{:?}",
        report.problems
    );
    assert_eq!(world.record(CRAWL, &records[1].job).status, JobStatus::Dead);
    // Mended, it is swept when its visibility is over.
    let mended = serde_json::to_vec(&records[0]).unwrap();
    world.state.poke(&key, &mended);
    world.clock.advance(Duration::from_secs(61));
    let report = scheduler(&world).tick_without_planning().await.unwrap();
    assert_eq!((report.dead_swept, report.problems.len()), (1, 0));
}
