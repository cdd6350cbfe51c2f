//! Capacity by plan: what a tick does about the number of instances, what
//! `trawler scale` does and `trawler plan` shows.
//!
//! While it is done the alarms on the queues stand back, since each tick tells
//! so ([`Metric::CapacityPlanned`]); where it cannot be done, nothing is told,
//! and they take over. A capacity service that does not answer fails no tick.
//!
//! Requests: for each group one to describe it, and two to set it when the
//! number changes; three documents read, and one written while instances live.
//! Of two processes that decide at once, the one whose note is written carries
//! its decision out.

mod images;
mod options;
mod record;
mod report;
mod view;
mod workload;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use trawler_core::ports::{Capacity, CapacityError, Metric};
use trawler_core::{PipeId, QueueName};
use trawler_fleet::{PipeError, chain};

use crate::error::SchedulerError;
use crate::look::Look;
use crate::plan::Why;
use crate::tick::{Scheduler, TickReport};
pub use options::{PlanOptions, Prices};
pub use report::{GroupPlan, Level, PlanReport};
use view::{Decided, Found, View};
pub(crate) use workload::{DueTimes, in_order};

/// How far ahead a decision looks: beyond, an instance started now would not
/// be there any more.
const AHEAD: TimeDelta = TimeDelta::hours(12);

/// Why capacity cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "capacity is not planned here: name capacity.crawl_group or capacity.image_group in trawler.toml, and leave plan.enabled true"
    )]
    NotHere,
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    #[error(transparent)]
    Capacity(#[from] CapacityError),
}

impl PlanError {
    /// Whether it stays so until somebody changes something.
    pub fn needs_person(&self) -> bool {
        match self {
            Self::NotHere => true,
            Self::Scheduler(error) => error.needs_person(),
            Self::Capacity(error) => !error.is_transient(),
        }
    }
}

impl From<PipeError> for PlanError {
    fn from(error: PipeError) -> Self {
        Self::Scheduler(error.into())
    }
}

/// Whether a decision is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    Yes,
    /// It is told and nothing else.
    No,
}

/// One group, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scaled {
    pub queue: QueueName,
    pub in_service: u32,
    pub busy: u32,
    pub booting: u32,
    /// What the group was to have before.
    pub was: u32,
    /// What it is to have. Not below what is not to be taken away, nor above
    /// its most.
    pub wanted: u32,
    pub why: &'static str,
    /// Whether the group was asked for another number than it had.
    pub asked: bool,
    /// When what is due is over.
    pub finish: Option<DateTime<Utc>>,
    /// The pipe that is over last.
    pub bound: Option<PipeId>,
    /// Jobs that are likely to end behind their deadline.
    pub late: u32,
    /// What it costs from now until then.
    pub usd: f64,
}

impl Scheduler {
    /// Within a tick: nothing here fails it.
    pub(crate) async fn set_capacity(&self, look: &Look, report: &mut TickReport) {
        if self.planning.is_none() {
            if self.capacity.is_some() {
                let planned = false;
                self.ports
                    .metrics
                    .record(Metric::CapacityPlanned { planned });
            }
            return;
        }
        let planned = match self.scale_by(look, Apply::Yes).await {
            Ok(scaled) => {
                report.groups_set += scaled.iter().filter(|scaled| scaled.asked).count() as u64;
                is_planned(&scaled)
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(
                    "capacity is not planned, the alarms on the queues take over: {reason}"
                );
                if error.needs_person() {
                    report.problems.push(reason);
                }
                false
            }
        };
        self.ports
            .metrics
            .record(Metric::CapacityPlanned { planned });
    }

    /// Decides once about every group, for those who run this instead of
    /// policies. The same as a tick does, and as safe to do twice.
    ///
    /// # Errors
    /// `NotHere` without groups.
    pub async fn scale(&self, apply: Apply) -> Result<Vec<Scaled>, PlanError> {
        let scaled = self.look_and_scale(apply).await;
        if apply == Apply::Yes {
            // What failed is planned by nobody: the alarms take over.
            let planned = scaled.as_deref().is_ok_and(is_planned);
            self.ports
                .metrics
                .record(Metric::CapacityPlanned { planned });
        }
        scaled
    }

    async fn look_and_scale(&self, apply: Apply) -> Result<Vec<Scaled>, PlanError> {
        let mut report = TickReport::default();
        let look = self.look(&mut report).await?;
        self.scale_by(&look, apply).await
    }

    async fn scale_by(&self, look: &Look, apply: Apply) -> Result<Vec<Scaled>, PlanError> {
        let (options, capacity) = self.planner()?;
        let mut view = self.view(look, options, &capacity).await?;
        let decided = view.decide_all(options);
        match apply {
            Apply::Yes => self.set_groups(&mut view, &decided, &*capacity).await,
            Apply::No => {
                let told = decided.iter().map(|group| view.told(group, false));
                Ok(told.collect())
            }
        }
    }

    /// Asks for what changes, as long as nobody else decides at this moment.
    async fn set_groups(
        &self,
        view: &mut View,
        decided: &[Decided],
        capacity: &dyn Capacity,
    ) -> Result<Vec<Scaled>, PlanError> {
        let (mut scaled, mut failed) = (Vec::new(), None);
        let mut turn = Turn::Ours;
        for group in decided {
            let changes = turn == Turn::Ours && group.is_change();
            if changes {
                turn = self.note_wish(view, group).await?;
            }
            let asks = changes && turn == Turn::Ours;
            if asks && let Err(error) = capacity.want(group.queue, group.wanted).await {
                // The other group has work of its own.
                if let Some(before) = failed.replace(error) {
                    tracing::warn!("{}", chain(&before));
                }
                continue;
            }
            scaled.push(view.told(group, asks));
        }
        if turn == Turn::Ours {
            self.remember(view).await?;
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(scaled),
        }
    }

    /// Before it is asked for: what was asked for and not noted would be taken
    /// for somebody else's.
    async fn note_wish(&self, view: &mut View, group: &Decided) -> Result<Turn, PlanError> {
        let heads = &group.heads;
        let had = [heads.wanted, heads.in_service + heads.booting];
        let now = view.now;
        view.record.ask(group.queue, group.wanted, had, now);
        self.put_record(view).await
    }

    fn planner(&self) -> Result<(&PlanOptions, Arc<dyn Capacity>), PlanError> {
        let options = self.planning.as_ref().ok_or(PlanError::NotHere)?;
        let capacity = self.capacity.as_ref().ok_or(PlanError::NotHere)?;
        Ok((options, Arc::clone(capacity)))
    }

    /// Another process may have looked meanwhile. Then this look has not been:
    /// two who decide at once would each take the other's wish for a person's.
    async fn remember(&self, view: &mut View) -> Result<Turn, PlanError> {
        let (record, found) = (&view.record, &view.found);
        if !record.is_news(&found.record) || *record == found.record {
            return Ok(Turn::Ours);
        }
        self.put_record(view).await
    }

    async fn put_record(&self, view: &mut View) -> Result<Turn, PlanError> {
        let (record, found) = (&view.record, &view.found);
        let put = self
            .documents
            .put_at(record::KEY, record, found.version.as_ref());
        let Some(version) = put.await.map_err(SchedulerError::from)? else {
            tracing::debug!("another process decides about capacity at this moment");
            return Ok(Turn::NotOurs);
        };
        view.found = Found {
            record: record.clone(),
            version: Some(version),
        };
        Ok(Turn::Ours)
    }
}

/// Whether what was decided is to be carried out here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    NotOurs,
}

fn is_planned(scaled: &[Scaled]) -> bool {
    let is_planned = |group: &Scaled| group.why != Why::NoHistory.as_str();
    scaled.iter().all(is_planned)
}
