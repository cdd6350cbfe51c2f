//! Due runs: once each, at most two open, whoever plans and dies.

use std::time::Duration;

use trawler_core::JobId;
use trawler_fleet::Drain;
use trawler_fleet::audit;
use trawler_scheduler::TickReport;

use crate::bench::{CRAWL, HOUR, daily, finish_run, run_ids, runs, scheduler, world_at};
use crate::support::{pipe, pipe_due, until};

#[tokio::test]
async fn due_runs_are_planned_once_and_missed_ones_caught_up_once() {
    let world = world_at("2026-11-21T02:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let tick = || ticker.tick();
    // A pipe that never ran is due at once, for its latest instant.
    assert_eq!(tick().await.unwrap().runs_planned, 1);
    assert_eq!(tick().await.unwrap(), TickReport::default());
    assert_eq!(run_ids(&world), ["shop@2026-11-20T03:00:00.000Z"]);
    finish_run(&world, &runs(&world)[0].id).await;
    world.clock.advance(HOUR);
    assert_eq!(tick().await.unwrap().runs_planned, 1);
    finish_run(&world, &runs(&world)[1].id).await;
    // Nobody ticks for four days: one run, the newest.
    world.clock.advance(HOUR * 24 * 4);
    assert_eq!(tick().await.unwrap().runs_planned, 1);
    assert_eq!(tick().await.unwrap().runs_planned, 0);
    assert_eq!(
        run_ids(&world),
        [
            "shop@2026-11-20T03:00:00.000Z",
            "shop@2026-11-21T03:00:00.000Z",
            "shop@2026-11-25T03:00:00.000Z"
        ]
    );
}

#[tokio::test]
async fn daylight_saving_makes_one_run_a_day() {
    let check = |start: &'static str, expected: [&'static str; 2]| async move {
        let world = world_at(start);
        let ticker = scheduler(&world, &[pipe_due("shop", "30 2 * * *", "Europe/Berlin")]);
        for _ in 0..(24 * 4) {
            ticker.tick().await.unwrap();
            for run in runs(&world) {
                if !run.phase.is_over() {
                    finish_run(&world, &run.id).await;
                }
            }
            world.clock.advance(HOUR / 2);
        }
        // The first is the one that was due before the start.
        assert_eq!(run_ids(&world)[1..], expected, "{start}");
    };
    // 02:30 does not exist on 2026-03-29 and exists twice on 2026-10-25.
    check(
        "2026-03-28T12:00:00Z",
        [
            "shop@2026-03-29T01:00:00.000Z",
            "shop@2026-03-30T00:30:00.000Z",
        ],
    )
    .await;
    check(
        "2026-10-24T12:00:00Z",
        [
            "shop@2026-10-25T00:30:00.000Z",
            "shop@2026-10-26T01:30:00.000Z",
        ],
    )
    .await;
}

#[tokio::test]
async fn two_schedulers_at_once_plan_one_run() {
    let world = world_at("2026-11-21T03:00:00Z");
    let pipes = [daily(), pipe_due("other", "0 * * * *", "UTC")];
    let mut ticks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let ticker = scheduler(&world, &pipes);
        ticks.spawn(async move { ticker.tick().await });
    }
    while let Some(report) = ticks.join_next().await {
        report.unwrap().unwrap();
    }
    assert_eq!(runs(&world).len(), 2);
    assert_eq!(world.crawl.len(), 2, "one message each");
    assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn a_tick_that_dies_at_any_write_is_healed_by_the_next() {
    let mut writes = 0;
    loop {
        let world = world_at("2026-11-21T03:00:00Z");
        let pipes = [daily()];
        world.crash.after_writes(writes);
        let died = scheduler(&world, &pipes).tick().await.is_err();
        world.crash.restart();
        // Another process, later the same minute.
        scheduler(&world, &pipes).tick().await.unwrap();
        assert_eq!(
            run_ids(&world),
            ["shop@2026-11-21T03:00:00.000Z"],
            "{writes}"
        );
        assert_eq!(world.crawl.len(), 1, "{writes}");
        let record = world.record(CRAWL, &JobId::from(&runs(&world)[0].id));
        assert_eq!((record.sends, record.needs_send()), (1, false), "{writes}");
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if !died {
            break;
        }
        writes += 1;
    }
    // Schedule document, run document, job record, message, that it was sent,
    // that the prune pass began; and the looks after.
    assert_eq!(writes, 7);
}

#[tokio::test]
async fn at_most_two_runs_of_a_pipe_are_unsettled() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    for day in 0..4 {
        let report = ticker.tick().await.unwrap();
        let planned = u64::from(day < 2);
        assert_eq!(
            (report.runs_planned, report.pipes_behind),
            (planned, 1 - planned)
        );
        world.clock.advance(HOUR * 24 - Duration::from_secs(1));
        // The messages are seen within the day, or they would be sent again.
        for run in runs(&world) {
            let job = JobId::from(&run.id);
            let sends = world.record(CRAWL, &job).sends - 1;
            let dedup_id = format!("{job}:{sends}");
            world
                .ports
                .jobs()
                .take(CRAWL, &dedup_id, "d")
                .await
                .unwrap();
        }
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(runs(&world).len(), 2);
}

#[tokio::test]
async fn run_now_is_due_now_and_an_older_schedule_waits_for_its_next() {
    let world = world_at("2026-11-21T12:34:56Z");
    let ticker = scheduler(&world, &[daily()]);
    let run = ticker.run_now(&pipe("shop")).await.unwrap();
    assert_eq!(run.to_string(), "shop@2026-11-21T12:34:56.000Z");
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 0);
    assert!(ticker.run_now(&pipe("nobody")).await.is_err());
    world.clock.advance(HOUR * 15);
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 1);
}

#[tokio::test]
async fn the_loop_ticks_until_the_drain() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let drain = Drain::new();
    let running = tokio::spawn({
        let drain = drain.clone();
        async move { ticker.run(&drain).await }
    });
    until("the run is planned", || world.crawl.len() == 1).await;
    drain.finish();
    running.await.unwrap();
}
