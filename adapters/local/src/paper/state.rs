//! Documents on paper. Versions of what was written here begin with a mark
//! that no store gives, so that a version never names two states.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use trawler_core::ports::{
    STATE_VALUE_BYTES_MAX, State, StateEntry, StateError, Version, Versioned, keys,
};

/// Before the number of a version that was made here.
const MARK: &str = "paper-";

/// What was written over the store: a document, or that it is gone.
#[derive(Default)]
struct Over {
    documents: BTreeMap<String, Option<Versioned>>,
    last: u64,
}

impl Over {
    fn write(&mut self, key: &str, value: &[u8]) -> Version {
        self.last += 1;
        let version = Version(format!("{MARK}{}", self.last));
        let document = Versioned {
            value: value.to_vec(),
            version: version.clone(),
        };
        self.documents.insert(key.to_owned(), Some(document));
        version
    }
}

/// Documents of a store, and in memory what is written over them.
pub struct PaperState {
    under: Arc<dyn State>,
    /// Documents of the store under these are not seen.
    hidden: &'static [&'static str],
    over: Mutex<Over>,
    /// Writes take turns: each looks first at what is there.
    turn: tokio::sync::Mutex<()>,
}

impl PaperState {
    pub fn new(under: Arc<dyn State>, hidden: &'static [&'static str]) -> Self {
        Self {
            under,
            hidden,
            over: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn over(&self) -> MutexGuard<'_, Over> {
        // Each statement leaves it whole, also one that panicked.
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_hidden(&self, key: &str) -> bool {
        self.hidden.iter().any(|prefix| key.starts_with(prefix))
    }

    async fn found(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        if let Some(written) = self.over().documents.get(key) {
            return Ok(written.clone());
        }
        match self.is_hidden(key) {
            true => Ok(None),
            false => self.under.get(key).await,
        }
    }
}

fn refused(verb: &'static str, key: &str, reason: String) -> StateError {
    StateError::Refused {
        verb,
        key: key.to_owned(),
        reason,
    }
}

fn conflict(verb: &'static str, key: &str) -> StateError {
    StateError::Conflict {
        verb,
        key: key.to_owned(),
    }
}

fn check(verb: &'static str, key: &str, value: &[u8]) -> Result<(), StateError> {
    keys::check_key(key).map_err(|reason| refused(verb, key, reason))?;
    if value.len() > STATE_VALUE_BYTES_MAX {
        let reason = format!(
            "the document has {} bytes and may have {STATE_VALUE_BYTES_MAX}",
            value.len()
        );
        return Err(refused(verb, key, reason));
    }
    Ok(())
}

#[async_trait]
impl State for PaperState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        check("get", key, &[])?;
        self.found(key).await
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        check("create", key, value)?;
        let _turn = self.turn.lock().await;
        match self.found(key).await? {
            Some(_) => Err(conflict("create", key)),
            None => Ok(self.over().write(key, value)),
        }
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        check("replace", key, value)?;
        let _turn = self.turn.lock().await;
        match self.found(key).await? {
            Some(found) if found.version == *expected => Ok(self.over().write(key, value)),
            Some(_) | None => Err(conflict("replace", key)),
        }
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        check("delete", key, &[])?;
        let _turn = self.turn.lock().await;
        match self.found(key).await? {
            Some(found) if found.version == *expected => {
                self.over().documents.insert(key.to_owned(), None);
                Ok(())
            }
            Some(_) | None => Err(conflict("delete", key)),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        keys::check_list(prefix, after, limit).map_err(|reason| refused("list", prefix, reason))?;
        let mut from = after.map(str::to_owned);
        let mut found: BTreeMap<String, StateEntry> = BTreeMap::new();
        // What was written here covers what a page of the store says; a page
        // that is covered whole is followed by the next one.
        let is_hidden = self.is_hidden(prefix);
        let end = loop {
            if is_hidden {
                break None;
            }
            let page = self.under.list(prefix, from.as_deref(), limit).await?;
            let is_last = page.len() < limit;
            from = page.last().map(|entry| entry.key.clone());
            let over = self.over();
            let seen = page.into_iter().filter(|entry| {
                !over.documents.contains_key(&entry.key) && !self.is_hidden(&entry.key)
            });
            found.extend(seen.map(|entry| (entry.key.clone(), entry)));
            if is_last {
                break None;
            }
            if found.len() >= limit {
                break from;
            }
        };
        let over = self.over();
        let written = over.documents.iter().filter_map(|(key, document)| {
            let version = document.as_ref()?.version.clone();
            let is_asked = key.starts_with(prefix)
                && after.is_none_or(|after| key.as_str() > after)
                && end.as_ref().is_none_or(|end| key <= end);
            is_asked.then(|| {
                let key = key.clone();
                (key.clone(), StateEntry { key, version })
            })
        });
        found.extend(written);
        Ok(found.into_values().take(limit).collect())
    }
}
