//! Image work: decisions and forecasts against cases computed by hand.

#![allow(clippy::unwrap_used)]

use super::tests::{LIMITS, MINUTE, NONE, there};
use super::*;

fn flow(key: u32, jobs: u64, seconds: i64, lanes: u32, deadline_min: i64) -> Flow {
    Flow {
        key,
        jobs,
        job_ms: seconds * 1000,
        lanes,
        due_ms: 0,
        deadline_ms: deadline_min * MINUTE,
    }
}

#[test]
fn image_work_is_a_flow_that_its_hosts_bound() {
    let check =
        |flows: &[Flow], fleet: Fleet, wanted: u32, why: Why, finish_s: i64, bound: Option<u32>| {
            let decision = decide_flow(0, flows, 1.0, &fleet, &LIMITS);
            let found = (
                decision.wanted,
                decision.why,
                decision.finish_ms.map(|ms| ms / 1000),
                decision.bound,
            );
            assert_eq!(found, (wanted, why, Some(finish_s), bound), "{flows:?}");
        };
    // 3,600 jobs of 10 s are 600 minutes of a slot; 59 minutes are left after a
    // boot, so that 5.08 instances of two slots are needed.
    let wide = flow(0, 3_600, 10, 64, 60);
    check(&[wide], NONE, 6, Why::Deadline, 60 + 3_000, None);
    check(&[wide], there(5, 5), 5, Why::Deadline, 3_600, None);
    // Of one host four are in flight at most, which two instances do.
    let narrow = Flow { lanes: 4, ..wide };
    check(&[narrow], NONE, 2, Why::Deadline, 60 + 9_000, Some(0));
    // What is soon comes first: 60 jobs of a minute in 10 minutes after 1.
    let soon = flow(1, 60, 60, 64, 11);
    check(&[wide, soon], NONE, 6, Why::Deadline, 60 + 3_300, None);
    let idle = decide_flow(0, &[], 1.0, &there(2, 0), &LIMITS);
    assert_eq!((idle.wanted, idle.why), (0, Why::Nothing));
    let few = Limits { max: 3, ..LIMITS };
    let most = decide_flow(0, &[wide], 1.0, &NONE, &few);
    assert_eq!((most.wanted, most.why, most.late), (3, Why::Most, 1));
}

#[test]
fn a_host_that_has_to_wait_for_slots_begins_in_time() {
    // 20 hosts came first, take 30 minutes of a slot each and have four hours;
    // two instances are through with them in 150 minutes.
    let mut flows: Vec<Flow> = (0..20)
        .map(|key| Flow {
            due_ms: -1,
            ..flow(key, 180, 10, 1, 240)
        })
        .collect();
    let enough = decide_flow(0, &flows, 1.0, &there(2, 2), &LIMITS);
    assert_eq!((enough.wanted, enough.why), (2, Why::Deadline));
    flows.push(flow(20, 270, 10, 1, 60));
    // One that came last takes 45 minutes of its hour, so that none of those
    // before it may keep it waiting: each has a slot at once.
    let more = decide_flow(0, &flows, 1.0, &there(2, 2), &LIMITS);
    assert_eq!((more.wanted, more.why, more.late), (11, Why::Deadline, 0));
}

#[test]
fn machines_that_are_slow_are_more_where_a_deadline_needs_it() {
    // Four lanes of 30 minutes on two instances, which take twice as long.
    let slow = |deadline_min| {
        let flows: Vec<Flow> = (0..4)
            .map(|key| flow(key, 180, 10, 1, deadline_min))
            .collect();
        let decision = decide_flow(0, &flows, 2.0, &there(2, 2), &LIMITS);
        let finish_min = decision.finish_ms.unwrap() / MINUTE;
        (decision.wanted, decision.why, finish_min)
    };
    assert_eq!(slow(60), (2, Why::Deadline, 60));
    // Alone the hosts take 30 minutes: four instances have the time for it,
    // three have it for 40.
    assert_eq!(slow(45), (3, Why::Deadline, 40));
    assert_eq!(slow(35), (4, Why::Deadline, 30));
    // What nobody can meet starts no more than what is useful.
    let (wanted, ..) = slow(20);
    assert!(wanted <= 4, "{wanted}");
    // And hosts that are slow by themselves start nothing.
    let flows: Vec<Flow> = (0..4).map(|key| flow(key, 180, 20, 1, 45)).collect();
    let decision = decide_flow(0, &flows, 1.0, &there(2, 2), &LIMITS);
    assert_eq!((decision.wanted, decision.why), (2, Why::Deadline));
}

#[test]
fn a_forecast_of_images_knows_that_more_machines_are_quicker() {
    let flows: Vec<Flow> = (0..4).map(|key| flow(key, 180, 10, 1, 45)).collect();
    let forecast = forecast_flow(0, &flows, 2.0, &there(2, 2), &LIMITS);
    assert_eq!(forecast.peak, 3, "{forecast:?}");
    let finish_min = forecast.finish_ms.unwrap() / MINUTE;
    assert!((40..=42).contains(&finish_min), "{finish_min}");
    assert!(forecast.late.is_empty());
}

#[test]
fn a_forecast_of_images_plays_the_decisions() {
    let forecast = forecast_flow(0, &[flow(7, 3_600, 10, 64, 60)], 1.0, &NONE, &LIMITS);
    assert_eq!(
        (forecast.peak, forecast.bound),
        (6, Some(7)),
        "{forecast:?}"
    );
    let finish_min = forecast.finish_ms.unwrap() / MINUTE;
    assert!((50..=55).contains(&finish_min), "{finish_min}");
    assert_eq!(forecast.busy_ms, 600 * MINUTE);
    assert!(forecast.late.is_empty());
}

#[test]
fn a_forecast_of_images_names_the_hosts_that_will_be_late() {
    let late = |max, budget_usd| {
        let limits = Limits {
            max,
            budget_usd,
            ..LIMITS
        };
        // Ten minutes of all slots of one instance, then thirty, then ten.
        let flows = [
            flow(3, 120, 10, 8, 12),
            flow(8, 360, 10, 8, 35),
            flow(1, 120, 10, 8, 240),
        ];
        let forecast = forecast_flow(0, &flows, 1.0, &NONE, &limits);
        (forecast.peak, forecast.late)
    };
    assert_eq!(late(1, None), (1, vec![8]));
    assert_eq!(late(10, None).1, [0; 0]);
    assert_eq!(late(10, Some(0.0)), (0, vec![3, 8, 1]));
}
