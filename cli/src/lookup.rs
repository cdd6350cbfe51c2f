//! What the words of the command line name.

use anyhow::Context;
use chrono::{DateTime, Utc};
use trawler_core::dead::DeadLetter;
use trawler_core::upkeep::UPKEEP_PIPE;
use trawler_core::{PipeId, QueueName};
use trawler_fleet::PipeError;

use crate::compose::Machine;
use crate::end::Misuse;

/// Ids that an error lists.
const SHOWN_MAX: usize = 20;

/// The pipe id, if the folder or the current set has such a pipe.
pub(crate) async fn current_pipe(machine: &Machine, text: &str) -> anyhow::Result<PipeId> {
    let id = parsed(text)?;
    match why_not_current(machine, &id).await? {
        Some(why) => Err(why.into()),
        None => Ok(id),
    }
}

/// The pipe whose jobs are to be held, which may be those of no partner.
pub(crate) async fn pausable_pipe(machine: &Machine, text: &str) -> anyhow::Result<PipeId> {
    if text == UPKEEP_PIPE.as_str() {
        return Ok(UPKEEP_PIPE.clone());
    }
    current_pipe(machine, text).await
}

/// The pipe id, also where the pipe is not in the folder or the current set any
/// more, as long as something of it is stored.
pub(crate) async fn known_pipe(machine: &Machine, text: &str) -> anyhow::Result<PipeId> {
    let id = parsed(text)?;
    match why_not_current(machine, &id).await? {
        Some(why) if !is_stored(machine, &id).await? => Err(why.into()),
        Some(_) | None => Ok(id),
    }
}

async fn why_not_current(machine: &Machine, id: &PipeId) -> anyhow::Result<Option<Misuse>> {
    let set = match machine.pipes.current().await {
        Ok(set) => set,
        Err(error @ PipeError::NothingPublished) => {
            return Ok(Some(Misuse::new(error.to_string())));
        }
        Err(error) => return Err(error.into()),
    };
    if set.pipes.contains_key(id) || set.unreadable.contains_key(id) {
        return Ok(None);
    }
    let place = match &set.id {
        Some(set) => format!("the current set {}", set.short()),
        None => "pipes/".to_owned(),
    };
    Ok(Some(no_such_pipe(id, &place, set.pipes.keys())))
}

/// Whether a run of the pipe or a dead letter is there. The documents of its
/// runs stay, so that everything else that is stored of it has one.
async fn is_stored(machine: &Machine, id: &PipeId) -> anyhow::Result<bool> {
    let mut prefixes = vec![format!("runs/{id}/")];
    // The ids of a pipe's jobs begin with it.
    prefixes.extend(QueueName::ALL.map(|queue| DeadLetter::key(queue, &format!("{id}@"))));
    prefixes.extend(QueueName::ALL.map(|queue| DeadLetter::key(queue, &format!("{id}#"))));
    for prefix in prefixes {
        let found = machine.ports.state.list(&prefix, None, 1).await;
        let found = found.with_context(|| format!("look for what is stored of pipe {id}"))?;
        if !found.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parsed(text: &str) -> anyhow::Result<PipeId> {
    PipeId::parse(text).map_err(|error| Misuse::new(error.to_string()).into())
}

fn no_such_pipe<'a>(id: &PipeId, place: &str, known: impl Iterator<Item = &'a PipeId>) -> Misuse {
    let known: Vec<&str> = known.take(SHOWN_MAX).map(PipeId::as_str).collect();
    Misuse::new(format!(
        "there is no pipe {id} in {place}; there are: {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    ))
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

/// An instant, or a span like `12h`, which `from_now` may turn round.
pub(crate) fn instant(
    text: &str,
    now: DateTime<Utc>,
    from_now: impl Fn(&chrono::Duration) -> chrono::Duration,
) -> anyhow::Result<DateTime<Utc>> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.with_timezone(&Utc));
    }
    span(text)
        .and_then(|span| now.checked_add_signed(from_now(&span)))
        .ok_or_else(|| {
            Misuse::new(format!(
                "{text:?} is no instant; write 2026-12-24T18:00:00+09:00, or a span such as 90s, 30m, 12h or 7d"
            ))
            .into()
        })
}

fn span(text: &str) -> Option<chrono::Duration> {
    let unit = text.chars().last()?;
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    match unit {
        's' => chrono::Duration::try_seconds(count),
        'm' => chrono::Duration::try_minutes(count),
        'h' => chrono::Duration::try_hours(count),
        'd' => chrono::Duration::try_days(count),
        _ => None,
    }
}
