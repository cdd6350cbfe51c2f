//! The plan of the hours ahead: who will be late, and by which bounds.

use chrono::TimeDelta;
use trawler_core::pipe::Pipe;
use trawler_scheduler::{PlanOptions, PlanReport, Scheduler, SchedulerOptions};

use crate::site::{CRAWL, Site};

/// Without groups.
async fn ahead(site: &Site, pipes: Vec<Pipe>, plan: &PlanOptions, max: u32) -> PlanReport {
    let options = SchedulerOptions::default();
    let scheduler = Scheduler::new(site.world.ports.clone(), pipes.into(), options);
    let day = TimeDelta::hours(12);
    scheduler.plan_ahead(plan, day, max).await.unwrap()
}

#[tokio::test]
async fn a_plan_without_groups_keeps_its_max_and_names_who_is_late() {
    // Two runs at a time, of 50 minutes each: the first two are over in time.
    for (max, late) in [
        (5, &[][..]),
        (1, &["s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"]),
    ] {
        let site = Site::at("2026-11-21T02:50:00Z");
        let plan = PlanOptions {
            queues: vec![CRAWL],
            ..PlanOptions::default()
        };
        let report = ahead(&site, Site::pipes(), &plan, max).await;
        let crawl = &report.groups[0];
        assert_eq!((crawl.max, crawl.peak), (max, max), "{crawl:?}");
        let found: Vec<&str> = crawl.late.iter().map(|pipe| pipe.as_str()).collect();
        assert_eq!(found, late, "{crawl:?}");
    }
}

#[tokio::test]
async fn what_the_budget_does_not_pay_for_is_late_and_named_once() {
    let site = Site::at("2026-11-21T02:50:00Z");
    let mut pipes = Site::pipes();
    pipes.truncate(2);
    pipes[1].schedule.cron = "0 * * * *".to_owned();
    let plan = PlanOptions {
        queues: vec![CRAWL],
        usd_per_day: Some(0.0),
        ..PlanOptions::default()
    };
    let report = ahead(&site, pipes, &plan, 5).await;
    let crawl = &report.groups[0];
    assert!(report.runs > 10 && crawl.peak == 0, "{crawl:?}");
    assert_eq!((crawl.why, crawl.planned), ("budget", true));
    let found: Vec<&str> = crawl.late.iter().map(|pipe| pipe.as_str()).collect();
    assert_eq!(found, ["s1", "s0"], "{crawl:?}");
}

#[tokio::test]
async fn images_of_runs_to_come_have_the_time_that_their_pipe_says() {
    // Six jobs of ten minutes on two lanes are half an hour. Within an hour all
    // twenty lanes go on at once, within three one machine of four slots does.
    for (finish_within_s, expected) in [(None, 5), (Some(3 * 3_600), 1)] {
        let site = Site::at("2026-11-21T02:50:00Z");
        site.remember(6);
        let mut pipes = Site::pipes();
        for pipe in &mut pipes {
            pipe.schedule.finish_within_s = finish_within_s;
        }
        let plan = PlanOptions {
            image_job: TimeDelta::minutes(10),
            ..PlanOptions::default()
        };
        let report = ahead(&site, pipes, &plan, 10).await;
        let images = &report.groups[1];
        assert_eq!(images.peak, expected, "{images:?}");
        assert_eq!(images.late.len(), 0, "{images:?}");
    }
}
