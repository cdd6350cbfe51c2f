//! A robots file line by line, into groups. [2.2]

use std::time::Duration;

use super::agent::Token;
use super::pattern::Pattern;
use super::{CRAWL_DELAY_MAX, FILE_BYTES_MAX};

/// The mark that some editors put first, and what is left of it when a part was
/// lost.
const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Octets of a rule that are shown. A path is rarely longer than 100.
const SHOWN_CHARS_MAX: usize = 300;

/// User agents and what holds for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) tokens: Vec<Token>,
    pub(super) rules: Vec<Rule>,
    delays: Vec<Delay>,
}

/// A `Crawl-delay`.
#[derive(Debug, Clone)]
struct Delay {
    /// It holds for so many tokens of the group: those that stood before it. It
    /// is no rule, so that more may follow. [2.2.4]
    tokens: usize,
    wait: Duration,
}

impl Group {
    /// The longest delay for one of the tokens.
    pub(super) fn delay(&self, token: usize) -> Option<Duration> {
        let delays = self.delays.iter().filter(|delay| token < delay.tokens);
        delays.map(|delay| delay.wait).max()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Allow,
    Disallow,
}

/// One rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) verb: Verb,
    pub(super) pattern: Pattern,
    /// From 1.
    pub(super) line: usize,
    /// The pattern as it is written.
    written: Box<str>,
}

impl Rule {
    /// An empty `Disallow` disallows nothing.
    pub(super) fn permits(&self) -> bool {
        self.verb == Verb::Allow || self.pattern.is_empty()
    }

    pub(super) fn text(&self) -> String {
        let verb = match self.verb {
            Verb::Allow => "Allow:",
            Verb::Disallow => "Disallow:",
        };
        let mut written: String = self.written.chars().take(SHOWN_CHARS_MAX).collect();
        if written.len() < self.written.len() {
            written.push_str("...");
        }
        format!("{verb} {written}").trim_end().to_owned()
    }
}

/// The groups and the sitemaps of a file.
pub(super) fn read(bytes: &[u8]) -> (Vec<Group>, Vec<String>) {
    let mut reader = Reader::default();
    for (at, line) in lines(without_mark(bounded(bytes))).enumerate() {
        if let Some((key, value)) = record(line) {
            reader.take(key, value, at + 1);
        }
    }
    (reader.groups, reader.sitemaps)
}

#[derive(Default)]
struct Reader {
    groups: Vec<Group>,
    /// Whether the last group has rules, so that a user agent begins a new one.
    closed: bool,
    sitemaps: Vec<String>,
}

impl Reader {
    fn take(&mut self, key: Key, value: &[u8], line: usize) {
        let verb = match key {
            Key::UserAgent => return self.agent(value),
            Key::Sitemap => {
                let sitemap = String::from_utf8_lossy(value).into_owned();
                return self.sitemaps.push(sitemap);
            }
            Key::CrawlDelay => return self.delay(value),
            Key::Allow => Verb::Allow,
            Key::Disallow => Verb::Disallow,
        };
        // A rule before the first user agent belongs to nobody. [2.2.2]
        let Some(group) = self.groups.last_mut() else {
            return;
        };
        self.closed = true;
        group.rules.push(Rule {
            verb,
            pattern: Pattern::parse(value),
            line,
            written: String::from_utf8_lossy(value).into(),
        });
    }

    fn agent(&mut self, value: &[u8]) {
        if self.closed || self.groups.is_empty() {
            self.groups.push(Group::default());
            self.closed = false;
        }
        let token = Token::parse(&String::from_utf8_lossy(value));
        let group = self.groups.last_mut().expect("one was pushed if none was");
        group.tokens.push(token);
    }

    fn delay(&mut self, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
        if let (Some(seconds), Some(group)) = (seconds, self.groups.last_mut()) {
            let wait = Duration::from_secs_f64(seconds.min(CRAWL_DELAY_MAX.as_secs_f64()));
            let tokens = group.tokens.len();
            group.delays.push(Delay { tokens, wait });
        }
    }
}

/// What is read of a file. A line that the bound cuts would say something else
/// than it was meant to, and is left out.
fn bounded(bytes: &[u8]) -> &[u8] {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    match bytes.get(FILE_BYTES_MAX) {
        None => bytes,
        Some(next) if is_break(next) => &bytes[..FILE_BYTES_MAX],
        Some(_) => {
            let read = &bytes[..FILE_BYTES_MAX];
            let end = read.iter().rposition(is_break);
            &read[..end.unwrap_or(0)]
        }
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    let pairs = bytes.iter().zip(MARK);
    let marked = pairs.take_while(|(found, mark)| *found == mark).count();
    &bytes[marked..]
}

/// Lines end with CR, LF, or both in this order.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr2(b'\r', b'\n', text) else {
            rest = None;
            return Some(text);
        };
        let wide = usize::from(text[end..].starts_with(b"\r\n"));
        rest = Some(&text[end + 1 + wide..]);
        Some(&text[..end])
    })
}

#[derive(Debug, Clone, Copy)]
enum Key {
    UserAgent,
    Allow,
    Disallow,
    CrawlDelay,
    Sitemap,
}

impl Key {
    /// Keys are compared without regard to case; common misspellings count.
    fn parse(text: &[u8]) -> Option<Self> {
        const KEYS: &[(Key, &[&str])] = &[
            (Key::UserAgent, &["user-agent", "useragent", "user agent"]),
            (Key::Allow, &["allow"]),
            (
                Key::Disallow,
                &[
                    "disallow",
                    "dissallow",
                    "dissalow",
                    "disalow",
                    "diasllow",
                    "disallaw",
                ],
            ),
            (Key::CrawlDelay, &["crawl-delay", "crawldelay"]),
            (Key::Sitemap, &["sitemap", "site-map"]),
        ];
        let spelt = |names: &[&str]| {
            let mut names = names.iter().map(|name| name.as_bytes());
            names.any(|name| name.eq_ignore_ascii_case(text))
        };
        let found = KEYS.iter().find(|(_, names)| spelt(names));
        found.map(|(key, _)| *key)
    }
}

/// Key and value of a line, if it has one of ours. A `#` begins a comment.
fn record(line: &[u8]) -> Option<(Key, &[u8])> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    if let Some(colon) = memchr::memchr(b':', line) {
        let key = Key::parse(trim(&line[..colon]))?;
        return Some((key, trim(&line[colon + 1..])));
    }
    // Without a colon two words are read as if there were one.
    let mut words = line
        .split(|byte| is_blank(*byte))
        .filter(|word| !word.is_empty());
    let (key, value) = (words.next()?, words.next()?);
    match words.next() {
        None => Some((Key::parse(key)?, value)),
        Some(_) => None,
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    let text = &text[blanks..];
    let blanks = text.iter().rev().take_while(|byte| is_blank(**byte));
    &text[..text.len() - blanks.count()]
}
