//! The planner of the scheduler, asked as its tick asks: what waits, what is in
//! hand and what comes next, with estimates from past runs and the scheduler's
//! own defaults. Nothing is decided here; while most of what is due has no past,
//! the alarms decide.

use std::sync::Arc;

use trawler_core::past::PAST_MAX;
use trawler_scheduler::PlanOptions;
use trawler_scheduler::plan::{
    Crowding, Decision, Estimate, Fleet, Flow, Limits, Past, Planner, TELLING_JOBS, Typical, Work,
    decide_flow, estimate, typical,
};

use crate::time::Ms;
use crate::workload::RunLoad;

/// Estimates of pipes and the planner that uses them.
#[derive(Debug)]
pub(crate) struct PlannerPolicy {
    planner: Planner,
    pasts: Vec<Vec<Past>>,
    estimates: Vec<Estimate>,
    /// Pipes without a past, and what they are taken to need.
    unknown: usize,
    first: Estimate,
    options: PlanOptions,
    work: Vec<Work>,
    images: Vec<ImageFlow>,
    flows: Vec<Flow>,
    ratios: Vec<f64>,
    crowding: Crowding,
    /// Nothing has to be decided before it while the queue is empty.
    again_at: Option<Ms>,
}

/// The images of one host as the scheduler sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageFlow {
    /// What a job takes, once one was measured.
    pub(crate) measured: Option<f64>,
    /// What it takes at the host's rate.
    pub(crate) by_rate_ms: f64,
    /// Without the time of a job.
    pub(crate) flow: Flow,
}

/// What one group is bounded by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) max: u32,
    pub(crate) slots: u32,
    pub(crate) boot: Ms,
    pub(crate) every: Ms,
    pub(crate) idle: Ms,
    pub(crate) usd_per_hour: f64,
}

impl Bounds {
    fn limits(&self, options: &PlanOptions) -> Limits {
        Limits {
            min: 0,
            max: self.max,
            slots: self.slots,
            boot_ms: signed(self.boot),
            every_ms: signed(self.every),
            catch_up_ms: options.catch_up.num_milliseconds(),
            reserve: options.reserve,
            idle_ms: signed(self.idle),
            usd_per_hour: self.usd_per_hour,
            budget_usd: None,
        }
    }

    /// How far ahead work is prepared for.
    pub(crate) fn lead(&self) -> Ms {
        self.boot + self.every
    }
}

/// A group as the planner is told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) in_service: u32,
    pub(crate) busy: u32,
    pub(crate) booting: u32,
    pub(crate) booted: Ms,
}

impl Standing {
    fn fleet(&self) -> Fleet {
        Fleet {
            in_service: self.in_service,
            busy: self.busy,
            booting: self.booting,
            booted_ms: signed(self.booted),
        }
    }
}

impl PlannerPolicy {
    /// With what earlier runs of the pipes took.
    pub(crate) fn new(pipes: usize, history: &[Arc<[RunLoad]>]) -> Self {
        let unknown = estimate(&[], None, &Typical::default());
        let mut policy = Self {
            planner: Planner::new(),
            pasts: vec![Vec::new(); pipes],
            estimates: vec![unknown; pipes],
            unknown: pipes,
            first: unknown,
            options: PlanOptions::default(),
            work: Vec::new(),
            images: Vec::new(),
            flows: Vec::new(),
            ratios: Vec::new(),
            crowding: Crowding::default(),
            again_at: None,
        };
        for day in history {
            for run in day.iter() {
                policy.ran(run, run.work);
            }
        }
        policy
    }

    /// A run of a pipe is over.
    pub(crate) fn ran(&mut self, run: &RunLoad, took: Ms) {
        let at = run.pipe as usize;
        let pasts = &mut self.pasts[at];
        self.unknown -= usize::from(pasts.is_empty());
        if pasts.len() == PAST_MAX {
            pasts.remove(0);
        }
        pasts.push(Past {
            ms: signed(took),
            rows: run.rows,
            image_jobs: (run.images.count() / 100.0).ceil() as u64,
        });
        self.estimates[at] = estimate(pasts, Some(run.rows), &Typical::default());
    }

    pub(crate) fn estimate(&self, pipe: u32) -> Estimate {
        let estimate = self.estimates[pipe as usize];
        match estimate.is_known {
            true => estimate,
            false => self.first,
        }
    }

    /// A new decision begins: no work yet. Pipes without a past count with what
    /// the others take.
    pub(crate) fn begin(&mut self) {
        self.work.clear();
        if self.unknown > 0 {
            let rows = self.pasts.iter().map(|past| past.last());
            let rows = rows.map(|past| past.map_or(0, |past| past.rows));
            let others = typical(self.estimates.iter().copied().zip(rows));
            self.first = estimate(&[], None, &others);
        }
    }

    /// The same of image work.
    pub(crate) fn begin_images(&mut self) {
        self.images.clear();
    }

    pub(crate) fn is_needed(&self, now: Ms) -> bool {
        self.again_at.is_none_or(|at| now >= at)
    }

    /// A job that waits or comes next.
    pub(crate) fn add(&mut self, run: &RunLoad) {
        let estimate = self.estimate(run.pipe);
        self.push(run, estimate.expected_ms, estimate.upper_ms, false);
    }

    /// A job in hand, for so long.
    pub(crate) fn add_in_hand(&mut self, run: &RunLoad, elapsed: Ms) {
        let estimate = self.estimate(run.pipe);
        let left = |whole| trawler_scheduler::plan::left_ms(whole, signed(elapsed));
        self.push(
            run,
            left(estimate.expected_ms),
            left(estimate.upper_ms),
            true,
        );
    }

    fn push(&mut self, run: &RunLoad, expected_ms: i64, upper_ms: i64, in_hand: bool) {
        self.work.push(Work {
            key: run.pipe,
            due_ms: signed(run.due),
            deadline_ms: signed(run.deadline),
            expected_ms,
            upper_ms,
            in_hand,
            is_known: self.estimate(run.pipe).is_known,
        });
    }

    pub(crate) fn add_images(&mut self, images: ImageFlow) {
        self.images.push(images);
    }

    pub(crate) fn decide(&mut self, now: Ms, standing: Standing, bounds: &Bounds) -> Decision {
        let limits = bounds.limits(&self.options);
        let fleet = standing.fleet();
        let decision = self
            .planner
            .decide(signed(now), &self.work, &fleet, &limits);
        let is_quiet = self
            .work
            .iter()
            .all(|work| !work.in_hand && work.due_ms > signed(now));
        let is_empty = standing.in_service + standing.booting == 0;
        self.again_at = match decision.again_ms {
            Some(at) if is_quiet && is_empty => Some(at.max(0) as Ms),
            _ => None,
        };
        decision
    }

    pub(crate) fn decide_images(
        &mut self,
        now: Ms,
        standing: Standing,
        bounds: &Bounds,
    ) -> Decision {
        self.ratios.clear();
        let telling = self.images.iter().filter(|of| of.flow.jobs >= TELLING_JOBS);
        let ratios = telling.filter_map(|of| Some(of.measured? / of.by_rate_ms));
        self.ratios.extend(ratios);
        self.crowding.look(&mut self.ratios);
        self.flows.clear();
        let crowding = self.crowding;
        let first_ms = self.options.image_job.num_milliseconds() as f64;
        self.flows.extend(self.images.iter().map(|of| {
            let job_ms = crowding.job_ms(of.measured, of.by_rate_ms);
            let first = first_ms.max(of.by_rate_ms);
            Flow {
                job_ms: job_ms.unwrap_or(first).max(1.0) as i64,
                ..of.flow
            }
        }));
        decide_flow(
            signed(now),
            &self.flows,
            self.crowding.present(),
            &standing.fleet(),
            &bounds.limits(&self.options),
        )
    }
}

/// Instants are small: a study is at most some years.
pub(crate) fn signed(at: Ms) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_scheduler::plan::Why;

    use super::*;
    use crate::time::{HOUR, MINUTE, SECOND};
    use crate::workload::{ImageLoad, Source};

    const BOUNDS: Bounds = Bounds {
        max: 20,
        slots: 2,
        boot: 50 * SECOND,
        every: MINUTE,
        idle: 5 * MINUTE,
        usd_per_hour: 0.03,
    };
    const NOBODY: Standing = Standing {
        in_service: 0,
        busy: 0,
        booting: 0,
        booted: 0,
    };

    fn run(pipe: u32, due: Ms, work: Ms, deadline: Ms) -> RunLoad {
        RunLoad {
            pipe,
            due,
            work,
            source: Source::Feed,
            rows: 1_000,
            deadline,
            planned: true,
            images: ImageLoad {
                changed: 0.0,
                unchanged: 0.0,
                per_s: 10.0,
            },
        }
    }

    /// Ten pipes whose last three runs took 30 minutes each.
    fn planner() -> PlannerPolicy {
        let day: Arc<[RunLoad]> = (0..10).map(|pipe| run(pipe, 0, 30 * MINUTE, 0)).collect();
        PlannerPolicy::new(10, &[day.clone(), day.clone(), day])
    }

    #[test]
    fn the_planner_asks_for_the_smallest_fleet_ahead_of_the_first_message() {
        let mut planner = planner();
        let due = 2 * HOUR;
        let ask = |planner: &mut PlannerPolicy, now| {
            planner.begin();
            for pipe in 0..10 {
                planner.add(&run(pipe, due, 30 * MINUTE, due + 100 * MINUTE));
            }
            planner.decide(now, NOBODY, &BOUNDS)
        };
        // The lead is 110 s; before it nobody is asked for.
        let early = ask(&mut planner, due - 111 * SECOND);
        assert_eq!((early.wanted, early.why), (0, Why::Nothing));
        assert_eq!(early.again_ms, Some(signed(due - 110 * SECOND)));
        assert!(!planner.is_needed(due - 111 * SECOND));
        assert!(planner.is_needed(due - 110 * SECOND));
        // 10 runs of 30 to 33 min by 100 min, of whose 67 min of waiting half is
        // kept in reserve: two rounds of six slots.
        let ahead = ask(&mut planner, due - 110 * SECOND);
        assert_eq!((ahead.wanted, ahead.why), (3, Why::Deadline));
    }

    #[test]
    fn without_a_past_the_planner_leaves_it_to_the_alarms() {
        let mut planner = PlannerPolicy::new(1, &[]);
        planner.begin();
        planner.add(&run(0, 0, MINUTE, HOUR));
        assert_eq!(planner.decide(0, NOBODY, &BOUNDS).why, Why::NoHistory);
        planner.ran(&run(0, 0, MINUTE, HOUR), MINUTE);
        planner.begin();
        planner.add(&run(0, 0, MINUTE, HOUR));
        assert_eq!(planner.decide(0, NOBODY, &BOUNDS).wanted, 1);
    }
}
