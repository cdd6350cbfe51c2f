//! The contract of `Blobs`.

use std::sync::Arc;

use bytes::Bytes;
use trawler_core::ports::{BlobEntry, BlobError, BlobMeta, Blobs, Put};
use trawler_tests::BlobsHarness;

use crate::state::{BAD_KEYS, NARROWED, ORDERED_KEYS};

pub(crate) const META: BlobMeta = BlobMeta {
    content_type: "application/octet-stream",
    immutable: true,
};

fn assert_refused<T: std::fmt::Debug>(result: Result<T, BlobError>) {
    match result {
        Err(error @ BlobError::Refused { .. }) => assert!(!error.is_transient()),
        other => panic!("the call is refused: {other:?}"),
    }
}

fn assert_not_found<T: std::fmt::Debug>(result: Result<T, BlobError>, expected: &str) {
    match result {
        Err(BlobError::NotFound { key, .. }) => assert_eq!(key, expected),
        other => panic!("the object is not found: {other:?}"),
    }
}

async fn put(blobs: &dyn Blobs, key: &str, body: &[u8]) -> Put {
    let body = Bytes::copy_from_slice(body);
    blobs.put(key, body, META).await.unwrap()
}

async fn bytes_of(blobs: &dyn Blobs, key: &str) -> Option<u64> {
    let found = blobs.head(key).await.unwrap();
    found.map(|found| found.bytes)
}

fn keys(entries: &[BlobEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

pub(crate) async fn an_absent_object_is_not_found(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    assert_not_found(blobs.get("a", None).await, "a");
    assert_not_found(blobs.get("a", Some(0..1)).await, "a");
    assert_eq!(blobs.head("a").await.unwrap(), None);
    put(&*blobs, "a/b", b"1").await;
    // What other keys lie below is no object.
    assert_not_found(blobs.get("a", None).await, "a");
    assert_eq!(blobs.head("a").await.unwrap(), None);
    assert_not_found(blobs.get("a/b/c", None).await, "a/b/c");
    assert_eq!(blobs.head("a/b/c").await.unwrap(), None);
}

pub(crate) async fn an_object_comes_back_whole(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    let large: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    for (key, body) in [
        ("images/ab/abc/256-0123abcd.jpg", &large[..]),
        ("empty", b""),
        ("bytes", &[0, 255, b'\n', b'\r', 128]),
    ] {
        assert_eq!(put(&*blobs, key, body).await, Put::Created);
        assert!(blobs.get(key, None).await.unwrap() == body, "{key}");
        assert_eq!(bytes_of(&*blobs, key).await, Some(body.len() as u64));
    }
}

pub(crate) async fn a_reader_is_told_what_an_object_is(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    let check = async |key: &str, content_type: &'static str, immutable: bool| {
        let meta = BlobMeta {
            content_type,
            immutable,
        };
        let body = Bytes::from_static(b"123");
        assert_eq!(blobs.put(key, body, meta).await.unwrap(), Put::Created);
        // The first put says it for good.
        let other = BlobMeta {
            content_type: "text/plain",
            immutable: !immutable,
        };
        let body = Bytes::from_static(b"1234");
        assert_eq!(blobs.put(key, body, other).await.unwrap(), Put::Existed);
        let head = blobs.head(key).await.unwrap().unwrap();
        assert_eq!(head.bytes, 3);
        assert_eq!(head.content_type.as_deref(), Some(content_type), "{key}");
        let cached = immutable.then_some("public, max-age=31536000, immutable");
        if harness.keeps_headers() {
            assert_eq!(head.cache_control.as_deref(), cached, "{key}");
        } else {
            assert_eq!(head.cache_control, None, "{key}");
        }
    };
    check("images/ab/abc/thumb-0123abcd.jpg", "image/jpeg", true).await;
    check("images/ab/abc/large-0123abcd.webp", "image/webp", true).await;
    check("images/ab/abc/original.png", "image/png", true).await;
    check("results/shop/1.json", "application/json", true).await;
    check("reports/shop/1.csv", "text/csv", false).await;
}

pub(crate) async fn a_second_put_leaves_the_first(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    assert_eq!(put(&*blobs, "a", b"first").await, Put::Created);
    assert_eq!(put(&*blobs, "a", b"second").await, Put::Existed);
    assert_eq!(put(&*blobs, "a", b"first").await, Put::Existed);
    assert_eq!(blobs.get("a", None).await.unwrap(), "first");
}

pub(crate) async fn racing_puts_have_one_winner(harness: impl BlobsHarness) {
    for round in 0..8 {
        let key = format!("race/{round}/a");
        let mut racers = tokio::task::JoinSet::new();
        for n in 0..8_u8 {
            let (blobs, key) = (harness.blobs(), key.clone());
            racers.spawn(async move {
                let body = vec![n; 100_000];
                let found = put(&*blobs, &key, &body).await;
                // Whatever the outcome, the object is there when put returns.
                let stored = blobs.get(&key, None).await.unwrap();
                assert_eq!(stored.len(), body.len());
                (found == Put::Created).then_some(n)
            });
        }
        let winners: Vec<u8> = racers.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let stored = harness.blobs().get(&key, None).await.unwrap();
        assert!(stored.iter().all(|byte| *byte == winners[0]));
    }
}

pub(crate) async fn ranges_are_clipped(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    put(&*blobs, "a", b"0123456789").await;
    let check = async |start: u64, end: u64, expected: &str| {
        let range = start..end;
        let got = blobs.get("a", Some(range.clone())).await.unwrap();
        assert_eq!(got, expected, "{range:?}");
    };
    check(0, 10, "0123456789").await;
    check(0, 1, "0").await;
    check(3, 7, "3456").await;
    check(9, 10, "9").await;
    check(8, 100, "89").await;
    check(0, u64::MAX, "0123456789").await;
    check(10, 20, "").await;
    check(u64::MAX - 1, u64::MAX, "").await;
    check(4, 4, "").await;
}

/// Without those keys that are a folder of others, which not every file system
/// can hold; [`ORDERED_KEYS`] has none of them.
async fn with_ordered_keys(harness: &impl BlobsHarness) -> Arc<dyn Blobs> {
    let blobs = harness.blobs();
    for step in 0..ORDERED_KEYS.len() {
        let key = ORDERED_KEYS[(step * 5 + 3) % ORDERED_KEYS.len()];
        put(&*blobs, key, key.as_bytes()).await;
    }
    blobs
}

pub(crate) async fn a_list_is_in_order_of_key(harness: impl BlobsHarness) {
    assert!(harness.blobs().list("", None, 1).await.unwrap().is_empty());
    let blobs = with_ordered_keys(&harness).await;
    let listed = blobs.list("", None, 1000).await.unwrap();
    assert_eq!(keys(&listed), ORDERED_KEYS);
    assert!(listed.iter().all(|e| e.bytes == e.key.len() as u64));
}

pub(crate) async fn a_list_tells_objects_apart(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    let listed = async |key: &str| blobs.list(key, None, 1).await.unwrap().remove(0);
    put(&*blobs, "a", b"first").await;
    let first = listed("a").await;
    assert_eq!(put(&*blobs, "a", b"second").await, Put::Existed);
    put(&*blobs, "b", b"other").await;
    assert_eq!(listed("a").await, first, "the object is the same");
    // Every store counts at least in seconds, and may count in no less.
    assert!(listed("b").await.modified >= first.modified);
    blobs.delete(&["a".to_owned()]).await.unwrap();
    put(&*blobs, "a", b"third").await;
    let third = listed("a").await;
    assert_ne!(third.tag, first.tag, "another object");
    assert!(third.modified >= first.modified);
}

pub(crate) async fn a_list_is_narrowed(harness: impl BlobsHarness) {
    let blobs = with_ordered_keys(&harness).await;
    for (prefix, after, limit, expected) in NARROWED {
        let listed = blobs.list(prefix, after, limit).await.unwrap();
        assert_eq!(keys(&listed), expected, "{prefix:?} {after:?} {limit}");
    }
}

pub(crate) async fn lists_have_bounds(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    put(&*blobs, "a", b"1").await;
    assert_refused(blobs.list("", None, 0).await);
    assert_refused(blobs.list("", None, 1001).await);
    for prefix in ["../", "a/../b", "/", "a b", "~tmp"] {
        assert_refused(blobs.list(prefix, None, 1).await);
    }
    assert_eq!(blobs.list("", None, 1000).await.unwrap().len(), 1);
}

pub(crate) async fn pages_cover_everything(harness: impl BlobsHarness) {
    let blobs = with_ordered_keys(&harness).await;
    for limit in 1..=ORDERED_KEYS.len() + 1 {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let after = seen.last().map(String::as_str);
            let page = blobs.list("", after, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|entry| entry.key));
        }
        assert_eq!(seen, ORDERED_KEYS);
    }
}

pub(crate) async fn deleted_objects_are_gone(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    for key in ["a/1", "a/2", "b"] {
        put(&*blobs, key, b"1").await;
    }
    blobs.delete(&[]).await.unwrap();
    let gone = ["a/1", "absent", "a", "b", "b/c"].map(str::to_owned);
    blobs.delete(&gone).await.unwrap();
    blobs.delete(&gone).await.unwrap();
    assert_not_found(blobs.get("a/1", None).await, "a/1");
    assert_eq!(blobs.head("b").await.unwrap(), None);
    let listed = blobs.list("", None, 10).await.unwrap();
    assert_eq!(keys(&listed), ["a/2"]);
    assert_eq!(put(&*blobs, "a/1", b"new").await, Put::Created);
    assert_eq!(blobs.get("a/1", None).await.unwrap(), "new");
}

pub(crate) async fn neighbours_can_be_put_and_deleted_at_once(harness: impl BlobsHarness) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..4 {
        let blobs = harness.blobs();
        tasks.spawn(async move {
            let key = format!("deep/er/{n}");
            for round in 0..25 {
                let body = format!("{round}");
                assert_eq!(put(&*blobs, &key, body.as_bytes()).await, Put::Created);
                assert_eq!(blobs.get(&key, None).await.unwrap(), body);
                blobs.list("deep/", None, 10).await.unwrap();
                blobs.delete(std::slice::from_ref(&key)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let left = harness.blobs().list("", None, 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

pub(crate) async fn keys_follow_the_rule(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    put(&*blobs, "-_.@#=+:,", b"1").await;
    let longer = "a/".repeat(256) + "a";
    for key in BAD_KEYS.into_iter().chain([longer.as_str()]) {
        assert_refused(blobs.put(key, Bytes::from_static(b"1"), META).await);
        assert_refused(blobs.get(key, None).await);
        assert_refused(blobs.head(key).await);
        // All or nothing: the good key before the bad one stays.
        let both = ["-_.@#=+:,".to_owned(), key.to_owned()];
        assert_refused(blobs.delete(&both).await);
    }
    assert_eq!(blobs.list("", None, 1000).await.unwrap().len(), 1);
}

pub(crate) async fn long_keys_are_stored(harness: impl BlobsHarness) {
    let blobs = harness.blobs();
    let key = format!("{}/{}/c", "a".repeat(255), "b".repeat(254));
    assert_eq!(key.len(), 512);
    put(&*blobs, &key, b"1").await;
    assert_eq!(bytes_of(&*blobs, &key).await, Some(1));
    let listed = blobs.list(&key, None, 10).await.unwrap();
    assert_eq!(keys(&listed), [key]);
}

pub(crate) async fn objects_survive_a_restart(mut harness: impl BlobsHarness) {
    put(&*harness.blobs(), "a/b", b"first").await;
    put(&*harness.blobs(), "a/c", b"gone").await;
    harness.blobs().delete(&["a/c".to_owned()]).await.unwrap();
    harness.restart().await;
    let blobs = harness.blobs();
    assert_eq!(put(&*blobs, "a/b", b"second").await, Put::Existed);
    assert_eq!(blobs.get("a/b", None).await.unwrap(), "first");
    assert_eq!(blobs.head("a/c").await.unwrap(), None);
}
