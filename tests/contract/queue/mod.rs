//! The contract of `Queue`, by topic, and what its cases share.

pub(crate) mod dead;
pub(crate) mod durable;
pub(crate) mod lease;
pub(crate) mod order;
pub(crate) mod poll;
pub(crate) mod send;

use std::time::Duration;

use trawler_core::ports::{BATCH_MAX, Lease, Outgoing, Queue, QueueError};
use trawler_tests::QueueHarness;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The `n`th message of a group; its body is `group:n`.
pub(crate) fn message(group: &str, n: usize) -> Outgoing {
    Outgoing {
        group: group.to_owned(),
        dedup_id: format!("{group}-{n}"),
        body: format!("{group}:{n}"),
    }
}

pub(crate) async fn send_all(queue: &dyn Queue, messages: &[Outgoing]) {
    for batch in messages.chunks(BATCH_MAX) {
        let failed = queue.send(batch).await.unwrap();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

pub(crate) fn bodies(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.body.as_str()).collect()
}

/// What there is for `slots` now.
pub(crate) async fn take(harness: &impl QueueHarness, slots: usize) -> Vec<Lease> {
    harness
        .queue()
        .receive(slots, harness.look())
        .await
        .unwrap()
}

/// The one message there is for one slot now.
pub(crate) async fn take_one(harness: &impl QueueHarness) -> Lease {
    let mut leases = take(harness, 1).await;
    assert_eq!(leases.len(), 1, "a message is visible");
    leases.remove(0)
}

pub(crate) async fn expect_nothing(harness: &impl QueueHarness) {
    let leases = take(harness, BATCH_MAX).await;
    assert!(leases.is_empty(), "nothing is visible: {leases:?}");
}

/// Receives and acks one by one until nothing is visible.
pub(crate) async fn drain(harness: &impl QueueHarness) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(lease) = take(harness, 1).await.pop() {
        seen.push(lease.body.clone());
        harness.queue().ack(lease).await.unwrap();
    }
    seen
}

/// A second copy of a lease, as a worker has it that does not know that its
/// time is over. `Lease` is not `Clone` so that only a test can make one.
pub(crate) fn copy(lease: &Lease) -> Lease {
    Lease {
        message_id: lease.message_id.clone(),
        group: lease.group.clone(),
        dedup_id: lease.dedup_id.clone(),
        body: lease.body.clone(),
        receive_count: lease.receive_count,
        receipt: lease.receipt.clone(),
        buried: lease.buried.clone(),
    }
}

pub(crate) fn assert_lost(result: Result<(), QueueError>, expected: &Lease) {
    match result {
        Err(QueueError::LeaseLost { message_id, .. }) => {
            assert_eq!(message_id, expected.message_id)
        }
        other => panic!("the lease is lost: {other:?}"),
    }
}

pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, QueueError>) {
    match result {
        Err(error @ QueueError::Refused { .. }) => assert!(!error.is_transient()),
        other => panic!("the call is refused: {other:?}"),
    }
}

/// Whether the harness can let so much time pass; says so when it cannot.
pub(crate) fn can_pass(harness: &impl QueueHarness, span: Duration) -> bool {
    let can = span <= harness.patience();
    if !can {
        println!("skipped: {span:?} cannot be made to pass");
    }
    can
}
