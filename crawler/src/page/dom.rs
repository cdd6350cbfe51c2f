//! Text from fields that are not the page's own markup, but may hold some.

use crate::document::{Document, decode_references};

pub(super) use crate::document::collapse;

fn cut_bytes(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text from a field that may hold markup or entities where none belong
/// (`Cats &amp; Dogs`, `<p>Warm</p>`), as a reader would see it.
pub(super) fn plain_text(text: &str, chars_max: usize) -> String {
    if !text.contains(['&', '<']) {
        return collapse(text, chars_max);
    }
    let text = cut_bytes(text, chars_max.saturating_mul(8));
    if !text.contains(['<', '\0']) {
        return collapse(&decode_references(text), chars_max);
    }
    // Remarks about markup inside a field would only confuse.
    Document::parse(text).root().text(chars_max)
}

/// Decodes the entities that stand in for the characters of JSON.
pub(super) fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The character of the entity that `text` starts with, and its bytes.
fn entity(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let head = cut_bytes(text, LONGEST);
    let end = head.find(';')?;
    let c = match &head[1..end] {
        "quot" => '"',
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        name => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_reader_sees() {
        let check = |text: &str, expected: &str| {
            assert_eq!(plain_text(text, 100), expected, "{text:?}");
        };
        check("plain", "plain");
        check("  two\n words ", "two words");
        check("Cats &amp; Dogs", "Cats & Dogs");
        check("a &lt; b", "a < b");
        check(
            "<p>One</p><p>Two <b>t</b>hree<br>four</p>",
            "One Two three four",
        );
        check(
            "<div>One</div>two<div>three</div><b>four</b>",
            "One two three four",
        );
        check("x<script>var y</script>z", "xz");
        check("5 < 6 & 7", "5 < 6 & 7");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(collapse("한국어 텍스트", 5), "한국어 텍");
        assert_eq!(plain_text(&"&amp;".repeat(1000), 3), "&&&");
    }

    #[test]
    fn entities_of_json_are_decoded_once() {
        let check = |text: &str, expected: &str| assert_eq!(decode_entities(text), expected);
        check("&quot;a&#34;&#x22;", "\"a\"\"");
        check(
            "&amp;quot; &unknown; & &#xffffffff;",
            "&quot; &unknown; & &#xffffffff;",
        );
        check("&", "&");
    }
}
