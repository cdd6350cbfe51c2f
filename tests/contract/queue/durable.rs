//! What a queue still knows after every process that had it open has crashed.

use std::time::Duration;

use trawler_core::ports::Outgoing;
use trawler_tests::{QUEUE_VISIBILITY, QueueHarness};

use super::{
    SECOND, assert_lost, bodies, copy, drain, expect_nothing, message, send_all, take_one,
};

pub(crate) async fn messages_and_their_order_survive(mut harness: impl QueueHarness) {
    let sent: Vec<Outgoing> = (0..12).map(|n| message("g", n)).collect();
    send_all(&*harness.queue(), &sent[..7]).await;
    harness.restart().await;
    send_all(&*harness.queue(), &sent[7..]).await;
    harness.restart().await;
    let expected: Vec<String> = sent.into_iter().map(|message| message.body).collect();
    assert_eq!(drain(&harness).await, expected);
    harness.restart().await;
    expect_nothing(&harness).await;
}

pub(crate) async fn leases_survive(mut harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1), message("h", 1)]).await;
    let kept = take_one(&harness).await;
    let lost = take_one(&harness).await;
    harness.restart().await;
    // Locked as before, and the receipt is as good as before.
    expect_nothing(&harness).await;
    harness
        .queue()
        .extend(&kept, QUEUE_VISIBILITY)
        .await
        .unwrap();
    harness.queue().ack(kept).await.unwrap();
    harness.pass(QUEUE_VISIBILITY).await;
    let again = take_one(&harness).await;
    assert_eq!(again.message_id, lost.message_id);
    assert_eq!(again.receive_count, 2);
    harness.restart().await;
    assert_lost(harness.queue().ack(copy(&lost)).await, &lost);
    harness.queue().ack(again).await.unwrap();
}

pub(crate) async fn dedup_ids_survive(mut harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    assert_eq!(drain(&harness).await, ["g:1"]);
    harness.restart().await;
    send_all(&*harness.queue(), &[message("g", 1), message("g", 2)]).await;
    assert_eq!(drain(&harness).await, ["g:2"]);
}

pub(crate) async fn delays_and_dead_messages_survive(mut harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1), message("h", 1)]).await;
    let waiting = take_one(&harness).await;
    harness.queue().release(waiting, 5 * SECOND).await.unwrap();
    let buried = take_one(&harness).await;
    harness.queue().bury(buried, "for the test").await.unwrap();
    harness.restart().await;
    expect_nothing(&harness).await;
    let mut dead = harness.queue().receive_dead(10).await.unwrap();
    assert_eq!(bodies(&dead), ["h:1"]);
    harness.restart().await;
    harness.queue().ack_dead(dead.remove(0)).await.unwrap();
    harness.pass(5 * SECOND).await;
    let lease = take_one(&harness).await;
    assert_eq!((lease.body.as_str(), lease.receive_count), ("g:1", 2));
    harness
        .queue()
        .release(lease, Duration::ZERO)
        .await
        .unwrap();
}
