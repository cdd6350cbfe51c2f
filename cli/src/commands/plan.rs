//! `trawler plan`: how many machines the work ahead needs, until when, and for
//! how much. Changes nothing.

use chrono::{DateTime, TimeDelta, Utc};
use trawler_scheduler::{GroupPlan, Level, PlanReport};

use crate::args::PlanArgs;
use crate::compose::{Machine, plan_options};
use crate::config::{Imds, Loaded};
use crate::end::End;
use crate::output;

/// Lines of a chart; with more changes each line is a span of time.
const LINES_MAX: usize = 30;

/// Columns of the longest bar.
const BAR_COLUMNS: u32 = 40;

/// Pipes that are named when they are late.
const LATE_SHOWN: usize = 10;

pub(crate) async fn run(mut loaded: Loaded, args: &PlanArgs, as_json: bool) -> anyhow::Result<End> {
    // Whoever asks is no instance of a group.
    loaded.config.notices.imds = Imds::No;
    let loaded = &loaded;
    let machine = Machine::open(loaded).await?;
    let groups = machine.capacity(loaded).await?;
    let scheduler = machine.scheduler(loaded, groups.as_ref());
    let ahead = TimeDelta::hours(args.hours.into());
    let options = plan_options(&loaded.config);
    let report = scheduler.plan_ahead(&options, ahead, args.max).await?;
    if as_json {
        output::json(&report)?;
    } else {
        show(&report);
    }
    Ok(End::Done)
}

fn show(report: &PlanReport) {
    say!(
        "from {} to {} UTC: {} run(s), {} of them without a past",
        minute(report.now),
        minute(report.until),
        report.runs,
        report.runs_without_past
    );
    for group in &report.groups {
        say!("");
        show_group(group, report);
    }
    say!("");
    let budget = match report.usd_per_day {
        Some(day) => format!("; of ${day:.2} a day ${:.2} are spent", report.spent_usd),
        None => String::new(),
    };
    say!("cost     ${:.2}{budget}", report.usd);
}

fn show_group(group: &GroupPlan, report: &PlanReport) {
    let queue = group.queue.as_str();
    if !group.planned {
        say!(
            "{queue:<8} no plan: most of what is due has no past, the alarms on the queues decide"
        );
        return;
    }
    if group.peak == 0 && group.finish.is_none() && group.late.is_empty() {
        say!("{queue:<8} no machine: nothing is due");
        return;
    }
    let busy = group.busy_share.map_or(String::new(), |share| {
        format!(", busy {:.0}%", share.min(1.0) * 100.0)
    });
    say!(
        "{queue:<8} {} of at most {} machine(s), {:.1} hour(s) of them{busy}, ${:.2}",
        group.peak,
        group.max,
        group.instance_hours,
        group.usd
    );
    let told = match group.boot_measured {
        true => "as machines told",
        false => "by plan.boot_s",
    };
    say!("start    {:.0} s, {told}", group.boot_s);
    if let Some(finish) = group.finish {
        let bound = group
            .bound
            .as_ref()
            .map_or(String::new(), |pipe| format!(", bounded by pipe {pipe}"));
        say!("over     {}{bound}", minute(finish));
    }
    if !group.late.is_empty() {
        let named = group.late.iter().take(LATE_SHOWN);
        let named: Vec<String> = named.map(ToString::to_string).collect();
        let more = group.late.len().saturating_sub(LATE_SHOWN);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        say!("late     {}{more}", named.join(", "));
    }
    for line in chart(&group.instances, group.peak, report.until) {
        say!("{line}");
    }
}

/// A line for each change, or for each span of time, with the most machines in
/// it.
fn chart(levels: &[Level], peak: u32, until: DateTime<Utc>) -> Vec<String> {
    let spans = match (levels.first(), levels.last()) {
        (Some(first), Some(last)) if levels.len() > LINES_MAX => {
            let each = (last.at.max(until) - first.at) / LINES_MAX as i32;
            let starts = (0..LINES_MAX as i32).map(|at| first.at + each * at);
            starts
                .map(|from| Level {
                    at: from,
                    instances: most(levels, from, from + each),
                })
                .collect()
        }
        _ => levels.to_vec(),
    };
    let line = |level: &Level| {
        let columns = (level.instances * BAR_COLUMNS).div_ceil(peak.max(1));
        let bar = "#".repeat(columns as usize);
        let text = format!("{} {:>5} {bar}", minute(level.at), level.instances);
        text.trim_end().to_owned()
    };
    spans.iter().map(line).collect()
}

/// The most machines at any time of a span.
fn most(levels: &[Level], from: DateTime<Utc>, to: DateTime<Utc>) -> u32 {
    let before = levels.iter().rev().find(|level| level.at <= from);
    let within = levels
        .iter()
        .filter(|level| level.at > from && level.at < to);
    let counts = before
        .into_iter()
        .chain(within)
        .map(|level| level.instances);
    counts.max().unwrap_or(0)
}

fn minute(at: DateTime<Utc>) -> String {
    at.format("%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn levels(steps: &[(i64, u32)]) -> Vec<Level> {
        let level = |(minute, instances): &(i64, u32)| Level {
            at: at(*minute),
            instances: *instances,
        };
        steps.iter().map(level).collect()
    }

    #[test]
    fn each_change_is_a_line() {
        let found = chart(&levels(&[(0, 0), (58, 2), (71, 1), (90, 0)]), 2, at(100));
        let bar = "#".repeat(40);
        assert_eq!(
            found,
            [
                "01-01 00:00     0".to_owned(),
                format!("01-01 00:58     2 {bar}"),
                format!("01-01 01:11     1 {}", &bar[..20]),
                "01-01 01:30     0".to_owned(),
            ]
        );
    }

    #[test]
    fn many_changes_are_spans_with_their_most() {
        let steps: Vec<(i64, u32)> = (0..300).map(|at| (at, u32::from(at == 155) * 9)).collect();
        let found = chart(&levels(&steps), 9, at(300));
        assert_eq!(found.len(), LINES_MAX);
        let tall: Vec<&String> = found.iter().filter(|line| line.contains('#')).collect();
        assert_eq!(tall.len(), 1);
        assert!(tall[0].starts_with("01-01 02:30     9 "), "{tall:?}");
    }
}
