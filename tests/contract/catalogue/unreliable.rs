//! A store that loses requests and answers, and says that keys are taken which
//! are not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// A store whose puts of log entries fail: before they are made, or after.
#[derive(Debug)]
pub(super) struct Unreliable {
    inner: Arc<dyn ObjectStore>,
    lost_before: AtomicU32,
    lost_after: AtomicU32,
    conflicts: AtomicU32,
}

impl Unreliable {
    pub(super) fn over(inner: Arc<dyn ObjectStore>, lost_before: u32, lost_after: u32) -> Self {
        Self {
            inner,
            lost_before: AtomicU32::new(lost_before),
            lost_after: AtomicU32::new(lost_after),
            conflicts: AtomicU32::new(0),
        }
    }

    /// Says so often that a key is taken although nothing is there, as S3 does
    /// (409) when puts of one key meet of which none has been made yet.
    pub(super) fn conflicting(inner: Arc<dyn ObjectStore>, conflicts: u32) -> Self {
        Self {
            conflicts: AtomicU32::new(conflicts),
            ..Self::over(inner, 0, 0)
        }
    }
}

impl fmt::Display for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unreliable store")
    }
}

fn take_one(left: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

#[async_trait]
impl ObjectStore for Unreliable {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let lost = || object_store::Error::Generic {
            store: "test",
            source: "connection reset".into(),
        };
        let is_entry = location.as_ref().ends_with(".json");
        if is_entry && take_one(&self.conflicts) {
            return Err(object_store::Error::AlreadyExists {
                path: location.to_string(),
                source: "conflict".into(),
            });
        }
        if is_entry && take_one(&self.lost_before) {
            return Err(lost());
        }
        let put = self.inner.put_opts(location, payload, options).await;
        if is_entry && take_one(&self.lost_after) {
            return Err(lost());
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
