//! Text out of the tree. Nothing here calls itself: the depth of a page is
//! not ours to choose.

use scraper::{ElementRef, Node};

use super::guard;
use super::limits::TEXT_NODES_MAX;
use super::remarks::Remarks;

/// A step of a walk over a tree in document order.
pub(super) enum Step<'a> {
    Element(ElementRef<'a>),
    Text(&'a str, ego_tree::NodeRef<'a, Node>),
}

/// What a walk does after an element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Descend {
    Into,
    Past,
    /// The walk ends.
    Stop,
}

/// Walks everything below `top` in document order, without `top` itself.
pub(super) fn walk<'a>(
    top: ego_tree::NodeRef<'a, Node>,
    mut visit: impl FnMut(Step<'a>) -> Descend,
) {
    let mut next = top.first_child();
    while let Some(node) = next {
        let descend = match node.value() {
            Node::Text(text) => visit(Step::Text(text, node)),
            Node::Element(_) => visit(Step::Element(
                ElementRef::wrap(node).expect("it is an element"),
            )),
            Node::Fragment | Node::Document => Descend::Into,
            Node::Comment(_) | Node::Doctype(_) | Node::ProcessingInstruction(_) => Descend::Past,
        };
        match descend {
            Descend::Stop => return,
            Descend::Into if node.has_children() => next = node.first_child(),
            Descend::Into | Descend::Past => next = following(node, top),
        }
    }
}

/// The next node after the subtree of `node`, still below `top`.
fn following<'a>(
    node: ego_tree::NodeRef<'a, Node>,
    top: ego_tree::NodeRef<'a, Node>,
) -> Option<ego_tree::NodeRef<'a, Node>> {
    let mut node = node;
    loop {
        if let Some(sibling) = node.next_sibling() {
            return Some(sibling);
        }
        node = node.parent()?;
        if node == top {
            return None;
        }
    }
}

/// Elements whose text nobody reads.
fn is_silent(name: &str) -> bool {
    matches!(name, "script" | "style" | "template" | "noscript")
}

/// Elements that do not part the words before from those after.
fn is_inline(name: &str) -> bool {
    matches!(
        name,
        "a" | "abbr"
            | "b"
            | "bdi"
            | "bdo"
            | "cite"
            | "code"
            | "em"
            | "font"
            | "i"
            | "kbd"
            | "mark"
            | "q"
            | "s"
            | "samp"
            | "small"
            | "span"
            | "strong"
            | "sub"
            | "sup"
            | "u"
            | "var"
            | "wbr"
            | "del"
            | "ins"
            | "data"
            | "time"
            | "meta"
            | "link"
    )
}

fn is_block(node: ego_tree::NodeRef<'_, Node>) -> bool {
    let element = node.value().as_element();
    element.is_some_and(|element| !is_inline(element.name()) && !is_silent(element.name()))
}

/// The text of an element as a reader sees it: white space collapsed, at
/// most `chars_max` characters.
pub(super) fn text_of(element: ElementRef<'_>, chars_max: usize) -> String {
    text_below(*element, chars_max)
}

fn text_below(top: ego_tree::NodeRef<'_, Node>, chars_max: usize) -> String {
    let mut text = String::new();
    // Four bytes a character, and as much again for white space.
    let enough_bytes = chars_max.saturating_mul(8);
    let mut nodes_left = TEXT_NODES_MAX;
    walk(top, |step| {
        nodes_left -= 1;
        match step {
            Step::Text(part, node) => {
                if node.prev_sibling().is_some_and(is_block) {
                    text.push(' ');
                }
                let room = enough_bytes.saturating_sub(text.len());
                text.push_str(cut_bytes(part, room));
            }
            Step::Element(element) => {
                let name = element.value().name();
                if is_silent(name) && nodes_left > 0 {
                    return Descend::Past;
                }
                if !is_inline(name) || element.prev_sibling().is_some_and(is_block) {
                    text.push(' ');
                }
            }
        }
        if text.len() < enough_bytes && nodes_left > 0 {
            Descend::Into
        } else {
            Descend::Stop
        }
    });
    collapse(&text, chars_max)
}

fn cut_bytes(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// White space runs become one space, the ends are trimmed, and what is over
/// `chars_max` is cut off.
pub(super) fn collapse(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars >= chars_max {
                return out.trim_end().to_owned();
            }
            out.push(c);
            chars += 1;
        }
    }
    out
}

/// Text from a field that may hold markup or entities where none belong
/// (`Cats &amp; Dogs`, `<p>Warm</p>`), as a reader would see it.
pub(super) fn plain_text(text: &str, chars_max: usize) -> String {
    if !text.contains(['&', '<']) {
        return collapse(text, chars_max);
    }
    let text = cut_bytes(text, chars_max.saturating_mul(8));
    // Remarks about markup inside a field would only confuse.
    let html = guard::parse(text, &mut Remarks::default());
    text_below(html.tree.root(), chars_max)
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
