//! Redirects on the wire.

use trawler_net::FetchClass;

use super::server::{Server, answer, fetcher, get, ok, path, redirect};

#[tokio::test]
async fn redirects_are_followed_and_reported() {
    let ending = Server::start(|_| ok(b"body")).await;
    let target = ending.url("/end");
    let server = Server::start(move |head| match path(head) {
        "/start" => redirect("301 Moved Permanently", "/moved?a=b#part"),
        "/moved?a=b" => redirect("308 Permanent Redirect", "again"),
        _ => redirect("303 See Other", &target),
    })
    .await;
    let fetcher = fetcher(&[&server, &ending]);
    let fetched = fetcher
        .fetch_bytes(&get(&server.url("/start")))
        .await
        .unwrap()
        .into_body()
        .unwrap();
    assert_eq!(&fetched.body[..], b"body");
    assert_eq!(fetched.url.as_str(), ending.url("/end"));
    let statuses: Vec<u16> = fetched.hops.iter().map(|hop| hop.status).collect();
    assert_eq!(statuses, [301, 308, 303]);
    assert_eq!(fetched.moved_to.unwrap().as_str(), server.url("/again"));
    assert_eq!(fetcher.stats().redirects, 3);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::start(|head| {
        let path = path(head);
        match path {
            "/self" => redirect("302 Found", "/self#again"),
            "/a" => redirect("302 Found", "/b"),
            "/b" => redirect("302 Found", "/a"),
            "/file" => redirect("302 Found", "file:///etc/passwd"),
            "/nowhere" => answer("302 Found", &[], b""),
            _ => redirect("302 Found", &format!("{path}x")),
        }
    })
    .await;
    let fetcher = fetcher(&[&server]);
    for (path, class) in [
        ("/self", FetchClass::RedirectLoop),
        ("/a", FetchClass::RedirectLoop),
        ("/file", FetchClass::BadUrl),
        ("/nowhere", FetchClass::Protocol),
        ("/longer", FetchClass::TooManyRedirects),
    ] {
        let error = fetcher
            .fetch_bytes(&get(&server.url(path)))
            .await
            .unwrap_err();
        assert_eq!(error.class(), class, "{path}: {error}");
        assert!(!error.is_transient());
    }
    let longer = server
        .heads()
        .iter()
        .filter(|head| head.contains("/longer"))
        .count();
    assert_eq!(longer, 6, "the first and five hops");
}
