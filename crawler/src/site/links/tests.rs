#![allow(clippy::unwrap_used)]

use trawler_core::site::{LinkOptions, SiteOptions};

use super::*;

fn url(text: &str) -> CanonicalUrl {
    let text = match text.starts_with('/') {
        true => format!("https://www.shop.example{text}"),
        false => text.to_owned(),
    };
    CanonicalUrl::stored(&text).unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rules(links: LinkOptions) -> LinkRules {
    let options = SiteOptions {
        hosts: texts(&["M.shop.example", "*.brand.example"]),
        links,
        ..SiteOptions::default()
    };
    LinkRules::new(&options, &url("/"))
}

#[test]
fn patterns_are_those_of_robots() {
    let check = |pattern: &str, path: &str, expected: bool| {
        let found = Pattern::new(pattern).matches(path);
        assert_eq!(found, expected, "{pattern} {path}");
    };
    check("/p/", "/p/1", true);
    check("/p/", "/p", false);
    check("/p", "/pants", true);
    check("/p$", "/p", true);
    check("/p$", "/p/", false);
    check("/*.html$", "/a/b.html", true);
    check("/*.html$", "/a/b.html?x=1", false);
    check("*.html", "/a/b.html?x=1", true);
    check("*", "/", true);
    check("/$", "/", true);
    check("/$", "/a", false);
    check("*sort=", "/a?page=1&sort=up", true);
    check("*?*id=", "/a?x=1&id=2", true);
    check("*?*id=", "/id=2", false);
    check("/a*b*c$", "/a-b-c-b-c", true);
    check("/a*b*c$", "/a-c-b", false);
    // The end is not what a part before it has taken.
    check("/a*ab$", "/ab", false);
    check("/*aba*ba$", "/aba", false);
    check("/*aba*ba$", "/ababa", true);
    check("/한", "/%ED%95%9C/1", true);
    check("/%ed%95%9c", "/%ED%95%9C/1", true);
    check("/%7ea", "/~a", true);
    check("/a%2Ab", "/a%2Ab", true);
    check("/a%2Ab", "/axb", false);
    check("/a$b", "/a$b", true);
    check("/P/", "/p/", false);
    check("/**//**", "/x//y", true);
}

#[test]
fn a_pattern_of_many_stars_is_linear() {
    let pattern = Pattern::new(&format!("/{}b$", "*a".repeat(16)));
    let path = format!("/{}", "a".repeat(4_000));
    let started = std::time::Instant::now();
    for _ in 0..100 {
        assert!(!pattern.matches(&path));
    }
    // A backtracking matcher would not come back at all.
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn links_are_decided_by_rule() {
    let all = rules(LinkOptions {
        follow: true,
        products: texts(&["/p/", "*product_no="]),
        deny: texts(&["*sort=", "/p/old"]),
        allow: texts(&["/p", "/c", "/f"]),
        depth_max: 2,
    });
    let check = |text: &str, depth: u32, expected: LinkVerdict| {
        assert_eq!(all.decide(&url(text), depth), expected, "{text} at {depth}");
    };
    let leave = LinkVerdict::Leave;
    check("/p/1", 1, LinkVerdict::Product);
    check("/p/1", 3, LinkVerdict::Product);
    check("/p/1", 4, leave(Leave::TooDeep));
    check("/p/1.jpg", 1, LinkVerdict::Product);
    check("/p/old/1", 1, leave(Leave::Denied));
    check("/p/1?sort=up", 1, leave(Leave::Denied));
    check("/c/shoes", 2, LinkVerdict::Follow);
    check("/c/shoes", 3, leave(Leave::TooDeep));
    check("/c?product_no=1", 1, LinkVerdict::Product);
    check("/f.pdf", 1, leave(Leave::File));
    check("/about", 1, leave(Leave::NotAllowed));
    check("https://shop.example/c", 1, LinkVerdict::Follow);
    check("https://m.shop.example:8080/c", 1, LinkVerdict::Follow);
    check("http://x.brand.example/c", 1, LinkVerdict::Follow);
    check("https://brand.example/c", 1, leave(Leave::OtherSite));
    check(
        "https://shop.example.evil.example/c",
        1,
        leave(Leave::OtherSite),
    );
    check(
        "/c/a/b/a/b/a/b",
        1,
        leave(Leave::Trap(Trap::RepeatedSegments)),
    );
    check("/p/a/b/a/b/a/b", 1, LinkVerdict::Product);
}

#[test]
fn what_is_listed_is_a_product_unless_patterns_say_otherwise() {
    let check = |rules: &LinkRules, text: &str, expected: LinkVerdict| {
        assert_eq!(rules.decide_listed(&url(text)), expected, "{text}");
    };
    let leave = LinkVerdict::Leave;
    let plain = rules(LinkOptions::default());
    check(&plain, "/anything", LinkVerdict::Product);
    check(&plain, "/a.jpg", leave(Leave::File));
    check(&plain, "https://b.example/", leave(Leave::OtherSite));
    assert_eq!(
        plain.decide(&url("/anything"), 1),
        leave(Leave::NotFollowed)
    );
    let known = LinkOptions {
        products: texts(&["/p/"]),
        ..LinkOptions::default()
    };
    check(&rules(known.clone()), "/p/1", LinkVerdict::Product);
    check(&rules(known.clone()), "/c/1", leave(Leave::NoProduct));
    assert_eq!(
        rules(known.clone()).decide(&url("/p/1"), 1),
        LinkVerdict::Product
    );
    let followed = LinkOptions {
        follow: true,
        ..known
    };
    check(&rules(followed), "/c/1", LinkVerdict::Follow);
}

#[test]
fn traps_are_told_by_the_url() {
    let check = |text: &str, expected: Option<Trap>| {
        assert_eq!(Trap::of(&url(text)), expected, "{text}");
    };
    check("/", None);
    check("/a/b/c?x=1", None);
    check("/a/a/a", None);
    check("/a/a/a/a", Some(Trap::RepeatedSegments));
    check("/a/b/a/b", None);
    check("/x/a/b/a/b/a/b/y", Some(Trap::RepeatedSegments));
    check("/a/b/c/a/b/c/a/b/c", Some(Trap::RepeatedSegments));
    check("/2026/11/11/11", None);
    check(&"/x".repeat(2), None);
    let many: String = (0..33).map(|n| format!("/{n}")).collect();
    check(&many, Some(Trap::ManySegments));
    let query = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|n| format!("{n}=1")).collect();
        format!("/?{}", pairs.join("&"))
    };
    check(&query(24), None);
    check(&query(25), Some(Trap::ManyParameters));
    check(&format!("/{}", "a".repeat(2_100)), Some(Trap::Long));
}

#[test]
fn a_path_has_so_many_queries_and_no_more() {
    let mut traps = Traps::new(3);
    let mut ask = |text: &str| traps.admit(&url(text));
    for n in 0..3 {
        assert_eq!(ask(&format!("/calendar?month={n}")), Ok(()));
        assert_eq!(ask(&format!("/page/{n}")), Ok(()));
    }
    assert_eq!(ask("/calendar?month=3"), Err(Trap::ManyQueries));
    assert_eq!(ask("/calendar"), Ok(()));
    assert_eq!(ask("/other?month=3"), Ok(()));
    assert!(Leave::Trap(Trap::ManyQueries).cuts());
    assert!(!Leave::Trap(Trap::Long).cuts());
}

#[test]
fn counted_paths_are_bounded() {
    let mut traps = Traps::new(1);
    for n in 0..70_000 {
        assert_eq!(traps.admit(&url(&format!("/{n}?a=1"))), Ok(()));
    }
    assert_eq!(traps.paths.len(), 65_536);
    assert_eq!(traps.admit(&url("/0?a=2")), Err(Trap::ManyQueries));
    assert_eq!(traps.admit(&url("/69999?a=2")), Ok(()));
}

#[test]
fn hosts_are_those_that_the_options_name() {
    let options = SiteOptions {
        hosts: texts(&["M.shop.example", "*.brand.example"]),
        ..SiteOptions::default()
    };
    for start in ["www.shop.example", "shop.example"] {
        let start = url(&format!("https://{start}/"));
        let rules = LinkRules::new(&options, &start);
        for host in [
            "shop.example",
            "www.shop.example",
            "m.shop.example",
            "www.m.shop.example",
            "brand.example",
            "a.brand.example",
            "a.b.brand.example",
            "xbrand.example",
            ".brand.example",
            "www.www.shop.example",
            "shop.example.b.example",
            "",
        ] {
            let expected = options.is_host(start.host(), host);
            assert_eq!(rules.is_host(host), expected, "{start} {host}");
        }
    }
}

/// What a pattern means, with every way tried.
fn by_trial(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => true,
        [b'$'] => path.is_empty(),
        [b'*', rest @ ..] => (0..=path.len()).any(|at| by_trial(rest, &path[at..])),
        [byte, rest @ ..] => path.first() == Some(byte) && by_trial(rest, &path[1..]),
    }
}

#[test]
fn patterns_mean_what_trying_every_way_finds() {
    let (seed, mut state) = (0x5eed_0003_u64, 0x5eed_0003_u64);
    let mut pick = |from: &[u8], length: usize| -> String {
        let mut roll = |sides: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % sides
        };
        (0..roll(length))
            .map(|_| char::from(from[roll(from.len())]))
            .collect()
    };
    for _ in 0..20_000 {
        let pattern = format!("/{}{}", pick(b"ab**/?", 7), pick(b"$", 2));
        let path = format!("/{}", pick(b"ab/?", 9));
        let expected = by_trial(pattern.as_bytes(), path.as_bytes());
        let found = Pattern::new(&pattern).matches(&path);
        assert_eq!(found, expected, "seed {seed:#x}: {pattern} {path}");
    }
}
