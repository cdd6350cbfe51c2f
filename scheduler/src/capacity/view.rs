//! What all groups and all work look like at one instant, and what that makes
//! of each group. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use trawler_core::QueueName;
use trawler_core::boots::Boots;
use trawler_core::maintenance::Declarations;
use trawler_core::pause::PauseScope;
use trawler_core::ports::{Capacity, Headcount, Version};
use trawler_fleet::chain;

use super::record::{self, Record, Seen};
use super::workload::{Scene, Workload};
use super::{AHEAD, PlanError, PlanOptions, Scaled, images, options};
use crate::error::SchedulerError;
use crate::look::Look;
use crate::plan::{Decision, Planner, Why, decide_flow};
use crate::tick::Scheduler;

/// From the wish for a machine to its launch: a group looks at its size every
/// few seconds. What follows is measured.
const GROUP_REACTS_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// Why there are more than the plan needs.
const OTHERS: &str = "others asked for them";

/// What all groups and all work looked like at one instant.
pub(super) struct View {
    pub(super) now: DateTime<Utc>,
    pub(super) heads: BTreeMap<QueueName, Headcount>,
    pub(super) record: Record,
    pub(super) found: Found,
    pub(super) boots: Boots,
    pub(super) load: Workload,
}

/// The record as it was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) record: Record,
    /// `None`: there was none.
    pub(super) version: Option<Version>,
}

impl Scheduler {
    pub(super) async fn view(
        &self,
        look: &Look,
        options: &PlanOptions,
        capacity: &Arc<dyn Capacity>,
    ) -> Result<View, PlanError> {
        let until = self.now() + AHEAD;
        // First: what somebody notes and asks for while the groups are looked
        // at makes the record another one, and this look void.
        let found = self.found().await?;
        let mut heads = BTreeMap::new();
        for queue in &options.queues {
            heads.insert(*queue, capacity.headcount(*queue).await?);
        }
        self.view_of(look, options, found, heads, until).await
    }

    pub(super) async fn found(&self) -> Result<Found, PlanError> {
        let stored = self.documents.get_versioned::<Record>(record::KEY).await;
        let stored = stored.map_err(SchedulerError::from)?;
        Ok(
            stored.map_or_else(Found::default, |(record, version)| Found {
                record,
                version: Some(version),
            }),
        )
    }

    /// None where nobody told one, or what was told cannot be read: the
    /// configuration says it as well.
    async fn boots(&self) -> Result<Boots, PlanError> {
        match self.documents.get(Boots::KEY).await {
            Ok(boots) => Ok(boots.unwrap_or_default()),
            Err(error) if error.is_transient() => Err(SchedulerError::from(error).into()),
            Err(error) => {
                tracing::warn!(
                    "machines are reckoned to start as plan.boot_s says: {}",
                    chain(&error)
                );
                Ok(Boots::default())
            }
        }
    }

    pub(super) async fn view_of(
        &self,
        look: &Look,
        options: &PlanOptions,
        found: Found,
        heads: BTreeMap<QueueName, Headcount>,
        until: DateTime<Utc>,
    ) -> Result<View, PlanError> {
        let set = self.pipes.current().await?;
        let now = self.now();
        let mut record = found.record.clone();
        let images = images::image_work(look, &set);
        record.look(&Seen {
            now,
            heads: &heads,
            usd_per_hour: options.usd_per_hour,
            images: &images,
        });
        let boots = self.boots().await?;
        let declared: Option<Declarations> = self
            .documents
            .get(Declarations::KEY)
            .await
            .map_err(SchedulerError::from)?;
        let declared = declared.unwrap_or_default();
        let mut due = std::mem::take(&mut self.memory().due);
        due.keep_only(&set);
        let mut load = Workload::of(Scene {
            now,
            until,
            set: &set,
            look,
            options,
            declared: &declared,
            images: &images,
            record: &record,
            due: &mut due,
        });
        self.memory().due = due;
        self.leave_out_paused(&mut load).await?;
        Ok(View {
            now,
            heads,
            record,
            found,
            boots,
            load,
        })
    }

    /// Nothing is started for work that would be parked at once.
    async fn leave_out_paused(&self, load: &mut Workload) -> Result<(), PlanError> {
        if load.crawl.is_empty() && load.flows.is_empty() {
            return Ok(());
        }
        let paused = self
            .documents
            .keys("pause/")
            .await
            .map_err(SchedulerError::from)?;
        if paused.is_empty() {
            return Ok(());
        }
        let pipes = &load.pipes;
        let is_paused = |queue, key: u32| {
            let scopes = PauseScope::of_job(queue, &pipes[key as usize]);
            let mut scopes = scopes.into_iter();
            scopes.any(|scope| paused.binary_search(&scope.key()).is_ok())
        };
        load.crawl
            .retain(|work| work.in_hand || !is_paused(QueueName::Crawl, work.key));
        load.flows
            .retain(|flow| !is_paused(QueueName::Image, flow.key));
        Ok(())
    }
}

impl View {
    /// `usd` of the budget are as good as spent.
    pub(super) fn decide(
        &self,
        options: &PlanOptions,
        queue: QueueName,
        heads: &Headcount,
        usd: f64,
    ) -> Decision {
        let now_ms = self.now.timestamp_millis();
        let boot = self.boot(queue, options);
        let limits = options.limits(queue, heads, self.record.spent_usd + usd, boot);
        let booted = self.record.booted(queue, boot, self.now);
        let fleet = options::fleet(heads, booted.timestamp_millis());
        match queue {
            QueueName::Crawl => Planner::new().decide(now_ms, &self.load.crawl, &fleet, &limits),
            QueueName::Image => {
                let crowding = self.record.crowding.present();
                decide_flow(now_ms, &self.load.flows, crowding, &fleet, &limits)
            }
        }
    }

    /// As machines of the group have told, or as it is configured.
    pub(super) fn boot(&self, queue: QueueName, options: &PlanOptions) -> TimeDelta {
        self.measured_boot(queue).unwrap_or(options.boot)
    }

    pub(super) fn measured_boot(&self, queue: QueueName) -> Option<TimeDelta> {
        let told = TimeDelta::from_std(self.boots.p95(queue)?).ok()?;
        Some(told + GROUP_REACTS_WITHIN)
    }

    pub(super) fn told(
        &self,
        queue: QueueName,
        heads: &Headcount,
        decision: &Decision,
        wanted: u32,
        asked: bool,
    ) -> Scaled {
        let why = match decision.why {
            Why::NoHistory => Why::NoHistory.as_str(),
            _ if wanted > decision.wanted => OTHERS,
            why => why.as_str(),
        };
        if asked {
            tracing::info!(
                %queue, wanted, was = heads.wanted, why,
                "the {queue} queue is to have {wanted} instances instead of {}: {why}",
                heads.wanted
            );
        }
        Scaled {
            queue,
            in_service: heads.in_service,
            busy: heads.busy,
            booting: heads.booting,
            was: heads.wanted,
            wanted,
            why,
            asked,
            finish: decision.finish_ms.and_then(DateTime::from_timestamp_millis),
            bound: decision
                .bound
                .map(|key| self.load.pipes[key as usize].clone()),
            late: decision.late,
            usd: decision.usd,
        }
    }
}

#[cfg(test)]
mod tests {
    use trawler_core::PipeId;

    use super::*;
    use crate::plan::Flow;

    /// Four hosts of half an hour each, to be over in 45 minutes, on two
    /// machines that both work.
    fn wanted(ratios: &[f64]) -> (u32, u32) {
        let options = PlanOptions {
            image_slots: 2,
            boot: TimeDelta::minutes(1),
            ..PlanOptions::default()
        };
        let heads = Headcount {
            max: 20,
            in_service: 2,
            busy: 2,
            wanted: 2,
            ..Headcount::default()
        };
        let flow = |key| Flow {
            key,
            jobs: 180,
            job_ms: 10_000,
            lanes: 1,
            due_ms: 0,
            deadline_ms: 45 * 60_000,
        };
        let name = |n| PipeId::parse(&format!("shop-{n}")).expect("a name");
        let mut load = Workload::default();
        load.flows = (0..4).map(flow).collect();
        load.pipes = (0..4).map(name).collect();
        let mut view = View {
            now: DateTime::UNIX_EPOCH,
            heads: [(QueueName::Image, heads)].into(),
            record: Record::default(),
            found: Found::default(),
            boots: Boots::default(),
            load,
        };
        for ratio in ratios {
            view.record.crowding.look(&mut [*ratio; 12]);
        }
        let decision = view.decide(&options, QueueName::Image, &heads, 0.0);
        let plan = view.plan(&options, view.now + TimeDelta::hours(2));
        (decision.wanted, plan.groups[0].peak)
    }

    #[test]
    fn decision_and_plan_know_that_machines_are_slow() {
        assert_eq!(wanted(&[1.0, 1.0]), (2, 2));
        // Jobs take twice as long at all hosts than they used to.
        assert_eq!(wanted(&[1.0, 2.0, 2.0]), (3, 3));
    }
}
