//! Which rule decides about a path. [2.2.2, 2.2.3]

use super::*;

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
