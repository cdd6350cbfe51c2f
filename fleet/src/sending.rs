//! Messages of jobs: in batches and in order, with what the queue refuses told
//! apart. A record is written before its message is sent, see `jobs`.

use tokio::task::JoinSet;
use trawler_core::ledger::{JobRecord, LedgerError};
use trawler_core::ports::{BATCH_MAX, Outgoing, QueueError};
use trawler_core::{JobId, QueueName};

use crate::retry::{joined, retry};
use crate::{Jobs, JobsError, Planned};

/// Records that are planned at once: enough to hide the latency of a remote
/// store, few enough not to be throttled by it.
const PLANS: usize = 16;

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

impl Jobs {
    /// As `plan_and_send` with one write less a job: the records say from the
    /// start that their message was sent. The caller has to note elsewhere that
    /// this call came to its end, and to call again where that is not noted:
    /// then the same messages are sent again, which the queue swallows or a
    /// stale record answers. What the queue refuses is sent by a later tick.
    pub async fn announce(&self, records: Vec<JobRecord>) -> Result<SendReport, JobsError> {
        let plan = |record: JobRecord| {
            let jobs = self.clone();
            async move { jobs.announce_one(record).await }
        };
        let planned = side_by_side(records, plan).await?;
        let announced: Vec<JobRecord> = planned.into_iter().flatten().collect();
        let mut report = SendReport::default();
        for queue in QueueName::ALL {
            let of_queue = announced.iter().filter(|record| record.queue == queue);
            let of_queue: Vec<&JobRecord> = of_queue.collect();
            for batch in of_queue.chunks(BATCH_MAX) {
                let outgoing = batch.iter().map(|record| announced_message(record));
                let refused = self.hand_over(queue, &outgoing.collect::<Vec<_>>()).await?;
                report.sent += batch.len() - refused.len();
                for (at, reason) in refused {
                    let job = batch[at].job.clone();
                    self.transition("take back the send of", queue, &job, |record| {
                        if record.is_unseen() {
                            record.resend();
                        }
                        Ok(())
                    })
                    .await?;
                    report.unsent.push(Unsent { job, reason });
                }
            }
        }
        Ok(report)
    }

    /// The record whose message has to be sent, if any.
    async fn announce_one(&self, record: JobRecord) -> Result<Option<JobRecord>, JobsError> {
        let record = record.announced();
        match self.plan(&record).await? {
            Planned::New => Ok(Some(record)),
            Planned::Existed => Ok(self
                .find(record.queue, &record.job)
                .await?
                .filter(|known| known.is_unseen() && known.sent.is_some())),
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
        let mut accepted = vec![true; batch.len()];
        for (at, reason) in self.hand_over(queue, &outgoing).await? {
            accepted[at] = false;
            let job = batch[at].job.clone();
            report.unsent.push(Unsent { job, reason });
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

    /// Sends a batch, and what it did not take one by one; says what the queue
    /// refuses, by its place in the batch.
    async fn hand_over(
        &self,
        queue: QueueName,
        batch: &[Outgoing],
    ) -> Result<Vec<(usize, QueueError)>, QueueError> {
        let mut refused = Vec::new();
        for failure in self.send_outgoing(queue, batch).await? {
            if let Some(message) = batch.get(failure.index)
                && let Err(reason) = self.send_single(queue, message).await
            {
                refused.push((failure.index, reason));
            }
        }
        Ok(refused)
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
}

/// Works on all, [`PLANS`] at once; what became of them, in their order.
pub(crate) async fn side_by_side<T, R, F>(
    all: Vec<T>,
    mut work: impl FnMut(T) -> F,
) -> Result<Vec<R>, JobsError>
where
    R: Send + 'static,
    F: Future<Output = Result<R, JobsError>> + Send + 'static,
{
    let mut slots: Vec<Option<R>> = all.iter().map(|_| None).collect();
    let mut tasks = JoinSet::new();
    let mut keep = |done: Option<(usize, Result<R, JobsError>)>| -> Result<(), JobsError> {
        if let Some((at, result)) = done {
            slots[at] = Some(result?);
        }
        Ok(())
    };
    for (at, one) in all.into_iter().enumerate() {
        if tasks.len() == PLANS {
            keep(joined(tasks.join_next().await))?;
        }
        let working = work(one);
        tasks.spawn(async move { (at, working.await) });
    }
    while let Some(done) = joined(tasks.join_next().await) {
        keep(Some(done))?;
    }
    Ok(slots.into_iter().flatten().collect())
}

fn announced_message(record: &JobRecord) -> Outgoing {
    Outgoing {
        dedup_id: record.last_dedup_id(),
        ..message_of(record)
    }
}

fn message_of(record: &JobRecord) -> Outgoing {
    Outgoing {
        group: record.group.clone(),
        dedup_id: record.dedup_id(),
        body: record.body.clone(),
    }
}
