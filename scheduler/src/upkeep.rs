//! Upkeep that is due by its schedule becomes a job: the latest due instant of
//! each kind, and not before the job of the one before it is settled. What was
//! due before the first look is not caught up.

use chrono::{DateTime, Utc};
use trawler_core::job::CrawlJob;
use trawler_core::schedule::Schedule;
use trawler_core::upkeep::{UpkeepKind, UpkeepPlanned, UpkeepTask};
use trawler_core::{JobName, QueueName};

use crate::error::SchedulerError;
use crate::tick::{Scheduler, TickReport};

/// A kind of upkeep and when it is due.
#[derive(Debug, Clone)]
pub struct UpkeepRule {
    pub task: UpkeepTask,
    pub schedule: Schedule,
}

impl Scheduler {
    pub(crate) async fn plan_upkeep(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        for rule in &self.options.upkeep {
            let Some(due) = rule.schedule.latest_at_or_before(self.now()) else {
                continue;
            };
            let kind = rule.task.kind();
            if self.memory().looked_after.get(&kind) >= Some(&due) {
                continue;
            }
            if self.upkeep_due(rule.task, due, report).await? {
                self.memory().looked_after.insert(kind, due);
            }
        }
        Ok(())
    }

    /// Says whether this instant needs no further look. It is taken before the
    /// job is recorded, so that a crash in between leaves an instant without a
    /// job, which the next look gives one.
    async fn upkeep_due(
        &self,
        task: UpkeepTask,
        due: DateTime<Utc>,
        report: &mut TickReport,
    ) -> Result<bool, SchedulerError> {
        let kind = task.kind();
        let key = UpkeepPlanned::key(kind);
        let Some(known) = self.documents.get::<UpkeepPlanned>(&key).await? else {
            let first = UpkeepPlanned {
                newest: due,
                done: due,
            };
            self.documents.create(&key, &first).await?;
            return Ok(true);
        };
        let before = self.before(kind, &known).await?;
        if let Before::Unsettled = before {
            // Its turn comes when the one before it is settled.
            return Ok(known.newest >= due);
        }
        if known.newest < due {
            let taken = self.documents.change(&key, |stored: &mut UpkeepPlanned| {
                if stored.newest == known.newest {
                    stored.newest = due;
                }
            });
            if taken.await?.is_none_or(|stored| stored.newest != due) {
                // Another scheduler looks after a later one.
                return Ok(true);
            }
        } else if known.newest > due || before == Before::Settled {
            return Ok(true);
        }
        self.plan_crawl(&CrawlJob::Upkeep { task, due }).await?;
        report.upkeep_planned += 1;
        Ok(true)
    }

    async fn before(
        &self,
        kind: UpkeepKind,
        known: &UpkeepPlanned,
    ) -> Result<Before, SchedulerError> {
        if known.is_done(known.newest) {
            return Ok(Before::Settled);
        }
        let job = JobName::upkeep_id(kind, known.newest);
        Ok(match self.jobs.find(QueueName::Crawl, &job).await? {
            // A dead one is superseded by the next.
            Some(record) if record.status.is_settled() => Before::Settled,
            Some(_) => Before::Unsettled,
            None => Before::Unrecorded,
        })
    }
}

/// What is known of the job of the newest instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Settled,
    Unsettled,
    Unrecorded,
}
