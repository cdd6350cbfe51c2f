//! The report for a terminal.

use std::fmt::Write;

use super::{Outcome, Report, Section, grouped, percent, span, usd};
use crate::study::repeats;

/// The whole report as text.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for section in &report.sections {
        show_section(&mut out, section);
    }
    show_bills(&mut out, report);
    show_comparison(&mut out, report);
    if !report.targets.is_empty() {
        let rows = report.targets.iter().map(|target| {
            let met = if target.is_met { "met" } else { "MISSED" };
            vec![
                target.name.to_owned(),
                target.wanted.clone(),
                target.found.clone(),
                met.to_owned(),
            ]
        });
        table(&mut out, &["target", "wanted", "found", ""], rows.collect());
    }
    out
}

/// Columns that are aligned, the first of them to the left.
fn table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    let head: Vec<String> = head.iter().map(|text| (*text).to_owned()).collect();
    let mut widths = vec![0; head.len()];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in [&head].into_iter().chain(&rows) {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push('\n');
}

fn show_section(out: &mut String, section: &Section) {
    let days = match section.days {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{}: {} pipes, {} products, {days}",
        section.title,
        grouped(section.pipes as f64),
        grouped(section.products as f64)
    );
    let head = [
        "policy",
        "compared",
        "whole bill",
        "instances",
        "busy",
        "slots",
        "lost",
        "again",
        "late",
        "could be met",
        "images late",
        "could be met",
    ];
    let rows = section.outcomes.iter().map(|of| costs(section, of));
    table(out, &head, rows.collect());
    let head = [
        "policy",
        "from zero",
        "p95",
        "planned",
        "p95",
        "95 % wait",
        "makespan",
        "bound",
        "ratio",
        "all done",
    ];
    let rows = section.outcomes.iter().map(times);
    table(out, &head, rows.collect());
}

fn costs(section: &Section, of: &Outcome) -> Vec<String> {
    let share = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), percent);
    let (compared, whole) = match repeats(section.workload) {
        true => (of.bill.compared_month_usd, of.bill.month_usd),
        false => (of.bill.compared_usd, of.bill.total_usd),
    };
    let done = if of.is_done { "" } else { " (not done)" };
    vec![
        format!("{}{done}", of.policy.as_str()),
        usd(compared),
        usd(whole),
        format!("{} + {}", of.crawl_peak, of.image_peak),
        share(of.busy_share),
        share(of.slot_share),
        span(of.lost_h * 3_600.0),
        of.redone.to_string(),
        of.late.to_string(),
        of.late_for_nothing().to_string(),
        of.images_late.to_string(),
        of.images_late_for_nothing().to_string(),
    ]
}

fn times(of: &Outcome) -> Vec<String> {
    let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), span);
    let hours = |value: Option<f64>| seconds(value.map(|h| h * 3_600.0));
    let ratio = |ratio: f64| format!("{ratio:.3}");
    vec![
        of.policy.as_str().to_owned(),
        seconds(of.first_from_zero_s),
        seconds(of.first_from_zero_p95_s),
        seconds(of.first_planned_s),
        seconds(of.first_planned_p95_s),
        format!("up to {}", span(of.wait_p95_s)),
        hours(of.makespan_h),
        hours(of.makespan_bound_h),
        of.makespan_ratio.map_or_else(|| "-".to_owned(), ratio),
        span(of.finished_h * 3_600.0),
    ]
}

/// The planner's bill of each workload, or the last policy's.
fn show_bills(out: &mut String, report: &Report) {
    for section in &report.sections {
        let planner = section
            .outcomes
            .iter()
            .find(|of| of.policy.as_str() == "planner");
        let Some(of) = planner.or(section.outcomes.last()) else {
            continue;
        };
        let monthly = repeats(section.workload);
        let when = if monthly { "a month" } else { "once" };
        let rows = of.bill.lines.iter().map(|line| {
            let amount = if monthly {
                of.bill.month_of(line)
            } else {
                line.usd
            };
            let compared = if line.is_compared { "compared" } else { "" };
            vec![line.name.to_owned(), usd(amount), compared.to_owned()]
        });
        let total = if monthly {
            of.bill.month_usd
        } else {
            of.bill.total_usd
        };
        let total = vec!["all".to_owned(), usd(total), String::new()];
        let title = format!("{}, {}", section.workload.as_str(), of.policy.as_str());
        table(out, &[&title, when, ""], rows.chain([total]).collect());
    }
}

fn show_comparison(out: &mut String, report: &Report) {
    let Some(comparison) = &report.comparison else {
        return;
    };
    let rows = comparison.servers.iter().map(|server| {
        vec![
            server.fleet.clone(),
            server.server.clone(),
            server.instances.to_string(),
            server.kind.clone(),
            server.purchase.clone(),
            usd(server.usd_month),
            if server.is_compared { "compared" } else { "" }.to_owned(),
        ]
    });
    let head = [
        "old bill", "server", "count", "type", "purchase", "a month", "",
    ];
    table(out, &head, rows.collect());
    let ours = usd(comparison.compared_month_usd);
    let rows = comparison.fleets.iter().map(|fleet| {
        vec![
            fleet.fleet.clone(),
            usd(fleet.total_usd_month),
            usd(fleet.compared_usd_month),
            ours.clone(),
            percent(fleet.share),
        ]
    });
    let head = [
        "fleet",
        "all of it",
        "crawl and image",
        comparison.policy.as_str(),
        "share",
    ];
    table(out, &head, rows.collect());
}
