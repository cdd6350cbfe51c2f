//! The folder of one machine, and the ports in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;
use trawler_core::QueueName;
use trawler_core::ports::Clock;

use crate::blobs::LocalBlobs;
use crate::database::Database;
use crate::queue::{Holders, LocalQueue, QueueOptions};
use crate::state::LocalState;

const DATABASE_FILE: &str = "trawler.db";
const BLOBS_FOLDER: &str = "blobs";
const HOLDERS_FOLDER: &str = "holders";

/// Why a folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("open {path}")]
    Database {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "open {path}: its schema has version {found} and this build knows versions up to {known}; use the newer build that wrote it"
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("open {path}: this is a database of another program; choose another folder")]
    Foreign { path: PathBuf },
    #[error("open queue {queue}: {reason}")]
    Options { queue: QueueName, reason: String },
    #[error("open {path}: the work was cut off")]
    CutOff {
        path: PathBuf,
        #[source]
        source: tokio::task::JoinError,
    },
}

/// Everything that Trawler keeps on one machine. Cheap to clone.
///
/// Any number of stores, in one process or several, may be open on a folder at
/// once. Queues of one store wake each other's long polls at once; others
/// notice within the poll interval (50 ms).
#[derive(Clone)]
pub struct LocalStore {
    folder: Arc<Path>,
    database: Database,
    blobs: LocalBlobs,
    clock: Arc<dyn Clock>,
    crawl_wake: Arc<Notify>,
    image_wake: Arc<Notify>,
    holders: Holders,
}

impl LocalStore {
    /// Opens the folder and creates what is missing in it.
    ///
    /// # Errors
    /// [`OpenError::Newer`] and [`OpenError::Foreign`] leave the file as it is.
    pub async fn open(
        folder: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let folder = folder.into();
        let path = folder.clone();
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(&folder, clock));
        opening
            .await
            .map_err(|source| OpenError::CutOff { path, source })?
    }

    fn open_blocking(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        std::fs::create_dir_all(folder).map_err(|source| OpenError::Io {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            folder: folder.into(),
            database: Database::open(&folder.join(DATABASE_FILE))?,
            blobs: LocalBlobs::open(&folder.join(BLOBS_FOLDER), clock.now())?,
            clock,
            crawl_wake: Arc::default(),
            image_wake: Arc::default(),
            holders: Holders::new(folder.join(HOLDERS_FOLDER)),
        })
    }

    /// A queue. Its messages are kept under its name; the options are the
    /// opener's own, so give the same ones everywhere.
    ///
    /// # Errors
    /// [`OpenError::Options`] when an option is outside its bounds.
    pub fn queue(&self, queue: QueueName, options: QueueOptions) -> Result<LocalQueue, OpenError> {
        let wake = match queue {
            QueueName::Crawl => &self.crawl_wake,
            QueueName::Image => &self.image_wake,
        };
        options
            .check()
            .map_err(|reason| OpenError::Options { queue, reason })?;
        Ok(LocalQueue::new(
            queue,
            options,
            self.database.clone(),
            Arc::clone(&self.clock),
            Arc::clone(wake),
            self.holders.clone(),
        ))
    }

    pub fn state(&self) -> LocalState {
        LocalState::new(self.database.clone())
    }

    pub fn blobs(&self) -> LocalBlobs {
        self.blobs.clone()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl std::fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalStore")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use trawler_core::ports::State;

    use super::*;
    use crate::clock::SystemClock;

    async fn open(folder: &Path) -> Result<LocalStore, OpenError> {
        LocalStore::open(folder, Arc::new(SystemClock::new())).await
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).await.unwrap());
        let path = folder.path().join(DATABASE_FILE);
        let newer = crate::SCHEMA_VERSION + 1;
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "user_version", newer)
            .unwrap();
        drop(connection);

        let error = open(folder.path()).await.unwrap_err();
        assert!(
            matches!(error, OpenError::Newer { found, known, .. } if found == newer && known == crate::SCHEMA_VERSION),
            "{error}"
        );
        let connection = rusqlite::Connection::open(&path).unwrap();
        let kept: i64 = connection
            .pragma_query_value(None, "user_version", |r| r.get(0))
            .unwrap();
        assert_eq!(kept, newer);
    }

    #[tokio::test]
    async fn a_database_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        drop(connection);
        let error = open(folder.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DATABASE_FILE), [b'x'; 4096]).unwrap();
        let error = open(folder.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Database { .. }), "{error}");
    }

    #[tokio::test]
    async fn many_openers_of_a_new_folder_agree() {
        let folder = tempfile::tempdir().unwrap();
        let mut openers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let path = folder.path().to_owned();
            openers.spawn(async move { open(&path).await });
        }
        let stores: Vec<LocalStore> = openers
            .join_all()
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        stores[0].state().create("a", b"1").await.unwrap();
        let read = stores[7].state().get("a").await.unwrap().unwrap();
        assert_eq!(read.value, b"1");
    }

    #[tokio::test]
    async fn queue_options_have_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await.unwrap();
        let check = |visibility: Duration, receive_count_max: u32, ok: bool| {
            let options = QueueOptions {
                visibility,
                receive_count_max,
            };
            let opened = store.queue(QueueName::Crawl, options);
            assert_eq!(opened.is_ok(), ok, "{options:?}");
        };
        check(Duration::from_secs(300), 100, true);
        check(Duration::from_secs(12 * 60 * 60), 1, true);
        check(Duration::ZERO, 100, false);
        check(Duration::from_secs(12 * 60 * 60 + 1), 100, false);
        check(Duration::from_secs(300), 0, false);
        check(Duration::from_secs(300), 1001, false);
    }
}
