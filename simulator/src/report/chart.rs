//! Plots as inline SVG: a day of one policy, and bars of what all cost. Colours
//! come from the page's style sheet, so that they follow light and dark.

use std::fmt::Write;

use super::{Outcome, Sample, grouped, usd};

/// Of a plot, in units of its own.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 52.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 22.0;
const DAY_S: f64 = 86_400.0;

/// The axes that the plots of a section share, so that they can be compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) from_s: f64,
    pub(super) instances: f64,
    pub(super) jobs: f64,
}

impl Scale {
    pub(super) fn of(outcomes: &[Outcome], from_s: f64) -> Self {
        let samples = || outcomes.iter().flat_map(|of| &of.samples);
        let instances = samples()
            .map(|at| at.crawl_instances + at.image_instances)
            .max();
        let jobs = samples().map(|at| at.crawl_jobs).max();
        Self {
            from_s,
            instances: nice(f64::from(instances.unwrap_or(0))),
            jobs: nice(jobs.unwrap_or(0) as f64),
        }
    }

    fn x(&self, at_s: f64) -> f64 {
        let share = ((at_s - self.from_s) / DAY_S).clamp(0.0, 1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }
}

fn y(value: f64, most: f64) -> f64 {
    TOP + (1.0 - value / most) * (HEIGHT - TOP - BOTTOM)
}

/// The next fair number above whose half is whole.
fn nice(most: f64) -> f64 {
    const STEPS: [f64; 10] = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0];
    let most = most.max(2.0);
    let power = 10_f64.powf(most.log10().floor());
    let steps = STEPS
        .iter()
        .chain(&[10.0])
        .map(|step| (step * power).round());
    let mut fair = steps.filter(|step| step % 2.0 == 0.0);
    fair.find(|step| *step >= most).unwrap_or(most)
}

/// A day: instances as areas, crawl jobs that are open as a line.
pub(super) fn day(of: &Outcome, scale: &Scale) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"instances and open crawl jobs of {} over a day\">",
        of.policy.as_str()
    );
    axes(&mut svg, scale);
    let crawl = |at: &Sample| f64::from(at.crawl_instances);
    let both = |at: &Sample| f64::from(at.crawl_instances + at.image_instances);
    let zero = |_: &Sample| 0.0;
    area(&mut svg, &of.samples, scale, "image", crawl, both);
    area(&mut svg, &of.samples, scale, "crawl", zero, crawl);
    let line = steps(&of.samples, scale, scale.jobs, |at| at.crawl_jobs as f64);
    // Writing to a string does not fail.
    let _ = write!(
        svg,
        "<polyline class=\"jobs\" points=\"{}\"/>",
        points(&line)
    );
    svg.push_str("</svg>");
    svg
}

fn axes(svg: &mut String, scale: &Scale) {
    for share in [0.0, 0.5, 1.0] {
        let at = y(share, 1.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text class=\"axis jobs-axis\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            grouped(scale.instances * share),
            WIDTH - RIGHT + 6.0,
            at + 4.0,
            grouped(scale.jobs * share),
        );
    }
    for hour in (0..=24).step_by(4) {
        let at = scale.x(scale.from_s + f64::from(hour) * 3_600.0);
        let _ = write!(
            svg,
            "<text class=\"axis\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{hour}:00</text>",
            HEIGHT - 6.0
        );
    }
}

/// A value that stays until it changes.
fn steps(
    samples: &[Sample],
    scale: &Scale,
    most: f64,
    value: impl Fn(&Sample) -> f64,
) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for sample in samples {
        let (x, at) = (scale.x(sample.at_s), y(value(sample), most));
        if let Some((_, before)) = points.last().copied() {
            if (before - at).abs() < 0.05 {
                continue;
            }
            points.push((x, before));
        }
        points.push((x, at));
    }
    if let Some((_, last)) = points.last().copied() {
        points.push((WIDTH - RIGHT, last));
    }
    points
}

fn area(
    svg: &mut String,
    samples: &[Sample],
    scale: &Scale,
    class: &str,
    from: impl Fn(&Sample) -> f64,
    to: impl Fn(&Sample) -> f64,
) {
    let mut outline = steps(samples, scale, scale.instances, to);
    let mut below = steps(samples, scale, scale.instances, from);
    below.reverse();
    outline.extend(below);
    let _ = write!(
        svg,
        "<polygon class=\"{class}\" points=\"{}\"/>",
        points(&outline)
    );
}

fn points(of: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (x, y) in of {
        let _ = write!(text, "{x:.1},{y:.1} ");
    }
    text.trim_end().to_owned()
}

/// What each policy costs, in the parts that an old bill is compared with.
pub(super) fn bars(rows: &[(&str, Vec<(&'static str, f64)>)]) -> String {
    const ROW: f64 = 30.0;
    const NAMES: f64 = 118.0;
    const FULL: f64 = 720.0;
    const AMOUNTS: f64 = 90.0;
    let sum = |parts: &[(&str, f64)]| parts.iter().map(|(_, usd)| usd).sum::<f64>();
    let most = rows
        .iter()
        .map(|(_, parts)| sum(parts))
        .fold(0.01, f64::max);
    let height = ROW * rows.len() as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {FULL} {height}\" role=\"img\" aria-label=\"what each policy costs\">"
    );
    for (at, (name, parts)) in rows.iter().enumerate() {
        let top = at as f64 * ROW;
        let _ = write!(
            svg,
            "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            NAMES - 10.0,
            top + 19.0
        );
        let mut left = NAMES;
        for (class, amount) in parts {
            let width = amount / most * (FULL - NAMES - AMOUNTS);
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"18\"><title>{class} {}</title></rect>",
                top + 5.0,
                usd(*amount)
            );
            left += width;
        }
        let _ = write!(
            svg,
            "<text class=\"amount\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left + 8.0,
            top + 19.0,
            usd(sum(parts))
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_numbers_that_can_be_halved() {
        let found = [0.0, 3.0, 17.0, 41.0, 60.0, 104.0, 4_321.0].map(nice);
        assert_eq!(found, [2.0, 4.0, 20.0, 50.0, 60.0, 120.0, 5_000.0]);
    }

    #[test]
    fn a_value_stays_until_it_changes() {
        let sample = |at_s, crawl_instances| Sample {
            at_s,
            crawl_instances,
            image_instances: 0,
            crawl_jobs: 0,
            image_jobs: 0,
        };
        let scale = Scale {
            from_s: 0.0,
            instances: 2.0,
            jobs: 2.0,
        };
        let samples = [sample(0.0, 0), sample(43_200.0, 2)];
        let found = steps(&samples, &scale, 2.0, |at| f64::from(at.crawl_instances));
        // Down at the left, up in the middle, to the right.
        let expected = [(44.0, 128.0), (276.0, 128.0), (276.0, 10.0), (508.0, 10.0)];
        assert_eq!(found, expected);
    }
}
