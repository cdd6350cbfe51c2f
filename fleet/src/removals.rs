//! The worker's side of the removal of stored images: whoever stores an object,
//! or finds that it is there, makes sure that a removal which has marked it
//! lets it stay. Why that holds: [`trawler_core::removal`].
//!
//! Without a removal under way it costs one read of State a minute and process.
//! With one, a list of at most 2 MB for each shard that is met, and a put and a
//! read for each object that is marked and wanted all the same.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_core::ports::{BlobError, BlobMeta};
use trawler_core::removal::{LOOK_CACHE, Removal, Standing, shard_of};

use crate::manifests::ManifestError;
use crate::retry::retry;
use crate::{Documents, Ports};

/// A sweep whose time has run out by so much is over: the clocks of two
/// machines differ by less.
const CLOCKS_DIFFER: chrono::Duration = chrono::Duration::minutes(2);

const NOTE: BlobMeta = BlobMeta {
    content_type: "text/plain",
    immutable: true,
};

/// What this process knows of the removal that is under way. Clones share it.
#[derive(Clone)]
pub struct Removals {
    ports: Ports,
    documents: Documents,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// When the document was asked for last.
    looked: Option<Duration>,
    removal: Option<Arc<Removal>>,
    /// Hashes of what the removal of this number has marked, in order, by shard.
    lists: (i64, HashMap<String, Arc<Vec<u64>>>),
}

/// The removal as it was before an object was put.
#[derive(Debug, Clone)]
pub struct Look(Option<Arc<Removal>>);

/// Whether an object that is there now can be referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    Yes,
    /// It may have gone since: put it again, after a new look.
    PutAgain,
    /// It may be going at this moment: put it again after that instant.
    NotBefore(DateTime<Utc>),
}

impl Removals {
    pub fn new(ports: &Ports) -> Self {
        Self {
            ports: ports.clone(),
            documents: ports.documents(),
            known: Arc::default(),
        }
    }

    /// To be taken before the put; at most [`LOOK_CACHE`] old.
    pub async fn look(&self) -> Result<Look, ManifestError> {
        let now = self.ports.clock.monotonic();
        {
            let known = self.known();
            if known
                .looked
                .is_some_and(|looked| now.saturating_sub(looked) < LOOK_CACHE)
            {
                return Ok(Look(known.removal.clone()));
            }
        }
        self.look_anew().await
    }

    async fn look_anew(&self) -> Result<Look, ManifestError> {
        let asked = self.ports.clock.monotonic();
        let found: Option<Removal> = self.documents.get(Removal::KEY).await?;
        let removal = found.map(Arc::new);
        let mut known = self.known();
        known.looked = Some(asked);
        known.removal.clone_from(&removal);
        Ok(Look(removal))
    }

    /// After the put, whether that stored the object or found it. Idempotent.
    pub async fn stays(&self, look: &Look, key: &str) -> Result<Stays, ManifestError> {
        let (Some(removal), Some(shard)) = (&look.0, shard_of(key)) else {
            return Ok(Stays::Yes);
        };
        let number = removal.number;
        match Removal::standing(Some(removal), number, shard) {
            // It was over before the put.
            Standing::Over => return Ok(Stays::Yes),
            Standing::Waits | Standing::Swept { .. } => {}
        }
        let Some(marked) = self.marked(number, shard).await? else {
            self.look_anew().await?;
            return Ok(Stays::PutAgain);
        };
        if marked.binary_search(&hash(key)).is_err() {
            return Ok(Stays::Yes);
        }
        self.keep(number, key).await?;
        let now = self.look_anew().await?;
        Ok(match Removal::standing(now.0.as_deref(), number, shard) {
            Standing::Waits => Stays::Yes,
            Standing::Swept { until } => {
                let over = until + CLOCKS_DIFFER;
                // Whoever sweeps the shard once more finds the keep.
                if self.ports.clock.now() >= over {
                    Stays::Yes
                } else {
                    Stays::NotBefore(over)
                }
            }
            Standing::Over => Stays::PutAgain,
        })
    }

    async fn keep(&self, number: i64, key: &str) -> Result<(), ManifestError> {
        let keep = Removal::keep_key(number, key);
        retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports
                .blobs
                .put(&keep, Bytes::from_static(b"kept"), NOTE)
        })
        .await?;
        Ok(())
    }

    /// `None` when the list is gone, and with it the removal.
    async fn marked(
        &self,
        number: i64,
        shard: &str,
    ) -> Result<Option<Arc<Vec<u64>>>, ManifestError> {
        {
            let known = self.known();
            if known.lists.0 == number
                && let Some(list) = known.lists.1.get(shard)
            {
                return Ok(Some(Arc::clone(list)));
            }
        }
        let key = Removal::list_key(number, shard);
        let got = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.get(&key, None)
        });
        let body = match got.await {
            Ok(body) => body,
            Err(BlobError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let text = std::str::from_utf8(&body).map_err(|error| ManifestError::Unreadable {
            key,
            reason: error.to_string(),
        })?;
        let mut list: Vec<u64> = text.lines().map(hash).collect();
        list.sort_unstable();
        let list = Arc::new(list);
        let mut known = self.known();
        if known.lists.0 != number {
            known.lists = (number, HashMap::new());
        }
        let lists = &mut known.lists.1;
        lists.insert(shard.to_owned(), Arc::clone(&list));
        Ok(Some(list))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each statement leaves it whole, also one that panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two keys of one hash only mean that an object is kept which could have gone.
fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
