//! Small documents with compare-and-swap: the truth about every job.

use async_trait::async_trait;

/// A document stays small: it is read and written whole.
pub const STATE_VALUE_BYTES_MAX: usize = 1024 * 1024;

/// Names one state of one document; changes with every write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    pub value: Vec<u8>,
    pub version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    pub key: String,
    pub version: Version,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The document is not at the expected version (or exists, on create).
    /// Read it again and decide anew.
    #[error("{verb} {key}: the document was changed by somebody else")]
    Conflict { verb: &'static str, key: String },
    #[error("{verb} {key}: {reason}")]
    Refused {
        verb: &'static str,
        key: String,
        reason: String,
    },
    #[error("{verb} {key}: the state store did not answer")]
    Unavailable {
        verb: &'static str,
        key: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StateError {
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Conflict { .. } | Self::Refused { .. } => false,
        }
    }
}

/// A store of small documents. Keys follow the rule of `Blobs`.
///
/// Linearisable per document, durable when a write returns. Every write is
/// whole or not at all.
#[async_trait]
pub trait State: Send + Sync {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError>;

    /// Writes a document that must not exist.
    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError>;

    /// Replaces the document if it is still at `expected`.
    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError>;

    /// Removes the document if it is still at `expected`; an absent one is a
    /// conflict. After an attempt without an answer an absent document counts
    /// as removed, so nobody may take `Ok` for having been the only one.
    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError>;

    /// Up to `limit` (1 to 1000) documents whose key starts with `prefix` and
    /// is greater than `after`, in order of key. The versions let a caller
    /// that keeps what it read fetch only what changed.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError>;
}
