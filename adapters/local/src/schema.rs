//! The tables of `trawler.db` and their versions.
//!
//! `PRAGMA user_version` holds the version, `PRAGMA application_id` says that
//! the file is ours. A newer version is refused rather than guessed at; an
//! older one is brought up step by step in one transaction.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The newest schema this crate reads and writes.
pub const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// "TRWL" in ASCII.
const APPLICATION_ID: i64 = 0x5452_574C;

/// Step `n` leads from version `n` to `n + 1`. Steps are only ever appended.
const STEPS: &[&str] = &[VERSION_1, VERSION_2];

/// Times are milliseconds since 1970. `seq` is the order of sending and is
/// never used again (AUTOINCREMENT), so that a receipt made of it cannot fit a
/// later message. `delivery` counts hand-outs and, unlike `receive_count`,
/// never goes back. `queue_group` has one row for each group that has
/// messages, so that finding a free group does not read the messages of the
/// locked ones. A backstop dead-letter queue is a queue of its own name.
const VERSION_1: &str = "
CREATE TABLE queue_message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    grp TEXT NOT NULL,
    dedup_id TEXT NOT NULL,
    receive_count INTEGER NOT NULL DEFAULT 0,
    delivery INTEGER NOT NULL DEFAULT 0,
    leased INTEGER NOT NULL DEFAULT 0,
    received_at INTEGER NOT NULL DEFAULT 0,
    invisible_until INTEGER NOT NULL DEFAULT 0,
    sent_at INTEGER NOT NULL,
    buried_at INTEGER,
    reason TEXT,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX queue_message_order ON queue_message (queue, grp, seq);
CREATE INDEX queue_message_hidden ON queue_message (queue, grp, invisible_until)
    WHERE invisible_until > 0;

CREATE TABLE queue_group (
    queue TEXT NOT NULL,
    grp TEXT NOT NULL,
    head_seq INTEGER NOT NULL,
    locked_until INTEGER NOT NULL,
    PRIMARY KEY (queue, grp)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_group_heads ON queue_group (queue, head_seq, locked_until);

CREATE TABLE queue_dedup (
    queue TEXT NOT NULL,
    dedup_id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    PRIMARY KEY (queue, dedup_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_dedup_age ON queue_dedup (sent_at);

CREATE TABLE state_document (
    key TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    value BLOB NOT NULL
) STRICT;
CREATE TABLE state_version (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO state_version (id, last) VALUES (0, 0);
";

/// The process that holds a lease, see `queue::holders`; set while `leased` is.
const VERSION_2: &str = "
ALTER TABLE queue_message ADD COLUMN holder TEXT;
CREATE INDEX queue_message_holder ON queue_message (holder) WHERE holder IS NOT NULL;
";

/// Why a file cannot be used as it is.
#[derive(Debug)]
pub(crate) enum SchemaError {
    Foreign,
    Newer { found: i64 },
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for SchemaError {
    fn from(source: rusqlite::Error) -> Self {
        Self::Sqlite(source)
    }
}

/// Refuses what is not ours or too new, before anything is written.
pub(crate) fn check(connection: &Connection) -> Result<(), SchemaError> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let version = version(connection)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    let ours = application == APPLICATION_ID;
    let blank = application == 0 && version == 0 && tables == 0;
    if !ours && !blank {
        Err(SchemaError::Foreign)
    } else if version > SCHEMA_VERSION {
        Err(SchemaError::Newer { found: version })
    } else {
        Ok(())
    }
}

/// Brings the file to [`SCHEMA_VERSION`]. Safe when several processes do it at
/// once: the version is read again under the write lock.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), SchemaError> {
    if version(connection)? == SCHEMA_VERSION {
        return Ok(());
    }
    let tx = Transaction::new(connection, TransactionBehavior::Immediate)?;
    check(&tx)?;
    let found = version(&tx)?;
    let done = usize::try_from(found).map_err(|_| SchemaError::Foreign)?;
    for step in &STEPS[done..] {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    tx.commit()?;
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |r| r.get(0))
}
