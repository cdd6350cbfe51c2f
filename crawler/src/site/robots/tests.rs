//! RFC 9309 clause by clause; each table names the section that it is from.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use trawler_net::{Fault, Phase, Target, UrlFault};

use super::octets::{Address, Symbol};
use super::pattern::Pattern;
use super::*;

/// What decided: allowed or not, and by which line.
type Decided = (bool, Option<usize>);

#[track_caller]
fn check(file: &str, agent: &str, url: &str, expected: Decided) {
    let decision = Robots::parse(file.as_bytes()).decide(agent, url);
    let found = (decision.allowed, decision.line);
    assert_eq!(found, expected, "{file:?} {agent:?} {url:?}: {decision:?}");
    let told = decision.because == Because::Rule;
    assert_eq!(told, decision.line.is_some(), "{decision:?}");
    assert_eq!(told, decision.rule.is_some(), "{decision:?}");
}

/// Whether a rule of this pattern matches; a failure shows both.
#[track_caller]
fn check_match(pattern: &str, path: &str, expected: bool) {
    let file = format!("User-agent: *\nDisallow: {pattern}\n");
    let decided = if expected {
        (false, Some(2))
    } else {
        (true, None)
    };
    check(&file, "ExampleBot", path, decided);
}

#[test]
fn section_2_1_rules_are_grouped_by_their_agents() {
    let file = "User-agent: a\nUser-agent: b\nDisallow: /1\nAllow: /2\n\
                User-agent: c\nDisallow: /3\n";
    for agent in ["a", "b"] {
        check(file, agent, "/1", (false, Some(3)));
        check(file, agent, "/2", (true, Some(4)));
        check(file, agent, "/3", (true, None));
    }
    check(file, "c", "/1", (true, None));
    check(file, "c", "/3", (false, Some(6)));
    check(file, "d", "/3", (true, None));
}

#[test]
fn section_2_2_keys_blanks_comments_and_line_ends_are_read_as_the_grammar_has_them() {
    // Keys in any case, blanks round key and value, comments, every line end.
    for file in [
        "user-agent: bot\ndisallow: /x",
        "USER-AGENT: bot\nDISALLOW: /x\n",
        "User-Agent:bot\nDisallow:/x\n",
        " \tuser-agent \t: \tbot \t\n\t disallow\t:\t/x\t \n",
        "user-agent: bot # who\ndisallow: /x# what\n",
        "user-agent: bot\r\ndisallow: /x\r\n",
        "user-agent: bot\rdisallow: /x\r",
        "user-agent: bot\r\ndisallow: /x\r",
    ] {
        check(file, "bot", "/x", (false, Some(2)));
        check(file, "bot", "/y", (true, None));
    }
    // Empty lines and comments count as lines and end no group.
    let file = "# a\n\nuser-agent: bot\n\n# b\n  \nuser-agent: other\r\n\r\n\rdisallow: /x\n";
    check(file, "bot", "/x", (false, Some(10)));
    check(file, "other", "/x", (false, Some(10)));
    check(
        "user-agent: bot\n#disallow: /x\n",
        "bot",
        "/x",
        (true, None),
    );
    check("", "bot", "/x", (true, None));
}

#[test]
fn section_2_2_lines_that_are_no_records_of_ours_are_passed_over() {
    for noise in [
        "<html><body>disallow: /</body></html>",
        "Host: example.com",
        "Clean-param: ref /",
        "disallowed: /",
        "no-colon-and-more words disallow: ",
        "::::",
        ":",
        "\u{0}\u{1}\u{2}",
        "disallow / too many words",
        "noindex: /x",
    ] {
        let file = format!("user-agent: a\n{noise}\nuser-agent: b\n{noise}\ndisallow: /x\n");
        check(&file, "a", "/x", (false, Some(5)));
        check(&file, "b", "/x", (false, Some(5)));
        check(&file, "b", "/y", (true, None));
    }
    // Known misspellings, and a colon that was forgotten. [2.2.4]
    for line in [
        "dissallow: /x",
        "dissalow: /x",
        "disalow: /x",
        "diasllow: /x",
        "disallaw: /x",
        "disallow /x",
        "Disallow\t/x # why",
    ] {
        let file = format!("useragent: bot\n{line}\n");
        check(&file, "bot", "/x", (false, Some(2)));
        let file = format!("user-agent bot\n{line}\n");
        check(&file, "bot", "/x", (false, Some(2)));
    }
}

#[test]
fn section_2_2_1_agents_are_matched_whole_and_without_case() {
    let file = "User-agent: *\nDisallow: /\nUser-agent: FooBot\nAllow: /\n";
    for (agent, is_foobot) in [
        ("FooBot", true),
        ("foobot", true),
        ("FOOBOT", true),
        (" FooBot ", true),
        ("Foo", false),
        ("FooBot-News", false),
        ("FooBots", false),
        ("Foo_Bot", false),
        ("BarBot", false),
        ("FooBot BarBot", false),
        ("*", false),
        ("", false),
        // Identification strings, whose products are names.
        ("FooBot/2.1", true),
        ("FooBot/2.1 (+https://example.com/bot)", true),
        (
            "Mozilla/5.0 (compatible; FooBot/2.1; +https://example.com)",
            true,
        ),
        (
            "Mozilla/5.0 (compatible; BarBot/2.1; +https://FooBot/)",
            false,
        ),
        ("Mozilla/5.0 (FooBots/1)", false),
    ] {
        let expected = if is_foobot {
            (true, Some(4))
        } else {
            (false, Some(2))
        };
        check(file, agent, "/x", expected);
    }
    // What follows a token on its line is not part of it.
    for name in [
        "FooBot/1.2",
        "FooBot bar",
        "FooBot*",
        "FooBot2",
        "FooBot # x",
    ] {
        let file = format!("User-agent: {name}\nDisallow: /\n");
        check(&file, "FooBot", "/x", (false, Some(2)));
    }
    // Names with digits are no tokens of the RFC, and are met.
    let file = "User-agent: MJ12bot\nDisallow: /\nUser-agent: 360Spider\nDisallow: /x\n";
    check(file, "MJ12bot", "/", (false, Some(2)));
    check(file, "360spider", "/x", (false, Some(4)));
    check(file, "12bot", "/x", (true, None));
    // A line that names nobody begins a group for nobody.
    let file = "User-agent: a\nDisallow: /1\nUser-agent:\nDisallow: /2\n";
    check(file, "a", "/2", (true, None));
    check(file, "", "/2", (true, None));
}

#[test]
fn section_2_2_1_of_several_names_the_longest_counts() {
    let file = "User-agent: bot\nDisallow: /1\nUser-agent: examplebot\nDisallow: /2\n\
                User-agent: mozilla\nDisallow: /3\nUser-agent: *\nDisallow: /4\n";
    let agent = "Mozilla/5.0 (compatible; ExampleBot/1.0; Bot)";
    check(file, agent, "/2", (false, Some(4)));
    for other in ["/1", "/3", "/4"] {
        check(file, agent, other, (true, None));
    }
    check(file, "bot", "/1", (false, Some(2)));
}

#[test]
fn section_2_2_1_groups_of_one_agent_are_one_group() {
    // The example of the RFC.
    let file = "user-agent: ExampleBot\ndisallow: /foo\ndisallow: /bar\n\n\
                user-agent: ExampleBot\ndisallow: /baz\n";
    check(file, "examplebot", "/foo", (false, Some(2)));
    check(file, "examplebot", "/bar", (false, Some(3)));
    check(file, "examplebot", "/baz", (false, Some(6)));
    check(file, "examplebot", "/qux", (true, None));
    // The most octets of all of them decide, not the first group.
    let file = "user-agent: a\nallow: /x\nuser-agent: b\ndisallow: /\n\
                user-agent: A\ndisallow: /x/y\n";
    check(file, "a", "/x/z", (true, Some(2)));
    check(file, "a", "/x/y", (false, Some(6)));
    // Those for everyone are merged as well.
    let file = "user-agent: *\ndisallow: /1\nuser-agent: a\nallow: /\n\
                user-agent: *\ndisallow: /2\n";
    check(file, "b", "/1", (false, Some(2)));
    check(file, "b", "/2", (false, Some(6)));
    check(file, "a", "/2", (true, Some(4)));
}

#[test]
fn section_2_2_1_everyone_counts_only_where_no_name_does() {
    let file = "user-agent: *\ndisallow: /\nuser-agent: a\ndisallow: /x\n";
    check(file, "a", "/y", (true, None));
    check(file, "b", "/y", (false, Some(2)));
    check(file, "", "/y", (false, Some(2)));
    // A group without rules is a group: everyone's does not count.
    check(
        "user-agent: *\ndisallow: /\nuser-agent: a\n",
        "a",
        "/",
        (true, None),
    );
    // No group at all.
    let decision = Robots::parse(b"user-agent: a\ndisallow: /\n").decide("b", "/");
    assert_eq!(decision.because, Because::NoGroup);
    // Blanks behind the star.
    check("user-agent: * x\ndisallow: /\n", "b", "/", (false, Some(2)));
}

#[test]
fn section_2_2_2_the_first_octet_of_the_path_is_where_matching_begins() {
    for (pattern, path, expected) in [
        ("/", "/anything", true),
        ("/fish", "/fish", true),
        ("/fish", "/fish.html", true),
        ("/fish", "/fishheads/yummy.html", true),
        ("/fish", "/fish?id=1", true),
        ("/fish", "/Fish", false),
        ("/fish", "/catfish", false),
        ("/fish", "/?id=fish", false),
        ("/fish/", "/fish", false),
        ("/fish/", "/fish/", true),
        ("/fish/", "/fish/salmon.htm", true),
        ("/fish/", "/fish.html", false),
        ("fish", "/fish", false),
        ("https://example.com/fish", "/fish", false),
        ("/a?b=c", "/a?b=c&d=e", true),
        ("/a?b=c", "/a?d=e&b=c", false),
        ("/?", "/?x", true),
        ("/?", "/", false),
    ] {
        check_match(pattern, path, expected);
    }
}

#[test]
fn section_2_2_2_the_most_octets_decide_and_ties_allow() {
    let group = |rules: &str| format!("user-agent: *\n{rules}");
    for (rules, path, expected) in [
        ("allow: /p\ndisallow: /\n", "/page", (true, Some(2))),
        ("disallow: /\nallow: /p\n", "/page", (true, Some(3))),
        ("disallow: /\nallow: /p\n", "/other", (false, Some(2))),
        // Equivalent rules: the one that allows, whichever is first.
        ("allow: /a\ndisallow: /a\n", "/a", (true, Some(2))),
        ("disallow: /a\nallow: /a\n", "/a", (true, Some(3))),
        ("disallow: /%7Ea\nallow: /~a\n", "/~a", (true, Some(3))),
        ("disallow: /~a\nallow: /%7ea\n", "/~a", (true, Some(3))),
        // Of two that say the same, the first.
        ("disallow: /a\ndisallow: /a\n", "/a", (false, Some(2))),
        ("disallow: /a*\nallow: /ab\n", "/abc", (true, Some(3))),
        // Octets count, not where they stand.
        (
            "allow: /page\ndisallow: /*.html\n",
            "/page.html",
            (false, Some(3)),
        ),
        (
            "allow: /x/page.\ndisallow: /*.html\n",
            "/x/page.html",
            (true, Some(2)),
        ),
        ("allow: /$\ndisallow: /\n", "/", (true, Some(2))),
        ("allow: /$\ndisallow: /\n", "/page", (false, Some(3))),
        // A letter of another script has the octets of its encoding.
        (
            "disallow: /\u{30c4}\nallow: /*aaaa\n",
            "/\u{30c4}aaaa",
            (false, Some(2)),
        ),
        (
            "disallow: /\u{30c4}\nallow: /%E3%83%84\n",
            "/\u{30c4}",
            (true, Some(3)),
        ),
    ] {
        check(&group(rules), "a", path, expected);
    }
}

#[test]
fn section_2_2_2_without_a_matching_rule_everything_is_allowed() {
    for (file, because) in [
        ("", Because::NoGroup),
        ("user-agent: a\n", Because::NoRuleMatches),
        ("user-agent: a\ndisallow: /x\n", Because::NoRuleMatches),
        ("user-agent: b\ndisallow: /\n", Because::NoGroup),
        // A rule before the first group belongs to nobody.
        ("disallow: /\nuser-agent: a\n", Because::NoRuleMatches),
        ("disallow: /\n", Because::NoGroup),
    ] {
        let decision = Robots::parse(file.as_bytes()).decide("a", "/y");
        assert!(decision.allowed, "{file:?}");
        assert_eq!(decision.because, because, "{file:?}");
    }
    // Empty patterns: nothing is disallowed, and every other rule is longer.
    check("user-agent: a\ndisallow:\n", "a", "/y", (true, Some(2)));
    check(
        "user-agent: a\ndisallow: # all\n",
        "a",
        "/y",
        (true, Some(2)),
    );
    let file = "user-agent: a\ndisallow:\nallow:\ndisallow: /x\n";
    check(file, "a", "/y", (true, Some(3)));
    check(file, "a", "/x", (false, Some(4)));
}

#[test]
fn section_2_2_2_the_robots_file_itself_is_always_allowed() {
    let file = "user-agent: *\ndisallow: /\ndisallow: /robots.txt\n";
    for url in [
        "/robots.txt",
        "https://example.com/robots.txt",
        "https://example.com/robots.txt#top",
        "/%72obots.txt",
    ] {
        check(file, "a", url, (true, None));
        let decision = Robots::parse(file.as_bytes()).decide("a", url);
        assert_eq!(decision.because, Because::RobotsFile);
    }
    for url in ["/robots.txt.bak", "/a/robots.txt", "/Robots.txt"] {
        assert!(
            !Robots::parse(file.as_bytes()).decide("a", url).allowed,
            "{url}"
        );
    }
}

#[test]
fn section_2_2_2_octets_are_compared_whichever_way_they_are_encoded() {
    // The table of the RFC: a rule and the path that it is to match.
    for (pattern, path) in [
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz"),
        (
            "/foo/bar?baz=https://foo.bar",
            "/foo/bar?baz=https%3A%2F%2Ffoo.bar",
        ),
        ("/foo/bar/\u{30c4}", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
    ] {
        check_match(pattern, path, true);
        check_match(path, pattern, true);
        check_match(pattern, pattern, true);
    }
    for (pattern, path, expected) in [
        // Upper and lower case of the digits, not of what they encode.
        ("/a%3cd", "/a%3Cd", true),
        ("/a%41", "/aA", true),
        ("/a%41", "/aa", false),
        // Octets beyond ASCII, and those that a URL cannot hold.
        ("/\u{c0ac}\u{acfc}", "/%ec%82%ac%ea%b3%bc", true),
        ("/a b", "/a%20b", true),
        ("/a\"b", "/a%22b", true),
        // Reserved ones are encoded before they are compared.
        ("/a,b;c=d@e:f", "/a%2Cb%3Bc%3Dd%40e%3Af", true),
        ("/a%2Cb", "/a,b", true),
        ("/x?a%3Db", "/x?a=b", true),
        // But for those that divide a path.
        ("/a%2Fb", "/a/b", false),
        ("/a/b", "/a%2Fb", false),
        ("/a%2fb", "/a%2Fb", true),
        ("/a%3Fb", "/a?b", false),
        ("/a?b", "/a%3Fb", false),
        // Behind a star the pattern cannot know whether it stands in the query.
        ("/*u=http%3A%2F%2Fx", "/go?u=http://x", true),
        ("/*u=http://x", "/go?u=http%3A%2F%2Fx", true),
        ("/*/a%2Fb", "/x/a%2Fb", true),
        ("/*/a%2Fb", "/x/a/b", false),
        ("/*/a%2Fb", "/x/a/b?/a%2fb", true),
        ("/*a%2Fb$", "/x/a/b", false),
        ("/*a%2Fb$", "/x?a/b", true),
        ("/*a%3Fb", "/x?a?b", true),
        ("/*a%3Fb", "/xa?b", false),
        ("/x/*%2F*%2F", "/x/a%2Fb?c/d", true),
        ("/x/*%2F*%2F", "/x/a/b?c/d", false),
        // What encodes nothing stands for itself.
        ("/50%off", "/50%off", true),
        ("/50%off", "/50%25off", true),
        ("/a%", "/a%25", true),
        ("/a%2", "/a%252", true),
        ("/a%2541", "/aA", false),
        ("/a%2541", "/a%2541", true),
    ] {
        check_match(pattern, path, expected);
    }
    // Files that are not UTF-8: their octets count.
    let file = [b"user-agent: *\ndisallow: /", &[0xbb, 0xf3][..], b"\n"].concat();
    let decision = Robots::parse(&file).decide("a", "/%BB%F3");
    assert_eq!((decision.allowed, decision.line), (false, Some(2)));
}

#[test]
fn section_2_2_3_special_characters() {
    for (pattern, path, expected) in [
        // The examples of the RFC.
        ("/this/path/exactly$", "/this/path/exactly", true),
        ("/this/path/exactly$", "/this/path/exactly/", false),
        ("/this/*/exactly", "/this/long/path/exactly", true),
        ("/this/*/exactly", "/this/exactly", false),
        // `*` is any number of octets, none as well.
        ("*", "/", true),
        ("/*", "/x", true),
        ("/fish*", "/fish", true),
        ("/foo/*/qux", "/foo//qux", true),
        ("/*.php", "/index.php", true),
        ("/*.php", "/folder/any.php.file.html", true),
        ("/*.php", "/?any=x.php", true),
        ("/*.php", "/index.PHP", false),
        ("*.php", "/index.php", true),
        ("/fish*.php", "/fishheads/catfish.php?parameters", true),
        ("/fish*.php", "/Fish.PHP", false),
        ("/a**b", "/axb", true),
        ("/a***", "/a", true),
        ("*a*b*c", "/a/b/c", true),
        ("*a*b*c", "/c/b/a", false),
        ("*sort=", "/list?page=1&sort=price", true),
        ("/*?", "/a/b?c", true),
        ("/*?", "/a/b", false),
        // `$` ends the pattern at its end and nowhere else.
        ("/*.php$", "/filename.php", true),
        ("/*.php$", "/a.php.php", true),
        ("/*.php$", "/filename.php?parameters", false),
        ("/*.php$", "/filename.php5", false),
        ("/a*a$", "/a", false),
        ("/a*a$", "/aa", true),
        ("*$", "/x", true),
        ("/$", "/", true),
        ("/$", "/x", false),
        ("/a$b", "/a$b", true),
        ("/a$b", "/a", false),
        ("/a$$", "/a$", true),
        ("$", "/", false),
        // Verbatim they are encoded in the rule, and either way in the URI.
        ("/file-with-a-%2A.html", "/file-with-a-*.html", true),
        ("/file-with-a-%2A.html", "/file-with-a-%2a.html", true),
        ("/file-with-a-%2A.html", "/file-with-a-b.html", false),
        ("/price-%24", "/price-$", true),
        ("/price-%24", "/price-", false),
        ("/price-%24$", "/price-%24", true),
        ("/price-%24$", "/price-$9", false),
        // What looks like an encoded octet is not found in the midst of one.
        ("/*C", "/%C3%BC", false),
    ] {
        check_match(pattern, path, expected);
    }
}

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
fn section_2_3_the_mark_at_the_beginning_is_passed_over() {
    for mark in [&b"\xef\xbb\xbf"[..], b"\xef\xbb", b"\xef", b""] {
        let file = [mark, b"user-agent: a\ndisallow: /x\n"].concat();
        let decision = Robots::parse(&file).decide("a", "/x");
        assert_eq!(decision.line, Some(2), "{mark:?}");
    }
    let twice = b"\xef\xbb\xbf\xef\xbb\xbfuser-agent: a\ndisallow: /x\n";
    assert_eq!(Robots::parse(twice).decide("a", "/x").line, None);
}

#[test]
fn section_2_3_1_every_answer_has_its_meaning() {
    let status = |status| Fault::Status {
        status,
        retry_after: None,
    };
    // 2.3.1.3 and 2.3.1.4.
    for code in [400, 401, 403, 404, 405, 408, 410, 418, 420, 429, 451, 499] {
        let found = Access::of(Err(&status(code))).availability();
        assert_eq!(found, Availability::Unavailable, "{code}");
    }
    for code in [500, 502, 503, 504, 520, 599, 600, 999] {
        let found = Access::of(Err(&status(code))).availability();
        assert_eq!(found, Availability::Unreachable, "{code}");
    }
    for code in [200, 203, 299] {
        assert_eq!(Availability::of_status(code), Availability::Found);
    }
    for code in [100, 300, 302, 304, 399] {
        assert_eq!(Availability::of_status(code), Availability::Unreachable);
    }
    // A success without content is an empty file; a part of one is none.
    for (code, expected) in [
        (204, Availability::Found),
        (205, Availability::Found),
        (202, Availability::Unreachable),
        (206, Availability::Unreachable),
        (304, Availability::Unreachable),
    ] {
        let fault = Fault::Unexpected {
            status: code,
            why: String::new(),
        };
        let access = Access::of(Err(&fault));
        assert_eq!(access.availability(), expected, "{code}");
        let allowed = expected == Availability::Found;
        assert_eq!(access.decide("a", "/").allowed, allowed, "{code}");
    }
    // 2.3.1.2: more redirects than five.
    let to = Target::parse("https://shop.example/b").unwrap();
    let many = Fault::TooManyRedirects { max: HOPS_MAX, to };
    assert_eq!(availability_of(&many), Availability::Unavailable);
    // 2.3.1.4: errors of the network, and what cannot be read.
    for fault in [
        Fault::Dns {
            host: "a.test".into(),
            source: None,
        },
        Fault::Connect {
            what: "refused".into(),
            source: None,
        },
        Fault::Tls {
            what: "expired".into(),
            source: None,
        },
        Fault::Timeout {
            phase: Phase::FirstByte,
            after_ms: 1,
        },
        Fault::Truncated {
            expected: Some(2),
            got: 1,
        },
        Fault::BadUrl(UrlFault::NoHost),
        Fault::HostResting {
            host: "a.test".into(),
            wait: Duration::from_secs(99),
        },
    ] {
        let found = availability_of(&fault);
        assert_eq!(found, Availability::Unreachable, "{fault}");
    }
    // What follows from it.
    let decided = |access: Access, url: &str| {
        let decision = access.decide("a", url);
        (decision.allowed, decision.because)
    };
    let (none, unknown) = (status(404), status(503));
    let file = &b"user-agent: a\ndisallow: /x\n"[..];
    for (answer, url, expected) in [
        (Ok(file), "/x", (false, Because::Rule)),
        (Ok(file), "/y", (true, Because::NoRuleMatches)),
        (Err(&none), "/x", (true, Because::Unavailable)),
        (Err(&unknown), "/y", (false, Because::Unreachable)),
        (Err(&unknown), "/robots.txt", (true, Because::RobotsFile)),
    ] {
        assert_eq!(
            decided(Access::of(answer), url),
            expected,
            "{answer:?} {url}"
        );
    }
}

#[test]
fn section_2_3_1_5_what_can_be_read_is_obeyed() {
    let file = b"\x00\xff\xfe\nuser-agent: a\n\xc3\x28: x\ndisallow: /x\n<html>\xff\n";
    let decision = Robots::parse(file).decide("a", "/x");
    assert_eq!(decision.line, Some(4));
}

#[test]
fn section_2_5_500_kib_are_read_and_no_line_that_is_cut() {
    let head = "user-agent: a\ndisallow: /x\n#";
    let with = |filler: usize, tail: &str| {
        let file = format!("{head}{}{tail}", "x".repeat(filler));
        Robots::parse(file.as_bytes())
    };
    // The last line ends with the last octet that is read.
    let tail = "\ndisallow: /deep";
    let fits = FILE_BYTES_MAX - head.len() - tail.len();
    for more in ["", "\n", "\ndisallow: /y\n", "\r\nallow: /deep/er\n"] {
        let robots = with(fits, &format!("{tail}{more}"));
        assert_eq!(robots.decide("a", "/deep").line, Some(4), "{more:?}");
        assert!(robots.decide("a", "/y").allowed, "{more:?}");
    }
    // One more, and it is cut: `/dee` was never written.
    let robots = with(fits + 1, &format!("{tail}\n"));
    assert!(robots.decide("a", "/deep").allowed);
    assert_eq!(robots.decide("a", "/x").line, Some(2));
    // A line without end is no line.
    assert!(
        Robots::parse(&vec![b'a'; FILE_BYTES_MAX * 2])
            .groups
            .is_empty()
    );
}

#[test]
fn section_5_1_the_simple_example() {
    let file = "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\n\
                User-Agent: foobot\nDisallow:/\nAllow:/example/page.html\n\
                Allow:/example/allowed.gif\n\n\
                User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\n\
                User-Agent: quxbot\n";
    for (agent, path, expected) in [
        ("anybot", "/a.gif", (false, Some(2))),
        ("anybot", "/example/", (false, Some(3))),
        ("anybot", "/publications/", (true, Some(4))),
        ("anybot", "/publications/a.gif", (true, Some(4))),
        ("anybot", "/other", (true, None)),
        ("foobot", "/other", (false, Some(7))),
        ("foobot", "/example/page.html", (true, Some(8))),
        ("foobot", "/example/allowed.gif", (true, Some(9))),
        ("barbot", "/example/page.html", (false, Some(13))),
        ("bazbot", "/example/page.html", (false, Some(13))),
        ("bazbot", "/a.gif", (true, None)),
        ("quxbot", "/example/", (true, None)),
    ] {
        check(file, agent, path, expected);
    }
}

#[test]
fn section_5_2_the_longest_match() {
    let file =
        "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n";
    let url = |path: &str| format!("https://example.com/example/page/{path}");
    check(file, "foobot", &url("disallowed.gif"), (false, Some(3)));
    check(file, "foobot", &url("allowed.gif"), (true, Some(2)));
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

/// A generator that repeats itself by its seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn text(&mut self, letters: &[&str], length_max: usize) -> String {
        let length = self.below(length_max + 1);
        let letter = |_| letters[self.below(letters.len())];
        (0..length).map(letter).collect()
    }
}

/// The same as the patterns by another way: every place of every symbol.
fn matches_by_table(pattern: &[u8], path: &[Symbol]) -> bool {
    let (body, anchored) = match pattern {
        [body @ .., b'$'] => (body, true),
        _ => (pattern, false),
    };
    // Where in the path the pattern so far may end.
    let mut ends = vec![false; path.len() + 1];
    ends[0] = true;
    for byte in body {
        if *byte == b'*' {
            let first = ends.iter().position(|end| *end).unwrap_or(path.len() + 1);
            ends.iter_mut().skip(first).for_each(|end| *end = true);
            continue;
        }
        for at in (0..path.len()).rev() {
            ends[at + 1] = ends[at] && path[at] == Symbol::from(*byte);
        }
        ends[0] = false;
    }
    if anchored {
        ends[path.len()]
    } else {
        ends.contains(&true)
    }
}

#[test]
fn patterns_match_what_a_table_of_all_places_says() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut matched = 0;
    for _ in 0..200_000 {
        let pattern = random.text(&["/", "a", "b", "*", "*", "$"], 9);
        let path = format!("/{}", random.text(&["/", "a", "b", "b"], 12));
        // The dividing character of a scheme, which no path begins with.
        if path.starts_with("//") {
            continue;
        }
        let address = Address::of(&path);
        let expected = matches_by_table(pattern.as_bytes(), address.symbols());
        let found = Pattern::parse(pattern.as_bytes()).matches(&address);
        assert_eq!(found, expected, "{pattern:?} {path:?}");
        matched += usize::from(found);
    }
    assert!(matched > 10_000, "only {matched} matched");
}

#[test]
fn no_bytes_make_it_panic() {
    let seed = 0x5eed_0f20_b075;
    println!("seed {seed}");
    let mut random = Random(seed);
    let words = [
        "user-agent",
        "disallow",
        "allow",
        "crawl-delay",
        "sitemap",
        ":",
        " ",
        "\t",
        "\r",
        "\n",
        "\n",
        "*",
        "$",
        "/",
        "?",
        "#",
        "%",
        "%2F",
        "%2f",
        "a",
        "b",
        "\u{30c4}",
        "9",
        ".",
        "-1",
        "\u{feff}",
        "//",
        "://",
    ];
    for _ in 0..20_000 {
        let mut file = random.text(&words, 60).into_bytes();
        for _ in 0..random.below(4) {
            let byte = u8::try_from(random.below(256)).unwrap();
            let at = random.below(file.len() + 1);
            file.insert(at, byte);
        }
        let robots = Robots::parse(&file);
        let (agent, url) = (random.text(&words, 3), random.text(&words, 12));
        let decision = robots.decide(&agent, &url);
        let lines = file.iter().filter(|byte| b"\r\n".contains(byte)).count() + 1;
        assert!(decision.line.is_none_or(|line| (1..=lines).contains(&line)));
        assert!(
            decision
                .crawl_delay
                .is_none_or(|delay| delay <= CRAWL_DELAY_MAX)
        );
        assert_eq!(robots.decide(&agent, &url), decision, "it repeats itself");
    }
}

#[test]
fn hostile_patterns_cost_bounded_time() {
    // What makes a backtracking matcher try every way to share out the path.
    let path = format!("/{}", "a".repeat(8 * 1024));
    let stars = format!("disallow: /{}b\n", "*a".repeat(4_000));
    let long_parts = format!(
        "disallow: /{}$\n",
        format!("*{}b", "a".repeat(60)).repeat(60)
    );
    for rule in [stars, long_parts, "disallow: *a*a*a*a*a*a*b\n".to_owned()] {
        let room = FILE_BYTES_MAX / rule.len();
        let file = format!("user-agent: *\n{}", rule.repeat(room));
        let begun = Instant::now();
        let decision = Robots::parse(file.as_bytes()).decide("a", &path);
        assert!(decision.allowed);
        // A second or so where nothing is optimised; every way would take ages.
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(30),
            "{took:?} for {} rules",
            room
        );
        println!("{room} rules in {took:?}");
    }
}
