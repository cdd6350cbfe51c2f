//! State and Blobs in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use trawler_core::ports::{
    BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put, State, StateEntry, StateError, Version,
    Versioned,
};

use super::Crash;

/// What an object store would bill for. Deletions are free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bill {
    /// Writes, also those that were refused, and pages of listings.
    pub puts: u64,
    pub lists: u64,
    pub gets: u64,
}

impl Bill {
    /// At $5 per million writes and pages, $0.40 per million reads.
    pub fn dollars(&self) -> f64 {
        let (dear, cheap) = (self.puts + self.lists, self.gets);
        (dear as f64 * 5.0 + cheap as f64 * 0.4) / 1e6
    }
}

impl std::ops::Sub for Bill {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            puts: self.puts - before.puts,
            lists: self.lists - before.lists,
            gets: self.gets - before.gets,
        }
    }
}

impl std::ops::Add for Bill {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            puts: self.puts + other.puts,
            lists: self.lists + other.lists,
            gets: self.gets + other.gets,
        }
    }
}

#[derive(Default)]
struct Counts {
    puts: AtomicU64,
    lists: AtomicU64,
    gets: AtomicU64,
}

impl Counts {
    fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::SeqCst);
    }

    fn bill(&self) -> Bill {
        Bill {
            puts: self.puts.load(Ordering::SeqCst),
            lists: self.lists.load(Ordering::SeqCst),
            gets: self.gets.load(Ordering::SeqCst),
        }
    }
}

pub struct MemState {
    documents: Mutex<BTreeMap<String, (u64, Vec<u8>)>>,
    versions: AtomicU64,
    crash: Arc<Crash>,
    /// So many of the next writes happen and answer that they did not.
    pub lost_answers: AtomicU32,
    /// Writes are refused, as without the right to them.
    pub read_only: AtomicBool,
    /// So many reads after the next lost answer get none either.
    pub gets_after_lost: AtomicU32,
    /// So many of the next reads get no answer.
    pub failing_gets: AtomicU32,
    pub gets: AtomicU32,
    /// Reads that wait for their answer, and the most that ever did.
    reading: AtomicU32,
    pub reading_most: AtomicU32,
    counts: Counts,
}

impl MemState {
    pub fn new(crash: &Arc<Crash>) -> Self {
        Self {
            documents: Mutex::default(),
            versions: AtomicU64::new(0),
            crash: crash.clone(),
            lost_answers: AtomicU32::new(0),
            read_only: AtomicBool::new(false),
            gets_after_lost: AtomicU32::new(0),
            failing_gets: AtomicU32::new(0),
            gets: AtomicU32::new(0),
            reading: AtomicU32::new(0),
            reading_most: AtomicU32::new(0),
            counts: Counts::default(),
        }
    }

    pub fn bill(&self) -> Bill {
        self.counts.bill()
    }

    pub fn peek(&self, key: &str) -> Option<Vec<u8>> {
        let documents = self.documents.lock().unwrap();
        documents.get(key).map(|(_, value)| value.clone())
    }

    pub fn poke(&self, key: &str, value: &[u8]) {
        let version = self.next_version();
        let mut documents = self.documents.lock().unwrap();
        documents.insert(key.to_owned(), (version, value.to_vec()));
    }

    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let documents = self.documents.lock().unwrap();
        let found = documents.keys().filter(|key| key.starts_with(prefix));
        found.cloned().collect()
    }

    fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether this write may happen.
    fn may_write(&self, verb: &'static str, key: &str) -> Result<(), StateError> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(StateError::Refused {
                verb,
                key: key.to_owned(),
                reason: "not allowed".to_owned(),
            });
        }
        if self.crash.write() {
            Ok(())
        } else {
            Err(Self::dead(verb, key))
        }
    }

    fn dead(verb: &'static str, key: &str) -> StateError {
        StateError::Refused {
            verb,
            key: key.to_owned(),
            reason: "the process is dead".to_owned(),
        }
    }

    fn no_answer(verb: &'static str, key: &str) -> StateError {
        StateError::Unavailable {
            verb,
            key: key.to_owned(),
            source: "no answer".into(),
        }
    }

    fn answer(&self, verb: &'static str, key: &str, version: u64) -> Result<Version, StateError> {
        if take_one(&self.lost_answers) {
            let unheard = self.gets_after_lost.swap(0, Ordering::SeqCst);
            self.failing_gets.fetch_add(unheard, Ordering::SeqCst);
            return Err(Self::no_answer(verb, key));
        }
        Ok(Version(version.to_string()))
    }
}

pub fn take_one(count: &AtomicU32) -> bool {
    let taken = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    taken.is_ok()
}

#[async_trait]
impl State for MemState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        if !self.crash.is_alive() {
            return Err(Self::dead("read", key));
        }
        if take_one(&self.failing_gets) {
            return Err(Self::no_answer("read", key));
        }
        self.gets.fetch_add(1, Ordering::SeqCst);
        Counts::one(&self.counts.gets);
        let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.reading_most.fetch_max(reading, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.reading.fetch_sub(1, Ordering::SeqCst);
        let documents = self.documents.lock().unwrap();
        Ok(documents.get(key).map(|(version, value)| Versioned {
            value: value.clone(),
            version: Version(version.to_string()),
        }))
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        let verb = "create";
        Counts::one(&self.counts.puts);
        self.may_write(verb, key)?;
        tokio::task::yield_now().await;
        let version = self.next_version();
        {
            let mut documents = self.documents.lock().unwrap();
            if documents.contains_key(key) {
                let key = key.to_owned();
                return Err(StateError::Conflict { verb, key });
            }
            documents.insert(key.to_owned(), (version, value.to_vec()));
        }
        self.answer(verb, key, version)
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        let verb = "replace";
        Counts::one(&self.counts.puts);
        self.may_write(verb, key)?;
        tokio::task::yield_now().await;
        let version = self.next_version();
        {
            let mut documents = self.documents.lock().unwrap();
            match documents.get_mut(key) {
                Some(found) if found.0.to_string() == expected.0 => {
                    *found = (version, value.to_vec());
                }
                _ => {
                    let key = key.to_owned();
                    return Err(StateError::Conflict { verb, key });
                }
            }
        }
        self.answer(verb, key, version)
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        let verb = "delete";
        self.may_write(verb, key)?;
        let mut documents = self.documents.lock().unwrap();
        match documents.get(key) {
            Some((version, _)) if version.to_string() == expected.0 => {
                documents.remove(key);
                Ok(())
            }
            _ => Err(StateError::Conflict {
                verb,
                key: key.to_owned(),
            }),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        if !self.crash.is_alive() {
            return Err(Self::dead("list", prefix));
        }
        assert!((1..=1000).contains(&limit));
        Counts::one(&self.counts.lists);
        let documents = self.documents.lock().unwrap();
        let from = after.unwrap_or(prefix).max(prefix);
        let found = documents
            .range(from.to_owned()..)
            .filter(|(key, _)| after.is_none_or(|a| key.as_str() > a))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, (version, _))| StateEntry {
                key: key.clone(),
                version: Version(version.to_string()),
            });
        Ok(found.collect())
    }
}

pub struct MemBlobs {
    objects: Mutex<BTreeMap<String, Bytes>>,
    crash: Arc<Crash>,
    counts: Counts,
}

impl MemBlobs {
    pub fn new(crash: &Arc<Crash>) -> Self {
        Self {
            objects: Mutex::default(),
            crash: crash.clone(),
            counts: Counts::default(),
        }
    }

    pub fn bill(&self) -> Bill {
        self.counts.bill()
    }

    pub fn poke(&self, key: &str, body: &[u8]) {
        let body = Bytes::copy_from_slice(body);
        self.objects.lock().unwrap().insert(key.to_owned(), body);
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    fn dead(verb: &'static str, key: &str) -> BlobError {
        BlobError::Refused {
            verb,
            key: key.to_owned(),
            reason: "the process is dead".to_owned(),
        }
    }
}

#[async_trait]
impl Blobs for MemBlobs {
    async fn put(&self, key: &str, body: Bytes, _: BlobMeta) -> Result<Put, BlobError> {
        Counts::one(&self.counts.puts);
        if !self.crash.write() {
            return Err(Self::dead("put", key));
        }
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Ok(Put::Existed);
        }
        objects.insert(key.to_owned(), body);
        Ok(Put::Created)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        if !self.crash.is_alive() {
            return Err(Self::dead("get", key));
        }
        Counts::one(&self.counts.gets);
        let objects = self.objects.lock().unwrap();
        let body = objects.get(key).ok_or_else(|| BlobError::NotFound {
            verb: "get",
            key: key.to_owned(),
        })?;
        Ok(match range {
            None => body.clone(),
            Some(range) => {
                let end = usize::try_from(range.end).unwrap().min(body.len());
                let start = usize::try_from(range.start).unwrap().min(end);
                body.slice(start..end)
            }
        })
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        Counts::one(&self.counts.gets);
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(key).map(|body| BlobHead {
            bytes: body.len() as u64,
            content_type: None,
            cache_control: None,
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        if !self.crash.is_alive() {
            return Err(Self::dead("list", prefix));
        }
        assert!((1..=1000).contains(&limit));
        Counts::one(&self.counts.lists);
        let objects = self.objects.lock().unwrap();
        let from = after.unwrap_or(prefix).max(prefix);
        let found = objects
            .range(from.to_owned()..)
            .filter(|(key, _)| after.is_none_or(|a| key.as_str() > a))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, body)| BlobEntry {
                key: key.clone(),
                bytes: body.len() as u64,
                modified: chrono::DateTime::UNIX_EPOCH,
                tag: format!("{:x}", body.as_ptr().addr()),
            });
        Ok(found.collect())
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        if !self.crash.write() {
            return Err(Self::dead("delete", &keys.join(" ")));
        }
        let mut objects = self.objects.lock().unwrap();
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }
}
