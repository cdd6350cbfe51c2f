//! What a send accepts, what it refuses, and what it swallows.

use std::time::Duration;

use trawler_core::ports::{BATCH_MAX, MESSAGE_BYTES_MAX, Outgoing, QueueError};
use trawler_tests::QueueHarness;

use super::{SECOND, assert_refused, can_pass, drain, expect_nothing, message, send_all, take_one};

const DEDUP: Duration = Duration::from_secs(5 * 60);

pub(crate) async fn bodies_arrive_unchanged(harness: impl QueueHarness) {
    for (n, body) in ["{\"v\":1}", "가격 \u{1F600} \"'\\", "a\r\n\tb ", "x"]
        .into_iter()
        .enumerate()
    {
        let sent = Outgoing {
            body: body.to_owned(),
            ..message("g", n)
        };
        send_all(&*harness.queue(), std::slice::from_ref(&sent)).await;
        let lease = take_one(&harness).await;
        assert_eq!(lease.body, body);
        assert_eq!(lease.group, sent.group);
        assert_eq!(lease.dedup_id, sent.dedup_id);
        assert_eq!(lease.receive_count, 1);
        harness.queue().ack(lease).await.unwrap();
    }
}

pub(crate) async fn a_batch_holds_ten_messages(harness: impl QueueHarness) {
    let eleven: Vec<Outgoing> = (0..=BATCH_MAX).map(|n| message("g", n)).collect();
    assert_refused(harness.queue().send(&eleven).await);
    expect_nothing(&harness).await;
    send_all(&*harness.queue(), &eleven[..BATCH_MAX]).await;
    assert_eq!(drain(&harness).await.len(), BATCH_MAX);
}

pub(crate) async fn a_bad_message_fails_alone(harness: impl QueueHarness) {
    let good = |n| message("g", n);
    let batch = [
        good(0),
        Outgoing {
            body: "x".repeat(MESSAGE_BYTES_MAX + 1),
            ..good(1)
        },
        good(2),
        Outgoing {
            group: "g".repeat(129),
            ..good(3)
        },
        Outgoing {
            dedup_id: "d".repeat(129),
            ..good(4)
        },
        Outgoing {
            group: "그룹".to_owned(),
            ..good(5)
        },
        Outgoing {
            dedup_id: String::new(),
            ..good(6)
        },
        // Two bytes a character: too long although it has fewer characters.
        Outgoing {
            body: "é".repeat(MESSAGE_BYTES_MAX / 2 + 1),
            ..good(7)
        },
        good(8),
    ];
    let failed = harness.queue().send(&batch).await.unwrap();
    let indices: Vec<usize> = failed.iter().map(|error| error.index).collect();
    assert_eq!(indices, [1, 3, 4, 5, 6, 7]);
    for error in &failed {
        assert_eq!(error.dedup_id, batch[error.index].dedup_id);
        assert!(
            matches!(error.source, QueueError::Refused { .. }),
            "{error:?}"
        );
    }
    assert_eq!(drain(&harness).await, ["g:0", "g:2", "g:8"]);
}

pub(crate) async fn the_bounds_themselves_are_accepted(harness: impl QueueHarness) {
    let sent = Outgoing {
        group: "g".repeat(128),
        dedup_id: "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".repeat(4),
        body: "x".repeat(MESSAGE_BYTES_MAX),
    };
    assert_eq!(sent.dedup_id.len(), 128);
    send_all(&*harness.queue(), std::slice::from_ref(&sent)).await;
    let lease = take_one(&harness).await;
    assert_eq!(
        (lease.group, lease.dedup_id, lease.body),
        (sent.group, sent.dedup_id, sent.body)
    );
}

pub(crate) async fn a_dedup_id_delivers_once(harness: impl QueueHarness) {
    let first = message("g", 1);
    // Neither another body nor another group makes it another message.
    let again = Outgoing {
        body: "other".to_owned(),
        ..first.clone()
    };
    let elsewhere = Outgoing {
        group: "h".to_owned(),
        ..first.clone()
    };
    send_all(&*harness.queue(), &[first, again]).await;
    send_all(&*harness.queue(), &[elsewhere, message("g", 2)]).await;
    assert_eq!(drain(&harness).await, ["g:1", "g:2"]);
}

pub(crate) async fn a_dedup_id_is_remembered_after_the_ack(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    assert_eq!(drain(&harness).await, ["g:1"]);
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    expect_nothing(&harness).await;
    assert_eq!(harness.queue().depth().await.unwrap().total(), 0);
}

pub(crate) async fn a_dedup_id_is_forgotten_five_minutes_after_its_first_send(
    harness: impl QueueHarness,
) {
    if !can_pass(&harness, DEDUP + SECOND) {
        return;
    }
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    assert_eq!(drain(&harness).await, ["g:1"]);
    harness.pass(DEDUP - 10 * SECOND).await;
    // A swallowed send does not make the memory any longer.
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    expect_nothing(&harness).await;
    harness.pass(11 * SECOND).await;
    expect_nothing(&harness).await;
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    assert_eq!(drain(&harness).await, ["g:1"]);
    // And the new send is remembered in its turn.
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    expect_nothing(&harness).await;
}

pub(crate) async fn a_failed_message_can_be_sent_again_with_its_dedup_id(
    harness: impl QueueHarness,
) {
    let broken = Outgoing {
        body: "x".repeat(MESSAGE_BYTES_MAX + 1),
        ..message("g", 1)
    };
    let failed = harness.queue().send(&[broken]).await.unwrap();
    assert_eq!(failed.len(), 1);
    send_all(&*harness.queue(), &[message("g", 1)]).await;
    assert_eq!(drain(&harness).await, ["g:1"]);
}
