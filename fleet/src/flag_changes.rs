//! Whether any flag was changed: one small document that names the latest
//! change, so that a process which looks every two seconds asks for one
//! document and not for one of each fleet, queue, pipe and window.
//!
//! Who changes a flag announces it afterwards. Who looks keeps what a flag said
//! together with the change that was known *before* it was read: a flag that
//! was read too early then belongs to an older change and is read again. A
//! person's command that dies between flag and announcement says so by its
//! failure; what it wrote is seen within [`FLAGS_KEPT`] all the same.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use trawler_core::drain::PAUSE_CACHE;
use trawler_core::ports::{Clock, StateError, Version};

use crate::documents::chain;
use crate::{Created, DocumentError, Documents};

const KEY: &str = "changes/flags";

/// What a flag said is asked for again after so long, announced or not. At 60 s
/// the flags of a process cost a few requests a minute beside the thirty for
/// the announcement.
pub(crate) const FLAGS_KEPT: Duration = Duration::from_secs(60);

/// The document at `changes/flags`; absent before the first change.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Changes {
    count: u64,
}

struct Seen {
    looked_up: Duration,
    /// What came instead of an answer is kept as well: those who ask together
    /// fail together.
    latest: Result<Option<Version>, String>,
}

/// Clones share what they looked up.
#[derive(Clone)]
pub(crate) struct FlagChanges {
    documents: Documents,
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// What was read of a flag, and when.
#[derive(Debug, Clone)]
pub(crate) struct AsOf {
    looked_up: Duration,
    latest: Option<Version>,
}

impl FlagChanges {
    pub(crate) fn new(documents: &Documents, clock: &Arc<dyn Clock>) -> Self {
        Self {
            documents: documents.clone(),
            clock: Arc::clone(clock),
            seen: Arc::default(),
        }
    }

    /// What to keep with a flag that is read after this: the latest change, as
    /// of at most [`PAUSE_CACHE`] ago. Those who ask together ask once.
    pub(crate) async fn now(&self) -> Result<AsOf, DocumentError> {
        let mut seen = self.seen.lock().await;
        let now = self.clock.monotonic();
        let known = seen
            .as_ref()
            .filter(|seen| now.saturating_sub(seen.looked_up) < PAUSE_CACHE);
        if let Some(seen) = known {
            let latest = seen.latest.clone().map_err(asked_just_now)?;
            return Ok(AsOf {
                looked_up: now,
                latest,
            });
        }
        let found = self.documents.get_versioned::<Changes>(KEY).await;
        let (looked_up, latest) = match &found {
            // From before the request, so that a slow one makes it older.
            Ok(found) => (now, Ok(found.as_ref().map(|(_, version)| version.clone()))),
            Err(error) => (self.clock.monotonic(), Err(chain(error))),
        };
        *seen = Some(Seen { looked_up, latest });
        Ok(AsOf {
            looked_up: now,
            latest: found?.map(|(_, version)| version),
        })
    }

    /// A flag was changed and is durable.
    pub(crate) async fn announce(&self) -> Result<(), DocumentError> {
        *self.seen.lock().await = None;
        loop {
            let count = |changes: &mut Changes| changes.count += 1;
            if self.documents.change(KEY, count).await?.is_some() {
                return Ok(());
            }
            if self.documents.create(KEY, &Changes::default()).await? == Created::New {
                return Ok(());
            }
        }
    }
}

fn asked_just_now(reason: String) -> DocumentError {
    DocumentError::State(StateError::Unavailable {
        verb: "read",
        key: KEY.to_owned(),
        source: reason.into(),
    })
}

impl AsOf {
    /// Whether a flag that was read at this still says what it said.
    pub(crate) fn holds(&self, now: &Self) -> bool {
        self.latest == now.latest && now.looked_up.saturating_sub(self.looked_up) < FLAGS_KEPT
    }
}
