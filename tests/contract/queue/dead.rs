//! The backstop dead-letter queue: how messages get there and leave it.

use std::time::Duration;

use trawler_core::ports::Lease;
use trawler_tests::{QUEUE_RECEIVE_COUNT_MAX, QUEUE_VISIBILITY, QueueHarness};

use super::{
    assert_lost, assert_refused, bodies, copy, drain, expect_nothing, message, send_all, take_one,
};

async fn take_dead(harness: &impl QueueHarness, slots: usize) -> Vec<Lease> {
    harness.queue().receive_dead(slots).await.unwrap()
}

pub(crate) async fn a_message_received_too_often_goes_to_the_backstop(harness: impl QueueHarness) {
    let sent = [message("g", 1), message("g", 2)];
    send_all(&*harness.queue(), &sent).await;
    for count in 1..=QUEUE_RECEIVE_COUNT_MAX {
        let lease = take_one(&harness).await;
        assert_eq!((lease.body.as_str(), lease.receive_count), ("g:1", count));
        assert!(take_dead(&harness, 10).await.is_empty());
        harness.pass(QUEUE_VISIBILITY).await;
    }
    // The group goes on with its next message.
    assert_eq!(drain(&harness).await, ["g:2"]);
    let mut dead = take_dead(&harness, 10).await;
    assert_eq!(bodies(&dead), ["g:1"]);
    let dead = dead.remove(0);
    assert_eq!(
        (&dead.group, &dead.dedup_id),
        (&sent[0].group, &sent[0].dedup_id)
    );
    harness.queue().ack_dead(dead).await.unwrap();
    harness.pass(QUEUE_VISIBILITY).await;
    assert!(take_dead(&harness, 10).await.is_empty());
    expect_nothing(&harness).await;
}

pub(crate) async fn releases_count_as_receives(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    for count in 1..=QUEUE_RECEIVE_COUNT_MAX {
        let lease = take_one(&harness).await;
        assert_eq!(lease.receive_count, count);
        harness
            .queue()
            .release(lease, Duration::ZERO)
            .await
            .unwrap();
    }
    expect_nothing(&harness).await;
    assert_eq!(bodies(&take_dead(&harness, 10).await), ["g:1"]);
}

pub(crate) async fn a_buried_message_goes_to_the_backstop(harness: impl QueueHarness) {
    let sent = [message("g", 1), message("g", 2)];
    send_all(&*harness.queue(), &sent).await;
    let lease = take_one(&harness).await;
    harness
        .queue()
        .bury(lease, "unknown version 9")
        .await
        .unwrap();
    assert_eq!(drain(&harness).await, ["g:2"]);
    harness.pass(QUEUE_VISIBILITY).await;
    expect_nothing(&harness).await;
    // Dead messages are no work and no backlog.
    assert_eq!(harness.queue().depth().await.unwrap().total(), 0);

    let mut dead = take_dead(&harness, 10).await;
    assert_eq!(bodies(&dead), ["g:1"]);
    assert!(take_dead(&harness, 10).await.is_empty());
    let dead = dead.remove(0);
    assert_eq!(dead.buried.as_deref(), Some("unknown version 9"));
    assert_eq!(
        (&dead.group, &dead.dedup_id),
        (&sent[0].group, &sent[0].dedup_id)
    );
    harness.queue().ack_dead(dead).await.unwrap();
    harness.pass(QUEUE_VISIBILITY).await;
    assert!(take_dead(&harness, 10).await.is_empty());
}

pub(crate) async fn an_unacked_dead_message_comes_back(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let lease = take_one(&harness).await;
    harness.queue().bury(lease, "for the test").await.unwrap();
    // However often the sweep fails, the message is not lost.
    for _ in 0..2 * QUEUE_RECEIVE_COUNT_MAX {
        assert_eq!(bodies(&take_dead(&harness, 10).await), ["g:1"]);
        harness.pass(QUEUE_VISIBILITY).await;
    }
}

pub(crate) async fn a_late_ack_of_a_dead_message_is_refused(harness: impl QueueHarness) {
    let queue = harness.queue();
    send_all(&*queue, &[message("g", 1)]).await;
    let lease = take_one(&harness).await;
    queue.bury(lease, "for the test").await.unwrap();
    let stale = take_dead(&harness, 1).await.remove(0);
    harness.pass(QUEUE_VISIBILITY).await;
    let fresh = take_dead(&harness, 1).await.remove(0);
    assert_lost(queue.ack_dead(copy(&stale)).await, &stale);
    queue.ack_dead(fresh).await.unwrap();
}

pub(crate) async fn dead_messages_come_in_pages(harness: impl QueueHarness) {
    let queue = harness.queue();
    let sent: Vec<_> = (0..5).map(|n| message(&format!("g{n}"), n)).collect();
    send_all(&*queue, &sent).await;
    for _ in 0..5 {
        let lease = take_one(&harness).await;
        queue.bury(lease, "for the test").await.unwrap();
    }
    assert_refused(queue.receive_dead(0).await);
    assert_refused(queue.receive_dead(11).await);
    let mut seen = Vec::new();
    loop {
        let page = take_dead(&harness, 2).await;
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        for dead in page {
            seen.push(dead.body.clone());
            queue.ack_dead(dead).await.unwrap();
        }
    }
    seen.sort();
    assert_eq!(seen, ["g0:0", "g1:1", "g2:2", "g3:3", "g4:4"]);
}
