//! `trawler pause` and `trawler resume`.

use chrono::Utc;
use serde_json::json;
use trawler_core::PipeId;
use trawler_core::pause::PauseScope;

use crate::args::{PauseArgs, ScopeArgs};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::lookup::{pausable_pipe, queue};
use crate::output;

pub(crate) async fn pause(loaded: &Loaded, args: &PauseArgs, as_json: bool) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let scope = scope(&machine, &args.scope).await?;
    machine.pauses().pause(&scope, &args.reason).await?;
    told(&scope, "paused", as_json)
}

pub(crate) async fn resume(
    loaded: &Loaded,
    args: &ScopeArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let machine = Machine::open(loaded).await?;
    let scope = match paused_pipe(&machine, args).await? {
        Some(scope) => scope,
        None => scope(&machine, args).await?,
    };
    machine.pauses().resume(&scope).await?;
    told(&scope, "resumed", as_json)
}

/// A pipe that is paused can be resumed when its file is gone as well: what is
/// left of it waits for that, and for nothing else.
async fn paused_pipe(machine: &Machine, args: &ScopeArgs) -> anyhow::Result<Option<PauseScope>> {
    let named = args.pipe.as_ref().and_then(|text| PipeId::parse(text).ok());
    let Some(scope) = named.map(PauseScope::Pipe) else {
        return Ok(None);
    };
    let paused = machine.pauses().list().await?;
    Ok(paused
        .iter()
        .any(|(other, _)| *other == scope)
        .then_some(scope))
}

fn told(scope: &PauseScope, verb: &str, as_json: bool) -> anyhow::Result<End> {
    if as_json {
        output::json(&json!({ "scope": scope.to_string(), "now": verb, "at": Utc::now() }))?;
    } else {
        say!("{scope} is {verb}");
    }
    Ok(End::Done)
}

async fn scope(machine: &Machine, args: &ScopeArgs) -> anyhow::Result<PauseScope> {
    if let Some(text) = &args.pipe {
        return Ok(PauseScope::Pipe(pausable_pipe(machine, text).await?));
    }
    match &args.queue {
        Some(text) => Ok(PauseScope::Queue(queue(text)?)),
        None => Ok(PauseScope::Fleet),
    }
}
