//! What is done to a job that nobody has in hand: buried, replaced, opened
//! again.

use chrono::{DateTime, Utc};

use super::{JobRecord, JobStatus, LedgerError};

impl JobRecord {
    /// The queue itself gave the message up (its backstop dead-letter queue):
    /// nobody will bring a verdict any more, also not the delivery that still
    /// has it in hand.
    pub fn bury_unseen(&mut self, reason: &str, now: DateTime<Utc>) -> Result<(), LedgerError> {
        if self.status != JobStatus::Open {
            return Err(self.refused("bury"));
        }
        self.epoch += 1;
        self.in_hand = false;
        self.status = JobStatus::Dead;
        self.seen = Some(now);
        self.note_failure(now);
        reason.clone_into(&mut self.reason);
        Ok(())
    }

    /// A parked job becomes open and is sent again.
    pub fn unpark(&mut self) -> Result<(), LedgerError> {
        if self.status != JobStatus::Parked {
            return Err(self.refused("unpark"));
        }
        self.reopen();
        Ok(())
    }

    /// A person sends a dead job again, with its counts cleared.
    pub fn redrive(&mut self) -> Result<(), LedgerError> {
        if self.status != JobStatus::Dead {
            return Err(self.refused("redrive"));
        }
        self.attempts = 0;
        self.crashes = 0;
        self.first_failure = None;
        self.last_failure = None;
        self.crashed = None;
        self.purged = None;
        self.reopen();
        Ok(())
    }

    /// As [`JobRecord::redrive`], counting the message that the caller sends
    /// right after, so that one write says both. A caller that dies in between
    /// leaves the dead letter, by which the next one sends the same message
    /// again; without one it is sent again as lost.
    pub fn redrive_and_send(&mut self, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.redrive()?;
        self.mark_sent(now);
        Ok(())
    }

    /// The queue did not take the message of a redrive: the job is as dead as
    /// before, unless somebody took it meanwhile.
    pub fn take_redrive_back(&mut self, reason: &str) {
        if self.status == JobStatus::Open && !self.in_hand {
            self.status = JobStatus::Dead;
            reason.clone_into(&mut self.reason);
        }
    }

    /// Something newer makes sending a dead job again pointless.
    pub fn supersede_dead(&mut self, by: &str) -> Result<(), LedgerError> {
        match self.status {
            // Done by a redrive that died after this.
            JobStatus::Superseded => Ok(()),
            JobStatus::Dead => {
                self.status = JobStatus::Superseded;
                self.reason = format!("superseded by {by}");
                Ok(())
            }
            JobStatus::Open | JobStatus::Parked | JobStatus::Done => Err(self.refused("supersede")),
        }
    }

    /// Something newer replaces a job that nobody is working on.
    pub fn supersede(&mut self, by: &str) -> Result<(), LedgerError> {
        if self.status.is_settled() || self.in_hand {
            return Err(self.refused("supersede"));
        }
        self.status = JobStatus::Superseded;
        self.reason = format!("superseded by {by}");
        self.due = None;
        Ok(())
    }

    fn reopen(&mut self) {
        self.status = JobStatus::Open;
        self.due = None;
        self.sent = None;
        self.in_hand = false;
    }
}
