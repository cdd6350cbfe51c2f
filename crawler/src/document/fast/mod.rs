//! The fast builder: reads a page into the arena in one pass, without the
//! parts of the HTML standard that move nodes about.
//!
//! The tokens are read by `tokens`, the rules of the insertion modes are in
//! `modes`, `body` and `table`, of formatting elements in `formatting`, of
//! SVG in `foreign`; this file is the state they share. Where a page needs
//! what is not here, the builder declines ([`Declined`]) and the full builder
//! reads the page; where it does not decline, both give the same document.
//!
//! The rules are those of the HTML standard, section 13.2.6 (tree
//! construction), as the `html5ever` crate has them, scripts off.

mod body;
mod foreign;
mod formatting;
mod modes;
mod raw;
mod table;
mod tokens;

use super::arena::{Arena, Content, NOWHERE, Space, Span, narrow};
use super::limits::{ATTRIBUTES_MAX, NODES_MAX, OPEN_ELEMENTS_MAX};
use super::name::{KNOWN_NAMES, Name};
use super::{Cut, Declined};
use formatting::Formatting;

/// Insertion modes of the standard; `text` and `in table text` are not among
/// them, because their tokens are read where they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Initial,
    BeforeHtml,
    BeforeHead,
    InHead,
    InHeadNoscript,
    AfterHead,
    InBody,
    InTable,
    InCaption,
    InColumnGroup,
    InTableBody,
    InRow,
    InCell,
    AfterBody,
    AfterAfterBody,
}

/// Whether `<table>` ends an open `<p>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quirks {
    No,
    Yes,
    /// The doctype is not one of those that are told apart here.
    Unknown,
}

/// An entry of the stack of open elements.
#[derive(Debug, Clone, Copy)]
struct Open {
    node: u32,
    name: Name,
    space: Space,
}

#[derive(Debug, Clone, Copy)]
struct Tag {
    name: Name,
    attributes: Content,
    is_self_closing: bool,
}

type Step<T = ()> = Result<T, Declined>;

pub(super) struct Builder<'t> {
    page: &'t str,
    /// The next byte to read.
    at: usize,
    arena: Arena,
    mode: Mode,
    quirks: Quirks,
    open: Vec<Open>,
    /// How many elements of each known name are open, all others together
    /// at the end. Most end tags and scopes are answered by a zero.
    open_counts: [u32; KNOWN_NAMES + 1],
    formatting: Vec<Formatting>,
    head: u32,
    form: u32,
    /// White space after `</head>`, which comes after all that goes into the
    /// head yet.
    after_head: String,
    /// The next text loses its first line feed.
    skips_line_feed: bool,
    cut: Cut,
    /// Entries of the stack looked at: the work beyond reading each byte.
    looks: usize,
}

/// The arena of a page, unless it needs what the full builder has.
pub(super) fn build(page: &str) -> Result<(Arena, Cut, usize), Declined> {
    if memchr::memchr(0, page.as_bytes()).is_some() {
        return Err(Declined::Null);
    }
    let mut builder = Builder {
        page,
        at: 0,
        arena: Arena::for_page(page.len()),
        mode: Mode::Initial,
        quirks: Quirks::Yes,
        open: Vec::with_capacity(64),
        open_counts: [0; KNOWN_NAMES + 1],
        formatting: Vec::new(),
        head: NOWHERE,
        form: NOWHERE,
        after_head: String::new(),
        skips_line_feed: false,
        cut: Cut::default(),
        looks: 0,
    };
    builder.read()?;
    builder.end_of_page();
    builder.arena.finish();
    Ok((builder.arena, builder.cut, builder.looks))
}

impl Builder<'_> {
    fn current(&self) -> Open {
        *self
            .open
            .last()
            .expect("<html> is open in every mode that asks")
    }

    fn current_is(&self, name: Name) -> bool {
        let current = self.current();
        current.name == name && current.space == Space::Html
    }

    fn count_of(name: Name) -> usize {
        (name.0 as usize).min(KNOWN_NAMES)
    }

    fn push_open(&mut self, open: Open) {
        self.open_counts[Self::count_of(open.name)] += 1;
        self.open.push(open);
    }

    fn pop(&mut self) -> Open {
        let open = self.open.pop().expect("<html> stays open");
        self.open_counts[Self::count_of(open.name)] -= 1;
        open
    }

    fn truncate_open(&mut self, length: usize) {
        while self.open.len() > length {
            self.pop();
        }
    }

    /// Takes one entry out of the midst of the stack.
    fn remove_open(&mut self, at: usize) {
        let open = self.open.remove(at);
        self.open_counts[Self::count_of(open.name)] -= 1;
        for entry in &mut self.formatting {
            if let Formatting::Element { open_at, .. } = entry
                && *open_at > at
            {
                *open_at -= 1;
            }
        }
    }

    /// Whether any element of this name may be open; cheap, and mostly no.
    fn may_be_open(&self, name: Name) -> bool {
        self.open_counts[Self::count_of(name)] > 0
    }

    /// Appends an element to the current node.
    fn insert_in(&mut self, parent: u32, tag: &Tag, space: Space) -> u32 {
        self.arena.push(tag.name, space, parent, tag.attributes)
    }

    /// Appends an element that may hold others, and opens it.
    fn insert(&mut self, tag: &Tag) -> u32 {
        let parent = self.open.last().map_or(0, |open| open.node);
        let node = self.insert_in(parent, tag, Space::Html);
        self.push_open(Open {
            node,
            name: tag.name,
            space: Space::Html,
        });
        node
    }

    /// Appends an element that holds nothing.
    fn insert_void(&mut self, tag: &Tag) -> u32 {
        let parent = self.current().node;
        self.insert_in(parent, tag, Space::Html)
    }

    fn insert_phantom(&mut self, name: Name) -> u32 {
        self.insert(&Tag {
            name,
            attributes: Content::NONE,
            is_self_closing: false,
        })
    }

    fn append_text(&mut self, span: Span) {
        let parent = self.current().node;
        self.arena.push_text(self.page, parent, span);
    }

    fn text(&self, span: Span) -> &str {
        self.arena.slice(self.page, span)
    }

    /// The value of an attribute of a tag that was just read.
    fn attribute(&self, tag: &Tag, name: Name) -> Option<&str> {
        self.arena.attributes[tag.attributes.as_attributes()]
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|attribute| self.text(attribute.value))
    }

    /// Adds the attributes that an element has not yet, for a second `<html>`
    /// or `<body>`.
    fn add_missing_attributes(&mut self, node: u32, tag: &Tag) {
        let has = self.arena.nodes[node as usize].content.as_attributes();
        let start = self.arena.attributes.len();
        for at in has.clone() {
            let attribute = self.arena.attributes[at];
            self.arena.attributes.push(attribute);
        }
        for at in tag.attributes.as_attributes() {
            let attribute = self.arena.attributes[at];
            let is_new = !self.arena.attributes[has.clone()].iter().any(|other| {
                self.arena
                    .is_same_name(self.page, other.name, attribute.name)
            });
            if is_new {
                self.arena.attributes.push(attribute);
            }
        }
        let end = self.arena.attributes.len();
        self.arena.nodes[node as usize].content = Content::attributes(start, end);
    }

    /// In SVG even a `<title>` or a `<script>` holds elements.
    fn is_in_html(&self) -> bool {
        self.open
            .last()
            .is_none_or(|open| open.space == Space::Html)
    }

    fn is_deep(&self) -> bool {
        self.open.len() + self.formatting.len() > OPEN_ELEMENTS_MAX
    }

    /// Whether the document is as large as it may be; the rest is not read.
    fn is_full(&mut self) -> bool {
        self.cut.nodes = self.arena.nodes.len() > NODES_MAX;
        self.cut.attributes = self.arena.attributes.len() > ATTRIBUTES_MAX;
        self.cut.nodes || self.cut.attributes
    }

    // What follows are the questions that the standard asks of the stack.

    /// Whether an open element ends every scope.
    fn ends_scope(&self, open: &Open) -> bool {
        match open.space {
            Space::Html => open.name.ends_scope(),
            Space::Svg => self.is_integration_point(open),
            Space::MathMl => false,
        }
    }

    /// The entry of the topmost element that `wanted` accepts, if nothing
    /// above it ends the scope.
    fn in_scope_where(
        &mut self,
        wanted: impl Fn(Name) -> bool,
        ends: impl Fn(&Self, &Open) -> bool,
    ) -> Option<usize> {
        for at in (0..self.open.len()).rev() {
            let open = self.open[at];
            self.looks += 1;
            if open.space == Space::Html && wanted(open.name) {
                return Some(at);
            }
            if ends(self, &open) {
                return None;
            }
        }
        None
    }

    fn in_scope(&mut self, name: Name) -> bool {
        self.may_be_open(name)
            && self
                .in_scope_where(|other| other == name, Self::ends_scope)
                .is_some()
    }

    fn in_list_scope(&mut self, name: Name) -> bool {
        let is_list = |open: &Open| {
            open.space == Space::Html && (open.name == Name::OL || open.name == Name::UL)
        };
        self.may_be_open(name)
            && self
                .in_scope_where(
                    |other| other == name,
                    |builder, open| builder.ends_scope(open) || is_list(open),
                )
                .is_some()
    }

    fn in_button_scope(&mut self, name: Name) -> bool {
        let is_button = |open: &Open| open.space == Space::Html && open.name == Name::BUTTON;
        self.may_be_open(name)
            && self
                .in_scope_where(
                    |other| other == name,
                    |builder, open| builder.ends_scope(open) || is_button(open),
                )
                .is_some()
    }

    fn in_table_scope(&mut self, name: Name) -> bool {
        self.in_table_scope_where(|other| other == name)
    }

    fn in_table_scope_where(&mut self, wanted: impl Fn(Name) -> bool) -> bool {
        self.in_scope_where(wanted, |_, open| {
            open.space == Space::Html
                && matches!(open.name, Name::HTML | Name::TABLE_ | Name::TEMPLATE)
        })
        .is_some()
    }

    fn close_implied_except(&mut self, except: Name) {
        loop {
            let current = self.current();
            let is_implied = current.space == Space::Html
                && current.name.has_implied_end()
                && current.name != except;
            if !is_implied {
                return;
            }
            self.pop();
        }
    }

    fn close_implied(&mut self) {
        // No element is a document.
        self.close_implied_except(Name::DOCUMENT);
    }

    /// Pops up to and with the topmost element that `wanted` accepts, which
    /// the caller knows to be open.
    fn pop_through_where(&mut self, wanted: impl Fn(Name) -> bool) {
        while self.open.len() > 1 {
            let open = self.pop();
            if open.space == Space::Html && wanted(open.name) {
                return;
            }
        }
    }

    fn pop_through(&mut self, name: Name) {
        self.pop_through_where(|other| other == name);
    }

    fn close_paragraph(&mut self) {
        if self.in_button_scope(Name::P) {
            self.close_implied_except(Name::P);
            self.pop_through(Name::P);
        }
    }

    fn position_of(&mut self, node: u32) -> Option<usize> {
        let position = self.open.iter().rposition(|open| open.node == node);
        self.looks += self.open.len() - position.unwrap_or(0);
        position
    }

    fn node_count(&self) -> u32 {
        narrow(self.arena.nodes.len())
    }
}
