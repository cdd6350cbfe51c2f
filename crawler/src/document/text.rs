//! Text as a reader sees it: white space collapsed, blocks apart, scripts and
//! the like left out.

use super::arena::NOWHERE;
use super::element::Element;
use super::limits::TEXT_NODES_MAX;
use super::name::Name;

/// White space runs become one space, the ends are trimmed, and what is over
/// `chars_max` is cut off.
pub fn collapse(text: &str, chars_max: usize) -> String {
    let mut collapsed = Collapsed::new(chars_max);
    collapsed.push(text);
    collapsed.into_text()
}

/// Text that grows by parts, collapsed as it grows.
struct Collapsed {
    text: String,
    chars: usize,
    chars_max: usize,
    /// White space came since the last word.
    gap: bool,
}

impl Collapsed {
    fn new(chars_max: usize) -> Self {
        Self {
            text: String::new(),
            chars: 0,
            chars_max,
            gap: false,
        }
    }

    fn is_full(&self) -> bool {
        self.chars >= self.chars_max
    }

    fn push(&mut self, part: &str) {
        if part.is_ascii() {
            self.push_ascii(part);
            return;
        }
        self.gap |= part.starts_with(char::is_whitespace);
        for (at, word) in part.split_whitespace().enumerate() {
            self.gap |= at > 0;
            self.push_word(word, word.chars().count());
            if self.is_full() {
                return;
            }
        }
        self.gap |= part.ends_with(char::is_whitespace);
    }

    /// Most text: bytes are characters.
    fn push_ascii(&mut self, part: &str) {
        // What `char::is_whitespace` says of ASCII.
        let is_space = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
        let mut rest = part.as_bytes();
        while !rest.is_empty() && !self.is_full() {
            let word = rest.iter().position(is_space).unwrap_or(rest.len());
            if word > 0 {
                let start = part.len() - rest.len();
                self.push_word(&part[start..start + word], word);
                rest = &rest[word..];
            }
            let space = rest.iter().position(|byte| !is_space(byte));
            let space = space.unwrap_or(rest.len());
            self.gap |= space > 0;
            rest = &rest[space..];
        }
    }

    fn push_word(&mut self, word: &str, chars: usize) {
        if std::mem::take(&mut self.gap) && !self.text.is_empty() {
            self.text.push(' ');
            self.chars += 1;
        }
        let room = self.chars_max.saturating_sub(self.chars);
        let (word, chars) = match chars > room {
            true => (first_chars(word, room), room),
            false => (word, chars),
        };
        self.text.push_str(word);
        self.chars += chars;
    }

    fn into_text(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}

fn first_chars(text: &str, chars: usize) -> &str {
    let end = text.char_indices().nth(chars).map(|(end, _)| end);
    &text[..end.unwrap_or(text.len())]
}

fn cut_bytes(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn parts_words(name: Name) -> bool {
    !name.is_inline() && !name.is_silent() && name != Name::TEXT
}

/// The text below a node.
pub(super) fn text_below(top: Element<'_>, chars_max: usize) -> String {
    let document = top.document;
    let nodes = &document.arena.nodes;
    let mut text = Collapsed::new(chars_max);
    // Four bytes a character, and as much again for white space.
    let mut bytes_left = chars_max.saturating_mul(8);
    let end = nodes[top.at as usize].end;
    let mut at = top.at + 1;
    for _ in 0..TEXT_NODES_MAX {
        if at >= end || text.is_full() || bytes_left == 0 {
            break;
        }
        let node = &nodes[at as usize];
        if node.name.is_silent() {
            at = node.end;
            continue;
        }
        let follows_block =
            node.previous != NOWHERE && parts_words(nodes[node.previous as usize].name);
        text.gap |= follows_block || parts_words(node.name);
        if node.name == Name::TEXT {
            let part = document.arena.slice(&document.page, node.content.as_text());
            let part = cut_bytes(part, bytes_left);
            bytes_left -= part.len();
            text.push(part);
        }
        at += 1;
    }
    text.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn text_is_what_a_reader_sees() {
        let check = |page: &str, expected: &str| {
            let document = Document::parse(page);
            assert_eq!(document.root().text(100), expected, "{page:?}");
        };
        check("plain", "plain");
        check("  two\n words ", "two words");
        check("Cats &amp; Dogs", "Cats & Dogs");
        check(
            "<p>One</p><p>Two <b>t</b>hree<br>four</p>",
            "One Two three four",
        );
        check(
            "<div>One</div>two<div>three</div><b>four</b>",
            "One two three four",
        );
        check("x<script>var y</script>z<!-- -->a", "xza");
        check("5 < 6 & 7", "5 < 6 & 7");
        check("a&nbsp;b\u{3000}c", "a b c");
        check(
            "<b>a </b>b<b> c</b>d<b>é</b>\u{a0}<b>f\u{b}g</b> ",
            "a b cdé f g",
        );
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(collapse("한국어 텍스트", 5), "한국어 텍");
        assert_eq!(collapse("한국어 텍스트", 4), "한국어");
        assert_eq!(collapse("한국어 텍스트", 0), "");
        assert_eq!(collapse("one two", 5), "one t");
        assert_eq!(collapse("one two", 4), "one");
        assert_eq!(collapse("one two", 0), "");
        let document = Document::parse("&amp;".repeat(1000));
        assert_eq!(document.root().text(3), "&&&");
    }
}
