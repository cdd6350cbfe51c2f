//! The queue on SQS FIFO.
//!
//! The verbs of the port are here, and the calls behind them in `send`,
//! `receive` and `settle`; how often SQS is asked is in `retry`, what its
//! errors mean in `fault`, which leases still stand in `leases`, what queues
//! must look like in `attributes`, and how one is found or made in `open`. The oldest age of a message is not here: SQS has none
//! for FIFO queues, the ledger has.
//!
//! SQS counts in whole seconds: visibilities, delays and waits are rounded up.

mod attributes;
mod fault;
mod leases;
mod message;
mod open;
mod options;
mod receive;
mod retry;
mod send;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_sdk_sqs::{Client, config};
use aws_smithy_types::retry::RetryConfig;
use trawler_core::ports::{
    Clock, Depth, Lease, Outgoing, Queue, QueueError, SendError, message_bounds as bounds,
};

use crate::cloud::{ATTEMPT_MAX, CONNECT_MAX, Cloud};
use attributes::Attributes;
pub use attributes::QueueFinding;
use fault::Fault;
use leases::Leases;
pub use open::SqsOpenError;
pub use options::SqsOptions;
use retry::Retry;

/// A FIFO queue with its dead-letter queue.
pub struct SqsQueue {
    client: Client,
    clock: Arc<dyn Clock>,
    /// URLs.
    live: Arc<str>,
    dead: Arc<str>,
    leases: Leases,
    options: SqsOptions,
}

/// A verb of the port, the permission that it needs, and how it is tried.
#[derive(Clone, Copy)]
struct Verb {
    name: &'static str,
    action: &'static str,
    retry: Retry,
}

impl Verb {
    const fn new(name: &'static str, action: &'static str, retry: Retry) -> Self {
        Self {
            name,
            action,
            retry,
        }
    }
}

const SEND: Verb = Verb::new("send", "sqs:SendMessage", retry::SEND);
const RECEIVE: Verb = Verb::new("receive", "sqs:ReceiveMessage", retry::RECEIVE);
const EXTEND: Verb = Verb::new("extend", "sqs:ChangeMessageVisibility", retry::EXTEND);
const ACK: Verb = Verb::new("ack", "sqs:DeleteMessage", retry::ACK);
const RELEASE: Verb = Verb::new("release", "sqs:ChangeMessageVisibility", retry::RELEASE);
const BURY: Verb = Verb::new(
    "bury",
    "sqs:ChangeMessageVisibility, sqs:SendMessage and sqs:DeleteMessage",
    retry::ACK,
);
const DEPTH: Verb = Verb::new("depth", "sqs:GetQueueAttributes", retry::DEPTH);
const RECEIVE_DEAD: Verb = Verb::new("receive_dead", RECEIVE.action, RECEIVE.retry);
const ACK_DEAD: Verb = Verb::new("ack_dead", ACK.action, ACK.retry);

fn client(cloud: &Cloud) -> Client {
    let config = config::Builder::from(cloud.config())
        .retry_config(RetryConfig::disabled())
        .timeout_config(attempt_within(ATTEMPT_MAX))
        .build();
    Client::from_conf(config)
}

fn attempt_within(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(attempt)
        .disable_operation_timeout()
        .build()
}

/// For one call whose attempts may take so long.
fn bounded(attempt: Duration) -> config::Builder {
    config::Builder::new().timeout_config(attempt_within(attempt))
}

/// Whole seconds, rounded up; bounded by 12 h before it gets here.
fn seconds(span: Duration) -> i32 {
    let up = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    i32::try_from(up).unwrap_or(i32::MAX)
}

fn refused(verb: Verb, reason: String) -> QueueError {
    QueueError::Refused {
        verb: verb.name,
        reason,
    }
}

impl SqsQueue {
    fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    fn error(&self, verb: Verb, message_id: &str, fault: Fault) -> QueueError {
        fault.into_queue_error(verb.name, verb.action, &self.options.queue, message_id)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    /// A message of a batch that fails alone is sent again behind those that
    /// were accepted: SQS keeps the order of sending, not of the batch.
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError> {
        bounds::check_batch(batch).map_err(|reason| refused(SEND, reason))?;
        let mut failed = Vec::new();
        let mut places = Vec::with_capacity(batch.len());
        for (index, message) in batch.iter().enumerate() {
            match bounds::check_message(message) {
                Ok(()) => places.push(index),
                Err(reason) => failed.push(SendError {
                    index,
                    dedup_id: message.dedup_id.clone(),
                    source: refused(SEND, reason),
                }),
            }
        }
        if places.is_empty() {
            return Ok(failed);
        }
        let end = self.now() + SEND.retry.within;
        let alone = self.send_batch(batch, &places, end, &mut failed).await?;
        for place in alone {
            if let Err(fault) = self.send_one(&batch[place], end).await {
                failed.push(self.send_error(place, &batch[place], fault));
            }
        }
        failed.sort_by_key(|error| error.index);
        Ok(failed)
    }

    async fn receive(&self, slots: usize, wait: Duration) -> Result<Vec<Lease>, QueueError> {
        bounds::check_receive(slots, wait).map_err(|reason| refused(RECEIVE, reason))?;
        let messages = self.take(RECEIVE, &self.live, slots, wait).await?;
        let leases = messages.iter().map(|message| message::lease(message, None));
        Ok(leases.collect())
    }

    async fn extend(&self, lease: &Lease, visibility: Duration) -> Result<(), QueueError> {
        bounds::check_extend(visibility).map_err(|reason| refused(EXTEND, reason))?;
        self.extend_by(EXTEND, lease, visibility).await
    }

    async fn ack(&self, lease: Lease) -> Result<(), QueueError> {
        self.delete(ACK, &self.live, &lease).await
    }

    async fn release(&self, lease: Lease, after: Duration) -> Result<(), QueueError> {
        bounds::check_release(after).map_err(|reason| refused(RELEASE, reason))?;
        // A repetition that finds the receipt gone after an answer was lost
        // finds its own release.
        self.hide(RELEASE, &lease, after).await?;
        self.leases.settled(&lease.receipt);
        Ok(())
    }

    /// Extends, copies, deletes: the extension shows that the lease is still
    /// held, so that who has lost it buries nothing. Dying between the two
    /// last leaves the message in both queues; it is delivered and buried
    /// again, which loses nothing.
    async fn bury(&self, lease: Lease, reason: &str) -> Result<(), QueueError> {
        self.extend_by(BURY, &lease, self.options.visibility)
            .await?;
        self.copy_to_dead(&lease, reason).await?;
        self.delete(BURY, &self.live, &lease).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        };
        let count = |attempt| async move {
            let request = self.client.get_queue_attributes().queue_url(&*self.live);
            let request = request
                .attribute_names(ApproximateNumberOfMessages)
                .attribute_names(ApproximateNumberOfMessagesNotVisible)
                .attribute_names(ApproximateNumberOfMessagesDelayed)
                .customize()
                .config_override(bounded(attempt));
            request.send().await.map_err(Fault::of)
        };
        let end = self.now() + DEPTH.retry.within;
        let called = DEPTH.retry.run(&*self.clock, end, count).await;
        let answer = called
            .answer
            .map_err(|fault| self.error(DEPTH, "", fault))?;
        let counts = Attributes::of(answer.attributes());
        Ok(Depth {
            visible: counts.count(&ApproximateNumberOfMessages),
            in_flight: counts.count(&ApproximateNumberOfMessagesNotVisible),
            delayed: counts.count(&ApproximateNumberOfMessagesDelayed),
        })
    }

    /// Does not wait: what a short poll misses is there at the next sweep.
    async fn receive_dead(&self, slots: usize) -> Result<Vec<Lease>, QueueError> {
        bounds::check_receive(slots, Duration::ZERO)
            .map_err(|reason| refused(RECEIVE_DEAD, reason))?;
        let wait = Duration::ZERO;
        let messages = self.take(RECEIVE_DEAD, &self.dead, slots, wait).await?;
        let dead_after = Some(self.options.receive_count_max);
        let leases = messages
            .iter()
            .map(|message| message::lease(message, dead_after));
        Ok(leases.collect())
    }

    async fn ack_dead(&self, lease: Lease) -> Result<(), QueueError> {
        self.delete(ACK_DEAD, &self.dead, &lease).await
    }

    fn visibility(&self) -> Duration {
        self.options.visibility
    }
}

impl std::fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsQueue")
            .field("options", &self.options)
            .field("url", &self.live)
            .finish_non_exhaustive()
    }
}
