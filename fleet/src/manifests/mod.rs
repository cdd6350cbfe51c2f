//! Manifests: the image work that a run planned, waiting until the image queue
//! has room for its hosts.
//!
//! Jobs lie in blobs of [`PART_JOBS`] lines each, so that neither writing nor
//! reading holds more than one part in memory and job number n is found
//! without reading those before it. The document goes last: a manifest that is
//! there is whole.

mod send;
mod window;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_core::job::{BodyError, ImageJob};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::ports::{BlobError, BlobMeta, Put};
use trawler_core::verdict::Failure;
use trawler_core::{PipeId, RunId};

use crate::documents::chain;
use crate::retry::retry;
use crate::{DocumentError, Documents, JobsError, Loaded, Ports};

/// Jobs in one part: at 32 KiB a job at most 32 MB.
pub const PART_JOBS: usize = 1000;

/// Objects in one page of a listing, the most that Blobs gives.
pub(crate) const PAGE: usize = 1000;

const LINES: BlobMeta = BlobMeta {
    content_type: "application/jsonl",
    immutable: true,
};

const JSON: BlobMeta = BlobMeta {
    content_type: "application/json",
    immutable: true,
};

pub use send::{Filler, Ledger, fill, image_record, send_more};
pub use window::{Room, Windows};
pub use writer::{ManifestWriter, write};

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Jobs(#[from] JobsError),
    #[error("read job {line} of manifest part {key}")]
    Job {
        key: String,
        line: usize,
        #[source]
        source: BodyError,
    },
    #[error("read {key}: {reason}")]
    Unreadable { key: String, reason: String },
}

impl ManifestError {
    /// Whether the same call can succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Document(error) => error.is_transient(),
            Self::Blob(error) => error.is_transient(),
            Self::Jobs(error) => error.is_transient(),
            Self::Job { .. } | Self::Unreadable { .. } => false,
        }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let reason = chain(&error);
        if error.is_transient() {
            Self::transient(reason)
        } else {
            Self::permanent(reason)
        }
    }
}

fn part_key(jobs_key: &str, part: u64) -> String {
    format!("{jobs_key}.{part:06}")
}

/// Up to `max` jobs of the manifest from number `from` on, in order.
pub async fn read_jobs(
    ports: &Ports,
    manifest: &Manifest,
    from: u64,
    max: usize,
) -> Result<Vec<ImageJob>, ManifestError> {
    let mut jobs = Vec::new();
    let mut next = from;
    while next < manifest.jobs && jobs.len() < max {
        let (part, skip) = (next / PART_JOBS as u64, next % PART_JOBS as u64);
        let key = part_key(&manifest.jobs_key, part);
        let body = retry(&*ports.clock, BlobError::is_transient, || {
            ports.blobs.get(&key, None)
        })
        .await?;
        let text = std::str::from_utf8(&body).map_err(|error| ManifestError::Unreadable {
            key: key.clone(),
            reason: error.to_string(),
        })?;
        let skip = usize::try_from(skip).expect("less than the jobs of a part");
        let before = jobs.len();
        for (line, body) in text.lines().enumerate().skip(skip).take(max - before) {
            let job = ImageJob::decode(body).map_err(|source| ManifestError::Job {
                key: key.clone(),
                line: line + 1,
                source,
            })?;
            jobs.push(job);
        }
        if jobs.len() == before {
            return Err(ManifestError::Unreadable {
                key,
                reason: format!("it ends before job {next} of {}", manifest.jobs),
            });
        }
        next += (jobs.len() - before) as u64;
    }
    Ok(jobs)
}

/// The run's manifest, settled or not. It is looked for in the place of open
/// ones first, which it leaves last.
pub async fn find(documents: &Documents, run: &RunId) -> Result<Option<Manifest>, DocumentError> {
    match documents.get(&Manifest::key(run)).await? {
        Some(manifest) => Ok(Some(manifest)),
        None => documents.get(&Manifest::settled_key(run)).await,
    }
}

/// Manifests in the place of open ones: those that are not settled, and those
/// whose settled document has not been moved yet. Unreadable ones beside them.
pub async fn open(documents: &Documents) -> Result<Loaded<Manifest>, DocumentError> {
    let mut loaded = documents
        .load_readable::<Manifest>("manifests/", usize::MAX)
        .await?;
    loaded.documents.sort_by_key(|manifest| manifest.written);
    Ok(loaded)
}

/// Every manifest that is not settled, the oldest first.
pub async fn unsettled(documents: &Documents) -> Result<Vec<Arc<Manifest>>, DocumentError> {
    unsettled_under(documents, "manifests/").await
}

/// Manifests of one pipe that are not settled, the oldest first.
pub async fn unsettled_of(
    documents: &Documents,
    pipe: &PipeId,
) -> Result<Vec<Arc<Manifest>>, DocumentError> {
    unsettled_under(documents, &Manifest::keys_of(pipe)).await
}

async fn unsettled_under(
    documents: &Documents,
    prefix: &str,
) -> Result<Vec<Arc<Manifest>>, DocumentError> {
    let mut manifests = documents.load::<Manifest>(prefix, usize::MAX).await?;
    manifests.retain(|manifest| !manifest.settled);
    manifests.sort_by_key(|manifest| manifest.written);
    Ok(manifests)
}

/// Stores the result of a job unless there is one.
pub async fn put_result(ports: &Ports, result: &ImageResult) -> Result<Put, ManifestError> {
    let key = Manifest::result_key(&result.run, &result.job);
    let body = serde_json::to_vec(result).map_err(|error| DocumentError::Unwritable {
        key: key.clone(),
        reason: error.to_string(),
    })?;
    put(ports, &key, Bytes::from(body), JSON).await
}

/// Keys of up to `max` results of the run after the key `after`, in order.
pub async fn result_keys(
    ports: &Ports,
    run: &RunId,
    after: Option<&str>,
    max: usize,
) -> Result<Vec<String>, ManifestError> {
    keys_under(ports, &Manifest::results_of(run), after, max).await
}

async fn keys_under(
    ports: &Ports,
    prefix: &str,
    after: Option<&str>,
    max: usize,
) -> Result<Vec<String>, ManifestError> {
    let mut keys: Vec<String> = Vec::new();
    while keys.len() < max {
        let after = keys.last().map(String::as_str).or(after).map(str::to_owned);
        let want = PAGE.min(max - keys.len());
        let page = retry(&*ports.clock, BlobError::is_transient, || {
            ports.blobs.list(prefix, after.as_deref(), want)
        })
        .await?;
        let last_page = page.len() < want;
        keys.extend(page.into_iter().map(|entry| entry.key));
        if last_page {
            break;
        }
    }
    Ok(keys)
}

/// How many results of the run there are.
pub async fn result_count(ports: &Ports, run: &RunId) -> Result<u64, ManifestError> {
    let mut count = 0;
    let mut after: Option<String> = None;
    loop {
        let page = result_keys(ports, run, after.as_deref(), PAGE).await?;
        count += page.len() as u64;
        if page.len() < PAGE {
            return Ok(count);
        }
        after = page.into_iter().next_back();
    }
}

pub async fn read_result(ports: &Ports, key: &str) -> Result<ImageResult, ManifestError> {
    let body = retry(&*ports.clock, BlobError::is_transient, || {
        ports.blobs.get(key, None)
    })
    .await?;
    serde_json::from_slice(&body).map_err(|error| ManifestError::Unreadable {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

/// The fold of `results` results of the run is in the catalogue. A manifest is
/// settled when all its jobs have one.
pub async fn note_fold(
    documents: &Documents,
    run: &RunId,
    results: u64,
    now: DateTime<Utc>,
) -> Result<Option<Manifest>, DocumentError> {
    documents
        .change(&Manifest::key(run), |manifest: &mut Manifest| {
            manifest.folded = manifest.folded.max(results);
            manifest.folded_at = manifest.folded_at.max(Some(now));
            manifest.settled |= manifest.folded >= manifest.jobs;
        })
        .await
}

/// Moves a settled manifest out of the way of those who list open ones, and
/// takes its results and parts away, which are in the catalogue. The document
/// is in its new place before anything goes and leaves the old place last, so
/// that what a crash leaves is found again, and whoever misses a result finds
/// why.
pub async fn retire(
    ports: &Ports,
    documents: &Documents,
    manifest: &Manifest,
) -> Result<(), ManifestError> {
    let key = Manifest::settled_key(&manifest.run);
    documents.create(&key, manifest).await?;
    remove_results(ports, &manifest.run).await?;
    let parts = (0..manifest.jobs.div_ceil(PART_JOBS as u64))
        .map(|part| part_key(&manifest.jobs_key, part))
        .collect::<Vec<_>>();
    for parts in parts.chunks(DELETE_MAX) {
        delete(ports, parts).await?;
    }
    documents.delete(&Manifest::key(&manifest.run)).await?;
    Ok(())
}

/// Keys of all blobs under the prefix, in order.
pub async fn blob_keys(ports: &Ports, prefix: &str) -> Result<Vec<String>, ManifestError> {
    keys_under(ports, prefix, None, usize::MAX).await
}

/// Takes all results of a run away.
pub async fn remove_results(ports: &Ports, run: &RunId) -> Result<(), ManifestError> {
    loop {
        let results = result_keys(ports, run, None, PAGE).await?;
        if results.is_empty() {
            return Ok(());
        }
        delete(ports, &results).await?;
    }
}

/// Keys in one deletion, the most that an object store takes.
pub const DELETE_MAX: usize = 1_000;

/// Takes up to [`DELETE_MAX`] blobs away.
pub async fn delete(ports: &Ports, keys: &[String]) -> Result<(), ManifestError> {
    let deleted = retry(&*ports.clock, BlobError::is_transient, || {
        ports.blobs.delete(keys)
    });
    Ok(deleted.await?)
}

async fn put(ports: &Ports, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, ManifestError> {
    let put = retry(&*ports.clock, BlobError::is_transient, || {
        ports.blobs.put(key, body.clone(), meta)
    });
    Ok(put.await?)
}
