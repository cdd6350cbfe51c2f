//! The plan of the hours ahead, as `trawler plan` shows it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use trawler_core::ports::Headcount;
use trawler_core::{PipeId, QueueName};

use super::view::View;
use super::{PlanError, PlanOptions, options};
use crate::plan::{Forecast, Planner, Step, forecast_flow};
use crate::tick::{Scheduler, TickReport};

/// One instance count and when it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    pub at: DateTime<Utc>,
    pub instances: u32,
}

/// The hours ahead of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPlan {
    pub queue: QueueName,
    /// Whether this is a plan: of work without a past there is none, and the
    /// alarms on the queues decide.
    pub planned: bool,
    /// What decided about the number of now.
    pub why: &'static str,
    pub instances: Vec<Level>,
    pub peak: u32,
    pub max: u32,
    /// When the last work of this time is over.
    pub finish: Option<DateTime<Utc>>,
    /// The pipe whose work that is.
    pub bound: Option<PipeId>,
    /// Pipes that are likely to be late, each once.
    pub late: Vec<PipeId>,
    pub instance_hours: f64,
    /// From the wish for an instance to its first job, as it is reckoned with.
    pub boot_s: f64,
    /// Whether machines told it, or the configuration says so.
    pub boot_measured: bool,
    /// Share of the paid slots that is worked in.
    pub busy_share: Option<f64>,
    pub usd: f64,
}

/// What lies ahead.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    pub now: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Runs that are due, in hand or waiting in this time.
    pub runs: u64,
    /// Of these, so many have no past and count with what others take.
    pub runs_without_past: u64,
    pub usd: f64,
    /// Spent today, and the bound for a day.
    pub spent_usd: f64,
    pub usd_per_day: Option<f64>,
    pub groups: Vec<GroupPlan>,
}

impl Scheduler {
    /// The plan of so many hours. Without groups it is that of groups with so
    /// many instances at most as `max` says.
    ///
    /// # Errors
    /// What cannot be read, or a capacity service that does not answer.
    pub async fn plan_ahead(
        &self,
        options: &PlanOptions,
        ahead: TimeDelta,
        max: u32,
    ) -> Result<PlanReport, PlanError> {
        let mut report = TickReport::default();
        let look = self.look(&mut report).await?;
        let mut heads = BTreeMap::new();
        for queue in &options.queues {
            let found = match &self.capacity {
                Some(capacity) => capacity.headcount(*queue).await?,
                None => Headcount {
                    max,
                    ..Headcount::default()
                },
            };
            heads.insert(*queue, found);
        }
        let until = self.now() + ahead;
        let found = self.found().await?;
        let view = self.view_of(&look, options, found, heads, until).await?;
        Ok(view.plan(options, until))
    }
}

impl View {
    pub(super) fn plan(&self, options: &PlanOptions, until: DateTime<Utc>) -> PlanReport {
        let now_ms = self.now.timestamp_millis();
        let mut groups = Vec::new();
        let mut flows = self.load.flows.clone();
        let mut usd = 0.0;
        for (queue, heads) in &self.heads {
            // What one group costs the other cannot spend as well.
            let boot = self.boot(*queue, options);
            let limits = options.limits(*queue, heads, self.record.spent_usd + usd, boot);
            let booted = self.record.booted(*queue, boot, self.now);
            let fleet = options::fleet(heads, booted.timestamp_millis());
            let forecast = match queue {
                QueueName::Crawl => {
                    let crawl = &self.load.crawl;
                    let forecast = Planner::new().forecast(now_ms, crawl, &fleet, &limits);
                    let later = forecast.ends.iter().filter(|end| !end.in_hand);
                    flows.extend(later.filter_map(|end| self.load.images_after(end)));
                    forecast
                }
                QueueName::Image => {
                    let crowding = self.record.crowding.present();
                    forecast_flow(now_ms, &flows, crowding, &fleet, &limits)
                }
            };
            usd += forecast.usd;
            groups.push(self.group(*queue, heads, &limits, &forecast));
        }
        let runs = &self.load.crawl;
        PlanReport {
            now: self.now,
            until,
            runs: runs.len() as u64,
            runs_without_past: runs.iter().filter(|work| !work.is_known).count() as u64,
            usd,
            spent_usd: self.record.spent_usd,
            usd_per_day: options.usd_per_day,
            groups,
        }
    }

    fn group(
        &self,
        queue: QueueName,
        heads: &Headcount,
        limits: &crate::plan::Limits,
        forecast: &Forecast,
    ) -> GroupPlan {
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap_or(self.now);
        let pipe = |key: &u32| self.load.pipes[*key as usize].clone();
        let paid_ms = forecast.instance_ms as f64 * f64::from(limits.slots.max(1));
        let level = |step: &Step| Level {
            at: at(step.at_ms),
            instances: step.instances,
        };
        GroupPlan {
            queue,
            planned: forecast.is_planned,
            why: forecast.why.as_str(),
            instances: forecast.steps.iter().map(level).collect(),
            peak: forecast.peak,
            max: heads.max,
            finish: forecast.finish_ms.map(at),
            bound: forecast.bound.as_ref().map(pipe),
            late: if forecast.is_planned {
                let mut named = BTreeSet::new();
                let each = forecast.late.iter().filter(|key| named.insert(**key));
                each.map(pipe).collect()
            } else {
                Vec::new()
            },
            instance_hours: forecast.instance_ms as f64 / 3_600_000.0,
            boot_s: limits.boot_ms as f64 / 1_000.0,
            boot_measured: self.measured_boot(queue).is_some(),
            busy_share: (paid_ms > 0.0).then(|| forecast.busy_ms as f64 / paid_ms),
            usd: forecast.usd,
        }
    }
}
