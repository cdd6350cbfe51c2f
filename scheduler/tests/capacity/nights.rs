//! What a tick does about the number of instances: nights of a fleet.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use trawler_core::open_runs::OpenRuns;
use trawler_core::pause::PauseScope;
use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::ports::{Capacity, CapacityError};
use trawler_fleet::Pauses;
use trawler_scheduler::{Apply, PlanOptions, Prices, Scheduler, SchedulerOptions};

use crate::fleet::{CRAWL, Fleet, MAX, MINUTE, SLOTS, ticker, told};
use crate::support::{self, pipe_of};

/// A giant of an hour and ten of ten minutes, on slots of which two are an
/// instance, to be over within 75 minutes. The giant has one slot; beside it,
/// on one slot, six or seven of the short ones begin in time, so that two
/// instances are needed.
const NIGHT: [(&str, i64); 11] = [
    ("zeppelin", 60),
    ("s0", 10),
    ("s1", 10),
    ("s2", 10),
    ("s3", 10),
    ("s4", 10),
    ("s5", 10),
    ("s6", 10),
    ("s7", 10),
    ("s8", 10),
    ("s9", 10),
];

#[tokio::test]
async fn a_night_is_planned_begun_in_time_and_let_go() {
    let mut fleet = Fleet::of("2026-11-21T02:00:00Z", &NIGHT, TimeDelta::minutes(75)).with_past();
    fleet.minutes(150).await;
    // Two minutes before it is due: the boot and the rest of a tick. Asked for
    // once, and given back as soon as there is nothing left to take.
    let wishes = fleet.group.wishes();
    assert_eq!(wishes[0], ("02:58".to_owned(), 2), "{wishes:?}");
    assert_eq!(wishes.last().unwrap().1, 0, "{wishes:?}");
    assert!(
        wishes.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1),
        "{wishes:?}"
    );
    assert_eq!(
        wishes[1..],
        told(&[("03:31", 1), ("04:01", 0)]),
        "{wishes:?}"
    );
    // Nobody waited, and the longest was the first.
    assert_eq!(fleet.begun[0], ("03:00".to_owned(), "zeppelin".to_owned()));
    assert!(
        fleet.begun[..4].iter().all(|(at, _)| at == "03:00"),
        "{:?}",
        fleet.begun
    );
    assert_eq!(fleet.ended.len(), NIGHT.len());
    assert_eq!(
        fleet.ended.last().unwrap(),
        &("04:00".to_owned(), "zeppelin".to_owned())
    );
    assert_eq!(fleet.planned(), Some(true));
}

#[tokio::test]
async fn runs_of_one_time_begin_with_what_may_wait_least() {
    // By name they are in another order. `soon` is to be over in 15 minutes and
    // takes 10; of the others, which have an hour, the longest comes first.
    let pipes = [("long", 20), ("longer", 30), ("short", 5), ("soon", 10)];
    for (finish_within_s, expected) in [
        (None, ["longer", "long", "soon", "short"]),
        (Some(900), ["soon", "longer", "long", "short"]),
    ] {
        let hour = TimeDelta::hours(1);
        let mut fleet = Fleet::of("2026-11-21T02:55:00Z", &pipes, hour).with_past();
        let of = |(name, _): &(&str, i64)| {
            let mut pipe = pipe_of(name);
            pipe.schedule.finish_within_s = finish_within_s.filter(|_| *name == "soon");
            pipe
        };
        let pipes = pipes.iter().map(of).collect();
        fleet.ticker = ticker(&fleet.world, &fleet.group, pipes, hour);
        fleet.minutes(60).await;
        let begun: Vec<&str> = fleet.begun.iter().map(|(_, name)| &**name).collect();
        assert_eq!(begun, expected, "{finish_within_s:?}");
    }
}

#[tokio::test]
async fn without_a_past_the_alarms_decide_and_a_run_makes_one() {
    let mut fleet = Fleet::of("2026-11-21T03:10:00Z", &[("shop", 20)], TimeDelta::hours(1));
    fleet.minutes(20).await;
    assert_eq!(fleet.group.wishes(), []);
    assert_eq!(fleet.planned(), Some(false));
    // An alarm has woken one.
    fleet.group.want(CRAWL, 1).await.unwrap();
    fleet.minutes(60).await;
    assert_eq!(fleet.ended.len(), 1, "{:?}", fleet.ended);
    let runs: OpenRuns = fleet
        .world
        .ports
        .documents()
        .get("schedule/shop")
        .await
        .unwrap()
        .unwrap();
    let past: Vec<i64> = runs.past.iter().map(|past| past.ms / 60_000).collect();
    assert_eq!(past, [20]);
    assert_eq!(fleet.planned(), Some(true));
    // What the plan did not ask for it does not take back: it leaves by itself.
    assert_eq!(fleet.group.wishes().len(), 1);
}

#[tokio::test]
async fn what_takes_longer_than_ever_is_waited_for_and_not_taken_away() {
    let mut fleet =
        Fleet::of("2026-11-21T02:55:00Z", &[("shop", 20)], TimeDelta::hours(1)).with_past();
    fleet.minutes.insert("shop".to_owned(), 90);
    fleet.minutes(120).await;
    assert_eq!(fleet.ended, [("04:30".to_owned(), "shop".to_owned())]);
    assert_eq!(fleet.group.wishes(), told(&[("02:58", 1), ("04:31", 0)]));
}

#[tokio::test]
async fn nothing_is_started_for_what_is_paused() {
    let mut fleet =
        Fleet::of("2026-11-21T02:55:00Z", &[("shop", 20)], TimeDelta::hours(1)).with_past();
    let pauses = Pauses::new(&fleet.world.ports);
    pauses
        .pause(&PauseScope::Pipe(support::pipe("shop")), "why")
        .await
        .unwrap();
    fleet.minutes(3).await;
    assert_eq!(fleet.group.wishes(), []);
    pauses
        .resume(&PauseScope::Pipe(support::pipe("shop")))
        .await
        .unwrap();
    fleet.minutes(3).await;
    assert_eq!(fleet.group.wishes(), told(&[("02:58", 1)]));
}

#[tokio::test]
async fn nothing_is_started_for_a_pipe_that_is_not_collected() {
    for (state, expected) in [(PipeState::Draft, 0), (PipeState::Live, 1)] {
        let mut fleet =
            Fleet::of("2026-11-21T02:55:00Z", &[("shop", 20)], TimeDelta::hours(1)).with_past();
        let pipe = Pipe {
            state,
            ..pipe_of("shop")
        };
        let hour = TimeDelta::hours(1);
        fleet.ticker = ticker(&fleet.world, &fleet.group, vec![pipe], hour);
        fleet.minutes(8).await;
        assert_eq!(fleet.group.wishes().len(), expected, "{state:?}");
    }
}

#[tokio::test]
async fn a_budget_bounds_what_is_started() {
    let mut fleet = Fleet::of("2026-11-21T02:55:00Z", &NIGHT, TimeDelta::minutes(75)).with_past();
    let options = PlanOptions {
        queues: vec![CRAWL],
        finish_within: TimeDelta::minutes(75),
        crawl_slots: SLOTS as u32,
        usd_per_hour: Prices {
            crawl: 1.0,
            image: 1.0,
        },
        // An instance is kept for 61 minutes: one is paid for, not two.
        usd_per_day: Some(1.5),
        ..PlanOptions::default()
    };
    fleet.ticker = Scheduler::new(
        fleet.world.ports.clone(),
        NIGHT
            .iter()
            .map(|(name, _)| pipe_of(name))
            .collect::<Vec<_>>()
            .into(),
        SchedulerOptions::default(),
    )
    .with_capacity(Arc::clone(&fleet.group) as Arc<dyn Capacity>)
    .with_planning(options);
    fleet.minutes(180).await;
    let wishes = fleet.group.wishes();
    // The second is started when what is left pays for it to the giant's end.
    assert_eq!(
        wishes[..2],
        told(&[("02:58", 1), ("03:34", 2)]),
        "{wishes:?}"
    );
    assert_eq!(fleet.ended.len(), NIGHT.len());
    let record: serde_json::Value = fleet
        .world
        .ports
        .documents()
        .get("capacity/record")
        .await
        .unwrap()
        .unwrap();
    let spent = record["spent_usd"].as_f64().unwrap();
    assert!((1.2..=1.5).contains(&spent), "{record}");
}

#[tokio::test]
async fn nothing_is_started_when_the_budget_of_the_day_is_spent() {
    let mut fleet =
        Fleet::of("2026-11-21T02:55:00Z", &[("shop", 20)], TimeDelta::hours(1)).with_past();
    let record = serde_json::json!({
        "day": "2026-11-21", "spent_usd": 1.0, "live": {}, "booting_since": {},
        "at": "2026-11-21T02:00:00Z",
    });
    fleet
        .world
        .state
        .poke("capacity/record", record.to_string().as_bytes());
    fleet.ticker = Scheduler::new(
        fleet.world.ports.clone(),
        vec![pipe_of("shop")].into(),
        SchedulerOptions::default(),
    )
    .with_capacity(Arc::clone(&fleet.group) as Arc<dyn Capacity>)
    .with_planning(PlanOptions {
        queues: vec![CRAWL],
        usd_per_day: Some(1.01),
        ..PlanOptions::default()
    });
    fleet.minutes(10).await;
    assert_eq!(fleet.group.wishes(), []);
    let scaled = fleet.ticker.scale(Apply::No).await.unwrap();
    assert_eq!((scaled[0].wanted, scaled[0].why), (0, "budget"));
    // The next day has a budget of its own.
    fleet.world.clock.advance(MINUTE * 60 * 21);
    fleet.minute().await;
    assert_eq!(fleet.group.wishes(), told(&[("00:05", 1)]));
}

#[tokio::test]
async fn a_capacity_service_that_fails_costs_the_plan_and_not_the_tick() {
    let mut fleet =
        Fleet::of("2026-11-21T02:59:00Z", &[("shop", 20)], TimeDelta::hours(1)).with_past();
    *fleet.group.fault.lock().unwrap() = Some(|| CapacityError::Unavailable {
        verb: "count",
        what: "workers".to_owned(),
        source: "the line is dead".into(),
    });
    let report = fleet.minute().await;
    assert_eq!(
        (report.problems, fleet.planned()),
        (Vec::new(), Some(false))
    );
    *fleet.group.fault.lock().unwrap() = Some(|| CapacityError::Refused {
        verb: "count",
        what: "workers".to_owned(),
        reason: "allow it".to_owned(),
    });
    let report = fleet.minute().await;
    assert_eq!(
        (report.runs_planned, report.problems.len()),
        (1, 1),
        "{report:?}"
    );
    *fleet.group.fault.lock().unwrap() = None;
    let report = fleet.minute().await;
    assert_eq!((report.groups_set, fleet.planned()), (1, Some(true)));
}

#[tokio::test]
async fn scaling_alone_decides_as_a_tick_does() {
    let fleet = Fleet::of("2026-11-21T02:58:00Z", &NIGHT, TimeDelta::minutes(75)).with_past();
    let dry = fleet.ticker.scale(Apply::No).await.unwrap();
    assert_eq!(
        (dry[0].wanted, dry[0].asked, dry[0].why),
        (2, false, "deadline")
    );
    assert_eq!(fleet.group.wishes(), []);
    let wet = fleet.ticker.scale(Apply::Yes).await.unwrap();
    assert_eq!((wet[0].wanted, wet[0].asked), (2, true));
    assert_eq!(wet[0].bound.as_ref().unwrap().as_str(), "zeppelin");
    let again = fleet.ticker.scale(Apply::Yes).await.unwrap();
    assert_eq!((again[0].booting, again[0].asked), (2, false));
    assert_eq!(fleet.ticker.tick().await.unwrap().groups_set, 0);
    assert_eq!(fleet.group.wishes(), told(&[("02:58", 2)]));
}

#[tokio::test]
async fn the_plan_of_a_day_says_what_will_be_done() {
    let fleet = Fleet::of("2026-11-21T02:00:00Z", &NIGHT, TimeDelta::minutes(75)).with_past();
    let options = PlanOptions {
        queues: vec![CRAWL],
        finish_within: TimeDelta::minutes(75),
        crawl_slots: SLOTS as u32,
        ..PlanOptions::default()
    };
    let report = fleet
        .ticker
        .plan_ahead(&options, TimeDelta::hours(24), 5)
        .await
        .unwrap();
    let crawl = &report.groups[0];
    let minute = |at: DateTime<Utc>| at.format("%H:%M").to_string();
    assert_eq!(
        (report.runs, report.runs_without_past, crawl.planned),
        (11, 0, true)
    );
    assert_eq!((crawl.peak, crawl.max, crawl.late.len()), (2, MAX, 0));
    assert_eq!(crawl.finish.map(minute).unwrap(), "04:00");
    assert_eq!(crawl.bound.as_ref().unwrap().as_str(), "zeppelin");
    assert_eq!(minute(crawl.instances[1].at), "02:58");
    // 160 minutes of work.
    assert!(crawl.busy_share.unwrap() > 0.75, "{crawl:?}");
    assert_eq!(fleet.group.wishes(), []);
}
