//! The ledger of jobs: with `sending` and `settled` the only place that touches
//! job records.
//!
//! A record is written before its message is sent, and a message is only a
//! hint: what was sent twice is delivered to a record that says so.
//!
//! A settled record does not stay: once another document tells how the job
//! ended it is taken away (`settled`), so that a look at the ledger costs what
//! is open and not what ever was. Who finds no record asks that document:
//!
//! - `take` of a late message: the answer is "stale", as with the record. The
//!   message cannot come before its record, so "no record" means settled, or a
//!   stranger.
//! - `plan` of a job that was planned before: *create, then ask*. A record that
//!   this call created was absent at that moment: the job is new, or its record
//!   was taken away, and then the other document told so before. Asked the
//!   other way round, the job could be done and taken away between the question
//!   and the creation. A planner that dies between the two leaves an unsent
//!   record of a settled job; before that is sent the tick asks again
//!   ([`Jobs::withdraw_settled`]).
//! - a delivery that lost its lease and settles late: refused, as with the
//!   record.
//!
//! Tests: `a_settled_job_is_known_when_its_record_is_gone`,
//! `a_planner_that_comes_late_plans_nothing_twice`.

use std::sync::Arc;

use trawler_core::ledger::{JobRecord, JobStatus, LedgerError, Taken};
use trawler_core::ports::{BlobError, Clock, QueueError};
use trawler_core::verdict::Failure;
use trawler_core::{JobId, QueueName};

use crate::documents::chain;
use crate::sending::side_by_side;
use crate::{Created, DocumentError, Documents, Ports, SendReport, TakenJob, UpdateError};

#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("{verb} job {job} of the {queue} queue: there is no such job")]
    Absent {
        verb: &'static str,
        queue: QueueName,
        job: String,
    },
    #[error("{verb} job {job}: a worker has it in hand; try again when it is back")]
    InHand { verb: &'static str, job: JobId },
    #[error(
        "redrive {name}: it is a message that names no job and cannot be sent again; back it up and purge it"
    )]
    NotAJob { name: String },
    #[error("write the backup of dead letters")]
    Backup(#[source] csv::Error),
}

impl JobsError {
    /// Whether the same call can succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Document(error) => error.is_transient(),
            Self::Queue(error) => error.is_transient(),
            Self::Blob(error) => error.is_transient(),
            Self::InHand { .. } => true,
            Self::Ledger(_) | Self::Absent { .. } | Self::NotAJob { .. } | Self::Backup(_) => false,
        }
    }
}

impl From<JobsError> for Failure {
    fn from(error: JobsError) -> Self {
        let reason = chain(&error);
        if error.is_transient() {
            Self::transient(reason)
        } else {
            Self::permanent(reason)
        }
    }
}

impl From<UpdateError<LedgerError>> for JobsError {
    fn from(error: UpdateError<LedgerError>) -> Self {
        match error {
            UpdateError::Change(error) => Self::Ledger(error),
            UpdateError::Document(error) => Self::Document(error),
        }
    }
}

/// What `plan` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    New,
    /// The job had been planned before and was left as it is.
    Existed,
}

/// What a delivery found.
#[derive(Debug)]
pub enum Take {
    Work(Box<TakenJob>),
    /// Settled or parked: the message is stale.
    Stale(JobStatus),
    /// No record: nobody planned a job of this name.
    Unknown,
}

/// The ledger. Clones share a cache.
#[derive(Clone)]
pub struct Jobs {
    pub(crate) ports: Ports,
    pub(crate) documents: Documents,
}

impl Jobs {
    pub fn new(ports: &Ports) -> Self {
        Self {
            ports: ports.clone(),
            documents: ports.documents(),
        }
    }

    /// The job that a message's dedup id names; `None` for a message that is
    /// none of ours.
    pub fn job_of(dedup_id: &str) -> Option<JobId> {
        parse_dedup_id(dedup_id).map(|(job, _)| job)
    }

    pub async fn find(
        &self,
        queue: QueueName,
        job: &JobId,
    ) -> Result<Option<JobRecord>, JobsError> {
        Ok(self.documents.get(&JobRecord::key(queue, job)).await?)
    }

    /// Every record of the queue in order of id. A settled one is there until
    /// a tick takes it away; [`Jobs::settled`] has those.
    pub async fn list(&self, queue: QueueName) -> Result<Vec<Arc<JobRecord>>, JobsError> {
        let prefix = format!("jobs/{queue}/");
        Ok(self.documents.load(&prefix, usize::MAX).await?)
    }

    /// Writes the record unless the job is known, by its record or because it
    /// is settled and its record gone.
    pub async fn plan(&self, record: &JobRecord) -> Result<Planned, JobsError> {
        if self.create(record).await? == Created::Existed {
            return Ok(Planned::Existed);
        }
        Ok(if self.withdraw_settled(record.queue, &record.job).await? {
            Planned::Existed
        } else {
            Planned::New
        })
    }

    async fn create(&self, record: &JobRecord) -> Result<Created, JobsError> {
        let key = JobRecord::key(record.queue, &record.job);
        Ok(self.documents.create(&key, record).await?)
    }

    /// Plans all and sends those that need it, in order. Jobs that are known
    /// and settled, parked or sent are left alone.
    pub async fn plan_and_send(&self, records: Vec<JobRecord>) -> Result<SendReport, JobsError> {
        let plan = |record: JobRecord| {
            let jobs = self.clone();
            async move { jobs.plan_one(record).await }
        };
        let planned = side_by_side(records, plan).await?;
        let needing: Vec<JobRecord> = planned
            .into_iter()
            .flatten()
            .filter(JobRecord::needs_send)
            .collect();
        self.send(&needing).await
    }

    async fn plan_one(&self, record: JobRecord) -> Result<Option<JobRecord>, JobsError> {
        match self.plan(&record).await? {
            Planned::New => Ok(Some(record)),
            Planned::Existed => self.find(record.queue, &record.job).await,
        }
    }

    /// A delivery takes the job that its dedup id names. A call that got no
    /// answer can be made again.
    pub async fn take(
        &self,
        queue: QueueName,
        dedup_id: &str,
        delivery: &str,
    ) -> Result<Take, JobsError> {
        let Some((job, sends)) = parse_dedup_id(dedup_id) else {
            return Ok(Take::Unknown);
        };
        let now = self.clock().now();
        let mut taken = Taken::Stale(JobStatus::Done);
        let updated = self
            .documents
            .update(&JobRecord::key(queue, &job), |record: &mut JobRecord| {
                // What was delivered was sent, also when the sender died
                // before it could say so; the next message needs another id.
                if record.sends <= sends {
                    record.sends = sends.saturating_add(1);
                    record.sent = record.sent.or(Some(now));
                }
                taken = record.take(delivery, now);
                Ok::<(), LedgerError>(())
            })
            .await?;
        Ok(match (updated, taken) {
            (None, _) => match self.settled_as(queue, &job).await? {
                Some(status) => Take::Stale(status),
                None => Take::Unknown,
            },
            (Some(record), Taken::Work { epoch }) => {
                Take::Work(Box::new(TakenJob { record, epoch }))
            }
            (Some(_), Taken::Stale(status)) => Take::Stale(status),
        })
    }

    /// One transition of the ledger, by compare-and-swap.
    pub async fn transition(
        &self,
        verb: &'static str,
        queue: QueueName,
        job: &JobId,
        change: impl FnMut(&mut JobRecord) -> Result<(), LedgerError>,
    ) -> Result<JobRecord, JobsError> {
        let updated = self
            .documents
            .update(&JobRecord::key(queue, job), change)
            .await?;
        let Some(record) = updated else {
            let job = job.clone();
            return Err(match self.settled_as(queue, &job).await? {
                Some(status) => JobsError::Ledger(LedgerError::Status { verb, job, status }),
                None => JobsError::Absent {
                    verb,
                    queue,
                    job: job.to_string(),
                },
            });
        };
        Ok(record)
    }

    /// A parked job goes back into the queue.
    pub async fn unpark(&self, queue: QueueName, job: &JobId) -> Result<SendReport, JobsError> {
        let record = self
            .transition("unpark", queue, job, JobRecord::unpark)
            .await?;
        self.send(&[record]).await
    }

    /// An open job whose message must be taken for lost is sent again.
    pub async fn resend_lost(
        &self,
        queue: QueueName,
        job: &JobId,
        unseen_max: chrono::Duration,
    ) -> Result<SendReport, JobsError> {
        let now = self.clock().now();
        let record = self
            .transition("resend", queue, job, |record| {
                if record.is_lost(now, unseen_max) {
                    record.resend();
                }
                Ok(())
            })
            .await?;
        if record.needs_send() {
            self.send(&[record]).await
        } else {
            Ok(SendReport::default())
        }
    }

    /// Something newer replaces a job that nobody has in hand; its message is
    /// stale from now on.
    pub async fn supersede(
        &self,
        queue: QueueName,
        job: &JobId,
        by: &str,
    ) -> Result<JobRecord, JobsError> {
        self.transition("supersede", queue, job, |record| record.supersede(by))
            .await
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.ports.clock
    }
}

/// The job and the number of the message that a dedup id names.
pub(crate) fn parse_dedup_id(text: &str) -> Option<(JobId, u32)> {
    let (job, sends) = text.rsplit_once(':')?;
    // Only what State takes as a key can name a record.
    let key_ok = job
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.@#=+:,".contains(&b));
    let sends = sends.parse().ok()?;
    key_ok
        .then(|| JobId::parse(job).ok())?
        .map(|job| (job, sends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dedup_ids_name_a_job_and_a_number() {
        let check = |text: &str, expected: Option<(&str, u32)>| {
            let found = parse_dedup_id(text);
            let found = found.as_ref().map(|(job, n)| (job.as_str(), *n));
            assert_eq!(found, expected, "{text}");
        };
        check(
            "shop@2026-11-21T03:00:00.000Z:2",
            Some(("shop@2026-11-21T03:00:00.000Z", 2)),
        );
        check("shop#images@7:0", Some(("shop#images@7", 0)));
        check("shop", None);
        check("shop:x", None);
        check(":1", None);
        check("a/b:1", None);
        check("a?b:1", None);
    }
}
