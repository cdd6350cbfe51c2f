//! `trawler runs accept` and `trawler runs reject`.

use serde_json::json;
use trawler_core::{RunId, RunSeq};
use trawler_scheduler::{DecideError, Decider};

use super::show::parsed;
use crate::args::{AcceptArgs, RejectArgs, Who};
use crate::commands::{dlq, images};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::{End, Misuse};
use crate::output;

pub(super) async fn accept(
    loaded: &Loaded,
    args: &AcceptArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let run = parsed(&args.run)?;
    let machine = images::open(loaded, args.work).await?;
    let scheduler = machine.scheduler(loaded, None);
    let decider = decider(&args.who, &args.why);
    let landed = landed(&machine, &run).await?;
    let accepting = scheduler.accept(&run, &decider, landed).await;
    let accepting = accepting.map_err(refused)?;
    let mut end = End::Done;
    if args.work && !images::work_here(&machine, loaded).await? {
        end = End::Left;
    }
    if as_json {
        output::json(&json!({ "run": run, "accepted_as": accepting, "by": decider.by }))?;
        return Ok(end);
    }
    match args.work {
        true => say!(
            "run {run} is accepted by {}: see run {accepting}",
            decider.by
        ),
        false => say!(
            "run {run} is accepted by {} and brought in as run {accepting}: {}",
            decider.by,
            images::whose_turn(loaded)
        ),
    }
    Ok(end)
}

pub(super) async fn reject(
    loaded: &Loaded,
    args: &RejectArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let run = parsed(&args.run)?;
    let machine = Machine::open(loaded).await?;
    let decider = decider(&args.who, &args.why);
    let scheduler = machine.scheduler(loaded, None);
    scheduler.reject(&run, &decider).await.map_err(refused)?;
    if as_json {
        output::json(&json!({ "run": run, "rejected": true, "by": decider.by }))?;
    } else {
        say!(
            "run {run} is rejected by {}: what it held back stays out",
            decider.by
        );
    }
    Ok(End::Done)
}

fn decider(who: &Who, why: &str) -> Decider {
    Decider {
        by: dlq::by(who),
        why: why.to_owned(),
    }
}

/// The last run of the pipe that is in the catalogue.
async fn landed(machine: &Machine, run: &RunId) -> anyhow::Result<Option<RunSeq>> {
    let snapshot = machine.catalogue().await?.snapshot().await?;
    Ok(snapshot.txn(run.pipe.as_str()).map(RunSeq))
}

/// What the user named wrongly, or too late, is misuse; what did not answer is
/// not.
fn refused(error: DecideError) -> anyhow::Error {
    match error {
        DecideError::NoSuchRun { .. }
        | DecideError::NothingHeld { .. }
        | DecideError::Overtaken { .. }
        | DecideError::NoInput { .. }
        | DecideError::Decided { .. }
        | DecideError::Taken { .. } => Misuse::new(error.to_string()).into(),
        DecideError::Scheduler(error) => error.into(),
    }
}
