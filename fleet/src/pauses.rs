//! Pause flags: who is paused, looked up often and fetched seldom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trawler_core::pause::{Pause, PauseScope};
use trawler_core::ports::Clock;
use trawler_core::{PipeId, QueueName};

use crate::flag_changes::{AsOf, FlagChanges};
use crate::{DocumentError, Documents, Maintenance, Ports};

/// Flags kept in memory; as many pipes as a big fleet has.
const CACHED_MAX: usize = 20_000;

/// Most pauses that a listing gives.
const LIST_MAX: usize = 20_000;

struct Flag {
    as_of: AsOf,
    paused: bool,
}

/// Clones share what they looked up, so one per process is enough.
#[derive(Clone)]
pub struct Pauses {
    documents: Documents,
    clock: Arc<dyn Clock>,
    flags: Arc<Mutex<HashMap<PauseScope, Flag>>>,
    changes: FlagChanges,
    maintenance: Maintenance,
}

impl Pauses {
    pub fn new(ports: &Ports) -> Self {
        let documents = ports.documents();
        let changes = FlagChanges::new(&documents, &ports.clock);
        Self {
            maintenance: Maintenance::sharing(&documents, &ports.clock, &changes),
            documents,
            clock: Arc::clone(&ports.clock),
            flags: Arc::default(),
            changes,
        }
    }

    /// The windows that make jobs wait by the clock.
    pub fn maintenance(&self) -> &Maintenance {
        &self.maintenance
    }

    /// Pauses the scope; one that is paused already gets the new reason and
    /// keeps its start.
    pub async fn pause(&self, scope: &PauseScope, reason: &str) -> Result<(), DocumentError> {
        let key = scope.key();
        let pause = Pause {
            since: self.clock.now(),
            reason: reason.to_owned(),
        };
        self.documents.create(&key, &pause).await?;
        self.documents
            .change(&key, |stored: &mut Pause| {
                reason.clone_into(&mut stored.reason);
            })
            .await?;
        self.changes.announce().await?;
        tracing::info!(%scope, "paused {scope}: {reason}");
        Ok(())
    }

    pub async fn resume(&self, scope: &PauseScope) -> Result<(), DocumentError> {
        self.documents.delete(&scope.key()).await?;
        self.changes.announce().await?;
        tracing::info!(%scope, "resumed {scope}");
        Ok(())
    }

    /// Whether a job of this queue and pipe is paused, as of at most
    /// [`trawler_core::drain::PAUSE_CACHE`] ago.
    pub async fn is_paused(&self, queue: QueueName, pipe: &PipeId) -> Result<bool, DocumentError> {
        Ok(self.which(PauseScope::of_job(queue, pipe)).await?.is_some())
    }

    /// The first of these scopes that is paused, as of at most
    /// [`trawler_core::drain::PAUSE_CACHE`] ago.
    pub async fn which(
        &self,
        scopes: impl IntoIterator<Item = PauseScope>,
    ) -> Result<Option<PauseScope>, DocumentError> {
        for scope in scopes {
            if self.scope_is_paused(scope.clone()).await? {
                return Ok(Some(scope));
            }
        }
        Ok(None)
    }

    /// Everything that is paused now.
    pub async fn list(&self) -> Result<Vec<(PauseScope, Pause)>, DocumentError> {
        let mut pauses = Vec::new();
        for key in self.documents.keys("pause/").await? {
            if pauses.len() == LIST_MAX {
                break;
            }
            let scope = parse_scope(&key).ok_or_else(|| DocumentError::Unreadable {
                key: key.clone(),
                reason: "the key names no fleet, queue or pipe".to_owned(),
            })?;
            if let Some(pause) = self.documents.get(&key).await? {
                pauses.push((scope, pause));
            }
        }
        Ok(pauses)
    }

    async fn scope_is_paused(&self, scope: PauseScope) -> Result<bool, DocumentError> {
        let as_of = self.changes.now().await?;
        if let Some(flag) = self.flags().get(&scope)
            && flag.as_of.holds(&as_of)
        {
            return Ok(flag.paused);
        }
        let paused = self.documents.get::<Pause>(&scope.key()).await?.is_some();
        let mut flags = self.flags();
        if flags.len() >= CACHED_MAX {
            flags.clear();
        }
        flags.insert(scope, Flag { as_of, paused });
        Ok(paused)
    }

    fn flags(&self) -> MutexGuard<'_, HashMap<PauseScope, Flag>> {
        // Each statement leaves the map whole, also one that panicked.
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse_scope(key: &str) -> Option<PauseScope> {
    let rest = key.strip_prefix("pause/")?;
    if rest == "fleet" {
        return Some(PauseScope::Fleet);
    }
    if let Some(name) = rest.strip_prefix("queue/") {
        return QueueName::ALL
            .into_iter()
            .find(|queue| queue.as_str() == name)
            .map(PauseScope::Queue);
    }
    let pipe = rest.strip_prefix("pipe/")?;
    PipeId::parse(pipe).ok().map(PauseScope::Pipe)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scopes_survive_their_keys() {
        let pipe = PipeId::parse("shop").unwrap();
        for scope in [
            PauseScope::Fleet,
            PauseScope::Queue(QueueName::Crawl),
            PauseScope::Queue(QueueName::Image),
            PauseScope::Pipe(pipe),
        ] {
            assert_eq!(parse_scope(&scope.key()), Some(scope));
        }
        assert_eq!(parse_scope("pause/queue/tea"), None);
        assert_eq!(parse_scope("runs/x"), None);
    }
}
