//! Manifests: the image work that a run planned, waiting until the image queue
//! has room for its hosts.
//!
//! Jobs lie in blobs of [`PART_JOBS`] lines each, so that neither writing nor
//! reading holds more than one part in memory and job number n is found
//! without reading those before it. The document goes last: a manifest that is
//! there is whole.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_core::job::{BodyError, ImageJob};
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::{HOST_WINDOW, ImageResult, Manifest, QUEUE_WINDOW};
use trawler_core::ports::{BlobError, BlobMeta, Put};
use trawler_core::verdict::Failure;
use trawler_core::{PipeId, QueueName, RunId};

use crate::documents::chain;
use crate::retry::retry;
use crate::{Created, DocumentError, Documents, Jobs, JobsError, Ports};

/// Jobs in one part: at 32 KiB a job at most 32 MB.
pub const PART_JOBS: usize = 1000;

/// Jobs that are planned and sent in one go.
const SEND_JOBS: usize = 200;

/// Objects in one page of a listing, the most that Blobs gives.
const PAGE: usize = 1000;

const LINES: BlobMeta = BlobMeta {
    content_type: "application/jsonl",
    immutable: true,
};

const JSON: BlobMeta = BlobMeta {
    content_type: "application/json",
    immutable: true,
};

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

/// Writes the manifest of one run, part by part.
pub struct ManifestWriter {
    ports: Ports,
    run: RunId,
    jobs_key: String,
    part: Vec<u8>,
    part_jobs: usize,
    parts: u64,
    jobs: u64,
    images: u64,
}

impl ManifestWriter {
    /// `epoch` keeps the parts of one delivery apart from those of another.
    pub fn new(ports: &Ports, run: &RunId, epoch: u64) -> Self {
        Self {
            ports: ports.clone(),
            run: run.clone(),
            jobs_key: Manifest::jobs_key(run, epoch),
            part: Vec::new(),
            part_jobs: 0,
            parts: 0,
            jobs: 0,
            images: 0,
        }
    }

    pub async fn push(&mut self, job: &ImageJob) -> Result<(), ManifestError> {
        self.part.extend_from_slice(job.encode().as_bytes());
        self.part.push(b'\n');
        self.part_jobs += 1;
        self.jobs += 1;
        self.images += job.images.len() as u64;
        if self.part_jobs == PART_JOBS {
            self.write_part().await?;
        }
        Ok(())
    }

    /// Writes the document. The one of an earlier delivery stays, and is given
    /// back instead. A manifest without jobs is settled from the start.
    pub async fn finish(mut self) -> Result<Manifest, ManifestError> {
        if self.part_jobs > 0 {
            self.write_part().await?;
        }
        let manifest = Manifest {
            run: self.run.clone(),
            jobs_key: self.jobs_key.clone(),
            jobs: self.jobs,
            images: self.images,
            written: self.ports.clock.now(),
            planned: 0,
            folded: 0,
            folded_at: None,
            settled: self.jobs == 0,
        };
        let documents = self.ports.documents();
        let key = Manifest::key(&self.run);
        if documents.create(&key, &manifest).await? == Created::New {
            return Ok(manifest);
        }
        match documents.get::<Manifest>(&key).await? {
            Some(earlier) => {
                if earlier.jobs_key != self.jobs_key {
                    self.remove_parts().await?;
                }
                Ok(earlier)
            }
            None => Ok(manifest),
        }
    }

    async fn write_part(&mut self) -> Result<(), ManifestError> {
        let key = part_key(&self.jobs_key, self.parts);
        let body = Bytes::from(std::mem::take(&mut self.part));
        put(&self.ports, &key, body, LINES).await?;
        self.parts += 1;
        self.part_jobs = 0;
        Ok(())
    }

    async fn remove_parts(&self) -> Result<(), ManifestError> {
        for part in 0..self.parts {
            let key = [part_key(&self.jobs_key, part)];
            self.ports.blobs.delete(&key).await?;
        }
        Ok(())
    }
}

/// Writes a whole manifest at once, for callers that hold the jobs anyway.
pub async fn write(
    ports: &Ports,
    run: &RunId,
    epoch: u64,
    jobs: &[ImageJob],
) -> Result<Manifest, ManifestError> {
    let mut writer = ManifestWriter::new(ports, run, epoch);
    for job in jobs {
        writer.push(job).await?;
    }
    writer.finish().await
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
    let prefix = Manifest::results_of(run);
    let mut keys: Vec<String> = Vec::new();
    while keys.len() < max {
        let after = keys.last().map(String::as_str).or(after).map(str::to_owned);
        let want = PAGE.min(max - keys.len());
        let page = retry(&*ports.clock, BlobError::is_transient, || {
            ports.blobs.list(&prefix, after.as_deref(), want)
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

/// Takes a manifest away with its parts and results, the document last, so
/// that what a crash leaves is found again.
pub async fn remove(
    ports: &Ports,
    documents: &Documents,
    manifest: &Manifest,
) -> Result<(), ManifestError> {
    loop {
        let results = result_keys(ports, &manifest.run, None, PAGE).await?;
        if results.is_empty() {
            break;
        }
        ports.blobs.delete(&results).await?;
    }
    for part in 0..manifest.jobs.div_ceil(PART_JOBS as u64) {
        let key = [part_key(&manifest.jobs_key, part)];
        ports.blobs.delete(&key).await?;
    }
    documents.delete(&Manifest::key(&manifest.run)).await?;
    Ok(())
}

/// How many unsettled image jobs may be in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of one image host.
    pub host: usize,
    /// Of all hosts.
    pub queue: usize,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            host: HOST_WINDOW,
            queue: QUEUE_WINDOW,
        }
    }
}

/// Room that is left in the image queue.
#[derive(Debug, Clone)]
pub struct Room {
    windows: Windows,
    hosts: HashMap<String, usize>,
    total: usize,
}

impl Room {
    /// `groups` are those of all unsettled image jobs that have a record.
    pub fn new<'a>(windows: Windows, groups: impl IntoIterator<Item = &'a str>) -> Self {
        let mut room = Self {
            windows,
            hosts: HashMap::new(),
            total: 0,
        };
        for group in groups {
            *room.hosts.entry(host_of(group).to_owned()).or_default() += 1;
            room.total += 1;
        }
        room
    }

    pub fn is_full(&self) -> bool {
        self.total >= self.windows.queue
    }

    /// Takes a place for one more job of the group, if there is one.
    pub fn admit(&mut self, group: &str) -> bool {
        let of_host = self.hosts.entry(host_of(group).to_owned()).or_default();
        if self.total >= self.windows.queue || *of_host >= self.windows.host {
            return false;
        }
        *of_host += 1;
        self.total += 1;
        true
    }
}

/// The host of a group: what stands before `#`, see [`ImageJob::group_of`].
fn host_of(group: &str) -> &str {
    group.split_once('#').map_or(group, |(host, _)| host)
}

/// Plans and sends jobs of the manifest, in its order, until the first that
/// has no room; says how many. Jobs that an earlier try planned are passed.
pub async fn send_more(
    ports: &Ports,
    jobs: &Jobs,
    manifest: &Manifest,
    room: &mut Room,
) -> Result<u64, ManifestError> {
    let mut planned = manifest.planned;
    let mut full = false;
    while planned < manifest.jobs && !full && !room.is_full() {
        let batch = read_jobs(ports, manifest, planned, SEND_JOBS).await?;
        let mut records = Vec::new();
        for job in batch {
            if !room.admit(&job.group) {
                full = true;
                break;
            }
            records.push(image_record(&job, ports.clock.now()));
        }
        planned += records.len() as u64;
        jobs.plan_and_send(records).await?;
        note_planned(&jobs.documents, &manifest.run, planned).await?;
    }
    Ok(planned - manifest.planned)
}

/// Sends jobs of all manifests as far as there is room; says how many.
pub async fn fill(ports: &Ports, jobs: &Jobs, windows: Windows) -> Result<u64, ManifestError> {
    let manifests = unsettled(&jobs.documents).await?;
    if manifests
        .iter()
        .all(|waiting| waiting.planned >= waiting.jobs)
    {
        return Ok(0);
    }
    let records = jobs.list(QueueName::Image).await?;
    let groups = records
        .iter()
        .filter(|record| !record.status.is_settled())
        .map(|record| record.group.as_str());
    let mut room = Room::new(windows, groups);
    let mut sent = 0;
    for manifest in &manifests {
        sent += send_more(ports, jobs, manifest, &mut room).await?;
    }
    Ok(sent)
}

/// The ledger's record of an image job.
pub fn image_record(job: &ImageJob, now: DateTime<Utc>) -> JobRecord {
    JobRecord::plan(
        job.id(),
        QueueName::Image,
        job.run.pipe.clone(),
        job.group.clone(),
        job.encode(),
        now,
    )
}

async fn note_planned(
    documents: &Documents,
    run: &RunId,
    planned: u64,
) -> Result<(), DocumentError> {
    documents
        .change(&Manifest::key(run), |manifest: &mut Manifest| {
            manifest.planned = manifest.planned.max(planned);
        })
        .await?;
    Ok(())
}

async fn put(ports: &Ports, key: &str, body: Bytes, meta: BlobMeta) -> Result<Put, ManifestError> {
    let put = retry(&*ports.clock, BlobError::is_transient, || {
        ports.blobs.put(key, body.clone(), meta)
    });
    Ok(put.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_for_every_host_and_for_all() {
        let windows = Windows { host: 2, queue: 4 };
        let mut room = Room::new(windows, ["a#0"]);
        assert!(room.admit("a#1"));
        assert!(!room.admit("a#0"), "the host is full, whichever shard");
        assert!(room.admit("b#0"));
        assert!(room.admit("c#0"));
        assert!(room.is_full());
        assert!(!room.admit("d#0"), "the queue is full");
    }
}
