//! The connections to `trawler.db` and how work gets onto them.
//!
//! One connection writes and one reads. SQLite admits one writer a file
//! anyway, so further ones would only wait in a worse place; readers go on
//! while a write waits for the disk. Every call runs on the blocking pool, at
//! most one a connection, because the caller holds the connection before it
//! asks for a thread.
//!
//! `synchronous = FULL`: a commit returns when the log is on disk, so that not
//! even a power cut loses what `send` accepted (measured at 0.2 ms a commit on
//! a virtual disk). NORMAL would survive kill -9 only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::schema::{self, SchemaError};
use crate::store::OpenError;

/// How long one statement waits for another process's write. Transactions last
/// milliseconds; ten seconds of busy is trouble worth reporting.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Opening races with other processes for the switch to WAL, which SQLite
/// refuses at once instead of waiting: tried this often, this far apart (2 s).
const WAL_TRIES_MAX: u32 = 100;
const WAL_TRY_EVERY: Duration = Duration::from_millis(20);

/// Distinct statements are about thirty; all stay prepared.
const STATEMENTS_CACHED: usize = 64;

/// A log that grew under load is cut back to this when it is reset.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Why work on the database did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("{path}: SQLite refused")]
    Sqlite {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("{path}: the work was cut off before it was committed")]
    CutOff {
        path: PathBuf,
        #[source]
        source: tokio::task::JoinError,
    },
}

/// Cheap to clone; all clones share the two connections.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    path: Arc<Path>,
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
}

impl Database {
    /// Opens or creates the file. Blocking.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let explain = |error| match error {
            SchemaError::Foreign => OpenError::Foreign {
                path: path.to_owned(),
            },
            SchemaError::Newer { found } => OpenError::Newer {
                path: path.to_owned(),
                found,
                known: schema::SCHEMA_VERSION,
            },
            SchemaError::Sqlite(source) => OpenError::Database {
                path: path.to_owned(),
                source,
            },
        };
        let mut writer = connect(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(explain)?;
        schema::migrate(&mut writer).map_err(explain)?;
        let reader = connect(path, OpenFlags::empty()).map_err(explain)?;
        reader
            .pragma_update(None, "query_only", true)
            .map_err(|source| explain(SchemaError::Sqlite(source)))?;
        Ok(Self {
            path: path.into(),
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(reader)),
        })
    }

    /// Runs `work` in one durable transaction. Once it has begun it goes on to
    /// its end even when the caller stops waiting.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.with_writer(move |connection| in_transaction(connection, work))
            .await
    }

    /// Runs `work` on the writing connection without a transaction of its own.
    pub(crate) async fn with_writer<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let connection = Arc::clone(&self.writer).lock_owned().await;
        self.run(connection, work).await
    }

    /// Runs `work` on the reading connection; it sees every committed write.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let connection = Arc::clone(&self.reader).lock_owned().await;
        self.run(connection, |connection| work(connection)).await
    }

    async fn run<T, F>(
        &self,
        mut connection: OwnedMutexGuard<Connection>,
        work: F,
    ) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let path = || self.path.to_path_buf();
        match tokio::task::spawn_blocking(move || work(&mut connection)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(source)) => Err(DatabaseError::Sqlite {
                path: path(),
                source,
            }),
            Err(source) => Err(DatabaseError::CutOff {
                path: path(),
                source,
            }),
        }
    }
}

/// One transaction that takes the write lock at its start, so that it never
/// has to give up half-way for somebody else's write.
pub(crate) fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&tx)?;
    tx.commit()?;
    Ok(done)
}

fn connect(path: &Path, create: OpenFlags) -> Result<Connection, SchemaError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // One transaction, so that a file which another process is just creating
    // is seen blank or whole.
    let look = connection.unchecked_transaction()?;
    schema::check(&look)?;
    look.finish()?;
    switch_to_wal(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    Ok(connection)
}

fn switch_to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        let switched: rusqlite::Result<String> =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |r| r.get(0));
        tries += 1;
        match switched {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => return Err(no_wal(&mode)),
            Err(error) if is_busy(&error) && tries < WAL_TRIES_MAX => {
                std::thread::sleep(WAL_TRY_EVERY);
            }
            Err(error) => return Err(error),
        }
    }
}

fn no_wal(mode: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
        Some(format!(
            "the file system keeps the journal in mode {mode:?}; put the folder on a local disk, where write-ahead logging works"
        )),
    )
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
