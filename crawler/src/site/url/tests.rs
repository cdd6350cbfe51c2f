#![allow(clippy::unwrap_used)]

use trawler_core::site::{CanonicalOptions, Scheme, TrailingSlash};
use url::Url;

use super::*;

const PAGE: &str = "https://shop.example/shoes/list.html?page=2";

fn page() -> Url {
    Url::parse(PAGE).unwrap()
}

fn under(options: &CanonicalOptions, reference: &str) -> Result<String, Refused> {
    let rules = CanonicalRules::new(options);
    let url = rules.resolver(&page(), None).resolve(reference)?;
    Ok(url.into())
}

fn check(reference: &str, expected: &str) {
    let found = under(&CanonicalOptions::default(), reference);
    let expected = expected.replace('~', "https://shop.example");
    assert_eq!(found.as_deref(), Ok(expected.as_str()), "{reference:?}");
}

#[test]
fn references_are_resolved() {
    check("", "~/shoes/list.html?page=2");
    check("#top", "~/shoes/list.html?page=2");
    check("?page=3", "~/shoes/list.html?page=3");
    check("a.html", "~/shoes/a.html");
    check("a/b.html", "~/shoes/a/b.html");
    check("./a.html", "~/shoes/a.html");
    check("../a.html", "~/a.html");
    check("../../../a.html", "~/a.html");
    check("./../a/b.html?x=1#y", "~/a/b.html?x=1");
    check("../", "~/");
    check("./", "~/shoes/");
    check("..", "~/");
    check("..//a", "~//a");
    check(".././/a", "~//a");
    check("../.a", "~/.a");
    check("../a:b", "~/a:b");
    check("../a/../b", "~/b");
    check("/", "~/");
    check("/a", "~/a");
    check("//shop.example/a", "~/a");
    check("//other.example/a", "https://other.example/a");
    check("https://shop.example", "~/");
    check("https://shop.example?x=1", "~/?x=1");
    check("https://shop.example#x", "~/");
    check("https://shop.example/a", "~/a");
    check(
        "https://shop.example.evil.example/a",
        "https://shop.example.evil.example/a",
    );
    check("https:/a", "~/a");
    check("https:a.html", "~/shoes/a.html");
    check("http:a", "http://a/");
    check("\\a\\b", "~/a/b");
    check("https:\\\\shop.example\\a", "~/a");
    check("  /a\n", "~/a");
    check("/a\n/b\t/c", "~/a/b/c");
    check("\u{0}/a", "~/a");
    check("/a b", "~/a%20b");
}

#[test]
fn what_names_no_page_is_refused() {
    let check = |reference: &str, expected: Refused| {
        let found = under(&CanonicalOptions::default(), reference);
        assert_eq!(found, Err(expected), "{reference:?}");
    };
    let scheme = |scheme: &str| Refused::Scheme(scheme.to_owned());
    check("javascript:void(0)", scheme("javascript"));
    check(" JavaScript:alert('x')", scheme("JavaScript"));
    check("java\nscript:alert(1)", scheme("javascript"));
    check("mailto:a@shop.example", scheme("mailto"));
    check("tel:+49", scheme("tel"));
    check("data:text/html,x", scheme("data"));
    check("ftp://shop.example/", scheme("ftp"));
    check("file:///etc/passwd", scheme("file"));
    check("localhost:8080/x", scheme("localhost"));
    check("https://ann@shop.example/", Refused::Credentials);
    check("https://ann:pw@shop.example/", Refused::Credentials);
    check("https://:pw@shop.example/", Refused::Credentials);
    check("http://", Refused::Invalid(url::ParseError::EmptyHost));
    check("https://a b/", Refused::Invalid(url::ParseError::IdnaError));
    check(
        "https://a:99999/",
        Refused::Invalid(url::ParseError::InvalidPort),
    );
    check(
        "https://[::1/",
        Refused::Invalid(url::ParseError::InvalidIpv6Address),
    );
    check(&format!("/{}", "a".repeat(5_000)), Refused::TooLong);
    check(&format!("/?{}", "a".repeat(20_000)), Refused::TooLong);
    check(&format!("/{}", "한".repeat(600)), Refused::TooLong);
    let longest = format!(
        "/{}",
        "a".repeat(URL_BYTES_MAX - "https://shop.example/".len())
    );
    assert!(under(&CanonicalOptions::default(), &longest).is_ok());
}

#[test]
fn scheme_host_and_port() {
    check("HTTPS://SHOP.Example/A", "~/A");
    check("https://shop.example:443/", "~/");
    check("https://shop.example:0443/", "~/");
    check("http://shop.example:80/", "http://shop.example/");
    check("https://shop.example:8443/", "https://shop.example:8443/");
    check("https://shop.example:/", "~/");
    check("https://shop.example./a", "~/a");
    check("https://bücher.example/", "https://xn--bcher-kva.example/");
    check("https://BÜCHER.example/", "https://xn--bcher-kva.example/");
    check("https://쇼핑.example/", "https://xn--hp4bo76a.example/");
    check("https://shop%2Eexample/a", "~/a");
    check("https://0x7f.1/", "https://127.0.0.1/");
    check("https://[::FFFF:1]/", "https://[::ffff:1]/");
    check("https://[::1]:8443/", "https://[::1]:8443/");
}

#[test]
fn percent_encoding_has_one_spelling() {
    check("/%61%2D%5f", "~/a-_");
    check("/a%2fb/%c3%a4", "~/a%2Fb/%C3%A4");
    check("/ä/한", "~/%C3%A4/%ED%95%9C");
    check("/%E4/", "~/%E4/");
    check("/100%", "~/100%25");
    check("/%zz%2%35", "~/%25zz%2525");
    check("/%2541", "~/%2541");
    check("/a|b[c]^`{}", "~/a%7Cb%5Bc%5D%5E%60%7B%7D");
    check("/a%7cb", "~/a%7Cb");
    check("/a'b!$&()*+,;=:@", "~/a'b!$&()*+,;=:@");
    check("/%27%21", "~/%27%21");
    check("/\"<>", "~/%22%3C%3E");
    let found = under(&CanonicalOptions::default(), "/%7eann/~ann").unwrap();
    assert_eq!(found, "https://shop.example/~ann/~ann");
}

#[test]
fn dot_segments() {
    check("/a/./b/../c", "~/a/c");
    check("/a/%2e/b/%2E%2e/c", "~/a/c");
    check("/a/.%2e/c", "~/c");
    check("/a/..", "~/");
    check("/a/.", "~/a/");
    check("/.well-known/a", "~/.well-known/a");
    check("/a...b/...", "~/a...b/...");
    check("/a//b", "~/a//b");
    check("/a/..;/b", "~/a/..;/b");
    check("/a/..;jsessionid=1/b", "~/a/..;jsessionid=1/b");
}

#[test]
fn queries() {
    check("/a?", "~/a");
    check("/a?&&", "~/a");
    check("/a?b=2&a=1", "~/a?a=1&b=2");
    check("/a?b=2&&a=1&", "~/a?a=1&b=2");
    check("/a?c[]=2&c[]=1&b", "~/a?b&c%5B%5D=2&c%5B%5D=1");
    check("/a?a=1&a=0&A=3", "~/a?A=3&a=1&a=0");
    check("/a?a=%2f&b=/&c=%3D", "~/a?a=%2F&b=/&c=%3D");
    check("/a?q=a b&r=a+b&s=a%20b", "~/a?q=a%20b&r=a+b&s=a%20b");
    check("/a?q=코트", "~/a?q=%EC%BD%94%ED%8A%B8");
    check("/a?q='x'", "~/a?q=%27x%27");
    check("/a?q=100%&r=%zz", "~/a?q=100%25&r=%25zz");
    check(
        "/a?next=https://b.example/?x#y",
        "~/a?next=https://b.example/?x",
    );
    check("/a?%62=1&a=2", "~/a?a=2&b=1");
    check("/a?=1&b", "~/a?=1&b");
    check("/a#!/b", "~/a");
    check("/a?x=1#b?c", "~/a?x=1");
}

#[test]
fn trackers_and_sessions_are_dropped() {
    check("/a?utm_source=x&id=1&UTM_Medium=y&gclid=z", "~/a?id=1");
    check("/a?fbclid=1&msclkid=2", "~/a");
    check("/a?PHPSESSID=abc&id=1", "~/a?id=1");
    check("/a?ASPSESSIONIDABCD=abc&id=1", "~/a?id=1");
    check("/a?sid=7", "~/a?sid=7");
    check("/a?sid=0123456789abcdef0123", "~/a");
    check(
        "/a?sid=01234567890123456789",
        "~/a?sid=01234567890123456789",
    );
    check("/a?%75tm_source=x", "~/a");
    check("/a?utm=1&autm_x=1", "~/a?autm_x=1&utm=1");
    check("/a?NaPm=ct%3D1&n_media=2", "~/a");
    check("/a;jsessionid=0A1B.node1?x=1", "~/a?x=1");
    check("/a;JSESSIONID=1/b;v=2", "~/a/b;v=2");
    check("/a;v=1;jsessionid=2", "~/a;v=1");
    check("/;jsessionid=2", "~/");
    check("/(S(x0kwvc))/a", "~/a");
    check("/a/(S(x)F(y))/b", "~/a/b");
    check("/(S(x))", "~/");
    check("/(S(x))/", "~/");
    check("/a(S(x))/(new)/(S())", "~/a(S(x))/(new)/(S())");
}

#[test]
fn rules_of_the_pipe() {
    let check = |options: &CanonicalOptions, reference: &str, expected: &str| {
        let found = under(options, reference);
        let expected = format!("https://shop.example{expected}");
        assert_eq!(found, Ok(expected), "{reference:?} {options:?}");
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let default = CanonicalOptions::default;
    let keep = CanonicalOptions {
        keep_query: names(&["ID", "v_*"]),
        ..default()
    };
    check(
        &keep,
        "/a?x=1&id=2&V_color=red&gclid=3",
        "/a?V_color=red&id=2",
    );
    let kept = CanonicalOptions {
        keep_query: names(&["gclid"]),
        ..default()
    };
    check(&kept, "/a?x=1&gclid=2", "/a?gclid=2");
    let drop = CanonicalOptions {
        drop_query: names(&["ref", "색*"]),
        ..default()
    };
    check(
        &drop,
        "/a?REF=1&utm_x=2&id=3&%EC%83%89%EA%B9%94=1",
        "/a?id=3",
    );
    let all = CanonicalOptions {
        drop_known: false,
        sort_query: false,
        ..default()
    };
    check(
        &all,
        "/a?z=1&utm_x=2&sid=0123456789abcdef0123",
        "/a?z=1&utm_x=2&sid=0123456789abcdef0123",
    );
    let index = CanonicalOptions {
        index_names: names(&["index.html"]),
        ..default()
    };
    check(&index, "/a/index.html?x=1", "/a/?x=1");
    check(&index, "/index.html", "/");
    check(&index, "/myindex.html", "/myindex.html");
    let remove = CanonicalOptions {
        trailing_slash: TrailingSlash::Remove,
        ..index.clone()
    };
    check(&remove, "/", "/");
    check(&remove, "/a//?x=1", "/a?x=1");
    check(&remove, "/a/index.html/index.html/", "/a");
    let add = CanonicalOptions {
        trailing_slash: TrailingSlash::Add,
        ..default()
    };
    check(&add, "/a", "/a/");
    check(&add, "/a.html", "/a.html");
    check(&add, "/a.b/c?x=1", "/a.b/c/?x=1");
    let lower = CanonicalOptions {
        lower_case_path: true,
        index_names: names(&["Default.aspx"]),
        ..default()
    };
    check(&lower, "/A/%C3%84/DEFAULT.aspx?X=Y", "/a/%C3%84/?X=Y");
    let http = CanonicalOptions {
        scheme: Scheme::Https,
        ..default()
    };
    check(&http, "http://shop.example/a", "/a");
    let found = under(&http, "http://shop.example:8080/a").unwrap();
    assert_eq!(found, "http://shop.example:8080/a");
}

#[test]
fn hosts_that_are_the_same() {
    let options = CanonicalOptions {
        host_aliases: [("WWW.shop.example".to_owned(), "shop.example".to_owned())].into(),
        ..CanonicalOptions::default()
    };
    let rules = CanonicalRules::new(&options);
    let page = Url::parse("https://www.shop.example/a/b").unwrap();
    let mut references = rules.resolver(&page, None);
    for (reference, expected) in [
        ("c", "https://shop.example/a/c"),
        ("/c", "https://shop.example/c"),
        ("https://www.shop.example/c", "https://shop.example/c"),
        (
            "https://www.shop.example:8443/c",
            "https://shop.example:8443/c",
        ),
        ("https://m.shop.example/c", "https://m.shop.example/c"),
    ] {
        assert_eq!(references.resolve(reference).unwrap().as_str(), expected);
    }
}

#[test]
fn the_base_of_a_page() {
    let rules = CanonicalRules::default();
    let check = |base: &str, reference: &str, expected: &str| {
        let url = rules.resolver(&page(), Some(base)).resolve(reference);
        assert_eq!(url.unwrap().as_str(), expected, "{base} {reference}");
    };
    check("/", "a", "https://shop.example/a");
    check("https://cdn.example/x/", "a", "https://cdn.example/x/a");
    check("x/y", "a", "https://shop.example/shoes/x/a");
    check("javascript:1", "a", "https://shop.example/shoes/a");
    check("https://", "a", "https://shop.example/shoes/a");
    check("/?x=1", "", "https://shop.example/?x=1");
}

#[test]
fn queries_are_written_in_the_charset_of_the_page() {
    let rules = CanonicalRules::default();
    let mut references = rules
        .resolver(&page(), None)
        .with_encoding(encoding_rs::EUC_KR);
    let url = references.resolve("/검색?q=코트").unwrap();
    assert_eq!(
        url.as_str(),
        "https://shop.example/%EA%B2%80%EC%83%89?q=%C4%DA%C6%AE"
    );
}

#[test]
fn a_pages_word_for_itself() {
    let rules = CanonicalRules::default();
    let page = rules
        .of_url(&Url::parse("https://shop.example/a?color=red").unwrap())
        .unwrap();
    let check = |href: &str, expected: Result<&str, &str>| {
        let mut references = rules.resolver(&page.to_url(), None);
        let found =
            rules.rel_canonical(&page, &mut references, href, |host| host == "shop.example");
        let found = found.map(String::from).map_err(|why| why.to_string());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found, expected, "{href}");
    };
    check("/a", Ok("https://shop.example/a"));
    check(
        "https://shop.example/a?utm_source=x",
        Ok("https://shop.example/a"),
    );
    check("/", Err("it is the home page, and this page is not"));
    check(
        "https://b.example/a",
        Err("it leads to b.example, which is not a host of the shop"),
    );
    check("javascript:1", Err("it names no page"));
    let off = CanonicalRules::new(&CanonicalOptions {
        rel_canonical: false,
        ..CanonicalOptions::default()
    });
    let mut references = off.resolver(&page.to_url(), None);
    let found = off.rel_canonical(&page, &mut references, "/a", |_| true);
    assert_eq!(found, Err(NotBelieved::Off));
}

#[test]
fn parts_and_stored_forms() {
    let url = CanonicalUrl::stored("https://shop.example:8443/a/b?c=d").unwrap();
    assert_eq!(url.origin(), "https://shop.example:8443");
    assert_eq!(url.host(), "shop.example");
    assert_eq!((url.path(), url.query()), ("/a/b", Some("c=d")));
    assert_eq!(url.path_and_query(), "/a/b?c=d");
    assert_eq!(
        CanonicalUrl::stored("http://[::1]/").unwrap().host(),
        "[::1]"
    );
    let json = serde_json::to_string(&url).unwrap();
    assert_eq!(serde_json::from_str::<CanonicalUrl>(&json).unwrap(), url);
    for wrong in [
        "",
        "https://",
        "https:///a",
        "https://a",
        "ftp://a/",
        "https://a/#b",
        "https://a/ b",
        "https://ä/",
    ] {
        assert_eq!(CanonicalUrl::stored(wrong), None, "{wrong}");
    }
}

/// Of a seed that is printed when something is wrong.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn reference(&mut self) -> String {
        const STARTS: &[&str] = &[
            "",
            "/",
            "//",
            "./",
            "../",
            "?",
            "#",
            "https://shop.example",
            "https://shop.example/",
            "http://www.shop.example",
            "HTTPS://Shop.Example:443/",
            "https://b.example:8080/",
            "https://bücher.example/",
            "https:",
            "//www.shop.example/",
        ];
        const PIECES: &[&str] = &[
            "a",
            "B",
            "shoes",
            "/",
            "/",
            "//",
            "/./",
            "/../",
            ".",
            "..",
            "%2e",
            "%2E%2e",
            "%2F",
            "%41",
            "%7e",
            "%c3%a4",
            "%",
            "%2",
            "%zz",
            "%25",
            "%2541",
            "index.html",
            "?",
            "?",
            "&",
            "&",
            "=",
            "=",
            "utm_source=x",
            "sid=0123456789abcdef0123",
            ";jsessionid=1",
            ";v=1",
            "(S(x))",
            "(",
            ")",
            "'",
            "\"",
            "<",
            "[",
            "]",
            "|",
            "^",
            "`",
            "{",
            "\\",
            "+",
            ":",
            "@",
            "#",
            " ",
            "\t",
            "한",
            "ä",
            "~",
            "*",
            "$",
            "!",
            ",",
            "z=1",
            "a=2",
            "%3D",
            "%26",
            "\u{7f}",
        ];
        let mut text = STARTS[self.roll(STARTS.len())].to_owned();
        for _ in 0..self.roll(12) {
            text.push_str(PIECES[self.roll(PIECES.len())]);
        }
        text
    }

    fn options(&mut self) -> CanonicalOptions {
        let slash = [
            TrailingSlash::Keep,
            TrailingSlash::Add,
            TrailingSlash::Remove,
        ];
        let scheme = [Scheme::Keep, Scheme::Https, Scheme::Http];
        CanonicalOptions {
            keep_query: if self.roll(4) == 0 {
                vec!["a".to_owned(), "z*".to_owned()]
            } else {
                Vec::new()
            },
            drop_known: self.roll(4) > 0,
            sort_query: self.roll(4) > 0,
            trailing_slash: slash[self.roll(3)],
            index_names: vec!["index.html".to_owned()],
            lower_case_path: self.roll(3) == 0,
            scheme: scheme[self.roll(3)],
            host_aliases: [("www.shop.example".to_owned(), "shop.example".to_owned())].into(),
            ..CanonicalOptions::default()
        }
    }
}

#[test]
fn the_name_of_a_name_is_the_same_and_what_is_asked_for() {
    let seed = 0x5eed_1234_abcd_0001;
    let mut dice = Dice(seed);
    let mut named = 0;
    for round in 0..30_000 {
        let options = dice.options();
        let rules = CanonicalRules::new(&options);
        let reference = dice.reference();
        let Ok(url) = rules.resolver(&page(), None).resolve(&reference) else {
            continue;
        };
        named += 1;
        let say = || format!("seed {seed:#x} round {round}: {reference:?} -> {url} {options:?}");
        assert_eq!(rules.of_url(&url.to_url()).as_ref(), Ok(&url), "{}", say());
        assert_eq!(url.to_url().as_str(), url.as_str(), "{}", say());
        assert_eq!(
            CanonicalUrl::stored(url.as_str()).as_ref(),
            Some(&url),
            "{}",
            say()
        );
    }
    assert!(named > 20_000, "{named}");
}

#[test]
fn the_short_way_gives_what_the_parser_gives() {
    let seed = 0x5eed_1234_abcd_0002;
    let mut dice = Dice(seed);
    let (rules, mut plain) = (CanonicalRules::default(), 0);
    let bases = [
        PAGE,
        "https://shop.example",
        "https://shop.example/a/%41/b",
        "https://shop.example/x;jsessionid=1/y",
    ];
    for round in 0..30_000 {
        let base = Url::parse(bases[dice.roll(bases.len())]).unwrap();
        let reference = dice.reference();
        let mut short = rules.resolver(&base, None);
        if !short.is_plain(&reference) {
            continue;
        }
        plain += 1;
        let long = rules.resolver(&base, None).resolve_by_parser(&reference);
        assert_eq!(
            short.resolve(&reference),
            long,
            "seed {seed:#x} round {round}: {base} {reference:?}"
        );
    }
    assert!(plain > 1_000, "{plain}");
}
