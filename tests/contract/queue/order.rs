//! Order within a group, the lock of a group, and the absence of both between
//! groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use trawler_core::ports::Outgoing;
use trawler_tests::{QUEUE_VISIBILITY, QueueHarness};

use super::{bodies, drain, expect_nothing, message, send_all, take, take_one};

pub(crate) async fn a_group_comes_in_order_of_sending(harness: impl QueueHarness) {
    let sent: Vec<Outgoing> = (0..25).map(|n| message("g", n)).collect();
    send_all(&*harness.queue(), &sent).await;
    let expected: Vec<String> = sent.into_iter().map(|message| message.body).collect();
    assert_eq!(drain(&harness).await, expected);
}

pub(crate) async fn a_leased_message_locks_its_group(harness: impl QueueHarness) {
    send_all(&*harness.queue(), &[message("g", 1), message("g", 2)]).await;
    let first = take_one(&harness).await;
    expect_nothing(&harness).await;
    // Also for what is sent while the group is locked.
    send_all(&*harness.queue(), &[message("g", 3)]).await;
    expect_nothing(&harness).await;
    harness.queue().ack(first).await.unwrap();
    assert_eq!(drain(&harness).await, ["g:2", "g:3"]);
}

pub(crate) async fn groups_do_not_wait_for_each_other(harness: impl QueueHarness) {
    let sent = ["a", "b", "c"].map(|group| [message(group, 1), message(group, 2)]);
    send_all(&*harness.queue(), sent.as_flattened()).await;
    let held = [
        take_one(&harness).await,
        take_one(&harness).await,
        take_one(&harness).await,
    ];
    let groups: BTreeSet<&str> = held.iter().map(|lease| lease.group.as_str()).collect();
    assert_eq!(groups.len(), 3);
    assert!(held.iter().all(|lease| lease.body.ends_with(":1")));
    expect_nothing(&harness).await;
}

pub(crate) async fn one_receive_takes_a_group_in_order(harness: impl QueueHarness) {
    let sent: Vec<Outgoing> = (0..6).map(|n| message("g", n)).collect();
    send_all(&*harness.queue(), &sent).await;
    let leases = take(&harness, 4).await;
    assert!((1..=4).contains(&leases.len()));
    assert_eq!(
        bodies(&leases),
        ["g:0", "g:1", "g:2", "g:3"][..leases.len()]
    );
    expect_nothing(&harness).await;
}

pub(crate) async fn a_group_stays_locked_until_all_its_leases_are_settled(
    harness: impl QueueHarness,
) {
    let sent: Vec<Outgoing> = (0..5).map(|n| message("g", n)).collect();
    send_all(&*harness.queue(), &sent).await;
    let mut leases = take(&harness, 3).await;
    let count = leases.len();
    // Settled last to first, so that the oldest is the last to hold the lock.
    while let Some(lease) = leases.pop() {
        expect_nothing(&harness).await;
        harness.queue().ack(lease).await.unwrap();
    }
    let rest: Vec<String> = (count..5).map(|n| format!("g:{n}")).collect();
    assert_eq!(drain(&harness).await, rest);
}

pub(crate) async fn what_comes_back_keeps_its_place(harness: impl QueueHarness) {
    let sent: Vec<Outgoing> = (0..5).map(|n| message("g", n)).collect();
    send_all(&*harness.queue(), &sent).await;
    let mut leases = take(&harness, 3).await;
    if leases.len() < 3 {
        println!("skipped: one receive gave {} of a group", leases.len());
        return;
    }
    // The one in the middle is done; those round it come back, in order, and
    // before what was never received.
    harness.queue().ack(leases.remove(1)).await.unwrap();
    harness.pass(QUEUE_VISIBILITY).await;
    assert_eq!(drain(&harness).await, ["g:0", "g:2", "g:3", "g:4"]);
}

pub(crate) async fn many_workers_get_every_message_once_and_in_order(harness: impl QueueHarness) {
    const GROUPS: usize = 6;
    const EACH: usize = 12;
    const WORKERS: usize = 4;
    let sent: Vec<Outgoing> = (0..EACH)
        .flat_map(|n| (0..GROUPS).map(move |group| message(&format!("g{group}"), n)))
        .collect();
    send_all(&*harness.queue(), &sent).await;

    let busy: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let done: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (queue, look) = (harness.queue(), harness.look());
        let (busy, done) = (Arc::clone(&busy), Arc::clone(&done));
        workers.spawn(async move {
            while queue.depth().await.unwrap().total() > 0 {
                // An adapter in memory never waits by itself.
                tokio::task::yield_now().await;
                for lease in queue.receive(1, look).await.unwrap() {
                    let group = lease.group.clone();
                    assert!(
                        busy.lock().unwrap().insert(group.clone()),
                        "{group} is held twice"
                    );
                    assert_eq!(lease.receive_count, 1);
                    tokio::task::yield_now().await;
                    done.lock()
                        .unwrap()
                        .entry(group.clone())
                        .or_default()
                        .push(lease.body.clone());
                    assert!(busy.lock().unwrap().remove(&group));
                    queue.ack(lease).await.unwrap();
                }
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let done = done.lock().unwrap();
    assert_eq!(done.len(), GROUPS);
    for (group, seen) in done.iter() {
        let expected: Vec<String> = (0..EACH).map(|n| format!("{group}:{n}")).collect();
        assert_eq!(*seen, expected);
    }
}
