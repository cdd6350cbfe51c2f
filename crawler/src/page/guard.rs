//! Parses HTML with bounds that the HTML parser itself does not have: depth,
//! nodes, attributes of a tag. Without them a small page can take hours
//! (every start tag walks the open elements, every attribute is compared with
//! those before it) or all memory (misnested formatting elements are repeated
//! in every paragraph).

use std::cell::Cell;

use ego_tree::NodeId;
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, StartTag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeBuilderOpts, TreeSink};
use scraper::{Html, HtmlTreeSink};

use super::limits::{NODES_MAX, OPEN_ELEMENTS_MAX, TAG_ATTRIBUTES_MAX};
use super::remarks::Remarks;

/// Tokens between two looks at the size of the tree.
const TOKENS_A_LOOK: u32 = 64;

/// Below this, comparing all attributes of one tag takes a fraction of a
/// second at worst, and looking for such tags is not worth it.
const SMALL_PAGE_BYTES: usize = 64 << 10;

/// Elements that are still read where nesting is too deep: they hold no
/// elements, so they make nothing deeper.
const FLAT: &[&str] = &[
    "base", "br", "hr", "img", "input", "link", "meta", "script", "source", "style", "title", "wbr",
];

/// The tree of a page. Never fails: what is beyond a bound is left out and
/// told in a remark.
pub(super) fn parse(text: &str, remarks: &mut Remarks) -> Html {
    let text = match overlong_tag(text) {
        Some(at) => {
            remarks.add(format!(
                "the tag at byte {at} of the text has more than {TAG_ATTRIBUTES_MAX} attributes; \
                 the page was read up to it"
            ));
            &text[..at]
        }
        None => text,
    };
    let sink = Guard {
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
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(text));
    while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    tokenizer.end();
    let guard = tokenizer.sink;
    if guard.was_deep.get() {
        remarks.add(format!(
            "elements nest deeper than {OPEN_ELEMENTS_MAX}; what lies deeper was flattened"
        ));
    }
    if guard.full.get() {
        remarks.add(format!(
            "the page has more than {NODES_MAX} nodes; the rest was not read"
        ));
    }
    guard.builder.sink.finish()
}

/// Stands between tokenizer and tree builder.
struct Guard {
    builder: TreeBuilder<NodeId, HtmlTreeSink>,
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
            Token::ParseError(_) | Token::CommentToken(_) => true,
            _ if self.full.get() => true,
            TagToken(tag) if self.deep.get() && tag.kind == StartTag => {
                !FLAT.contains(&tag.name.as_ref())
            }
            _ => false,
        }
    }
}

impl TokenSink for Guard {
    type Handle = NodeId;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<NodeId> {
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
    type Handle = NodeId;

    fn trace_handle(&self, _node: &NodeId) {
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

    fn remarks_of(page: &str) -> String {
        let mut remarks = Remarks::default();
        let html = parse(page, &mut remarks);
        assert!(html.tree.values().len() < NODES_MAX * 2);
        remarks.into_list().join("; ")
    }

    #[test]
    fn hostile_markup_is_bounded() {
        assert_eq!(remarks_of("<p>fine</p>"), "");
        let deep = remarks_of(&"<div>".repeat(200_000));
        assert!(deep.contains("nest deeper"), "{deep}");
        let wide = remarks_of(&"<br>".repeat(NODES_MAX + 1000));
        assert!(wide.contains("nodes; the rest"), "{wide}");
        let misnested: String = (0..20_000).map(|n| format!("<p><b id={n}>x")).collect();
        assert!(!remarks_of(&misnested).is_empty());
        let attributes: String = (0..100_000).map(|n| format!(" a{n}")).collect();
        let many = remarks_of(&format!("<h1>x</h1><p{attributes}>"));
        assert!(
            many.contains("attributes; the page was read up to it"),
            "{many}"
        );
    }
}
