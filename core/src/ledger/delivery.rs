//! What deliveries do to a job, each under its epoch.

use chrono::{DateTime, Utc};

use super::{JobRecord, JobStatus, LedgerError};

/// What a delivery found when it took the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Work on it under this epoch.
    Work { epoch: u64 },
    /// Settled or parked by somebody else: the message is stale, ack it.
    Stale(JobStatus),
}

impl JobRecord {
    /// A delivery takes the job; the same one again, because it got no answer
    /// before, finds that it has it.
    pub fn take(&mut self, delivery: &str, now: DateTime<Utc>) -> Taken {
        if self.status != JobStatus::Open {
            return Taken::Stale(self.status);
        }
        if self.in_hand && self.taken_by == delivery {
            return Taken::Work { epoch: self.epoch };
        }
        if self.in_hand {
            self.crashes += 1;
            self.crashed = Some(now);
            self.note_failure(now);
            let (epoch, crashes) = (self.epoch, self.crashes);
            let line = format!("delivery {epoch} ended without a verdict (crash {crashes})");
            self.log.push(now, &line);
        }
        self.epoch += 1;
        self.in_hand = true;
        delivery.clone_into(&mut self.taken_by);
        self.seen = Some(now);
        Taken::Work { epoch: self.epoch }
    }

    /// Whether the delivery that took the job just now found that the one
    /// before it had vanished.
    pub fn has_just_crashed(&self) -> bool {
        self.in_hand && self.crashed.is_some() && self.crashed == self.seen
    }

    /// Whether the delivery has given its verdict, whatever became of the job
    /// since: the next one takes it under an epoch of its own.
    pub fn has_verdict_of(&self, epoch: u64) -> bool {
        self.epoch == epoch && !self.in_hand
    }

    /// It failed or crashed.
    pub fn note_failure(&mut self, now: DateTime<Utc>) {
        self.first_failure.get_or_insert(now);
        self.last_failure = Some(now);
    }

    /// The delivery gives the job back; neither an attempt nor a crash.
    pub fn hand_back(&mut self, epoch: u64, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.check_in_hand("hand back", epoch)?;
        self.in_hand = false;
        self.hand_backs += 1;
        self.seen = Some(now);
        Ok(())
    }

    /// The delivery failed and the message comes back by itself.
    pub fn fail(
        &mut self,
        epoch: u64,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.check_in_hand("fail", epoch)?;
        self.in_hand = false;
        self.attempts += 1;
        self.seen = Some(now);
        reason.clone_into(&mut self.reason);
        Ok(())
    }

    /// The delivery parks the job until `due`.
    pub fn park(
        &mut self,
        epoch: u64,
        due: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.check_in_hand("park", epoch)?;
        self.in_hand = false;
        self.status = JobStatus::Parked;
        self.due = Some(due);
        self.seen = Some(now);
        reason.clone_into(&mut self.reason);
        Ok(())
    }

    /// The delivery settles the job.
    pub fn settle(
        &mut self,
        epoch: u64,
        status: JobStatus,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        assert!(
            status.is_settled(),
            "settle takes a settled status, found {status:?}"
        );
        self.check_in_hand("settle", epoch)?;
        self.in_hand = false;
        self.status = status;
        self.seen = Some(now);
        reason.clone_into(&mut self.reason);
        Ok(())
    }

    fn check_in_hand(&self, verb: &'static str, epoch: u64) -> Result<(), LedgerError> {
        if self.epoch != epoch {
            return Err(LedgerError::Epoch {
                verb,
                job: self.job.clone(),
                epoch,
                current: self.epoch,
            });
        }
        if self.status != JobStatus::Open || !self.in_hand {
            return Err(self.refused(verb));
        }
        Ok(())
    }
}
