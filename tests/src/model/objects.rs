//! The catalogue's object store over [`S3`], with the manners of the client
//! that the catalogue has on S3: what may be done twice is asked again after
//! any outage, a put under a condition only where nothing can have happened,
//! and a condition that does not hold, or that met another one (409), is told
//! as a key that is taken.
//!
//! No uploads in parts and no copies: the catalogue's files in tests are far
//! below a part's size, and it copies nothing.
//!
//! Facts: `object_store` 0.14, `aws/mod.rs` and `client/retry.rs`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, Extensions, GetOptions, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

use super::s3::{Condition, Head, S3, S3Error};
use super::wire::{Outage, Wire};

/// Attempts of one request after the first.
const RETRIES_MAX: u32 = 4;

/// The first wait; each is twice the one before.
const WAIT_FIRST: Duration = Duration::from_millis(50);

/// Keys of one page of a listing.
const PAGE_MAX: usize = 1000;

/// A process's handle on the catalogue's objects, under `catalogue/` in the
/// bucket.
pub struct ModelObjects {
    s3: Arc<S3>,
    wire: Wire,
}

/// What a request is tried again after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It does the same however often it is made.
    Always,
    /// Only where it was not carried out.
    Unheard,
    /// The same, and where it met another one.
    UnheardOrMet,
}

/// Why a request failed for good.
enum Failed {
    Refused(S3Error),
    Outage(Outage),
}

impl Again {
    fn allows(self, failed: &Failed) -> bool {
        match failed {
            Failed::Refused(S3Error::Conflict) => self == Self::UnheardOrMet,
            Failed::Refused(S3Error::NoSuchKey | S3Error::PreconditionFailed) => false,
            Failed::Outage(Outage::AnswerLost) => self == Self::Always,
            Failed::Outage(Outage::Throttled | Outage::Failed | Outage::Unreachable) => true,
        }
    }
}

impl Failed {
    /// As the client tells it.
    fn at(self, path: &Path) -> Error {
        let path = path.to_string();
        match self {
            Self::Refused(error @ S3Error::NoSuchKey) => {
                let source = error.into();
                Error::NotFound { path, source }
            }
            Self::Refused(error @ S3Error::PreconditionFailed) => {
                let source = error.into();
                Error::Precondition { path, source }
            }
            Self::Refused(error @ S3Error::Conflict) => {
                let source = error.into();
                Error::AlreadyExists { path, source }
            }
            Self::Outage(outage) => Error::Generic {
                store: "the model",
                source: outage.into(),
            },
        }
    }
}

impl ModelObjects {
    pub const PREFIX: &'static str = "catalogue/";

    pub fn new(s3: &Arc<S3>, wire: &Wire) -> Arc<Self> {
        Arc::new(Self {
            s3: Arc::clone(s3),
            wire: wire.clone(),
        })
    }

    fn handle(&self) -> Self {
        Self {
            s3: Arc::clone(&self.s3),
            wire: self.wire.clone(),
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        again: Again,
        serve: impl Fn(&S3) -> std::result::Result<T, S3Error> + Send + Sync + 'static,
    ) -> std::result::Result<T, Failed> {
        let serve = Arc::new(serve);
        let mut wait = WAIT_FIRST;
        for left in (0..=RETRIES_MAX).rev() {
            let (s3, serve) = (Arc::clone(&self.s3), Arc::clone(&serve));
            let failed = match self.wire.call(async move { serve(&s3) }).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => Failed::Refused(error),
                Err(outage) => Failed::Outage(outage),
            };
            if left == 0 || !again.allows(&failed) {
                return Err(failed);
            }
            self.wire.pause(wait).await;
            wait *= 2;
        }
        Err(Failed::Outage(Outage::Unreachable))
    }

    async fn put_if(
        &self,
        at: &Path,
        body: PutPayload,
        condition: Condition,
        again: Again,
    ) -> std::result::Result<PutResult, Failed> {
        let (key, body, wire) = (key_of(at), Bytes::from(body), self.wire.clone());
        let put = self.ask(again, move |s3| {
            if condition != Condition::None && wire.conflicts() {
                return Err(S3Error::Conflict);
            }
            s3.put_object(&key, body.clone(), &condition)
        });
        Ok(PutResult {
            e_tag: Some(put.await?),
            version: None,
            extensions: Extensions::default(),
        })
    }

    async fn page(&self, prefix: &str, after: Option<String>) -> Result<Vec<ObjectMeta>> {
        let key = prefix.to_owned();
        let listed = self.ask(Again::Always, move |s3| {
            Ok(s3.list_objects_v2(&key, after.as_deref(), PAGE_MAX))
        });
        match listed.await {
            Ok(listed) => Ok(listed.into_iter().map(meta_of).collect()),
            Err(failed) => Err(failed.at(&Path::from(prefix))),
        }
    }

    /// Page after page.
    fn pages(
        &self,
        prefix: Option<&Path>,
        after: Option<String>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (handle, prefix) = (self.handle(), prefix_of(prefix));
        let pages = stream::try_unfold(Some(after), move |next| {
            let (handle, prefix) = (handle.handle(), prefix.clone());
            async move {
                let Some(after) = next else {
                    return Ok(None);
                };
                let page = handle.page(&prefix, after).await?;
                let next = (page.len() == PAGE_MAX)
                    .then(|| page.last().map(|last| key_of(&last.location)));
                let objects = stream::iter(page.into_iter().map(Ok));
                Ok::<_, Error>(Some((objects, next)))
            }
        });
        futures::TryStreamExt::try_flatten(pages).boxed()
    }
}

fn key_of(at: &Path) -> String {
    format!("{}{at}", ModelObjects::PREFIX)
}

/// A folder's name ends with a slash, so that no neighbour is taken for it.
fn prefix_of(prefix: Option<&Path>) -> String {
    match prefix.filter(|prefix| !prefix.as_ref().is_empty()) {
        Some(prefix) => format!("{}/", key_of(prefix)),
        None => ModelObjects::PREFIX.to_owned(),
    }
}

fn path_of(key: &str) -> Path {
    let path = key.strip_prefix(ModelObjects::PREFIX).unwrap_or(key);
    Path::from(path)
}

fn meta_of((key, head): (String, Head)) -> ObjectMeta {
    ObjectMeta {
        location: path_of(&key),
        last_modified: head.modified,
        size: head.bytes,
        e_tag: Some(head.etag),
        version: None,
    }
}

impl fmt::Debug for ModelObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelObjects")
    }
}

impl fmt::Display for ModelObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model of S3")
    }
}

#[async_trait]
impl ObjectStore for ModelObjects {
    async fn put_opts(
        &self,
        at: &Path,
        body: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        match options.mode {
            PutMode::Overwrite => {
                let put = self.put_if(at, body, Condition::None, Again::Always).await;
                put.map_err(|failed| failed.at(at))
            }
            PutMode::Create => {
                let put = self.put_if(at, body, Condition::Absent, Again::Unheard);
                put.await.map_err(|failed| match failed.at(at) {
                    error @ Error::Precondition { .. } => Error::AlreadyExists {
                        path: at.to_string(),
                        source: error.into(),
                    },
                    error => error,
                })
            }
            PutMode::Update(version) => {
                let etag = version.e_tag.unwrap_or_default();
                let put = self.put_if(at, body, Condition::Is(etag), Again::UnheardOrMet);
                put.await.map_err(|failed| match failed.at(at) {
                    Error::NotFound { path, source } => Error::Precondition { path, source },
                    error => error,
                })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        _at: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unknown("an upload in parts"))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let key = key_of(at);
        let (head, body) = if options.head {
            let head = self.ask(Again::Always, move |s3| s3.head_object(&key));
            let head = head.await.map_err(|failed| failed.at(at))?;
            (head, None)
        } else {
            let got = self.ask(Again::Always, move |s3| s3.get_object(&key, None));
            let object = got.await.map_err(|failed| failed.at(at))?;
            (object.head, Some(object.body))
        };
        let meta = meta_of((key_of(at), head));
        options.check_preconditions(&meta)?;
        let range: Range<u64> = match &options.range {
            None => 0..meta.size,
            Some(range) => range.as_range(meta.size).map_err(|error| Error::Generic {
                store: "the model",
                source: error.into(),
            })?,
        };
        let part = body.map(|body| {
            let within = |at: u64| usize::try_from(at).map_or(body.len(), |at| at.min(body.len()));
            body.slice(within(range.start)..within(range.end))
        });
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::iter(part.map(Ok)).boxed()),
            meta,
            range,
            attributes: Attributes::new(),
            extensions: Extensions::default(),
        })
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let handle = Arc::new(self.handle());
        let deleted = places.then(move |at| {
            let handle = Arc::clone(&handle);
            async move {
                let at = at?;
                let key = key_of(&at);
                let delete = move |s3: &S3| s3.delete_object(&key, &Condition::None);
                let deleted = handle.ask(Again::Always, delete).await;
                deleted.map_err(|failed| failed.at(&at))?;
                Ok(at)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(prefix, Some(key_of(offset)))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let key = prefix_of(prefix);
        let listed = self.ask(Again::Always, move |s3| Ok(s3.list_folder(&key)));
        let root = Path::default();
        let folder = listed
            .await
            .map_err(|failed| failed.at(prefix.unwrap_or(&root)))?;
        Ok(ListResult {
            common_prefixes: folder.prefixes.iter().map(|key| path_of(key)).collect(),
            objects: folder.objects.into_iter().map(meta_of).collect(),
            extensions: Extensions::default(),
        })
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(unknown("a copy"))
    }
}

fn unknown(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "the model of S3".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::TryStreamExt;
    use object_store::{GetRange, ObjectStoreExt, UpdateVersion};

    use super::super::{FaultRates, Life, Meter, Network, VirtualClock};
    use super::*;
    use crate::ManualClock;

    fn store() -> Arc<ModelObjects> {
        let clock: Arc<ManualClock> = Arc::default();
        let s3 = S3::new(clock.clone(), &Arc::<Meter>::default());
        ModelObjects::new(&s3, &Wire::direct(clock))
    }

    #[tokio::test]
    async fn puts_under_conditions_have_one_winner() {
        let store = store();
        let at = Path::from("a/b");
        let put = |body: &'static str, mode: PutMode| store.put_opts(&at, body.into(), mode.into());
        let nothing = UpdateVersion {
            e_tag: Some("\"0\"".to_owned()),
            version: None,
        };
        let missing = put("0", PutMode::Update(nothing.clone())).await;
        assert!(matches!(missing, Err(Error::Precondition { .. })));
        let first = put("1", PutMode::Create).await.unwrap();
        let second = put("2", PutMode::Create).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })));
        let stale = put("2", PutMode::Update(nothing)).await;
        assert!(matches!(stale, Err(Error::Precondition { .. })));
        put("2", PutMode::Update(first.into())).await.unwrap();
        put("3", PutMode::Overwrite).await.unwrap();
        let got = store.get(&at).await.unwrap().bytes().await.unwrap();
        assert_eq!(got, "3");
    }

    #[tokio::test]
    async fn ranges_folders_and_offsets_are_those_of_the_client() {
        let store = store();
        for key in ["a/1", "a/2", "a/b/3", "ab/4"] {
            store.put(&Path::from(key), "0123".into()).await.unwrap();
        }
        let range = async |range: GetRange| {
            let options = GetOptions::new().with_range(Some(range));
            let got = store.get_opts(&Path::from("a/1"), options).await?;
            got.bytes().await
        };
        assert_eq!(range(GetRange::Bounded(1..3)).await.unwrap(), "12");
        assert_eq!(range(GetRange::Suffix(1)).await.unwrap(), "3");
        assert_eq!(range(GetRange::Offset(2)).await.unwrap(), "23");
        assert!(range(GetRange::Offset(4)).await.is_err());
        assert_eq!(store.head(&Path::from("a/1")).await.unwrap().size, 4);
        let keys = async |listed: BoxStream<'static, Result<ObjectMeta>>| {
            let listed: Vec<ObjectMeta> = listed.try_collect().await.unwrap();
            let keys = listed.iter().map(|meta| meta.location.to_string());
            keys.collect::<Vec<_>>()
        };
        let folder = Path::from("a");
        assert_eq!(
            keys(store.list(Some(&folder))).await,
            ["a/1", "a/2", "a/b/3"]
        );
        let after = store.list_with_offset(Some(&folder), &Path::from("a/1"));
        assert_eq!(keys(after).await, ["a/2", "a/b/3"]);
        let level = store.list_with_delimiter(Some(&folder)).await.unwrap();
        assert_eq!((level.objects.len(), level.common_prefixes.len()), (2, 1));
        assert_eq!(level.common_prefixes[0], Path::from("a/b"));
        store.delete(&Path::from("a/1")).await.unwrap();
        store.delete(&Path::from("a/1")).await.unwrap();
        assert_eq!(
            keys(store.list(None)).await,
            ["a/2", "a/b/3", "ab/4"],
            "an absent object is no error"
        );
    }

    #[tokio::test]
    async fn a_listing_goes_on_over_its_pages() {
        let store = store();
        let count = 2 * PAGE_MAX + 1;
        for n in 0..count {
            let at = Path::from(format!("a/{n:05}"));
            store.put(&at, PutPayload::new()).await.unwrap();
        }
        let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), count);
    }

    /// The client heals what it may repeat; a put that may have happened it
    /// leaves to the catalogue.
    #[test]
    fn outages_are_healed_but_for_puts_that_may_have_happened() {
        let play = |rates: FaultRates| {
            VirtualClock::run(move |clock| async move {
                let network = Network::new(clock.clone(), 7, rates);
                let s3 = S3::new(clock.clone(), &Arc::<Meter>::default());
                let wire = Wire::new(&network, &Life::charmed(clock));
                let store = ModelObjects::new(&s3, &wire);
                let mut unheard = 0;
                for n in 0..200 {
                    let at = Path::from(format!("{n}"));
                    let put = store.put_opts(&at, "1".into(), PutMode::Create.into());
                    match put.await {
                        Ok(_) => {}
                        Err(Error::Generic { .. }) => unheard += 1,
                        Err(error) => panic!("{error}"),
                    }
                    store.put(&at, "2".into()).await.unwrap();
                    store.get(&at).await.unwrap();
                }
                unheard
            })
        };
        let busy = FaultRates {
            throttled: 0.1,
            failed: 0.1,
            ..FaultRates::default()
        };
        assert_eq!(play(busy), 0);
        let lossy = FaultRates {
            answer_lost: 0.1,
            ..FaultRates::default()
        };
        assert!(play(lossy) > 5);
    }
}
