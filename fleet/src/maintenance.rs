//! Declared maintenance windows: who declares them, and which jobs they make
//! wait. The windows of partners stand in their pipe files.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use trawler_core::PipeId;
use trawler_core::drain::PAUSE_CACHE;
use trawler_core::maintenance::{
    Closed, DECLARED_KEPT, DECLARED_MAX, Declarations, Declared, Target, Touches, closed,
};
use trawler_core::ports::Clock;

use crate::flag_changes::{AsOf, FlagChanges};
use crate::{DocumentError, Documents, Ports, UpdateError};

/// Why a window was not declared.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error("declare maintenance of {target}: it would end at {until}, which is not after {after}")]
    NoTime {
        target: Target,
        until: DateTime<Utc>,
        after: DateTime<Utc>,
    },
    #[error("declare maintenance of {target}: there are {DECLARED_MAX} windows; remove some first")]
    TooMany { target: Target },
    #[error(transparent)]
    Document(#[from] DocumentError),
}

struct Seen {
    as_of: AsOf,
    declared: Arc<Declarations>,
}

/// Clones share what they looked up, so one per process is enough.
#[derive(Clone)]
pub struct Maintenance {
    documents: Documents,
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Option<Seen>>>,
    changes: FlagChanges,
}

impl Maintenance {
    /// So long after a window was removed no worker knows it, and who parked a
    /// job for it has said so.
    pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(PAUSE_CACHE.as_secs() * 2);

    pub fn new(ports: &Ports) -> Self {
        let documents = ports.documents();
        let changes = FlagChanges::new(&documents, &ports.clock);
        Self::sharing(&documents, &ports.clock, &changes)
    }

    /// With others who look for changes of flags.
    pub(crate) fn sharing(
        documents: &Documents,
        clock: &Arc<dyn Clock>,
        changes: &FlagChanges,
    ) -> Self {
        Self {
            documents: documents.clone(),
            clock: Arc::clone(clock),
            seen: Arc::default(),
            changes: changes.clone(),
        }
    }

    /// Declares a window; the same one again gets the new reason. Windows that
    /// ended a week ago are forgotten.
    pub async fn declare(
        &self,
        target: Target,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        reason: &str,
    ) -> Result<Declared, MaintenanceError> {
        let now = self.clock.now();
        let after = from.max(now);
        if until <= after {
            return Err(MaintenanceError::NoTime {
                target,
                until,
                after,
            });
        }
        let window = Declared::new(target, from, until, reason, now);
        let nothing = Declarations::default();
        self.documents.create(Declarations::KEY, &nothing).await?;
        let updated = self
            .documents
            .update(Declarations::KEY, |stored: &mut Declarations| {
                stored
                    .windows
                    .retain(|old| old.id != window.id && now - old.until < DECLARED_KEPT);
                if stored.windows.len() >= DECLARED_MAX {
                    return Err(Full);
                }
                stored.windows.push(window.clone());
                stored.windows.sort_by_key(|window| window.from);
                Ok(())
            })
            .await;
        match updated {
            Ok(_) => {
                self.changes.announce().await?;
                let target = &window.target;
                tracing::info!(%target, %from, %until, "maintenance of {target} from {from} until {until}: {reason}");
                Ok(window)
            }
            Err(UpdateError::Change(Full)) => Err(MaintenanceError::TooMany {
                target: window.target,
            }),
            Err(UpdateError::Document(error)) => Err(error.into()),
        }
    }

    /// Removes a window and says which it was. Jobs that wait for its end are
    /// the caller's to wake: see [`crate::Jobs::wake`].
    pub async fn remove(&self, id: &str) -> Result<Option<Declared>, DocumentError> {
        let mut removed = None;
        self.documents
            .change(Declarations::KEY, |stored: &mut Declarations| {
                removed = stored.windows.iter().find(|old| old.id == id).cloned();
                stored.windows.retain(|old| old.id != id);
            })
            .await?;
        if let Some(window) = &removed {
            self.changes.announce().await?;
            tracing::info!(id, target = %window.target, "maintenance of {} is off", window.target);
        }
        Ok(removed)
    }

    /// Everything that is declared, past windows of a week included, in order
    /// of their beginning.
    pub async fn list(&self) -> Result<Vec<Declared>, DocumentError> {
        let stored: Option<Declarations> = self.documents.get(Declarations::KEY).await?;
        Ok(stored.unwrap_or_default().windows)
    }

    /// Whether a job that touches these things has to wait, by what was
    /// declared at most [`trawler_core::drain::PAUSE_CACHE`] ago.
    pub async fn closed(
        &self,
        touches: &Touches,
        pipe: &PipeId,
    ) -> Result<Option<Closed>, DocumentError> {
        let declared = self.declared().await?;
        Ok(closed(touches, pipe, &declared, self.clock.now()))
    }

    async fn declared(&self) -> Result<Arc<Declarations>, DocumentError> {
        let as_of = self.changes.now().await?;
        if let Some(seen) = &*self.seen()
            && seen.as_of.holds(&as_of)
        {
            return Ok(Arc::clone(&seen.declared));
        }
        let stored: Option<Declarations> = self.documents.get(Declarations::KEY).await?;
        let declared = Arc::new(stored.unwrap_or_default());
        *self.seen() = Some(Seen {
            as_of,
            declared: Arc::clone(&declared),
        });
        Ok(declared)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Seen>> {
        // Each statement leaves it whole, also one that panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no room for another window")]
struct Full;
