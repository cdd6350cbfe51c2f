//! What came of a study: figures of each policy, its bill, the targets, and
//! the comparison with an old bill; as text, as data and as a page.

mod bill;
mod chart;
mod html;
mod old;
mod outcome;
mod targets;
mod text;

use serde::Serialize;

pub use bill::{Bill, BillLine};
pub use html::html;
pub use old::{ComparedFleet, Comparison, OldBill, OldServer};
pub use outcome::{Outcome, Sample};
pub use targets::Target;
pub(crate) use targets::targets;
pub use text::text;

use crate::facts::Facts;
use crate::study::{StudyOptions, WorkloadKind};

/// Everything that a study tells.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub options: StudyOptions,
    pub targets: Vec<Target>,
    pub sections: Vec<Section>,
    pub comparison: Option<Comparison>,
    pub facts: Facts,
}

/// One workload under all policies.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    pub workload: WorkloadKind,
    pub title: String,
    pub pipes: u64,
    pub products: u64,
    pub days: u64,
    /// From when on the samples are, for a day.
    pub drawn_from_s: f64,
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// The report with an old bill beside it.
    pub fn beside(mut self, old: &OldBill) -> Self {
        let comparison = Comparison::of(old, &self.sections);
        self.targets = targets(&self.sections, &self.facts, comparison.as_ref());
        self.comparison = comparison;
        self
    }
}

/// `1234567.8` as `1,234,568`.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if number < -0.5 {
        format!("-{shown}")
    } else {
        shown
    }
}

/// Dollars: cents below a thousand.
fn usd(amount: f64) -> String {
    match amount.abs() {
        0.0..1_000.0 => format!("${amount:.2}"),
        _ => format!("${}", grouped(amount)),
    }
}

/// A span of seconds as people read it.
fn span(seconds: f64) -> String {
    match seconds {
        ..1.0 => format!("{seconds:.2} s"),
        1.0..120.0 => format!("{seconds:.0} s"),
        120.0..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
