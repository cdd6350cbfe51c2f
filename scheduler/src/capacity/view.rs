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

/// Why fewer are taken back than the plan can do without.
const HELD: &str = "not to be taken away yet";

/// What all groups and all work looked like at one instant.
pub(super) struct View {
    pub(super) now: DateTime<Utc>,
    pub(super) heads: BTreeMap<QueueName, Headcount>,
    pub(super) record: Record,
    pub(super) found: Found,
    pub(super) boots: Boots,
    pub(super) load: Workload,
}

/// What was decided about one group.
pub(super) struct Decided {
    pub(super) queue: QueueName,
    pub(super) heads: Headcount,
    pub(super) decision: Decision,
    /// What the group is to have, within what it can be asked for.
    pub(super) wanted: u32,
}

impl Decided {
    /// Whether the group has to be asked.
    pub(super) fn is_change(&self) -> bool {
        self.wanted != self.heads.wanted
    }
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
    /// Of all groups, or of none: one owner for all of them. Without a past of
    /// its runs the alarms decide about both.
    pub(super) fn decide_all(&self, options: &PlanOptions) -> Vec<Decided> {
        let (mut decisions, mut usd) = (Vec::new(), 0.0);
        for (queue, heads) in &self.heads {
            // What one group is about to cost the other cannot spend as well.
            let decision = self.decide(options, *queue, heads, usd);
            usd += decision.usd;
            decisions.push((*queue, *heads, decision));
        }
        let is_known = |(_, _, decision): &(_, _, Decision)| decision.why != Why::NoHistory;
        let is_known = decisions.iter().all(is_known);
        let decided = decisions
            .into_iter()
            .map(|(queue, heads, decision)| Decided {
                wanted: match is_known {
                    true => self.within(queue, &heads, decision.wanted),
                    false => heads.wanted,
                },
                queue,
                heads,
                decision,
            });
        decided.collect()
    }

    /// What is asked for where so many are to do: what others asked for is left
    /// to them. A number that the group would cut would be asked for again at
    /// every look.
    fn within(&self, queue: QueueName, heads: &Headcount, planned: u32) -> u32 {
        let wanted = planned.max(self.record.foreign(queue)).max(heads.held);
        wanted.max(heads.min).min(heads.max)
    }

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

    pub(super) fn told(&self, group: &Decided, asked: bool) -> Scaled {
        let Decided {
            queue,
            heads,
            decision,
            wanted,
        } = group;
        let foreign = self.record.foreign(*queue);
        let why = match decision.why {
            Why::NoHistory => Why::NoHistory.as_str(),
            _ if *wanted > decision.wanted.max(foreign) => HELD,
            _ if *wanted > decision.wanted => OTHERS,
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
            queue: *queue,
            in_service: heads.in_service,
            busy: heads.busy,
            booting: heads.booting,
            was: heads.wanted,
            wanted: *wanted,
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

    /// A look at one group of ten without work: what is wanted then, and why.
    fn idle(heads: Headcount, record: Record) -> (u32, &'static str, bool) {
        let view = View {
            now: DateTime::UNIX_EPOCH,
            heads: [(QueueName::Crawl, heads)].into(),
            record,
            found: Found::default(),
            boots: Boots::default(),
            load: Workload::default(),
        };
        let decided = view.decide_all(&PlanOptions::default());
        let told = view.told(&decided[0], false);
        (told.wanted, told.why, decided[0].is_change())
    }

    /// Ten that boot were asked to be none at every tick, and were none the less
    /// ten.
    #[test]
    fn what_is_not_to_be_taken_away_is_not_asked_for_again_and_again() {
        let heads = Headcount {
            in_service: 3,
            booting: 7,
            launched: 10,
            held: 7,
            wanted: 10,
            max: 20,
            ..Headcount::default()
        };
        assert_eq!(idle(heads, Record::default()), (7, HELD, true));
        let cut = Headcount {
            in_service: 0,
            wanted: 7,
            ..heads
        };
        assert_eq!(idle(cut, Record::default()), (7, HELD, false));
        // They are in service, and have nothing to do.
        let free = Headcount {
            in_service: 7,
            booting: 0,
            held: 0,
            ..cut
        };
        assert_eq!(
            idle(free, Record::default()),
            (0, Why::Nothing.as_str(), true)
        );
    }

    #[test]
    fn what_others_asked_for_is_within_the_bounds_of_the_group() {
        let heads = Headcount {
            wanted: 5,
            max: 5,
            ..Headcount::default()
        };
        let mut record = Record::default();
        record.foreign.insert(QueueName::Crawl, 9);
        assert_eq!(idle(heads, record.clone()), (5, OTHERS, false));
        let least = Headcount { min: 5, ..heads };
        record.foreign.insert(QueueName::Crawl, 2);
        assert!(!idle(least, record).2);
    }
}
