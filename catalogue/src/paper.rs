//! The catalogue on paper: read from where it is, written elsewhere, so that a
//! commit can be made and thrown away.
//!
//! The log underneath ends at the version that it had when the paper was laid
//! over it: what others commit after that would stand where ours does.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use crate::catalogue::{Catalogue, CatalogueOptions};

const LOG: &str = "_delta_log/";

impl Catalogue {
    /// The table as it is now, with everything that is written from here on in
    /// `over`, which is empty and nobody else's.
    pub async fn on_paper(
        &self,
        over: Arc<dyn ObjectStore>,
        options: CatalogueOptions,
    ) -> crate::Result<Self> {
        let newest = self.snapshot().await?.version();
        let paper = Paper {
            under: Arc::clone(&self.store),
            over,
            newest,
        };
        Self::open(Arc::new(paper), options, Arc::clone(&self.clock)).await
    }
}

/// One store under another.
#[derive(Debug)]
struct Paper {
    under: Arc<dyn ObjectStore>,
    over: Arc<dyn ObjectStore>,
    newest: i64,
}

impl fmt::Display for Paper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "paper over {}", self.under)
    }
}

impl Paper {
    /// Whether the object came into the log later.
    fn is_later(&self, at: &Path) -> bool {
        let name = at.as_ref().strip_prefix(LOG);
        let version = name.and_then(|name| name.split('.').next()?.parse::<i64>().ok());
        version.is_some_and(|version| version > self.newest)
    }

    fn not_found(at: &Path) -> Error {
        Error::NotFound {
            path: at.to_string(),
            source: "it came later than the paper".into(),
        }
    }
}

#[async_trait]
impl ObjectStore for Paper {
    async fn put_opts(
        &self,
        at: &Path,
        body: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode == PutMode::Create && !self.is_later(at) {
            match self.under.head(at).await {
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    return Err(Error::AlreadyExists {
                        path: at.to_string(),
                        source: "it is underneath".into(),
                    });
                }
            }
        }
        self.over.put_opts(at, body, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.over.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        match self.over.get_opts(at, options.clone()).await {
            Err(Error::NotFound { .. }) if self.is_later(at) => Err(Self::not_found(at)),
            Err(Error::NotFound { .. }) => self.under.get_opts(at, options).await,
            got => got,
        }
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.over.get_ranges(at, ranges).await {
            Err(Error::NotFound { .. }) if self.is_later(at) => Err(Self::not_found(at)),
            Err(Error::NotFound { .. }) => self.under.get_ranges(at, ranges).await,
            got => got,
        }
    }

    /// Only what was written here: nothing else is ours to delete.
    fn delete_stream(
        &self,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.over.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (under, over) = (Arc::clone(&self.under), Arc::clone(&self.over));
        let (prefix, newest) = (prefix.cloned(), self.newest);
        let merged = async move {
            let written: Vec<ObjectMeta> = over.list(prefix.as_ref()).try_collect().await?;
            let paths: HashSet<Path> = written.iter().map(|one| one.location.clone()).collect();
            let paper = Self {
                under: Arc::clone(&under),
                over,
                newest,
            };
            let below = under.list(prefix.as_ref()).try_filter(move |one| {
                let is_seen = !paths.contains(&one.location) && !paper.is_later(&one.location);
                std::future::ready(is_seen)
            });
            Ok::<_, Error>(stream::iter(written.into_iter().map(Ok)).chain(below))
        };
        stream::once(merged).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = self.over.list_with_delimiter(prefix).await?;
        let below = self.under.list_with_delimiter(prefix).await?;
        for folder in below.common_prefixes {
            if !found.common_prefixes.contains(&folder) {
                found.common_prefixes.push(folder);
            }
        }
        let written: HashSet<Path> = found.objects.iter().map(|o| o.location.clone()).collect();
        let seen = below
            .objects
            .into_iter()
            .filter(|one| !written.contains(&one.location) && !self.is_later(&one.location));
        found.objects.extend(seen);
        Ok(found)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.over.copy_opts(from, to, options).await
    }
}
