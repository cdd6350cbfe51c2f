//! Messages as SQS carries them.

use std::collections::HashMap;

use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use trawler_core::Environment;
use trawler_core::ports::message_bounds::{REASON_CHARS_MAX, clip_reason};
use trawler_core::ports::{BATCH_MAX, Lease, MESSAGE_BYTES_MAX, Outgoing};

/// Which fleet sent the message.
pub(super) const ENVIRONMENT: &str = "trawler-environment";

/// Why the message was buried.
pub(super) const BURIED: &str = "trawler-buried";

/// The system attributes of a delivery that the port asks for.
pub(super) const SYSTEM: [MessageSystemAttributeName; 4] = [
    MessageSystemAttributeName::MessageGroupId,
    MessageSystemAttributeName::MessageDeduplicationId,
    MessageSystemAttributeName::ApproximateReceiveCount,
    MessageSystemAttributeName::DeadLetterQueueSourceArn,
];

/// Names, types and values of our attributes, which count towards a message's
/// size; a character takes 4 bytes at most.
const ATTRIBUTE_BYTES_MAX: usize = 4 * REASON_CHARS_MAX + 256;

/// What the queue must let pass in one message.
pub(super) const MESSAGE_SIZE_MAX: usize = MESSAGE_BYTES_MAX + ATTRIBUTE_BYTES_MAX;

/// What SQS takes in one batch.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

// Every batch fits, so that none has to be measured. Where the service's bound
// is an older one, of 256 KiB, it says so, and the batch goes one by one.
const _: () = assert!(BATCH_MAX * MESSAGE_SIZE_MAX <= BATCH_BYTES_MAX);

pub(super) fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .expect("the data type is set")
}

/// The message at a place of a batch; its id there is the place.
pub(super) fn entry(
    index: usize,
    message: &Outgoing,
    environment: &Environment,
) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_group_id(&message.group)
        .message_deduplication_id(&message.dedup_id)
        .message_body(&message.body)
        .message_attributes(ENVIRONMENT, text(environment.as_str()))
        .build()
        .expect("id and body are set")
}

/// The attributes of a message in the dead-letter queue. An empty value is
/// none that SQS takes.
pub(super) fn buried_attributes(
    environment: &Environment,
    reason: &str,
) -> HashMap<String, MessageAttributeValue> {
    let reason = match clip_reason(reason) {
        reason if reason.is_empty() => "no reason was given".to_owned(),
        reason => reason,
    };
    HashMap::from([
        (ENVIRONMENT.to_owned(), text(environment.as_str())),
        (BURIED.to_owned(), text(&reason)),
    ])
}

fn attribute<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message
        .message_attributes()
        .and_then(|attributes| attributes.get(name))
        .and_then(MessageAttributeValue::string_value)
}

/// The environment that sent the message, when it is not ours. A message
/// without any comes from no fleet: it is delivered, and whoever gets it keeps
/// what it cannot understand as a dead letter.
pub(super) fn other_environment<'a>(message: &'a Message, ours: &Environment) -> Option<&'a str> {
    attribute(message, ENVIRONMENT).filter(|found| *found != ours.as_str())
}

pub(super) fn receipt(message: &Message) -> &str {
    message.receipt_handle().unwrap_or_default()
}

/// A delivery as the port tells it; of the dead-letter queue with the reason.
pub(super) fn lease(message: &Message, dead_after: Option<u32>) -> Lease {
    let system = |name: MessageSystemAttributeName| {
        let attributes = message.attributes();
        attributes.and_then(|attributes| attributes.get(&name).map(String::as_str))
    };
    let moved_by_sqs = system(MessageSystemAttributeName::DeadLetterQueueSourceArn).is_some();
    let buried = dead_after.and_then(|receives| {
        let reason = attribute(message, BURIED).map(str::to_owned);
        reason.or_else(|| moved_by_sqs.then(|| format!("received {receives} times without an ack")))
    });
    let count = system(MessageSystemAttributeName::ApproximateReceiveCount);
    Lease {
        message_id: message.message_id().unwrap_or_default().to_owned(),
        group: system(MessageSystemAttributeName::MessageGroupId)
            .unwrap_or_default()
            .to_owned(),
        dedup_id: system(MessageSystemAttributeName::MessageDeduplicationId)
            .unwrap_or_default()
            .to_owned(),
        body: message.body().unwrap_or_default().to_owned(),
        receive_count: count.and_then(|count| count.parse().ok()).unwrap_or(1),
        receipt: receipt(message).to_owned(),
        buried,
    }
}
