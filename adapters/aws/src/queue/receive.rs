//! Receiving from the queue and from its dead-letter queue.

use std::time::Duration;

use aws_sdk_sqs::types::Message;
use trawler_core::ports::{QueueError, RECEIVE_WAIT_MAX};

use super::fault::Fault;
use super::{RELEASE, SqsQueue, Verb, bounded, message, refused, retry, seconds};
use crate::cloud::POLL_ATTEMPT_MAX;

impl SqsQueue {
    /// Takes up to `slots` messages, waiting so long for the first.
    pub(super) async fn take(
        &self,
        verb: Verb,
        url: &str,
        slots: usize,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        // One id for all tries: a repetition gets the messages of an answer
        // that was lost, and their visibility begins anew (ReceiveMessage,
        // ReceiveRequestAttemptId).
        let id = format!("{:016x}{:016x}", retry::random(), retry::random());
        let id = id.as_str();
        let begun = self.now();
        let end = begun + wait.max(verb.retry.within);
        let slots = i32::try_from(slots).unwrap_or(i32::MAX);
        let take = |_| {
            let left = (begun + wait).saturating_sub(self.now());
            let attempt = left + (POLL_ATTEMPT_MAX - RECEIVE_WAIT_MAX);
            async move {
                let request = self.client.receive_message().queue_url(url);
                let request = request
                    .max_number_of_messages(slots)
                    .wait_time_seconds(seconds(left))
                    .visibility_timeout(seconds(self.options.visibility))
                    .receive_request_attempt_id(id)
                    .set_message_system_attribute_names(Some(message::SYSTEM.to_vec()))
                    .message_attribute_names(message::ENVIRONMENT)
                    .message_attribute_names(message::BURIED)
                    .customize()
                    .config_override(bounded(attempt));
                request.send().await.map_err(Fault::of)
            }
        };
        let called = verb.retry.run(&*self.clock, end, take).await;
        let answer = called.answer.map_err(|fault| self.error(verb, "", fault))?;
        let messages = answer.messages.unwrap_or_default();
        self.check_environment(verb, url, &messages).await?;
        let now = self.now();
        for message in &messages {
            let receipt = message::receipt(message);
            self.leases.received(receipt, now, self.options.visibility);
        }
        Ok(messages)
    }

    /// Gives everything back when a message of another fleet is among it.
    async fn check_environment(
        &self,
        verb: Verb,
        url: &str,
        messages: &[Message],
    ) -> Result<(), QueueError> {
        let ours = &self.options.environment;
        let other = messages
            .iter()
            .find_map(|message| message::other_environment(message, ours));
        let Some(other) = other else {
            return Ok(());
        };
        for message in messages {
            let give_back = |attempt| async move {
                let request = self.client.change_message_visibility();
                let request = request
                    .queue_url(url)
                    .receipt_handle(message::receipt(message))
                    .visibility_timeout(0)
                    .customize()
                    .config_override(bounded(attempt));
                request.send().await.map_err(Fault::of)
            };
            let end = self.now() + RELEASE.retry.within;
            let called = RELEASE.retry.run(&*self.clock, end, give_back).await;
            if let Err(fault) = called.answer {
                tracing::debug!(
                    ?fault,
                    "a message of environment {other} comes back when its visibility ends"
                );
            }
        }
        Err(refused(
            verb,
            format!(
                "queue {} holds messages of environment {other}, and this is {ours}; two fleets share one queue: give each its own [queue] names",
                self.options.queue
            ),
        ))
    }
}
