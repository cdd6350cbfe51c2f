//! The jar: what is sent where, what is kept, what makes room.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

fn set(jar: &CookieJar, url: &str, lines: &[&str]) {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header::SET_COOKIE, line.parse().unwrap());
    }
    jar.take(&Url::parse(url).unwrap(), &headers, at(0));
}

fn sent(jar: &CookieJar, url: &str) -> String {
    sent_later(jar, url, 0)
}

fn sent_later(jar: &CookieJar, url: &str, seconds: u64) -> String {
    let value = jar.header(&Url::parse(url).unwrap(), at(seconds), None);
    value.map_or_else(String::new, |value| {
        assert!(value.is_sensitive());
        String::from_utf8(value.as_bytes().to_vec()).unwrap()
    })
}

#[test]
fn cookies_go_where_they_belong() {
    let jar = CookieJar::new();
    set(
        &jar,
        "https://www.shop.test/x/page",
        &[
            "host=1",
            "domain=2; Domain=shop.test; Path=/",
            "secure=3; Secure; Path=/",
            "deep=4; Path=/x/y",
        ],
    );
    let check = |url: &str, expected: &str| assert_eq!(sent(&jar, url), expected, "{url}");
    check(
        "https://www.shop.test/x/y/z",
        "deep=4; host=1; domain=2; secure=3",
    );
    check("https://www.shop.test/x", "host=1; domain=2; secure=3");
    check("http://www.shop.test/x", "host=1; domain=2");
    check("https://www.shop.test/", "domain=2; secure=3");
    check("https://www.shop.test:8443/", "domain=2; secure=3");
    check("https://shop.test/", "domain=2");
    check("https://cdn.shop.test/", "domain=2");
    check("https://a.www.shop.test/", "domain=2");
    check("https://evilshop.test/", "");
    check("https://other.test/", "");
}

#[test]
fn a_cookie_is_replaced_ended_and_forgotten() {
    let jar = CookieJar::new();
    let url = "http://a.test/";
    set(&jar, url, &["a=1", "b=2", "c=3; Max-Age=60"]);
    assert_eq!(
        (sent(&jar, url).as_str(), jar.changes()),
        ("a=1; b=2; c=3", 3)
    );
    set(&jar, url, &["a=9"]);
    assert_eq!(sent(&jar, url), "a=9; b=2; c=3", "its place is kept");
    set(&jar, url, &["a=9"]);
    assert_eq!(jar.changes(), 4, "the same again is no change");
    set(&jar, url, &["b=; Max-Age=0", "unknown=; Max-Age=0"]);
    assert_eq!((sent(&jar, url).as_str(), jar.changes()), ("a=9; c=3", 5));
    assert_eq!(sent_later(&jar, url, 59), "a=9; c=3");
    assert_eq!(sent_later(&jar, url, 60), "a=9");
}

#[test]
fn plain_http_cannot_overlay_a_secure_cookie() {
    let jar = CookieJar::new();
    set(&jar, "https://a.test/", &["session=good; Secure"]);
    set(
        &jar,
        "http://a.test/",
        &["session=evil", "session=evil; Path=/x"],
    );
    set(&jar, "http://sub.a.test/", &["session=evil; Domain=a.test"]);
    assert_eq!(sent(&jar, "https://a.test/x"), "session=good");
    assert_eq!(sent(&jar, "http://a.test/x"), "");
    set(&jar, "https://a.test/", &["session=new"]);
    assert_eq!(sent(&jar, "http://a.test/"), "session=new");
}

#[test]
fn the_callers_own_cookies_come_first() {
    let jar = CookieJar::new();
    set(&jar, "http://a.test/", &["a=1"]);
    let url = Url::parse("http://a.test/").unwrap();
    let given = HeaderValue::from_static("own=0");
    let value = jar.header(&url, at(0), Some(&given)).unwrap();
    assert_eq!(value, "own=0; a=1");
    let other = Url::parse("http://b.test/").unwrap();
    assert_eq!(jar.header(&other, at(0), None), None);
}

#[test]
fn a_jar_is_bounded_for_a_host_and_in_all() {
    let jar = CookieJar::new();
    for n in 0..200 {
        set(&jar, "http://a.test/", &[&format!("c{n}=x")]);
    }
    assert_eq!(jar.len(), DOMAIN_COOKIES_MAX);
    assert!(
        sent(&jar, "http://a.test/").starts_with("c150=x;"),
        "the last stay"
    );
    let big = "x".repeat(4000);
    for n in 0..20 {
        set(&jar, "http://b.test/", &[&format!("c{n}={big}")]);
    }
    let of_b = jar
        .saved()
        .cookies
        .iter()
        .filter(|c| c.domain == "b.test")
        .count();
    assert_eq!(of_b, 8, "32 KiB of 4 KB each");
    assert!(sent(&jar, "http://b.test/").len() <= SENT_BYTES_MAX);
    for n in 0..2000 {
        set(&jar, &format!("http://h{n}.test/"), &["a=1", "b=2"]);
    }
    assert_eq!(jar.len(), COOKIES_MAX);
    let many: Vec<String> = (0..200).map(|n| format!("m{n}=1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let jar = CookieJar::new();
    set(&jar, "http://a.test/", &many);
    assert!(jar.len() <= SET_MAX);
}

#[test]
fn what_is_used_least_lately_makes_room() {
    let jar = CookieJar::new();
    set(&jar, "http://a.test/login", &["session=1; Path=/"]);
    set(&jar, "http://a.test/old", &["old=1; Path=/old"]);
    for n in 0..60 {
        sent(&jar, "http://a.test/");
        set(&jar, "http://a.test/", &[&format!("c{n}=x; Path=/other")]);
    }
    assert_eq!(sent(&jar, "http://a.test/old"), "session=1");
}

#[test]
fn a_saved_jar_goes_on_elsewhere() {
    let jar = CookieJar::new();
    set(
        &jar,
        "https://a.test/",
        &["a=1; Max-Age=60", "b=2; Secure; Domain=a.test; Path=/x"],
    );
    let text = serde_json::to_string(&jar.saved()).unwrap();
    let saved: SavedCookies = serde_json::from_str(&text).unwrap();
    let again = CookieJar::of(&saved);
    assert!(again.saved() == jar.saved());
    assert_eq!(sent(&again, "https://a.test/x"), "b=2; a=1");
    assert_eq!(sent_later(&again, "https://a.test/x", 61), "b=2");
    let shown = format!("{jar:?} {saved:?}");
    assert_eq!(shown, "CookieJar(2) SavedCookies(2)", "no value is shown");
    assert!(serde_json::from_str::<SavedCookies>(r#"{"cookies":[],"x":1}"#).is_err());
}

#[test]
fn what_a_browser_has_made_of_lent_cookies_is_taken_back() {
    let jar = CookieJar::new();
    let shop = "https://www.shop.test/";
    let lines = ["kept=1", "removed=1; Domain=shop.test", "meanwhile=1"];
    set(&jar, shop, &lines);
    let lent = jar.lent(seconds(at(0)));
    assert_eq!(lent.len(), 3);
    // Another page has changed one that this one has not touched.
    set(&jar, shop, &["meanwhile=2"]);
    let before = jar.changes();
    let mut back = lent.clone();
    back.retain(|cookie| cookie.name != "removed");
    let own = JarCookie {
        name: "script".to_owned(),
        value: "1".to_owned(),
        domain: "shop.test".to_owned(),
        host_only: false,
        path: "/".to_owned(),
        secure: false,
        expires: None,
    };
    let broken = JarCookie {
        value: "1\r\nX-Other: 1".to_owned(),
        ..own.clone()
    };
    let long = JarCookie {
        value: "x".repeat(5_000),
        name: "long".to_owned(),
        ..own.clone()
    };
    back.extend([own, broken, long]);
    jar.take_back(&lent, &back, seconds(at(0)));
    assert_eq!(sent(&jar, shop), "kept=1; meanwhile=2; script=1");
    assert_eq!(jar.changes(), before + 2);
    assert_eq!(
        format!("{:?}", jar.lent(0)[0]),
        "JarCookie(kept of www.shop.test/)"
    );
}
