//! `trawler reprocess`: a kept input of a pipe, read once more.

use serde_json::json;
use trawler_core::RunSeq;
use trawler_core::pause::PauseScope;
use trawler_core::reprocess::Reread;
use trawler_core::run::{Run, RunPhase};
use trawler_scheduler::{ReprocessError, SchedulerError};

use super::runs::parsed;
use super::{dry_run, images};
use crate::args::ReprocessArgs;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::lookup::current_pipe;
use crate::output;

pub(crate) async fn run(
    loaded: &Loaded,
    args: &ReprocessArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = images::open(loaded, args.work).await?;
    let pipe = current_pipe(&machine, &args.pipe).await?;
    let wanted = match &args.run {
        Some(text) => Some(parsed(text)?),
        None => None,
    };
    let snapshot = machine.catalogue().await?.snapshot().await?;
    let landed = snapshot.txn(pipe.as_str()).map(RunSeq);
    let scheduler = machine.scheduler(loaded, None);
    let chosen = scheduler.choose_input(&pipe, wanted.as_ref(), args.force, landed);
    let input = chosen.await.map_err(refused)?.run;
    if args.dry_run {
        let reread = Reread {
            run: input,
            forced: args.force,
        };
        return dry_run::dry_run(loaded, &machine, &pipe, Some(reread), as_json).await;
    }
    let planned = scheduler.reprocess(&input, args.force).await;
    let planned = planned.map_err(refused)?;
    let paused = machine.pauses().which([PauseScope::Pipe(pipe.clone())]);
    let is_paused = paused.await?.is_some();
    let mut end = End::Done;
    if args.work {
        let is_done = images::work_here(&machine, loaded).await?;
        let documents = machine.ports.documents();
        let run: Option<Run> = documents.get(&Run::key(&planned)).await?;
        end = match run.map(|run| (run.phase, run.is_complete())) {
            Some((RunPhase::Failed, _)) => End::Failed,
            Some((RunPhase::Finished, true)) if is_done => End::Done,
            Some(_) | None => End::Left,
        };
    }
    if as_json {
        output::json(&json!({ "run": planned, "input_of": input, "paused": is_paused }))?;
        return Ok(end);
    }
    match args.work {
        true => say!("the input of run {input} was read once more: see run {planned}"),
        false => say!(
            "the input of run {input} is read once more as run {planned}: {}",
            images::whose_turn(loaded)
        ),
    }
    if is_paused {
        say!("pipe {pipe} is paused, and so is that run: `trawler resume --pipe {pipe}`");
    }
    Ok(end)
}

/// What the user named wrongly, or too late, is misuse; what did not answer is
/// not.
fn refused(error: ReprocessError) -> anyhow::Error {
    match error {
        ReprocessError::NothingKept { .. }
        | ReprocessError::NotKept { .. }
        | ReprocessError::OtherPipe { .. }
        | ReprocessError::Older { .. }
        | ReprocessError::Scheduler(SchedulerError::NotCollected { .. }) => {
            Misuse::new(error.to_string()).into()
        }
        taken @ ReprocessError::Taken { .. } => taken.into(),
        ReprocessError::Scheduler(error) => error.into(),
    }
}
