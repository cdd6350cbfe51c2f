//! The report as one page: no script, no file beside it, nothing fetched.

use std::fmt::Write;

use super::chart::{Scale, bars, day};
use super::{Comparison, Outcome, Report, Section, grouped, percent, span, usd};
use crate::policy::PolicyKind;
use crate::study::repeats;

const STYLE: &str = include_str!("page.css");

/// Parts of the compared bill, as they are stacked: colour, and lines.
const PARTS: [(&str, &str, &[&str]); 4] = [
    ("crawl", "crawl instances", &["crawl instances"]),
    ("image", "image instances", &["image instances"]),
    (
        "disk",
        "disks and addresses",
        &["disks of instances", "public IPv4"],
    ),
    ("queue", "SQS", &["SQS"]),
];

/// The whole report as a page.
pub fn html(report: &Report) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "<title>Trawler: what the fleet would do and cost</title><style>{STYLE}</style></head><body><main>"
    );
    let options = &report.options;
    let _ = write!(
        out,
        "<h1>What the fleet would do and cost</h1><p class=\"soft\">Simulated, not measured on AWS: every number that went in is listed with its source at the end. Seed {}; the same command gives the same page.</p>",
        options.seed
    );
    targets(&mut out, report);
    for one in &report.sections {
        section(&mut out, one);
    }
    if let Some(comparison) = &report.comparison {
        compared(&mut out, comparison);
    }
    facts(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

/// Text that may hold what a file said.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn targets(out: &mut String, report: &Report) {
    out.push_str("<div class=\"targets\">");
    for target in &report.targets {
        let (class, word) = match target.is_met {
            true => ("target", "reached"),
            false => ("target missed", "missed"),
        };
        let _ = write!(
            out,
            "<div class=\"{class}\"><b>{}</b><div class=\"found\">{}</div><div class=\"wanted\">{word}; wanted {}</div></div>",
            escaped(target.name),
            escaped(&target.found),
            escaped(&target.wanted)
        );
    }
    out.push_str("</div>");
}

fn section(out: &mut String, section: &Section) {
    let days = if section.days == 1 {
        "one day".to_owned()
    } else {
        format!("{} days", section.days)
    };
    let _ = write!(
        out,
        "<h2>{}</h2><p class=\"soft\">{} pipes, {} products, {days}.</p>",
        escaped(&section.title),
        grouped(section.pipes as f64),
        grouped(section.products as f64)
    );
    let monthly = repeats(section.workload);
    let what = if monthly {
        "Servers, addresses and the queue, a month"
    } else {
        "Servers, addresses and the queue, once"
    };
    let _ = write!(out, "<h3>{what}</h3><div class=\"card\">");
    out.push_str(&bars(
        &section
            .outcomes
            .iter()
            .map(|of| parts(of, monthly))
            .collect::<Vec<_>>(),
    ));
    out.push_str("<div class=\"legend\">");
    for (class, name, _) in PARTS {
        let _ = write!(
            out,
            "<span><i style=\"background:var(--{class})\"></i>{name}</span>"
        );
    }
    out.push_str("</div></div>");
    let _ = write!(
        out,
        "<h3>A day: instances of crawl and image, and open crawl jobs</h3><div class=\"legend\"><span><i style=\"background:var(--crawl)\"></i>crawl instances</span><span><i style=\"background:var(--image)\"></i>image instances</span><span><i style=\"background:var(--jobs)\"></i>open crawl jobs, scale on the right</span></div><div class=\"days\">"
    );
    let scale = Scale::of(&section.outcomes, section.drawn_from_s);
    for of in &section.outcomes {
        let _ = write!(
            out,
            "<figure class=\"card\"><figcaption>{}</figcaption>{}</figure>",
            of.policy.as_str(),
            day(of, &scale)
        );
    }
    out.push_str("</div>");
    figures(out, section);
    bill(out, section, monthly);
}

fn parts(of: &Outcome, monthly: bool) -> (&'static str, Vec<(&'static str, f64)>) {
    let amount = |names: &[&str]| {
        let lines = of
            .bill
            .lines
            .iter()
            .filter(|line| names.contains(&line.name));
        let of_line = |line| {
            if monthly {
                of.bill.month_of(line)
            } else {
                line.usd
            }
        };
        lines.map(of_line).sum::<f64>()
    };
    let parts = PARTS
        .iter()
        .map(|(class, _, names)| (*class, amount(names)));
    (of.policy.as_str(), parts.collect())
}

fn figures(out: &mut String, section: &Section) {
    out.push_str("<h3>Figures</h3><div class=\"card scroll\"><table><tr>");
    let head = [
        "policy",
        "peak, crawl + image",
        "busy of paid seconds",
        "slots in use",
        "first busy from zero",
        "p95",
        "planned",
        "makespan",
        "over its bound",
        "work lost",
        "begun again",
        "deadlines missed",
        "that could be met",
        "images late",
        "that could be met",
        "all done",
    ];
    for name in head {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr>");
    for of in &section.outcomes {
        let seconds = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), span);
        let share = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), percent);
        let cells = [
            format!(
                "{}{}",
                of.policy.as_str(),
                if of.is_done { "" } else { " (not done)" }
            ),
            format!("{} + {}", of.crawl_peak, of.image_peak),
            share(of.busy_share),
            share(of.slot_share),
            seconds(of.first_from_zero_s),
            seconds(of.first_from_zero_p95_s),
            seconds(of.first_planned_s),
            of.makespan_h
                .map_or_else(|| "–".to_owned(), |h| span(h * 3_600.0)),
            of.makespan_ratio
                .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}")),
            span(of.lost_h * 3_600.0),
            of.redone.to_string(),
            grouped(of.late as f64),
            grouped(of.late_for_nothing() as f64),
            grouped(of.images_late as f64),
            grouped(of.images_late_for_nothing() as f64),
            span(of.finished_h * 3_600.0),
        ];
        let class = if of.policy == PolicyKind::Planner {
            " class=\"ours\""
        } else {
            ""
        };
        let _ = write!(out, "<tr{class}>");
        for cell in cells {
            let _ = write!(out, "<td>{}</td>", escaped(&cell));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
}

/// The whole bill, line by line, of every policy.
fn bill(out: &mut String, section: &Section, monthly: bool) {
    let Some(first) = section.outcomes.first() else {
        return;
    };
    let when = if monthly { "a month" } else { "once" };
    let _ = write!(
        out,
        "<h3>The whole bill, {when}</h3><div class=\"card scroll\"><table><tr><th></th>"
    );
    for of in &section.outcomes {
        let _ = write!(out, "<th>{}</th>", of.policy.as_str());
    }
    out.push_str("</tr>");
    for (at, line) in first.bill.lines.iter().enumerate() {
        let _ = write!(out, "<tr><td>{}</td>", escaped(line.name));
        for of in &section.outcomes {
            let line = &of.bill.lines[at];
            let amount = if monthly {
                of.bill.month_of(line)
            } else {
                line.usd
            };
            let _ = write!(out, "<td>{}</td>", usd(amount));
        }
        out.push_str("</tr>");
    }
    out.push_str("<tr class=\"ours\"><td>all</td>");
    for of in &section.outcomes {
        let amount = if monthly {
            of.bill.month_usd
        } else {
            of.bill.total_usd
        };
        let _ = write!(out, "<td>{}</td>", usd(amount));
    }
    out.push_str("</tr></table></div>");
}

fn compared(out: &mut String, comparison: &Comparison) {
    let _ = write!(
        out,
        "<h2>Beside the old bill</h2><p class=\"soft\">Compared are the servers that crawl or make images, with the {}'s instances, disks, addresses and queue: {} a month.</p><div class=\"card scroll\"><table><tr><th>fleet</th><th>all of it</th><th>crawl and image</th><th>share of it</th></tr>",
        comparison.policy.as_str(),
        usd(comparison.compared_month_usd)
    );
    for fleet in &comparison.fleets {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&fleet.fleet),
            usd(fleet.total_usd_month),
            usd(fleet.compared_usd_month),
            percent(fleet.share)
        );
    }
    out.push_str("</table></div><h3>Line by line</h3><div class=\"card scroll\"><table><tr><th>server</th><th>fleet</th><th>count</th><th>type</th><th>purchase</th><th>a month</th><th>compared</th></tr>");
    for server in &comparison.servers {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&server.server),
            escaped(&server.fleet),
            server.instances,
            escaped(&server.kind),
            escaped(&server.purchase),
            usd(server.usd_month),
            if server.is_compared { "yes" } else { "" }
        );
    }
    out.push_str("</table></div>");
}

fn facts(out: &mut String, report: &Report) {
    out.push_str("<details><summary>What was taken for true, and from where</summary><div class=\"card scroll\"><table class=\"facts\"><tr><th>fact</th><th>value</th><th>unit</th><th>source</th><th>as of</th></tr>");
    for (key, fact) in report.facts.iter() {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(key),
            fact.value,
            escaped(&fact.unit),
            escaped(&fact.source),
            escaped(&fact.as_of)
        );
    }
    for of in report.facts.instances() {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>USD an hour on demand, {} spot; {} cores, tier {}, {} interruptions in 1,000 h</td><td>{}</td><td>{}</td></tr>",
            escaped(&of.name),
            of.on_demand,
            of.spot,
            of.cores,
            escaped(&of.tier),
            of.interruptions,
            escaped(&of.source),
            escaped(&of.as_of)
        );
    }
    out.push_str("</table></div></details>");
}
