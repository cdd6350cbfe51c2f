//! A study: workloads run under policies, each in a world of its own, and what
//! came of it as figures, a bill and the targets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::facts::Facts;
use crate::model::weather::Weather;
use crate::policy::PolicyKind;
use crate::report::{Outcome, Report, Section, targets};
use crate::time::{DAY, HOUR, Ms, seconds};
use crate::workload::{Generated, RunLoad, Shape, Trace, Workload};
use crate::world::{self, Setting};

/// Pipes and days that a study may have: what its memory and a person's
/// patience are for.
pub const STUDY_PIPES_MAX: u32 = 50_000;
pub const STUDY_DAYS_MAX: u64 = 1_000;

/// Days before the first, whose runs the planner knows.
const HISTORY_DAYS: u64 = 3;
/// What the fixed fleets are sized for: the night's work in so long.
const FIXED_WITHIN_S: f64 = 4.0 * 3_600.0;
/// And so much beyond it, for what is uneven.
const FIXED_MARGIN: f64 = 1.15;
/// Rough days that are simulated at most.
const ROUGH_DAYS: u64 = 30;
/// Of a study of many days, the one that is drawn.
const DRAWN_DAY: u64 = 1;

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Each pipe once a day, with a peak in the night.
    Daily,
    /// The daily workload with a day on which everything happens many times.
    Holiday,
    /// The daily workload with runs that take several times as long as they
    /// should, no instances to be had, and many taken back at once.
    Rough,
    /// Two runs a day that nobody knew of, so that the queue goes cold.
    Quiet,
    /// All pipes due at once, to be done in an hour.
    Hour,
    /// All products and all their images, for the first time.
    FirstLoad,
    /// What a trace says.
    Trace,
}

impl WorkloadKind {
    pub const GENERATED: [Self; 6] = [
        Self::Daily,
        Self::Holiday,
        Self::Rough,
        Self::Quiet,
        Self::Hour,
        Self::FirstLoad,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Holiday => "holiday",
            Self::Rough => "rough",
            Self::Quiet => "quiet",
            Self::Hour => "hour",
            Self::FirstLoad => "first-load",
            Self::Trace => "trace",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Daily => "Every day, with a peak in the night",
            Self::Holiday => "A holiday burst",
            Self::Rough => "Rough days: long runs, no instances, many taken back at once",
            Self::Quiet => "Two runs a day that nobody knew of: the queue is cold",
            Self::Hour => "Everything due at once, an hour of work",
            Self::FirstLoad => "The first load, in a night",
            Self::Trace => "The trace",
        }
    }
}

impl std::str::FromStr for WorkloadKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::GENERATED
            .into_iter()
            .find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::GENERATED.iter().map(|kind| kind.as_str()).collect();
            format!(
                "there is no workload {text:?}; there are {}",
                names.join(", ")
            )
        })
    }
}

/// How large a study is.
#[derive(Debug, Clone, Serialize)]
pub struct StudyOptions {
    pub pipes: u32,
    pub products: u64,
    /// Of the daily workload.
    pub days: u64,
    pub seed: u64,
    /// How often everything happens on the holiday.
    pub burst: u64,
    pub policies: Vec<PolicyKind>,
    /// Passed over where there is a trace.
    pub workloads: Vec<WorkloadKind>,
}

impl Default for StudyOptions {
    fn default() -> Self {
        Self {
            pipes: 5_000,
            products: 300_000_000,
            days: 30,
            seed: 7,
            burst: 10,
            policies: PolicyKind::ALL.to_vec(),
            workloads: WorkloadKind::GENERATED.to_vec(),
        }
    }
}

/// What is to be simulated.
#[derive(Debug)]
pub struct Study {
    options: StudyOptions,
    facts: Facts,
    trace: Option<Trace>,
}

impl Study {
    pub fn new(options: StudyOptions, facts: Facts, trace: Option<Trace>) -> Self {
        Self {
            options,
            facts,
            trace,
        }
    }

    /// Runs everything; the same study gives the same report.
    pub fn run(&self) -> Report {
        let kinds = match self.trace {
            Some(_) => vec![WorkloadKind::Trace],
            None => self.options.workloads.clone(),
        };
        let sections: Vec<Section> = kinds.into_iter().map(|kind| self.section(kind)).collect();
        Report {
            options: self.options.clone(),
            targets: targets(&sections, &self.facts, None),
            sections,
            comparison: None,
            facts: self.facts.clone(),
        }
    }

    fn workload(&self, kind: WorkloadKind) -> Workload {
        let StudyOptions {
            pipes,
            products,
            days,
            seed,
            burst,
            ..
        } = self.options;
        let made = |shape| Generated::new(&self.facts, shape, pipes, products, seed);
        match kind {
            WorkloadKind::Daily => Workload::Generated(made(Shape::Daily).for_days(days)),
            WorkloadKind::Holiday => {
                let holiday = made(Shape::Daily).for_days(3);
                Workload::Generated(holiday.with_holiday(Some(DRAWN_DAY), burst))
            }
            WorkloadKind::Rough => {
                let daily = made(Shape::Daily).with_outliers(&self.facts);
                Workload::Generated(daily.for_days(days.min(ROUGH_DAYS)))
            }
            WorkloadKind::Quiet => Workload::Generated(made(Shape::Quiet).for_days(days)),
            WorkloadKind::Hour => Workload::Generated(made(Shape::Hour)),
            WorkloadKind::FirstLoad => Workload::Generated(made(Shape::FirstLoad)),
            WorkloadKind::Trace => {
                let trace = self
                    .trace
                    .as_ref()
                    .expect("there is one where it is asked for");
                Workload::Trace(trace.clone())
            }
        }
    }

    fn section(&self, kind: WorkloadKind) -> Section {
        let workload = self.workload(kind);
        let history = match kind {
            // Days that nobody simulates, and their noise.
            WorkloadKind::Quiet => Self::past(&self.workload(WorkloadKind::Daily)),
            WorkloadKind::Daily
            | WorkloadKind::Holiday
            | WorkloadKind::Rough
            | WorkloadKind::Hour => Self::past(&workload),
            WorkloadKind::FirstLoad | WorkloadKind::Trace => Vec::new(),
        };
        let days = workload.days();
        let drawn_day = DRAWN_DAY.min(days - 1);
        let fixed = fixed_fleet(&self.facts, &workload, drawn_day, kind);
        let weather = (kind == WorkloadKind::Rough).then(|| Weather::rough(&self.facts));
        let from = drawn_day * DAY;
        let run = |policy: &PolicyKind| {
            let ended = world::run(&Setting {
                facts: &self.facts,
                workload: &workload,
                history: &history,
                kind: *policy,
                seed: self.options.seed,
                fixed,
                weather,
                drawn: (from, from + DAY),
            });
            Outcome::of(*policy, &ended, &workload, &self.facts)
        };
        Section {
            workload: kind,
            title: kind.title().to_owned(),
            pipes: workload.pipes() as u64,
            products: workload.rows(),
            days,
            drawn_from_s: seconds(from),
            outcomes: self.options.policies.iter().map(run).collect(),
        }
    }

    fn past(workload: &Workload) -> Vec<Arc<[RunLoad]>> {
        let days = STUDY_DAYS_MAX + 1..=STUDY_DAYS_MAX + HISTORY_DAYS;
        days.map(|day| workload.day(day).into()).collect()
    }
}

/// Instances that do a day's planned work within a few hours: what somebody
/// would have who sizes a fleet once.
fn fixed_fleet(facts: &Facts, workload: &Workload, day: u64, kind: WorkloadKind) -> [u32; 2] {
    let within_s = match kind {
        WorkloadKind::Hour => seconds(HOUR),
        WorkloadKind::FirstLoad => 8.0 * 3_600.0,
        WorkloadKind::Daily
        | WorkloadKind::Holiday
        | WorkloadKind::Rough
        | WorkloadKind::Quiet
        | WorkloadKind::Trace => FIXED_WITHIN_S,
    };
    // A holiday is what such a fleet was not sized for.
    let day = match kind {
        WorkloadKind::Holiday => 0,
        _ => day,
    };
    let runs = workload.day(day);
    let slot_s: f64 = runs.iter().map(|run| seconds(run.work)).sum();
    let mut hosts: BTreeMap<u32, f64> = BTreeMap::new();
    let mut core_s = 0.0;
    for run in &runs {
        *hosts.entry(run.pipe).or_default() += run.images.count() / run.images.per_s;
        core_s += run.images.changed / facts.get("rate.images_changed")
            + run.images.unchanged / facts.get("rate.images_unchanged");
    }
    let cores = |tier: &str| {
        let of_tier = facts.instances().iter().filter(|of| of.tier == tier);
        of_tier.map(|of| of.cores).fold(f64::INFINITY, f64::min)
    };
    let host_s: f64 = hosts.values().sum();
    let needs = |work: f64, each: f64| work * FIXED_MARGIN / within_s / each;
    let crawl = needs(slot_s, facts.get("fleet.crawl_slots"));
    let image = needs(core_s, cores("image")).max(needs(host_s, facts.get("fleet.image_slots")));
    let max = facts.get("fleet.instances_max");
    [crawl, image].map(|count| count.ceil().clamp(1.0, max) as u32)
}

/// From the days of a study to a month.
pub(crate) const fn month_factor(days: u64) -> f64 {
    /// Days of a mean month.
    const MONTH: f64 = 365.25 / 12.0;
    MONTH / days as f64
}

/// Whether a workload repeats, so that a month of it means something.
pub(crate) fn repeats(kind: WorkloadKind) -> bool {
    matches!(kind, WorkloadKind::Daily | WorkloadKind::Trace)
}

/// From the start of the study, for figures.
pub(crate) fn hours(span: Ms) -> f64 {
    seconds(span) / 3_600.0
}
