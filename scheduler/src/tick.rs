//! One look at everything, and the loop round it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use trawler_core::pipe::Pipe;
use trawler_core::{PipeId, RunId};
use trawler_fleet::manifests::{self, Windows};
use trawler_fleet::{Documents, Drain, Jobs, Pauses, Ports};

use crate::error::SchedulerError;

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
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            tick_every: Duration::from_secs(60),
            fold_after: chrono::Duration::hours(2),
            unseen_max: chrono::Duration::hours(24),
            settled_kept: chrono::Duration::days(7),
            windows: Windows::default(),
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
    pub runs_closed: u64,
    pub pruned: u64,
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
            > 0
    }

    /// Keeps what a person has to mend and goes on; anything else ends the
    /// tick, and the next one tries again.
    pub(crate) fn keep<E: Into<SchedulerError>>(&mut self, error: E) -> Result<(), SchedulerError> {
        let error = error.into();
        if !error.needs_person() {
            return Err(error);
        }
        tracing::error!(%error, "{error}");
        self.problems.push(error.to_string());
        Ok(())
    }
}

/// Plans runs and keeps jobs moving.
pub struct Scheduler {
    pub(crate) ports: Ports,
    pub(crate) documents: Documents,
    pub(crate) jobs: Jobs,
    pub(crate) pauses: Pauses,
    pub(crate) pipes: Arc<[Pipe]>,
    pub(crate) options: SchedulerOptions,
}

impl Scheduler {
    pub fn new(ports: Ports, pipes: Arc<[Pipe]>, options: SchedulerOptions) -> Self {
        Self {
            documents: ports.documents(),
            jobs: ports.jobs(),
            pauses: Pauses::new(&ports),
            ports,
            pipes,
            options,
        }
    }

    /// Looks at everything once.
    pub async fn tick(&self) -> Result<TickReport, SchedulerError> {
        let mut report = TickReport::default();
        self.plan_due(&mut report).await?;
        self.keep_moving(&mut report).await?;
        Ok(report)
    }

    /// Looks at everything but what is due by its schedule, for work on chosen
    /// pipes.
    pub async fn tick_without_planning(&self) -> Result<TickReport, SchedulerError> {
        let mut report = TickReport::default();
        self.keep_moving(&mut report).await?;
        Ok(report)
    }

    /// Plans a run of the pipe that is due now.
    pub async fn run_now(&self, pipe: &PipeId) -> Result<RunId, SchedulerError> {
        let known = self.pipes.iter().find(|known| &known.id == pipe);
        let pipe = known.ok_or_else(|| SchedulerError::NoSuchPipe(pipe.clone()))?;
        let run = RunId::new(pipe.id.clone(), self.now());
        self.plan_run(pipe, &run).await?;
        Ok(run)
    }

    /// Whether image work is planned that no job in the ledger stands for yet.
    pub async fn has_work(&self) -> Result<bool, SchedulerError> {
        Ok(!manifests::unsettled(&self.documents).await?.is_empty())
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

    async fn keep_moving(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        self.sweep_dead(report).await?;
        self.move_jobs(report).await?;
        self.move_images(report).await?;
        self.close_runs(report).await?;
        self.prune(report).await
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.ports.clock.now()
    }
}
