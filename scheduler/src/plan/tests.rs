//! Decisions against cases computed by hand.

#![allow(clippy::unwrap_used)]

use super::*;

pub(super) const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 60 * MINUTE;

/// Two slots, a minute to boot, a decision a minute, nothing in reserve.
pub(super) const LIMITS: Limits = Limits {
    min: 0,
    max: 100,
    slots: 2,
    boot_ms: MINUTE,
    every_ms: MINUTE,
    catch_up_ms: 30 * MINUTE,
    reserve: 0,
    idle_ms: MINUTE,
    usd_per_hour: 0.06,
    budget_usd: None,
};

pub(super) const NONE: Fleet = Fleet {
    in_service: 0,
    busy: 0,
    booting: 0,
    booted_ms: 0,
};

pub(super) fn work(key: u32, due_min: i64, minutes: i64, deadline_min: i64) -> Work {
    Work {
        key,
        due_ms: due_min * MINUTE,
        deadline_ms: deadline_min * MINUTE,
        expected_ms: minutes * MINUTE,
        upper_ms: minutes * MINUTE,
        in_hand: false,
        is_known: true,
    }
}

pub(super) fn in_hand(work: Work) -> Work {
    Work {
        in_hand: true,
        ..work
    }
}

/// Jobs of these minutes, due now, until this minute.
fn jobs(minutes: &[i64], deadline_min: i64) -> Vec<Work> {
    let numbered = minutes.iter().zip(0..);
    numbered
        .map(|(minutes, key)| work(key, 0, *minutes, deadline_min))
        .collect()
}

pub(super) fn there(in_service: u32, busy: u32) -> Fleet {
    Fleet {
        in_service,
        busy,
        ..NONE
    }
}

fn booting(booting: u32, until_min: i64) -> Fleet {
    Fleet {
        booting,
        booted_ms: until_min * MINUTE,
        ..NONE
    }
}

pub(super) fn decide(work: &[Work], fleet: Fleet, limits: Limits) -> Decision {
    Planner::new().decide(0, work, &fleet, &limits)
}

#[test]
fn where_most_of_it_has_no_past_the_alarms_decide() {
    let check = |known: usize, expected: Why| {
        let mut all = jobs(&[10; 8], 100);
        for work in &mut all[known..] {
            work.is_known = false;
        }
        let decision = decide(&all, NONE, LIMITS);
        assert_eq!(decision.why, expected, "{known} of 8");
    };
    check(0, Why::NoHistory);
    check(3, Why::NoHistory);
    check(4, Why::Deadline);
    check(8, Why::Deadline);
}

#[test]
fn a_reserve_that_cannot_be_kept_costs_no_deadline() {
    // One instance is busy until minute 60; a short run that is due at 30 has
    // to begin by 65, behind eighteen that are in front of it and can wait.
    let mut all = vec![
        in_hand(work(0, 0, 572, 1_440)),
        in_hand(work(1, 0, 32, 1_440)),
    ];
    all.extend((2..20).map(|key| work(key, 0, 60, 1_440)));
    all.push(work(20, 30, 10, 75));
    for reserve in [0, 3] {
        let limits = Limits {
            reserve,
            max: 10,
            ..LIMITS
        };
        let decision = Planner::new().decide(28 * MINUTE, &all, &there(1, 1), &limits);
        assert_eq!(
            (decision.wanted, decision.late),
            (10, 0),
            "reserve {reserve}"
        );
        assert_eq!(decision.why, Why::Deadline, "reserve {reserve}");
    }
}

#[test]
fn a_reserve_that_cannot_be_kept_starts_no_more_than_is_of_use() {
    // Ten instances keep no reserve for the last run, which waits until 89 for
    // the first of twenty in front of it; on six it waits no longer.
    let mut all: Vec<Work> = (0..20).map(|key| work(key, 28, 60, 1_440)).collect();
    all.push(work(20, 30, 10, 105));
    for (max, wanted) in [(10, 6), (6, 6), (11, 11)] {
        let limits = Limits {
            reserve: 3,
            max,
            ..LIMITS
        };
        let decision = Planner::new().decide(28 * MINUTE, &all, &NONE, &limits);
        let found = (decision.wanted, decision.why, decision.late);
        assert_eq!(found, (wanted, Why::Deadline, 0), "at most {max}");
    }
}

#[test]
fn a_run_that_takes_four_times_as_long_is_still_in_time() {
    let check = |deadline_min, reserve, wanted| {
        let limits = Limits { reserve, ..LIMITS };
        let decision = decide(&jobs(&[10; 16], deadline_min), NONE, limits);
        assert_eq!(decision.wanted, wanted, "{deadline_min} min, {reserve}");
    };
    // Eight rounds of two slots begin by minute 71, which is before minute 90,
    // but not before minute 60.
    check(100, 0, 1);
    check(100, 3, 2);
    // Of 49 minutes of waiting half is kept: minute 25 allows three rounds.
    check(60, 0, 2);
    check(60, 3, 3);
    // Where nothing can wait there is no reserve.
    check(11, 0, 8);
    check(11, 3, 8);
}

#[test]
fn the_smallest_fleet_that_is_over_in_time() {
    let check = |minutes: &[i64], deadline_min: i64, wanted: u32, finish_min: i64, bound: u32| {
        let decision = decide(&jobs(minutes, deadline_min), NONE, LIMITS);
        let found = (
            decision.wanted,
            decision.finish_ms.map(|ms| ms / MINUTE),
            decision.bound,
        );
        assert_eq!(
            found,
            (wanted, Some(finish_min), Some(bound)),
            "{minutes:?} until {deadline_min}: {decision:?}"
        );
        assert_eq!((decision.why, decision.late), (Why::Deadline, 0));
    };
    // One instance boots until 1 and has two slots.
    check(&[10], 60, 1, 11, 0);
    check(&[10, 10, 10, 10], 21, 1, 21, 2);
    check(&[10, 10, 10, 10], 20, 2, 11, 0);
    // Longest first on four slots: 7+2, 6+3, 5+4 and 4+4; the second 4 of five
    // is the first that is over at 10.
    check(&[7, 6, 5, 4, 4, 4, 3, 2], 10, 2, 10, 5);
    // On two: 7+4+4+2 and 6+5+4+3 are over at 19.
    check(&[7, 6, 5, 4, 4, 4, 3, 2], 19, 1, 19, 6);
    // The order of the list does not matter; the giant bounds it.
    check(&[2, 3, 4, 100], 101, 1, 101, 3);
}

#[test]
fn instances_that_are_there_or_boot_are_counted() {
    let check = |fleet: Fleet, minutes: &[i64], deadline_min: i64, wanted: u32, why: Why| {
        let decision = decide(&jobs(minutes, deadline_min), fleet, LIMITS);
        assert_eq!(
            (decision.wanted, decision.why),
            (wanted, why),
            "{fleet:?} {minutes:?}"
        );
    };
    let four = [10, 10, 10, 10];
    check(there(1, 0), &four, 20, 1, Why::Deadline);
    check(there(1, 0), &four, 19, 2, Why::Deadline);
    // Booted in a quarter of a minute, as it was asked for a while ago.
    let soon = Fleet {
        booted_ms: MINUTE / 4,
        ..booting(1, 0)
    };
    check(soon, &four, 21, 1, Why::Deadline);
    check(booting(2, 1), &four, 20, 2, Why::Deadline);
    // Four were asked for, two would do; the others find no slot's worth.
    check(booting(4, 1), &four, 21, 2, Why::Kept);
    check(there(4, 3), &four, 60, 3, Why::Busy);
    check(there(4, 4), &[], 60, 4, Why::Busy);
    check(there(4, 0), &[], 60, 0, Why::Nothing);
}

#[test]
fn jobs_in_hand_keep_their_slots() {
    let mut load = vec![in_hand(work(0, -30, 30, 60)), in_hand(work(1, -30, 5, 60))];
    load.extend(jobs(&[10, 10], 25));
    // The slot that is free at 5 takes both: over at 25.
    assert_eq!(decide(&load, there(1, 1), LIMITS).wanted, 1);
    load[2].deadline_ms = 24 * MINUTE;
    load[3].deadline_ms = 24 * MINUTE;
    let decision = decide(&load, there(1, 1), LIMITS);
    assert_eq!(
        (decision.wanted, decision.bound),
        (2, Some(0)),
        "{decision:?}"
    );
}

#[test]
fn capacity_is_set_the_time_of_a_boot_before_work_is_due() {
    let load = [work(0, 60, 10, 120)];
    let at = |now_min: i64| Planner::new().decide(now_min * MINUTE, &load, &NONE, &LIMITS);
    let early = at(57);
    assert_eq!((early.wanted, early.why), (0, Why::Nothing));
    assert_eq!(early.again_ms, Some(58 * MINUTE), "two minutes before");
    let decision = at(58);
    assert_eq!((decision.wanted, decision.again_ms), (1, None));
    assert_eq!(decision.finish_ms, Some(70 * MINUTE), "it does not wait");
}

#[test]
fn what_comes_next_is_begun_for_only_if_it_could_not_be_met_later() {
    let limits = Limits { max: 2, ..LIMITS };
    // Four slots. At 60 there come 8 x 30 minutes that are to be over at 120:
    // they need them all, so what is due now has to be out of the way.
    let mut load = jobs(&[40, 40, 40, 40, 40, 40, 40, 40], 240);
    let alone = decide(&load, NONE, limits);
    assert_eq!((alone.wanted, alone.why), (1, Why::Deadline), "{alone:?}");
    load.extend((8..16).map(|key| work(key, 90, 30, 150)));
    let decision = decide(&load, NONE, limits);
    assert_eq!(
        (decision.wanted, decision.why),
        (2, Why::Ahead),
        "{decision:?}"
    );
    // With an hour more it can wait.
    for next in &mut load[8..] {
        next.deadline_ms += 5 * HOUR;
    }
    let decision = decide(&load, NONE, limits);
    assert_eq!(
        (decision.wanted, decision.why),
        (1, Why::Deadline),
        "{decision:?}"
    );
}

#[test]
fn bounds_are_kept_and_named() {
    let many = jobs(&[30; 100], 60);
    let check = |limits: Limits, fleet: Fleet, wanted: u32, why: Why| {
        let decision = decide(&many, fleet, limits);
        assert_eq!((decision.wanted, decision.why), (wanted, why), "{limits:?}");
        decision
    };
    // 59 minutes of a slot hold one job: 50 instances.
    check(LIMITS, NONE, 50, Why::Deadline);
    let most = check(Limits { max: 10, ..LIMITS }, NONE, 10, Why::Most);
    // Twenty slots work on five rounds, and the first ends at 31.
    assert_eq!((most.finish_ms, most.late), (Some(151 * MINUTE), 80));
    check(Limits { min: 60, ..LIMITS }, NONE, 60, Why::Least);
    check(Limits { max: 3, ..LIMITS }, there(5, 5), 5, Why::Most);
    // An instance is kept for 31 minutes, $0.031: $0.16 pays for five.
    let budget = |usd| Limits {
        budget_usd: Some(usd),
        ..LIMITS
    };
    check(budget(0.16), NONE, 5, Why::Budget);
    check(budget(0.0), NONE, 0, Why::Budget);
    check(budget(0.0), there(3, 2), 2, Why::Budget);
    let idle = decide(&[], NONE, Limits { min: 2, ..LIMITS });
    assert_eq!((idle.wanted, idle.why), (2, Why::Least));
}

#[test]
fn without_a_past_nothing_is_decided() {
    let mut load = jobs(&[30, 30], 60);
    for work in &mut load {
        work.is_known = false;
    }
    let decision = decide(&load, there(3, 1), LIMITS);
    assert_eq!((decision.wanted, decision.why), (3, Why::NoHistory));
    load[1].is_known = true;
    assert_eq!(decide(&load, NONE, LIMITS).why, Why::Deadline);
}

#[test]
fn late_work_is_caught_up_with_and_does_not_start_everything() {
    // An hour late, 200 x 10 minutes: caught up within 30 minutes after the
    // earliest end, so that a slot holds four of them.
    let load: Vec<Work> = (0..200).map(|key| work(key, -120, 10, -60)).collect();
    let decision = decide(&load, NONE, LIMITS);
    assert_eq!((decision.wanted, decision.late), (25, 200), "{decision:?}");
    // A giant that nothing can save begins at once and takes one slot.
    let load = [work(0, 0, 600, 60), work(1, 0, 10, 60), work(2, 0, 10, 60)];
    let decision = decide(&load, NONE, LIMITS);
    assert_eq!(
        (decision.wanted, decision.bound, decision.late),
        (1, Some(0), 1)
    );
}

#[test]
fn a_plan_costs_what_its_instances_do() {
    // One instance from now to 11 and a minute idle, at 0.1 cents a minute.
    let decision = decide(&jobs(&[10], 60), NONE, LIMITS);
    assert!((decision.usd - 0.012).abs() < 1e-9, "{decision:?}");
}

#[test]
fn runs_are_estimated_from_the_last_ones() {
    let check = |minutes: &[i64], expected_s: i64, upper_s: i64| {
        let past: Vec<Past> = minutes
            .iter()
            .map(|minutes| Past {
                ms: minutes * MINUTE,
                rows: 1_000,
                image_jobs: 0,
            })
            .collect();
        let found = estimate(&past, None, &Typical::default());
        let seconds = (found.expected_ms / 1000, found.upper_ms / 1000);
        assert_eq!(seconds, (expected_s, upper_s), "{minutes:?}");
        assert!(found.is_known);
    };
    check(&[10], 600, 660);
    check(&[10, 10, 10, 10], 600, 660);
    // One that lay for a day is not believed.
    check(&[10, 10, 10, 10, 1440], 600, 660);
    // Median 10, deviations 0 1 1 2 2: upper is 10 + 3 x 1.5.
    check(&[8, 9, 10, 11, 12], 600, 870);
    // Two long ones of ten are: every tenth day is a heavy one.
    check(&[2, 2, 2, 2, 2, 2, 2, 2, 60, 60], 816, 3600);
    // Older ones than ten do not count.
    check(&[600, 600, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 60, 66);
}

#[test]
fn new_pipes_take_what_others_do() {
    let known = |ms: i64| Estimate {
        expected_ms: ms,
        upper_ms: ms,
        is_known: true,
    };
    let others = [
        (known(1_000), 100),
        (known(2_000), 100),
        (known(3_000), 100),
        (known(90_000), 100),
    ];
    let others = typical(others.into_iter());
    assert_eq!((others.ms, others.ms_per_row), (90_000, 30.0));
    let check = |rows: Option<u64>, typical: &Typical, expected_ms: i64| {
        let found = estimate(&[], rows, typical);
        assert_eq!(
            (found.expected_ms, found.upper_ms),
            (expected_ms, 2 * expected_ms),
            "{rows:?}"
        );
        assert!(!found.is_known);
    };
    check(Some(1_000), &others, 30_000);
    check(None, &others, 90_000);
    check(None, &typical(std::iter::empty()), 600_000);
}

#[test]
fn a_run_that_takes_longer_is_corrected() {
    let check = |whole, elapsed, expected| assert_eq!(left_ms(whole, elapsed), expected);
    check(10 * MINUTE, 0, 10 * MINUTE);
    check(10 * MINUTE, 4 * MINUTE, 6 * MINUTE);
    check(10 * MINUTE, 10 * MINUTE, 100);
    check(10 * MINUTE, 12 * MINUTE, 3 * MINUTE);
    check(10 * MINUTE, 40 * MINUTE, 10 * MINUTE);
}

#[test]
fn a_forecast_plays_the_decisions() {
    // Nothing until 58; then one instance for a job of ten minutes.
    let load = [
        work(0, 60, 10, 120),
        work(1, 600, 30, 660),
        work(2, 600, 30, 660),
        work(3, 600, 30, 633),
    ];
    let forecast = Planner::new().forecast(0, &load, &NONE, &LIMITS);
    let steps: Vec<(i64, u32)> = forecast
        .steps
        .iter()
        .map(|step| (step.at_ms / MINUTE, step.instances))
        .collect();
    // The one of 660 that waits for a slot is in time: two slots do not do for
    // the one of 633 and the two others before 660.
    assert_eq!(
        steps,
        [(0, 0), (58, 1), (71, 0), (598, 1), (661, 0)],
        "{forecast:?}"
    );
    assert_eq!((forecast.peak, forecast.bound), (1, Some(2)));
    assert_eq!(forecast.finish_ms, Some(660 * MINUTE));
    assert!(forecast.late.is_empty() && forecast.is_planned);
    assert_eq!(forecast.busy_ms, 100 * MINUTE);
    assert_eq!(forecast.instance_ms, (13 + 63) * MINUTE);
    assert!((forecast.usd - 0.076).abs() < 1e-9);
}

#[test]
fn a_forecast_names_what_will_be_late_in_the_order_in_which_it_ends() {
    let late = |max, budget_usd| {
        let limits = Limits {
            max,
            budget_usd,
            ..LIMITS
        };
        let load = [
            work(7, 0, 60, 61),
            work(5, 0, 90, 91),
            work(9, 0, 60, 111),
            work(2, 0, 20, 200),
            work(4, 0, 20, 90),
        ];
        let forecast = Planner::new().forecast(0, &load, &NONE, &limits);
        (forecast.peak, forecast.late, forecast.finish_ms)
    };
    // Two slots from 1 on: 7 is over at 61, and behind it 9 at 121; 5 is over at
    // 91, and behind it 4 at 111 and 2 at 131.
    assert_eq!(late(1, None), (1, vec![4, 9], Some(131 * MINUTE)));
    assert_eq!(late(2, None).1, [0; 0]);
    // What nothing is started for is late as well, in the order of the queue.
    assert_eq!(late(2, Some(0.0)), (0, vec![5, 7, 9, 4, 2], None));
}
