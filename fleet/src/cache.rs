//! Parsed documents by key and version, for those who list the same documents
//! again and again.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trawler_core::ports::Version;

/// Bytes of documents that are kept; what does not fit is fetched again each
/// time.
const BYTES_MAX: usize = 128 * 1024 * 1024;

struct Cached {
    version: Version,
    bytes: usize,
    value: Arc<dyn Any + Send + Sync>,
}

#[derive(Default)]
struct Inner {
    bytes: usize,
    documents: HashMap<String, Cached>,
}

impl Inner {
    fn remove(&mut self, key: &str) {
        if let Some(old) = self.documents.remove(key) {
            self.bytes -= old.bytes;
        }
    }
}

/// Clones are the same cache.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    inner: Arc<Mutex<Inner>>,
}

impl Cache {
    /// What is known of these documents at these versions, in their order.
    pub(crate) fn find<T: Send + Sync + 'static>(
        &self,
        entries: &[(String, Version)],
    ) -> Vec<Option<Arc<T>>> {
        let inner = self.inner();
        let known = entries.iter().map(|(key, version)| {
            let cached = inner.documents.get(key)?;
            if cached.version != *version {
                return None;
            }
            Arc::clone(&cached.value).downcast().ok()
        });
        known.collect()
    }

    pub(crate) fn remember(
        &self,
        key: String,
        version: Version,
        bytes: usize,
        value: Arc<dyn Any + Send + Sync>,
    ) {
        let mut inner = self.inner();
        inner.remove(&key);
        if inner.bytes + bytes <= BYTES_MAX {
            inner.bytes += bytes;
            let cached = Cached {
                version,
                bytes,
                value,
            };
            inner.documents.insert(key, cached);
        }
    }

    /// Drops what is kept under the prefix and not among `entries`, which are
    /// all there are, in order of key.
    pub(crate) fn forget_others(&self, prefix: &str, entries: &[(String, Version)]) {
        let mut inner = self.inner();
        let gone: Vec<String> = inner
            .documents
            .keys()
            .filter(|key| key.starts_with(prefix))
            .filter(|key| entries.binary_search_by(|(at, _)| at.cmp(key)).is_err())
            .cloned()
            .collect();
        for key in gone {
            inner.remove(&key);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // The cache is whole between any two statements, also after a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
