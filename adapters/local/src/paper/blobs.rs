//! Blobs on paper: what is put goes to another store, what is deleted is only
//! remembered.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use trawler_core::ports::{BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put};

/// Blobs of one store, and in another one what is put over them.
pub struct PaperBlobs {
    under: Arc<dyn Blobs>,
    over: Arc<dyn Blobs>,
    /// Keys of the store underneath that are gone on paper.
    gone: Mutex<HashSet<String>>,
    /// Puts take turns: each looks first at what is there.
    turn: tokio::sync::Mutex<()>,
}

impl PaperBlobs {
    /// `over` is empty and nobody else's.
    pub fn new(under: Arc<dyn Blobs>, over: Arc<dyn Blobs>) -> Self {
        Self {
            under,
            over,
            gone: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn gone(&self) -> MutexGuard<'_, HashSet<String>> {
        // Each statement leaves it whole, also one that panicked.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_gone(&self, key: &str) -> bool {
        self.gone().contains(key)
    }
}

#[async_trait]
impl Blobs for PaperBlobs {
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError> {
        let _turn = self.turn.lock().await;
        if !self.is_gone(key) && self.under.head(key).await?.is_some() {
            return Ok(Put::Existed);
        }
        self.over.put(key, body, meta).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        match self.over.get(key, range.clone()).await {
            Err(BlobError::NotFound { .. }) if !self.is_gone(key) => {
                self.under.get(key, range).await
            }
            found => found,
        }
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        match self.over.head(key).await? {
            None if !self.is_gone(key) => self.under.head(key).await,
            found => Ok(found),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        let mut from = after.map(str::to_owned);
        let mut found: BTreeMap<String, BlobEntry> = BTreeMap::new();
        let end = loop {
            let page = self.under.list(prefix, from.as_deref(), limit).await?;
            let is_last = page.len() < limit;
            from = page.last().map(|entry| entry.key.clone());
            let gone = self.gone();
            let seen = page.into_iter().filter(|entry| !gone.contains(&entry.key));
            found.extend(seen.map(|entry| (entry.key.clone(), entry)));
            if is_last {
                break None;
            }
            if found.len() >= limit {
                break from;
            }
        };
        let written = self.over.list(prefix, after, limit).await?;
        let written = written
            .into_iter()
            .filter(|entry| end.as_ref().is_none_or(|end| entry.key <= *end));
        found.extend(written.map(|entry| (entry.key.clone(), entry)));
        Ok(found.into_values().take(limit).collect())
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        let _turn = self.turn.lock().await;
        self.over.delete(keys).await?;
        self.gone().extend(keys.iter().cloned());
        Ok(())
    }
}
