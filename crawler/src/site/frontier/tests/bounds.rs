//! What is refused, and that it is counted, also after a replay.

use super::super::*;
use super::{downloaded, key, settled, small_blocks};

fn page(url: &str) -> Entry {
    Entry::new(Lane::Page, url)
}

#[test]
fn entries_above_the_bound_are_refused_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let limits = FrontierLimits {
        entries_max: 2,
        ..small_blocks()
    };
    let dir = root.path().join("1");
    let mut frontier = Frontier::create(&dir, key(), limits).unwrap();
    for (name, expected) in [
        ("a", Added::New),
        ("b", Added::New),
        ("c", Added::Full(Bound::Entries)),
        ("a", Added::Seen),
        ("c", Added::Full(Bound::Entries)),
    ] {
        assert_eq!(frontier.add(name, &page(name)).unwrap(), expected, "{name}");
    }
    assert_eq!(frontier.know("d").unwrap(), Added::Full(Bound::Entries));
    assert_eq!(frontier.counters().refused(Bound::Entries), 3);
    frontier.cut().unwrap().unwrap();
    let segments = downloaded(&dir, 1, &root.path().join("downloads"));
    let (mut frontier, _) = Frontier::replay(&root.path().join("2"), limits, segments).unwrap();
    assert_eq!(frontier.counters().refused(Bound::Entries), 3);
    assert_eq!(
        frontier.add("d", &page("d")).unwrap(),
        Added::Full(Bound::Entries)
    );
}

#[test]
fn a_long_url_is_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let limits = FrontierLimits {
        url_bytes_max: 10,
        ..small_blocks()
    };
    let mut frontier = Frontier::create(dir.path(), key(), limits).unwrap();
    let (fits, long) = ("u".repeat(10), "u".repeat(11));
    assert_eq!(
        frontier
            .add(&format!("prefix {fits}"), &page(&fits))
            .unwrap(),
        Added::New
    );
    assert_eq!(
        frontier.add(&long, &page(&long)).unwrap(),
        Added::Full(Bound::UrlBytes)
    );
    let key = "k".repeat(1000);
    assert_eq!(
        frontier.add(&key, &page(&fits)).unwrap(),
        Added::Full(Bound::UrlBytes)
    );
    assert_eq!(frontier.know(&key).unwrap(), Added::Full(Bound::UrlBytes));
    assert_eq!(frontier.counters().refused(Bound::UrlBytes), 3);
}

#[test]
fn a_full_journal_takes_outcomes_but_neither_entries_nor_rows() {
    let dir = tempfile::tempdir().unwrap();
    let limits = FrontierLimits {
        journal_bytes_max: 2000,
        ..small_blocks()
    };
    let mut frontier = Frontier::create(dir.path(), key(), limits).unwrap();
    let mut added = 0;
    loop {
        let url = format!("https://shop.example/{added}");
        match frontier.add(&url, &page(&url)).unwrap() {
            Added::New => added += 1,
            Added::Full(Bound::JournalBytes) => break,
            other => panic!("{other:?}"),
        }
        assert!(frontier.journal_bytes() < 2200);
    }
    let claimed = frontier.claim().unwrap().unwrap();
    let kept = frontier.settle(claimed, &settled(1, b"{}\n")).unwrap();
    assert_eq!(kept, Kept::OutcomeOnly(Bound::JournalBytes));
    let claimed = frontier.claim().unwrap().unwrap();
    assert_eq!(
        frontier.settle(claimed, &settled(2, b"")).unwrap(),
        Kept::Whole
    );
    assert_eq!(frontier.counters().settled_total(), 2);
    assert_eq!(frontier.counters().refused(Bound::JournalBytes), 2);
    let kept: Vec<_> = frontier.payloads().unwrap().map(Result::unwrap).collect();
    assert_eq!(
        kept.iter()
            .map(|one| (one.outcome, one.payload.len()))
            .collect::<Vec<_>>(),
        [(1, 0), (2, 0)]
    );
}

#[test]
fn rows_above_the_bound_are_not_kept_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let limits = FrontierLimits {
        settled_bytes_max: 5,
        ..small_blocks()
    };
    let mut frontier = Frontier::create(dir.path(), key(), limits).unwrap();
    for name in ["a", "b"] {
        frontier.add(name, &page(name)).unwrap();
    }
    let claimed = frontier.claim().unwrap().unwrap();
    let much = Settled {
        outcome: 1,
        payload: b"123",
        facts: b"456",
    };
    assert_eq!(
        frontier.settle(claimed, &much).unwrap(),
        Kept::OutcomeOnly(Bound::SettledBytes)
    );
    let claimed = frontier.claim().unwrap().unwrap();
    assert_eq!(
        frontier.settle(claimed, &settled(1, b"12345")).unwrap(),
        Kept::Whole
    );
    assert_eq!(frontier.counters().refused(Bound::SettledBytes), 1);
}

#[test]
fn no_more_are_claimed_than_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let limits = FrontierLimits {
        claims_max: 2,
        ..small_blocks()
    };
    let mut frontier = Frontier::create(dir.path(), key(), limits).unwrap();
    for name in ["a", "b", "c"] {
        frontier.add(name, &page(name)).unwrap();
    }
    let a = frontier.claim().unwrap().unwrap();
    let _b = frontier.claim().unwrap().unwrap();
    assert!(frontier.claim().unwrap().is_none());
    frontier.settle(a, &settled(1, b"")).unwrap();
    assert_eq!(frontier.claim().unwrap().unwrap().entry().url, "c");
}
