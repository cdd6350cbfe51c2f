//! The full builder: the tree builder of the `html5ever` crate, for pages
//! that need nodes moved about, with bounds that it does not have itself.
//!
//! Without them a small page can take hours (every start tag walks the open
//! elements, every attribute is compared with those before it) or all memory
//! (misnested formatting elements are repeated in every paragraph).

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, StartTag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{Attribute as ParsedAttribute, QualName, TokenizerResult, ns};

use super::Cut;
use super::arena::{Arena, Attribute, Content, NOWHERE, Space, narrow};
use super::limits::{ATTRIBUTES_MAX, NODES_MAX, OPEN_ELEMENTS_MAX, TAG_ATTRIBUTES_MAX};
use super::name::Name;

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
            Sink::default(),
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
    let (arena, has_all_attributes) = guard.builder.sink.into_arena(page.len());
    cut.attributes = !has_all_attributes;
    (arena, cut)
}

/// Stands between tokenizer and tree builder.
struct Guard {
    builder: TreeBuilder<usize, Sink>,
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
        self.full
            .set(self.builder.sink.nodes.borrow().len() > NODES_MAX);
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
    type Handle = usize;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<usize> {
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
    type Handle = usize;

    fn trace_handle(&self, _node: &usize) {
        self.0.set(self.0.get() + 1);
    }
}

/// The tree while nodes still move.
struct Sink {
    nodes: RefCell<Vec<TreeNode>>,
}

/// Links are places in the vector; [`NONE`] leads nowhere.
struct TreeNode {
    parent: u32,
    previous: u32,
    next: u32,
    first_child: u32,
    last_child: u32,
    kind: Kind,
}

enum Kind {
    Document,
    Text(StrTendril),
    Element(Box<(QualName, Vec<ParsedAttribute>)>),
    /// A comment, while the tree builder holds it. It is never put in.
    Left,
}

const DOCUMENT: usize = 0;
const NONE: u32 = NOWHERE;

impl Default for Sink {
    fn default() -> Self {
        let mut nodes = Vec::new();
        new_node(&mut nodes, Kind::Document);
        Self {
            nodes: RefCell::new(nodes),
        }
    }
}

fn new_node(nodes: &mut Vec<TreeNode>, kind: Kind) -> usize {
    nodes.push(TreeNode {
        parent: NONE,
        previous: NONE,
        next: NONE,
        first_child: NONE,
        last_child: NONE,
        kind,
    });
    nodes.len() - 1
}

fn detach(nodes: &mut [TreeNode], node: usize) {
    let TreeNode {
        parent,
        previous,
        next,
        ..
    } = nodes[node];
    if previous != NONE {
        nodes[previous as usize].next = next;
    } else if parent != NONE {
        nodes[parent as usize].first_child = next;
    }
    if next != NONE {
        nodes[next as usize].previous = previous;
    } else if parent != NONE {
        nodes[parent as usize].last_child = previous;
    }
    let node = &mut nodes[node];
    (node.parent, node.previous, node.next) = (NONE, NONE, NONE);
}

/// Puts a node that has no place in after `previous`, or first.
fn insert(nodes: &mut [TreeNode], node: usize, parent: usize, previous: u32) {
    let number = narrow(node);
    let link = match previous {
        NONE => &mut nodes[parent].first_child,
        previous => &mut nodes[previous as usize].next,
    };
    let next = std::mem::replace(link, number);
    match next {
        NONE => nodes[parent].last_child = number,
        next => nodes[next as usize].previous = number,
    }
    let node = &mut nodes[node];
    (node.parent, node.previous, node.next) = (narrow(parent), previous, next);
}

/// Puts a node or a text in after `previous`; texts side by side are one.
fn put(nodes: &mut Vec<TreeNode>, child: NodeOrText<usize>, parent: usize, previous: u32) {
    match child {
        NodeOrText::AppendNode(node) if matches!(nodes[node].kind, Kind::Left) => {}
        NodeOrText::AppendNode(node) => insert(nodes, node, parent, previous),
        NodeOrText::AppendText(text) => {
            if let Some(TreeNode {
                kind: Kind::Text(before),
                ..
            }) = nodes.get_mut(previous as usize)
            {
                before.push_tendril(&text);
                return;
            }
            let node = new_node(nodes, Kind::Text(text));
            insert(nodes, node, parent, previous);
        }
    }
}

impl TreeSink for Sink {
    type Handle = usize;
    type Output = Self;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> usize {
        DOCUMENT
    }

    fn elem_name<'a>(&'a self, target: &'a usize) -> Ref<'a, QualName> {
        Ref::map(self.nodes.borrow(), |nodes| match &nodes[*target].kind {
            Kind::Element(element) => &element.0,
            _ => unreachable!("the tree builder asks for names of elements alone"),
        })
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<ParsedAttribute>,
        _flags: ElementFlags,
    ) -> usize {
        new_node(
            &mut self.nodes.borrow_mut(),
            Kind::Element(Box::new((name, attributes))),
        )
    }

    fn create_comment(&self, _text: StrTendril) -> usize {
        new_node(&mut self.nodes.borrow_mut(), Kind::Left)
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> usize {
        new_node(&mut self.nodes.borrow_mut(), Kind::Left)
    }

    fn append(&self, parent: &usize, child: NodeOrText<usize>) {
        let nodes = &mut self.nodes.borrow_mut();
        let last = nodes[*parent].last_child;
        put(nodes, child, *parent, last);
    }

    fn append_before_sibling(&self, sibling: &usize, child: NodeOrText<usize>) {
        let nodes = &mut self.nodes.borrow_mut();
        if let NodeOrText::AppendNode(node) = child {
            detach(nodes, node);
        }
        let TreeNode {
            parent, previous, ..
        } = nodes[*sibling];
        if parent != NONE {
            put(nodes, child, parent as usize, previous);
        }
    }

    fn append_based_on_parent_node(
        &self,
        element: &usize,
        previous_element: &usize,
        child: NodeOrText<usize>,
    ) {
        let has_parent = self.nodes.borrow()[*element].parent != NONE;
        if has_parent {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous_element, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    /// Contents of a template lie in it here like any other's.
    fn get_template_contents(&self, target: &usize) -> usize {
        *target
    }

    fn same_node(&self, one: &usize, other: &usize) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn add_attrs_if_missing(&self, target: &usize, attributes: Vec<ParsedAttribute>) {
        let nodes = &mut self.nodes.borrow_mut();
        let Kind::Element(element) = &mut nodes[*target].kind else {
            return;
        };
        let has = &mut element.1;
        for attribute in attributes {
            if !has.iter().any(|other| other.name == attribute.name) {
                has.push(attribute);
            }
        }
    }

    fn remove_from_parent(&self, target: &usize) {
        detach(&mut self.nodes.borrow_mut(), *target);
    }

    fn reparent_children(&self, node: &usize, new_parent: &usize) {
        let nodes = &mut self.nodes.borrow_mut();
        loop {
            let child = nodes[*node].first_child;
            if child == NONE {
                return;
            }
            detach(nodes, child as usize);
            let last = nodes[*new_parent].last_child;
            insert(nodes, child as usize, *new_parent, last);
        }
    }
}

impl Sink {
    /// The nodes in document order, and whether all their attributes are
    /// there.
    fn into_arena(self, page_bytes: usize) -> (Arena, bool) {
        let nodes = self.nodes.into_inner();
        let mut arena = Arena::for_page(page_bytes);
        let mut has_all_attributes = true;
        // Of each open node its place in the arena.
        let mut places = vec![0; nodes.len()];
        let mut next = nodes[DOCUMENT].first_child;
        while next != NONE {
            let at = next as usize;
            let node = &nodes[at];
            let parent = places[node.parent as usize];
            places[at] = match &node.kind {
                Kind::Text(text) => {
                    let span = arena.make(|made| made.push_str(text));
                    arena.push(Name::TEXT, Space::Html, parent, Content::text(span))
                }
                Kind::Element(element) => {
                    let (name, attributes) = &**element;
                    has_all_attributes &=
                        arena.attributes.len() + attributes.len() <= ATTRIBUTES_MAX;
                    let attributes = if has_all_attributes {
                        attributes
                    } else {
                        &[][..]
                    };
                    push_element(&mut arena, parent, name, attributes)
                }
                Kind::Document | Kind::Left => unreachable!("they are put in nowhere"),
            };
            next = match node.first_child {
                NONE => following(&nodes, at),
                child => child,
            };
        }
        arena.finish();
        (arena, has_all_attributes)
    }
}

/// The next node after the subtree of `at`.
fn following(nodes: &[TreeNode], at: usize) -> u32 {
    let mut at = at;
    while nodes[at].next == NONE {
        if nodes[at].parent == NONE {
            return NONE;
        }
        at = nodes[at].parent as usize;
    }
    nodes[at].next
}

fn push_element(
    arena: &mut Arena,
    parent: u32,
    name: &QualName,
    attributes: &[ParsedAttribute],
) -> u32 {
    let start = arena.attributes.len();
    for attribute in attributes {
        // `xlink:href` is a name of another namespace; it keeps its prefix.
        let prefix = attribute.name.prefix.as_deref().unwrap_or_default();
        let name = if prefix.is_empty() {
            arena.name_of(&attribute.name.local)
        } else {
            arena.name_of(&format!("{prefix}:{}", attribute.name.local))
        };
        let value = arena.make(|made| made.push_str(&attribute.value));
        arena.attributes.push(Attribute { name, value });
    }
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
