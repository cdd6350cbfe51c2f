//! The `Queue` port over [`Sqs`]: which requests each verb is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trawler_core::ports::{
    BATCH_MAX, Depth, Lease, MESSAGE_BYTES_MAX, Outgoing, Queue, QueueError, SendError,
};

use super::sqs::{Entry, Received, Side, Sqs, SqsError};
use super::wire::{Outage, Wire};

/// A process's handle on a queue.
pub struct ModelQueue {
    sqs: Arc<Sqs>,
    wire: Wire,
}

impl ModelQueue {
    pub fn new(sqs: &Arc<Sqs>, wire: &Wire) -> Arc<Self> {
        Arc::new(Self {
            sqs: Arc::clone(sqs),
            wire: wire.clone(),
        })
    }

    async fn send_entries(
        &self,
        verb: &'static str,
        side: Side,
        entries: Vec<Entry>,
    ) -> Result<Vec<Result<(), SqsError>>, QueueError> {
        let sqs = Arc::clone(&self.sqs);
        let sent = self
            .wire
            .call(async move { sqs.send_message_batch(side, entries) })
            .await;
        answer(verb, "", sent)
    }

    async fn receive_from(
        &self,
        verb: &'static str,
        side: Side,
        slots: usize,
        wait: Duration,
    ) -> Result<Vec<Lease>, QueueError> {
        let sqs = Arc::clone(&self.sqs);
        let received = self
            .wire
            .call(async move { sqs.receive_message(side, slots, wait).await })
            .await;
        let received = answer(verb, "", received)?;
        Ok(received.into_iter().map(lease).collect())
    }

    async fn delete(
        &self,
        verb: &'static str,
        side: Side,
        lease: &Lease,
    ) -> Result<(), QueueError> {
        let (sqs, receipt) = (Arc::clone(&self.sqs), lease.receipt.clone());
        let deleted = self
            .wire
            .call(async move { sqs.delete_message(side, &receipt) })
            .await;
        answer(verb, &lease.message_id, deleted)
    }

    async fn hide(
        &self,
        verb: &'static str,
        lease: &Lease,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let (sqs, receipt) = (Arc::clone(&self.sqs), lease.receipt.clone());
        let changed = self
            .wire
            .call(async move { sqs.change_message_visibility(Side::Live, &receipt, visibility) })
            .await;
        answer(verb, &lease.message_id, changed)
    }
}

#[async_trait]
impl Queue for ModelQueue {
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        if batch.len() > BATCH_MAX {
            return Err(refused("send", "more than ten messages"));
        }
        let mut failed = Vec::new();
        let mut fail = |index: usize, message: &Outgoing, source| {
            failed.push(SendError {
                index,
                dedup_id: message.dedup_id.clone(),
                source,
            });
        };
        let mut entries = Vec::new();
        let mut indices = Vec::new();
        for (index, message) in batch.iter().enumerate() {
            if message.body.len() > MESSAGE_BYTES_MAX {
                fail(index, message, refused("send", "the body is over 32 KiB"));
                continue;
            }
            indices.push(index);
            entries.push(Entry {
                group: message.group.clone(),
                dedup_id: message.dedup_id.clone(),
                body: message.body.clone(),
                reason: None,
            });
        }
        if !entries.is_empty() {
            let sent = self.send_entries("send", Side::Live, entries).await?;
            for (index, outcome) in indices.into_iter().zip(sent) {
                if let Err(error) = outcome {
                    fail(index, &batch[index], queue_error("send", "", error));
                }
            }
        }
        failed.sort_by_key(|error| error.index);
        Ok(failed)
    }

    async fn receive(&self, slots: usize, wait: Duration) -> Result<Vec<Lease>, QueueError> {
        self.receive_from("receive", Side::Live, slots, wait).await
    }

    async fn extend(&self, lease: &Lease, visibility: Duration) -> Result<(), QueueError> {
        if visibility.is_zero() {
            return Err(refused("extend", "zero would give the lease up"));
        }
        self.hide("extend", lease, visibility).await
    }

    async fn ack(&self, lease: Lease) -> Result<(), QueueError> {
        self.delete("ack", Side::Live, &lease).await
    }

    async fn release(&self, lease: Lease, after: Duration) -> Result<(), QueueError> {
        self.hide("release", &lease, after).await
    }

    async fn bury(&self, lease: Lease, reason: &str) -> Result<(), QueueError> {
        // Whoever has lost the lease must not leave a copy behind; and the
        // copy comes before the delete, so that nothing is lost in between.
        self.hide("bury", &lease, self.sqs.options().visibility)
            .await?;
        let entry = Entry {
            group: lease.group.clone(),
            dedup_id: lease.dedup_id.clone(),
            body: lease.body.clone(),
            reason: Some(reason.to_owned()),
        };
        let sent = self.send_entries("bury", Side::Dead, vec![entry]).await?;
        for outcome in sent {
            outcome.map_err(|error| queue_error("bury", &lease.message_id, error))?;
        }
        self.delete("bury", Side::Live, &lease).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let sqs = Arc::clone(&self.sqs);
        let depth = self
            .wire
            .call(async move { sqs.get_queue_attributes(Side::Live) })
            .await;
        answer("depth", "", depth)
    }

    async fn receive_dead(&self, slots: usize) -> Result<Vec<Lease>, QueueError> {
        self.receive_from("receive_dead", Side::Dead, slots, Duration::ZERO)
            .await
    }

    async fn ack_dead(&self, lease: Lease) -> Result<(), QueueError> {
        self.delete("ack_dead", Side::Dead, &lease).await
    }

    fn visibility(&self) -> Duration {
        self.sqs.options().visibility
    }
}

fn lease(received: Received) -> Lease {
    Lease {
        message_id: received.message_id,
        group: received.entry.group.clone(),
        dedup_id: received.entry.dedup_id.clone(),
        body: received.entry.body.clone(),
        receive_count: received.receives,
        receipt: received.receipt,
        buried: received.entry.reason.clone(),
    }
}

fn answer<T>(
    verb: &'static str,
    message_id: &str,
    answer: Result<Result<T, SqsError>, Outage>,
) -> Result<T, QueueError> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(queue_error(verb, message_id, error)),
        Err(outage) => Err(QueueError::Unavailable {
            verb,
            source: outage.into(),
        }),
    }
}

fn queue_error(verb: &'static str, message_id: &str, error: SqsError) -> QueueError {
    match error {
        SqsError::RequestThrottled => QueueError::Unavailable {
            verb,
            source: error.into(),
        },
        SqsError::ReceiptHandleIsInvalid => QueueError::LeaseLost {
            verb,
            message_id: message_id.to_owned(),
        },
        SqsError::Refused { .. } => refused(verb, &error.to_string()),
    }
}

fn refused(verb: &'static str, reason: &str) -> QueueError {
    QueueError::Refused {
        verb,
        reason: reason.to_owned(),
    }
}
