//! Single cases.

use super::super::*;
use super::{claim_all, downloaded, key, settled, small_blocks};

#[test]
fn sources_go_first_and_each_lane_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut frontier = Frontier::create(dir.path(), key(), small_blocks()).unwrap();
    for number in 0..50 {
        let page = Entry::new(Lane::Page, format!("https://shop.example/p/{number}"));
        assert_eq!(frontier.add(&page.url, &page).unwrap(), Added::New);
        if number % 10 == 0 {
            let source = Entry::new(Lane::Source, format!("https://shop.example/s/{number}"));
            frontier.add(&source.url, &source).unwrap();
        }
    }
    let expected: Vec<String> = (0..5)
        .map(|number| format!("https://shop.example/s/{}", number * 10))
        .chain((0..50).map(|number| format!("https://shop.example/p/{number}")))
        .collect();
    assert_eq!(claim_all(&mut frontier), expected);
}

#[test]
fn a_page_and_a_source_of_one_url_are_two() {
    let dir = tempfile::tempdir().unwrap();
    let mut frontier = Frontier::create(dir.path(), key(), FrontierLimits::default()).unwrap();
    let url = "https://shop.example/";
    assert_eq!(
        frontier.add(url, &Entry::new(Lane::Page, url)).unwrap(),
        Added::New
    );
    let key = format!("s {url}");
    assert_eq!(
        frontier.add(&key, &Entry::new(Lane::Source, url)).unwrap(),
        Added::New
    );
    assert_eq!(
        frontier.add(&key, &Entry::new(Lane::Source, url)).unwrap(),
        Added::Seen
    );
    assert_eq!(frontier.know(url).unwrap(), Added::Seen);
    assert_eq!(frontier.counters().repeated, 2);
}

#[test]
fn what_is_handed_back_is_claimed_next_and_what_is_tried_again_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut frontier = Frontier::create(dir.path(), key(), FrontierLimits::default()).unwrap();
    for name in ["a", "b", "c"] {
        frontier.add(name, &Entry::new(Lane::Page, name)).unwrap();
    }
    let a = frontier.claim().unwrap().unwrap();
    let b = frontier.claim().unwrap().unwrap();
    frontier.again(a).unwrap();
    frontier.hand_back(b);
    assert_eq!(frontier.claimed(), 0);
    assert_eq!(frontier.claim().unwrap().unwrap().entry().url, "b");
    assert_eq!(frontier.claim().unwrap().unwrap().entry().url, "c");
    let a = frontier.claim().unwrap().unwrap();
    assert_eq!((a.entry().url.as_str(), a.entry().attempt), ("a", 1));
    assert!(frontier.claim().unwrap().is_none());
    assert_eq!(frontier.counters().pending(Lane::Page), 3);
}

#[test]
fn nothing_to_cut_is_no_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut frontier = Frontier::create(dir.path(), key(), FrontierLimits::default()).unwrap();
    assert_eq!(frontier.cut().unwrap(), None);
    frontier.add("a", &Entry::new(Lane::Page, "a")).unwrap();
    assert_eq!(frontier.cut().unwrap().unwrap().number, 1);
    assert_eq!(frontier.cut().unwrap(), None);
    frontier.add("a", &Entry::new(Lane::Page, "a")).unwrap();
    assert_eq!(
        frontier.cut().unwrap(),
        None,
        "an offer of what is known is not written"
    );
    let a = frontier.claim().unwrap().unwrap();
    frontier.settle(a, &settled(1, b"{}\n")).unwrap();
    assert_eq!(frontier.cut().unwrap().unwrap().number, 2);
}

#[test]
fn two_machines_in_turn_keep_the_key_and_the_counts() {
    let root = tempfile::tempdir().unwrap();
    let first = root.path().join("1");
    let mut frontier =
        Frontier::create(&first, HashKey::random(), FrontierLimits::default()).unwrap();
    frontier.add("a", &Entry::new(Lane::Page, "a")).unwrap();
    frontier.know("b").unwrap();
    frontier.add("b", &Entry::new(Lane::Page, "b")).unwrap();
    frontier.cut().unwrap().unwrap();
    let counters = frontier.counters().clone();
    let second = root.path().join("2");
    let segments = downloaded(&first, 1, &root.path().join("downloads"));
    let (mut frontier, _) = Frontier::replay(&second, FrontierLimits::default(), segments).unwrap();
    assert_eq!(frontier.counters(), &counters);
    assert_eq!(counters.repeated, 1);
    assert!(frontier.knows("b").unwrap());
    assert!(!frontier.knows("c").unwrap());
    assert_eq!(claim_all(&mut frontier), ["a"]);
}

#[test]
fn a_folder_with_a_frontier_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(Frontier::create(dir.path(), key(), FrontierLimits::default()).unwrap());
    let again = Frontier::create(dir.path(), key(), FrontierLimits::default());
    assert!(matches!(again.err(), Some(FrontierError::Exists { .. })));
}
