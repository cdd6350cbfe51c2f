//! `State` and `Blobs` as ordered maps: the second adapter of their suites.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use trawler_core::ports::{
    BlobEntry, BlobError, BlobMeta, Blobs, Put, STATE_VALUE_BYTES_MAX, State, StateEntry,
    StateError, Version, Versioned,
};
use trawler_tests::{BlobsHarness, StateHarness};

fn is_key(key: &str) -> bool {
    let is_char = |c: char| c.is_ascii_alphanumeric() || "-_.@#=+:,".contains(c);
    key.len() <= 512
        && key
            .split('/')
            .all(|part| !["", ".", ".."].contains(&part) && part.chars().all(is_char))
}

/// A prefix with something behind it that makes it a key.
fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= 512 && is_key(&format!("{}x", &prefix[..prefix.len().min(511)]))
}

fn is_page(prefix: &str, after: Option<&str>, limit: usize) -> bool {
    is_prefix(prefix) && after.is_none_or(is_prefix) && (1..=1000).contains(&limit)
}

fn page<'a, V>(
    map: &'a BTreeMap<String, V>,
    prefix: &'a str,
    after: Option<&'a str>,
    limit: usize,
) -> impl Iterator<Item = (&'a String, &'a V)> {
    let after = after.map_or(Bound::Unbounded, Bound::Excluded);
    map.range::<str, _>((after, Bound::Unbounded))
        .filter(move |(key, _)| key.starts_with(prefix))
        .take(limit)
}

#[derive(Default)]
pub(crate) struct MemoryState {
    documents: Mutex<(u64, BTreeMap<String, Versioned>)>,
}

impl MemoryState {
    fn write(
        &self,
        verb: &'static str,
        key: &str,
        expected: Option<&Version>,
        value: Option<&[u8]>,
    ) -> Result<Version, StateError> {
        let key = key.to_owned();
        let is_small = value.is_none_or(|value| value.len() <= STATE_VALUE_BYTES_MAX);
        if !is_key(&key) || !is_small {
            let reason = "the key or the size is out of bounds".to_owned();
            return Err(StateError::Refused { verb, key, reason });
        }
        let (writes, documents) = &mut *self.documents.lock().unwrap();
        if documents.get(&key).map(|document| &document.version) != expected {
            return Err(StateError::Conflict { verb, key });
        }
        *writes += 1;
        let version = Version(format!("v{writes}"));
        match value {
            Some(value) => {
                let value = value.to_owned();
                let version = version.clone();
                documents.insert(key, Versioned { value, version });
            }
            None => {
                documents.remove(&key);
            }
        }
        Ok(version)
    }
}

#[async_trait]
impl State for MemoryState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        if !is_key(key) {
            return Err(StateError::Refused {
                verb: "get",
                key: key.to_owned(),
                reason: "no key".to_owned(),
            });
        }
        Ok(self.documents.lock().unwrap().1.get(key).cloned())
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.write("create", key, None, Some(value))
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        self.write("replace", key, Some(expected), Some(value))
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        self.write("delete", key, Some(expected), None).map(drop)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        if !is_page(prefix, after, limit) {
            return Err(StateError::Refused {
                verb: "list",
                key: prefix.to_owned(),
                reason: "no page".to_owned(),
            });
        }
        let documents = &self.documents.lock().unwrap().1;
        let entry = |(key, document): (&String, &Versioned)| StateEntry {
            key: key.clone(),
            version: document.version.clone(),
        };
        Ok(page(documents, prefix, after, limit).map(entry).collect())
    }
}

#[derive(Default)]
pub(crate) struct MemoryBlobs {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

fn refuse_unless(ok: bool, verb: &'static str, key: &str) -> Result<(), BlobError> {
    if ok {
        Ok(())
    } else {
        Err(BlobError::Refused {
            verb,
            key: key.to_owned(),
            reason: "out of bounds".to_owned(),
        })
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, key: &str, body: Bytes, _meta: BlobMeta) -> Result<Put, BlobError> {
        refuse_unless(is_key(key), "put", key)?;
        let objects = &mut *self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Ok(Put::Existed);
        }
        objects.insert(key.to_owned(), body);
        Ok(Put::Created)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        refuse_unless(is_key(key), "get", key)?;
        let objects = self.objects.lock().unwrap();
        let object = objects.get(key).ok_or_else(|| BlobError::NotFound {
            verb: "get",
            key: key.to_owned(),
        })?;
        let len = object.len() as u64;
        let range = range.unwrap_or(0..len);
        let start = range.start.min(len);
        let end = range.end.min(len).max(start);
        Ok(object.slice(start as usize..end as usize))
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, BlobError> {
        refuse_unless(is_key(key), "head", key)?;
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(key).map(|object| object.len() as u64))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        refuse_unless(is_page(prefix, after, limit), "list", prefix)?;
        let objects = self.objects.lock().unwrap();
        let entry = |(key, object): (&String, &Bytes)| BlobEntry {
            key: key.clone(),
            bytes: object.len() as u64,
        };
        Ok(page(&objects, prefix, after, limit).map(entry).collect())
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        for key in keys {
            refuse_unless(is_key(key), "delete", key)?;
        }
        let objects = &mut *self.objects.lock().unwrap();
        objects.retain(|key, _| !keys.contains(key));
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct MemoryStateHarness(Arc<MemoryState>);

impl MemoryStateHarness {
    pub(crate) async fn fresh() -> Self {
        Self::default()
    }
}

#[async_trait]
impl StateHarness for MemoryStateHarness {
    fn state(&self) -> Arc<dyn State> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

#[derive(Default)]
pub(crate) struct MemoryBlobsHarness(Arc<MemoryBlobs>);

impl MemoryBlobsHarness {
    pub(crate) async fn fresh() -> Self {
        Self::default()
    }
}

#[async_trait]
impl BlobsHarness for MemoryBlobsHarness {
    fn blobs(&self) -> Arc<dyn Blobs> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}
