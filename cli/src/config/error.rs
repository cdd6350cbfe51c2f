//! What is wrong in a file, in words: where, what was found, what is allowed.
//! The words of `toml` and `serde` are turned into those; a value that may be
//! a credential is not shown.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use trawler_core::secret::Place;
use url::{ParseError, Url};

use super::position::{Leaf, key_at, leaves, line_of, line_of_key};

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub(crate) file: PathBuf,
    /// 1-based; `None` when the file as a whole is meant.
    pub(crate) line: Option<usize>,
    pub(crate) key: String,
    pub(crate) found: String,
    pub(crate) allowed: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        if self.allowed.is_empty() {
            // The finding says what is allowed itself.
            return write!(f, ": {}", self.found);
        }
        write!(f, ": found {}; allowed: {}", self.found, self.allowed)
    }
}

/// Stands for a value that may be a secret.
const HIDDEN: &str = "something (not shown, it may be a credential)";

/// Where nothing better is known.
const SEE_INIT: &str = "see the keys that `trawler init` writes";

impl ConfigError {
    /// A finding that says itself what is allowed.
    pub(crate) fn told(file: PathBuf, key: &str, finding: String) -> Self {
        Self {
            file,
            line: None,
            key: key.to_owned(),
            found: finding,
            allowed: String::new(),
        }
    }

    /// What `toml` says about a text that is no such value.
    pub(super) fn of_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let is_whole = span.start == 0 && (span.is_empty() || span.end >= text.trim_end().len());
        let at = match is_whole {
            true => String::new(),
            false => key_at(text, span.start),
        };
        if let Some(name) = missing(message) {
            let kind = kind_of(text, &at).map_or_else(String::new, |kind| format!(" with {kind}"));
            return Self {
                file: path.to_owned(),
                line: (!at.is_empty()).then(|| line_of(text, span.start)),
                key: at,
                found: format!("`{name}` is missing{kind}"),
                allowed: String::new(),
            };
        }
        // What is wrong in a table that says its kind is told of the table.
        let inner = inner_key(text, &at, message);
        let line = match &inner {
            Some(key) => line_of_key(text, key),
            None => error.span().map(|span| line_of(text, span.start)),
        };
        let is_hidden = may_show_credential(message)
            || shows_credential(text, &span)
            || line.is_some_and(|line| shows_credential_in_line(text, line));
        let source = text.get(span).unwrap_or_default();
        let (found, mut allowed) = match is_hidden {
            true => (HIDDEN.to_owned(), without_value(message)),
            false => split(message, source),
        };
        if inner.is_some()
            && message.starts_with("unknown field")
            && let Some(kind) = kind_of(text, &at)
        {
            allowed = format!("{allowed} with {kind}");
        }
        Self {
            file: path.to_owned(),
            line,
            key: inner.unwrap_or(at),
            found,
            allowed,
        }
    }
}

/// The name in "missing field `mode`".
fn missing(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("missing field `")?;
    rest.strip_suffix('`')
}

/// `kind = "file"`, where the table has a kind.
fn kind_of(text: &str, table: &str) -> Option<String> {
    let key = format!("{table}.kind");
    let mut leaves = leaves(text, table).into_iter();
    let kind = leaves.find(|leaf| leaf.key == key)?.text?;
    Some(format!("kind = {kind:?}"))
}

/// The key below a table that the message is about, if it tells.
fn inner_key(text: &str, table: &str, message: &str) -> Option<String> {
    let mut leaves = leaves(text, table).into_iter();
    let is_meant = |leaf: &Leaf| match message.strip_prefix("unknown field `") {
        Some(rest) => rest
            .split_once('`')
            .is_some_and(|(name, _)| leaf.key == format!("{table}.{name}")),
        None => leaf.text.is_some() && leaf.text == value_in(message),
    };
    leaves.find(is_meant).map(|leaf| leaf.key)
}

/// The text in `invalid value: string "text", expected ...`, or in what is said
/// of a URL.
fn value_in(message: &str) -> Option<String> {
    if let Some((text, _)) = no_url(message) {
        return Some(text);
    }
    let (found, _) = message.split_once(", expected ")?;
    let (_, text) = found.split_once(": string ")?;
    serde_json::from_str(text).ok()
}

/// The text and what is wrong with it in `empty host: "http://:80/"`.
fn no_url(message: &str) -> Option<(String, ParseError)> {
    let (said, text) = message.split_once(": ")?;
    let text: String = serde_json::from_str(text).ok()?;
    let error = Url::parse(&text).err()?;
    (error.to_string() == said).then_some((text, error))
}

fn url_rule(error: ParseError) -> String {
    match error {
        ParseError::RelativeUrlWithoutBase => "an http:// or https:// URL".to_owned(),
        error => format!("an http:// or https:// URL ({error})"),
    }
}

/// Whether the lines of the span look as if a credential stood there.
fn shows_credential(text: &str, span: &Range<usize>) -> bool {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |at| span.end + at);
    let lines = &text[start..end];
    Place::of_header(lines) == Place::Credential || may_show_credential(lines)
}

fn shows_credential_in_line(text: &str, line: usize) -> bool {
    text.lines().nth(line - 1).is_some_and(|line| {
        Place::of_header(line) == Place::Credential || may_show_credential(line)
    })
}

/// Whether it looks like a URL with a user or password.
fn may_show_credential(text: &str) -> bool {
    text.contains("://") && text.contains('@')
}

/// What a message says besides the value that it found.
fn without_value(message: &str) -> String {
    if let Some((_, error)) = no_url(message) {
        return url_rule(error);
    }
    let tells_value = message.starts_with("invalid type") || message.starts_with("invalid value");
    match message.split_once(", expected ") {
        Some((_, expected)) => plain(expected),
        None if tells_value => SEE_INIT.to_owned(),
        None => message.to_owned(),
    }
}

/// serde says what it found and what it expected in one sentence.
fn split(message: &str, source: &str) -> (String, String) {
    if let Some((text, error)) = no_url(message) {
        return (format!("{text:?}"), url_rule(error));
    }
    let source = source.lines().next().unwrap_or_default();
    match message.split_once(", expected ") {
        Some((found, expected)) => {
            let value = found
                .strip_prefix("invalid value: ")
                .map(|value| value.strip_prefix("string ").unwrap_or(value));
            let of_type = found.strip_prefix("invalid type: ");
            let shown = value.or(of_type).unwrap_or(found);
            (shown.to_owned(), plain(expected))
        }
        None if source.is_empty() => (message.to_owned(), SEE_INIT.to_owned()),
        None => (
            format!("{:?}", source.trim_matches('"')),
            message.to_owned(),
        ),
    }
}

/// serde's names of types, in words.
fn plain(expected: &str) -> String {
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if expected.starts_with("struct ") => "a table",
        _ if expected.starts_with("internally tagged enum ") => "a table with a kind",
        _ => expected.strip_prefix("use ").unwrap_or(expected),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Config, EXAMPLE_PIPE};
    use serde::de::DeserializeOwned;
    use trawler_core::pipe::Pipe;

    fn told<T: DeserializeOwned + fmt::Debug>(text: &str) -> String {
        let error = toml::from_str::<T>(text).unwrap_err();
        ConfigError::of_toml(Path::new("f"), text, &error).to_string()
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_told_in_words() {
        let check = |text: &str, expected: &str| assert_eq!(told::<Config>(text), expected);
        check(
            "[workers]\ncrawl_slots = \"two\"\n",
            "f:2: workers.crawl_slots: found string \"two\"; allowed: a whole number",
        );
        check(
            "[workers]\ncrawl_slots = -1\n",
            "f:2: workers.crawl_slots: found integer `-1`; allowed: a whole number",
        );
        check(
            "workers = 3\n",
            "f:1: workers: found integer `3`; allowed: a table",
        );
        check(
            "environment = \"Prod\"\n",
            "f:1: environment: found \"Prod\"; allowed: 1 to 32 lower-case ASCII letters, digits or '-', starting with a letter",
        );
        check(
            "[queue]\nkind = \"kafka\"\n",
            "f:2: queue.kind: found unknown variant `kafka`; allowed: `local` or `sqs`",
        );
        check(
            "[retry]\nattempts = 3\n",
            "f:2: retry.attempts: found unknown field `attempts`; allowed: one of `attempts_max`, `crashes_max`, `backoff_base_ms`, `backoff_max_ms`",
        );
        check(
            "[[images.variants]]\nname = \"thumb\"\nwidth = 64\n",
            "f:1: images.variants: `height` is missing",
        );
        check(
            "[images]\nplaceholders = [\"phash:e1b0c3d49a5f2786~6\", \"phash:e1b0\"]\n",
            "f:2: images.placeholders: found \"phash:e1b0\"; allowed: \"sha256:\" and 64 hex digits, or \"phash:\" and 16 hex digits with, if need be, ~ and the bits that may differ, 0 to 10, such as \"phash:e1b0c3d49a5f2786~6\"; a picture with fewer than 12 bits set is too plain to be known by its look: give its sha256, or images.blank if it is of one colour",
        );
        check(
            "[images]\nblank = \"skip\"\n",
            "f:2: images.blank: found unknown variant `skip`; allowed: `store` or `placeholder`",
        );
    }

    #[test]
    fn a_pipe_that_cannot_be_read_is_told_in_words() {
        let check = |from: &str, to: &str, expected: &str| {
            let text = EXAMPLE_PIPE.replace(from, to);
            assert_ne!(text, EXAMPLE_PIPE, "{from:?}");
            assert_eq!(told::<Pipe>(&text), expected);
        };
        let mode = "mode = \"full\"                    # or \"summary\": only what changed; never guessed\n";
        check(mode, "", "f:9: feed: `mode` is missing");
        let url = "url = \"https://shop.example.com/ep.tsv\"\n";
        check(
            url,
            "",
            "f:5: source: `url` is missing with kind = \"http\"",
        );
        check(
            "url = \"https://",
            "url = \"",
            "f:7: source.url: found \"shop.example.com/ep.tsv\"; allowed: an http:// or https:// URL",
        );
        check(
            "example.com/ep",
            "example.com:99999/ep",
            "f:7: source.url: found \"https://shop.example.com:99999/ep.tsv\"; allowed: an http:// or https:// URL (invalid port number)",
        );
        check(
            "kind = \"http\"                    # or \"file\" with path = \"feeds/shop.tsv\"",
            "kind = \"file\"",
            "f:7: source.url: found unknown field `url`; allowed: `path` with kind = \"file\"",
        );
        // Of a URL with a password no part is shown.
        check(
            "https://shop.example.com/ep.tsv",
            "https://ann:hunter2@shop.example.com:99999/",
            "f:7: source.url: found something (not shown, it may be a credential); allowed: an http:// or https:// URL (invalid port number)",
        );
    }

    #[test]
    fn what_a_file_lacks_as_a_whole_has_no_line() {
        assert_eq!(told::<Pipe>("name = \"x\"\n"), "f: `source` is missing");
    }
}
