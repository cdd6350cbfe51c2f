//! One look at everything, and the loop round it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use trawler_core::ports::Capacity;
use trawler_core::schedule::Schedule;
use trawler_core::upkeep::UpkeepKind;
use trawler_core::{JobId, PipeId, RunId};
use trawler_fleet::manifests::{self, Filler, Windows};
use trawler_fleet::{Documents, Drain, Jobs, Pipes, Ports, chain};

use crate::capacity::{DueTimes, PlanOptions};
use crate::error::SchedulerError;
use crate::look::Look;
use crate::upkeep::UpkeepRule;

/// Settings of the scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    pub tick_every: Duration,
    /// How long image results may wait for the rest of their manifest.
    pub fold_after: chrono::Duration,
    /// An open job that nobody saw for so long is sent again.
    pub unseen_max: chrono::Duration,
    /// How long settled jobs, manifests and results are kept.
    pub settled_kept: chrono::Duration,
    pub windows: Windows,
    /// When failed images are tried again between runs; `None` for never.
    pub retry: Option<Schedule>,
    /// Upkeep by schedule; none where a kind is missing.
    pub upkeep: Vec<UpkeepRule>,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            tick_every: Duration::from_secs(60),
            fold_after: chrono::Duration::hours(2),
            unseen_max: chrono::Duration::hours(24),
            settled_kept: chrono::Duration::days(7),
            windows: Windows::default(),
            retry: None,
            upkeep: Vec::new(),
        }
    }
}

/// What one tick did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TickReport {
    pub runs_planned: u64,
    /// Pipes that were due and have too many unsettled runs already.
    pub pipes_behind: u64,
    pub jobs_sent: u64,
    pub jobs_unparked: u64,
    pub jobs_resent: u64,
    pub dead_swept: u64,
    pub image_jobs_sent: u64,
    pub folds_planned: u64,
    /// Jobs that fetch images between runs.
    pub refetches_planned: u64,
    pub upkeep_planned: u64,
    pub runs_closed: u64,
    /// Records of settled jobs that left the ledger.
    pub records_taken: u64,
    pub pruned: u64,
    /// Groups that were asked to have another number of instances.
    pub groups_set: u64,
    /// What could not be looked after and needs a person, a sentence each;
    /// everything else was.
    pub problems: Vec<String>,
}

impl TickReport {
    /// Whether anything went into a queue or was planned for one.
    pub fn moved_jobs(&self) -> bool {
        self.runs_planned
            + self.jobs_sent
            + self.jobs_unparked
            + self.jobs_resent
            + self.dead_swept
            + self.image_jobs_sent
            + self.folds_planned
            + self.refetches_planned
            + self.upkeep_planned
            > 0
    }

    /// Keeps what a person has to mend and goes on; anything else ends the
    /// tick, and the next one tries again.
    pub(crate) fn keep<E: Into<SchedulerError>>(&mut self, error: E) -> Result<(), SchedulerError> {
        let error = error.into();
        if !error.needs_person() {
            return Err(error);
        }
        self.tell(&error);
        Ok(())
    }

    pub(crate) fn tell(&mut self, error: &SchedulerError) {
        let problem = chain(error);
        tracing::error!("{problem}");
        self.problems.push(problem);
    }
}

/// Plans runs and keeps jobs moving.
pub struct Scheduler {
    pub(crate) ports: Ports,
    pub(crate) documents: Documents,
    pub(crate) jobs: Jobs,
    pub(crate) pipes: Pipes,
    pub(crate) options: SchedulerOptions,
    pub(crate) filler: Filler,
    /// Tells how many workers there are; without it nobody asks.
    pub(crate) capacity: Option<Arc<dyn Capacity>>,
    /// How capacity is planned; `None`: not here.
    pub(crate) planning: Option<PlanOptions>,
    memory: Mutex<Memory>,
}

/// What a scheduler remembers between ticks so as not to ask again. A new one
/// asks once.
#[derive(Default)]
pub(crate) struct Memory {
    /// When the last prune pass began, whoever did it.
    pub(crate) pruned: Option<DateTime<Utc>>,
    /// The due instant whose retries of failed images are all planned.
    pub(crate) retried: Option<DateTime<Utc>>,
    /// The due instant of each kind of upkeep that needs no further look.
    pub(crate) looked_after: BTreeMap<UpkeepKind, DateTime<Utc>>,
    /// Dead jobs, at their epoch, whose run is closed.
    pub(crate) closed: HashSet<(JobId, u64)>,
    /// When the results of a run were counted and too few.
    pub(crate) counted: HashMap<RunId, DateTime<Utc>>,
    /// When pipes are due next.
    pub(crate) due: DueTimes,
}

impl Scheduler {
    pub fn new(ports: Ports, pipes: Pipes, options: SchedulerOptions) -> Self {
        Self {
            documents: ports.documents(),
            jobs: ports.jobs(),
            ports,
            pipes,
            options,
            filler: Filler::default(),
            capacity: None,
            planning: None,
            memory: Mutex::default(),
        }
    }

    /// Records the backlog for each worker in service as well.
    pub fn with_capacity(mut self, capacity: Arc<dyn Capacity>) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// Sets the capacity of the groups by what is due, and before it is due.
    /// Needs [`Scheduler::with_capacity`].
    pub fn with_planning(mut self, options: PlanOptions) -> Self {
        self.planning = Some(options);
        self
    }

    /// Looks at everything once.
    pub async fn tick(&self) -> Result<TickReport, SchedulerError> {
        let mut report = TickReport::default();
        let mut look = self.look(&mut report).await?;
        self.close_runs(&mut look, &mut report).await?;
        // Instances boot while messages are sent.
        self.set_capacity(&look, &mut report).await;
        self.plan_due(&look, &mut report).await?;
        self.plan_retries(&look, &mut report).await?;
        self.plan_upkeep(&mut report).await?;
        self.keep_moving(&look, &mut report).await?;
        Ok(report)
    }

    /// Looks at everything but what is due by its schedule, for work on chosen
    /// pipes.
    pub async fn tick_without_planning(&self) -> Result<TickReport, SchedulerError> {
        let mut report = TickReport::default();
        let mut look = self.look(&mut report).await?;
        self.close_runs(&mut look, &mut report).await?;
        self.keep_moving(&look, &mut report).await?;
        Ok(report)
    }

    /// Plans a run of the pipe that is due now.
    pub async fn run_now(&self, pipe: &PipeId) -> Result<RunId, SchedulerError> {
        let set = self.pipes.current().await?;
        let pipe = set.pipe(pipe)?;
        self.check_collected(&pipe.id).await?;
        let run = RunId::new(pipe.id.clone(), self.now());
        self.plan_now(pipe, &run, set.id.as_ref()).await?;
        Ok(run)
    }

    /// Whether image work is planned that no job in the ledger stands for yet.
    pub async fn has_work(&self) -> Result<bool, SchedulerError> {
        // One that cannot be read is told by the tick and waits for a person.
        let open = manifests::open(&self.documents).await?.documents;
        Ok(open.iter().any(|manifest| !manifest.settled))
    }

    /// Ticks until the drain. A tick that fails is told and tried again.
    pub async fn run(&self, drain: &Drain) {
        while !drain.requested() {
            match self.tick().await {
                Ok(report) if report != TickReport::default() => tracing::info!(?report, "tick"),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "tick of the scheduler failed; the next one tries again: {error}")
                }
            }
            tokio::select! {
                () = drain.wait() => {}
                () = self.ports.clock.sleep(self.options.tick_every) => {}
            }
        }
    }

    async fn keep_moving(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        self.sweep_dead(report).await;
        self.move_jobs(look, report).await?;
        self.move_images(look, report).await?;
        self.settle_withheld(look, report).await?;
        self.take_settled(look, report).await?;
        self.prune(look, report).await?;
        self.record_gauges(look).await;
        Ok(())
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each use leaves it whole, also one that panicked.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.ports.clock.now()
    }
}
