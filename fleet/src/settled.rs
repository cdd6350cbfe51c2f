//! Jobs that are settled: which document tells so once the record is gone, and
//! the log in which the records are kept for people.
//!
//! | job | told by |
//! |---|---|
//! | run | the phase of its run document |
//! | fold | the numbers in the pipe's `folds` document |
//! | refetch | the numbers in the pipe's `refetches` document |
//! | image job | its result; once the manifest is settled, that document; after it, the run's phase, or the number of the refetch |
//!
//! The log is for people and audits and for nothing else: blobs of up to
//! [`LOG_RECORDS`] records at `settled/{queue}/`, put before the records are
//! deleted. Who dies in between puts them twice, and a reader takes each once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use trawler_core::folds::Folds;
use trawler_core::job::ImageJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::Manifest;
use trawler_core::ports::{BlobError, BlobMeta};
use trawler_core::refetch::Refetches;
use trawler_core::run::{Run, RunPhase};
use trawler_core::upkeep::UpkeepPlanned;
use trawler_core::{JobId, JobName, PipeId, QueueName, RunId};

use crate::documents::At;
use crate::manifests::{self, PAGE};
use crate::retry::retry;
use crate::sending::side_by_side;
use crate::{DocumentError, Jobs, JobsError};

/// Records in one blob of the log: some 400 bytes each.
pub const LOG_RECORDS: usize = 10_000;

const LINES: BlobMeta = BlobMeta {
    content_type: "application/jsonl",
    immutable: true,
};

/// A record as a look at the whole ledger keeps it: without body and log,
/// which are most of its bytes. To send a job, find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobBrief(JobRecord);

impl Deref for JobBrief {
    type Target = JobRecord;

    fn deref(&self) -> &JobRecord {
        &self.0
    }
}

impl<'de> Deserialize<'de> for JobBrief {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut record = JobRecord::deserialize(d)?;
        record.body = String::new();
        record.log = Default::default();
        Ok(Self(record))
    }
}

/// The ledger of one queue at a glance.
#[derive(Debug, Default)]
pub struct Survey {
    pub jobs: Vec<At<JobBrief>>,
    pub unreadable: Vec<DocumentError>,
}

impl Jobs {
    /// All records of the queue, in order of id; those that changed since the
    /// last survey are fetched.
    pub async fn survey(&self, queue: QueueName) -> Result<Survey, JobsError> {
        let prefix = format!("jobs/{queue}/");
        let (jobs, unreadable) = self.documents.load_brief(&prefix).await?;
        Ok(Survey { jobs, unreadable })
    }

    /// How a job ended that has no record, if a document tells.
    pub async fn settled_as(
        &self,
        queue: QueueName,
        job: &JobId,
    ) -> Result<Option<JobStatus>, JobsError> {
        match JobName::parse(queue, job) {
            None => Ok(None),
            Some(JobName::Collect(run)) => self.run_ended(&run).await,
            Some(JobName::Fold { pipe, fold }) => {
                let folds: Option<Folds> = self.documents.get(&Folds::key(&pipe)).await?;
                let done = folds.is_some_and(|folds| folds.is_done(fold));
                Ok(done.then_some(JobStatus::Done))
            }
            Some(JobName::Refetch { pipe, refetch }) => {
                let done = self.is_refetched(&pipe, refetch).await?;
                Ok(done.then_some(JobStatus::Done))
            }
            Some(JobName::Upkeep { kind, due }) => {
                let key = UpkeepPlanned::key(kind);
                let planned: Option<UpkeepPlanned> = self.documents.get(&key).await?;
                let done = planned.is_some_and(|planned| planned.is_done(due));
                Ok(done.then_some(JobStatus::Done))
            }
            Some(JobName::Image(run)) => {
                let done = self.image_ended(&run, job).await?;
                Ok(done.then_some(JobStatus::Done))
            }
        }
    }

    async fn is_refetched(&self, pipe: &PipeId, refetch: i64) -> Result<bool, JobsError> {
        let found: Option<Refetches> = self.documents.get(&Refetches::key(pipe)).await?;
        Ok(found.is_some_and(|refetches| refetches.is_done(refetch)))
    }

    async fn run_ended(&self, run: &RunId) -> Result<Option<JobStatus>, JobsError> {
        let document: Option<Run> = self.documents.get(&Run::key(run)).await?;
        Ok(document.and_then(|run| match run.phase {
            // A quarantined one has done what it was to do.
            RunPhase::Finished | RunPhase::Quarantined => Some(JobStatus::Done),
            RunPhase::Superseded => Some(JobStatus::Superseded),
            // Its record goes when its dead letter is purged, not before.
            RunPhase::Failed => Some(JobStatus::Dead),
            RunPhase::Planned
            | RunPhase::Collecting
            | RunPhase::Committing
            | RunPhase::Committed => None,
        }))
    }

    /// Whether an image job of this run has ended. Results go after the
    /// manifest says that it is settled, so the manifest is asked after the
    /// result; and it says so in its new place before it leaves the old one.
    pub async fn image_ended(&self, run: &RunId, job: &JobId) -> Result<bool, JobsError> {
        let key = Manifest::result_key(run, job);
        let clock = self.clock();
        let result = retry(clock, BlobError::is_transient, || {
            self.ports.blobs.head(&key)
        });
        if result.await?.is_some() {
            return Ok(true);
        }
        if let Some(manifest) = manifests::find(&self.documents, run).await? {
            return Ok(manifest.settled);
        }
        if let Some(refetch) = Refetches::number(run) {
            return self.is_refetched(&run.pipe, refetch).await;
        }
        let document: Option<Run> = self.documents.get(&Run::key(run)).await?;
        Ok(document.is_some_and(|run| run.phase.is_over()))
    }

    /// The run of an image job. Jobs of the version before this one are named
    /// without it.
    pub async fn run_of_image(&self, job: &JobId) -> Result<Option<RunId>, JobsError> {
        if let Some(JobName::Image(run)) = JobName::parse(QueueName::Image, job) {
            return Ok(Some(run));
        }
        let record = self.find(QueueName::Image, job).await?;
        let body = record.and_then(|record| ImageJob::decode(&record.body).ok());
        Ok(body.map(|body| body.run))
    }

    /// Those of these image jobs whose end another document tells.
    pub async fn images_told(
        &self,
        ended: Vec<At<JobBrief>>,
    ) -> Result<Vec<At<JobBrief>>, JobsError> {
        let ask = |one: At<JobBrief>| {
            let jobs = self.clone();
            async move {
                let job = &one.document.job;
                let told = match jobs.run_of_image(job).await? {
                    Some(run) => jobs.image_ended(&run, job).await,
                    None => Ok(false),
                };
                let told = match told {
                    // Told where manifests are listed; the record waits for it.
                    Err(JobsError::Document(DocumentError::Unreadable { .. })) => false,
                    told => told?,
                };
                Ok(told.then_some(one))
            }
        };
        Ok(side_by_side(ended, ask)
            .await?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Removes a record that nobody has seen of a job that is settled; says
    /// whether the job is.
    pub async fn withdraw_settled(&self, queue: QueueName, job: &JobId) -> Result<bool, JobsError> {
        if self.settled_as(queue, job).await?.is_none() {
            return Ok(false);
        }
        let key = JobRecord::key(queue, job);
        let found = self.documents.get_versioned::<JobRecord>(&key).await?;
        if let Some((record, version)) = found
            && record.is_unseen()
        {
            self.documents.delete_at(&key, &version).await?;
        }
        Ok(true)
    }

    /// Takes settled records away that other documents vouch for: into the log,
    /// then out of the ledger. One that changed since it was seen stays.
    pub async fn take_away(
        &self,
        queue: QueueName,
        settled: &[At<JobBrief>],
    ) -> Result<u64, JobsError> {
        for batch in settled.chunks(LOG_RECORDS) {
            self.log_settled(queue, batch).await?;
            let delete = |one: At<JobBrief>| {
                let documents = self.documents.clone();
                async move {
                    let key = JobRecord::key(queue, &one.document.job);
                    Ok(documents.delete_at(&key, &one.version).await?)
                }
            };
            side_by_side(batch.to_vec(), delete).await?;
        }
        Ok(settled.len() as u64)
    }

    async fn log_settled(&self, queue: QueueName, batch: &[At<JobBrief>]) -> Result<(), JobsError> {
        let mut lines = Vec::new();
        let mut content = DefaultHasher::new();
        for one in batch {
            let record: &JobRecord = &one.document;
            (record.job.as_str(), record.epoch).hash(&mut content);
            let line = serde_json::to_vec(record).map_err(|error| DocumentError::Unwritable {
                key: JobRecord::key(queue, &record.job),
                reason: error.to_string(),
            })?;
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        let now = self.clock().now().timestamp_millis();
        let name = content.finish();
        let key = format!("{}{now:014}-{name:016x}.jsonl", log_prefix(queue));
        let body = Bytes::from(lines);
        retry(self.clock(), BlobError::is_transient, || {
            self.ports.blobs.put(&key, body.clone(), LINES)
        })
        .await?;
        Ok(())
    }

    /// Settled records that were taken away and are still in the log, in order
    /// of id, without body.
    pub async fn settled(&self, queue: QueueName) -> Result<Vec<Arc<JobRecord>>, JobsError> {
        let mut records = BTreeMap::new();
        for key in self.settled_logs(queue).await? {
            let body = retry(self.clock(), BlobError::is_transient, || {
                self.ports.blobs.get(&key, None)
            });
            let body = match body.await {
                Ok(body) => body,
                // Pruned since it was listed.
                Err(BlobError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let lines = body.split(|byte| *byte == b'\n');
            for line in lines.filter(|line| !line.is_empty()) {
                let record: JobRecord =
                    serde_json::from_slice(line).map_err(|error| DocumentError::Unreadable {
                        key: key.clone(),
                        reason: error.to_string(),
                    })?;
                records.insert(record.job.clone(), Arc::new(record));
            }
        }
        Ok(records.into_values().collect())
    }

    /// Keys of the log, the oldest first: behind the prefix the milliseconds
    /// since 1970 in 14 digits.
    pub async fn settled_logs(&self, queue: QueueName) -> Result<Vec<String>, JobsError> {
        let prefix = log_prefix(queue);
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys.last().cloned();
            let page = retry(self.clock(), BlobError::is_transient, || {
                self.ports.blobs.list(&prefix, after.as_deref(), PAGE)
            })
            .await?;
            let last_page = page.len() < PAGE;
            keys.extend(page.into_iter().map(|entry| entry.key));
            if last_page {
                return Ok(keys);
            }
        }
    }
}

fn log_prefix(queue: QueueName) -> String {
    format!("settled/{queue}/")
}
