//! State and Blobs that take their time.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::sleep;
use trawler_core::ports::{
    BlobEntry, BlobError, BlobMeta, Blobs, Put, State, StateEntry, StateError, Version, Versioned,
};

use crate::clock::Life;

pub(crate) const STATE_LATENCY: Duration = Duration::from_millis(10);

pub(crate) struct SlowState {
    pub(crate) documents: Mutex<BTreeMap<String, (u64, Vec<u8>)>>,
    pub(crate) versions: AtomicU64,
    pub(crate) life: Arc<Life>,
}

impl SlowState {
    pub(crate) fn poke(&self, key: String, value: &impl serde::Serialize) {
        let version = self.versions.fetch_add(1, Ordering::SeqCst);
        let bytes = serde_json::to_vec(value).unwrap();
        self.documents.lock().unwrap().insert(key, (version, bytes));
    }

    pub(crate) fn count(&self, prefix: &str) -> usize {
        let documents = self.documents.lock().unwrap();
        documents
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .count()
    }

    pub(crate) fn over(verb: &'static str, key: &str) -> StateError {
        StateError::Refused {
            verb,
            key: key.to_owned(),
            reason: "the process is dead".to_owned(),
        }
    }

    pub(crate) async fn write(
        &self,
        verb: &'static str,
        key: &str,
        expected: Option<&Version>,
        value: Option<&[u8]>,
    ) -> Result<Version, StateError> {
        sleep(STATE_LATENCY).await;
        if !self.life.write() {
            return Err(Self::over(verb, key));
        }
        let mut documents = self.documents.lock().unwrap();
        let found = documents.get(key).map(|(version, _)| version.to_string());
        if found.as_deref() != expected.map(|version| version.0.as_str()) {
            let key = key.to_owned();
            return Err(StateError::Conflict { verb, key });
        }
        let version = self.versions.fetch_add(1, Ordering::SeqCst);
        match value {
            Some(value) => documents.insert(key.to_owned(), (version, value.to_vec())),
            None => documents.remove(key),
        };
        Ok(Version(version.to_string()))
    }
}

#[async_trait]
impl State for SlowState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        sleep(STATE_LATENCY).await;
        if self.life.is_over() {
            return Err(Self::over("read", key));
        }
        let documents = self.documents.lock().unwrap();
        Ok(documents.get(key).map(|(version, value)| Versioned {
            value: value.clone(),
            version: Version(version.to_string()),
        }))
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.write("create", key, None, Some(value)).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        self.write("replace", key, Some(expected), Some(value))
            .await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.write("delete", key, Some(expected), None).await?;
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        sleep(STATE_LATENCY).await;
        let documents = self.documents.lock().unwrap();
        let from = after.map_or(prefix, |after| after.max(prefix));
        let found = documents
            .range(from.to_owned()..)
            .filter(|(key, _)| Some(key.as_str()) != after)
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, (version, _))| StateEntry {
                key: key.clone(),
                version: Version(version.to_string()),
            });
        Ok(found.collect())
    }
}

pub(crate) struct SlowBlobs {
    pub(crate) objects: Mutex<HashMap<String, Bytes>>,
    pub(crate) life: Arc<Life>,
}

impl SlowBlobs {
    pub(crate) fn over(verb: &'static str, key: &str) -> BlobError {
        BlobError::Refused {
            verb,
            key: key.to_owned(),
            reason: "the process is dead".to_owned(),
        }
    }
}

#[async_trait]
impl Blobs for SlowBlobs {
    async fn put(&self, key: &str, body: Bytes, _: BlobMeta) -> Result<Put, BlobError> {
        sleep(STATE_LATENCY).await;
        if !self.life.write() {
            return Err(Self::over("put", key));
        }
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Ok(Put::Existed);
        }
        objects.insert(key.to_owned(), body);
        Ok(Put::Created)
    }

    async fn get(&self, key: &str, _: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        sleep(STATE_LATENCY).await;
        if self.life.is_over() {
            return Err(Self::over("get", key));
        }
        let objects = self.objects.lock().unwrap();
        objects
            .get(key)
            .cloned()
            .ok_or_else(|| BlobError::NotFound {
                verb: "get",
                key: key.to_owned(),
            })
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, BlobError> {
        sleep(STATE_LATENCY).await;
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(key).map(|body| body.len() as u64))
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<BlobEntry>, BlobError> {
        Ok(Vec::new())
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        sleep(STATE_LATENCY).await;
        if !self.life.write() {
            return Err(Self::over("delete", &keys.join(" ")));
        }
        let mut objects = self.objects.lock().unwrap();
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }
}
