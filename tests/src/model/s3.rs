//! One S3 bucket, as the API behaves: strongly consistent, conditional writes
//! and deletes, listing in order of key.
//!
//! An ETag says what the bytes are and not which write they came from: the same
//! bytes written again have the same ETag, as they have in S3.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_core::ports::Clock;

use super::meter::{Action, Meter};

/// Keys of one page, and of one multi-object delete.
const PAGE_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    #[error("404 NoSuchKey")]
    NoSuchKey,
    #[error("412 PreconditionFailed")]
    PreconditionFailed,
    #[error("409 ConditionalRequestConflict: another conditional request is under way")]
    Conflict,
}

/// What a write asks of the object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`
    Is(String),
}

/// An object, or a range of it.
#[derive(Debug, Clone)]
pub struct Object {
    pub body: Bytes,
    pub head: Head,
}

/// What is told of an object without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Of the whole object.
    pub bytes: u64,
    pub etag: String,
    pub modified: DateTime<Utc>,
    pub headers: Headers,
}

/// What a reader of an object is told with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
}

/// Keys up to the next delimiter, as a listing with one tells them.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    pub objects: Vec<(String, Head)>,
    /// Each ends with the delimiter.
    pub prefixes: BTreeSet<String>,
}

pub struct S3 {
    clock: Arc<dyn Clock>,
    meter: Arc<Meter>,
    bucket: Mutex<Bucket>,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    /// How often each key came to be.
    created: HashMap<String, u32>,
    writes: u64,
}

impl S3 {
    pub fn new(clock: Arc<dyn Clock>, meter: &Arc<Meter>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            meter: Arc::clone(meter),
            bucket: Mutex::default(),
        })
    }

    pub fn put_object(
        &self,
        key: &str,
        body: Bytes,
        condition: &Condition,
    ) -> Result<String, S3Error> {
        self.put_object_with(key, body, condition, Headers::default())
    }

    pub fn put_object_with(
        &self,
        key: &str,
        body: Bytes,
        condition: &Condition,
        headers: Headers,
    ) -> Result<String, S3Error> {
        self.meter.count(Action::PutObject, body.len());
        let mut bucket = self.bucket();
        match (condition, bucket.objects.get(key)) {
            (Condition::Absent | Condition::None, None) => {
                *bucket.created.entry(key.to_owned()).or_default() += 1;
            }
            (Condition::Absent, Some(_)) => return Err(S3Error::PreconditionFailed),
            (Condition::Is(_), None) => return Err(S3Error::NoSuchKey),
            (Condition::Is(etag), Some(object)) if *etag != object.head.etag => {
                return Err(S3Error::PreconditionFailed);
            }
            (Condition::Is(_) | Condition::None, Some(_)) => {}
        }
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        let head = Head {
            bytes: body.len() as u64,
            etag: etag.clone(),
            modified: self.clock.now(),
            headers,
        };
        bucket.objects.insert(key.to_owned(), Object { body, head });
        Ok(etag)
    }

    /// The object, or a range of it.
    pub fn get_object(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, S3Error> {
        self.meter.count(Action::GetObject, 0);
        let bucket = self.bucket();
        let mut object = bucket.objects.get(key).ok_or(S3Error::NoSuchKey)?.clone();
        if let Some(range) = range {
            let end = usize::try_from(range.end).unwrap_or(usize::MAX);
            let end = end.min(object.body.len());
            let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
            object.body = object.body.slice(start..end);
        }
        Ok(object)
    }

    pub fn head_object(&self, key: &str) -> Result<Head, S3Error> {
        self.meter.count(Action::HeadObject, 0);
        let bucket = self.bucket();
        let object = bucket.objects.get(key).ok_or(S3Error::NoSuchKey)?;
        Ok(object.head.clone())
    }

    /// Keys after `after`, in order, at most a page.
    pub fn list_objects_v2(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Vec<(String, Head)> {
        self.meter.count(Action::ListObjectsV2, 0);
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let bucket = self.bucket();
        let objects = bucket.objects.range::<str, _>((from, Bound::Unbounded));
        objects
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(max.min(PAGE_MAX))
            .map(|(key, object)| (key.clone(), object.head.clone()))
            .collect()
    }

    /// All pages of a listing with the delimiter `/`.
    pub fn list_folder(&self, prefix: &str) -> Folder {
        let mut folder = Folder::default();
        let bucket = self.bucket();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (key, object) in bucket.objects.range::<str, _>(from) {
            let Some(rest) = key.strip_prefix(prefix) else {
                break;
            };
            match rest.find('/') {
                Some(at) => {
                    let below = &key[..=prefix.len() + at];
                    folder.prefixes.insert(below.to_owned());
                }
                None => folder.objects.push((key.clone(), object.head.clone())),
            }
        }
        drop(bucket);
        let listed = folder.objects.len() + folder.prefixes.len();
        for _ in 0..listed.div_ceil(PAGE_MAX).max(1) {
            self.meter.count(Action::ListObjectsV2, 0);
        }
        folder
    }

    pub fn delete_object(&self, key: &str, condition: &Condition) -> Result<(), S3Error> {
        self.meter.count(Action::DeleteObject, 0);
        let mut bucket = self.bucket();
        match (condition, bucket.objects.get(key)) {
            (Condition::None, None) => return Ok(()),
            (_, None) => return Err(S3Error::NoSuchKey),
            (Condition::None, Some(_)) => {}
            (Condition::Is(etag), Some(object)) if *etag == object.head.etag => {}
            (Condition::Absent | Condition::Is(_), Some(_)) => {
                return Err(S3Error::PreconditionFailed);
            }
        }
        bucket.objects.remove(key);
        Ok(())
    }

    /// Absent keys are no error.
    pub fn delete_objects(&self, keys: &[String]) {
        for page in keys.chunks(PAGE_MAX) {
            self.meter.count(Action::DeleteObjects, 0);
            let mut bucket = self.bucket();
            for key in page {
                bucket.objects.remove(key);
            }
        }
    }

    /// An object without a request: for audits.
    pub fn peek(&self, key: &str) -> Option<Bytes> {
        self.bucket()
            .objects
            .get(key)
            .map(|object| object.body.clone())
    }

    /// Keys without a request: for audits.
    pub fn peek_keys(&self, prefix: &str) -> Vec<String> {
        let bucket = self.bucket();
        let from = bucket
            .objects
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// Keys under the prefix that came to be more than once, for audits:
    /// something was stored, removed and stored again.
    pub fn peek_created_twice(&self, prefix: &str) -> Vec<String> {
        let bucket = self.bucket();
        let twice = bucket
            .created
            .iter()
            .filter(|(key, times)| key.starts_with(prefix) && **times > 1);
        let mut keys: Vec<String> = twice.map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    }

    /// A number that no other write has, as a client would draw at random.
    pub(super) fn write_id(&self) -> u64 {
        let mut bucket = self.bucket();
        bucket.writes += 1;
        bucket.writes
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // Each statement leaves the bucket whole, also one that panicked.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
