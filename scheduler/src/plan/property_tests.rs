//! What holds for every decision, whatever the work, the fleet and the bounds.

#![allow(clippy::unwrap_used)]

use super::tests::{HOUR, LIMITS, NONE, decide, in_hand, work};
use super::*;

/// A generator that prints its seed: any case can be played again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn number(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.roll(u64::try_from(to - from + 1).unwrap())).unwrap()
    }
}

fn any_case(dice: &mut Dice) -> (Vec<Work>, Fleet, Limits) {
    let in_service = dice.roll(12) as u32;
    let busy = dice.roll(u64::from(in_service) + 1) as u32;
    let limits = Limits {
        min: dice.roll(3) as u32,
        max: 3 + dice.roll(30) as u32,
        slots: 1 + dice.roll(4) as u32,
        reserve: dice.roll(5) as u32,
        // From nothing to a day of six machines.
        budget_usd: (dice.roll(3) == 0).then(|| dice.roll(100) as f64 / 100.0),
        ..LIMITS
    };
    let held = (busy * limits.slots) as usize;
    let count = dice.roll(60) as usize;
    let load = (0..count)
        .map(|at| {
            let (due, minutes) = (dice.number(-30, 60), dice.number(1, 40));
            let made = work(at as u32, due, minutes, due + dice.number(10, 120));
            if at < held { in_hand(made) } else { made }
        })
        .collect();
    let fleet = Fleet {
        in_service,
        busy,
        booting: dice.roll(4) as u32,
        booted_ms: dice.number(0, 60) * 1_000,
    };
    (load, fleet, limits)
}

#[test]
fn every_decision_keeps_its_bounds() {
    let (mut kept, mut by_budget) = (0, 0);
    for seed in 0..2_000 {
        let (load, fleet, limits) = any_case(&mut Dice(seed));
        let decision = decide(&load, fleet, limits);
        let told = format!("seed {seed}: {decision:?} {fleet:?} {limits:?}");
        let floor = fleet.busy.max(limits.min.min(limits.max));
        assert!(decision.wanted >= floor, "a busy one is taken: {told}");
        assert!(decision.wanted <= limits.max.max(fleet.busy), "{told}");
        let due: Vec<&Work> = load
            .iter()
            .filter(|work| work.in_hand || work.due_ms <= limits.lead_ms())
            .collect();
        if let Some(left) = limits.budget_usd {
            // Each is kept until the longest job is over.
            let longest_ms = due.iter().map(|work| work.expected_ms).max().unwrap_or(0);
            let hours = (limits.boot_ms + longest_ms) as f64 / HOUR as f64;
            let paid = (left / (hours * limits.usd_per_hour)) as u32;
            assert!(decision.wanted <= paid.max(floor), "{paid} {told}");
            if decision.why == Why::Budget {
                assert_eq!(decision.wanted, paid.max(floor), "{told}");
                by_budget += 1;
                continue;
            }
        }
        // What finds work stays.
        let useful = (due.len() as u32).div_ceil(limits.slots);
        let stays = useful.min(fleet.live()).min(limits.max);
        assert!(decision.wanted >= stays, "{told}");
        kept += u32::from(stays > floor);
    }
    assert!(kept > 500 && by_budget > 100, "{kept} {by_budget}");
}

/// One job more, or a fleet that is asked for already, never makes it smaller.
#[test]
fn more_work_never_wants_fewer_and_nothing_is_started_twice() {
    let mut compared = 0;
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let (mut load, fleet, limits) = any_case(&mut dice);
        let before = decide(&load, fleet, limits);
        // A minute later the same is asked: what was started boots, and counts.
        let asked = Fleet {
            booting: before.wanted.saturating_sub(fleet.in_service),
            booted_ms: if fleet.booting > 0 {
                fleet.booted_ms
            } else {
                limits.boot_ms
            },
            in_service: fleet.in_service.min(before.wanted),
            ..fleet
        };
        let again = decide(&load, asked, limits);
        assert!(
            again.wanted <= before.wanted,
            "seed {seed}: {before:?} then {again:?}"
        );
        load.push(work(999, 0, dice.number(1, 40), 90));
        let after = decide(&load, fleet, limits);
        // What lies ahead is due now, nothing is in time anyway, or a longer job
        // has to be paid for.
        let mut is_excused = [before.why, after.why]
            .iter()
            .any(|why| matches!(why, Why::Ahead | Why::Most | Why::Budget));
        // Or the reserve cannot be kept any more: it would take more than there
        // may be.
        let unbound = Limits {
            max: 1_000,
            budget_usd: None,
            ..limits
        };
        is_excused |= decide(&load, fleet, unbound).wanted > limits.max;
        assert!(
            after.wanted >= before.wanted || is_excused,
            "seed {seed}: {before:?} then {after:?}"
        );
        compared += u32::from(!is_excused);
    }
    assert!(compared > 1_000, "{compared}");
}

/// When each job starts on so many new instances, in the order of the queue.
fn starts(load: &[Work], instances: u32, limits: &Limits) -> Vec<i64> {
    let mut free = vec![limits.boot_ms; (instances * limits.slots) as usize];
    let start = |work: &Work| {
        let slot = free.iter_mut().min().unwrap();
        let start = (*slot).max(work.due_ms);
        *slot = start + work.expected_ms;
        start
    };
    load.iter().map(start).collect()
}

/// No smaller fleet does, and this one does, by a check that searches nothing.
#[test]
fn the_answer_is_the_smallest_that_fits() {
    let (mut checked, mut relaxed) = (0, 0);
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let limits = Limits {
            slots: 1 + dice.roll(3) as u32,
            reserve: dice.roll(5) as u32,
            max: if dice.roll(2) == 0 {
                100
            } else {
                2 + dice.roll(6) as u32
            },
            ..LIMITS
        };
        let count = 1 + dice.roll(40) as u32;
        let mut load: Vec<Work> = (0..count)
            .map(|key| {
                let minutes = dice.number(1, 30);
                work(
                    key,
                    dice.number(-5, 1),
                    minutes,
                    minutes + dice.number(2, 60),
                )
            })
            .collect();
        let decision = decide(&load, NONE, limits);
        load.sort_by_key(|work| (work.due_ms, work.deadline_ms - work.upper_ms, work.key));
        let last: Vec<i64> = load.iter().map(|it| it.deadline_ms - it.upper_ms).collect();
        // Half of what it may wait is kept in reserve, at most.
        let with_reserve = load.iter().zip(&last).map(|(it, last)| {
            let may_wait_ms = last - it.due_ms.max(limits.boot_ms);
            last - (it.upper_ms * i64::from(limits.reserve)).min(may_wait_ms / 2)
        });
        let mut latest: Vec<i64> = with_reserve.collect();
        let fits = |instances: u32, latest: &[i64]| {
            let starts = starts(&load, instances, &limits);
            starts
                .iter()
                .zip(latest)
                .all(|(start, latest)| start <= latest)
        };
        let told = format!("seed {seed}: {decision:?} {limits:?}");
        let all = starts(&load, limits.max, &limits);
        if !fits(limits.max, &latest) {
            // No more of the reserve is given up than not even all of them keep.
            for ((latest, last), start) in latest.iter_mut().zip(&last).zip(all) {
                *latest = (*latest).max(start.min(*last));
            }
            if !fits(limits.max, &latest) {
                assert_eq!(decision.why, Why::Most, "{told}");
                continue;
            }
            relaxed += 1;
        }
        assert_eq!(decision.why, Why::Deadline, "{told}");
        assert!(fits(decision.wanted, &latest), "{told}");
        if decision.wanted > 1 {
            assert!(!fits(decision.wanted - 1, &latest), "{told}");
            checked += 1;
        }
    }
    assert!(checked > 1_000 && relaxed > 20, "{checked} {relaxed}");
}

/// A day of 5,000 pipes is decided quickly enough to be simulated by the
/// thousand; generous, since tests are not optimised.
#[test]
fn a_decision_of_5000_pipes_takes_milliseconds() {
    let mut dice = Dice(1);
    let load: Vec<Work> = (0..5_000)
        .map(|key| work(key, 0, dice.number(1, 20), 60))
        .collect();
    let limits = Limits {
        max: 1_000,
        ..LIMITS
    };
    let mut planner = Planner::new();
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        let decision = planner.decide(0, &load, &NONE, &limits);
        assert_eq!(decision.why, Why::Deadline);
    }
    let each = begun.elapsed() / 10;
    println!("a decision of 5,000 pipes took {each:?}");
    assert!(each.as_millis() < 200, "{each:?}");
}
