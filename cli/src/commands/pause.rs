//! `trawler pause` and `trawler resume`.

use chrono::Utc;
use serde_json::json;
use trawler_core::pause::PauseScope;

use crate::args::{PauseArgs, ScopeArgs};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::End;
use crate::lookup::{current_pipe, queue};
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
    let scope = scope(&machine, args).await?;
    machine.pauses().resume(&scope).await?;
    told(&scope, "resumed", as_json)
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
        return Ok(PauseScope::Pipe(current_pipe(machine, text).await?));
    }
    match &args.queue {
        Some(text) => Ok(PauseScope::Queue(queue(text)?)),
        None => Ok(PauseScope::Fleet),
    }
}
