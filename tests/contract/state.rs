//! The contract of `State`.

use std::collections::BTreeSet;
use std::sync::Arc;

use trawler_core::ports::{STATE_VALUE_BYTES_MAX, State, StateEntry, StateError, Version};
use trawler_tests::StateHarness;

/// Keys and prefixes that no store may accept.
pub(crate) const BAD_KEYS: [&str; 16] = [
    "", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/..", "a/../b", "a b", "a\\b", "a\0b",
    "가", "~tmp/a",
];

/// In order of key, which is not the order of a walk through folders: `-` and
/// `.` come before `/`, digits and letters after.
pub(crate) const ORDERED_KEYS: [&str; 12] = [
    "a",
    "a-b/1",
    "a.b/1",
    "b/c#1",
    "b/c-1/x",
    "b/c/1",
    "b/c/2",
    "b/c/2x",
    "b/c0/1",
    "b/cc",
    "runs/p@2026-11-21T03:00:00.000Z",
    "z",
];

fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StateError>) {
    match result {
        Err(error @ StateError::Conflict { .. }) => {
            assert!(error.is_conflict() && !error.is_transient());
        }
        other => panic!("the write conflicts: {other:?}"),
    }
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, StateError>) {
    match result {
        Err(error @ StateError::Refused { .. }) => {
            assert!(!error.is_conflict() && !error.is_transient());
        }
        other => panic!("the call is refused: {other:?}"),
    }
}

async fn value(state: &dyn State, key: &str) -> Option<Vec<u8>> {
    let read = state.get(key).await.unwrap();
    read.map(|document| document.value)
}

fn keys(entries: &[StateEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

pub(crate) async fn an_absent_document_is_none(harness: impl StateHarness) {
    let state = harness.state();
    assert_eq!(state.get("a/b").await.unwrap(), None);
    state.create("a/b/c", b"1").await.unwrap();
    assert_eq!(state.get("a/b").await.unwrap(), None);
}

pub(crate) async fn a_document_is_created_once(harness: impl StateHarness) {
    let state = harness.state();
    let bytes = [0, 255, b'\n', 128];
    let version = state.create("a", &bytes).await.unwrap();
    let read = state.get("a").await.unwrap().unwrap();
    assert_eq!(
        (read.value.as_slice(), &read.version),
        (&bytes[..], &version)
    );
    assert_conflict(state.create("a", b"other").await);
    assert_eq!(state.get("a").await.unwrap().unwrap(), read);
    state.create("b", b"").await.unwrap();
    assert_eq!(value(&*state, "b").await.unwrap(), b"");
}

pub(crate) async fn a_document_is_replaced_at_its_version_only(harness: impl StateHarness) {
    let state = harness.state();
    let first = state.create("a", b"1").await.unwrap();
    let second = state.replace("a", b"2", &first).await.unwrap();
    assert_eq!(value(&*state, "a").await.unwrap(), b"2");
    assert_conflict(state.replace("a", b"3", &first).await);
    assert_conflict(state.replace("absent", b"3", &second).await);
    let elsewhere = state.create("b", b"1").await.unwrap();
    assert_conflict(state.replace("a", b"3", &elsewhere).await);
    let foreign = Version("made elsewhere".to_owned());
    assert_conflict(state.replace("a", b"3", &foreign).await);
    let read = state.get("a").await.unwrap().unwrap();
    assert_eq!((read.value.as_slice(), read.version), (&b"2"[..], second));
    assert_eq!(value(&*state, "absent").await, None);
}

pub(crate) async fn a_document_is_deleted_at_its_version_only(harness: impl StateHarness) {
    let state = harness.state();
    let first = state.create("a", b"1").await.unwrap();
    assert_conflict(state.delete("absent", &first).await);
    let second = state.replace("a", b"2", &first).await.unwrap();
    assert_conflict(state.delete("a", &first).await);
    assert_eq!(value(&*state, "a").await.unwrap(), b"2");
    state.delete("a", &second).await.unwrap();
    assert_eq!(value(&*state, "a").await, None);
    assert_conflict(state.delete("a", &second).await);
}

pub(crate) async fn a_document_made_anew_has_another_version(harness: impl StateHarness) {
    let state = harness.state();
    let old = state.create("a", b"1").await.unwrap();
    state.delete("a", &old).await.unwrap();
    let new = state.create("a", b"1").await.unwrap();
    assert_ne!(old, new);
    assert_conflict(state.replace("a", b"2", &old).await);
    assert_conflict(state.delete("a", &old).await);
    state.replace("a", b"2", &new).await.unwrap();
}

pub(crate) async fn every_write_changes_the_version(harness: impl StateHarness) {
    let state = harness.state();
    let mut version = state.create("a", b"same").await.unwrap();
    let mut seen = BTreeSet::from([version.0.clone()]);
    for _ in 0..20 {
        version = state.replace("a", b"same", &version).await.unwrap();
        assert!(seen.insert(version.0.clone()), "{version:?} came before");
        let read = state.get("a").await.unwrap().unwrap();
        assert_eq!(read.version, version);
        let listed = state.list("a", None, 1).await.unwrap();
        assert_eq!(listed[0].version, version);
    }
}

pub(crate) async fn racing_creates_have_one_winner(harness: impl StateHarness) {
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..16 {
        let state = harness.state();
        racers.spawn(async move {
            let value = format!("{n}");
            let created = state.create("a", value.as_bytes()).await;
            created.map(|_| value).map_err(|error| {
                assert!(error.is_conflict(), "{error:?}");
            })
        });
    }
    let winners: Vec<String> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    let stored = value(&*harness.state(), "a").await.unwrap();
    assert_eq!(stored, winners[0].as_bytes());
}

/// Adds one to the number in the document, however often it takes.
pub(crate) async fn increment(state: &dyn State, key: &str) {
    loop {
        let read = state.get(key).await.unwrap().unwrap();
        let number: u64 = std::str::from_utf8(&read.value).unwrap().parse().unwrap();
        let next = (number + 1).to_string();
        match state.replace(key, next.as_bytes(), &read.version).await {
            Ok(_) => return,
            Err(error) => assert!(error.is_conflict(), "{error:?}"),
        }
    }
}

pub(crate) async fn racing_increments_lose_none(harness: impl StateHarness) {
    const TASKS: usize = 8;
    const EACH: usize = 15;
    harness.state().create("n", b"0").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let state: Arc<dyn State> = harness.state();
        tasks.spawn(async move {
            for _ in 0..EACH {
                increment(&*state, "n").await;
            }
        });
    }
    tasks.join_all().await;
    let stored = value(&*harness.state(), "n").await.unwrap();
    assert_eq!(stored, (TASKS * EACH).to_string().as_bytes());
}

async fn with_ordered_keys(harness: &impl StateHarness) -> Arc<dyn State> {
    let state = harness.state();
    // Neither in order nor in its reverse.
    for step in 0..ORDERED_KEYS.len() {
        let key = ORDERED_KEYS[(step * 5 + 3) % ORDERED_KEYS.len()];
        state.create(key, key.as_bytes()).await.unwrap();
    }
    state
}

pub(crate) async fn a_list_is_in_order_of_key(harness: impl StateHarness) {
    assert!(harness.state().list("", None, 1).await.unwrap().is_empty());
    let state = with_ordered_keys(&harness).await;
    let listed = state.list("", None, 1000).await.unwrap();
    assert_eq!(keys(&listed), ORDERED_KEYS);
    for entry in listed {
        let read = state.get(&entry.key).await.unwrap().unwrap();
        assert_eq!(read.version, entry.version);
    }
    let gone = state.get("b/c/1").await.unwrap().unwrap();
    state.delete("b/c/1", &gone.version).await.unwrap();
    let listed = state.list("b/c/", None, 1000).await.unwrap();
    assert_eq!(keys(&listed), ["b/c/2", "b/c/2x"]);
}

pub(crate) async fn a_list_is_narrowed(harness: impl StateHarness) {
    let state = with_ordered_keys(&harness).await;
    for (prefix, after, limit, expected) in NARROWED {
        let listed = state.list(prefix, after, limit).await.unwrap();
        assert_eq!(keys(&listed), expected, "{prefix:?} {after:?} {limit}");
    }
}

type Narrowed = (
    &'static str,
    Option<&'static str>,
    usize,
    &'static [&'static str],
);

/// Prefix, after, limit, and what of [`ORDERED_KEYS`] they leave.
pub(crate) const NARROWED: [Narrowed; 14] = [
    ("", None, 2, &["a", "a-b/1"]),
    ("", Some("a.b/1"), 2, &["b/c#1", "b/c-1/x"]),
    // Greater than, also where nothing has the key.
    ("", Some("b/c/1zzz"), 2, &["b/c/2", "b/c/2x"]),
    (
        "",
        Some("runs/"),
        9,
        &["runs/p@2026-11-21T03:00:00.000Z", "z"],
    ),
    ("", Some("z"), 9, &[]),
    ("a", None, 9, &["a", "a-b/1", "a.b/1"]),
    // A prefix is a beginning, not a folder.
    ("b/c/2", None, 9, &["b/c/2", "b/c/2x"]),
    ("b/c", None, 3, &["b/c#1", "b/c-1/x", "b/c/1"]),
    ("b/c/", None, 9, &["b/c/1", "b/c/2", "b/c/2x"]),
    ("b/c/", Some("b/c/1"), 1, &["b/c/2"]),
    ("b/c", Some("b/c/2x"), 9, &["b/c0/1", "b/cc"]),
    // An `after` before the prefix takes nothing away, one behind it all.
    ("b/cc", Some("a"), 9, &["b/cc"]),
    ("b/c/", Some("c"), 9, &[]),
    ("absent/", None, 9, &[]),
];

pub(crate) async fn lists_have_bounds(harness: impl StateHarness) {
    let state = harness.state();
    state.create("a", b"1").await.unwrap();
    assert_refused(state.list("", None, 0).await);
    assert_refused(state.list("", None, 1001).await);
    assert_refused(state.list("../", None, 1).await);
    assert_refused(state.list("a b", None, 1).await);
    assert_eq!(state.list("", None, 1000).await.unwrap().len(), 1);
}

pub(crate) async fn pages_cover_everything(harness: impl StateHarness) {
    let state = with_ordered_keys(&harness).await;
    for limit in 1..=ORDERED_KEYS.len() + 1 {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let after = seen.last().map(String::as_str);
            let page = state.list("", after, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|entry| entry.key));
        }
        assert_eq!(seen, ORDERED_KEYS);
    }
}

pub(crate) async fn keys_follow_the_rule(harness: impl StateHarness) {
    let state = harness.state();
    let version = state.create("-_.@#=+:,", b"1").await.unwrap();
    let long = format!("{}/{}", "a".repeat(255), "b".repeat(256));
    state.create(&long, b"1").await.unwrap();
    let longer = format!("{long}b");
    for key in BAD_KEYS.into_iter().chain([longer.as_str()]) {
        assert_refused(state.get(key).await);
        assert_refused(state.create(key, b"1").await);
        assert_refused(state.replace(key, b"1", &version).await);
        assert_refused(state.delete(key, &version).await);
    }
    assert_eq!(state.list("", None, 1000).await.unwrap().len(), 2);
}

pub(crate) async fn values_have_a_bound(harness: impl StateHarness) {
    let state = harness.state();
    let largest = vec![b'x'; STATE_VALUE_BYTES_MAX];
    let larger = vec![b'x'; STATE_VALUE_BYTES_MAX + 1];
    assert_refused(state.create("a", &larger).await);
    let version = state.create("a", &largest).await.unwrap();
    assert_eq!(value(&*state, "a").await.unwrap(), largest);
    assert_refused(state.replace("a", &larger, &version).await);
    state.replace("a", &largest, &version).await.unwrap();
}

pub(crate) async fn documents_survive_a_restart(mut harness: impl StateHarness) {
    let first = harness.state().create("a", b"1").await.unwrap();
    harness.state().create("b", b"1").await.unwrap();
    harness.restart().await;
    let second = harness.state().replace("a", b"2", &first).await.unwrap();
    harness.restart().await;
    assert_conflict(harness.state().create("b", b"2").await);
    harness.state().delete("a", &second).await.unwrap();
    harness.restart().await;
    assert_eq!(value(&*harness.state(), "a").await, None);
    let third = harness.state().create("a", b"3").await.unwrap();
    assert!(third != first && third != second);
}
