//! The `State` and `Blobs` ports over [`S3`].
//!
//! A document's version must change with every write, and an ETag does not: so
//! a document is stored behind a line that names its write.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use trawler_core::ports::{
    BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put, STATE_VALUE_BYTES_MAX, State, StateEntry,
    StateError, Version, Versioned,
};

use super::s3::{Condition, Headers, S3, S3Error};
use super::wire::{Outage, Wire};

/// 16 hexadecimal digits and a line feed.
const WRITE_LINE_BYTES: usize = 17;

const KEY_BYTES_MAX: usize = 512;

fn is_key(key: &str) -> bool {
    let is_char = |c: char| c.is_ascii_alphanumeric() || "-_.@#=+:,".contains(c);
    key.len() <= KEY_BYTES_MAX
        && key
            .split('/')
            .all(|part| !["", ".", ".."].contains(&part) && part.chars().all(is_char))
}

/// A prefix with something behind it that makes it a key.
fn is_prefix(prefix: &str) -> bool {
    let cut = prefix.len().min(KEY_BYTES_MAX - 1);
    prefix.len() <= KEY_BYTES_MAX
        && prefix
            .get(..cut)
            .is_some_and(|prefix| is_key(&format!("{prefix}x")))
}

fn is_page(prefix: &str, after: Option<&str>, limit: usize) -> bool {
    is_prefix(prefix) && after.is_none_or(is_prefix) && (1..=1000).contains(&limit)
}

/// A process's handle on the documents, under `state/` in the bucket.
pub struct ModelState {
    s3: Arc<S3>,
    wire: Wire,
}

impl ModelState {
    pub const PREFIX: &'static str = "state/";

    pub fn new(s3: &Arc<S3>, wire: &Wire) -> Arc<Self> {
        Arc::new(Self {
            s3: Arc::clone(s3),
            wire: wire.clone(),
        })
    }

    /// A document as it is stored now, without a request: for audits.
    pub fn peek(s3: &S3, key: &str) -> Option<Bytes> {
        let body = s3.peek(&format!("{}{key}", Self::PREFIX))?;
        Some(body.slice(WRITE_LINE_BYTES..))
    }

    async fn write(
        &self,
        verb: &'static str,
        key: &str,
        value: &[u8],
        condition: Condition,
    ) -> Result<Version, StateError> {
        if !is_key(key) || value.len() > STATE_VALUE_BYTES_MAX {
            return Err(state_refused(
                verb,
                key,
                "the key or the size is out of bounds",
            ));
        }
        let mut body = format!("{:016x}\n", self.s3.write_id()).into_bytes();
        body.extend_from_slice(value);
        let (s3, path) = (Arc::clone(&self.s3), state_path(key));
        let conflicts = self.wire.conflicts();
        let put = self.wire.call(async move {
            if conflicts {
                return Err(S3Error::Conflict);
            }
            s3.put_object(&path, body.into(), &condition)
        });
        state_answer(verb, key, put.await).map(Version)
    }
}

#[async_trait]
impl State for ModelState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        if !is_key(key) {
            return Err(state_refused("get", key, "no key"));
        }
        let (s3, path) = (Arc::clone(&self.s3), state_path(key));
        match self
            .wire
            .call(async move { s3.get_object(&path, None) })
            .await
        {
            Ok(Err(S3Error::NoSuchKey)) => Ok(None),
            got => {
                let document = state_answer("get", key, got)?;
                Ok(Some(Versioned {
                    value: document.body[WRITE_LINE_BYTES..].to_vec(),
                    version: Version(document.head.etag),
                }))
            }
        }
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.write("create", key, value, Condition::Absent).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        let condition = Condition::Is(expected.0.clone());
        self.write("replace", key, value, condition).await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        if !is_key(key) {
            return Err(state_refused("delete", key, "no key"));
        }
        let (s3, path) = (Arc::clone(&self.s3), state_path(key));
        let condition = Condition::Is(expected.0.clone());
        let conflicts = self.wire.conflicts();
        let deleted = self.wire.call(async move {
            if conflicts {
                return Err(S3Error::Conflict);
            }
            s3.delete_object(&path, &condition)
        });
        state_answer("delete", key, deleted.await)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        if !is_page(prefix, after, limit) {
            return Err(state_refused("list", prefix, "no page"));
        }
        let (s3, path, after) = (
            Arc::clone(&self.s3),
            state_path(prefix),
            after.map(state_path),
        );
        let listed = self
            .wire
            .call(async move { Ok(s3.list_objects_v2(&path, after.as_deref(), limit)) })
            .await;
        let entries = state_answer("list", prefix, listed)?.into_iter();
        Ok(entries
            .map(|(key, head)| StateEntry {
                key: key[Self::PREFIX.len()..].to_owned(),
                version: Version(head.etag),
            })
            .collect())
    }
}

fn state_path(key: &str) -> String {
    format!("{}{key}", ModelState::PREFIX)
}

fn state_refused(verb: &'static str, key: &str, reason: &str) -> StateError {
    StateError::Refused {
        verb,
        key: key.to_owned(),
        reason: reason.to_owned(),
    }
}

fn state_answer<T>(
    verb: &'static str,
    key: &str,
    answer: Result<Result<T, S3Error>, Outage>,
) -> Result<T, StateError> {
    let unavailable = |source| StateError::Unavailable {
        verb,
        key: key.to_owned(),
        source,
    };
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(S3Error::NoSuchKey | S3Error::PreconditionFailed)) => Err(StateError::Conflict {
            verb,
            key: key.to_owned(),
        }),
        Ok(Err(error @ S3Error::Conflict)) => Err(unavailable(error.into())),
        Err(outage) => Err(unavailable(outage.into())),
    }
}

/// As the adapter of S3 says it without a choice.
const CACHE_FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A process's handle on the objects, under `blobs/` in the bucket.
pub struct ModelBlobs {
    s3: Arc<S3>,
    wire: Wire,
}

impl ModelBlobs {
    pub const PREFIX: &'static str = "blobs/";

    pub fn new(s3: &Arc<S3>, wire: &Wire) -> Arc<Self> {
        Arc::new(Self {
            s3: Arc::clone(s3),
            wire: wire.clone(),
        })
    }
}

#[async_trait]
impl Blobs for ModelBlobs {
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError> {
        let path = blob_path("put", key, is_key(key))?;
        let s3 = Arc::clone(&self.s3);
        let conflicts = self.wire.conflicts();
        let put = self.wire.call(async move {
            if conflicts {
                return Err(S3Error::Conflict);
            }
            let headers = Headers {
                content_type: Some(meta.content_type.to_owned()),
                cache_control: meta.immutable.then(|| CACHE_FOR_EVER.to_owned()),
            };
            s3.put_object_with(&path, body, &Condition::Absent, headers)
        });
        match put.await {
            Ok(Err(S3Error::PreconditionFailed)) => Ok(Put::Existed),
            put => blob_answer("put", key, put).map(|_| Put::Created),
        }
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        let path = blob_path("get", key, is_key(key))?;
        let s3 = Arc::clone(&self.s3);
        let got = self
            .wire
            .call(async move { s3.get_object(&path, range) })
            .await;
        blob_answer("get", key, got).map(|object| object.body)
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        let path = blob_path("head", key, is_key(key))?;
        let s3 = Arc::clone(&self.s3);
        match self.wire.call(async move { s3.head_object(&path) }).await {
            Ok(Err(S3Error::NoSuchKey)) => Ok(None),
            head => blob_answer("head", key, head).map(|head| {
                Some(BlobHead {
                    bytes: head.bytes,
                    content_type: head.headers.content_type,
                    cache_control: head.headers.cache_control,
                })
            }),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        let path = blob_path("list", prefix, is_page(prefix, after, limit))?;
        let after = after.map(|after| format!("{}{after}", Self::PREFIX));
        let s3 = Arc::clone(&self.s3);
        let listed = self
            .wire
            .call(async move { Ok(s3.list_objects_v2(&path, after.as_deref(), limit)) })
            .await;
        let entries = blob_answer("list", prefix, listed)?.into_iter();
        Ok(entries
            .map(|(key, head)| BlobEntry {
                key: key[Self::PREFIX.len()..].to_owned(),
                bytes: head.bytes,
                modified: head.modified,
                tag: head.etag,
            })
            .collect())
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        let mut paths = Vec::new();
        for key in keys {
            paths.push(blob_path("delete", key, is_key(key))?);
        }
        let s3 = Arc::clone(&self.s3);
        let deleted = self
            .wire
            .call(async move {
                s3.delete_objects(&paths);
                Ok(())
            })
            .await;
        blob_answer("delete", "objects", deleted)
    }
}

fn blob_path(verb: &'static str, key: &str, ok: bool) -> Result<String, BlobError> {
    if ok {
        Ok(format!("{}{key}", ModelBlobs::PREFIX))
    } else {
        Err(BlobError::Refused {
            verb,
            key: key.to_owned(),
            reason: "out of bounds".to_owned(),
        })
    }
}

fn blob_answer<T>(
    verb: &'static str,
    key: &str,
    answer: Result<Result<T, S3Error>, Outage>,
) -> Result<T, BlobError> {
    let unavailable = |source| BlobError::Unavailable {
        verb,
        key: key.to_owned(),
        source,
    };
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(S3Error::NoSuchKey)) => Err(BlobError::NotFound {
            verb,
            key: key.to_owned(),
        }),
        Ok(Err(error @ (S3Error::PreconditionFailed | S3Error::Conflict))) => {
            Err(unavailable(error.into()))
        }
        Err(outage) => Err(unavailable(outage.into())),
    }
}
