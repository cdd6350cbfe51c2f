//! Several who decide about the same groups, and groups that refuse.

use chrono::TimeDelta;
use trawler_core::pause::PauseScope;
use trawler_core::ports::{Clock, Start};
use trawler_fleet::{Pauses, tell_start};
use trawler_scheduler::{Apply, PlanOptions, Prices};

use crate::site::{CRAWL, IMAGE, Site};

#[tokio::test]
async fn however_many_decide_a_backlog_is_asked_for_once() {
    let site = Site::at("2026-11-21T02:50:00Z");
    let (ticker, follower) = (site.scheduler(&[CRAWL]), site.scheduler(&[CRAWL]));
    for look in 0..90 {
        if look % 6 == 0 {
            ticker.tick().await.unwrap();
        }
        follower.scale(Apply::Yes).await.unwrap();
        // One that has just begun remembers nothing.
        let other = site.scheduler(&[CRAWL]);
        other.scale(Apply::Yes).await.unwrap();
        site.pass(10);
    }
    assert_eq!(site.groups.wishes(), [(CRAWL, 5)]);
}

#[tokio::test]
async fn two_who_decide_at_once_ask_for_the_same_number() {
    let site = Site::at("2026-11-21T02:59:00Z");
    let (one, other) = (site.scheduler(&[CRAWL]), site.scheduler(&[CRAWL]));
    let (first, second) = tokio::join!(one.scale(Apply::Yes), other.scale(Apply::Yes));
    for scaled in [first, second] {
        let scaled = scaled.unwrap();
        assert_eq!((scaled[0].was, scaled[0].wanted), (0, 5), "both saw none");
    }
    assert_eq!(site.groups.wishes(), [(CRAWL, 5)], "one carries it out");
    let scaled = one.scale(Apply::Yes).await.unwrap();
    assert_eq!((scaled[0].asked, scaled[0].booting), (false, 5));
}

#[tokio::test]
async fn a_group_that_refuses_costs_the_other_nothing_and_is_asked_again() {
    let site = Site::at("2026-11-21T02:59:00Z");
    let scheduler = site.scheduler(&[CRAWL, IMAGE]);
    site.groups.refuse.lock().unwrap().insert(CRAWL);
    site.groups.bound(IMAGE, 1);
    let error = scheduler.scale(Apply::Yes).await.unwrap_err();
    assert!(!error.needs_person(), "{error}");
    assert_eq!(
        error.to_string(),
        "want workers of the crawl queue: the capacity service did not answer"
    );
    assert_eq!(site.groups.wishes(), [(IMAGE, 1)]);
    assert_eq!(site.planned(), Some(false), "the alarms take over");
    site.groups.refuse.lock().unwrap().clear();
    site.pass(10);
    scheduler.scale(Apply::Yes).await.unwrap();
    assert_eq!(site.groups.wishes(), [(IMAGE, 1), (CRAWL, 5)]);
    assert_eq!(site.planned(), Some(true));
}

#[tokio::test]
async fn what_a_person_asked_for_outlives_a_wish_that_failed() {
    let site = Site::at("2026-11-21T02:50:00Z");
    let scheduler = site.scheduler(&[CRAWL]);
    scheduler.scale(Apply::Yes).await.unwrap();
    site.groups.set(CRAWL, 3);
    scheduler.scale(Apply::Yes).await.unwrap();
    site.pass(9 * 60);
    site.groups.refuse.lock().unwrap().insert(CRAWL);
    scheduler.scale(Apply::Yes).await.unwrap_err();
    site.groups.refuse.lock().unwrap().clear();
    // Then there is nothing to do.
    let pauses = Pauses::new(&site.world.ports);
    pauses.pause(&PauseScope::Fleet, "why").await.unwrap();
    for _ in 0..3 {
        site.pass(10);
        let scaled = scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!((scaled[0].wanted, scaled[0].asked), (3, false));
        assert_eq!(scaled[0].why, "others asked for them");
    }
    assert_eq!(site.groups.wishes(), []);
}

#[tokio::test]
async fn a_person_who_asks_for_what_there_was_is_heard() {
    let site = Site::at("2026-11-21T02:59:00Z");
    let scheduler = site.scheduler(&[CRAWL]);
    scheduler.scale(Apply::Yes).await.unwrap();
    let pauses = Pauses::new(&site.world.ports);
    pauses.pause(&PauseScope::Fleet, "why").await.unwrap();
    for _ in 0..3 {
        site.pass(10);
        scheduler.scale(Apply::Yes).await.unwrap();
    }
    assert_eq!(site.groups.wishes(), [(CRAWL, 5), (CRAWL, 0)]);
    site.groups.set(CRAWL, 5);
    for _ in 0..3 {
        site.pass(10);
        let scaled = scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!((scaled[0].wanted, scaled[0].asked), (5, false));
    }
}

#[tokio::test]
async fn a_fold_alone_is_planned_where_runs_have_a_past() {
    for (has_past, expected, wishes) in [
        (true, "deadline", vec![(CRAWL, 1)]),
        (false, "no history", Vec::new()),
    ] {
        let site = Site::at("2026-11-21T01:00:00Z");
        if !has_past {
            site.forget_the_past();
        }
        site.plan_fold().await;
        let scaled = site.scheduler(&[CRAWL]).scale(Apply::Yes).await.unwrap();
        assert_eq!(scaled[0].why, expected);
        assert_eq!(site.groups.wishes(), wishes);
        assert_eq!(site.planned(), Some(has_past));
    }
}

#[tokio::test]
async fn groups_share_the_budget_of_a_day() {
    // Image jobs of 10 minutes on 4 slots: 5 rounds in an hour, 3 machines.
    // Crawling takes 5 machines for 52 minutes, $4.33: what is left pays for one
    // more.
    for (usd_per_day, expected, why) in [(None, 3, "deadline"), (Some(5.3), 1, "budget")] {
        let site = Site::at("2026-11-21T02:59:00Z");
        site.plan_images(60).await;
        let scheduler = site.scheduler_with(PlanOptions {
            usd_per_hour: Prices {
                crawl: 1.0,
                image: 1.0,
            },
            usd_per_day,
            image_job: TimeDelta::minutes(10),
            ..PlanOptions::default()
        });
        let scaled = scheduler.scale(Apply::Yes).await.unwrap();
        assert_eq!((scaled[0].wanted, scaled[0].why), (5, "deadline"));
        assert_eq!((scaled[1].wanted, scaled[1].why), (expected, why));
    }
}

#[tokio::test]
async fn machines_that_start_slowly_are_asked_for_sooner() {
    // By the configuration they take a minute; 190 s and a tick are four.
    for (starts, asked_before) in [(0, 2), (7, 2), (8, 4)] {
        let site = Site::at("2026-11-21T02:50:00Z");
        let now = site.world.clock.now();
        for at in 0..starts {
            let start = Start {
                machine: format!("i-{at}"),
                at: now - TimeDelta::seconds(180),
            };
            tell_start(&site.world.ports, &start, &[CRAWL]).await;
        }
        let scheduler = site.scheduler(&[CRAWL]);
        let mut wished = None;
        for minute in 0..10 {
            scheduler.scale(Apply::Yes).await.unwrap();
            if !site.groups.wishes().is_empty() {
                wished.get_or_insert(10 - minute);
            }
            site.pass(60);
        }
        assert_eq!(wished, Some(asked_before), "{starts} starts");
    }
}
