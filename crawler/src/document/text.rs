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
        let mut rest = part;
        while !rest.is_empty() && !self.is_full() {
            let space = space_before_word(rest);
            self.gap |= space > 0;
            rest = &rest[space..];
            let (words, chars) = words_before_gap(rest);
            if words > 0 {
                self.push_words(&rest[..words], chars);
                rest = &rest[words..];
            }
        }
    }

    /// Words that are parted by one blank each.
    fn push_words(&mut self, words: &str, chars: usize) {
        if std::mem::take(&mut self.gap) && !self.text.is_empty() {
            self.text.push(' ');
            self.chars += 1;
        }
        let room = self.chars_max.saturating_sub(self.chars);
        let (words, chars) = match chars > room {
            true => (first_chars(words, room), room),
            false => (words, chars),
        };
        self.text.push_str(words);
        self.chars += chars;
    }

    fn into_text(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}

/// Bytes and characters of the words that a text starts with, as far as one
/// blank each parts them: what is taken as it stands. The text does not start
/// with white space.
fn words_before_gap(text: &str) -> (usize, usize) {
    let bytes = text.as_bytes();
    let (mut at, mut chars) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            b'\t'..=b'\r' => break,
            // A blank is taken with the word behind it alone.
            b' ' => match bytes.get(at + 1) {
                Some(next) if next.is_ascii() && !is_ascii_space(*next) => 1,
                _ => break,
            },
            0..=0x7f => 1,
            _ => {
                let c = text[at..].chars().next().expect("a character starts here");
                if c.is_whitespace() {
                    break;
                }
                c.len_utf8()
            }
        };
        at += length;
        chars += 1;
    }
    (at, chars)
}

/// Bytes of white space that a text starts with.
fn space_before_word(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            byte if is_ascii_space(*byte) => 1,
            0..=0x7f => break,
            _ => match text[at..].chars().next() {
                Some(c) if c.is_whitespace() => c.len_utf8(),
                _ => break,
            },
        };
    }
    at
}

/// What `char::is_whitespace` says of ASCII.
fn is_ascii_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
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
    fn parts_collapse_as_their_whole_does() {
        const PIECES: &[&str] = &[
            "a", "bc", "é", "한", " ", " ", "  ", "\n", "\t ", "\u{a0}", "\u{3000}", "\u{b}",
            "\u{1}", "\u{85}", "“", "x y", " z", "w ",
        ];
        let seed = 0x5eed_0007_u64;
        let mut state = seed;
        let mut roll = |sides: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % sides
        };
        for round in 0..20_000 {
            let chars_max = roll(24);
            let mut collapsed = Collapsed::new(chars_max);
            let mut whole = String::new();
            for _ in 0..roll(6) {
                let part: String = (0..roll(6)).map(|_| PIECES[roll(PIECES.len())]).collect();
                collapsed.push(&part);
                whole.push_str(&part);
            }
            let words: Vec<&str> = whole.split_whitespace().collect();
            let expected: String = words.join(" ").chars().take(chars_max).collect();
            assert_eq!(
                collapsed.into_text(),
                expected.trim_end(),
                "seed {seed:#x} round {round}: {whole:?} {chars_max}"
            );
        }
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
