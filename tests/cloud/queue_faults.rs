//! What the network and a busy or odd SQS do to the queue, and that nothing is
//! lost or done twice by it.

use std::time::{Duration, Instant};

use serde_json::json;
use trawler_aws::{Cloud, SqsQueue};
use trawler_core::ports::{BATCH_MAX, Lease, MESSAGE_BYTES_MAX, Outgoing, Queue, QueueError};
use trawler_tests::emulator::REGION;
use trawler_tests::proxy::{Fault, FaultProxy};

use crate::queue_support::{
    Answer, Script, VISIBILITY, clock, create, delivery, endpoint, message, options, reason, send,
    take_one, usual,
};

const SECOND: Duration = Duration::from_secs(1);

/// A fresh queue behind a proxy.
async fn proxied(name: &str) -> (SqsQueue, FaultProxy) {
    let options = options(name);
    create(&options).await;
    let proxy = FaultProxy::start(&endpoint().await).await;
    let cloud = Cloud::at(&proxy.endpoint(), REGION).await;
    let queue = SqsQueue::open(&cloud, clock(), options).await.unwrap();
    (queue, proxy)
}

fn fail_next(proxy: &FaultProxy, operation: &'static str, fault: Fault) {
    proxy.fail_next(move |call| call.operation == operation, fault);
}

#[tokio::test]
async fn throttled_and_broken_calls_are_tried_again() {
    let (queue, proxy) = proxied("tried-again.fifo").await;
    for fault in [Fault::Busy, Fault::Reset] {
        for operation in [
            "SendMessageBatch",
            "ReceiveMessage",
            "ChangeMessageVisibility",
            "DeleteMessage",
            "GetQueueAttributes",
        ] {
            fail_next(&proxy, operation, fault);
            fail_next(&proxy, operation, fault);
        }
        let group = format!("{fault:?}");
        send(&queue, &[&group]).await;
        let lease = take_one(&queue).await;
        assert_eq!(lease.receive_count, 1);
        queue.extend(&lease, VISIBILITY).await.unwrap();
        queue.ack(lease).await.unwrap();
        assert_eq!(queue.depth().await.unwrap().total(), 0);
        assert_eq!(proxy.waiting(), 0, "every fault was met");
    }
}

#[tokio::test]
async fn lost_answers_change_nothing() {
    let (queue, proxy) = proxied("lost-answers.fifo").await;
    fail_next(&proxy, "SendMessageBatch", Fault::Lost);
    send(&queue, &["a", "b", "c"]).await;
    assert_eq!(queue.depth().await.unwrap().visible, 3);

    let lease = take_one(&queue).await;
    fail_next(&proxy, "ChangeMessageVisibility", Fault::Lost);
    queue.extend(&lease, VISIBILITY).await.unwrap();
    // The emulator says of the repetition that the receipt is not valid.
    fail_next(&proxy, "DeleteMessage", Fault::Lost);
    queue.ack(lease).await.unwrap();

    let lease = take_one(&queue).await;
    let group = lease.group.clone();
    fail_next(&proxy, "ChangeMessageVisibility", Fault::Lost);
    queue.release(lease, Duration::ZERO).await.unwrap();
    let again = take_one(&queue).await;
    assert_eq!((&again.group, again.receive_count), (&group, 2));

    for operation in ["ChangeMessageVisibility", "SendMessage", "DeleteMessage"] {
        fail_next(&proxy, operation, Fault::Lost);
    }
    queue.bury(again, "for the test").await.unwrap();
    let dead = queue.receive_dead(10).await.unwrap();
    assert_eq!(dead.len(), 1, "one copy");
    assert_eq!(dead[0].buried.as_deref(), Some("for the test"));
    assert_eq!(queue.depth().await.unwrap().total(), 1);
    assert_eq!(proxy.waiting(), 0, "every fault was met");
}

/// The hand-back of a worker has 5 s; the machine of a test may be busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5 + 2);

async fn is_unavailable(call: impl Future<Output = Result<(), QueueError>>) {
    let begun = Instant::now();
    match call.await {
        // Its tries end with the lease, and the lease may have ended.
        Err(QueueError::Unavailable { .. } | QueueError::LeaseLost { .. }) => {}
        other => panic!("it cannot be reached: {other:?}"),
    }
    assert!(begun.elapsed() < ANSWERS_WITHIN, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_unreachable_queue_is_unavailable_within_its_bounds() {
    let (queue, proxy) = proxied("unreachable.fifo").await;
    send(&queue, &["a", "b"]).await;
    let (one, other) = (take_one(&queue).await, take_one(&queue).await);
    proxy.cut();
    tokio::join!(
        is_unavailable(queue.extend(&one, VISIBILITY)),
        is_unavailable(queue.release(other, Duration::ZERO)),
        is_unavailable(async { queue.receive(1, Duration::ZERO).await.map(drop) }),
        is_unavailable(async { queue.depth().await.map(drop) }),
    );
    proxy.mend();
    // What was held comes back by itself.
    let mut back = Vec::new();
    while back.len() < 2 {
        let lease = take_one(&queue).await;
        back.push(lease.group.clone());
        queue.ack(lease).await.unwrap();
    }
    back.sort();
    assert_eq!(back, ["a", "b"]);
}

#[tokio::test]
async fn the_largest_batch_goes_in_one_call() {
    let (queue, proxy) = proxied("largest.fifo").await;
    let batch: Vec<Outgoing> = (0..BATCH_MAX)
        .map(|n| Outgoing {
            dedup_id: n.to_string(),
            body: "가".repeat(MESSAGE_BYTES_MAX / 3),
            ..message("g")
        })
        .collect();
    assert!(queue.send(&batch).await.unwrap().is_empty());
    let sends: u64 = proxy
        .counts()
        .operations
        .iter()
        .filter(|((_, operation), _)| operation.starts_with("SendMessage"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(sends, 1);
}

#[tokio::test]
async fn what_fails_of_a_batch_is_sent_again_by_itself() {
    let script = Script::start(|asked| match asked.operation.as_str() {
        "SendMessageBatch" => Answer::ok(json!({
            "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": ""}],
            "Failed": [
                {"Id": "1", "Code": "InternalError", "SenderFault": false, "Message": "try again"},
                {"Id": "2", "Code": "InvalidMessageContents", "SenderFault": true, "Message": "not so"},
                {"Id": "3", "Code": "RequestThrottled", "SenderFault": true, "Message": "slower"},
            ],
        })),
        // The one that SQS said nothing about goes wrong for good.
        "SendMessage" if asked.body["MessageDeduplicationId"] == "e-1" => {
            Answer::error(400, "InvalidMessageContents", "nor this")
        }
        "SendMessage" if asked.before == 0 => Answer::error(500, "InternalError", "once more"),
        _ => usual(asked),
    })
    .await;
    let queue = script.open().await.unwrap();
    let batch = ["a", "b", "c", "d", "e"].map(message);
    let failed = queue.send(&batch).await.unwrap();
    let told: Vec<(usize, &str, String)> = failed
        .iter()
        .map(|error| {
            (
                error.index,
                error.dedup_id.as_str(),
                error.source.to_string(),
            )
        })
        .collect();
    let refused = |said: &str| format!("send: queue script.fifo: InvalidMessageContents: {said}");
    assert_eq!(
        told,
        [
            (2, "c-1", refused("not so")),
            (4, "e-1", refused("nor this"))
        ]
    );
    assert_eq!(script.seen("SendMessageBatch").len(), 1);
    let alone: Vec<_> = script
        .seen("SendMessage")
        .iter()
        .map(|asked| asked.body["MessageDeduplicationId"].clone())
        .collect();
    assert_eq!(alone, ["b-1", "b-1", "d-1", "e-1"]);
}

#[tokio::test]
async fn a_batch_that_is_too_long_goes_one_by_one() {
    let script = Script::start(|asked| match asked.operation.as_str() {
        "SendMessageBatch" => Answer::error(
            400,
            "AWS.SimpleQueueService.BatchRequestTooLong",
            "Batch requests cannot be longer than 262144 bytes.",
        ),
        _ => usual(asked),
    })
    .await;
    let queue = script.open().await.unwrap();
    let failed = queue.send(&["a", "b"].map(message)).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(script.seen("SendMessage").len(), 2);
}

#[tokio::test]
async fn all_tries_of_a_receive_are_one_attempt_to_sqs() {
    let script = Script::start(|asked| match asked.operation.as_str() {
        "ReceiveMessage" if asked.before < 3 => Answer::error(503, "ServiceUnavailable", "later"),
        "ReceiveMessage" => delivery(),
        _ => usual(asked),
    })
    .await;
    let queue = script.open().await.unwrap();
    take_one(&queue).await;
    take_one(&queue).await;
    let ids: Vec<_> = script
        .seen("ReceiveMessage")
        .iter()
        .map(|asked| {
            asked.body["ReceiveRequestAttemptId"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 5);
    assert!(ids[..4].iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(ids[3], ids[4]);
}

/// A queue that delivers one message and answers a settling so, by how often
/// it was asked before.
async fn settled_so(
    operation: &'static str,
    answers: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (Script, SqsQueue, Lease) {
    let script = Script::start(move |asked| match asked.operation.as_str() {
        "ReceiveMessage" => delivery(),
        found if found == operation => answers(asked.before),
        _ => usual(asked),
    })
    .await;
    let queue = script.open().await.unwrap();
    let lease = take_one(&queue).await;
    (script, queue, lease)
}

fn expired() -> Answer {
    let said =
        "Value r for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
    Answer::error(400, "InvalidParameterValue", said)
}

fn is_lost<T>(result: &Result<T, QueueError>) -> bool {
    matches!(result, Err(QueueError::LeaseLost { message_id, .. }) if message_id == "m")
}

#[tokio::test]
async fn an_expired_receipt_is_a_lost_lease_and_ends_it() {
    let (script, queue, lease) = settled_so("ChangeMessageVisibility", |_| expired()).await;
    assert!(is_lost(&queue.extend(&lease, SECOND).await));
    // Nobody asks SQS about it any more.
    assert!(is_lost(&queue.bury(lease, "for the test").await));
    assert_eq!(script.seen("ChangeMessageVisibility").len(), 1);
    assert!(script.seen("SendMessage").is_empty());

    let (_script, queue, lease) = settled_so("DeleteMessage", |_| expired()).await;
    assert!(is_lost(&queue.ack(lease).await));
    let gone = || Answer::error(404, "ReceiptHandleIsInvalid", "The input receipt handle");
    let (_script, queue, lease) = settled_so("DeleteMessage", move |_| gone()).await;
    assert!(is_lost(&queue.ack(lease).await));
    let visible = || Answer::error(400, "AWS.SimpleQueueService.MessageNotInflight", "");
    let (_script, queue, lease) = settled_so("ChangeMessageVisibility", move |_| visible()).await;
    assert!(is_lost(&queue.release(lease, SECOND).await));
}

#[tokio::test]
async fn a_receipt_that_our_own_lost_call_used_up_is_settled() {
    let once_lost = |before: usize| match before {
        0 => Answer::error(500, "InternalError", "who knows"),
        _ => expired(),
    };
    let (_script, queue, lease) = settled_so("DeleteMessage", once_lost).await;
    queue.ack(lease).await.unwrap();
    let (_script, queue, lease) = settled_so("ChangeMessageVisibility", once_lost).await;
    queue.release(lease, Duration::ZERO).await.unwrap();
    // An extension leaves the receipt good: that it is not, somebody else did.
    let (_script, queue, lease) = settled_so("ChangeMessageVisibility", once_lost).await;
    assert!(is_lost(&queue.extend(&lease, SECOND).await));
    // A throttled call was not done.
    let throttled = |before: usize| match before {
        0 => Answer::error(400, "ThrottlingException", "slower"),
        _ => expired(),
    };
    let (_script, queue, lease) = settled_so("DeleteMessage", throttled).await;
    assert!(is_lost(&queue.ack(lease).await));
}

#[tokio::test]
async fn beyond_twelve_hours_by_sqs_the_call_is_refused_and_the_lease_stands() {
    let beyond = "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]";
    let answers = move |before: usize| match before {
        0 => Answer::error(400, "InvalidParameterValue", beyond),
        _ => Answer::ok(json!({})),
    };
    let (_script, queue, lease) = settled_so("ChangeMessageVisibility", answers).await;
    let told = reason(queue.extend(&lease, SECOND).await);
    assert!(
        told.contains("more than 43200s after its receive"),
        "{told}"
    );
    queue.extend(&lease, SECOND).await.unwrap();
}

#[tokio::test]
async fn what_nobody_knows_passes_or_is_told_with_its_code() {
    let script = Script::start(|asked| match asked.operation.as_str() {
        "ReceiveMessage" => Answer::error(500, "SomethingNew", "it is new"),
        "SendMessageBatch" => Answer::error(400, "SomethingNew", "it is new"),
        "GetQueueAttributes" if asked.body["AttributeNames"] != json!(["All"]) => {
            Answer::error(400, "KMS.DisabledException", "the key is disabled")
        }
        _ => usual(asked),
    })
    .await;
    let queue = script.open().await.unwrap();
    let received = queue.receive(1, Duration::ZERO).await;
    assert!(received.is_err_and(|error| error.is_transient()));
    assert!(script.seen("ReceiveMessage").len() > 1);
    let told = reason(queue.send(&[message("g")]).await);
    assert_eq!(told, "queue script.fifo: SomethingNew: it is new");
    let told = reason(queue.depth().await);
    assert_eq!(
        told,
        "queue script.fifo: KMS.DisabledException: the key is disabled"
    );
}
