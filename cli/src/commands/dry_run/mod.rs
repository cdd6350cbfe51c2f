//! A run from beginning to end of which nothing stays: `run --dry-run` and
//! `reprocess --dry-run`.
//!
//! The run is a real one on a machine of paper: the crawler downloads, parses,
//! compares, judges and commits as ever, and what it writes goes into a folder
//! that is thrown away. So what is shown is what would happen, by the same
//! code. The partner is asked as by any run, within its bounds of politeness;
//! the machine's own documents, blobs, queues and catalogue are only read.
//!
//! A run that is quarantined is accepted on paper, so that it can be shown what
//! it would change.

mod report;
mod show;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use trawler_core::decision::Decision;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::reprocess::Reread;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, QueueName, RunId};
use trawler_fleet::{Drain, HeldFolder, ProgressBoard, Worker, WorkerOptions};

use crate::compose::{self, Machine};
use crate::config::Loaded;
use crate::end::End;
use crate::lookup;
use crate::output;
use crate::progress::{self, Show};

use report::{Evidence, Report};

/// Longest poll of the queue, which is on this machine.
const POLL: Duration = Duration::from_millis(250);

/// Between two looks whether the run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Folder below the store's for what is thrown away: a folder in it for each
/// dry run. What a killed one left, as much as a feed takes, goes when the next
/// one starts.
const FOLDER: &str = "scratch-dry-run";

/// What a run of the pipe would do now.
pub(super) async fn of_pipe(loaded: &Loaded, pipe: &str, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let pipe = lookup::current_pipe(&machine, pipe).await?;
    dry_run(loaded, &machine, &pipe, None, as_json).await
}

/// What a run of the pipe would do; with `rereads` one that reads a kept input.
pub(super) async fn dry_run(
    loaded: &Loaded,
    machine: &Machine,
    pipe: &PipeId,
    rereads: Option<Reread>,
    as_json: bool,
) -> anyhow::Result<End> {
    let root = loaded.store_dir().join(FOLDER);
    std::fs::create_dir_all(&root).with_context(|| format!("make {}", root.display()))?;
    HeldFolder::sweep(&root);
    let make = || format!("make a folder in {}", root.display());
    let folder = tempfile::tempdir_in(&root).with_context(make)?;
    let held = HeldFolder::make(folder.path().to_owned()).with_context(make)?;
    let end = on_paper(loaded, machine, pipe, rereads, folder.path(), as_json).await;
    let path = folder.path().to_owned();
    let removed = folder.close();
    drop(held);
    let end = end?;
    removed.with_context(|| format!("remove {}", path.display()))?;
    Ok(end)
}

async fn on_paper(
    loaded: &Loaded,
    machine: &Machine,
    pipe: &PipeId,
    rereads: Option<Reread>,
    folder: &Path,
    as_json: bool,
) -> anyhow::Result<End> {
    let before = machine.catalogue().await?.snapshot().await?;
    let paper = machine.on_paper(loaded, folder).await?;
    let set = paper.pipes.current().await?;
    let mode = set.pipe(pipe)?.reading().mode;
    let planned = Run {
        pipe_set: set.id.clone(),
        rereads,
        ..Run::plan(
            RunId::new(pipe.clone(), machine.ports.clock.now()),
            mode,
            machine.ports.clock.now(),
        )
    };
    let crew = Crew::hire(&paper, loaded).await?;
    let ended = crew.work_off(&planned).await?;
    let run = ended.run.clone();
    if run.phase == RunPhase::Quarantined {
        let accepted = Run {
            pipe_set: set.id.clone(),
            accepts: Some(run.id.clone()),
            ..Run::plan(Decision::run_of(&run.id), mode, machine.ports.clock.now())
        };
        // Its verdict stands; this only shows what it would change.
        crew.work_off(&accepted).await?;
    }
    crew.leave().await?;
    let evidence = Evidence {
        paper: &paper,
        pipe,
        before,
        ended: &ended,
    };
    let report = evidence.report().await?;
    match as_json {
        true => output::json(&report)?,
        false => show::show(&report)?,
    }
    Ok(report.end())
}

/// How far the run came.
struct Ended {
    run: Run,
    record: Option<JobRecord>,
}

/// One worker of the paper's crawl queue.
struct Crew<'a> {
    paper: &'a Machine,
    drain: Drain,
    tasks: JoinSet<()>,
}

impl<'a> Crew<'a> {
    async fn hire(paper: &'a Machine, loaded: &Loaded) -> anyhow::Result<Self> {
        let fetcher = compose::fetcher(&loaded.config, &[])?;
        let crawler = paper.crawler(loaded, &fetcher).await?;
        let drain = Drain::new();
        let board = ProgressBoard::new();
        let options = WorkerOptions {
            slots: 1,
            receive_wait: POLL,
            retry: loaded.config.retry,
            ..WorkerOptions::default()
        };
        let worker = Worker::new(
            &paper.ports,
            Arc::new(crawler),
            options,
            paper.pauses().clone(),
            drain.clone(),
        );
        let worker = worker.with_board(board.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            worker.run().await;
        });
        let told = drain.clone();
        tasks.spawn(async move { progress::show(board, told, Show::Yes).await });
        Ok(Self {
            paper,
            drain,
            tasks,
        })
    }

    /// Plans the run on paper and waits until its job is settled, or waits for
    /// something itself.
    async fn work_off(&self, planned: &Run) -> anyhow::Result<Ended> {
        let documents = self.paper.ports.documents();
        documents.create(&Run::key(&planned.id), planned).await?;
        let job = CrawlJob::Collect {
            run: planned.id.clone(),
        };
        let record = JobRecord::plan(
            job.id(),
            QueueName::Crawl,
            job.pipe().clone(),
            job.group(),
            job.encode(),
            planned.planned,
        );
        let jobs = self.paper.ports.jobs();
        jobs.plan_and_send(vec![record]).await?;
        let mut left = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let record = jobs.find(QueueName::Crawl, &job.id()).await?;
            let is_open = |record: &JobRecord| record.status == JobStatus::Open;
            if !record.as_ref().is_some_and(is_open) {
                let run = documents.get(&Run::key(&planned.id)).await?;
                let run = run.context("the run has no document any more")?;
                return Ok(Ended { run, record });
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = &mut left => anyhow::bail!("left on request; nothing of the run stays"),
            }
        }
    }

    async fn leave(mut self) -> anyhow::Result<()> {
        self.drain.finish();
        while let Some(joined) = self.tasks.join_next().await {
            joined.context("join the worker")?;
        }
        Ok(())
    }
}

impl Report {
    fn end(&self) -> End {
        match self.outcome {
            report::Outcome::Applied | report::Outcome::Unchanged => End::Done,
            report::Outcome::DeletesHeld
            | report::Outcome::Incomplete
            | report::Outcome::Quarantined
            | report::Outcome::Waits => End::Left,
            report::Outcome::Failed => End::Failed,
        }
    }
}
