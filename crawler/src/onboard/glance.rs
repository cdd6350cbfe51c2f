//! What a text is at first glance, by its beginning alone: rows, JSON, a feed
//! in XML, or one of the things that come in place of a feed.

use super::error::NotAFeed;
use super::shown::{cut, plain};
use crate::feed::Peeked;

/// Characters that the beginning of a text is looked at for.
const HEAD_BYTES: usize = 64 << 10;

/// Of so many characters one that no text has makes it none: one in twenty.
const ODD_ONE_IN: usize = 20;

/// What a feed may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glance {
    Rows,
    Json,
    JsonLines,
    /// RSS or Atom.
    Xml,
    /// One field a line, as Naver and Daum asked for once.
    Tagged,
}

/// Beginnings of what servers say instead of a feed, in lower case, without
/// markup.
#[rustfmt::skip]
const ERROR_TEXTS: &[&str] = &[
    "warning: ", "fatal error: ", "parse error: ", "notice: ", "deprecated: ", "php warning",
    "php fatal", "php parse", "php notice", "traceback (most recent call last)", "sqlstate[",
    "uncaught ", "mysql error", "mysql_connect", "ora-0", "microsoft ole db", "java.lang.",
    "exception in thread", "server error in '", "internal server error", "error establishing a database",
    "too many connections", "service unavailable", "bad gateway", "404 not found", "access denied",
];

/// What PHP writes into the middle of an answer.
const PHP_MARKS: &[&str] = &[
    "<b>Warning</b>:",
    "<b>Fatal error</b>:",
    "<b>Notice</b>:",
    "<b>Deprecated</b>:",
    "<b>Parse error</b>:",
    "PHP Warning:",
    "PHP Fatal error:",
];

pub(super) fn glance(peeked: &Peeked) -> Result<Glance, NotAFeed> {
    let text = peeked
        .text
        .trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n', '\0']);
    if text.trim().is_empty() {
        return Err(match peeked.text.contains('\0') {
            true => binary(&peeked.text),
            false => NotAFeed::Empty,
        });
    }
    let head = cut(text, HEAD_BYTES);
    if is_binary(head) {
        return Err(binary(&peeked.text));
    }
    let bare = without_markup(cut(head, 2_000)).to_lowercase();
    if ERROR_TEXTS.iter().any(|error| bare.starts_with(error)) {
        return Err(NotAFeed::ErrorText {
            shown: plain(cut(head.trim(), 160)),
        });
    }
    if head.starts_with("<<<") {
        return Ok(Glance::Tagged);
    }
    match head.as_bytes()[0] {
        b'<' => xml(head),
        b'{' => Ok(object_or_lines(text, peeked.is_whole)),
        b'[' => Ok(Glance::Json),
        _ => Ok(Glance::Rows),
    }
}

/// The line on which a server's error text stands within a feed.
pub(super) fn error_text_line(text: &str) -> Option<usize> {
    let at = PHP_MARKS
        .iter()
        .filter_map(|mark| memchr::memmem::find(text.as_bytes(), mark.as_bytes()))
        .min()?;
    Some(1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..at]).count())
}

fn binary(text: &str) -> NotAFeed {
    let bytes = text.bytes().take(8).map(|byte| format!("{byte:02x}"));
    let head = bytes.collect::<Vec<_>>().join(" ");
    NotAFeed::Binary { head }
}

/// Control characters, and what stands for damaged bytes.
fn is_binary(head: &str) -> bool {
    let odd = |c: &char| {
        (c.is_control() && !matches!(c, '\t' | '\r' | '\n')) || matches!(c, '\u{fdd0}' | '\u{fffd}')
    };
    let (mut all, mut strange) = (0_usize, 0_usize);
    for c in head.chars() {
        all += 1;
        strange += usize::from(odd(&c));
    }
    strange * ODD_ONE_IN > all
}

fn xml(head: &str) -> Result<Glance, NotAFeed> {
    let Some(root) = root_element(head) else {
        return Err(NotAFeed::NoRoot { bytes: head.len() });
    };
    let local = root.rsplit(':').next().unwrap_or(root);
    match local.to_ascii_lowercase().as_str() {
        "rss" | "feed" | "rdf" => Ok(Glance::Xml),
        "urlset" | "sitemapindex" => Err(NotAFeed::Sitemap),
        _ if is_html(head, local) => Err(html(head)),
        _ => Err(NotAFeed::UnknownXml {
            root: plain(cut(root, 60)),
        }),
    }
}

fn is_html(head: &str, root: &str) -> bool {
    const ELEMENTS: &[&str] = &[
        "html", "head", "body", "div", "script", "p", "h1", "br", "b", "center", "title", "meta",
        "table", "form", "style", "link", "noscript",
    ];
    let lower = cut(head, 4_096).to_ascii_lowercase();
    ELEMENTS.contains(&root.to_ascii_lowercase().as_str())
        || lower.contains("<!doctype html")
        || lower.contains("<html")
}

fn html(head: &str) -> NotAFeed {
    let lower = head.to_ascii_lowercase();
    let title = lower
        .find("<title")
        .and_then(|at| Some(at + lower[at..].find('>')? + 1))
        .map(|at| head[at..].split('<').next().unwrap_or_default());
    let title = plain(cut(title.unwrap_or_default().trim(), 80));
    let password = ["type=\"password\"", "type='password'", "type=password"];
    match password.iter().any(|mark| lower.contains(mark)) {
        true => NotAFeed::Login { title },
        false => NotAFeed::Html { title },
    }
}

/// The name of the first element behind declarations and comments.
fn root_element(head: &str) -> Option<&str> {
    let mut rest = head;
    loop {
        let at = rest.find('<')?;
        rest = &rest[at..];
        let end = if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<?") {
            "?>"
        } else if rest.starts_with("<!") {
            ">"
        } else {
            let name = rest[1..].split([' ', '\t', '\r', '\n', '>', '/']).next()?;
            return Some(name);
        };
        rest = &rest[rest.find(end)? + end.len()..];
    }
}

/// One object a line, or one document.
fn object_or_lines(text: &str, is_whole: bool) -> Glance {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    let object = serde_json::from_str::<serde_json::Value>(first).ok();
    let is_product = |object: &serde_json::Value| {
        let keys = object
            .as_object()
            .into_iter()
            .flat_map(|object| object.keys());
        keys.filter(|key| super::names::is_known(key)).count() >= 2
    };
    let alone = object.as_ref().is_some_and(is_product);
    match (object.is_some(), lines.next()) {
        (true, Some(second)) if second.trim_start().starts_with('{') => Glance::JsonLines,
        // A single line: a product if it has its names and no list of objects.
        (true, None) if is_whole && alone && super::json::find_items(text).is_none() => {
            Glance::JsonLines
        }
        _ => Glance::Json,
    }
}

fn without_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => out.push(c),
            _ => {}
        }
    }
    out.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use trawler_core::feed::Compression;

    use super::*;

    fn of(text: &str) -> Result<Glance, String> {
        let peeked = Peeked {
            text: text.to_owned(),
            compression: Compression::None,
            charset: "utf-8".to_owned(),
            malformed: 0,
            is_whole: true,
        };
        glance(&peeked).map_err(|error| error.to_string())
    }

    #[test]
    fn feeds_are_told_by_their_beginning() {
        let check = |text: &str, expected: Glance| assert_eq!(of(text), Ok(expected), "{text}");
        check("id\ttitle\n1\tcoat\n", Glance::Rows);
        check("\u{feff}id,title\n", Glance::Rows);
        check("<rss version=\"2.0\"><channel/></rss>", Glance::Xml);
        check(
            "<?xml version=\"1.0\"?>\n<!-- <html> --><feed xmlns=\"x\">",
            Glance::Xml,
        );
        check("<rdf:RDF>", Glance::Xml);
        check("<<<begin>>>\n<<<mapid>>>1\n", Glance::Tagged);
        check("[{\"id\":1}]", Glance::Json);
        check("{\n \"items\": [{\"id\":1}]}", Glance::Json);
        check("{\"items\": [{\"id\":1}]}", Glance::Json);
        check("{\"id\":1}\n{\"id\":2}\n", Glance::JsonLines);
        check("{\"id\":1,\"tags\":[\"a\"]}\n", Glance::JsonLines);
        check("{\"status\":\"ok\",\"items\":[]}\n", Glance::Json);
    }

    #[test]
    fn what_comes_in_place_of_a_feed_is_told_apart() {
        let check = |text: &str, expected: &str| {
            let error = of(text).expect_err(text);
            assert!(error.contains(expected), "{text:?}: {error}");
        };
        check("", "it is empty");
        check(" \r\n\n", "it is empty");
        check("\0\0\0\0", "00 00 00 00");
        check("\u{1}\u{2}\u{3}binary\u{4}\u{5}", "it is no text");
        check(
            "<!DOCTYPE html><html><title>Shop</title>",
            "HTML page (\"Shop\")",
        );
        check("<html><form><input type=\"password\">", "asks for a login");
        check("<div>sold out</div>", "HTML page");
        check(
            "<br />\n<b>Warning</b>:  mysqli_connect(): (HY000/2002) in <b>/a.php</b>",
            "error text of the shop's server",
        );
        check("Fatal error: Allowed memory size exhausted", "error text");
        check("SQLSTATE[HY000] [1040] Too many connections", "error text");
        check("<urlset><url/></urlset>", "it is a sitemap");
        check(
            "<products><product/></products>",
            "root element is <products>",
        );
        check("<?xml version=\"1.0\"?>", "without a root element");
    }

    #[test]
    fn error_text_within_a_feed_is_found() {
        assert_eq!(error_text_line("id\ttitle\n1\tcoat\n"), None);
        assert_eq!(
            error_text_line("id\ttitle\n1\tcoat\n<br />\n<b>Warning</b>: x\n"),
            Some(4)
        );
    }
}
