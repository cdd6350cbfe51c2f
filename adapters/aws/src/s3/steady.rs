//! The catalogue's store with steadier hands: what the client of
//! `object_store` gives up too early is tried again, and a refusal says what to
//! change, as those of blobs and documents do.
//!
//! The client signs with this machine's time and takes every 403 for a missing
//! permission. A wrong clock is one that passes: the work waits until it is set.
//!
//! The client does not repeat a request whose answer breaks off within an
//! error's body, which a look for the next log entry (404) meets as often as
//! any. Puts under a condition are left alone: the catalogue reads its log
//! before it repeats one.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use super::call::{Call, Place};
use super::error::Fault;
use super::retry::Attempts;

/// As the client names itself.
const STORE: &str = "S3";

#[derive(Debug)]
pub(super) struct Steady<S> {
    inner: Arc<S>,
    place: Place,
}

impl<S: ObjectStore> Steady<S> {
    pub(super) fn new(inner: S, place: Place) -> Self {
        Self {
            inner: Arc::new(inner),
            place,
        }
    }

    /// Repeats what may be done twice while the client calls it a failure of
    /// no other kind, and the answer says nothing more.
    async fn repeat<T, Fut>(&self, call: Call, mut work: impl FnMut() -> Fut) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        let mut attempts = Attempts::begin();
        loop {
            match work().await {
                Ok(done) => return Ok(done),
                Err(error) => wait_after(&mut attempts, call, &self.place, error).await?,
            }
        }
    }

    fn listing(
        &self,
        prefix: Option<&Path>,
        after: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = Listing {
            store: Arc::clone(&self.inner),
            place: self.place.clone(),
            prefix: prefix.cloned(),
            after: after.cloned(),
            found: None,
        };
        let next = |mut listing: Listing<S>| async move {
            let next = listing.next().await?;
            Ok(next.map(|next| (next, listing)))
        };
        stream::try_unfold(listing, next).boxed()
    }
}

/// Waits for the next attempt, or gives the error that ends them.
async fn wait_after(
    attempts: &mut Attempts,
    call: Call,
    place: &Place,
    error: Error,
) -> Result<()> {
    let source = match explained(call, place)(error) {
        Error::Generic { source, .. } if !source.is::<Fault>() => source,
        error => return Err(error),
    };
    let fault = Fault::NoAnswer {
        call: call.name().to_owned(),
        endpoint: place.endpoint.clone(),
        source: source.to_string().into(),
    };
    let store = STORE;
    match attempts.after(fault).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::Generic { store, source }),
    }
}

/// A listing that goes on behind the last object when an answer breaks off.
struct Listing<S> {
    store: Arc<S>,
    place: Place,
    prefix: Option<Path>,
    after: Option<Path>,
    found: Option<BoxStream<'static, Result<ObjectMeta>>>,
}

impl<S: ObjectStore> Listing<S> {
    async fn next(&mut self) -> Result<Option<ObjectMeta>> {
        let mut attempts = Attempts::begin();
        loop {
            let prefix = self.prefix.as_ref();
            let found = self.found.get_or_insert_with(|| match &self.after {
                Some(after) => self.store.list_with_offset(prefix, after),
                None => self.store.list(prefix),
            });
            match found.next().await {
                Some(Ok(object)) => {
                    self.after = Some(object.location.clone());
                    return Ok(Some(object));
                }
                Some(Err(error)) => {
                    self.found = None;
                    wait_after(&mut attempts, Call::List, &self.place, error).await?;
                }
                None => return Ok(None),
            }
        }
    }
}

/// What the answer behind an error means, where it says more than the client
/// has seen in it: the reason of a 403, and that of a listing is one at all.
fn explained(call: Call, place: &Place) -> impl Fn(Error) -> Error + Send + 'static {
    let place = place.clone();
    move |error| {
        let path = match &error {
            Error::PermissionDenied { path, .. } | Error::Unauthenticated { path, .. } => {
                path.clone()
            }
            Error::Generic { .. } => String::new(),
            _ => return error,
        };
        let fault = Fault::of_text(call, &path, &place, &error.to_string());
        match fault {
            Fault::ClockSkew { .. } | Fault::Expired { .. } => Error::Generic {
                store: STORE,
                source: Box::new(fault),
            },
            Fault::BadCredentials { .. } | Fault::Denied { .. } => Error::PermissionDenied {
                path,
                source: Box::new(fault),
            },
            _ => error,
        }
    }
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
                done.map_err(explained(Call::Put, &self.place))
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
        let inner = self.repeat(Call::StartUpload, begin).await?;
        let place = self.place.clone();
        Ok(Box::new(Upload { inner, place }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let get = || self.inner.get_opts(at, options.clone());
        let got = self.repeat(Call::Get, get).await;
        if options.head && matches!(got, Err(Error::PermissionDenied { .. })) {
            // The answer to a HEAD has no body, and so no reason.
            let words = GetOptions::new().with_range(Some(0..1));
            if let Err(error @ Error::PermissionDenied { .. }) =
                self.inner.get_opts(at, words).await
            {
                return Err(explained(Call::Get, &self.place)(error));
            }
        }
        got
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let get = || self.inner.get_ranges(at, ranges);
        self.repeat(Call::Get, get).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let deleted = self.inner.delete_stream(at);
        let explained = explained(Call::DeleteMany, &self.place);
        deleted.map(move |one| one.map_err(&explained)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let list = || self.inner.list_with_delimiter(prefix);
        self.repeat(Call::List, list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload in parts. What fails of it is not tried again here.
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    place: Place,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let sent: BoxFuture<'static, Result<()>> = self.inner.put_part(part);
        let explained = explained(Call::UploadPart, &self.place);
        Box::pin(async move { sent.await.map_err(explained) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.inner.complete().await;
        done.map_err(explained(Call::CompleteUpload, &self.place))
    }

    async fn abort(&mut self) -> Result<()> {
        let done = self.inner.abort().await;
        done.map_err(explained(Call::AbortUpload, &self.place))
    }
}
