//! What the words of the command line name.

use chrono::{DateTime, Utc};
use trawler_core::{PipeId, QueueName};
use trawler_fleet::PipeError;

use crate::compose::Machine;
use crate::config::Loaded;
use crate::end::Misuse;

/// Ids that an error lists.
const SHOWN_MAX: usize = 20;

/// The pipe id, if the folder or the current set has such a pipe.
pub(crate) async fn current_pipe(machine: &Machine, text: &str) -> anyhow::Result<PipeId> {
    let id = parsed(text)?;
    let set = match machine.pipes.current().await {
        Ok(set) => set,
        Err(error @ PipeError::NothingPublished) => {
            return Err(Misuse::new(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    };
    if set.pipes.contains_key(&id) || set.unreadable.contains_key(&id) {
        return Ok(id);
    }
    let place = match &set.id {
        Some(set) => format!("the current set {}", set.short()),
        None => "pipes/".to_owned(),
    };
    Err(no_such_pipe(&id, &place, set.pipes.keys()))
}

/// The pipe id, if there is such a pipe in the folder. A fleet's pipes are not
/// there: then any will do.
pub(crate) fn known_pipe(loaded: &Loaded, text: &str) -> anyhow::Result<PipeId> {
    let id = parsed(text)?;
    if loaded.config.is_fleet() || loaded.pipe(&id).is_some() {
        return Ok(id);
    }
    let place = loaded.dir.join("pipes").display().to_string();
    Err(no_such_pipe(
        &id,
        &place,
        loaded.pipes.iter().map(|pipe| &pipe.id),
    ))
}

fn parsed(text: &str) -> anyhow::Result<PipeId> {
    PipeId::parse(text).map_err(|error| Misuse::new(error.to_string()).into())
}

fn no_such_pipe<'a>(
    id: &PipeId,
    place: &str,
    known: impl Iterator<Item = &'a PipeId>,
) -> anyhow::Error {
    let known: Vec<&str> = known.take(SHOWN_MAX).map(PipeId::as_str).collect();
    Misuse::new(format!(
        "there is no pipe {id} in {place}; there are: {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    ))
    .into()
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
