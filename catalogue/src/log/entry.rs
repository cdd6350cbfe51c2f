//! One entry of the log: reading it, and what others need to know of it.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use crate::error::{CatalogueError, Result};
use crate::log::action::{Line, file_ref, pipe_of};
use crate::table::reader::FileRef;
use crate::table::writer::WrittenFile;

/// Key of commitInfo by which a writer knows its own commit again.
pub(crate) const TOKEN: &str = "token";

/// Key of commitInfo of files that a commit keeps and tells nobody of. Readers of
/// the table and of its changes pass it over.
pub(crate) const UNTOLD: &str = "untold";

/// Entries asked for at a time when many are wanted.
const READ_AHEAD_MAX: usize = 32;

pub(crate) fn entry_path(version: i64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

/// A file under [`UNTOLD`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Untold {
    path: String,
    size: u64,
}

impl Untold {
    pub(crate) fn of(file: &WrittenFile) -> Self {
        Self {
            path: file.path.clone(),
            size: file.size,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) version: i64,
    pub(crate) lines: Vec<Line>,
}

impl Entry {
    pub(crate) fn parse(version: i64, text: &[u8]) -> Result<Self> {
        let mut lines = Vec::new();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = serde_json::from_slice(line).map_err(|error| {
                let reason = format!("line {}: {error}", at + 1);
                CatalogueError::MalformedLog { version, reason }
            })?;
            lines.push(line);
        }
        Ok(Self { version, lines })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for line in &self.lines {
            serde_json::to_writer(&mut text, line)
                .expect("actions have text keys and are written to memory");
            text.push(b'\n');
        }
        text
    }

    /// Milliseconds since 1970 at which the commit was made.
    pub(crate) fn timestamp(&self) -> i64 {
        let info = self.lines.iter().find_map(|line| line.commit_info.as_ref());
        info.and_then(|info| info.get("timestamp")?.as_i64())
            .unwrap_or(0)
    }

    /// Files with rows that went or changed unheard, as they were.
    pub(crate) fn untold(&self) -> Result<Vec<FileRef>> {
        let info = self.lines.iter().find_map(|line| line.commit_info.as_ref());
        let Some(untold) = info.and_then(|info| info.get(UNTOLD)) else {
            return Ok(Vec::new());
        };
        let untold = Vec::<Untold>::deserialize(untold).map_err(|error| {
            let (version, reason) = (self.version, format!("{UNTOLD}: {error}"));
            CatalogueError::MalformedLog { version, reason }
        })?;
        let size = |bytes: u64| i64::try_from(bytes).ok();
        let untold = untold.iter();
        untold
            .map(|file| file_ref(&file.path, size(file.size), self.version))
            .collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary {
            version: self.version,
            token: None,
            pipes: Vec::new(),
            txns: Vec::new(),
            changes_table: false,
        };
        for line in &self.lines {
            if let Some(info) = &line.commit_info {
                summary.token = info.get(TOKEN).and_then(|t| t.as_str()).map(str::to_owned);
            }
            summary.changes_table |= line.protocol.is_some() || line.meta_data.is_some();
            if let Some(txn) = &line.txn {
                summary.txns.push((txn.app_id.clone(), txn.version));
            }
            let added = line.add.as_ref().map(|add| &add.partition_values);
            let removed = line
                .remove
                .as_ref()
                .map(|remove| remove.partition_values.as_ref());
            let pipe = match (added, removed) {
                (Some(values), _) => pipe_of(values),
                (None, Some(Some(values))) => pipe_of(values),
                (None, Some(None)) => {
                    // A removal that does not say of what may be of any pipe.
                    summary.changes_table = true;
                    None
                }
                (None, None) => None,
            };
            if let Some(pipe) = pipe
                && !summary.pipes.iter().any(|known| known == pipe)
            {
                summary.pipes.push(pipe.to_owned());
            }
        }
        summary
    }
}

/// What a concurrent writer needs to know of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) version: i64,
    pub(crate) token: Option<String>,
    pub(crate) pipes: Vec<String>,
    pub(crate) txns: Vec<(String, i64)>,
    pub(crate) changes_table: bool,
}

/// Reads one entry; `None` when there is none.
pub(crate) async fn read(store: &Arc<dyn ObjectStore>, version: i64) -> Result<Option<Entry>> {
    let path = entry_path(version);
    let read = async { store.get(&path).await?.bytes().await };
    match read.await {
        Ok(text) => Entry::parse(version, &text).map(Some),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(CatalogueError::store("read", &path)(error)),
    }
}

/// Reads the entries of a range that are known to exist.
pub(crate) async fn read_range(
    store: &Arc<dyn ObjectStore>,
    versions: std::ops::RangeInclusive<i64>,
) -> Result<Vec<Entry>> {
    stream::iter(versions)
        .map(|version| async move {
            let gone = || CatalogueError::Resync {
                reason: format!("log entry {version} is gone"),
            };
            read(store, version).await?.ok_or_else(gone)
        })
        .buffered(READ_AHEAD_MAX)
        .try_collect()
        .await
}

/// Reads entries from `first` on as far as the log goes, handing each to
/// `take`. Looks ahead by a quarter of what it has found: of 64 writers that
/// commit at once each reads all the others' entries, and what each asks for
/// in vain is a large part of the store's work.
pub(crate) async fn read_on(
    store: &Arc<dyn ObjectStore>,
    first: i64,
    mut take: impl FnMut(Entry) -> Result<()>,
) -> Result<()> {
    let mut next = first;
    loop {
        let found = usize::try_from(next - first).unwrap_or(usize::MAX);
        let ahead = (1 + found / 4).min(READ_AHEAD_MAX);
        let wanted = (0_i64..).take(ahead).map(|step| read(store, next + step));
        let found: Vec<Option<Entry>> = stream::iter(wanted).buffered(ahead).try_collect().await?;
        for entry in found {
            let Some(entry) = entry else {
                return Ok(());
            };
            next = entry.version + 1;
            take(entry)?;
        }
    }
}
