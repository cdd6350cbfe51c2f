//! What the words of the command line name.

use trawler_core::{PipeId, QueueName};

use crate::config::Loaded;
use crate::end::Misuse;

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
