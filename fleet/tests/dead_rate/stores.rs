//! State and Blobs that take their time for everything.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::sleep;
use trawler_core::ports::{
    BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put, State, StateEntry, StateError, Version,
    Versioned,
};

use crate::support::{MemBlobs, MemState};

pub(crate) const LATENCY: Duration = Duration::from_millis(10);

pub(crate) struct Slow<S>(pub(crate) Arc<S>);

#[async_trait]
impl State for Slow<MemState> {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StateError> {
        sleep(LATENCY).await;
        self.0.get(key).await
    }

    async fn create(&self, key: &str, value: &[u8]) -> Result<Version, StateError> {
        sleep(LATENCY).await;
        self.0.create(key, value).await
    }

    async fn replace(
        &self,
        key: &str,
        value: &[u8],
        expected: &Version,
    ) -> Result<Version, StateError> {
        sleep(LATENCY).await;
        self.0.replace(key, value, expected).await
    }

    async fn delete(&self, key: &str, expected: &Version) -> Result<(), StateError> {
        sleep(LATENCY).await;
        self.0.delete(key, expected).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StateEntry>, StateError> {
        sleep(LATENCY).await;
        self.0.list(prefix, after, limit).await
    }
}

#[async_trait]
impl Blobs for Slow<MemBlobs> {
    async fn put(&self, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, BlobError> {
        sleep(LATENCY).await;
        self.0.put(key, body, meta).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, BlobError> {
        sleep(LATENCY).await;
        self.0.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<BlobHead>, BlobError> {
        sleep(LATENCY).await;
        self.0.head(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, BlobError> {
        sleep(LATENCY).await;
        self.0.list(prefix, after, limit).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), BlobError> {
        sleep(LATENCY).await;
        self.0.delete(keys).await
    }
}
