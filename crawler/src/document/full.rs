//! The full builder: the tree of the `scraper` crate, for pages that need
//! nodes moved about, with bounds that it does not have itself.
//!
//! Without them a small page can take hours (every start tag walks the open
//! elements, every attribute is compared with those before it) or all memory
//! (misnested formatting elements are repeated in every paragraph).

use std::cell::Cell;

use ego_tree::iter::Edge;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, StartTag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{QualName, TokenizerResult, ns};
use scraper::node::Element;
use scraper::{Html, HtmlTreeSink, Node};

use super::Cut;
use super::arena::{Arena, Attribute, Content, Space};
use super::limits::{ATTRIBUTES_MAX, NODES_MAX, OPEN_ELEMENTS_MAX, TAG_ATTRIBUTES_MAX};
use super::name::Name;

type Handle = <HtmlTreeSink as TreeSink>::Handle;

/// Tokens between two looks at the size of the tree.
const TOKENS_A_LOOK: u32 = 64;

/// Below this, comparing all attributes of one tag takes a fraction of a
/// second at worst, and looking for such tags is not worth it.
const SMALL_PAGE_BYTES: usize = 64 << 10;

/// The arena of a page. Its text is all made: `html5ever` keeps none of the
/// page's.
pub(super) fn build(page: &str) -> (Arena, Cut) {
    let mut cut = Cut::default();
    let mut text = page;
    if let Some(at) = overlong_tag(page) {
        cut.long_tag_at = Some(at);
        text = &page[..at];
    }
    let guard = Guard {
        builder: TreeBuilder::new(
            HtmlTreeSink::new(Html::new_document()),
            TreeBuilderOpts {
                // What stands in <noscript> is for readers without scripts: us.
                scripting_enabled: false,
                ..TreeBuilderOpts::default()
            },
        ),
        tokens: Cell::new(0),
        deep: Cell::new(false),
        was_deep: Cell::new(false),
        full: Cell::new(false),
    };
    let options = TokenizerOpts {
        // The tokenizer would drop one after every script too.
        discard_bom: false,
        ..TokenizerOpts::default()
    };
    let tokenizer = Tokenizer::new(guard, options);
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(text));
    while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    tokenizer.end();
    let guard = tokenizer.sink;
    cut.depth = guard.was_deep.get();
    cut.nodes = guard.full.get();
    let html = guard.builder.sink.finish();
    let (arena, has_all_attributes) = arena_of(&html, page.len());
    cut.attributes = !has_all_attributes;
    (arena, cut)
}

/// Stands between tokenizer and tree builder.
struct Guard {
    builder: TreeBuilder<Handle, HtmlTreeSink>,
    tokens: Cell<u32>,
    /// Nesting is too deep at the moment.
    deep: Cell<bool>,
    was_deep: Cell<bool>,
    /// The tree is as large as it may be.
    full: Cell<bool>,
}

impl Guard {
    fn look(&self) {
        let tokens = self.tokens.get() + 1;
        self.tokens.set(tokens % TOKENS_A_LOOK);
        if tokens < TOKENS_A_LOOK {
            return;
        }
        let open = OpenElements(Cell::new(0));
        self.builder.trace_handles(&open);
        self.deep.set(open.0.get() > OPEN_ELEMENTS_MAX);
        self.was_deep.set(self.was_deep.get() || self.deep.get());
        let nodes = self.builder.sink.0.borrow().tree.values().len();
        self.full.set(nodes > NODES_MAX);
    }

    fn is_left_out(&self, token: &Token) -> bool {
        match token {
            Token::EOFToken => false,
            Token::ParseError(_) => true,
            _ if self.full.get() => true,
            TagToken(tag) if self.deep.get() && tag.kind == StartTag => {
                // In SVG even a <title> or a <script> holds elements.
                let is_foreign = self.adjusted_current_node_present_but_not_in_html_namespace();
                is_foreign || !Name::of(&tag.name).is_some_and(Name::is_flat)
            }
            _ => false,
        }
    }
}

impl TokenSink for Guard {
    type Handle = Handle;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<Handle> {
        if !self.full.get() {
            self.look();
        }
        if self.is_left_out(&token) {
            return TokenSinkResult::Continue;
        }
        self.builder.process_token(token, line_number)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder
            .adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Counts what the tree builder holds: open and active formatting elements.
struct OpenElements(Cell<usize>);

impl Tracer for OpenElements {
    type Handle = Handle;

    fn trace_handle(&self, _node: &Handle) {
        self.0.set(self.0.get() + 1);
    }
}

/// The nodes in document order, and whether all their attributes are there.
/// Texts on both sides of a comment are one, since comments are left out.
fn arena_of(html: &Html, page_bytes: usize) -> (Arena, bool) {
    let mut arena = Arena::for_page(page_bytes);
    let mut has_all_attributes = true;
    // Of each open element its place in the arena.
    let mut open = vec![0];
    let mut text = String::new();
    for edge in html.tree.root().traverse() {
        let (node, opens) = match edge {
            Edge::Open(node) => (node, true),
            Edge::Close(node) => (node, false),
        };
        match node.value() {
            Node::Text(more) if opens => text.push_str(more),
            Node::Element(element) => {
                let parent = *open.last().expect("the document itself is open");
                push_text(&mut arena, parent, &mut text);
                if !opens {
                    open.pop();
                    continue;
                }
                has_all_attributes &=
                    arena.attributes.len() + element.attrs.len() <= ATTRIBUTES_MAX;
                open.push(push_element(
                    &mut arena,
                    parent,
                    element,
                    has_all_attributes,
                ));
            }
            Node::Text(_)
            | Node::Document
            | Node::Fragment
            | Node::Doctype(_)
            | Node::Comment(_)
            | Node::ProcessingInstruction(_) => {}
        }
    }
    arena.finish();
    (arena, has_all_attributes)
}

fn push_text(arena: &mut Arena, parent: u32, text: &mut String) {
    if text.is_empty() {
        return;
    }
    let span = arena.make(|made| made.push_str(text));
    arena.push(Name::TEXT, Space::Html, parent, Content::text(span));
    text.clear();
}

fn push_element(arena: &mut Arena, parent: u32, element: &Element, with_attributes: bool) -> u32 {
    let start = arena.attributes.len();
    for (name, value) in element.attrs.iter().filter(|_| with_attributes) {
        // `xlink:href` is a name of another namespace; it keeps its prefix.
        let prefix = name.prefix.as_deref().unwrap_or_default();
        let name = if prefix.is_empty() {
            arena.name_of(&name.local)
        } else {
            arena.name_of(&format!("{prefix}:{}", name.local))
        };
        let value = arena.make(|made| made.push_str(value));
        arena.attributes.push(Attribute { name, value });
    }
    let name: &QualName = &element.name;
    let space = match name.ns {
        ns!(svg) => Space::Svg,
        ns!(mathml) => Space::MathMl,
        _ => Space::Html,
    };
    let attributes = Content::attributes(start, arena.attributes.len());
    let name = arena.name_of(&name.local);
    arena.push(name, space, parent, attributes)
}

/// The byte of the first `<` that may start a tag with too many attributes,
/// or where looking for it would itself take too long.
///
/// Whether a `<` is a tag depends on all that comes before it, so each one is
/// looked at as if it were; the work for tags inside tags is bounded.
fn overlong_tag(text: &str) -> Option<usize> {
    const WORK_A_BYTE: usize = 8;
    let bytes = text.as_bytes();
    if bytes.len() <= SMALL_PAGE_BYTES {
        return None;
    }
    let mut work_left = bytes.len() * WORK_A_BYTE;
    memchr::memchr_iter(b'<', bytes).find(|at| {
        let tag = &bytes[at + 1..];
        let tag = tag.strip_prefix(b"/").unwrap_or(tag);
        if !tag.first().is_some_and(u8::is_ascii_alphabetic) {
            return false;
        }
        let (attributes, length) = attributes_of(tag);
        let too_long = length > work_left;
        work_left = work_left.saturating_sub(length);
        too_long || attributes > TAG_ATTRIBUTES_MAX
    })
}

/// Attributes of the tag whose name starts here, and bytes up to its end.
/// Stops counting one above the bound.
fn attributes_of(tag: &[u8]) -> (usize, usize) {
    let is_break = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>');
    let skip = |from: usize, stop: &dyn Fn(&u8) -> bool| {
        tag[from..]
            .iter()
            .position(stop)
            .map_or(tag.len(), |length| from + length)
    };
    let mut at = skip(0, &is_break);
    let mut attributes = 0;
    while attributes <= TAG_ATTRIBUTES_MAX {
        at = skip(at, &|b| !b.is_ascii_whitespace() && *b != b'/');
        if at >= tag.len() || tag[at] == b'>' {
            break;
        }
        attributes += 1;
        // The first byte of a name may be '='.
        at = skip(at + 1, &|b| is_break(b) || *b == b'=');
        let equals = skip(at, &|b| !b.is_ascii_whitespace());
        if tag.get(equals) != Some(&b'=') {
            continue;
        }
        at = skip(equals + 1, &|b| !b.is_ascii_whitespace());
        at = match tag.get(at) {
            Some(quote @ (b'"' | b'\'')) => (skip(at + 1, &|b| b == quote) + 1).min(tag.len()),
            _ => skip(at, &|b| b.is_ascii_whitespace() || *b == b'>'),
        };
    }
    (attributes, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_counted_as_browsers_do() {
        let check = |tag: &str, expected: usize| {
            assert_eq!(attributes_of(tag.as_bytes()).0, expected, "{tag}");
        };
        check("p>", 0);
        check("p a>b c", 1);
        check("p a=1 b='> x y' c=\"z\"d/>", 4);
        check("p a = b c>", 2);
        check("p/a/b>", 2);
        check("p =a>", 1);
        check("p a='", 1);
        check("p a=", 1);
        check("p", 0);
    }
}
