//! The cookies of a crawl on the wire: set by any answer, sent by their rules,
//! never for another crawl.

use std::sync::Arc;

use trawler_net::{Auth, CookieJar, Secret};

use super::server::{Server, Table, answer, fetcher_with, get, ok, path};

/// The line of a request head, if it is there.
fn line<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

#[tokio::test]
async fn a_session_begins_at_a_redirect_and_stays_with_its_hosts() {
    let server = Server::start(|head| match path(head) {
        "/login" => answer(
            "302 Found",
            &[
                ("Set-Cookie", "session=abc; Path=/; HttpOnly"),
                ("Set-Cookie", "wide=1; Domain=shop.test; Path=/"),
                ("Location", "/home"),
            ],
            b"",
        ),
        "/missing" => answer("404 Not Found", &[("Set-Cookie", "seen=404")], b""),
        _ => ok(b"page"),
    })
    .await;
    let loopback: &[&[&str]] = &[&["127.0.0.1"]];
    let lookup = Table::of(&[
        ("www.shop.test", loopback),
        ("cdn.shop.test", loopback),
        ("other.test", loopback),
    ]);
    let fetcher = fetcher_with(&[&server], lookup);
    let port = server.address.port();
    let jar = CookieJar::new();
    let ask = async |url: &str, jar: Option<&Arc<CookieJar>>| {
        let request = get(&url.replace(".test/", &format!(".test:{port}/")));
        let request = match jar {
            Some(jar) => request.cookies(Arc::clone(jar)),
            None => request,
        };
        let _ = fetcher.fetch_bytes(&request).await;
        let heads = server.heads();
        let cookies = line(heads.last().unwrap(), "cookie");
        cookies.unwrap_or_default().to_owned()
    };
    let home = ask("http://www.shop.test/login", Some(&jar)).await;
    assert_eq!(
        home, "session=abc; wide=1",
        "sent to where the redirect led"
    );
    let first = server.heads()[0].clone();
    assert_eq!(line(&first, "cookie"), None);
    ask("http://www.shop.test/missing", Some(&jar)).await;
    let next = ask("http://www.shop.test/x", Some(&jar)).await;
    assert_eq!(next, "session=abc; wide=1; seen=404");
    assert_eq!(ask("http://cdn.shop.test/x", Some(&jar)).await, "wide=1");
    assert_eq!(ask("http://other.test/x", Some(&jar)).await, "");
    // Another crawl, and one without a jar, over the same connections.
    let other = CookieJar::new();
    assert_eq!(ask("http://www.shop.test/x", Some(&other)).await, "");
    assert_eq!(ask("http://www.shop.test/x", None).await, "");
    // Another machine.
    let again = CookieJar::of(&jar.saved());
    assert_eq!(ask("http://cdn.shop.test/x", Some(&again)).await, "wide=1");
}

#[tokio::test]
async fn a_pipes_own_cookie_and_the_jars_stand_together_on_its_own_host() {
    let stranger = Server::start(|_| ok(b"body")).await;
    let to = stranger.url("/");
    let own = Server::start(move |head| match path(head) {
        "/set" => answer("200 OK", &[("Set-Cookie", "set=1")], b"x"),
        _ => answer("302 Found", &[("Location", &to)], b""),
    })
    .await;
    let fetcher = super::server::fetcher(&[&own, &stranger]);
    let jar = CookieJar::new();
    for path in ["/set", "/away"] {
        let request = get(&own.url(path)).cookies(Arc::clone(&jar));
        let request = request.header("Cookie", "own=hunter2").unwrap();
        let request = request.auth(&Auth::Bearer(Secret::new("hunter2"))).unwrap();
        let request = request.accept_language("ko-KR,ko;q=0.9").unwrap();
        fetcher.fetch_bytes(&request.accept_pages()).await.unwrap();
    }
    let heads = own.heads();
    assert_eq!(line(&heads[0], "cookie"), Some("own=hunter2"));
    assert_eq!(line(&heads[1], "cookie"), Some("own=hunter2; set=1"));
    assert_eq!(line(&heads[1], "accept-language"), Some("ko-KR,ko;q=0.9"));
    assert!(line(&heads[1], "accept").unwrap().starts_with("text/html,"));
    // Both servers are 127.0.0.1, and cookies know no ports (RFC 6265, 8.5):
    // the jar's goes to the address, the pipe's own stays with its origin.
    let heads = stranger.heads();
    assert_eq!(line(&heads[0], "cookie"), Some("set=1"));
    assert_eq!(line(&heads[0], "authorization"), None);
}
