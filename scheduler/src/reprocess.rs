//! Planning a run that reads a kept input once more instead of asking the
//! partner: after a change of the pipe or of its mapping tables, or because the
//! partner cannot be asked.
//!
//! The run has a number of its own, above every other. Its number is opened
//! first, together with what it is for, then its document is written, then its
//! job: the tick that finds the first without the rest, because the planner died
//! or is at it, plans the same run, and nobody asks the partner.

use trawler_core::job::CrawlJob;
use trawler_core::open_runs::OpenRuns;
use trawler_core::raw_input::RawInput;
use trawler_core::reprocess::Reread;
use trawler_core::run::Run;
use trawler_core::{PipeId, RunId, RunSeq};
use trawler_fleet::DocumentError;

use crate::error::SchedulerError;
use crate::tick::Scheduler;

/// Inputs that an error lists: `KEEP_RAW_MAX` of them at the most.
const LISTED_MAX: usize = 30;

/// Why no kept input is read once more.
#[derive(Debug, thiserror::Error)]
pub enum ReprocessError {
    #[error(
        "no input of pipe {pipe} is kept; judge.keep_raw says how many are, and a run keeps its own when it reads one"
    )]
    NothingKept { pipe: PipeId },
    #[error("the input of run {run} is not kept; these are: {}", listed(kept))]
    NotKept { run: RunId, kept: Vec<RunId> },
    #[error("run {run} is not of pipe {pipe}")]
    OtherPipe { run: RunId, pipe: PipeId },
    #[error(
        "the input of run {input} is older than what run {by} brought in; --force puts it over that all the same"
    )]
    Older { input: RunId, by: RunId },
    #[error("number {run} is that of another run by now; give the command again")]
    Taken { run: RunId },
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
}

impl From<DocumentError> for ReprocessError {
    fn from(error: DocumentError) -> Self {
        Self::Scheduler(error.into())
    }
}

fn listed(kept: &[RunId]) -> String {
    let names = kept.iter().take(LISTED_MAX).map(ToString::to_string);
    names.collect::<Vec<_>>().join(", ")
}

impl Scheduler {
    /// The input to be read once more: that of `run`, or else the newest that
    /// is kept. `landed` is the last run of the pipe in the catalogue.
    pub async fn choose_input(
        &self,
        pipe: &PipeId,
        run: Option<&RunId>,
        forced: bool,
        landed: Option<RunSeq>,
    ) -> Result<RawInput, ReprocessError> {
        if let Some(run) = run.filter(|run| run.pipe != *pipe) {
            let (run, pipe) = (run.clone(), pipe.clone());
            return Err(ReprocessError::OtherPipe { run, pipe });
        }
        let kept = self
            .documents
            .load::<RawInput>(&RawInput::of_pipe(pipe), usize::MAX)
            .await?;
        let chosen = match run {
            Some(run) => kept.iter().find(|raw| raw.run == *run),
            None => kept.iter().max_by_key(|raw| raw.run.seq),
        };
        let Some(chosen) = chosen else {
            let pipe = pipe.clone();
            return Err(match run {
                Some(run) if !kept.is_empty() => ReprocessError::NotKept {
                    run: run.clone(),
                    kept: kept.iter().map(|raw| raw.run.clone()).collect(),
                },
                Some(_) | None => ReprocessError::NothingKept { pipe },
            });
        };
        if !forced {
            let newer = self.documents.newer_than_input(&chosen.run, landed);
            if let Some(by) = newer.await? {
                let input = chosen.run.clone();
                return Err(ReprocessError::Older { input, by });
            }
        }
        Ok(RawInput::clone(chosen))
    }

    /// Plans the run; gives its id. Whether the input may be read is judged
    /// once more when it is.
    pub async fn reprocess(&self, input: &RunId, forced: bool) -> Result<RunId, ReprocessError> {
        let set = self.pipes.current().await.map_err(SchedulerError::from)?;
        let pipe = set.pipe(&input.pipe).map_err(SchedulerError::from)?;
        // Its rows would be seen, and its images asked for, all the same.
        self.check_collected(&pipe.id).await?;
        let run = RunId::new(pipe.id.clone(), self.now());
        let known = self.first_look(&pipe.id).await?;
        if known.newest.is_none() {
            let none = OpenRuns::none(pipe.id.clone());
            self.documents
                .create(&OpenRuns::key(&pipe.id), &none)
                .await?;
        }
        let reread = Reread {
            run: input.clone(),
            forced,
        };
        let mut is_own = false;
        self.documents
            .change(&OpenRuns::key(&pipe.id), |runs: &mut OpenRuns| {
                is_own = runs.begin_reread(run.seq, &reread);
            })
            .await?;
        if !is_own {
            return Err(ReprocessError::Taken { run });
        }
        self.plan_reread(&run, &reread).await?;
        let planned: Option<Run> = self.documents.get(&Run::key(&run)).await?;
        if planned.and_then(|planned| planned.rereads).as_ref() != Some(&reread) {
            return Err(ReprocessError::Taken { run });
        }
        tracing::info!(%run, %input, "run {run} reads the input of {input} once more");
        Ok(run)
    }

    /// Everything that follows once the number is open, as far as it is not
    /// there.
    pub(crate) async fn plan_reread(
        &self,
        run: &RunId,
        reread: &Reread,
    ) -> Result<(), SchedulerError> {
        let set = self.pipes.current().await?;
        let pipe = set.pipe(&run.pipe)?;
        let document = Run {
            pipe_set: set.id.clone(),
            rereads: Some(reread.clone()),
            ..Run::plan(run.clone(), pipe.reading().mode, self.now())
        };
        self.documents.create(&Run::key(run), &document).await?;
        self.plan_crawl(&CrawlJob::Collect { run: run.clone() })
            .await
    }
}
