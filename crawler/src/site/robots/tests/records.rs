//! Records besides rules, and what people are shown. [2.2.4]

use super::*;

#[test]
fn section_2_2_4_other_records_are_read_and_disturb_nothing() {
    let file = "Sitemap: https://example.com/a.xml\nuser-agent: a\n\
                sitemap: https://example.com/b.xml # more\nuser-agent: b\n\
                crawl-delay: 2\nuser-agent: c\nunknown: x\ndisallow: /x\n\
                SITEMAP: https://example.com/c.xml\ndisallow: /y\n";
    let robots = Robots::parse(file.as_bytes());
    let names = ["a", "b", "c"].map(|name| format!("https://example.com/{name}.xml"));
    assert_eq!(robots.sitemaps(), names);
    for (agent, delay) in [("a", Some(2)), ("b", Some(2)), ("c", None)] {
        let decision = robots.decide(agent, "/x");
        assert_eq!(
            (decision.allowed, decision.line),
            (false, Some(8)),
            "{agent}"
        );
        assert_eq!(
            decision.crawl_delay,
            delay.map(Duration::from_secs),
            "{agent}"
        );
        assert_eq!(robots.decide(agent, "/y").line, Some(10));
    }
    // A sitemap's colons are its own.
    let port = Robots::parse(b"sitemap:http://example.com:8080/s.xml");
    assert_eq!(port.sitemaps(), ["http://example.com:8080/s.xml"]);
}

#[test]
fn a_crawl_delay_is_told_for_the_agents_of_its_group() {
    let check = |value: &str, expected_ms: Option<u64>| {
        let file = format!("user-agent: a\ncrawl-delay: {value}\n");
        let decision = Robots::parse(file.as_bytes()).decide("a", "/");
        let expected = expected_ms.map(Duration::from_millis);
        assert_eq!(decision.crawl_delay, expected, "{value:?}");
    };
    check("10", Some(10_000));
    check("0.5", Some(500));
    check(" 1.25 # s", Some(1250));
    check("0", Some(0));
    check("86400", Some(3_600_000));
    check("1e300", Some(3_600_000));
    check("inf", Some(3_600_000));
    check("-1", None);
    check("NaN", None);
    check("ten", None);
    check("", None);
    let file = "user-agent: a\ncrawl-delay: 1\ndisallow: /x\nuser-agent: *\n\
                crawl-delay: 5\nuser-agent: a\ncrawl-delay: 3\n";
    let robots = Robots::parse(file.as_bytes());
    for url in ["/", "/x", "/robots.txt"] {
        let seconds = |agent| robots.decide(agent, url).crawl_delay;
        assert_eq!(seconds("a"), Some(Duration::from_secs(3)), "of both groups");
        assert_eq!(seconds("b"), Some(Duration::from_secs(5)));
    }
    // Before any group it is nobody's.
    let none = Robots::parse(b"crawl-delay: 9\nuser-agent: *\n");
    assert_eq!(none.decide("a", "/").crawl_delay, None);
}

#[test]
fn urls_are_whole_or_a_path_and_their_fragment_does_not_count() {
    let file = "user-agent: *\ndisallow: /a\ndisallow: /?q\nallow: /$\n";
    for (url, expected) in [
        ("https://example.com/a", (false, Some(2))),
        ("http://example.com:8080/ab?c#d", (false, Some(2))),
        ("HTTPS://EXAMPLE.COM/a", (false, Some(2))),
        ("//example.com/a", (false, Some(2))),
        ("example.com/a", (false, Some(2))),
        ("/a", (false, Some(2))),
        ("/#/a", (true, Some(4))),
        ("https://example.com#/a", (true, Some(4))),
        ("https://example.com?q=1", (false, Some(3))),
        ("?q=1", (false, Some(3))),
        ("https://example.com", (true, Some(4))),
        ("https://example.com/", (true, Some(4))),
        ("", (true, Some(4))),
        ("#", (true, Some(4))),
        ("/b?to=https://example.com/a", (true, None)),
        ("example.com?to=https://example.com/a", (true, None)),
    ] {
        check(file, "x", url, expected);
    }
    // All of the three may be empty.
    check("", "", "", (true, None));
    check("user-agent: a\ndisallow: /\n", "", "", (true, None));
    check("user-agent: a\ndisallow: /\n", "a", "", (false, Some(2)));
    check("user-agent: *\ndisallow: /\n", "", "", (false, Some(2)));
}

#[test]
fn a_rule_is_told_as_it_is_written() {
    let told = |rule: &str| {
        let file = format!("user-agent: *\n{rule}\n");
        Robots::parse(file.as_bytes())
            .decide("a", "/x")
            .rule
            .unwrap()
    };
    assert_eq!(told("DISALLOW:/%78*  "), "Disallow: /%78*");
    assert_eq!(told("allow: /x # why"), "Allow: /x");
    assert_eq!(told("disallow:"), "Disallow:");
    let long = format!("disallow: *{}", "*".repeat(1000));
    assert_eq!(told(&long).len(), "Disallow: ".len() + 300 + "...".len());
}
