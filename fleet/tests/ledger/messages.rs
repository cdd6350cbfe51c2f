//! Records and their messages: refused, unrecorded, lost, redriven.

use std::time::Duration;

use trawler_core::QueueName;
use trawler_core::ledger::JobStatus;
use trawler_core::ports::Clock;
use trawler_fleet::Take;
use trawler_fleet::manifests;

use crate::bench::{image_job, record, world};

#[tokio::test]
async fn messages_that_a_batch_refused_are_sent_one_by_one() {
    let world = world();
    let records: Vec<_> = (0..23)
        .map(|n| record(&world, &format!("job-{n:02}")))
        .collect();
    for refused in ["job-03:0", "job-19:0"] {
        world
            .crawl
            .refuse_once
            .lock()
            .unwrap()
            .insert(refused.to_owned());
    }
    let jobs = world.ports.jobs();
    let report = jobs.plan_and_send(records).await.unwrap();
    assert_eq!((report.sent, report.unsent.len()), (23, 0));
    assert_eq!(world.crawl.len(), 23);
    let listed = jobs.list(QueueName::Crawl).await.unwrap();
    assert!(
        listed
            .iter()
            .all(|record| record.sends == 1 && !record.needs_send())
    );
}

#[tokio::test]
async fn a_message_taken_before_its_send_was_recorded_gets_a_new_id_next() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned = record(&world, "job");
    jobs.plan(&planned).await.unwrap();
    // The sender dies after the queue took the message.
    world.crawl.put("job", "job:0", "{}");
    let Take::Work(taken) = jobs.take(QueueName::Crawl, "job:0", "d").await.unwrap() else {
        panic!("it is open");
    };
    let now = world.clock.now();
    let parked = jobs.transition("park", QueueName::Crawl, &planned.job, |record| {
        record.park(taken.epoch, now, "later", now)
    });
    parked.await.unwrap();
    jobs.unpark(QueueName::Crawl, &planned.job).await.unwrap();
    assert_eq!(*world.crawl.sent.lock().unwrap(), ["job:1"]);
}

#[tokio::test]
async fn a_lost_job_is_sent_again_and_a_seen_one_is_not() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned = record(&world, "job");
    jobs.plan_and_send(vec![planned.clone()]).await.unwrap();
    let day = chrono::Duration::hours(24);
    let resend = || jobs.resend_lost(QueueName::Crawl, &planned.job, day);
    assert_eq!(resend().await.unwrap().sent, 0);
    world.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(resend().await.unwrap().sent, 1);
    assert_eq!(*world.crawl.sent.lock().unwrap(), ["job:0", "job:1"]);
}

#[tokio::test]
async fn a_redrive_that_dies_anywhere_can_be_done_again() {
    for writes in 0.. {
        let world = world();
        let jobs = world.ports.jobs();
        let mut dead = record(&world, "job");
        dead.mark_sent(dead.planned);
        dead.status = JobStatus::Dead;
        jobs.plan(&dead).await.unwrap();
        let letter = serde_json::json!({
            "job": "job", "queue": "crawl", "pipe": "shop", "group": "job", "body": "{}", "reason": "bad",
            "attempts": 1, "crashes": 0, "buried": "2026-11-21T03:00:00Z",
        });
        world
            .state
            .poke("dead/crawl/job", letter.to_string().as_bytes());
        world.crash.after_writes(writes);
        let redriven = jobs.redrive(QueueName::Crawl, "job").await;
        world.crash.restart();
        if world.state.peek("dead/crawl/job").is_some() {
            jobs.redrive(QueueName::Crawl, "job").await.unwrap();
        }
        assert!(world.state.peek("dead/crawl/job").is_none(), "{writes}");
        assert_eq!(world.crawl.len(), 1, "{writes}");
        assert_eq!(
            world.record(QueueName::Crawl, &dead.job).status,
            JobStatus::Open
        );
        if redriven.is_ok() {
            assert!(writes >= 3, "record, message, letter: {writes}");
            break;
        }
    }
}

#[tokio::test]
async fn an_announced_message_that_the_queue_refuses_is_sent_by_a_later_tick() {
    let world = world();
    let jobs = world.ports.jobs();
    let planned: Vec<_> = (0..2).map(|n| image_job(n, "a.test")).collect();
    let records = planned
        .iter()
        .map(|job| manifests::image_record(job, world.clock.now()));
    let refused = format!("{}:0", planned[0].id());
    world.image.refuse_always.lock().unwrap().insert(refused);
    let report = jobs.announce(records.collect()).await.unwrap();
    assert_eq!((report.sent, report.unsent.len()), (1, 1));
    let record = world.record(QueueName::Image, &planned[0].id());
    assert!(record.needs_send());
    assert_eq!(jobs.send(&[record]).await.unwrap().sent, 1);
    assert_eq!(world.image.len(), 2);
}
