//! What an answer means, and how much of a file is read. [2.3 to 2.5]

use super::*;

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
