//! Worlds of one or two runs, whose every instant is reckoned by hand.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::time::SECOND;
use crate::workload::Trace;

/// Every launch takes 31 s (4 + 17 + 10), metrics of a cold queue come at once,
/// spot takes nothing back by itself, and what goes wrong on rough days is a
/// wave at one in the night that takes all.
const CALM: [(&str, f64); 8] = [
    ("latency.launch_spread.value", 0.0),
    ("latency.metric_cold_max_s.value", 0.0),
    (UNANNOUNCED, 0.0),
    ("fleet.image_backlog.value", 1_000.0),
    (DRY_S, 0.0),
    (WAVE_AT_S, 3_600.0),
    (WAVE_SHARE, 1.0),
    (SPOT, 0.0),
];
const UNANNOUNCED: &str = "latency.spot_unannounced_share.value";
const DRY_S: &str = "rough.dry_s.value";
const WAVE_AT_S: &str = "rough.wave_at_s.value";
const WAVE_SHARE: &str = "rough.wave_share.value";
const SPOT: &str = "instance.\"c6g.large\".interruptions";
/// One type of each group.
const TYPES: &str = "
instance.\"c6g.xlarge\".interruptions = 0
instance.\"m6g.large\".leave_out = true
instance.\"c7g.large\".leave_out = true
instance.\"m6g.xlarge\".leave_out = true
instance.\"c7g.xlarge\".leave_out = true
";
const COLUMNS: &str = "pipe,at,seconds,kind,planned,deadline,images,images_per_s";

/// The calm facts with some of them changed.
fn calm_but(changes: &[(&'static str, f64)]) -> Facts {
    let mut values = BTreeMap::from(CALM);
    values.extend(changes.iter().copied());
    let lines = values
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"));
    let text: String = lines.collect();
    Facts::overridden(&format!("{text}{TYPES}"), "calm.toml").unwrap()
}

struct Case<'a> {
    kind: PolicyKind,
    facts: Facts,
    lines: &'a [&'a str],
    is_rough: bool,
    /// Whether each run was there three times before.
    has_past: bool,
}

fn play(case: &Case<'_>) -> Ended {
    let text = [&[COLUMNS], case.lines].concat().join("\n");
    let workload = Workload::Trace(Trace::read(&text, "t.csv").unwrap());
    let past: Arc<[RunLoad]> = workload.day(0).into();
    let history = match case.has_past {
        true => vec![past; 3],
        false => Vec::new(),
    };
    run(&Setting {
        facts: &case.facts,
        workload: &workload,
        history: &history,
        kind: case.kind,
        seed: 7,
        fixed: [1, 1],
        weather: case.is_rough.then(|| Weather::rough(&case.facts)),
        drawn: (0, DAY),
    })
}

fn rough(kind: PolicyKind, facts: Facts, lines: &[&str]) -> Ended {
    play(&Case {
        kind,
        facts,
        lines,
        is_rough: true,
        has_past: false,
    })
}

fn planned(lines: &[&str], has_past: bool) -> Ended {
    planned_with(calm_but(&[]), lines, has_past)
}

fn planned_with(facts: Facts, lines: &[&str], has_past: bool) -> Ended {
    play(&Case {
        kind: PolicyKind::Planner,
        facts,
        lines,
        is_rough: false,
        has_past,
    })
}

/// Two hours, due at midnight.
const FEED: &str = "a,2026-11-01T00:00:00Z,7200,feed,true,,,";
const SITE: &str = "a,2026-11-01T00:00:00Z,7200,site,true,,,";
/// Its images take an hour of their host: 36,000 at 10 a second.
const IMAGES: &str = "a,2026-11-01T00:00:00Z,1,feed,true,,36000,10";

#[test]
fn a_wave_takes_instances_back_and_their_jobs_begin_again() {
    let check = |line, unannounced, redone, lost_s: u64, last_ms| {
        let facts = calm_but(&[(UNANNOUNCED, unannounced)]);
        let ended = rough(PolicyKind::Keda, facts, &[line]);
        let (tally, crawl) = (&ended.tally, &ended.groups[0]);
        assert!(ended.is_done && tally.runs_done == 1, "{line}");
        assert_eq!((crawl.interruptions, crawl.launches), (1, 2), "{line}");
        let found = (tally.redone, tally.lost_ms, ended.last_at);
        assert_eq!(found, (redone, lost_s * SECOND, last_ms), "{line}");
        // The wave cut off what was received first.
        let worked = (7_200 + lost_s) * SECOND + 30;
        assert_eq!(tally.slot_ms, worked, "{line}");
    };
    // In hand from 31 s to 3,600 s. The next instance polls at 3,631 s, when
    // the message is visible already; and so it begins all 7,200 s again.
    check(FEED, 0.0, 1, 3_569, 10_831_030);
    // The site goes on: 7,200 - 3,569 s are left.
    check(SITE, 0.0, 0, 0, 7_262_030);
    // Without a notice the message is hidden until 300 s after the lease was
    // renewed last, 23 x 150 s after 31 s: until 3,781 s.
    check(FEED, 1.0, 1, 3_569, 10_981_030);
    // Its last checkpoint was 29 s ago, 119 x 30 s after it began.
    check(SITE, 1.0, 1, 29, 7_441_030);
}

#[test]
fn a_wave_comes_every_day_and_takes_its_share_of_spot_alone() {
    let next = "a,2026-11-02T00:00:00Z,7200,feed,true,,,";
    let check = |kind, facts, interruptions| {
        let ended = rough(kind, facts, &[FEED, next]);
        let found: u64 = ended.groups.iter().map(|of| of.interruptions).sum();
        assert_eq!(found, interruptions, "{}", kind.as_str());
        assert_eq!(ended.tally.redone, interruptions);
        assert_eq!(ended.tally.runs_done, 2);
        if interruptions == 0 {
            assert_eq!((ended.tally.lost_ms, ended.tally.late), (0, 0));
        }
    };
    check(PolicyKind::Keda, calm_but(&[]), 2);
    check(PolicyKind::Keda, calm_but(&[(WAVE_SHARE, 0.0)]), 0);
    check(PolicyKind::AlwaysOn, calm_but(&[]), 0);
}

#[test]
fn while_it_is_dry_nobody_starts() {
    let check = |kind, dry_s, first_ms| {
        // Dry from midnight on; the wave is after the run.
        let facts = calm_but(&[("rough.dry_at_s.value", 0.0), (DRY_S, dry_s)]);
        let line = "a,2026-11-01T00:00:00Z,600,feed,true,,,";
        let ended = rough(kind, facts, &[line]);
        assert_eq!(ended.tally.first_planned, [first_ms], "{}", kind.as_str());
        assert_eq!(ended.last_at, Ms::from(first_ms) + 600 * SECOND);
    };
    check(PolicyKind::Keda, 0.0, 31_030);
    // 31 s after twenty past midnight.
    check(PolicyKind::Keda, 1_200.0, 1_231_030);
    // What is on demand is always to be had.
    check(PolicyKind::AlwaysOn, 1_200.0, 31_030);
}

#[test]
fn images_are_late_where_an_instance_is_taken_back_under_them() {
    let check = |unannounced, share, redone, lost_s: u64, last_s: u64| {
        let facts = calm_but(&[
            (WAVE_AT_S, 1_800.0),
            (WAVE_SHARE, share),
            (UNANNOUNCED, unannounced),
        ]);
        let ended = rough(PolicyKind::Keda, facts, &[IMAGES]);
        let tally = &ended.tally;
        let found = (tally.redone, tally.lost_ms, ended.last_at);
        assert_eq!(found, (redone, lost_s * SECOND, last_s * SECOND));
        // By its host's rate all was there within the hour, if only just.
        assert_eq!((tally.images_late, tally.images_late_anyway), (1, 0));
    };
    // The run ends at 32.03 s and wants its images an hour later. They begin
    // at 91 s, after a look at 60 s, and are 59 s late as it is.
    check(0.0, 0.0, 0, 0, 3_691);
    // Taken back at 1,800 s, gone on with at 1,831 s.
    check(0.0, 1.0, 0, 0, 3_722);
    // Half of the job in hand, 50 images at 10 a second, is fetched again.
    check(1.0, 1.0, 1, 5, 3_722);
}

#[test]
fn spot_takes_back_by_itself_as_often_as_its_type_says() {
    // A week's work at one interruption in ten hours.
    let line = "a,2026-11-01T00:00:00Z,604800,site,true,,,";
    let play = |kind| {
        play(&Case {
            kind,
            facts: calm_but(&[(SPOT, 100.0)]),
            lines: &[line],
            is_rough: false,
            has_past: false,
        })
    };
    // Of the week, the day of the trace and the three that there are to finish
    // are played: 9.6 are to be expected.
    let spot = play(PolicyKind::Keda);
    assert!(!spot.is_done);
    let found = spot.groups[0].interruptions;
    assert!((4..=18).contains(&found), "{found}");
    assert_eq!(spot.groups[0].launches, found + 1);
    assert_eq!(play(PolicyKind::AlwaysOn).groups[0].interruptions, 0);
}

#[test]
fn who_is_there_decides_what_the_first_busy_worker_tells() {
    let unplanned = "a,2026-11-01T01:00:00Z,600,feed,false,,,";
    // Asked for at any second, sent at the next tick: 01:12.
    let later = "b,2026-11-01T01:11:10Z,600,feed,false,,,";
    let ended = rough(
        PolicyKind::Keda,
        calm_but(&[(WAVE_SHARE, 0.0)]),
        &[unplanned, later],
    );
    assert_eq!(ended.tally.first_from_zero, [31_030]);
    assert!(ended.tally.first_planned.is_empty());
    // The second finds a worker and is counted for neither.
    assert_eq!(ended.last_at, 72 * MINUTE + 600 * SECOND + 30);
}

#[test]
fn the_planner_has_an_instance_there_when_a_run_that_it_knows_is_due() {
    let known = "a,2026-11-01T01:00:00Z,600,feed,true,2026-11-01T01:12:00Z,,";
    let check = |boot_s, paid_s: u64| {
        let facts = calm_but(&[("latency.boot_s.value", boot_s)]);
        let ended = planned_with(facts, &[known], true);
        assert_eq!(ended.tally.first_planned, [30], "{boot_s}");
        assert_eq!((ended.tally.late, ended.groups[0].launches), (0, 1));
        assert_eq!(ended.groups[0].paid_ms, paid_s * SECOND, "{boot_s}");
        assert_eq!(ended.groups[0].busy_ms, 600 * SECOND + 30);
        assert_eq!(ended.groups[1].launches, 0);
    };
    // Asked for by the last look from which 31 s end before the due instant,
    // 00:59, it runs from 00:59:21. The run is over at 01:10:00.03, and the
    // look of 01:11 wants nobody any more.
    check(10.0, 11 * 60 + 39);
    // Of 91 s until it polls, a look earlier: it runs from 00:58:21.
    check(70.0, 12 * 60 + 39);
}

#[test]
fn the_planner_gives_no_slot_away_that_has_a_job_in_hand() {
    let lines = [
        "a,2026-11-01T01:00:00Z,7200,feed,true,,,",
        "b,2026-11-01T01:00:00Z,7200,feed,true,,,",
        "c,2026-11-01T02:00:00Z,600,feed,true,2026-11-01T02:12:00Z,,",
    ];
    let ended = planned(&lines, true);
    // Two slots are in hand at 02:00; the third run needs another instance.
    assert_eq!((ended.tally.late, ended.groups[0].peak), (0, 2));
}

#[test]
fn the_planner_does_not_see_what_nobody_knows_of() {
    let asked = "a,2026-11-01T01:00:00Z,600,feed,false,2026-11-01T01:12:00Z,,";
    let ended = planned(&[asked], true);
    assert_eq!(ended.tally.first_from_zero, [31_030]);
    assert_eq!(ended.last_at, 3_600 * SECOND + 31_030 + 600 * SECOND);
}

#[test]
fn the_planner_starts_image_workers_for_the_images_of_a_run() {
    // 30,000 at 10 a second: 50 minutes of the hour that they have.
    let line = "a,2026-11-01T01:00:00Z,600,feed,true,2026-11-01T01:12:00Z,30000,10";
    let ended = planned(&[line], true);
    // The run is over just after the look of 01:10. That of 01:11 asks, and
    // the worker is there 31 s later.
    assert_eq!(ended.last_at, (71 * 60 + 31 + 3_000) * SECOND);
    assert_eq!((ended.tally.images_late, ended.groups[1].launches), (0, 1));
}

#[test]
fn without_a_past_the_alarms_decide_about_both_groups() {
    let images = "a,2026-11-01T01:00:00Z,600,feed,true,2026-11-01T02:00:00Z,30000,10";
    let long = ["b", "c", "d"].map(|pipe| format!("{pipe},2026-11-01T01:00:00Z,9000,feed,true,,,"));
    let [b, c, d] = &long;
    let ended = planned(&[images, b, c, d], false);
    // Two data points, of 01:00 and 01:01, the second of which is seen at
    // 01:02; an instance boots for 31 s.
    assert_eq!(ended.tally.first_planned, [151_030]);
    // The run ends at 01:12:31.03. The points of 01:13 and 01:14 are seen by
    // 01:15, the worker is there at 01:15:31, where the planner, which asks at
    // once, would have it at 01:13:31.
    assert_eq!(ended.tally.image_tail, (75 * 60 + 31 + 3_000) * SECOND);
}
