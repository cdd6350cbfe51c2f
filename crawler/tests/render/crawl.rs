//! A page in a browser as a part of its crawl: cookies, turns, and what is said
//! of a page that did not get all it asked for.

use std::time::{Duration, Instant};

use trawler_crawler::render::RenderError;
use trawler_net::{CookieJar, Fetched, Request};
use url::Url;

use super::shop::Shop;
use super::{Yard, built, document, pace};

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_scripts_are_the_crawls_and_those_of_the_crawl_are_the_pages() {
    let shop = Shop::serve(&[
        ("/page", "text/html", "x".to_owned()),
        ("/api", "text/plain", "x".to_owned()),
        ("/api?Set-Cookie=answered", "text/plain", "x".to_owned()),
    ])
    .await;
    let jar = CookieJar::new();
    let fetcher = shop.fetcher();
    // One that the shop sets before the page.
    let ask = async |path: &str| {
        let request = Request::get_url(&Url::parse(&shop.url(path)).unwrap()).unwrap();
        let request = request.cookies(std::sync::Arc::clone(&jar));
        let fetched = fetcher.fetch_bytes(&request).await.unwrap();
        assert!(matches!(fetched, Fetched::Body(_)));
        shop.heads().pop().unwrap()
    };
    ask("/page?Set-Cookie=session").await;
    ask("/page?Set-Cookie=old").await;
    // Two browsers, each with a page: the crawl has one set of cookies.
    let yard = Yard::new(|settings| settings.pages_max = 1);
    let session = yard
        .session_with(&fetcher, |options| {
            options.cookies = Some(std::sync::Arc::clone(&jar));
        })
        .await;
    let page = document(
        &shop.url("/page"),
        "<p>a</p><script>\
         document.body.append(document.cookie);\
         document.cookie = 'script=1; path=/';\
         document.cookie = 'old=; path=/; max-age=0';\
         fetch('/api?Set-Cookie=answered')</script>",
    );
    let page = built(session.render(&page).await.unwrap());
    let shown = ["session=1", "old=1"].map(|cookie| page.html.contains(cookie));
    assert_eq!(shown, [true; 2], "{}", page.html);
    let head = ask("/page").await;
    for cookie in ["session=1", "script=1", "answered=1"] {
        assert!(head.contains(cookie), "{cookie}: {head}");
    }
    assert!(!head.contains("old="), "{head}");
    let show = "<p>a</p><script>document.body.append(document.cookie)</script>";
    let show = document(&shop.url("/page"), show);
    let show = built(session.render(&show).await.unwrap());
    assert!(show.html.contains("script=1"), "{}", show.html);
    assert_eq!(yard.browsers.started(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_page_take_their_turns_and_the_wait_is_not_the_pages_time() {
    const ASKED: u32 = 12;
    let shop = Shop::serve(&[("/api", "text/plain", "x".to_owned())]).await;
    let yard = Yard::new(|settings| settings.page_wait = Duration::from_secs(4));
    let session = yard
        .session_with(&shop.fetcher(), |options| options.pace = pace(2.0, 1))
        .await;
    let html = format!(
        "<p>a</p><script>for (let n = 0; n < {ASKED}; n++) fetch('/api?' + n)\
         .then(() => document.body.append(' got' + n))</script>"
    );
    let started = Instant::now();
    let page = document(&shop.url("/"), &html);
    let page = built(session.render(&page).await.unwrap());
    assert!(page.is_settled, "{}", page.html);
    assert!(
        page.html.contains(&format!("got{}", ASKED - 1)),
        "{}",
        page.html
    );
    // Two a second.
    assert!(
        started.elapsed() >= Duration::from_millis(500) * (ASKED - 1),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(shop.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_keeps_is_asked_for_once_and_waits_for_no_turn() {
    let script = "document.body.append('built')".to_owned();
    let shop = Shop::serve(&[("/app.js?Cache-Control=max-age", "text/javascript", script)]).await;
    let yard = Yard::new(|settings| {
        settings.browsers = 1;
        settings.page_wait = Duration::from_secs(5);
    });
    // One request in ten minutes: a second one would not come in any page's time.
    let session = yard
        .session_with(&shop.fetcher(), |options| {
            options.pace = pace(1.0 / 600.0, 1)
        })
        .await;
    let html = "<p>a</p><script src='/app.js?Cache-Control=max-age'></script>";
    for _ in 0..4 {
        let page = document(&shop.url("/"), html);
        let page = built(session.render(&page).await.unwrap());
        assert!(page.html.contains("built</body>"), "{}", page.html);
    }
    assert_eq!(shop.asked().len(), 1, "{:?}", shop.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_asked_for_and_did_not_get_is_told() {
    let shop = Shop::serve(&[
        ("/fine", "text/plain", "x".to_owned()),
        ("/down?status=503", "text/plain", String::new()),
        ("/gone?status=404", "text/plain", String::new()),
        ("/cut?status=0", "text/plain", String::new()),
    ])
    .await;
    let yard = Yard::new(|settings| settings.requests_max = 6);
    let session = yard.session(&shop).await;
    let html = "<p>a</p><img src='/x.jpg'><script>\
        const stop = new AbortController();\
        fetch('/fine?slow', {signal: stop.signal}).catch(() => 0); stop.abort();\
        const all = ['/fine', '/down?status=503', '/gone?status=404', '/cut?status=0', \
            '/private/stock'];\
        Promise.all(all.map(url => fetch(url).catch(() => 0))).then(() => {\
            for (let n = 0; n < 4; n++) fetch('/fine?' + n).catch(() => 0) })</script>";
    let page = document(&shop.url("/"), html);
    let page = built(session.render(&page).await.unwrap());
    let mut told: Vec<_> = page
        .broken
        .iter()
        .map(|broken| {
            let url = &broken.url;
            format!("{}: {}", url.path(), broken.why)
        })
        .collect();
    told.sort();
    told.dedup();
    assert_eq!(told[0], "/cut: status 502", "{told:?}");
    assert_eq!(told[1], "/down: status 503", "{told:?}");
    assert_eq!(told[2], "/fine: a page may ask 6 times", "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_at_once_are_bounded() {
    let shop = Shop::serve(&[("/api", "text/plain", "x".to_owned())]).await;
    let yard = Yard::new(|settings| settings.browsers = 2);
    let session = yard.session(&shop).await;
    let html = "<p>a</p><script>fetch('/api')</script>";
    let pages: Vec<_> = (0..6)
        .map(|n| document(&shop.url(&format!("/{n}")), html))
        .collect();
    let built = futures::future::join_all(pages.iter().map(|page| session.render(page))).await;
    assert!(built.iter().all(Result::is_ok), "{built:?}");
    assert_eq!(yard.browsers.started(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_chromium_nothing_begins_and_what_to_install_is_said() {
    let shop = Shop::serve(&[]).await;
    let yard = Yard::new(|settings| settings.chromium = Some("/nowhere/chromium".into()));
    let (fetcher, options) = (shop.fetcher(), super::options());
    let session = yard.browsers.session(&fetcher, options).await;
    let error = session.err().unwrap();
    assert!(matches!(error, RenderError::NoChromium(_)), "{error:?}");
    assert!(error.to_string().contains("/nowhere/chromium"), "{error}");
}
