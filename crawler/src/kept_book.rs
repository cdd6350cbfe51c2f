//! Finds and keeps the page book of a pipe: its parts lie among the blobs, and
//! one document says which they are. A book that cannot be found costs the
//! partner requests and fails no run.

use std::path::Path;

use bytes::Bytes;
use trawler_core::PipeId;
use trawler_core::book::BookRef;
use trawler_core::ports::{BlobMeta, Blobs};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::manifests::{self, DELETE_MAX};
use trawler_fleet::{Created, Documents, JobContext, Ports, chain};

use crate::failure::{documents_failure, manifest_failure};

const PART: BlobMeta = BlobMeta {
    content_type: "application/octet-stream",
    immutable: false,
};

/// That of the last complete run, if it is bound to what this run is.
pub(crate) async fn known(
    documents: &Documents,
    pipe: &PipeId,
    fingerprint: &str,
) -> Result<Option<BookRef>, Ending> {
    let found: Option<BookRef> = documents
        .get(&BookRef::key(pipe))
        .await
        .map_err(documents_failure)?;
    Ok(found.filter(|found| found.fingerprint == fingerprint))
}

/// Brings the parts to `dir`, under their own names. `Err` says why the book
/// cannot be used.
pub(crate) async fn fetch(
    blobs: &dyn Blobs,
    ctx: &JobContext,
    book: &BookRef,
    dir: &Path,
) -> Result<Result<(), String>, Ending> {
    if let Err(error) = tokio::fs::create_dir_all(dir).await {
        return Ok(Err(format!("make {}: {error}", dir.display())));
    }
    for (key, name) in book.keys().iter().zip(&book.parts) {
        ctx.step().await?;
        let bytes = match ctx.unless_told(blobs.get(key, None)).await? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(chain(&error))),
        };
        let path = dir.join(name);
        if let Err(error) = tokio::fs::write(&path, &bytes).await {
            return Ok(Err(format!("write {}: {error}", path.display())));
        }
    }
    Ok(Ok(()))
}

/// Puts the parts of a new book among the blobs.
pub(crate) async fn put(
    blobs: &dyn Blobs,
    ctx: &JobContext,
    book: &BookRef,
    dir: &Path,
) -> Result<(), Ending> {
    for (key, name) in book.keys().iter().zip(&book.parts) {
        ctx.step().await?;
        let path = dir.join(name);
        let bytes = tokio::fs::read(&path).await.map_err(|error| {
            Ending::Failed(Failure::transient(format!(
                "read {}: {error}",
                path.display()
            )))
        })?;
        let put = blobs.put(key, Bytes::from(bytes), PART);
        ctx.unless_told(put).await?.map_err(|error| {
            Ending::Failed(Failure::transient(format!("put {key}: {}", chain(&error))))
        })?;
    }
    Ok(())
}

/// Keeps the book for the next run; that of a later run stays. Parts of others
/// are removed.
pub(crate) async fn keep(ports: &Ports, pipe: &PipeId, learned: &BookRef) -> Result<(), Ending> {
    let documents = ports.documents();
    let key = BookRef::key(pipe);
    let created = documents.create(&key, learned).await;
    if created.map_err(documents_failure)? != Created::New {
        let kept = documents.change(&key, |stored: &mut BookRef| {
            if stored.seq <= learned.seq {
                stored.clone_from(learned);
            }
        });
        let kept = kept.await.map_err(documents_failure)?;
        if kept.is_some_and(|kept| kept.seq > learned.seq) {
            return Ok(());
        }
    }
    let mut keys = manifests::blob_keys(ports, &format!("books/{pipe}/"))
        .await
        .map_err(manifest_failure)?;
    let ours = format!("{}/", learned.prefix);
    keys.retain(|key| !key.starts_with(&ours));
    for keys in keys.chunks(DELETE_MAX) {
        if let Err(error) = ports.blobs.delete(keys).await {
            tracing::debug!(%pipe, %error, "parts of an old page book of {pipe} not removed");
        }
    }
    Ok(())
}
