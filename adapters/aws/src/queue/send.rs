//! Sending: ten in a call, and what fails alone once more alone.

use std::time::Duration;

use trawler_core::ports::{Outgoing, QueueError, SendError};

use super::fault::Fault;
use super::{SEND, SqsQueue, bounded, message};

impl SqsQueue {
    /// Sends the messages at these places in one call. Answers those that have
    /// to be sent by themselves; what cannot be sent goes to `failed`.
    pub(super) async fn send_batch(
        &self,
        batch: &[Outgoing],
        places: &[usize],
        end: Duration,
        failed: &mut Vec<SendError>,
    ) -> Result<Vec<usize>, QueueError> {
        let environment = &self.options.environment;
        let send = |attempt| async move {
            let entries = places
                .iter()
                .map(|&place| message::entry(place, &batch[place], environment));
            let request = self.client.send_message_batch().queue_url(&*self.live);
            let request = request
                .set_entries(Some(entries.collect()))
                .customize()
                .config_override(bounded(attempt));
            request.send().await.map_err(Fault::of)
        };
        let called = SEND.retry.run(&*self.clock, end, send).await;
        let answer = match called.answer {
            Ok(answer) => answer,
            Err(Fault::BatchTooLong) => return Ok(places.to_vec()),
            Err(fault) => return Err(self.error(SEND, "", fault)),
        };
        let id = |place: usize| place.to_string();
        let mut alone = Vec::new();
        for &place in places {
            let refusal = answer.failed().iter().find(|entry| entry.id() == id(place));
            let accepted = answer
                .successful()
                .iter()
                .any(|entry| entry.id() == id(place));
            match refusal.map(Fault::of_entry) {
                // One that is in neither list is sent again: the dedup id
                // keeps it from being there twice.
                None if accepted => {}
                None | Some(Fault::Passing { .. }) => alone.push(place),
                Some(fault) => failed.push(self.send_error(place, &batch[place], fault)),
            }
        }
        Ok(alone)
    }

    pub(super) async fn send_one(&self, message: &Outgoing, end: Duration) -> Result<(), Fault> {
        let environment = &self.options.environment;
        let send = |attempt| async move {
            let request = self.client.send_message().queue_url(&*self.live);
            let request = request
                .message_group_id(&message.group)
                .message_deduplication_id(&message.dedup_id)
                .message_body(&message.body)
                .message_attributes(message::ENVIRONMENT, message::text(environment.as_str()))
                .customize()
                .config_override(bounded(attempt));
            request.send().await.map_err(Fault::of)
        };
        let called = SEND.retry.run(&*self.clock, end, send).await;
        called.answer.map(|_| ())
    }

    pub(super) fn send_error(&self, index: usize, message: &Outgoing, fault: Fault) -> SendError {
        SendError {
            index,
            dedup_id: message.dedup_id.clone(),
            source: self.error(SEND, "", fault),
        }
    }
}
