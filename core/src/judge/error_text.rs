//! Error text of the partner's program where products should be. What the
//! words are is known from PHP's default `html_errors` output, from the error
//! pages of web servers and from the messages of database drivers.

/// Bytes of the text that are shown.
const SHOWN_BYTES: usize = 160;

/// What no product text contains and an error page does. Lower case.
const MARKS: [&str; 18] = [
    "<b>fatal error</b>",
    "<b>parse error</b>",
    "<b>warning</b>:",
    "<b>notice</b>:",
    "<b>deprecated</b>:",
    "fatal error:",
    "parse error: syntax error",
    "warning: mysql",
    "warning: pg_",
    "warning: include(",
    "warning: require(",
    "allowed memory size of",
    "maximum execution time of",
    "sqlstate[",
    "you have an error in your sql syntax",
    "uncaught exception",
    "server error in '/' application",
    "java.lang.",
];

/// What only a page begins with. Lower case.
const PAGES: [&str; 3] = ["<!doctype html", "<html", "<br />\n<b>"];

/// The part of the text that looks like an error of the program that wrote it,
/// or like a page instead of a feed. `None` when it looks like data.
pub fn error_text(text: &str) -> Option<String> {
    let visible = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    // Only ASCII letters change, so that places in both are the same.
    let lower = text.to_ascii_lowercase();
    let begins = lower[text.len() - visible.len()..].to_owned();
    let at = if PAGES.iter().any(|page| begins.starts_with(page)) {
        text.len() - visible.len()
    } else {
        MARKS.iter().filter_map(|mark| lower.find(mark)).min()?
    };
    let mut end = text.len().min(at + SHOWN_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let shown = text[at..end].split_whitespace();
    Some(shown.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_pages_are_told_from_data() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(error_text(text).as_deref(), expected, "{text:?}");
        };
        check("id\ttitle\tprice_pc", None);
        check("", None);
        check("A cup with a <b>warning</b> label", None);
        check("A book: Fatal Errors in PHP", None);
        check(
            "\u{feff}  <!DOCTYPE html>\n<html>",
            Some("<!DOCTYPE html> <html>"),
        );
        check(
            "<br />\n<b>Warning</b>:  mysql_connect(): no",
            Some("<br /> <b>Warning</b>: mysql_connect(): no"),
        );
        check(
            "p1\tcup\nFatal error: Allowed memory size of 9 bytes",
            Some("Fatal error: Allowed memory size of 9 bytes"),
        );
        check("SQLSTATE[HY000] [2002]", Some("SQLSTATE[HY000] [2002]"));
        // Cut where a character ends.
        let long = format!("fatal error: {}", "가".repeat(200));
        assert!(error_text(&long).is_some());
    }
}
