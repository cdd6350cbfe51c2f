//! The record of one job in State: the truth that messages only hint at.
//!
//! One document a job, so that its status is exactly one of open, parked,
//! done, dead, superseded at every moment (invariant 4). A transition that the
//! status does not allow is refused, whoever asks.

mod delivery;
mod reopen;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::job_log::JobLog;
use crate::verdict::PAUSED;
use crate::{JobId, PipeId, QueueName};

pub use delivery::Taken;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// In the queue, in somebody's hands, or about to be sent.
    Open,
    /// Due later, not in the queue.
    Parked,
    Done,
    /// Buried; a dead-letter document tells why. Redrive opens it again.
    Dead,
    Superseded,
}

impl JobStatus {
    pub const ALL: [Self; 5] = [
        Self::Open,
        Self::Parked,
        Self::Done,
        Self::Dead,
        Self::Superseded,
    ];

    pub fn is_settled(self) -> bool {
        match self {
            Self::Done | Self::Dead | Self::Superseded => true,
            Self::Open | Self::Parked => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Parked => "parked",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
        }
    }
}

/// One job as State knows it, at `jobs/{queue}/{job}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    pub job: JobId,
    pub queue: QueueName,
    pub pipe: PipeId,
    pub group: String,
    pub body: String,
    pub status: JobStatus,
    pub planned: DateTime<Utc>,
    /// Messages sent for this job, redrives and resends included. The dedup
    /// id of message n is `{job}:{n}`.
    #[serde(default)]
    pub sends: u32,
    /// When the latest message was sent; `None` until the first one was.
    #[serde(default)]
    pub sent: Option<DateTime<Utc>>,
    /// When a worker last took or returned it.
    #[serde(default)]
    pub seen: Option<DateTime<Utc>>,
    /// Delivery epoch: rises with every delivery; what an older delivery still
    /// writes is refused.
    #[serde(default)]
    pub epoch: u64,
    /// A delivery is being worked on. Still true at the next delivery means
    /// that the last one vanished: a crash.
    #[serde(default)]
    pub in_hand: bool,
    /// The delivery that took it last, as its message names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub taken_by: String,
    /// Failures with a verdict.
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub crashes: u32,
    #[serde(default)]
    pub hand_backs: u32,
    /// When a parked job is due again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
    /// Why it is parked, dead or superseded, or failed last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// First failure or crash since it was planned or redriven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<DateTime<Utc>>,
    /// When a delivery was last found to have vanished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crashed: Option<DateTime<Utc>>,
    /// What failing deliveries said last.
    #[serde(default, skip_serializing_if = "JobLog::is_empty")]
    pub log: JobLog,
    /// Who threw its dead letter away, and when; it stays dead and has no
    /// letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged: Option<Purged>,
}

/// A person decided that a dead job is not needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    pub by: String,
    pub at: DateTime<Utc>,
}

/// A transition that the record does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("{verb} job {job}: it is {}", status.as_str())]
    Status {
        verb: &'static str,
        job: JobId,
        status: JobStatus,
    },
    #[error("{verb} job {job}: delivery {epoch} is over, delivery {current} has the job")]
    Epoch {
        verb: &'static str,
        job: JobId,
        epoch: u64,
        current: u64,
    },
}

impl JobRecord {
    pub fn plan(
        job: JobId,
        queue: QueueName,
        pipe: PipeId,
        group: String,
        body: String,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            job,
            queue,
            pipe,
            group,
            body,
            status: JobStatus::Open,
            planned: now,
            sends: 0,
            sent: None,
            seen: None,
            epoch: 0,
            in_hand: false,
            taken_by: String::new(),
            attempts: 0,
            crashes: 0,
            hand_backs: 0,
            due: None,
            reason: String::new(),
            first_failure: None,
            last_failure: None,
            crashed: None,
            log: JobLog::default(),
            purged: None,
        }
    }

    pub fn key(queue: QueueName, job: &JobId) -> String {
        format!("jobs/{queue}/{job}")
    }

    /// The dedup id of the message to send now. Sending it again is harmless
    /// until [`JobRecord::sent`] is written, since the id stays the same.
    pub fn dedup_id(&self) -> String {
        format!("{}:{}", self.job, self.sends)
    }

    /// A record that counts as sent from its first byte, so that a send which
    /// succeeds needs no second write. Whoever creates it sends the message at
    /// once and notes elsewhere that it did (the manifest of an image job), or
    /// takes the send back with [`JobRecord::resend`].
    pub fn announced(mut self) -> Self {
        self.mark_sent(self.planned);
        self
    }

    /// Whether no worker ever had it, so that its message may be lost or never
    /// have been sent.
    pub fn is_unseen(&self) -> bool {
        self.status == JobStatus::Open && self.epoch == 0 && self.seen.is_none()
    }

    /// The message is in the queue.
    pub fn mark_sent(&mut self, now: DateTime<Utc>) {
        self.sends += 1;
        self.sent = Some(now);
    }

    /// The dedup id of the message that was sent last.
    pub fn last_dedup_id(&self) -> String {
        format!("{}:{}", self.job, self.sends.saturating_sub(1))
    }

    /// The message was lost, or never sent: forget it, so that the tick sends
    /// another one.
    pub fn resend(&mut self) {
        self.sent = None;
    }

    /// Whether the tick has to send this job at `now`.
    pub fn needs_send(&self) -> bool {
        self.status == JobStatus::Open && self.sent.is_none()
    }

    /// Whether an open job was not seen for so long that its message must be
    /// taken for lost.
    pub fn is_lost(&self, now: DateTime<Utc>, unseen_max: chrono::Duration) -> bool {
        let last = self.seen.max(self.sent);
        self.status == JobStatus::Open && last.is_some_and(|last| now - last >= unseen_max)
    }

    /// Whether a parked job goes back into the queue now. A paused one does as
    /// soon as nothing is paused any more.
    pub fn is_due(&self, now: DateTime<Utc>, paused: bool) -> bool {
        if self.status != JobStatus::Parked || paused {
            return false;
        }
        self.reason == PAUSED || self.due.is_none_or(|due| due <= now)
    }

    fn refused(&self, verb: &'static str) -> LedgerError {
        LedgerError::Status {
            verb,
            job: self.job.clone(),
            status: self.status,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record() -> JobRecord {
        JobRecord::plan(
            JobId::parse("shop@2026-11-21T03:00:00.000Z").unwrap(),
            QueueName::Crawl,
            PipeId::parse("shop").unwrap(),
            "shop".to_owned(),
            "{}".to_owned(),
            now(),
        )
    }

    fn now() -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH
    }

    #[test]
    fn a_vanished_delivery_is_a_crash_and_a_hand_back_is_not() {
        let mut job = record();
        assert_eq!(job.take("d1", now()), Taken::Work { epoch: 1 });
        assert_eq!(job.take("d2", now()), Taken::Work { epoch: 2 });
        assert_eq!((job.crashes, job.attempts), (1, 0));
        job.hand_back(2, now()).unwrap();
        assert_eq!(job.take("d3", now()), Taken::Work { epoch: 3 });
        assert_eq!((job.crashes, job.attempts, job.hand_backs), (1, 0, 1));
    }

    #[test]
    fn a_delivery_that_asks_again_has_the_job_and_no_crash() {
        let mut job = record();
        assert_eq!(job.take("d1", now()), Taken::Work { epoch: 1 });
        assert_eq!(job.take("d1", now()), Taken::Work { epoch: 1 });
        assert_eq!(job.crashes, 0);
        job.hand_back(1, now()).unwrap();
        assert_eq!(job.take("d1", now()), Taken::Work { epoch: 2 });
    }

    #[test]
    fn an_older_delivery_is_refused() {
        let mut job = record();
        job.take("d4", now());
        job.take("d5", now());
        assert!(matches!(
            job.settle(1, JobStatus::Done, "", now()),
            Err(LedgerError::Epoch { .. })
        ));
        assert!(matches!(
            job.fail(1, "x", now()),
            Err(LedgerError::Epoch { .. })
        ));
        job.settle(2, JobStatus::Done, "", now()).unwrap();
        assert!(matches!(
            job.settle(2, JobStatus::Dead, "", now()),
            Err(LedgerError::Status { .. })
        ));
        assert_eq!(job.take("d6", now()), Taken::Stale(JobStatus::Done));
    }

    #[test]
    fn every_transition_ends_in_exactly_one_status() {
        // From every reachable record, every verb either moves to a status of
        // the list or is refused and changes nothing.
        type Verb = fn(&mut JobRecord) -> Result<(), LedgerError>;
        let verbs: [Verb; 8] = [
            |job| {
                // Every delivery has a name of its own, so that one after
                // another without a verdict is a crash.
                job.take(&format!("d{}", job.epoch), now());
                Ok(())
            },
            |job| job.hand_back(job.epoch, now()),
            |job| job.fail(job.epoch, "x", now()),
            |job| job.park(job.epoch, now(), "x", now()),
            |job| job.settle(job.epoch, JobStatus::Done, "", now()),
            |job| job.settle(job.epoch, JobStatus::Dead, "x", now()),
            |job| job.unpark(),
            |job| job.redrive(),
        ];
        let mut reached = vec![record()];
        for _ in 0..4 {
            let mut next = Vec::new();
            for job in &reached {
                for verb in verbs {
                    let mut after = job.clone();
                    if verb(&mut after).is_err() {
                        assert_eq!(&after, job, "a refused verb changes nothing");
                    }
                    assert!(JobStatus::ALL.contains(&after.status));
                    assert!(!(after.in_hand && after.status != JobStatus::Open));
                    next.push(after);
                }
            }
            reached = next;
        }
    }

    #[test]
    fn a_message_that_the_queue_gave_up_buries_its_job_and_fences_the_last_delivery() {
        let mut job = record();
        job.take("d8", now());
        job.bury_unseen("received too often", now()).unwrap();
        assert_eq!((job.status, job.in_hand), (JobStatus::Dead, false));
        assert!(job.settle(1, JobStatus::Done, "", now()).is_err());
        assert!(job.bury_unseen("again", now()).is_err());
    }

    #[test]
    fn a_parked_job_waits_for_its_time_and_a_paused_one_for_the_resume() {
        let later = now() + chrono::Duration::hours(1);
        let mut job = record();
        job.take("d9", now());
        job.park(1, later, "busy", now()).unwrap();
        assert!(!job.is_due(now(), false));
        assert!(job.is_due(later, false));
        assert!(!job.is_due(later, true));
        job.unpark().unwrap();
        assert!(job.needs_send());
        job.take("d10", now());
        job.park(2, later, PAUSED, now()).unwrap();
        assert!(job.is_due(now(), false));
        assert!(!job.is_due(now(), true));
    }

    #[test]
    fn a_message_is_sent_again_under_a_new_dedup_id() {
        let mut job = record();
        let first = job.dedup_id();
        assert_eq!(first, job.dedup_id(), "the same until the send is recorded");
        job.mark_sent(now());
        assert!(!job.needs_send());
        assert_ne!(first, job.dedup_id());
        assert_eq!(first, job.last_dedup_id());
        assert!(!job.is_lost(now(), chrono::Duration::hours(24)));
        assert!(job.is_lost(
            now() + chrono::Duration::hours(24),
            chrono::Duration::hours(24)
        ));
    }

    #[test]
    fn an_announced_job_counts_as_sent_until_the_send_is_taken_back() {
        let mut job = record().announced();
        assert!(!job.needs_send() && job.is_unseen());
        assert_eq!(job.last_dedup_id(), record().dedup_id());
        job.resend();
        assert!(job.needs_send());
        job.take("d11", now());
        assert!(!job.is_unseen());
    }
}
