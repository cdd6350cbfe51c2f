//! What is due becomes an open number in the pipe's schedule document, a run
//! document, a job record and a message, in this order: a crash between two of
//! them is healed by the next tick, which finds an open run without the rest.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobRecord;
use trawler_core::open_runs::OpenRuns;
use trawler_core::past::PastRun;
use trawler_core::pipe::Pipe;
use trawler_core::ports::BATCH_MAX;
use trawler_core::reprocess::Reread;
use trawler_core::run::{Run, RunPhase};
use trawler_core::withheld::Withholding;
use trawler_core::{PipeId, PipeSetId, QueueName, RunId};
use trawler_fleet::{Created, DocumentError};

use crate::capacity::in_order;
use crate::decide::Acceptance;
use crate::error::SchedulerError;
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

/// Runs of one pipe that may be unsettled: one that is worked on and one that
/// waits. More would only repeat what the waiting one will do.
pub(crate) const UNSETTLED_RUNS_MAX: usize = 2;

impl Scheduler {
    pub(crate) async fn plan_due(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        // Without pipes nothing is planned; what is planned goes on.
        let set = match self.pipes.current().await {
            Ok(set) => set,
            Err(error) => return report.keep(error),
        };
        for id in set.unreadable.keys() {
            if let Err(error) = set.pipe(id) {
                report.keep(error)?;
            }
        }
        let unsettled = look.unsettled_runs();
        let mut jobs = Vec::new();
        // The queue hands out in the order in which it was sent to.
        let options = self.planning.as_ref();
        for pipe in in_order(&set, look, options) {
            let unreadable = |key: &String| look.unreadable.contains(key);
            if unreadable(&OpenRuns::key(&pipe.id)) || unreadable(&Withholding::key(&pipe.id)) {
                continue;
            }
            if !look.state(pipe).is_collected() {
                continue;
            }
            let due = Due {
                pipe,
                set: set.id.as_ref(),
                look,
                unsettled: &unsettled,
            };
            match self.plan_pipe(&due, report).await {
                Ok(job) => jobs.extend(job),
                Err(error) => report.keep(error)?,
            }
            if jobs.len() == BATCH_MAX {
                self.send_runs(std::mem::take(&mut jobs), report).await?;
            }
        }
        self.send_runs(jobs, report).await
    }

    /// Runs whose job is not recorded by this are open without one: the next
    /// tick heals them one by one.
    async fn send_runs(
        &self,
        jobs: Vec<JobRecord>,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        match self.jobs.plan_and_send(jobs).await {
            Ok(_) => Ok(()),
            Err(error) => report.keep(error),
        }
    }

    /// The job of a run that is due, to be recorded and sent with others: a
    /// send of ten costs what a send of one does.
    async fn plan_pipe(
        &self,
        due: &Due<'_>,
        report: &mut TickReport,
    ) -> Result<Option<JobRecord>, SchedulerError> {
        let pipe = due.pipe;
        let schedule = pipe.schedule().map_err(|source| SchedulerError::Schedule {
            pipe: pipe.id.clone(),
            source,
        })?;
        let Some(instant) = schedule.latest_at_or_before(self.now()) else {
            return Ok(None);
        };
        let run = RunId::new(pipe.id.clone(), instant);
        let first_look;
        let known = match due.look.schedules.get(&pipe.id) {
            Some(known) => &**known,
            None => {
                first_look = self.first_look(&pipe.id).await?;
                &first_look
            }
        };
        if known.newest >= Some(run.seq) {
            return Ok(None);
        }
        let mut unsettled: BTreeSet<RunId> = known.runs().collect();
        unsettled.retain(|run| !due.look.over.contains(run));
        unsettled.extend(due.unsettled.get(&pipe.id).into_iter().flatten().cloned());
        if unsettled.len() >= UNSETTLED_RUNS_MAX {
            report.pipes_behind += 1;
            return Ok(None);
        }
        if !self.begin(known, &run).await? {
            return Ok(None);
        }
        let job = self.write_run(pipe, &run, due.set).await?;
        report.runs_planned += 1;
        Ok(Some(job))
    }

    /// The schedule document of a pipe that has none yet: it is new, or its
    /// runs are from before these documents were kept.
    pub(crate) async fn first_look(&self, pipe: &PipeId) -> Result<OpenRuns, SchedulerError> {
        let key = OpenRuns::key(pipe);
        if let Some(known) = self.documents.get(&key).await? {
            return Ok(known);
        }
        let runs = self
            .documents
            .load::<Run>(&format!("runs/{pipe}/"), usize::MAX)
            .await?;
        let mut known = OpenRuns::none(pipe.clone());
        known.newest = runs.iter().map(|run| run.id.seq).max();
        for run in runs.iter().filter(|run| !run.phase.is_over()) {
            known.begin(run.id.seq);
        }
        if known.newest.is_some() {
            self.documents.create(&key, &known).await?;
        }
        Ok(known)
    }

    /// Opens the run, unless it or a later one was begun by another scheduler.
    async fn begin(&self, known: &OpenRuns, run: &RunId) -> Result<bool, SchedulerError> {
        let key = OpenRuns::key(&run.pipe);
        if known.newest.is_none() {
            let mut first = OpenRuns::none(run.pipe.clone());
            first.begin(run.seq);
            if self.documents.create(&key, &first).await? == Created::New {
                return Ok(true);
            }
        }
        let mut begun = false;
        self.documents
            .change(&key, |runs: &mut OpenRuns| {
                begun = runs.newest < Some(run.seq) && runs.begin(run.seq);
            })
            .await?;
        Ok(begun)
    }

    /// Opens and plans a run that a person asks for.
    pub(crate) async fn plan_now(
        &self,
        pipe: &Pipe,
        run: &RunId,
        set: Option<&PipeSetId>,
    ) -> Result<(), SchedulerError> {
        let known = self.first_look(&pipe.id).await?;
        if !self.begin(&known, run).await? {
            // A later one was planned, by a clock that is ahead of this one.
            self.documents
                .change(&OpenRuns::key(&pipe.id), |runs: &mut OpenRuns| {
                    runs.begin(run.seq);
                })
                .await?;
        }
        self.plan_run(pipe, run, set).await
    }

    /// A run that is open and has no document or no job: the planner died in
    /// between, or is at it. `reread` is what it was opened for.
    pub(crate) async fn heal(
        &self,
        run: &RunId,
        reread: Option<&Reread>,
    ) -> Result<(), SchedulerError> {
        if let Some(meant) = reread {
            return self.plan_reread(run, meant).await;
        }
        match self.acceptance(run).await? {
            Some(Acceptance::Of(decision)) => self.carry_out(&decision).await,
            Some(Acceptance::Withdrawn) => self.end_run(run).await,
            None => {
                let set = self.pipes.current().await?;
                let pipe = set.pipe(&run.pipe)?;
                self.plan_run(pipe, run, set.id.as_ref()).await
            }
        }
    }

    /// The run is over, or will not be. What it took is kept with it.
    pub(crate) async fn end_run(&self, run: &RunId) -> Result<(), SchedulerError> {
        let end = |runs: &mut OpenRuns| runs.end(run.seq);
        self.documents
            .change(&OpenRuns::key(&run.pipe), end)
            .await?;
        Ok(())
    }

    /// As `end_run`, of a run that is known: a complete one is remembered.
    pub(crate) async fn end_over(&self, run: &Run) -> Result<(), SchedulerError> {
        let complete = self.complete_at(run).await?;
        let past = PastRun::of(run);
        let end = |runs: &mut OpenRuns| {
            runs.end_as(run.id.seq, past);
            if let Some(at) = complete {
                runs.completed(at);
            }
        };
        self.documents
            .change(&OpenRuns::key(&run.id.pipe), end)
            .await?;
        Ok(())
    }

    /// When what a complete run brought in was there. A kept input is as old as
    /// the run that asked the partner for it, whenever it is read.
    async fn complete_at(&self, run: &Run) -> Result<Option<DateTime<Utc>>, SchedulerError> {
        let is_complete = run.phase == RunPhase::Finished && run.is_complete();
        let Some(finished) = run.finished.filter(|_| is_complete) else {
            return Ok(None);
        };
        let Some(input) = run.input_of() else {
            return Ok(Some(finished));
        };
        let asked = match self.documents.get::<Run>(&Run::key(input)).await {
            Ok(asked) => asked,
            // Of another run; this one ends all the same.
            Err(DocumentError::Unreadable { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let ended = asked.and_then(|asked| asked.finished);
        Ok(Some(ended.unwrap_or_else(|| input.due()).min(finished)))
    }

    async fn plan_run(
        &self,
        pipe: &Pipe,
        run: &RunId,
        set: Option<&PipeSetId>,
    ) -> Result<(), SchedulerError> {
        let job = self.write_run(pipe, run, set).await?;
        self.jobs.plan_and_send(vec![job]).await?;
        Ok(())
    }

    /// Writes the run's document; gives the record of its job.
    async fn write_run(
        &self,
        pipe: &Pipe,
        run: &RunId,
        set: Option<&PipeSetId>,
    ) -> Result<JobRecord, SchedulerError> {
        let document = Run {
            pipe_set: set.cloned(),
            ..Run::plan(run.clone(), pipe.reading().mode, self.now())
        };
        self.documents.create(&Run::key(run), &document).await?;
        tracing::info!(%run, "planned run {run}");
        let job = CrawlJob::Collect { run: run.clone() };
        Ok(self.crawl_record(&job))
    }

    /// Records a crawl job and sends it; what is recorded and not accepted by
    /// the queue is sent by a later tick.
    pub(crate) async fn plan_crawl(&self, job: &CrawlJob) -> Result<(), SchedulerError> {
        let record = self.crawl_record(job);
        self.jobs.plan_and_send(vec![record]).await?;
        Ok(())
    }

    pub(crate) fn crawl_record(&self, job: &CrawlJob) -> JobRecord {
        JobRecord::plan(
            job.id(),
            QueueName::Crawl,
            job.pipe().clone(),
            job.group(),
            job.encode(),
            self.now(),
        )
    }
}

/// A pipe whose time may have come.
struct Due<'a> {
    pipe: &'a Pipe,
    set: Option<&'a PipeSetId>,
    look: &'a Look,
    /// Runs by pipe whose job is open or parked.
    unsettled: &'a HashMap<PipeId, BTreeSet<RunId>>,
}
