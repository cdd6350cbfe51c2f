//! A partner's text as people and pipe files may show it.

/// The beginning of a text, at most so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Without the control characters that a terminal obeys and a comment ends at.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => ' ',
        // Line ends to some, and marks that turn text round.
        '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => ' ',
        '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fdd0}' => ' ',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A short example of a value.
pub(super) fn example(text: &str) -> String {
    const SHOWN_BYTES: usize = 60;
    let text = text.trim();
    let short = plain(cut(text, SHOWN_BYTES));
    match short.len() < text.len() {
        true => format!("{short}…"),
        false => short,
    }
}

/// The text as a TOML basic string, quotes included.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A TOML key: bare where it can be.
pub(super) fn key(text: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    match !text.is_empty() && text.bytes().all(bare) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_quotes_or_its_comment() {
        assert_eq!(quoted("a\"b\\c\td\ne"), r#""a\"b\\c\td\u000Ae""#);
        assert_eq!(plain("a\nb\u{1b}[31m\u{2028}c"), "a b [31m c");
        assert_eq!(example(&"가".repeat(100)).chars().count(), 21);
        assert_eq!(cut("가나", 4), "가");
        assert_eq!(
            (key("price_minor"), key("a b")),
            ("price_minor".to_owned(), "\"a b\"".to_owned())
        );
    }
}
