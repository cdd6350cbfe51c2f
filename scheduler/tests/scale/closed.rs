//! Work that cannot be done yet: its partner is closed, somebody has paused it,
//! or it waits. No machine is started for it before its time.

use chrono::TimeDelta;
use trawler_core::QueueName;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::maintenance::{Target, WindowText};
use trawler_core::pause::PauseScope;
use trawler_core::pipe::Pipe;
use trawler_core::ports::Clock;
use trawler_fleet::{Maintenance, Pauses};
use trawler_scheduler::{Apply, PlanOptions};

use crate::site::{CRAWL, IMAGE, Site};
use crate::support;

#[tokio::test]
async fn nothing_is_started_for_what_waits_for_declared_maintenance() {
    let site = Site::at("2026-11-21T02:50:00Z");
    let now = site.world.clock.now();
    let until = now + TimeDelta::minutes(30);
    Maintenance::new(&site.world.ports)
        .declare(Target::Catalogue, now, until, "an upgrade")
        .await
        .unwrap();
    let scheduler = site.scheduler(&[CRAWL]);
    let mut wished = None;
    for minute in 0..40 {
        // Runs are due, and in the queue, ten minutes from now.
        scheduler.tick().await.unwrap();
        if !site.groups.wishes().is_empty() {
            wished.get_or_insert(minute);
        }
        site.pass(60);
    }
    // The boot and the rest of a tick before the window ends.
    assert_eq!(wished, Some(28));
    assert_eq!(site.groups.wishes()[0].0, CRAWL);
}

#[tokio::test]
async fn nothing_is_started_for_images_of_a_partner_that_is_closed() {
    let site = Site::at("2026-11-21T01:00:00Z");
    site.plan_images(60).await;
    let now = site.world.clock.now();
    let until = now + TimeDelta::minutes(30);
    Maintenance::new(&site.world.ports)
        .declare(Target::Pipe(support::pipe("s0")), now, until, "an upgrade")
        .await
        .unwrap();
    let scheduler = site.scheduler(&[IMAGE]);
    let mut wished = None;
    for minute in 0..40 {
        scheduler.tick().await.unwrap();
        if !site.groups.wishes().is_empty() {
            wished.get_or_insert(minute);
        }
        site.pass(60);
    }
    // The boot and the rest of a tick before the window ends.
    assert_eq!(wished, Some(28));
}

#[tokio::test]
async fn parked_images_are_prepared_for_when_they_go_on_and_not_before() {
    let site = Site::at("2026-11-21T01:00:00Z");
    site.plan_images(60).await;
    // One host is backed off from for some seconds, the others are closed.
    let now = site.world.clock.now();
    let documents = site.world.ports.documents();
    for (at, key) in documents
        .keys("jobs/image/")
        .await
        .unwrap()
        .iter()
        .enumerate()
    {
        let wait = if at == 0 { 10 } else { 30 * 60 };
        let parked = documents.change(key, |job: &mut JobRecord| {
            job.status = JobStatus::Parked;
            job.due = Some(now + TimeDelta::seconds(wait));
        });
        parked.await.unwrap();
    }
    let scheduler = site.scheduler_with(PlanOptions {
        queues: vec![IMAGE],
        image_job: TimeDelta::minutes(10),
        ..PlanOptions::default()
    });
    let mut wished = Vec::new();
    for minute in 0..30 {
        scheduler.tick().await.unwrap();
        for (_, wanted) in site.groups.wishes().split_off(wished.len()) {
            wished.push((minute, wanted));
        }
        site.pass(60);
    }
    // 59 jobs of ten minutes within an hour: five rounds of twelve slots, asked
    // for by the boot and the rest of a tick before.
    assert_eq!(wished, [(0, 1), (28, 3)]);
}

/// On the Saturday of these tests.
fn hours(from: &str, until: &str) -> Vec<WindowText> {
    vec![WindowText {
        days: vec!["sat".to_owned()],
        from: from.to_owned(),
        until: until.to_owned(),
        reason: String::new(),
    }]
}

#[tokio::test]
async fn nothing_is_started_in_the_closed_hours_of_a_pipe() {
    // The boot and the rest of a tick before the pipe opens by its own file.
    let maintained = |from, until| move |pipe: &mut Pipe| pipe.maintenance = hours(from, until);
    let off_peak = |from, until| move |pipe: &mut Pipe| pipe.off_peak = hours(from, until);
    check_hours("01:00", IMAGE, &maintained("00:00", "01:30"), 28).await;
    check_hours("01:00", IMAGE, &off_peak("01:30", "06:00"), 28).await;
    check_hours("02:50", CRAWL, &maintained("03:00", "03:30"), 38).await;
    check_hours("02:50", CRAWL, &off_peak("03:30", "06:00"), 38).await;
    check_hours("01:00", IMAGE, &maintained("02:00", "03:00"), 0).await;
    check_hours("02:50", CRAWL, &off_peak("02:30", "06:00"), 8).await;
}

async fn check_hours(start: &str, queue: QueueName, change: &dyn Fn(&mut Pipe), expected: u32) {
    let site = Site::at(&format!("2026-11-21T{start}:00Z"));
    if queue == IMAGE {
        site.plan_images(60).await;
    }
    let mut pipes = Site::pipes();
    pipes.iter_mut().for_each(change);
    let plan = PlanOptions {
        queues: vec![queue],
        ..PlanOptions::default()
    };
    let scheduler = site.scheduler_of(pipes, plan);
    let mut wished = None;
    for minute in 0..45 {
        scheduler.tick().await.unwrap();
        if !site.groups.wishes().is_empty() {
            wished.get_or_insert(minute);
        }
        site.pass(60);
    }
    assert_eq!(wished, Some(expected), "{queue} from {start}");
}

#[tokio::test]
async fn a_pipe_says_for_itself_how_soon_its_work_is_over() {
    // Within an hour each run needs a slot of its own, within three two runs
    // share one. Of images six rounds on twelve slots, or fifteen on four.
    for (finish_within_s, crawl, image) in [(None, 5, 3), (Some(3 * 3_600), 3, 1)] {
        let site = Site::at("2026-11-21T02:59:00Z");
        site.plan_images(60).await;
        let mut pipes = Site::pipes();
        for pipe in &mut pipes {
            pipe.schedule.finish_within_s = finish_within_s;
        }
        let plan = PlanOptions {
            image_job: TimeDelta::minutes(10),
            ..PlanOptions::default()
        };
        let scheduler = site.scheduler_of(pipes, plan);
        scheduler.scale(Apply::Yes).await.unwrap();
        let wishes = site.groups.wishes();
        assert_eq!(
            wishes,
            [(CRAWL, crawl), (IMAGE, image)],
            "{finish_within_s:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_started_for_images_that_are_paused() {
    for (scope, is_paused) in [
        (PauseScope::Fleet, true),
        (PauseScope::Queue(IMAGE), true),
        (PauseScope::Pipe(support::pipe("s0")), true),
        (PauseScope::Queue(CRAWL), false),
        (PauseScope::Pipe(support::pipe("s1")), false),
    ] {
        let site = Site::at("2026-11-21T01:00:00Z");
        site.plan_images(60).await;
        let pauses = Pauses::new(&site.world.ports);
        pauses.pause(&scope, "why").await.unwrap();
        let scheduler = site.scheduler(&[IMAGE]);
        scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!(site.groups.wishes().is_empty(), is_paused, "{scope}");
        pauses.resume(&scope).await.unwrap();
        scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!(site.groups.wishes(), [(IMAGE, 1)], "{scope}");
    }
}
