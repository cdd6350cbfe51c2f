//! The ledger of jobs and the sending of their messages: the only place that
//! touches job records.
//!
//! A record is written before its message is sent, and a message is only a
//! hint: what was sent twice is delivered to a record that says so.

use std::sync::Arc;

use tokio::task::JoinSet;
use trawler_core::ledger::{JobRecord, JobStatus, LedgerError, Taken};
use trawler_core::ports::{BATCH_MAX, Clock, Outgoing, QueueError};
use trawler_core::verdict::Failure;
use trawler_core::{JobId, QueueName};

use crate::documents::chain;
use crate::retry::{joined, retry};
use crate::{Created, DocumentError, Documents, Loaded, Ports, TakenJob, UpdateError};

/// Records that are planned at once: enough to hide the latency of a remote
/// store, few enough not to be throttled by it.
const PLANS: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
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

/// What became of a send.
#[derive(Debug, Default)]
pub struct SendReport {
    pub sent: usize,
    /// Not accepted by the queue; the records still need a send, and the next
    /// tick tries again.
    pub unsent: Vec<Unsent>,
}

#[derive(Debug)]
pub struct Unsent {
    pub job: JobId,
    pub reason: QueueError,
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

    /// Every record of the queue, settled ones included, in order of id.
    pub async fn list(&self, queue: QueueName) -> Result<Vec<Arc<JobRecord>>, JobsError> {
        let prefix = format!("jobs/{queue}/");
        Ok(self.documents.load(&prefix, usize::MAX).await?)
    }

    /// As `list`, with the records that cannot be read beside the others, for
    /// those who have to go on with the rest.
    pub async fn list_readable(&self, queue: QueueName) -> Result<Loaded<JobRecord>, JobsError> {
        let prefix = format!("jobs/{queue}/");
        Ok(self.documents.load_readable(&prefix, usize::MAX).await?)
    }

    /// Writes the record unless the job is known.
    pub async fn plan(&self, record: &JobRecord) -> Result<Planned, JobsError> {
        let key = JobRecord::key(record.queue, &record.job);
        match self.documents.create(&key, record).await? {
            Created::New => Ok(Planned::New),
            Created::Existed => Ok(Planned::Existed),
        }
    }

    /// Plans all and sends those that need it, in order. Jobs that are known
    /// and settled, parked or sent are left alone.
    pub async fn plan_and_send(&self, records: Vec<JobRecord>) -> Result<SendReport, JobsError> {
        let mut ledger: Vec<Option<JobRecord>> = records.iter().map(|_| None).collect();
        let mut plans = JoinSet::new();
        for (at, record) in records.into_iter().enumerate() {
            if plans.len() == PLANS {
                keep_planned(joined(plans.join_next().await), &mut ledger)?;
            }
            let jobs = self.clone();
            plans.spawn(async move { (at, jobs.plan_one(record).await) });
        }
        while let Some(planned) = joined(plans.join_next().await) {
            keep_planned(Some(planned), &mut ledger)?;
        }
        let to_send: Vec<JobRecord> = ledger
            .into_iter()
            .flatten()
            .filter(JobRecord::needs_send)
            .collect();
        self.send(&to_send).await
    }

    async fn plan_one(&self, record: JobRecord) -> Result<Option<JobRecord>, JobsError> {
        match self.plan(&record).await? {
            Planned::New => Ok(Some(record)),
            Planned::Existed => self.find(record.queue, &record.job).await,
        }
    }

    /// Sends the messages of these records in batches and in order, then
    /// records that they were sent. A crash in between sends the same dedup id
    /// again, which the queue swallows or a stale record answers.
    pub async fn send(&self, records: &[JobRecord]) -> Result<SendReport, JobsError> {
        let mut report = SendReport::default();
        for queue in QueueName::ALL {
            let of_queue: Vec<&JobRecord> = records
                .iter()
                .filter(|record| record.queue == queue)
                .collect();
            for batch in of_queue.chunks(BATCH_MAX) {
                self.send_batch(queue, batch, &mut report).await?;
            }
        }
        Ok(report)
    }

    async fn send_batch(
        &self,
        queue: QueueName,
        batch: &[&JobRecord],
        report: &mut SendReport,
    ) -> Result<(), JobsError> {
        let outgoing: Vec<Outgoing> = batch.iter().map(|record| message_of(record)).collect();
        let failed = self.send_outgoing(queue, &outgoing).await?;
        let mut accepted = vec![true; batch.len()];
        for failure in failed {
            let Some(record) = batch.get(failure.index) else {
                continue;
            };
            if let Err(reason) = self.send_single(queue, &outgoing[failure.index]).await {
                accepted[failure.index] = false;
                let job = record.job.clone();
                report.unsent.push(Unsent { job, reason });
            }
        }
        let mut marks = JoinSet::new();
        for (record, accepted) in batch.iter().zip(accepted) {
            if accepted {
                let (jobs, job, sends) = (self.clone(), record.job.clone(), record.sends);
                marks.spawn(async move { jobs.mark_sent(queue, &job, sends).await });
            }
        }
        while let Some(marked) = joined(marks.join_next().await) {
            report.sent += 1;
            marked?;
        }
        Ok(())
    }

    async fn send_outgoing(
        &self,
        queue: QueueName,
        batch: &[Outgoing],
    ) -> Result<Vec<trawler_core::ports::SendError>, QueueError> {
        retry(self.clock(), QueueError::is_transient, || {
            self.ports.queue(queue).send(batch)
        })
        .await
    }

    /// One message that its batch did not take, on its own.
    async fn send_single(&self, queue: QueueName, message: &Outgoing) -> Result<(), QueueError> {
        retry(self.clock(), QueueError::is_transient, || async {
            let batch = std::slice::from_ref(message);
            match self.ports.queue(queue).send(batch).await?.pop() {
                Some(failure) => Err(failure.source),
                None => Ok(()),
            }
        })
        .await
    }

    async fn mark_sent(&self, queue: QueueName, job: &JobId, sends: u32) -> Result<(), JobsError> {
        let now = self.clock().now();
        let key = JobRecord::key(queue, job);
        self.documents
            .update(&key, |record: &mut JobRecord| {
                // A worker that has taken the message already has counted it.
                if record.sends == sends {
                    record.mark_sent(now);
                }
                Ok::<(), LedgerError>(())
            })
            .await?;
        Ok(())
    }

    /// A delivery takes the job that its dedup id names.
    pub async fn take(&self, queue: QueueName, dedup_id: &str) -> Result<Take, JobsError> {
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
                taken = record.take(now);
                Ok::<(), LedgerError>(())
            })
            .await?;
        Ok(match (updated, taken) {
            (None, _) => Take::Unknown,
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
        updated.ok_or_else(|| JobsError::Absent {
            verb,
            queue,
            job: job.to_string(),
        })
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

/// What planning number so many of a list came to.
type PlannedOne = (usize, Result<Option<JobRecord>, JobsError>);

fn keep_planned(
    planned: Option<PlannedOne>,
    ledger: &mut [Option<JobRecord>],
) -> Result<(), JobsError> {
    if let Some((at, record)) = planned {
        ledger[at] = record?;
    }
    Ok(())
}

fn message_of(record: &JobRecord) -> Outgoing {
    Outgoing {
        group: record.group.clone(),
        dedup_id: record.dedup_id(),
        body: record.body.clone(),
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
