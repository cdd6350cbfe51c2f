//! `trawler pause` and `trawler resume`.

use chrono::Utc;
use serde_json::json;
use trawler_core::pause::PauseScope;
use trawler_core::{PipeId, QueueName};

use super::{End, Misuse};
use crate::args::{PauseArgs, ScopeArgs};
use crate::compose::Machine;
use crate::config::Loaded;
use crate::output;

pub(crate) async fn pause(loaded: &Loaded, args: &PauseArgs, as_json: bool) -> anyhow::Result<End> {
    let scope = scope(loaded, &args.scope)?;
    let machine = Machine::open(loaded).await?;
    machine.pauses().pause(&scope, &args.reason).await?;
    told(&scope, "paused", as_json)
}

pub(crate) async fn resume(
    loaded: &Loaded,
    args: &ScopeArgs,
    as_json: bool,
) -> anyhow::Result<End> {
    let scope = scope(loaded, args)?;
    let machine = Machine::open(loaded).await?;
    machine.pauses().resume(&scope).await?;
    told(&scope, "resumed", as_json)
}

fn told(scope: &PauseScope, verb: &str, as_json: bool) -> anyhow::Result<End> {
    if as_json {
        output::json(&json!({ "scope": scope.to_string(), "now": verb, "at": Utc::now() }))?;
    } else {
        println!("{scope} is {verb}");
    }
    Ok(End::Done)
}

fn scope(loaded: &Loaded, args: &ScopeArgs) -> anyhow::Result<PauseScope> {
    if let Some(text) = &args.pipe {
        return Ok(PauseScope::Pipe(known_pipe(loaded, text)?));
    }
    match &args.queue {
        Some(text) => Ok(PauseScope::Queue(queue(text)?)),
        None => Ok(PauseScope::Fleet),
    }
}

/// The pipe id, if there is such a pipe.
pub(crate) fn known_pipe(loaded: &Loaded, text: &str) -> anyhow::Result<PipeId> {
    let id = PipeId::parse(text).map_err(|error| Misuse::new(error.to_string()))?;
    if loaded.pipe(&id).is_some() {
        return Ok(id);
    }
    let known: Vec<&str> = loaded
        .pipes
        .iter()
        .take(20)
        .map(|pipe| pipe.id.as_str())
        .collect();
    Err(Misuse::new(format!(
        "there is no pipe {id} in {}; there are: {}",
        loaded.dir.join("pipes").display(),
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    ))
    .into())
}

/// The queue of this name.
pub(crate) fn queue(text: &str) -> anyhow::Result<QueueName> {
    QueueName::ALL
        .into_iter()
        .find(|queue| queue.as_str() == text)
        .ok_or_else(|| {
            Misuse::new(format!(
                "there is no queue {text:?}; there are: crawl, image"
            ))
            .into()
        })
}
