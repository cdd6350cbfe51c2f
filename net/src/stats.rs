//! Counters of a fetcher, for summaries and metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A reading of the counters, which only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct FetchStats {
    /// Requests sent, one per hop and attempt.
    pub requests: u64,
    /// Of these, with If-None-Match or If-Modified-Since.
    pub conditional_requests: u64,
    /// Answers 304.
    pub not_modified: u64,
    /// Redirects followed.
    pub redirects: u64,
    /// Bytes of bodies as served.
    pub bytes_down: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Hops that the address policy refused.
    pub refused: u64,
    /// Fetches that ended in an error.
    pub failed: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) conditional_requests: AtomicU64,
    pub(crate) not_modified: AtomicU64,
    pub(crate) redirects: AtomicU64,
    pub(crate) bytes_down: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> FetchStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FetchStats {
            requests: get(&self.requests),
            conditional_requests: get(&self.conditional_requests),
            not_modified: get(&self.not_modified),
            redirects: get(&self.redirects),
            bytes_down: get(&self.bytes_down),
            retries: get(&self.retries),
            refused: get(&self.refused),
            failed: get(&self.failed),
        }
    }
}
