//! Settling and keeping a lease: what is asked of SQS with a receipt.

use std::time::Duration;

use trawler_core::ports::{Lease, QueueError, VISIBILITY_MAX};

use super::fault::{self, Fault};
use super::leases::Standing;
use super::{BURY, SqsQueue, Verb, bounded, message, refused, seconds};

/// What a change of visibility came to.
pub(super) struct HideAnswer {
    /// When the last attempt was made.
    asked: Duration,
    /// False when only an attempt whose answer was lost can have done it.
    sure: bool,
}

impl SqsQueue {
    fn lost(verb: Verb, lease: &Lease) -> QueueError {
        QueueError::LeaseLost {
            verb: verb.name,
            message_id: lease.message_id.clone(),
        }
    }

    /// When the tries for a lease end: with the verb's bound, and with the
    /// lease. `LeaseLost` when it has ended.
    fn end_of_tries(&self, verb: Verb, lease: &Lease) -> Result<Duration, QueueError> {
        let now = self.now();
        let end = now + verb.retry.within;
        match self.leases.standing(&lease.receipt, now) {
            Standing::Held { ends, .. } => Ok(ends.min(end)),
            Standing::Unknown => Ok(end),
            Standing::Ended => Err(Self::lost(verb, lease)),
        }
    }

    /// Refused when the message would stay hidden for more than 12 h after its
    /// receive. SQS refuses that too; of receipts of other processes it alone
    /// knows.
    fn check_twelve_hours(
        &self,
        verb: Verb,
        lease: &Lease,
        hidden: Duration,
    ) -> Result<(), QueueError> {
        let now = self.now();
        match self.leases.standing(&lease.receipt, now) {
            Standing::Held { received, .. } if now + hidden > received + VISIBILITY_MAX => {
                Err(refused(verb, fault::too_long(&lease.message_id)))
            }
            _ => Ok(()),
        }
    }

    /// Deletes the message. A repetition that finds the receipt gone after an
    /// answer was lost finds what it did itself: until the lease's end nobody
    /// else could have done it.
    pub(super) async fn delete(
        &self,
        verb: Verb,
        url: &str,
        lease: &Lease,
    ) -> Result<(), QueueError> {
        let end = self.end_of_tries(verb, lease)?;
        let delete = |attempt| async move {
            let request = self.client.delete_message();
            let request = request.queue_url(url).receipt_handle(&lease.receipt);
            let request = request.customize().config_override(bounded(attempt));
            request.send().await.map_err(Fault::of)
        };
        let called = verb.retry.run(&*self.clock, end, delete).await;
        match called.answer {
            Ok(_) => {}
            Err(Fault::Lost) if called.unsure => {}
            Err(fault) => return Err(self.failed(verb, lease, fault)),
        }
        self.leases.settled(&lease.receipt);
        Ok(())
    }

    /// Hides the message for so long from now; answers when it was asked.
    pub(super) async fn hide(
        &self,
        verb: Verb,
        lease: &Lease,
        hidden: Duration,
    ) -> Result<HideAnswer, QueueError> {
        let end = self.end_of_tries(verb, lease)?;
        self.check_twelve_hours(verb, lease, hidden)?;
        let mut asked = Duration::ZERO;
        let hide = |attempt| {
            asked = self.now();
            async move {
                let request = self.client.change_message_visibility();
                let request = request.queue_url(&*self.live);
                let request = request
                    .receipt_handle(&lease.receipt)
                    .visibility_timeout(seconds(hidden))
                    .customize()
                    .config_override(bounded(attempt));
                request.send().await.map_err(Fault::of)
            }
        };
        let called = verb.retry.run(&*self.clock, end, hide).await;
        match called.answer {
            Ok(_) => Ok(HideAnswer { asked, sure: true }),
            Err(Fault::Lost) if called.unsure => Ok(HideAnswer { asked, sure: false }),
            Err(fault) => Err(self.failed(verb, lease, fault)),
        }
    }

    pub(super) async fn extend_by(
        &self,
        verb: Verb,
        lease: &Lease,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let answer = self.hide(verb, lease, visibility).await?;
        if !answer.sure {
            // An extension that was heard leaves the receipt as it was.
            return Err(self.failed(verb, lease, Fault::Lost));
        }
        self.leases
            .extended(&lease.receipt, answer.asked, visibility);
        Ok(())
    }

    /// What failed, and what it says of the lease.
    fn failed(&self, verb: Verb, lease: &Lease, fault: Fault) -> QueueError {
        if matches!(fault, Fault::Lost) {
            self.leases.settled(&lease.receipt);
        }
        self.error(verb, &lease.message_id, fault)
    }

    /// Puts a copy with the reason into the dead-letter queue. The dedup id
    /// makes a second try within 5 minutes the same copy; a later one is a
    /// second copy, and finds the document that the first one became.
    pub(super) async fn copy_to_dead(&self, lease: &Lease, reason: &str) -> Result<(), QueueError> {
        let end = self.end_of_tries(BURY, lease)?;
        let environment = &self.options.environment;
        let copy = |attempt| async move {
            let request = self.client.send_message().queue_url(&*self.dead);
            let request = request
                .message_group_id(&lease.group)
                .message_deduplication_id(&lease.dedup_id)
                .message_body(&lease.body)
                .set_message_attributes(Some(message::buried_attributes(environment, reason)))
                .customize()
                .config_override(bounded(attempt));
            request.send().await.map_err(Fault::of)
        };
        let called = BURY.retry.run(&*self.clock, end, copy).await;
        called.answer.map_err(|fault| match fault {
            // Of a send it says nothing about the lease.
            Fault::Lost => refused(BURY, format!("SQS answers {fault:?} to a send")),
            fault => self.error(BURY, &lease.message_id, fault),
        })?;
        Ok(())
    }
}
