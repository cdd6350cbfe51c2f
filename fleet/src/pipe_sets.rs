//! Published sets: how pipes reach a fleet, and how a run keeps the set that it
//! was planned with.
//!
//! ```text
//! Blobs  pipe-sets/{id}.json            every pipe file as it was written, and the tables by content
//!        pipe-sets/tables/{sha256}.csv  a mapping table, once for each content
//! State  pipe-sets/current              which set counts, since when, by whom, after which
//!        pipe-sets/history/{number}     what was current before
//! ```
//!
//! The id is the SHA-256 of the set's bytes, and the set goes up after its
//! tables, so that it is there whole or not at all. Whether its pipes are
//! right is checked by whoever publishes, before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use trawler_core::edition::Edition;
use trawler_core::ports::{BlobError, BlobMeta};
use trawler_core::run::Run;
use trawler_core::{PipeSetId, RunId};

use crate::pipe_set::{PipeSet, PipeSetFiles, TableFile, id_of};
use crate::pipes::{CurrentSet, PipeError, PipeSource};
use crate::retry::retry;
use crate::{Created, DocumentError, Documents, Ports, UpdateError};

/// Largest set: 50,000 pipes of 2 KiB each fit.
const SET_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Sets that are kept parsed. A day's runs use the current one and, after a
/// push, the one before.
const SETS_KEPT: usize = 4;

/// Bytes of mapping tables that are kept, so that runs of many pipes do not
/// fetch the same table again and again.
const TABLE_BYTES_KEPT: usize = 64 * 1024 * 1024;

/// Runs whose set is remembered; image jobs of one run ask for it each.
const RUNS_KEPT: usize = 10_000;

/// How old the answer to which set is current may be.
const LOOK_EVERY: Duration = Duration::from_secs(10);

const CURRENT: &str = "pipe-sets/current";
const HISTORY: &str = "pipe-sets/history/";

/// A set that was made current.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Counts up from 1.
    pub number: u64,
    pub set: PipeSetId,
    pub at: DateTime<Utc>,
    pub by: String,
    /// What was current before.
    #[serde(default)]
    pub parent: Option<PipeSetId>,
    pub pipes: u64,
}

/// Why a set was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(
        "the current pipe set is {found} and not {expected}, so somebody published meanwhile; look with `trawler pipes diff` and push again"
    )]
    Overtaken { expected: String, found: String },
    #[error("the set has {bytes} bytes; at most {SET_BYTES_MAX} fit")]
    TooLarge { bytes: usize },
    #[error(transparent)]
    Pipes(#[from] PipeError),
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// What a publisher expects to be current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// Whatever is.
    Any,
    /// This very set.
    Set(PipeSetId),
}

/// How publishing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    New(Publication),
    /// The set was current already; nothing was written.
    Already(Publication),
}

/// The sets of a fleet. Clones share what they have read.
#[derive(Clone)]
pub struct PipeSets {
    ports: Ports,
    documents: Documents,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Also a queue: of many who need a set, one fetches it.
    sets: tokio::sync::Mutex<Vec<(PipeSetId, Arc<PipeSet>)>>,
    current: tokio::sync::Mutex<Option<Known>>,
    tables: Mutex<Vec<(String, Bytes)>>,
    runs: Mutex<HashMap<RunId, PipeSetId>>,
}

/// Which set is current, and when that was asked.
#[derive(Clone)]
struct Known {
    asked: Duration,
    set: PipeSetId,
    number: u64,
}

impl PipeSets {
    pub fn new(ports: &Ports) -> Self {
        Self {
            ports: ports.clone(),
            documents: ports.documents(),
            kept: Arc::default(),
        }
    }

    /// What is current now, if anything was ever published.
    pub async fn publication(&self) -> Result<Option<Publication>, DocumentError> {
        self.documents.get(CURRENT).await
    }

    /// Everything that was ever current, the newest first.
    pub async fn history(&self, limit: usize) -> Result<Vec<Publication>, DocumentError> {
        let Some(current) = self.publication().await? else {
            return Ok(Vec::new());
        };
        let mut number = current.number;
        let mut found = vec![current];
        while number > 1 && found.len() < limit {
            number -= 1;
            if let Some(earlier) = self.documents.get(&history_key(number)).await? {
                found.push(earlier);
            }
        }
        Ok(found)
    }

    /// Stores a set and makes it current. `table` gives the bytes of a table
    /// that is not stored yet.
    pub async fn publish(
        &self,
        files: &PipeSetFiles,
        table: impl Fn(&TableFile) -> std::io::Result<Bytes>,
        parent: &Parent,
        by: &str,
    ) -> Result<Published, PublishError> {
        let bytes = files.encode();
        if bytes.len() > SET_BYTES_MAX {
            return Err(PublishError::TooLarge { bytes: bytes.len() });
        }
        for file in files.tables() {
            self.put_table(file, &table).await?;
        }
        let set = id_of(&bytes);
        self.put(&key_of(&set), "application/json", bytes.into())
            .await?;
        self.make_current(&set, files.pipes().len() as u64, parent, by)
            .await
    }

    /// Makes a set current that was published before.
    pub async fn roll_back(&self, set: &PipeSetId, by: &str) -> Result<Published, PublishError> {
        let files = self.files(set).await?;
        self.make_current(set, files.pipes().len() as u64, &Parent::Any, by)
            .await
    }

    async fn make_current(
        &self,
        set: &PipeSetId,
        pipes: u64,
        parent: &Parent,
        by: &str,
    ) -> Result<Published, PublishError> {
        let before = self.publication().await?;
        let found = before.as_ref().map(|before| &before.set);
        if let Parent::Set(expected) = parent
            && found != Some(expected)
        {
            return Err(overtaken(Some(expected), found));
        }
        let next = Publication {
            number: before.as_ref().map_or(1, |before| before.number + 1),
            set: set.clone(),
            at: self.ports.clock.now(),
            by: by.to_owned(),
            parent: found.cloned(),
            pipes,
        };
        let Some(before) = before else {
            return match self.documents.create(CURRENT, &next).await? {
                Created::New => Ok(Published::New(next)),
                Created::Existed => {
                    let found = self.publication().await?;
                    Err(overtaken(None, found.as_ref().map(|found| &found.set)))
                }
            };
        };
        if before.set == *set {
            return Ok(Published::Already(before));
        }
        // Before the swap, so that the history has no hole whoever dies.
        self.documents
            .create(&history_key(before.number), &before)
            .await?;
        let swapped = self.documents.update(CURRENT, |stored: &mut Publication| {
            if *stored != before && *stored != next {
                return Err(Elsewhere(stored.set.clone()));
            }
            stored.clone_from(&next);
            Ok(())
        });
        match swapped.await {
            Ok(Some(_)) => Ok(Published::New(next)),
            Ok(None) => Err(overtaken(Some(&before.set), None)),
            Err(UpdateError::Change(Elsewhere(found))) => {
                Err(overtaken(Some(&before.set), Some(&found)))
            }
            Err(UpdateError::Document(error)) => Err(error.into()),
        }
    }

    /// A set as it was published.
    pub async fn files(&self, set: &PipeSetId) -> Result<PipeSetFiles, PipeError> {
        let key = key_of(set);
        let found = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.get(&key, None)
        });
        match found.await {
            Ok(bytes) => {
                let set = set.clone();
                off_reactor(move || PipeSetFiles::decode(&set, &bytes)).await?
            }
            Err(BlobError::NotFound { .. }) => Err(PipeError::NoSuchSet(set.clone())),
            Err(source) => Err(PipeError::Blob {
                what: format!("read pipe set {set}"),
                source,
            }),
        }
    }

    /// Ids of all stored sets that start with `prefix`, at most `limit`.
    pub async fn starting_with(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<PipeSetId>, PipeError> {
        let key = format!("pipe-sets/{prefix}");
        let found = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.list(&key, None, limit)
        });
        let found = found.await.map_err(|source| PipeError::Blob {
            what: "list pipe sets".to_owned(),
            source,
        })?;
        Ok(found
            .iter()
            .filter_map(|entry| entry.key.strip_prefix("pipe-sets/")?.strip_suffix(".json"))
            .filter_map(|name| PipeSetId::parse(name).ok())
            .collect())
    }

    async fn exactly(&self, set: &PipeSetId) -> Result<Arc<PipeSet>, PipeError> {
        let mut kept = self.kept.sets.lock().await;
        if let Some(at) = kept.iter().position(|(known, _)| known == set) {
            let found = kept.remove(at);
            let parsed = Arc::clone(&found.1);
            kept.push(found);
            return Ok(parsed);
        }
        let files = self.files(set).await?;
        let parsed = Arc::new(off_reactor(move || PipeSet::parse(files)).await?);
        tracing::info!(%set, pipes = parsed.pipes.len(), "read pipe set {set}");
        if kept.len() == SETS_KEPT {
            kept.remove(0);
        }
        kept.push((set.clone(), Arc::clone(&parsed)));
        Ok(parsed)
    }

    /// Which set a run was planned with.
    async fn set_of(&self, run: &RunId) -> Result<PipeSetId, PipeError> {
        if let Some(set) = self.runs().get(run) {
            return Ok(set.clone());
        }
        let found: Option<Run> = self.documents.get(&Run::key(run)).await?;
        let Some(set) = found.and_then(|found| found.pipe_set) else {
            // Planned before the fleet had published sets.
            return Ok(self.known().await?.set);
        };
        let mut runs = self.runs();
        if runs.len() >= RUNS_KEPT {
            runs.clear();
        }
        runs.insert(run.clone(), set.clone());
        Ok(set)
    }

    async fn known(&self) -> Result<Known, PipeError> {
        let mut kept = self.kept.current.lock().await;
        let now = self.ports.clock.monotonic();
        if let Some(known) = &*kept
            && now.saturating_sub(known.asked) < LOOK_EVERY
        {
            return Ok(known.clone());
        }
        let publication = self
            .publication()
            .await?
            .ok_or(PipeError::NothingPublished)?;
        let known = Known {
            asked: now,
            set: publication.set,
            number: publication.number,
        };
        *kept = Some(known.clone());
        Ok(known)
    }

    async fn put_table(
        &self,
        file: &TableFile,
        table: impl Fn(&TableFile) -> std::io::Result<Bytes>,
    ) -> Result<(), PipeError> {
        let key = file.key();
        let there = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.head(&key)
        });
        let there = there.await.map_err(|source| PipeError::Blob {
            what: format!("look for mapping table {}", file.name),
            source,
        })?;
        if there.is_some() {
            return Ok(());
        }
        let unreadable = |reason: String| PipeError::Table {
            name: file.name.clone(),
            reason,
        };
        let bytes = table(file).map_err(|error| unreadable(error.to_string()))?;
        if &TableFile::of(&file.name, &bytes) != file {
            return Err(unreadable(
                "it was changed while it was published".to_owned(),
            ));
        }
        self.put(&key, "text/csv", bytes).await
    }

    async fn put(
        &self,
        key: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<(), PipeError> {
        let meta = BlobMeta {
            content_type,
            immutable: true,
        };
        let put = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.put(key, body.clone(), meta)
        });
        put.await.map(drop).map_err(|source| PipeError::Blob {
            what: format!("store {key}"),
            source,
        })
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, PipeSetId>> {
        // Whole between any two statements, also after a panic.
        self.kept
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn kept_table(&self, sha256: &str) -> Option<Bytes> {
        let tables = self.kept.tables.lock();
        let tables = tables.unwrap_or_else(PoisonError::into_inner);
        let found = tables.iter().find(|(known, _)| known == sha256);
        found.map(|(_, bytes)| bytes.clone())
    }

    fn keep_table(&self, sha256: &str, bytes: &Bytes) {
        let tables = self.kept.tables.lock();
        let mut tables = tables.unwrap_or_else(PoisonError::into_inner);
        if bytes.len() > TABLE_BYTES_KEPT || tables.iter().any(|(known, _)| known == sha256) {
            return;
        }
        tables.push((sha256.to_owned(), bytes.clone()));
        while tables.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > TABLE_BYTES_KEPT {
            tables.remove(0);
        }
    }
}

#[async_trait]
impl PipeSource for PipeSets {
    async fn current_set(&self) -> Result<CurrentSet, PipeError> {
        let Known { set, number, .. } = self.known().await?;
        Ok(CurrentSet {
            set: self.exactly(&set).await?,
            // A rollback makes an older set current, as a newer publication.
            edition: Some(Edition::Published { number }),
        })
    }

    async fn of_run(&self, run: &RunId) -> Result<Arc<PipeSet>, PipeError> {
        self.exactly(&self.set_of(run).await?).await
    }

    async fn table(&self, set: &PipeSet, name: &str) -> Result<Option<Bytes>, PipeError> {
        let Some(file) = set.tables.get(name) else {
            return Ok(None);
        };
        if let Some(bytes) = self.kept_table(&file.sha256) {
            return Ok(Some(bytes));
        }
        let key = file.key();
        let got = retry(&*self.ports.clock, BlobError::is_transient, || {
            self.ports.blobs.get(&key, None)
        });
        let bytes = got.await.map_err(|source| PipeError::Blob {
            what: format!("read mapping table {name}"),
            source,
        })?;
        let (expected, found) = (file.clone(), bytes.clone());
        let name_of = file.name.clone();
        let same = off_reactor(move || TableFile::of(&name_of, &found) == expected).await?;
        if !same {
            return Err(PipeError::Table {
                name: name.to_owned(),
                reason: "its bytes are not those of its name".to_owned(),
            });
        }
        self.keep_table(&file.sha256, &bytes);
        Ok(Some(bytes))
    }
}

/// Somebody else's set is current.
#[derive(Debug, thiserror::Error)]
#[error("{0} is current")]
struct Elsewhere(PipeSetId);

fn overtaken(expected: Option<&PipeSetId>, found: Option<&PipeSetId>) -> PublishError {
    let shown = |set: Option<&PipeSetId>| set.map_or("none".to_owned(), ToString::to_string);
    PublishError::Overtaken {
        expected: shown(expected),
        found: shown(found),
    }
}

fn key_of(set: &PipeSetId) -> String {
    format!("pipe-sets/{set}.json")
}

fn history_key(number: u64) -> String {
    format!("{HISTORY}{number:010}")
}

/// Hashing and parsing a large set takes a while.
async fn off_reactor<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PipeError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| PipeError::CutOff {
        reason: error.to_string(),
    })
}
