//! The targets and what was measured against them. A target that is missed is
//! shown as missed; one that needs a workload or a policy which was not
//! simulated is left out.

use serde::Serialize;

use super::{Comparison, Outcome, Section, grouped, percent, span, usd};
use crate::facts::Facts;
use crate::policy::PolicyKind;
use crate::study::{WorkloadKind, repeats};

/// Of the old bill, what the new fleet may cost.
const BILL_SHARE_MAX: f64 = 0.04;
const BUSY_SHARE_MIN: f64 = 0.95;
const FIRST_BUSY_S_MAX: f64 = 35.0;
const PLANNED_S_MAX: f64 = 1.0;
const MAKESPAN_MAX: f64 = 1.05;
const NIGHT_H_MAX: f64 = 8.0;

/// One target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    pub name: &'static str,
    pub wanted: String,
    pub found: String,
    pub is_met: bool,
}

/// The targets, of the planner's outcomes.
pub(crate) fn targets(
    sections: &[Section],
    facts: &Facts,
    comparison: Option<&Comparison>,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for section in sections {
        let planner = section
            .outcomes
            .iter()
            .find(|of| of.policy == PolicyKind::Planner);
        let Some(planner) = planner else { continue };
        match section.workload {
            kind if repeats(kind) => daily(&mut targets, section, planner, facts, comparison),
            WorkloadKind::Quiet => {
                let name = "first busy worker from zero, the queue cold";
                from_zero(&mut targets, name, section, planner);
            }
            WorkloadKind::Hour => hour(&mut targets, planner),
            WorkloadKind::FirstLoad => first_load(&mut targets, section, planner),
            WorkloadKind::Rough => targets.push(deadlines("deadlines of rough days", planner)),
            _ => targets.push(deadlines("deadlines of a holiday", planner)),
        }
    }
    targets
}

fn daily(
    targets: &mut Vec<Target>,
    section: &Section,
    planner: &Outcome,
    facts: &Facts,
    comparison: Option<&Comparison>,
) {
    let from_bill = comparison
        .and_then(|comparison| comparison.fleets.first())
        .map(|fleet| fleet.compared_usd_month);
    let old = from_bill.unwrap_or_else(|| facts.get("fleet.old_tiers_usd_month"));
    let ours = planner.bill.compared_month_usd;
    targets.push(Target {
        name: "bill of crawl and image tiers, by the month",
        wanted: format!("at most {} of {}", percent(BILL_SHARE_MAX), usd(old)),
        found: format!("{}, {}", usd(ours), percent(ours / old)),
        is_met: ours <= old * BILL_SHARE_MAX,
    });
    from_zero(
        targets,
        "first busy worker from zero, unplanned",
        section,
        planner,
    );
    if let Some(first) = planner.first_planned_s {
        let p95 = planner.first_planned_p95_s.unwrap_or(first);
        targets.push(Target {
            name: "queueing of the planned daily run",
            wanted: format!("below {}", span(PLANNED_S_MAX)),
            found: format!("{} at the median, p95 {}", span(first), span(p95)),
            is_met: first < PLANNED_S_MAX,
        });
    }
    targets.push(deadlines("deadlines of every day", planner));
}

fn from_zero(targets: &mut Vec<Target>, name: &'static str, section: &Section, planner: &Outcome) {
    if let Some(first) = planner.first_from_zero_s {
        let alarms = section
            .outcomes
            .iter()
            .find(|of| of.policy == PolicyKind::Alarms);
        let alarms = alarms.and_then(|of| of.first_from_zero_s);
        let apart = alarms.map_or_else(String::new, |s| format!("; by alarms alone {}", span(s)));
        let p95 = planner.first_from_zero_p95_s.unwrap_or(first);
        targets.push(Target {
            name,
            wanted: format!("{} at the median", span(FIRST_BUSY_S_MAX)),
            found: format!("{}, p95 {}{apart}", span(first), span(p95)),
            is_met: first <= FIRST_BUSY_S_MAX,
        });
    }
}

fn hour(targets: &mut Vec<Target>, planner: &Outcome) {
    if let Some(share) = planner.busy_share {
        let (crawl, image) = (planner.crawl_busy_share, planner.image_busy_share);
        targets.push(Target {
            name: "busy share of paid seconds, run of an hour",
            wanted: percent(BUSY_SHARE_MIN),
            found: format!(
                "{}; crawl {}, image {}",
                percent(share),
                percent(crawl.unwrap_or(0.0)),
                percent(image.unwrap_or(0.0))
            ),
            is_met: share >= BUSY_SHARE_MIN,
        });
    }
    if let Some(ratio) = planner.makespan_ratio {
        targets.push(Target {
            name: "makespan over max(longest pipe, total / slots)",
            wanted: format!("{MAKESPAN_MAX:.2}"),
            found: format!("{ratio:.3}"),
            is_met: ratio <= MAKESPAN_MAX,
        });
    }
    targets.push(deadlines("deadlines of the run of an hour", planner));
}

fn first_load(targets: &mut Vec<Target>, section: &Section, planner: &Outcome) {
    let alarms = section
        .outcomes
        .iter()
        .find(|of| of.policy == PolicyKind::Alarms);
    let apart = alarms.map_or_else(String::new, |of| {
        format!("; by alarms alone {}", first_night(of))
    });
    targets.push(Target {
        name: "first load in a night",
        wanted: format!(
            "{} products, {} pipes, {}",
            grouped(section.products as f64),
            grouped(section.pipes as f64),
            span(NIGHT_H_MAX * 3_600.0)
        ),
        found: format!("{}{apart}", first_night(planner)),
        is_met: planner.is_done && planner.finished_h <= NIGHT_H_MAX,
    });
}

/// How long, with how many, for how much.
fn first_night(of: &Outcome) -> String {
    let lines = of.bill.lines.iter();
    let once = lines.filter(|line| !line.name.starts_with("S3 storage"));
    let once: f64 = once.map(|line| line.usd).sum();
    format!(
        "{} with up to {} + {} instances, {} of {} for servers",
        span(of.finished_h * 3_600.0),
        of.crawl_peak,
        of.image_peak,
        usd(of.bill.compared_usd),
        usd(once)
    )
}

/// Of the runs, and of the images that they leave.
fn deadlines(name: &'static str, planner: &Outcome) -> Target {
    let (runs, images) = (
        planner.late_for_nothing(),
        planner.images_late_for_nothing(),
    );
    let found = format!(
        "{runs} missed of {} runs, {images} of their images",
        grouped(planner.runs as f64)
    );
    let anyway = planner.late_anyway + planner.images_late_anyway;
    Target {
        name,
        wanted: "none missed that could be met".to_owned(),
        found: match anyway {
            0 => found,
            anyway => format!("{found}, and {anyway} that nobody could meet"),
        },
        is_met: runs + images == 0 && planner.is_done,
    }
}
