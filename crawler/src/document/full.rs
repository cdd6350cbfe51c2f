//! The full builder: `html5ever`, for pages that need nodes moved about, with
//! bounds that it does not have itself. The tree that it builds is `tree`'s,
//! and the same as that of the `scraper` crate.
//!
//! Without them a small page can take hours (every start tag walks the open
//! elements, every attribute is compared with those before it) or all memory
//! (misnested formatting elements are repeated in every paragraph).

use std::cell::Cell;
use std::marker::PhantomData;

use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, StartTag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeBuilderOpts, TreeSink};

use super::Cut;
use super::arena::Arena;
use super::limits::{NODES_MAX, OPEN_ELEMENTS_MAX, TAG_ATTRIBUTES_MAX};
use super::name::Name;
use super::tree::Tree;

/// Tokens between two looks at the size of the tree.
const TOKENS_A_LOOK: u32 = 64;

/// Below this, comparing all attributes of one tag takes a fraction of a
/// second at worst, and looking for such tags is not worth it.
const SMALL_PAGE_BYTES: usize = 64 << 10;

/// The arena of a page. Its text is all made: `html5ever` keeps none of the
/// page's.
pub(super) fn build(page: &str) -> (Arena, Cut) {
    let (tree, mut cut) = grown(page, Tree::for_page(page.len()), Tree::len);
    let (arena, has_all_attributes) = tree.finish();
    cut.attributes = !has_all_attributes;
    (arena, cut)
}

/// A page brought into a tree, within the bounds. `nodes` counts those of the
/// tree.
pub(super) fn grown<S: TreeSink>(page: &str, tree: S, nodes: fn(&S) -> usize) -> (S, Cut) {
    let mut cut = Cut::default();
    let mut text = page;
    if let Some(at) = overlong_tag(page) {
        cut.long_tag_at = Some(at);
        text = &page[..at];
    }
    let guard = Guard {
        builder: TreeBuilder::new(
            tree,
            TreeBuilderOpts {
                // What stands in <noscript> is for readers without scripts: us.
                scripting_enabled: false,
                ..TreeBuilderOpts::default()
            },
        ),
        nodes,
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
    (guard.builder.sink, cut)
}

/// Stands between tokenizer and tree builder.
struct Guard<S: TreeSink> {
    builder: TreeBuilder<S::Handle, S>,
    nodes: fn(&S) -> usize,
    tokens: Cell<u32>,
    /// Nesting is too deep at the moment.
    deep: Cell<bool>,
    was_deep: Cell<bool>,
    /// The tree is as large as it may be.
    full: Cell<bool>,
}

impl<S: TreeSink> Guard<S> {
    fn look(&self) {
        let tokens = self.tokens.get() + 1;
        self.tokens.set(tokens % TOKENS_A_LOOK);
        if tokens < TOKENS_A_LOOK {
            return;
        }
        let open = OpenElements::<S::Handle>(Cell::new(0), PhantomData);
        self.builder.trace_handles(&open);
        self.deep.set(open.0.get() > OPEN_ELEMENTS_MAX);
        self.was_deep.set(self.was_deep.get() || self.deep.get());
        self.full.set((self.nodes)(&self.builder.sink) > NODES_MAX);
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

impl<S: TreeSink> TokenSink for Guard<S> {
    type Handle = S::Handle;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<S::Handle> {
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
struct OpenElements<H>(Cell<usize>, PhantomData<H>);

impl<H> Tracer for OpenElements<H> {
    type Handle = H;

    fn trace_handle(&self, _node: &H) {
        self.0.set(self.0.get() + 1);
    }
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
