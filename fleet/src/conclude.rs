//! What a verdict does: first the ledger, by compare-and-swap under the
//! delivery's epoch, then the queue (invariant 2). A ledger that refuses means
//! that another delivery has the job: nothing is acked.

use std::time::Duration;

use trawler_core::dead::DeadLetter;
use trawler_core::ledger::{JobRecord, JobStatus, LedgerError};
use trawler_core::ports::{Lease, Metric, QueueError};
use trawler_core::verdict::Verdict;

use crate::delivery::{Failed, Held, Settled, UNREAD_WAIT};
use crate::documents::chain;
use crate::hold::Hold;
use crate::worker::Shared;
use crate::{JobsError, TakenJob};

/// A hand-back that nobody asked for waits a moment, so that a job which
/// always hands back does not spin.
const UNASKED_WAIT: Duration = Duration::from_secs(1);

impl Shared {
    pub(crate) async fn conclude(
        &self,
        lease: Lease,
        taken: &TakenJob,
        verdict: Verdict,
        failed: Failed,
        hold: &Hold,
    ) -> Settled {
        let word = verdict.as_str();
        let job = &taken.record.job;
        if let Err(error) = self.record(taken, &verdict, &failed).await {
            let reason = chain(&error);
            if matches!(error, JobsError::Ledger(_)) {
                tracing::warn!(%job, %reason, "{word} of {job} refused: another delivery has it");
                let queue = self.handler.queue();
                self.ports.metrics.record(Metric::LeaseLost { queue });
            } else {
                tracing::warn!(%job, %reason, "{word} of {job} could not be recorded; its message comes again");
            }
            return Settled::Lost;
        }
        let queue = self.handler.queue();
        self.ports.metrics.record(Metric::JobSettled {
            queue,
            verdict: word,
        });
        match verdict {
            Verdict::Done => {
                tracing::info!(%job, "done: {job}");
                self.ack(lease, Settled::Done).await
            }
            Verdict::Superseded { by } => {
                tracing::info!(%job, "superseded by {by}: {job}");
                self.ack(lease, Settled::Superseded).await
            }
            Verdict::Park { due, reason } => {
                tracing::info!(%job, %due, "parked until {due}: {job}: {reason}");
                self.ack(lease, Settled::Parked).await
            }
            Verdict::Bury { reason } => {
                tracing::error!(%job, "buried: {job}: {reason}");
                self.ack(lease, Settled::Buried).await
            }
            Verdict::Retry { after } => {
                tracing::info!(%job, ?failed, "failed, again in {after:?}: {job}");
                self.release(lease, after, Settled::Retried).await
            }
            Verdict::HandBack => {
                let wait = if hold.must_leave() {
                    Duration::ZERO
                } else {
                    UNASKED_WAIT
                };
                tracing::info!(%job, "handed back: {job}");
                self.release(lease, wait, Settled::HandedBack).await
            }
        }
    }

    /// Writes the verdict into the ledger; a dead-letter document before the
    /// record says dead, so that no dead job is without one.
    async fn record(
        &self,
        taken: &TakenJob,
        verdict: &Verdict,
        failed: &Failed,
    ) -> Result<(), JobsError> {
        if let Verdict::Bury { reason } = verdict {
            self.write_dead_letter(taken, reason, failed).await?;
        }
        let now = self.ports.clock.now();
        let epoch = taken.epoch;
        let (queue, job) = (taken.record.queue, &taken.record.job);
        let change = |record: &mut JobRecord| -> Result<(), LedgerError> {
            match verdict {
                Verdict::Done => record.settle(epoch, JobStatus::Done, "", now)?,
                Verdict::Superseded { by } => {
                    let reason = format!("superseded by {by}");
                    record.settle(epoch, JobStatus::Superseded, &reason, now)?;
                }
                Verdict::Bury { reason } => record.settle(epoch, JobStatus::Dead, reason, now)?,
                Verdict::Park { due, reason } => record.park(epoch, *due, reason, now)?,
                Verdict::HandBack => record.hand_back(epoch, now)?,
                Verdict::Retry { .. } => {
                    let reason = match failed {
                        Failed::Yes(reason) => reason,
                        Failed::No => "its burial did not succeed",
                    };
                    // Counts the attempt itself.
                    return record.fail(epoch, reason, now);
                }
            }
            if matches!(failed, Failed::Yes(_)) && *verdict != Verdict::HandBack {
                record.attempts = record.attempts.saturating_add(1);
            }
            Ok(())
        };
        self.jobs
            .transition(verdict.as_str(), queue, job, change)
            .await?;
        Ok(())
    }

    async fn write_dead_letter(
        &self,
        taken: &TakenJob,
        reason: &str,
        failed: &Failed,
    ) -> Result<(), JobsError> {
        let record = &taken.record;
        // A delivery that is over must not leave a document behind.
        let current = self.jobs.find(record.queue, &record.job).await?;
        if let Some(current) = current
            && (current.epoch != taken.epoch || current.status != JobStatus::Open)
        {
            return Err(JobsError::Ledger(LedgerError::Epoch {
                verb: "bury",
                job: record.job.clone(),
                epoch: taken.epoch,
                current: current.epoch,
            }));
        }
        let attempts = match failed {
            Failed::Yes(_) => record.attempts.saturating_add(1),
            Failed::No => record.attempts,
        };
        let letter = DeadLetter {
            job: record.job.to_string(),
            queue: record.queue,
            pipe: Some(record.pipe.clone()),
            group: record.group.clone(),
            body: record.body.clone(),
            reason: reason.to_owned(),
            attempts,
            crashes: record.crashes,
            buried: self.ports.clock.now(),
        };
        let key = DeadLetter::key(record.queue, &letter.job);
        self.documents.put(&key, &letter).await?;
        Ok(())
    }

    /// A message that names no job is kept as a dead letter of its own name.
    pub(crate) async fn bury_message(&self, held: Held, reason: &str) -> Settled {
        let (lease, hold) = held.let_go().await;
        if hold.is_lost() {
            return Settled::Lost;
        }
        let queue = self.handler.queue();
        let letter = DeadLetter {
            job: format!("message-{}", key_part(&lease.message_id)),
            queue,
            pipe: None,
            group: lease.group.clone(),
            body: lease.body.clone(),
            reason: format!(
                "{reason} (dedup id {:?}, delivery {})",
                lease.dedup_id, lease.receive_count
            ),
            attempts: 0,
            crashes: 0,
            buried: self.ports.clock.now(),
        };
        let key = DeadLetter::key(queue, &letter.job);
        match self.documents.create(&key, &letter).await {
            Ok(_) => {
                tracing::error!(%queue, message = %lease.message_id, "message {} of the {queue} queue names no job and is kept as {key}: {reason}", lease.message_id);
                self.ack(lease, Settled::Unknown).await
            }
            Err(error) => {
                tracing::warn!(%queue, %error, "message {} could not be kept; it comes again", lease.message_id);
                self.release_untouched(lease, UNREAD_WAIT).await
            }
        }
    }

    /// The record says how it ended, so an ack that fails only means another
    /// delivery, which finds the message stale.
    pub(crate) async fn ack(&self, lease: Lease, settled: Settled) -> Settled {
        let queue = self.ports.queue(self.handler.queue());
        let name = lease.dedup_id.clone();
        if let Err(error) = queue.ack(lease).await {
            not_settled("ack", &name, &error);
        }
        settled
    }

    /// A release that fails only means a later delivery, when the visibility
    /// ends.
    async fn release(&self, lease: Lease, after: Duration, settled: Settled) -> Settled {
        let queue = self.ports.queue(self.handler.queue());
        let name = lease.dedup_id.clone();
        if let Err(error) = queue.release(lease, after).await {
            not_settled("release", &name, &error);
        }
        settled
    }

    /// Back into the queue without a word to the ledger: the job was not taken.
    pub(crate) async fn release_untouched(&self, lease: Lease, after: Duration) -> Settled {
        self.release(lease, after, Settled::HandedBack).await
    }
}

fn not_settled(verb: &'static str, name: &str, error: &QueueError) {
    tracing::warn!(job = name, %error, "{verb} of {name} failed; its message comes again: {}", chain(error));
}

/// A message id as a part of a key: adapters choose ids, State rules keys.
fn key_part(id: &str) -> String {
    /// Longest part that is kept; ids of known queues have 36 characters.
    const CHARS_MAX: usize = 100;
    id.chars()
        .take(CHARS_MAX)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}
