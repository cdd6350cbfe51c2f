//! Immutable objects under a key: images, results, manifests, kept inputs; and
//! what partners put into the inbox.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

/// What `put` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Created,
    /// Something was stored under the key already and was left as it is.
    Existed,
}

/// Headers that a reader of the object gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobMeta {
    pub content_type: &'static str,
    /// Objects named by their content never change and may be cached for ever.
    pub immutable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobEntry {
    pub key: String,
    pub bytes: u64,
    /// When it was stored last, by the clock of the store.
    pub modified: DateTime<Utc>,
    /// Another one when the object under the key is another; says nothing else.
    /// The same object may get a new one when a store is moved.
    pub tag: String,
}

/// An object without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobHead {
    pub bytes: u64,
    /// What a reader is told of it. A store that keeps no headers tells what the
    /// key says.
    pub content_type: Option<String>,
    /// What caches are told of it, by a store that keeps headers.
    pub cache_control: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("{verb} {key}: there is no such object")]
    NotFound { verb: &'static str, key: String },
    #[error("{verb} {key}: {reason}")]
    Refused {
        verb: &'static str,
        key: String,
        reason: String,
    },
    #[error("{verb} {key}: the object store did not answer")]
    Unavailable {
        verb: &'static str,
        key: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BlobError {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::NotFound { .. } | Self::Refused { .. } => false,
        }
    }
}

/// An object store.
///
/// Keys are `/`-separated paths of 1 to 512 ASCII letters, digits and
/// `-_.@#=+:,`, without empty, `.` or `..` parts; others are `Refused`.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores `body` unless the key is taken. Whole or not at all, durable
    /// when it returns; of several racing puts exactly one is `Created`. The
    /// bytes are checked on their way: what is stored is what was given.
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError>;

    /// The object, or the given byte range of it (clipped to its end).
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError>;

    /// What is known of the object without reading it, or `None` when there is
    /// no such object.
    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError>;

    /// Up to `limit` (1 to 1000) objects whose key starts with `prefix` and is
    /// greater than `after`, in order of key. What others put beside ours is
    /// listed too if its key follows the rule; such an object may be replaced
    /// while it is read, which its `tag` tells afterwards.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError>;

    /// Removes the objects; absent ones are no error.
    async fn delete(&self, keys: &[String]) -> Result<(), BlobError>;
}
