//! What a verdict does: first the ledger, by compare-and-swap under the
//! delivery's epoch, then the queue (invariant 2). A ledger that refuses means
//! that another delivery has the job: nothing is acked. A ledger that does not
//! answer is asked again for as long as the lease is kept, since a message
//! without a verdict comes back only when its visibility ends, and as a crash.

use std::time::Duration;

use chrono::{DateTime, Utc};
use trawler_core::JobId;
use trawler_core::dead::DeadLetter;
use trawler_core::drain::{EXIT_WITHIN, HAND_BACK_WITHIN};
use trawler_core::ledger::{JobRecord, JobStatus, LedgerError};
use trawler_core::ports::{Lease, Metric, QueueError};
use trawler_core::verdict::{Verdict, release_max};

use crate::delivery::{Failed, Held, Said, Settled, UNREAD_WAIT};
use crate::documents::chain;
use crate::hold::Hold;
use crate::worker::Shared;
use crate::{JobsError, TakenJob};

/// A hand-back that nobody asked for waits a moment, so that a job which
/// always hands back does not spin.
const UNASKED_WAIT: Duration = Duration::from_secs(1);

/// A verdict that could not be recorded is tried again after so long: often
/// enough to be early when the store is back, and nothing beside the store's
/// own retries within each try.
const RECORD_AGAIN: Duration = Duration::from_secs(2);

/// A worker that leaves tries for so long: with the grace of its work before
/// and the release behind it that stays within [`EXIT_WITHIN`].
const RECORD_WHEN_LEAVING: Duration = Duration::from_secs(15);

const _: () =
    assert!(HAND_BACK_WITHIN.as_secs() + RECORD_WHEN_LEAVING.as_secs() < EXIT_WITHIN.as_secs());

/// What became of a verdict.
enum Recorded {
    As(Verdict),
    LeaseLost,
    /// The worker has to be gone.
    TooLate,
}

/// When a verdict was written.
enum Written {
    Now,
    /// By a call that got no answer.
    Before,
}

impl Shared {
    pub(crate) async fn conclude(
        &self,
        held: Held,
        taken: &TakenJob,
        verdict: Verdict,
        mut said: Said,
    ) -> Settled {
        let job = &taken.record.job;
        let given = verdict.as_str();
        let recorded = self
            .record_while_held(&held.hold, taken, verdict, &mut said)
            .await;
        let (lease, hold) = held.let_go().await;
        let verdict = match recorded {
            Ok(Recorded::As(verdict)) => verdict,
            Ok(Recorded::LeaseLost) => {
                if hold.lose() {
                    tracing::warn!(%job, "the lease on {job} was lost before its {given}");
                    let queue = self.handler.queue();
                    self.ports.metrics.record(Metric::LeaseLost { queue });
                }
                return Settled::Lost;
            }
            Ok(Recorded::TooLate) => {
                tracing::warn!(%job, "{given} of {job} could not be recorded in time; its message comes again");
                return Settled::Lost;
            }
            Err(error) => {
                self.not_recorded(job, given, &error);
                return Settled::Lost;
            }
        };
        let queue = self.handler.queue();
        self.ports.metrics.record(Metric::JobSettled {
            queue,
            verdict: verdict.as_str(),
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
                tracing::info!(%job, failed = said.failed.reason(), "failed, again in {after:?}: {job}");
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

    /// Records the verdict while the lease is ours, and gives the one that was
    /// recorded. A worker that leaves does not wait for ever.
    async fn record_while_held(
        &self,
        hold: &Hold,
        taken: &TakenJob,
        verdict: Verdict,
        said: &mut Said,
    ) -> Result<Recorded, JobsError> {
        let clock = &self.ports.clock;
        let too_late = async {
            self.drain.wait().await;
            clock.sleep(RECORD_WHEN_LEAVING).await;
        };
        let mut too_late = std::pin::pin!(too_late);
        let (first, mut verdict) = (verdict.clone(), verdict);
        while !hold.is_lost() {
            let tried = tokio::select! {
                biased;
                tried = self.record(taken, &verdict, said) => tried,
                () = &mut too_late => return Ok(Recorded::TooLate),
            };
            match tried {
                Ok(Written::Now) => return Ok(Recorded::As(verdict)),
                Ok(Written::Before) => return Ok(Recorded::As(first)),
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => {
                    let (job, word) = (&taken.record.job, verdict.as_str());
                    tracing::debug!(%job, reason = %chain(&error), "{word} of {job} not recorded, again in {RECORD_AGAIN:?}");
                }
            }
            if said.may_be_our_fault(&verdict) {
                (verdict, said.failed) = (Verdict::HandBack, Failed::No);
            }
            tokio::select! {
                biased;
                () = &mut too_late => return Ok(Recorded::TooLate),
                () = clock.sleep(RECORD_AGAIN.min(hold.left())) => {}
            }
        }
        Ok(Recorded::LeaseLost)
    }

    fn not_recorded(&self, job: &JobId, word: &str, error: &JobsError) {
        let reason = chain(error);
        if matches!(error, JobsError::Ledger(_)) {
            tracing::warn!(%job, %reason, "{word} of {job} refused: another delivery has it");
            let queue = self.handler.queue();
            self.ports.metrics.record(Metric::LeaseLost { queue });
        } else {
            tracing::warn!(%job, %reason, "{word} of {job} could not be recorded; its message comes again");
        }
    }

    /// Writes the verdict into the ledger; a dead-letter document before the
    /// record says dead, so that no dead job is without one.
    async fn record(
        &self,
        taken: &TakenJob,
        verdict: &Verdict,
        said: &Said,
    ) -> Result<Written, JobsError> {
        let now = self.ports.clock.now();
        if let Verdict::Bury { reason } = verdict {
            self.write_dead_letter(taken, reason, said, now).await?;
        }
        let epoch = taken.epoch;
        let failed = &said.failed;
        let (queue, job) = (taken.record.queue, &taken.record.job);
        let mut written = Written::Now;
        let change = |record: &mut JobRecord| -> Result<(), LedgerError> {
            if record.has_verdict_of(epoch) {
                written = Written::Before;
                return Ok(());
            }
            written = Written::Now;
            let tells = !matches!(verdict, Verdict::Done | Verdict::Superseded { .. });
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
                        Failed::Yes(failure) => &failure.reason,
                        Failed::No => "its burial did not succeed",
                    };
                    // Counts the attempt itself.
                    record.fail(epoch, reason, now)?;
                }
            }
            let counts = !matches!(verdict, Verdict::HandBack | Verdict::Retry { .. });
            if matches!(failed, Failed::Yes(_)) && counts {
                record.attempts = record.attempts.saturating_add(1);
            }
            if tells {
                tell(record, said, now);
            }
            Ok(())
        };
        self.jobs
            .transition(verdict.as_str(), queue, job, change)
            .await?;
        Ok(written)
    }

    async fn write_dead_letter(
        &self,
        taken: &TakenJob,
        reason: &str,
        said: &Said,
        now: DateTime<Utc>,
    ) -> Result<(), JobsError> {
        let mut record = taken.record.clone();
        // A delivery that is over must not leave a document behind; one whose
        // record is gone was settled by another.
        let current = self.jobs.find(record.queue, &record.job).await?;
        if let Some(current) = &current
            && current.has_verdict_of(taken.epoch)
        {
            return Ok(());
        }
        let current_epoch = current.as_ref().map_or(u64::MAX, |current| current.epoch);
        if current.is_none_or(|now| now.epoch != taken.epoch || now.status != JobStatus::Open) {
            return Err(JobsError::Ledger(LedgerError::Epoch {
                verb: "bury",
                job: record.job.clone(),
                epoch: taken.epoch,
                current: current_epoch,
            }));
        }
        if matches!(said.failed, Failed::Yes(_)) {
            record.attempts = record.attempts.saturating_add(1);
        }
        tell(&mut record, said, now);
        let letter = DeadLetter::of_job(&record, reason, said.input.clone(), now);
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
        let why = format!(
            "{reason} (dedup id {:?}, delivery {})",
            lease.dedup_id, lease.receive_count
        );
        match self.jobs.keep_message(queue, &lease, &why).await {
            Ok(key) => {
                tracing::error!(%queue, message = %lease.message_id, "message {} of the {queue} queue names no job and is kept as {key}: {reason}", lease.message_id);
                self.ack(lease, Settled::Unknown).await
            }
            Err(error) => {
                tracing::warn!(%queue, reason = %chain(&error), "message {} could not be kept; it comes again", lease.message_id);
                self.release_untouched(lease, UNREAD_WAIT.min(release_max(queue)))
                    .await
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

/// Keeps what the delivery said, and when it failed.
fn tell(record: &mut JobRecord, said: &Said, now: DateTime<Utc>) {
    record.log.append(&said.log);
    if let Failed::Yes(failure) = &said.failed {
        record.note_failure(now);
        let attempt = record.attempts;
        let line = format!("attempt {attempt} failed: {}", failure.reason);
        record.log.push(now, &line);
    }
}
