//! What a person decides about a run that was quarantined, or whose deletes
//! are held.
//!
//! To accept a run is to plan another one, which brings its kept input in. The
//! number of that one is opened first, then the decision is written, then the
//! run and its job: whoever finds the number open and no job looks for the
//! decision, and carries it out or takes the number back. The decision is
//! created and never changed, so that there is one, whoever asks how often.
//!
//! That no later run has landed is looked at here for the sake of a clear word;
//! what holds it is the catalogue, which refuses a number that is not above the
//! pipe's last.

use trawler_core::decision::{Decided, Decision};
use trawler_core::job::CrawlJob;
use trawler_core::open_runs::OpenRuns;
use trawler_core::raw_input::RawInput;
use trawler_core::run::Run;
use trawler_core::{RunId, RunSeq};
use trawler_fleet::{Created, DocumentError};

use crate::error::SchedulerError;
use crate::tick::Scheduler;

/// Why a decision does not stand.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("there is no run {run}")]
    NoSuchRun { run: RunId },
    #[error(
        "run {run} is {phase} and holds nothing back; only a quarantined run, or one with held deletes, waits for a decision"
    )]
    NothingHeld { run: RunId, phase: &'static str },
    #[error(
        "run {run} can no longer be accepted: run {by} has landed since; decide about what is newest"
    )]
    Overtaken { run: RunId, by: RunId },
    #[error(
        "the input of run {run} is not kept, so that it cannot be brought in; judge.keep_raw says how many are kept"
    )]
    NoInput { run: RunId },
    #[error("run {run} was {} by {} at {}", decision.verdict.as_str(), decision.by, decision.at)]
    Decided { run: RunId, decision: Box<Decision> },
    #[error(
        "run {run} cannot be accepted: its successor {taken} is a run of its own; run the pipe again"
    )]
    Taken { run: RunId, taken: RunId },
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
}

impl From<DocumentError> for DecideError {
    fn from(error: DocumentError) -> Self {
        Self::Scheduler(error.into())
    }
}

/// Who decides, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    pub by: String,
    pub why: String,
}

/// What an open run without a job is there for, if a decision opened it.
pub(crate) enum Acceptance {
    Of(Decision),
    /// Whoever opened it died, or thought better of it, before the decision.
    Withdrawn,
}

impl Scheduler {
    /// Plans the run that brings in the kept input of `run`; gives its id. A
    /// call that died is taken up by the next one, or by the tick. `landed` is
    /// the last run of the pipe in the catalogue.
    pub async fn accept(
        &self,
        run: &RunId,
        decider: &Decider,
        landed: Option<RunSeq>,
    ) -> Result<RunId, DecideError> {
        let document = self.run_document(run).await?;
        let accepting = Decision::run_of(run);
        let planned: Option<Run> = self.documents.get(&Run::key(&accepting)).await?;
        if let Some(decision) = self.decision(run).await? {
            if decision.verdict == Decided::Accepted && planned.is_none() {
                self.carry_out(&decision).await?;
                return Ok(accepting);
            }
            let (run, decision) = (run.clone(), Box::new(decision));
            return Err(DecideError::Decided { run, decision });
        }
        self.check_open(&document)?;
        if planned.is_some() {
            let (run, taken) = (run.clone(), accepting);
            return Err(DecideError::Taken { run, taken });
        }
        if let Some(seq) = landed.filter(|landed| *landed > run.seq) {
            let pipe = run.pipe.clone();
            return Err(DecideError::Overtaken {
                run: run.clone(),
                by: RunId { pipe, seq },
            });
        }
        let raw: Option<RawInput> = self.documents.get(&RawInput::key(run)).await?;
        if raw.is_none() {
            return Err(DecideError::NoInput { run: run.clone() });
        }
        // A pipe that is gone has no run any more.
        let set = self.pipes.current().await.map_err(SchedulerError::from)?;
        set.pipe(&run.pipe).map_err(SchedulerError::from)?;
        self.open(&accepting).await?;
        let decision = self.new_decision(run, Decided::Accepted, decider);
        if let Err(error) = self.write_decision(&decision).await {
            // Of another acceptance the run stays open.
            let stands = self.decision(run).await?;
            if stands.is_none_or(|stands| stands.verdict != Decided::Accepted) {
                self.end_run(&accepting).await?;
            }
            return Err(error);
        }
        self.carry_out(&decision).await?;
        Ok(accepting)
    }

    /// What the run holds back stays out for good. Its pipe goes on as it was.
    pub async fn reject(&self, run: &RunId, decider: &Decider) -> Result<(), DecideError> {
        let document = self.run_document(run).await?;
        if let Some(decision) = self.decision(run).await? {
            let (run, decision) = (run.clone(), Box::new(decision));
            return Err(DecideError::Decided { run, decision });
        }
        self.check_open(&document)?;
        let decision = self.new_decision(run, Decided::Rejected, decider);
        self.write_decision(&decision).await?;
        Ok(self.note(&decision).await?)
    }

    /// Everything that follows from an acceptance, as far as it is not there.
    pub(crate) async fn carry_out(&self, decision: &Decision) -> Result<(), SchedulerError> {
        let set = self.pipes.current().await?;
        let pipe = set.pipe(&decision.run.pipe)?;
        let accepting = Decision::run_of(&decision.run);
        // A tick that came before the decision has closed it again.
        self.open(&accepting).await?;
        let document = Run {
            pipe_set: set.id.clone(),
            accepts: Some(decision.run.clone()),
            ..Run::plan(accepting.clone(), pipe.reading().mode, self.now())
        };
        self.documents
            .create(&Run::key(&accepting), &document)
            .await?;
        self.note(decision).await?;
        let job = self.crawl_record(&CrawlJob::Collect { run: accepting });
        self.jobs.plan_and_send(vec![job]).await?;
        tracing::info!(run = %decision.run, "run {} is accepted by {}", decision.run, decision.by);
        Ok(())
    }

    /// Whether the run was opened by a decision.
    pub(crate) async fn acceptance(
        &self,
        run: &RunId,
    ) -> Result<Option<Acceptance>, SchedulerError> {
        let own: Option<Run> = self.documents.get(&Run::key(run)).await?;
        if own.is_some_and(|own| own.accepts.is_none()) {
            return Ok(None);
        }
        let accepted = Decision::accepted_by(run);
        let before: Option<Run> = self.documents.get(&Run::key(&accepted)).await?;
        if before.is_none() {
            return Ok(None);
        }
        let decision = self.decision(&accepted).await?;
        let accepts = |decision: &Decision| decision.verdict == Decided::Accepted;
        Ok(Some(match decision.filter(accepts) {
            Some(decision) => Acceptance::Of(decision),
            None => Acceptance::Withdrawn,
        }))
    }

    async fn run_document(&self, run: &RunId) -> Result<Run, DecideError> {
        let found: Option<Run> = self.documents.get(&Run::key(run)).await?;
        found.ok_or_else(|| DecideError::NoSuchRun { run: run.clone() })
    }

    fn check_open(&self, document: &Run) -> Result<(), DecideError> {
        if document.awaits_decision() {
            return Ok(());
        }
        Err(DecideError::NothingHeld {
            run: document.id.clone(),
            phase: document.phase.as_str(),
        })
    }

    async fn decision(&self, run: &RunId) -> Result<Option<Decision>, DocumentError> {
        self.documents.get(&Decision::key(run)).await
    }

    fn new_decision(&self, run: &RunId, verdict: Decided, decider: &Decider) -> Decision {
        Decision {
            run: run.clone(),
            verdict,
            by: decider.by.clone(),
            at: self.now(),
            why: decider.why.clone(),
        }
    }

    /// Of two that decide at once the first one stands.
    async fn write_decision(&self, decision: &Decision) -> Result<(), DecideError> {
        let key = Decision::key(&decision.run);
        if self.documents.create(&key, decision).await? == Created::New {
            return Ok(());
        }
        match self.decision(&decision.run).await? {
            Some(stands) if stands == *decision => Ok(()),
            Some(stands) => Err(DecideError::Decided {
                run: decision.run.clone(),
                decision: Box::new(stands),
            }),
            // A person took it away in this very moment.
            None => Err(DecideError::NoSuchRun {
                run: decision.run.clone(),
            }),
        }
    }

    /// Says in the run what was decided.
    async fn note(&self, decision: &Decision) -> Result<(), SchedulerError> {
        let decide = |run: &mut Run| run.decided = Some(decision.verdict);
        self.documents
            .change(&Run::key(&decision.run), decide)
            .await?;
        Ok(())
    }

    async fn open(&self, run: &RunId) -> Result<(), SchedulerError> {
        self.first_look(&run.pipe).await?;
        let begin = |runs: &mut OpenRuns| {
            runs.begin(run.seq);
        };
        self.documents
            .change(&OpenRuns::key(&run.pipe), begin)
            .await?;
        Ok(())
    }
}
