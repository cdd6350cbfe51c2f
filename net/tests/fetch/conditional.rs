//! Conditional requests.

use trawler_net::{FetchClass, Fetched, Validators};

use super::server::{Server, answer, fetcher, get, ok, path, redirect};

const TAG: &str = "W/\"v 1\"";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[tokio::test]
async fn validators_go_out_as_they_came_and_304_is_an_answer() {
    let server = Server::start(|head| {
        let asked = head.to_ascii_lowercase();
        let known = asked.contains("if-none-match: w/\"v 1\"")
            && asked.contains(&format!("if-modified-since: {}", DATE.to_ascii_lowercase()));
        match path(head) {
            "/moved" => redirect("301 Moved Permanently", "/"),
            _ if known => answer("304 Not Modified", &[("ETag", TAG)], b""),
            _ => answer("200 OK", &[("ETag", TAG), ("Last-Modified", DATE)], b"body"),
        }
    })
    .await;
    let fetcher = fetcher(&[&server]);
    let first = fetcher
        .fetch_bytes(&get(&server.url("/")))
        .await
        .unwrap()
        .into_body()
        .unwrap();
    assert_eq!(first.validators.etag.as_deref(), Some(TAG));
    assert_eq!(first.validators.last_modified.as_deref(), Some(DATE));

    for path in ["/", "/moved"] {
        let request = get(&server.url(path)).validators(first.validators.clone());
        let Fetched::NotModified(same) = fetcher.fetch_bytes(&request).await.unwrap() else {
            panic!("{path}: a body came");
        };
        assert_eq!(
            same.validators, first.validators,
            "the date is kept although the 304 left it out"
        );
        assert_eq!(same.url.as_str(), server.url("/"));
        assert_eq!(same.moved_to.is_some(), path == "/moved");
    }
    let stats = fetcher.stats();
    assert_eq!(
        (
            stats.requests,
            stats.conditional_requests,
            stats.not_modified
        ),
        (4, 3, 2)
    );
    assert_eq!(
        stats.bytes_down, 4,
        "the second and third cost no byte of a body"
    );
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_an_error() {
    let server = Server::start(|_| answer("304 Not Modified", &[], b"")).await;
    let error = fetcher(&[&server])
        .fetch_bytes(&get(&server.url("/")))
        .await
        .unwrap_err();
    assert_eq!(error.class(), FetchClass::Protocol);
    let empty = get(&server.url("/")).validators(Validators::default());
    let error = fetcher(&[&server]).fetch_bytes(&empty).await.unwrap_err();
    assert_eq!(error.class(), FetchClass::Protocol);
}

#[tokio::test]
async fn changed_content_comes_whole() {
    let server = Server::start(|_| ok(b"new")).await;
    let validators = Validators {
        etag: Some("\"old\"".into()),
        last_modified: None,
    };
    let request = get(&server.url("/")).validators(validators);
    let fetched = fetcher(&[&server])
        .fetch_bytes(&request)
        .await
        .unwrap()
        .into_body()
        .unwrap();
    assert_eq!(&fetched.body[..], b"new");
    assert!(fetched.validators.is_empty());
}
