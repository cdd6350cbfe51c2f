//! Files that no commit ever named: what aborted deliveries left behind.
//!
//! A file that any log entry names is kept for ever, live or not, because the
//! change feed and older versions are read from it.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::catalogue::Catalogue;
use crate::diff::PreparedCommit;
use crate::error::{CatalogueError, Result};
use crate::log::entry;

/// Log entries read and files deleted at a time.
const AT_A_TIME: i64 = 64;

/// Most orphans that one call returns; call again for the rest.
pub const ORPHANS_MAX: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub path: String,
    pub bytes: u64,
    pub modified: DateTime<Utc>,
}

impl Catalogue {
    /// Orphans last modified before `older_than`. Choose an instant before the
    /// start of any run that may still commit: a day ago is safe.
    pub async fn orphans(&self, older_than: DateTime<Utc>) -> Result<Vec<Orphan>> {
        let mut candidates = HashMap::new();
        let folders = self
            .store
            .list_with_delimiter(None)
            .await
            .map_err(CatalogueError::store("list", "the root"))?
            .common_prefixes;
        for folder in folders {
            if folder.as_ref() != "_change_data" && !folder.as_ref().starts_with("pipe=") {
                continue;
            }
            let mut objects = self.store.list(Some(&folder));
            while let Some(object) = objects.next().await {
                let object = object.map_err(CatalogueError::store("list", &folder))?;
                if object.last_modified < older_than && candidates.len() < ORPHANS_MAX {
                    let path = object.location.to_string();
                    let orphan = Orphan {
                        path: path.clone(),
                        bytes: object.size,
                        modified: object.last_modified,
                    };
                    candidates.insert(path, orphan);
                }
            }
        }
        // The log is read after the listing: what was committed meanwhile
        // is seen to be named.
        self.drop_named(&mut candidates).await?;
        let mut orphans: Vec<Orphan> = candidates.into_values().collect();
        orphans.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(orphans)
    }

    async fn drop_named(&self, candidates: &mut HashMap<String, Orphan>) -> Result<()> {
        let newest = self.refresh().await?.version;
        let mut next = 0;
        while next <= newest && !candidates.is_empty() {
            let last = (next + AT_A_TIME - 1).min(newest);
            for entry in entry::read_range(&self.store, next..=last).await? {
                for file in entry.untold()? {
                    candidates.remove(&file.path);
                }
                for line in entry.lines {
                    let paths = [
                        line.add.map(|add| add.path),
                        line.remove.map(|remove| remove.path),
                        line.cdc.map(|cdc| cdc.path),
                    ];
                    for path in paths.into_iter().flatten() {
                        candidates.remove(&path);
                    }
                }
            }
            next = last + 1;
        }
        Ok(())
    }

    /// Deletes orphans last modified before `older_than`; returns them.
    pub async fn vacuum_orphans(&self, older_than: DateTime<Utc>) -> Result<Vec<Orphan>> {
        let orphans = self.orphans(older_than).await?;
        self.delete_files(orphans.iter().map(|orphan| orphan.path.as_str()))
            .await?;
        Ok(orphans)
    }

    /// Deletes the files of a commit that is not to be made. Only for who wrote
    /// them and knows that no commit was tried; see [`Catalogue::land`].
    pub async fn discard(&self, prepared: PreparedCommit) -> Result<()> {
        self.delete_files(prepared.paths()).await
    }

    async fn delete_files<'a>(&self, paths: impl Iterator<Item = &'a str>) -> Result<()> {
        let deletes: Vec<_> = paths
            .map(|path| {
                let store = Arc::clone(&self.store);
                let path = Path::from(path);
                async move {
                    match store.delete(&path).await {
                        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                        Err(error) => Err(CatalogueError::store("delete", &path)(error)),
                    }
                }
            })
            .collect();
        stream::iter(deletes)
            .buffer_unordered(AT_A_TIME as usize)
            .try_collect::<()>()
            .await
    }
}
