//! The figures of one policy.

use serde::Serialize;

use super::bill::Bill;
use crate::facts::Facts;
use crate::policy::PolicyKind;
use crate::study::hours;
use crate::time::seconds;
use crate::workload::Workload;
use crate::world::{Ended, quantile};

/// A moment of the day that is drawn.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Since the beginning of the study.
    pub at_s: f64,
    pub crawl_instances: u32,
    pub image_instances: u32,
    pub crawl_jobs: u64,
    pub image_jobs: u64,
}

/// What one policy came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub policy: PolicyKind,
    pub runs: u64,
    pub products_read: u64,
    pub images_asked: f64,
    pub images_stored: f64,
    /// Everything was done within three days after the last one.
    pub is_done: bool,
    /// Since the beginning, to the last crawl job or image.
    pub finished_h: f64,
    pub crawl_peak: u32,
    pub image_peak: u32,
    pub launches: u64,
    pub interruptions: u64,
    pub crawl_instance_h: f64,
    pub image_instance_h: f64,
    /// Of the paid seconds, those in which an instance had a job.
    pub busy_share: Option<f64>,
    pub crawl_busy_share: Option<f64>,
    pub image_busy_share: Option<f64>,
    /// Of the slots that were there, those that had a job.
    pub slot_share: Option<f64>,
    /// Seconds from the first message to a busy worker: where nobody was there
    /// and nobody knew, and of runs that the schedule knew.
    pub first_from_zero_s: Option<f64>,
    pub first_from_zero_p95_s: Option<f64>,
    pub first_planned_s: Option<f64>,
    pub first_planned_p95_s: Option<f64>,
    /// Below which half, and 95 %, of all messages waited.
    pub wait_s: f64,
    pub wait_p95_s: f64,
    /// Median of the waves of ten minutes and more.
    pub makespan_ratio: Option<f64>,
    /// Of the longest wave.
    pub makespan_h: Option<f64>,
    pub makespan_bound_h: Option<f64>,
    /// Slot time that was spent for nothing, and jobs that were begun again.
    pub lost_h: f64,
    pub redone: u64,
    pub late: u64,
    /// Of these, what no fleet could have met.
    pub late_anyway: u64,
    pub images_late: u64,
    pub images_late_anyway: u64,
    /// Of everything, once.
    pub bill: Bill,
    pub events: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

impl Outcome {
    pub(crate) fn of(
        policy: PolicyKind,
        ended: &Ended,
        workload: &Workload,
        facts: &Facts,
    ) -> Self {
        let (tally, [crawl, image]) = (&ended.tally, &ended.groups);
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let sorted = |values: &[u32]| {
            let mut values = values.to_vec();
            values.sort_unstable();
            values
        };
        let (zero, planned) = (sorted(&tally.first_from_zero), sorted(&tally.first_planned));
        let at = |values: &[u32], of| quantile(values, of).map(|ms| f64::from(ms) / 1_000.0);
        let mut ratios: Vec<f64> = tally
            .makespans
            .iter()
            .map(|of| of.took as f64 / of.bound as f64)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let longest = tally.makespans.iter().max_by_key(|of| of.took);
        Self {
            policy,
            runs: tally.runs_done,
            products_read: tally.rows,
            images_asked: tally.images,
            images_stored: tally.images_changed,
            is_done: ended.is_done,
            finished_h: hours(ended.last_at),
            crawl_peak: crawl.peak,
            image_peak: image.peak,
            launches: crawl.launches + image.launches,
            interruptions: crawl.interruptions + image.interruptions,
            crawl_instance_h: hours(crawl.paid_ms),
            image_instance_h: hours(image.paid_ms),
            busy_share: share(crawl.busy_ms + image.busy_ms, crawl.paid_ms + image.paid_ms),
            crawl_busy_share: share(crawl.busy_ms, crawl.paid_ms),
            image_busy_share: share(image.busy_ms, image.paid_ms),
            slot_share: share(tally.slot_ms, tally.slots_there_ms),
            first_from_zero_s: at(&zero, 0.5),
            first_from_zero_p95_s: at(&zero, 0.95),
            first_planned_s: at(&planned, 0.5),
            first_planned_p95_s: at(&planned, 0.95),
            wait_s: tally.waits.quantile(0.5),
            wait_p95_s: tally.waits.quantile(0.95),
            makespan_ratio: quantile(&ratios, 0.5),
            makespan_h: longest.map(|of| hours(of.took)),
            makespan_bound_h: longest.map(|of| hours(of.bound)),
            lost_h: hours(tally.lost_ms),
            redone: tally.redone,
            late: tally.late,
            late_anyway: tally.late_anyway,
            images_late: tally.images_late,
            images_late_anyway: tally.images_late_anyway,
            bill: Bill::of(ended, workload, facts),
            events: tally.events,
            samples: samples(ended),
        }
    }

    /// Deadlines of runs that were missed and could have been met.
    pub fn late_for_nothing(&self) -> u64 {
        self.late - self.late_anyway
    }

    /// The same of the images of a run.
    pub fn images_late_for_nothing(&self) -> u64 {
        self.images_late - self.images_late_anyway
    }
}

/// Minutes in which nothing changed are left out.
fn samples(ended: &Ended) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut before = None;
    for frame in &ended.frames {
        let figures = (
            frame.crawl_instances,
            frame.image_instances,
            frame.crawl_jobs,
            frame.image_jobs,
        );
        if before != Some(figures) {
            samples.push(Sample {
                at_s: seconds(frame.at),
                crawl_instances: frame.crawl_instances,
                image_instances: frame.image_instances,
                crawl_jobs: frame.crawl_jobs,
                image_jobs: frame.image_jobs,
            });
        }
        before = Some(figures);
    }
    samples
}
