//! Lines and groups, and which of them are for an agent. [2.1 to 2.2.1]

use super::*;

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
