//! Typed JSON documents over State: compare-and-swap loops, retries of what
//! passes, and a cache for those who look at many documents again and again.
//!
//! A document that this program cannot read is an error that names it; it is
//! left where it is for a person to look at.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use trawler_core::ports::{Clock, State, StateError, Version};
use trawler_core::verdict::Failure;

use crate::cache::Cache;
use crate::retry::{TRIES, joined, retry, wait_after};

/// Rounds of read, change, replace before an update gives up. Each lost round
/// means that somebody else got on, so only a stampede uses them up.
const CAS_ROUNDS: u32 = 64;

/// Documents in one page of a listing, the most that State gives.
const PAGE: usize = 1000;

/// Documents that a cached load fetches at once.
const FETCHES: usize = 16;

/// What the cache counts for a document that is kept without its long parts.
const BRIEF_BYTES: usize = 1024;

/// Most keys that one listing collects: ten million keys of 100 bytes are a
/// gigabyte, and nothing that lists needs a tenth of it.
const KEYS_MAX: usize = 1_000_000;

#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error(
        "read document {key}: it is not what this program writes ({reason}); it was left as it is: mend or delete it"
    )]
    Unreadable { key: String, reason: String },
    #[error("write document {key}: it cannot be written as JSON: {reason}")]
    Unwritable { key: String, reason: String },
    #[error("update document {key}: {rounds} rounds were overtaken by other writers; try again")]
    Contended { key: String, rounds: u32 },
    #[error("list documents under {prefix}: there are more than {max}")]
    TooMany { prefix: String, max: usize },
    #[error(transparent)]
    State(#[from] StateError),
}

impl DocumentError {
    /// Whether the same call can succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::State(error) => error.is_transient() || error.is_conflict(),
            Self::Contended { .. } => true,
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::TooMany { .. } => false,
        }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        let reason = chain(&error);
        if error.is_transient() {
            Self::transient(reason)
        } else {
            Self::permanent(reason)
        }
    }
}

/// An error and all its sources in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Why an update did not happen: the change refused, or the document could
/// not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Change(E),
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// What `create` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    /// A document was there and was left as it is.
    Existed,
}

/// Documents under a prefix, with those that could not be read.
#[derive(Debug)]
pub struct Loaded<T> {
    pub documents: Vec<Arc<T>>,
    pub unreadable: Vec<DocumentError>,
}

/// A document with the version to delete it at.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub document: Arc<T>,
    pub version: Version,
}

/// Documents of State. Clones share the cache of `load`.
#[derive(Clone)]
pub struct Documents {
    state: Arc<dyn State>,
    clock: Arc<dyn Clock>,
    cache: Cache,
}

enum Written {
    Yes(Version),
    Overtaken,
}

impl Documents {
    pub fn new(state: Arc<dyn State>, clock: Arc<dyn Clock>) -> Self {
        Self {
            state,
            clock,
            cache: Cache::default(),
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DocumentError> {
        Ok(self.get_versioned(key).await?.map(|(value, _)| value))
    }

    /// The document and the version to delete it at.
    pub async fn get_versioned<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, Version)>, DocumentError> {
        match self.read(key).await? {
            Some(found) => Ok(Some((parse(key, &found.value)?, found.version))),
            None => Ok(None),
        }
    }

    /// Writes the document unless there is one.
    pub async fn create<T: Serialize>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<Created, DocumentError> {
        let bytes = to_bytes(key, value)?;
        match self.write(key, &bytes, None).await? {
            Written::Yes(_) => Ok(Created::New),
            Written::Overtaken => Ok(Created::Existed),
        }
    }

    /// Reads, changes and replaces until nobody comes between. `None` when
    /// there is no such document. A change that changes nothing writes nothing.
    /// The change runs once for each round and must have no other effect.
    pub async fn update<T, E>(
        &self,
        key: &str,
        mut change: impl FnMut(&mut T) -> Result<(), E>,
    ) -> Result<Option<T>, UpdateError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: std::error::Error + 'static,
    {
        for _ in 0..CAS_ROUNDS {
            let Some(found) = self.read(key).await? else {
                return Ok(None);
            };
            let mut value: T = parse(key, &found.value)?;
            let before = to_bytes(key, &value)?;
            change(&mut value).map_err(UpdateError::Change)?;
            let after = to_bytes(key, &value)?;
            if after == before {
                return Ok(Some(value));
            }
            match self.write(key, &after, Some(&found.version)).await? {
                Written::Yes(_) => return Ok(Some(value)),
                Written::Overtaken => {}
            }
        }
        Err(contended(key).into())
    }

    /// As `update`, for changes that never refuse.
    pub async fn change<T>(
        &self,
        key: &str,
        mut change: impl FnMut(&mut T),
    ) -> Result<Option<T>, DocumentError>
    where
        T: Serialize + DeserializeOwned,
    {
        let updated = self.update(key, |value: &mut T| {
            change(value);
            Ok::<(), Infallible>(())
        });
        match updated.await {
            Ok(value) => Ok(value),
            Err(UpdateError::Document(error)) => Err(error),
            Err(UpdateError::Change(never)) => match never {},
        }
    }

    /// Creates or replaces the document; the last writer wins.
    pub async fn put<T: Serialize>(&self, key: &str, value: &T) -> Result<(), DocumentError> {
        let bytes = to_bytes(key, value)?;
        for _ in 0..CAS_ROUNDS {
            let version = self.read(key).await?.map(|found| found.version);
            match self.write(key, &bytes, version.as_ref()).await? {
                Written::Yes(_) => return Ok(()),
                Written::Overtaken => {}
            }
        }
        Err(contended(key))
    }

    /// Writes the document if it is still at `version`, or still absent; the
    /// new version, or `None` when somebody else came first.
    pub async fn put_at<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        version: Option<&Version>,
    ) -> Result<Option<Version>, DocumentError> {
        let bytes = to_bytes(key, value)?;
        match self.write(key, &bytes, version).await? {
            Written::Yes(version) => Ok(Some(version)),
            Written::Overtaken => Ok(None),
        }
    }

    /// Removes the document; an absent one is no error.
    pub async fn delete(&self, key: &str) -> Result<(), DocumentError> {
        for _ in 0..CAS_ROUNDS {
            let Some(found) = self.read(key).await? else {
                return Ok(());
            };
            if self.delete_at(key, &found.version).await? {
                return Ok(());
            }
        }
        Err(contended(key))
    }

    /// Removes the document if it is still at `version`; false when it is at
    /// another one. Several may be told that they removed it.
    pub async fn delete_at(&self, key: &str, version: &Version) -> Result<bool, DocumentError> {
        let deleted = retry(&*self.clock, StateError::is_transient, || {
            self.state.delete(key, version)
        })
        .await;
        match deleted {
            Ok(()) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Every key under the prefix, in order.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, DocumentError> {
        self.listed(prefix, None).await
    }

    /// Every key under the prefix that is behind `after`, in order.
    pub(crate) async fn keys_after(
        &self,
        prefix: &str,
        after: &str,
    ) -> Result<Vec<String>, DocumentError> {
        self.listed(prefix, Some(after)).await
    }

    async fn listed(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<String>, DocumentError> {
        let entries = self.entries(prefix, after, KEYS_MAX).await?;
        if entries.len() == KEYS_MAX {
            return Err(DocumentError::TooMany {
                prefix: prefix.to_owned(),
                max: KEYS_MAX,
            });
        }
        Ok(entries.into_iter().map(|(key, _)| key).collect())
    }

    /// The first `limit` documents under the prefix, in order of key. Only
    /// those that changed since the last load are fetched. The first one that
    /// cannot be read is the error.
    pub async fn load<T>(&self, prefix: &str, limit: usize) -> Result<Vec<Arc<T>>, DocumentError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let loaded = self.load_readable(prefix, limit).await?;
        match loaded.unreadable.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(loaded.documents),
        }
    }

    /// As `load`, with the unreadable ones beside the others, for those who
    /// have to go on with the rest and report them.
    pub async fn load_readable<T>(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Loaded<T>, DocumentError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let (found, unreadable) = self.load_at(prefix, limit, |bytes| bytes).await?;
        Ok(Loaded {
            documents: found.into_iter().map(|at| at.document).collect(),
            unreadable,
        })
    }

    /// As `load_readable`, for types that keep little of what they read, with
    /// the versions to delete the documents at.
    pub(crate) async fn load_brief<T>(
        &self,
        prefix: &str,
    ) -> Result<(Vec<At<T>>, Vec<DocumentError>), DocumentError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let kept = |bytes: usize| bytes.min(BRIEF_BYTES);
        self.load_at(prefix, usize::MAX, kept).await
    }

    /// The documents at these keys, in their order, without those that are gone;
    /// for who wants some of a long listing, which nobody looks at again soon.
    pub async fn get_each<T>(&self, keys: Vec<String>) -> Result<Vec<T>, DocumentError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut slots: Vec<Option<T>> = keys.iter().map(|_| None).collect();
        let mut fetches = JoinSet::new();
        let mut keys = keys.into_iter().enumerate();
        loop {
            for (slot, key) in keys.by_ref().take(FETCHES - fetches.len()) {
                let documents = self.clone();
                fetches.spawn(async move { (slot, documents.get(&key).await) });
            }
            match joined(fetches.join_next().await) {
                Some((slot, found)) => slots[slot] = found?,
                None => return Ok(slots.into_iter().flatten().collect()),
            }
        }
    }

    /// `kept` says how many bytes stay in memory of a document of so many.
    async fn load_at<T>(
        &self,
        prefix: &str,
        limit: usize,
        kept: fn(usize) -> usize,
    ) -> Result<(Vec<At<T>>, Vec<DocumentError>), DocumentError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let entries = self.entries(prefix, None, limit).await?;
        let known = self.cache.find::<T>(&entries).into_iter().zip(&entries);
        let mut load = Load {
            slots: known
                .map(|(known, (_, version))| {
                    known.map(|document| At {
                        document,
                        version: version.clone(),
                    })
                })
                .collect(),
            unreadable: Vec::new(),
            cache: &self.cache,
            kept,
        };
        let mut fetches = JoinSet::new();
        for (slot, (key, _)) in entries.iter().enumerate() {
            if load.slots[slot].is_some() {
                continue;
            }
            if fetches.len() == FETCHES {
                load.keep(joined(fetches.join_next().await))?;
            }
            let (documents, key) = (self.clone(), key.clone());
            fetches.spawn(async move { (slot, documents.read(&key).await, key) });
        }
        while let Some(fetched) = joined(fetches.join_next().await) {
            load.keep(Some(fetched))?;
        }
        if limit == usize::MAX || entries.len() < limit {
            self.cache.forget_others(prefix, &entries);
        }
        Ok((load.slots.into_iter().flatten().collect(), load.unreadable))
    }

    async fn entries(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Version)>, DocumentError> {
        let mut entries: Vec<(String, Version)> = Vec::new();
        while entries.len() < limit {
            let last = entries.last().map(|(key, _)| key.clone());
            let last = last.as_deref().or(after);
            let want = PAGE.min(limit - entries.len());
            let page = retry(&*self.clock, StateError::is_transient, || {
                self.state.list(prefix, last, want)
            })
            .await?;
            let last_page = page.len() < want;
            entries.extend(page.into_iter().map(|entry| (entry.key, entry.version)));
            if last_page {
                break;
            }
        }
        Ok(entries)
    }

    async fn read(
        &self,
        key: &str,
    ) -> Result<Option<trawler_core::ports::Versioned>, DocumentError> {
        let found = retry(&*self.clock, StateError::is_transient, || {
            self.state.get(key)
        });
        Ok(found.await?)
    }

    /// One write, at `expected` or of a document that must not exist. A write
    /// whose answer was lost may have happened: then the conflict of the next
    /// try is with ourselves, which the stored bytes tell.
    async fn write(
        &self,
        key: &str,
        bytes: &[u8],
        expected: Option<&Version>,
    ) -> Result<Written, DocumentError> {
        let mut tried = 1;
        loop {
            let written = match expected {
                Some(version) => self.state.replace(key, bytes, version).await,
                None => self.state.create(key, bytes).await,
            };
            match written {
                Ok(version) => return Ok(Written::Yes(version)),
                Err(error) if error.is_conflict() => {
                    let found = match tried {
                        1 => None,
                        _ => self.read(key).await?,
                    };
                    let ours = found.filter(|found| found.value == bytes);
                    return Ok(ours.map_or(Written::Overtaken, |found| Written::Yes(found.version)));
                }
                Err(error) if error.is_transient() && tried < TRIES => {
                    self.clock.sleep(wait_after(tried)).await;
                    tried += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A listing while its documents come in.
struct Load<'a, T> {
    slots: Vec<Option<At<T>>>,
    unreadable: Vec<DocumentError>,
    cache: &'a Cache,
    kept: fn(usize) -> usize,
}

impl<T: DeserializeOwned + Send + Sync + 'static> Load<'_, T> {
    fn keep(&mut self, fetched: Option<Fetched>) -> Result<(), DocumentError> {
        let Some((slot, found, key)) = fetched else {
            return Ok(());
        };
        // Deleted since it was listed: not there.
        let Some(found) = found? else {
            return Ok(());
        };
        match parse::<T>(&key, &found.value) {
            Ok(value) => {
                let document = Arc::new(value);
                let bytes = (self.kept)(found.value.len());
                self.slots[slot] = Some(At {
                    document: Arc::clone(&document),
                    version: found.version.clone(),
                });
                self.cache.remember(key, found.version, bytes, document);
            }
            Err(error) => self.unreadable.push(error),
        }
        Ok(())
    }
}

type Fetched = (
    usize,
    Result<Option<trawler_core::ports::Versioned>, DocumentError>,
    String,
);

fn contended(key: &str) -> DocumentError {
    DocumentError::Contended {
        key: key.to_owned(),
        rounds: CAS_ROUNDS,
    }
}

fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(|error| DocumentError::Unreadable {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

fn to_bytes<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, DocumentError> {
    serde_json::to_vec(value).map_err(|error| DocumentError::Unwritable {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}
