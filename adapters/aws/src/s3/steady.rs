//! The catalogue's store with steadier hands: what the client of
//! `object_store` gives up too early is tried again, and a refusal names the
//! permission that is missing.
//!
//! The client does not repeat a request whose answer breaks off within an
//! error's body, which a look for the next log entry (404) meets as often as
//! any. Puts under a condition are left alone: the catalogue reads its log
//! before it repeats one.

use std::fmt;
use std::future::Future;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::call::{Call, Place};
use super::error::Fault;
use super::retry::Attempts;

#[derive(Debug)]
pub(super) struct Steady<S> {
    inner: S,
    place: Place,
}

impl<S: ObjectStore> Steady<S> {
    pub(super) fn new(inner: S, place: Place) -> Self {
        Self { inner, place }
    }

    /// Repeats what may be done twice while the client calls it a failure of
    /// no other kind.
    async fn repeat<T, Fut>(&self, call: Call, mut work: impl FnMut() -> Fut) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        let mut attempts = Attempts::begin();
        loop {
            let error = match work().await {
                Err(error @ Error::Generic { .. }) => error,
                done => return done.map_err(|error| self.explained(call, error)),
            };
            let fault = Fault::NoAnswer {
                call: call.name().to_owned(),
                source: error.to_string().into(),
            };
            if attempts.after(fault).await.is_err() {
                return Err(error);
            }
        }
    }

    fn explained(&self, call: Call, error: Error) -> Error {
        match error {
            Error::PermissionDenied { path, source } => {
                let permission = call.permission(&self.place);
                let source = Box::new(Lacking { permission, source });
                Error::PermissionDenied { path, source }
            }
            error => error,
        }
    }
}

/// What to allow.
#[derive(Debug, thiserror::Error)]
#[error("allow {permission}")]
struct Lacking {
    permission: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl<S: ObjectStore> fmt::Display for Steady<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Steady<S> {
    async fn put_opts(
        &self,
        at: &Path,
        body: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = || self.inner.put_opts(at, body.clone(), options.clone());
        match options.mode {
            PutMode::Overwrite => self.repeat(Call::Put, put).await,
            PutMode::Create | PutMode::Update(_) => {
                let done = put().await;
                done.map_err(|error| self.explained(Call::Put, error))
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // One that was begun unheard holds no parts, and costs nothing.
        let begin = || self.inner.put_multipart_opts(at, options.clone());
        self.repeat(Call::StartUpload, begin).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let get = || self.inner.get_opts(at, options.clone());
        self.repeat(Call::Get, get).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let get = || self.inner.get_ranges(at, ranges);
        self.repeat(Call::Get, get).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let list = || self.inner.list_with_delimiter(prefix);
        self.repeat(Call::List, list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
