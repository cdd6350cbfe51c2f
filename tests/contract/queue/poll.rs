//! Waiting for messages, and counting them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use trawler_core::ports::{BATCH_MAX, Depth, Lease, RECEIVE_WAIT_MAX};
use trawler_tests::{QUEUE_VISIBILITY, QueueHarness, WAIT_MAX};

use super::{SECOND, assert_refused, bodies, message, send_all, take_one};

/// A receive that waits in the background.
fn poll(harness: &impl QueueHarness, wait: Duration) -> JoinHandle<Vec<Lease>> {
    let queue = Arc::clone(&harness.queue());
    tokio::spawn(async move { queue.receive(1, wait).await.unwrap() })
}

async fn ended(polling: JoinHandle<Vec<Lease>>) -> Vec<Lease> {
    tokio::time::timeout(WAIT_MAX, polling)
        .await
        .expect("the poll ends")
        .unwrap()
}

pub(crate) async fn slots_and_waits_have_bounds(harness: impl QueueHarness) {
    let queue = harness.queue();
    send_all(&*queue, &[message("g", 1)]).await;
    assert_refused(queue.receive(0, harness.look()).await);
    assert_refused(queue.receive(BATCH_MAX + 1, harness.look()).await);
    assert_refused(queue.receive(1, RECEIVE_WAIT_MAX + SECOND).await);
    // The longest wait is no obstacle when something is there.
    let leases = queue.receive(BATCH_MAX, RECEIVE_WAIT_MAX).await.unwrap();
    assert_eq!(bodies(&leases), ["g:1"]);
}

pub(crate) async fn an_empty_receive_ends_with_its_wait(harness: impl QueueHarness) {
    let polling = poll(&harness, 3 * SECOND);
    harness.until_waiting().await;
    harness.pass(3 * SECOND).await;
    assert!(ended(polling).await.is_empty());
}

pub(crate) async fn a_long_poll_wakes_on_send(harness: impl QueueHarness) {
    let polling = poll(&harness, RECEIVE_WAIT_MAX);
    harness.until_waiting().await;
    // No time passes in between where time can be held.
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    assert_eq!(bodies(&ended(polling).await), ["g:1"]);
}

pub(crate) async fn a_long_poll_wakes_when_a_group_is_freed(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1), message("g", 2)]).await;
    let lease = take_one(&harness).await;
    let polling = poll(&harness, RECEIVE_WAIT_MAX);
    harness.until_waiting().await;
    harness.queue().ack(lease).await.unwrap();
    let mut leases = ended(polling).await;
    assert_eq!(bodies(&leases), ["g:2"]);

    let polling = poll(&harness, RECEIVE_WAIT_MAX);
    harness.until_waiting().await;
    let lease = leases.remove(0);
    harness
        .queue()
        .release(lease, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(bodies(&ended(polling).await), ["g:2"]);
}

pub(crate) async fn a_long_poll_sees_a_visibility_end(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let _lease = take_one(&harness).await;
    let polling = poll(&harness, RECEIVE_WAIT_MAX);
    harness.until_waiting().await;
    harness.pass(QUEUE_VISIBILITY).await;
    let leases = ended(polling).await;
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0].receive_count, 2);
}

pub(crate) async fn depth_tells_where_messages_are(harness: impl QueueHarness) {
    let queue = harness.queue();
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
    let sent = [
        message("a", 1),
        message("a", 2),
        message("b", 1),
        message("c", 1),
    ];
    send_all(&*queue, &sent).await;
    let check = async |visible: u64, hidden: u64| {
        let depth = queue.depth().await.unwrap();
        // A released message that waits is delayed to one adapter and in
        // flight to another.
        assert_eq!(
            (depth.visible, depth.in_flight + depth.delayed),
            (visible, hidden),
            "{depth:?}"
        );
        assert_eq!(depth.total(), visible + hidden);
    };
    check(4, 0).await;
    let first = take_one(&harness).await;
    check(3, 1).await;
    let second = take_one(&harness).await;
    check(2, 2).await;
    queue.release(second, 3 * SECOND).await.unwrap();
    check(2, 2).await;
    queue.ack(first).await.unwrap();
    check(2, 1).await;
    harness.pass(3 * SECOND).await;
    check(3, 0).await;
    let third = take_one(&harness).await;
    queue.bury(third, "for the test").await.unwrap();
    check(2, 0).await;
}
