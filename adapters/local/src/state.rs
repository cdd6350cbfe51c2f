//! State documents in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use trawler_core::ports::{
    STATE_VALUE_BYTES_MAX, State, StateEntry, StateError, Version, Versioned, keys,
};

use crate::database::{Database, DatabaseError};

/// The documents of one machine. Cheap to clone.
///
/// Versions come from one counter for all documents and are never used again,
/// so that a document that was removed and made anew is never mistaken for
/// the old one.
#[derive(Debug, Clone)]
pub struct LocalState {
    database: Database,
}

impl LocalState {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl State for LocalState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        const VERB: &str = "get";
        check_key(VERB, key)?;
        let wanted = key.to_owned();
        self.database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT version, value FROM state_document WHERE key = ?1")?
                    .query_row([wanted], |row| {
                        Ok(Versioned {
                            version: to_version(row.get(0)?),
                            value: row.get(1)?,
                        })
                    })
                    .optional()
            })
            .await
            .map_err(|source| unavailable(VERB, key, source))
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        const VERB: &str = "create";
        check_key(VERB, key)?;
        check_value(VERB, key, value)?;
        let (new, value) = (key.to_owned(), value.to_owned());
        let created = self
            .database
            .write(move |tx| {
                let version = next_version(tx)?;
                let rows = tx
                    .prepare_cached(
                        "INSERT INTO state_document (key, version, value) VALUES (?1, ?2, ?3)
                         ON CONFLICT (key) DO NOTHING",
                    )?
                    .execute(params![new, version, value])?;
                Ok((rows == 1).then(|| to_version(version)))
            })
            .await
            .map_err(|source| unavailable(VERB, key, source))?;
        created.ok_or_else(|| conflict(VERB, key))
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        const VERB: &str = "replace";
        check_key(VERB, key)?;
        check_value(VERB, key, value)?;
        let expected = from_version(expected).ok_or_else(|| conflict(VERB, key))?;
        let (old, value) = (key.to_owned(), value.to_owned());
        let replaced = self
            .database
            .write(move |tx| {
                let version = next_version(tx)?;
                let rows = tx
                    .prepare_cached(
                        "UPDATE state_document SET version = ?2, value = ?3
                         WHERE key = ?1 AND version = ?4",
                    )?
                    .execute(params![old, version, value, expected])?;
                Ok((rows == 1).then(|| to_version(version)))
            })
            .await
            .map_err(|source| unavailable(VERB, key, source))?;
        replaced.ok_or_else(|| conflict(VERB, key))
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        const VERB: &str = "delete";
        check_key(VERB, key)?;
        let expected = from_version(expected).ok_or_else(|| conflict(VERB, key))?;
        let old = key.to_owned();
        let rows = self
            .database
            .write(move |tx| {
                tx.prepare_cached("DELETE FROM state_document WHERE key = ?1 AND version = ?2")?
                    .execute(params![old, expected])
            })
            .await
            .map_err(|source| unavailable(VERB, key, source))?;
        if rows == 1 {
            Ok(())
        } else {
            Err(conflict(VERB, key))
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        const VERB: &str = "list";
        keys::check_list(prefix, after, limit).map_err(|reason| refused(VERB, prefix, reason))?;
        let page = (prefix.to_owned(), after.unwrap_or("").to_owned());
        self.database
            .read(move |connection| page_of(connection, &page.0, &page.1, limit))
            .await
            .map_err(|source| unavailable(VERB, prefix, source))
    }
}

/// Keys are ASCII and compare by bytes, so that a prefix is a range of keys.
fn page_of(
    connection: &Connection,
    prefix: &str,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<StateEntry>> {
    let mut end = prefix.to_owned();
    // '~' follows every character that the rule for keys allows.
    end.push('~');
    connection
        .prepare_cached(
            "SELECT key, version FROM state_document
             WHERE key >= ?1 AND key < ?2 AND key > ?3 ORDER BY key LIMIT ?4",
        )?
        .query_map(
            params![prefix, end, after, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| {
                Ok(StateEntry {
                    key: row.get(0)?,
                    version: to_version(row.get(1)?),
                })
            },
        )?
        .collect()
}

fn next_version(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.prepare_cached("UPDATE state_version SET last = last + 1 WHERE id = 0 RETURNING last")?
        .query_row([], |row| row.get(0))
}

fn to_version(number: i64) -> Version {
    Version(number.to_string())
}

/// A version that was not made here names no state of any document.
fn from_version(version: &Version) -> Option<i64> {
    version.0.parse().ok()
}

fn check_key(verb: &'static str, key: &str) -> Result<(), StateError> {
    keys::check_key(key).map_err(|reason| refused(verb, key, reason))
}

fn check_value(verb: &'static str, key: &str, value: &[u8]) -> Result<(), StateError> {
    if value.len() <= STATE_VALUE_BYTES_MAX {
        Ok(())
    } else {
        let reason = format!(
            "the document has {} bytes and may have {STATE_VALUE_BYTES_MAX}",
            value.len()
        );
        Err(refused(verb, key, reason))
    }
}

fn conflict(verb: &'static str, key: &str) -> StateError {
    StateError::Conflict {
        verb,
        key: key.to_owned(),
    }
}

fn refused(verb: &'static str, key: &str, reason: String) -> StateError {
    StateError::Refused {
        verb,
        key: key.to_owned(),
        reason,
    }
}

fn unavailable(verb: &'static str, key: &str, source: DatabaseError) -> StateError {
    StateError::Unavailable {
        verb,
        key: key.to_owned(),
        source: Box::new(source),
    }
}
