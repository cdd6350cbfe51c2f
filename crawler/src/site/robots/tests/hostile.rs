//! Any bytes, and patterns that mean to cost time.

use super::*;

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
