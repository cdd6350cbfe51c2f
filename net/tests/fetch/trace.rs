//! A way told hop by hop, and that it reaches nothing that a fetch does not.

use std::net::IpAddr;

use trawler_net::{FetchClass, Judged, Refusal, Trace};

use super::server::{
    Server, Step, Table, answer, fetcher, fetcher_with, get, head, ok, path, redirect,
};

/// The statuses of a way.
fn statuses(trace: &Trace) -> Vec<Option<u16>> {
    trace.hops.iter().map(|hop| hop.status).collect()
}

/// The addresses of a hop and whether they are let in.
fn verdicts(judged: &[Judged]) -> Vec<(IpAddr, bool)> {
    let verdict = |judged: &Judged| (judged.address.ip(), judged.verdict.is_ok());
    judged.iter().map(verdict).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn every_hop_is_told_to_the_last_answer() {
    let last = Server::start(|_| answer("404 Not Found", &[], b"nothing here")).await;
    let target = last.url("/end");
    let first = Server::start(move |head| match path(head) {
        "/a" => redirect("301 Moved Permanently", "b"),
        _ => redirect("302 Found", &target),
    })
    .await;
    let fetcher = fetcher(&[&first, &last]);
    let trace = fetcher.trace(&get(&first.url("/a"))).await;
    assert_eq!(statuses(&trace), [Some(301), Some(302), Some(404)]);
    let urls: Vec<&str> = trace.hops.iter().map(|hop| hop.url.as_str()).collect();
    assert_eq!(urls, [first.url("/a"), first.url("/b"), last.url("/end")]);
    let locations: Vec<_> = trace.hops.iter().map(|hop| hop.location.clone()).collect();
    assert_eq!(
        locations,
        [Some("b".to_owned()), Some(last.url("/end")), None]
    );
    assert_eq!(trace.end.as_ref().unwrap(), &404, "an error is an answer");
    for hop in &trace.hops {
        assert_eq!(verdicts(&hop.judged), [(ip("127.0.0.1"), true)]);
    }
    assert_eq!(fetcher.stats().redirects, 2);
}

#[tokio::test]
async fn a_way_ends_where_the_policy_refuses() {
    let inside = Server::start(|_| ok(b"secret")).await;
    let port = inside.address.port();
    let lookup = Table::of(&[("inside.test", &[&["10.0.0.1", "127.0.0.1", "::1"]])]);
    let to = format!("http://inside.test:{port}/");
    let shop = Server::start(move |_| redirect("302 Found", &to)).await;
    let fetcher = fetcher_with(&[&shop], lookup);
    let trace = fetcher.trace(&get(&shop.url("/"))).await;
    assert_eq!(statuses(&trace), [Some(302), None]);
    let expected = ["10.0.0.1", "127.0.0.1", "::1"].map(|text| (ip(text), false));
    assert_eq!(verdicts(&trace.hops[1].judged), expected);
    assert!(trace.is_refused());
    let error = trace.end.unwrap_err();
    assert_eq!(error.class(), FetchClass::RefusedAddress);
    assert!(
        error.to_string().contains("inside.test is at 10.0.0.1"),
        "{error}"
    );
    assert_eq!(inside.connections(), 0);
    assert_eq!(fetcher.stats().refused, 1);
}

#[tokio::test]
async fn of_mixed_addresses_each_is_told_and_the_judged_one_asked() {
    let allowed = Server::start(|_| ok(b"public")).await;
    let port = allowed.address.port();
    let private = Server::at(&format!("127.0.0.2:{port}"), |_| ok(b"secret")).await;
    let private = private.unwrap();
    let lookup = Table::of(&[("mixed.test", &[&["127.0.0.2", "127.0.0.1"]])]);
    let fetcher = fetcher_with(&[&allowed], lookup.clone());
    let trace = fetcher
        .trace(&get(&format!("http://mixed.test:{port}/")))
        .await;
    let expected = [(ip("127.0.0.2"), false), (ip("127.0.0.1"), true)];
    assert_eq!(verdicts(&trace.hops[0].judged), expected);
    assert_eq!(trace.end.unwrap(), 200);
    assert_eq!(private.connections(), 0);
    assert_eq!(
        lookup.asked(),
        1,
        "the answer that is told is the one that is used"
    );
}

#[tokio::test]
async fn ports_of_other_protocols_are_refused_before_a_name_is_looked_up() {
    let lookup = Table::of(&[("shop.test", &[&["93.184.215.14"]])]);
    let fetcher = fetcher_with(&[], lookup.clone());
    let trace = fetcher.trace(&get("http://shop.test:25/")).await;
    assert!(trace.is_refused() && trace.hops[0].judged.is_empty());
    assert_eq!(lookup.asked(), 0);
    let literal = fetcher.trace(&get("http://93.184.215.14:22/")).await;
    assert!(literal.is_refused());
    let verdict = &literal.hops[0].judged[0].verdict;
    assert!(
        matches!(verdict, Err(Refusal::Port { port: 22, .. })),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn ways_without_an_answer_end_with_the_reason() {
    let server = Server::start(|request| match path(request) {
        "/loop" => redirect("302 Found", "/loop"),
        "/file" => redirect("302 Found", "file:///etc/passwd"),
        "/nowhere" => answer("302 Found", &[], b""),
        "/closes" => vec![Step::Close],
        longer => redirect("302 Found", &format!("{longer}x")),
    })
    .await;
    let fetcher = fetcher_with(&[&server], Table::of(&[]));
    for (url, class, hops) in [
        (server.url("/loop"), FetchClass::RedirectLoop, 1),
        (server.url("/file"), FetchClass::BadUrl, 1),
        (server.url("/nowhere"), FetchClass::Protocol, 1),
        (server.url("/closes"), FetchClass::Connect, 1),
        (server.url("/longer"), FetchClass::TooManyRedirects, 6),
        ("http://absent.test/".to_owned(), FetchClass::Dns, 1),
    ] {
        let trace = fetcher.trace(&get(&url)).await;
        assert!(!trace.is_refused());
        let error = trace.end.unwrap_err();
        assert_eq!(error.class(), class, "{url}: {error}");
        assert_eq!(trace.hops.len(), hops, "{url}");
    }
    assert_eq!(fetcher.stats().failed, 6);
    assert_eq!(fetcher.stats().retries, 0);
}

#[tokio::test]
async fn nothing_of_a_body_is_waited_for() {
    let server = Server::start(|_| vec![head("Content-Length: 99999999999\r\n"), Step::Hang]).await;
    let fetcher = fetcher(&[&server]);
    let trace = fetcher.trace(&get(&server.url("/"))).await;
    assert_eq!(trace.end.unwrap(), 200);
    assert_eq!(fetcher.stats().bytes_down, 0);
}
