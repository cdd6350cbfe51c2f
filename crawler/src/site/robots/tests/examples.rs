//! The examples of the RFC. [5]

use super::*;

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
