//! How long a lease lasts and what it is good for.

use std::time::Duration;

use trawler_core::ports::VISIBILITY_MAX;
use trawler_tests::{QUEUE_VISIBILITY, QueueHarness};

use super::{
    SECOND, assert_lost, assert_refused, can_pass, copy, drain, expect_nothing, message, send_all,
    take_one,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) async fn a_receive_gives_the_visibility_of_the_queue(harness: impl QueueHarness) {
    assert_eq!(harness.queue().visibility(), QUEUE_VISIBILITY);
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let _lease = take_one(&harness).await;
    harness.pass(QUEUE_VISIBILITY - 2 * SECOND).await;
    expect_nothing(&harness).await;
    harness.pass(2 * SECOND).await;
    take_one(&harness).await;
}

pub(crate) async fn a_dropped_lease_comes_back_when_its_visibility_ends(
    harness: impl QueueHarness,
) {
    send_all(&*harness.queue(), &[message("g", 1), message("g", 2)]).await;
    let first = take_one(&harness).await;
    assert_eq!(first.receive_count, 1);
    let message_id = first.message_id.clone();
    drop(first);
    expect_nothing(&harness).await;
    harness.pass(QUEUE_VISIBILITY).await;
    let again = take_one(&harness).await;
    assert_eq!(again.body, "g:1");
    assert_eq!(again.message_id, message_id);
    assert_eq!(again.receive_count, 2);
    harness.queue().ack(again).await.unwrap();
    let second = take_one(&harness).await;
    assert_eq!((second.body.as_str(), second.receive_count), ("g:2", 1));
    assert_ne!(second.message_id, message_id);
}

pub(crate) async fn an_acked_message_never_comes_back(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let lease = take_one(&harness).await;
    harness.queue().ack(lease).await.unwrap();
    expect_nothing(&harness).await;
    harness.pass(2 * QUEUE_VISIBILITY).await;
    expect_nothing(&harness).await;
    assert_eq!(harness.queue().depth().await.unwrap().total(), 0);
    assert!(harness.queue().receive_dead(10).await.unwrap().is_empty());
}

pub(crate) async fn extend_counts_from_its_own_moment(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1), message("g", 2)]).await;
    let lease = take_one(&harness).await;
    for _ in 0..3 {
        harness.pass(QUEUE_VISIBILITY / 2).await;
        harness
            .queue()
            .extend(&lease, QUEUE_VISIBILITY)
            .await
            .unwrap();
    }
    harness.pass(QUEUE_VISIBILITY - 2 * SECOND).await;
    expect_nothing(&harness).await;
    harness.pass(2 * SECOND).await;
    let again = take_one(&harness).await;
    assert_eq!((again.body.as_str(), again.receive_count), ("g:1", 2));
}

pub(crate) async fn extend_can_shorten(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let lease = take_one(&harness).await;
    harness.queue().extend(&lease, 2 * SECOND).await.unwrap();
    harness.pass(2 * SECOND).await;
    let again = take_one(&harness).await;
    assert_eq!(again.receive_count, 2);
}

pub(crate) async fn an_ended_lease_settles_nothing(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let lease = take_one(&harness).await;
    harness.pass(QUEUE_VISIBILITY).await;
    let queue = harness.queue();
    // Nobody has received the message since; the lease has ended all the same.
    assert_lost(queue.extend(&lease, QUEUE_VISIBILITY).await, &lease);
    assert_lost(queue.release(copy(&lease), Duration::ZERO).await, &lease);
    assert_lost(queue.bury(copy(&lease), "late").await, &lease);
    assert_lost(queue.ack(copy(&lease)).await, &lease);
    assert_eq!(take_one(&harness).await.receive_count, 2);
}

pub(crate) async fn a_receipt_of_an_earlier_delivery_settles_nothing(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1), message("g", 2)]).await;
    let stale = take_one(&harness).await;
    harness.pass(QUEUE_VISIBILITY).await;
    let fresh = take_one(&harness).await;
    assert_eq!(fresh.message_id, stale.message_id);
    let queue = harness.queue();
    assert_lost(queue.extend(&stale, QUEUE_VISIBILITY).await, &stale);
    assert_lost(queue.release(copy(&stale), Duration::ZERO).await, &stale);
    assert_lost(queue.bury(copy(&stale), "late").await, &stale);
    assert_lost(queue.ack(copy(&stale)).await, &stale);
    // None of it touched the lease of the one who holds it now.
    expect_nothing(&harness).await;
    queue.extend(&fresh, QUEUE_VISIBILITY).await.unwrap();
    queue.ack(fresh).await.unwrap();
    assert_eq!(drain(&harness).await, ["g:2"]);
    assert!(queue.receive_dead(10).await.unwrap().is_empty());
}

pub(crate) async fn a_settled_lease_cannot_be_extended(harness: impl QueueHarness) {
    let queue = harness.queue();
    let groups = ["a", "b", "c"];
    send_all(&*queue, &groups.map(|group| message(group, 1))).await;
    for n in 0..groups.len() {
        let lease = take_one(&harness).await;
        let kept = copy(&lease);
        match n {
            0 => queue.ack(lease).await.unwrap(),
            1 => queue.bury(lease, "for the test").await.unwrap(),
            _ => queue.release(lease, Duration::ZERO).await.unwrap(),
        }
        assert_lost(queue.extend(&kept, QUEUE_VISIBILITY).await, &kept);
    }
    assert_eq!(drain(&harness).await.len(), 1);
}

pub(crate) async fn a_released_message_comes_back_at_once(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1), message("g", 2)]).await;
    let lease = take_one(&harness).await;
    harness
        .queue()
        .release(lease, Duration::ZERO)
        .await
        .unwrap();
    let again = take_one(&harness).await;
    assert_eq!((again.body.as_str(), again.receive_count), ("g:1", 2));
    harness.queue().ack(again).await.unwrap();
    assert_eq!(drain(&harness).await, ["g:2"]);
}

pub(crate) async fn a_released_message_waits_and_its_group_with_it(harness: impl QueueHarness) {
    let sent = [message("g", 1), message("g", 2), message("h", 1)];
    send_all(&*harness.queue(), &sent).await;
    let lease = take_one(&harness).await;
    assert_eq!(lease.group, "g");
    // Longer than the visibility that was left: the delay counts from now.
    let delay = QUEUE_VISIBILITY + 5 * SECOND;
    harness.queue().release(lease, delay).await.unwrap();
    assert_eq!(drain(&harness).await, ["h:1"]);
    harness.pass(delay - 2 * SECOND).await;
    expect_nothing(&harness).await;
    harness.pass(2 * SECOND).await;
    assert_eq!(drain(&harness).await, ["g:1", "g:2"]);
}

pub(crate) async fn visibility_has_a_longest(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let lease = take_one(&harness).await;
    let queue = harness.queue();
    assert_refused(queue.extend(&lease, VISIBILITY_MAX + SECOND).await);
    assert_refused(queue.release(copy(&lease), VISIBILITY_MAX + SECOND).await);
    // A refused call leaves the lease as it was.
    queue.extend(&lease, QUEUE_VISIBILITY).await.unwrap();
    queue.ack(lease).await.unwrap();
}

pub(crate) async fn twelve_hours_count_from_the_receive(harness: impl QueueHarness) {
    if !can_pass(&harness, VISIBILITY_MAX) {
        return;
    }
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    let lease = take_one(&harness).await;
    let queue = harness.queue();
    queue.extend(&lease, 11 * HOUR).await.unwrap();
    harness.pass(10 * HOUR).await;
    assert_refused(queue.extend(&lease, 2 * HOUR + SECOND).await);
    queue.extend(&lease, 2 * HOUR).await.unwrap();
    harness.pass(2 * HOUR).await;
    // Another delivery has its own twelve hours.
    let again = take_one(&harness).await;
    queue.extend(&again, 11 * HOUR).await.unwrap();
}
