//! The tree that `html5ever` builds and changes, and how it becomes an arena.
//!
//! Names, attributes and text go into the arena as they come; the tree holds
//! links and ranges alone, so that moving nodes about costs no copies and the
//! end is one walk in document order. It is the same tree as `scraper`'s,
//! which the tests hold it to.

use std::borrow::Cow;
use std::cell::{Ref, RefCell};

use html5ever::tendril::StrTendril;
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute as Given, QualName, expanded_name, local_name, ns};

use super::arena::{Arena, Attribute, Content, NOWHERE, Space, Span};
use super::limits::{ATTRIBUTES_MAX, TAG_ATTRIBUTES_MAX};
use super::name::Name;

/// A node of the tree: its place there. 0 is the document.
pub(super) type Handle = u32;

/// What is built.
pub(super) struct Tree(RefCell<Growing>);

struct Growing {
    branches: Vec<Branch>,
    texts: Vec<Piece>,
    /// Attributes that a second `<html>` or `<body>` brought, with the element.
    late: Vec<(Handle, Attribute)>,
    arena: Arena,
    has_all_attributes: bool,
}

/// A node with its links.
struct Branch {
    parent: Handle,
    previous: Handle,
    next: Handle,
    first: Handle,
    last: Handle,
    kind: Kind,
}

enum Kind {
    Element {
        /// As `html5ever` asks for it.
        name: QualName,
        /// As the arena has it.
        short: Name,
        attributes: Content,
    },
    /// Its first and its last piece.
    Text {
        first: u32,
        last: u32,
    },
    /// What stands in a `<template>` is part of the document here.
    Contents,
    /// A comment: it keeps its place, for what is put before or behind it.
    Nothing,
    Document,
}

/// A run of text, and the one that follows it in the same node.
struct Piece {
    span: Span,
    next: u32,
}

impl Tree {
    pub(super) fn for_page(bytes: usize) -> Self {
        // As the arena reckons, with comments.
        const BYTES_A_BRANCH: usize = 24;
        let mut growing = Growing {
            branches: Vec::with_capacity(bytes / BYTES_A_BRANCH + 16),
            texts: Vec::with_capacity(bytes / (2 * BYTES_A_BRANCH) + 16),
            late: Vec::new(),
            arena: Arena::for_made_page(bytes),
            has_all_attributes: true,
        };
        growing.grow(Kind::Document);
        Self(RefCell::new(growing))
    }

    /// Nodes so far, those that hang nowhere included.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().branches.len()
    }
}

impl Growing {
    fn grow(&mut self, kind: Kind) -> Handle {
        let at = super::arena::narrow(self.branches.len());
        self.branches.push(Branch {
            parent: NOWHERE,
            previous: NOWHERE,
            next: NOWHERE,
            first: NOWHERE,
            last: NOWHERE,
            kind,
        });
        at
    }

    fn at(&mut self, handle: Handle) -> &mut Branch {
        &mut self.branches[handle as usize]
    }

    fn detach(&mut self, node: Handle) {
        let branch = self.at(node);
        let (parent, previous, next) = (branch.parent, branch.previous, branch.next);
        (branch.parent, branch.previous, branch.next) = (NOWHERE, NOWHERE, NOWHERE);
        if parent == NOWHERE {
            return;
        }
        match previous {
            NOWHERE => self.at(parent).first = next,
            previous => self.at(previous).next = next,
        }
        match next {
            NOWHERE => self.at(parent).last = previous,
            next => self.at(next).previous = previous,
        }
    }

    /// Puts a node that hangs nowhere behind the last child.
    fn append(&mut self, parent: Handle, node: Handle) {
        let last = std::mem::replace(&mut self.at(parent).last, node);
        match last {
            NOWHERE => self.at(parent).first = node,
            last => self.at(last).next = node,
        }
        let branch = self.at(node);
        branch.parent = parent;
        branch.previous = last;
    }

    /// Puts a node that hangs nowhere before a sibling that does.
    fn insert(&mut self, sibling: Handle, node: Handle) {
        let branch = self.at(sibling);
        let parent = branch.parent;
        let previous = std::mem::replace(&mut branch.previous, node);
        match previous {
            NOWHERE => self.at(parent).first = node,
            previous => self.at(previous).next = node,
        }
        let branch = self.at(node);
        branch.parent = parent;
        branch.previous = previous;
        branch.next = sibling;
    }

    /// Makes the text node `before` longer, if it is one; else a new one.
    fn text(&mut self, before: Handle, text: &str) -> Option<Handle> {
        let span = self.arena.make(|made| made.push_str(text));
        let is_text = |branch: &Branch| match branch.kind {
            Kind::Text { last, .. } => Some(last),
            _ => None,
        };
        let last = self.branches.get(before as usize).and_then(is_text);
        if let Some(last) = last
            && let Some(longer) = self.texts[last as usize].span.followed_by(span)
        {
            self.texts[last as usize].span = longer;
            return None;
        }
        let new = super::arena::narrow(self.texts.len());
        self.texts.push(Piece {
            span,
            next: NOWHERE,
        });
        let Some(last) = last else {
            return Some(self.grow(Kind::Text {
                first: new,
                last: new,
            }));
        };
        self.texts[last as usize].next = new;
        if let Kind::Text { last, .. } = &mut self.at(before).kind {
            *last = new;
        }
        None
    }

    fn append_text(&mut self, parent: Handle, text: &str) {
        let last = self.at(parent).last;
        if let Some(node) = self.text(last, text) {
            self.append(parent, node);
        }
    }

    fn insert_text(&mut self, sibling: Handle, text: &str) {
        let previous = self.at(sibling).previous;
        if let Some(node) = self.text(previous, text) {
            self.insert(sibling, node);
        }
    }

    /// The attribute as the arena has it.
    fn attribute(&mut self, given: &Given) -> Attribute {
        // `xlink:href` is a name of another namespace; it keeps its prefix.
        let prefix = given.name.prefix.as_deref().unwrap_or_default();
        let name = if prefix.is_empty() {
            self.arena.name_of(&given.name.local)
        } else {
            self.arena
                .name_of(&format!("{prefix}:{}", given.name.local))
        };
        let value = self.arena.make(|made| made.push_str(&given.value));
        Attribute { name, value }
    }

    fn attributes(&mut self, given: &[Given]) -> Content {
        let start = self.arena.attributes.len();
        self.has_all_attributes &= start + given.len() <= ATTRIBUTES_MAX;
        if self.has_all_attributes {
            for given in given {
                let attribute = self.attribute(given);
                self.arena.attributes.push(attribute);
            }
        }
        Content::attributes(start, self.arena.attributes.len())
    }

    fn attributes_of(&self, element: Handle) -> Content {
        match self.branches[element as usize].kind {
            Kind::Element { attributes, .. } => attributes,
            _ => Content::NONE,
        }
    }

    fn add_late(&mut self, element: Handle, given: &[Given]) {
        let own = self.attributes_of(element).as_attributes();
        for given in given {
            // Each is compared with all before it.
            if own.len() + self.late.len() >= TAG_ATTRIBUTES_MAX {
                self.has_all_attributes = false;
                return;
            }
            let mark = self.arena.mark();
            let new = self.attribute(given);
            let of_late = self.late.iter().filter(|(of, _)| *of == element);
            let mut there = self.arena.attributes[own.clone()]
                .iter()
                .chain(of_late.map(|(_, late)| late));
            if there.any(|there| self.arena.is_same_name("", there.name, new.name)) {
                self.arena.reset(mark);
            } else {
                self.late.push((element, new));
            }
        }
    }

    /// The nodes in document order, and whether all their attributes are
    /// there. Texts on both sides of a comment are one, since comments are left
    /// out.
    fn finish(mut self) -> (Arena, bool) {
        let branches = std::mem::take(&mut self.branches);
        let mut arena = self.arena;
        // Pieces of the text that is being put together.
        let mut text: Vec<Span> = Vec::new();
        // Place in the arena of the element that nodes are put into, and those
        // of the elements around it.
        let mut open = vec![0];
        let mut at = branches[0].first;
        while at != NOWHERE && at != 0 {
            let branch = &branches[at as usize];
            match &branch.kind {
                Kind::Element {
                    name,
                    short,
                    attributes,
                } => {
                    let parent = *open.last().expect("the document itself is open");
                    push_text(&mut arena, parent, &mut text);
                    let attributes = match self.late.iter().any(|(of, _)| *of == at) {
                        true => with_late(&mut arena, *attributes, at, &self.late),
                        false => *attributes,
                    };
                    open.push(arena.push(*short, space_of(name), parent, attributes));
                }
                Kind::Text { first, .. } => {
                    let mut piece = *first;
                    while let Some(Piece { span, next }) = self.texts.get(piece as usize) {
                        text.push(*span);
                        piece = *next;
                    }
                }
                Kind::Contents | Kind::Nothing | Kind::Document => {}
            }
            if branch.first != NOWHERE {
                at = branch.first;
                continue;
            }
            // Up, until there is something beside it.
            loop {
                let branch = &branches[at as usize];
                if let Kind::Element { .. } = branch.kind {
                    let own = open.pop().expect("it was opened");
                    push_text(&mut arena, own, &mut text);
                }
                if branch.next != NOWHERE {
                    at = branch.next;
                    break;
                }
                at = branch.parent;
                if at == NOWHERE || at == 0 {
                    break;
                }
            }
        }
        arena.finish();
        (arena, self.has_all_attributes)
    }
}

/// The text before a tag, if any. What stands in one piece stays where it is.
fn push_text(arena: &mut Arena, parent: u32, pieces: &mut Vec<Span>) {
    let mut pieces = pieces.drain(..);
    let Some(first) = pieces.next() else {
        return;
    };
    let whole = pieces.fold(first, |before, after| arena.join("", before, after));
    if !whole.is_empty() {
        arena.push(Name::TEXT, Space::Html, parent, Content::text(whole));
    }
}

/// An element's own attributes and those that came later, at the end.
fn with_late(arena: &mut Arena, own: Content, of: Handle, late: &[(Handle, Attribute)]) -> Content {
    let start = arena.attributes.len();
    arena.attributes.extend_from_within(own.as_attributes());
    let of_late = late.iter().filter(|(element, _)| *element == of);
    arena.attributes.extend(of_late.map(|(_, late)| *late));
    Content::attributes(start, arena.attributes.len())
}

fn space_of(name: &QualName) -> Space {
    match name.ns {
        ns!(svg) => Space::Svg,
        ns!(mathml) => Space::MathMl,
        _ => Space::Html,
    }
}

impl TreeSink for Tree {
    type Handle = Handle;
    /// The arena, and whether it has all attributes.
    type Output = (Arena, bool);
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> (Arena, bool) {
        self.0.into_inner().finish()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn get_document(&self) -> Handle {
        0
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one == other
    }

    fn elem_name<'a>(&'a self, element: &'a Handle) -> Ref<'a, QualName> {
        Ref::map(self.0.borrow(), |growing| {
            match &growing.branches[*element as usize].kind {
                Kind::Element { name, .. } => name,
                _ => unreachable!("html5ever asks for the names of elements alone"),
            }
        })
    }

    fn create_element(&self, name: QualName, given: Vec<Given>, _: ElementFlags) -> Handle {
        let mut growing = self.0.borrow_mut();
        let is_template = name.expanded() == expanded_name!(html "template");
        let attributes = growing.attributes(&given);
        let short = growing.arena.name_of(&name.local);
        let element = growing.grow(Kind::Element {
            name,
            short,
            attributes,
        });
        if is_template {
            let contents = growing.grow(Kind::Contents);
            growing.append(element, contents);
        }
        element
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        self.0.borrow_mut().grow(Kind::Nothing)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        self.0.borrow_mut().grow(Kind::Nothing)
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        let mut growing = self.0.borrow_mut();
        match child {
            NodeOrText::AppendNode(node) => {
                growing.detach(node);
                growing.append(*parent, node);
            }
            NodeOrText::AppendText(text) => growing.append_text(*parent, &text),
        }
    }

    fn append_based_on_parent_node(
        &self,
        element: &Handle,
        previous: &Handle,
        child: NodeOrText<Handle>,
    ) {
        let has_parent = self.0.borrow_mut().at(*element).parent != NOWHERE;
        if has_parent {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    /// What stands in it is below it, in a node of its own.
    fn get_template_contents(&self, template: &Handle) -> Handle {
        self.0.borrow_mut().at(*template).first
    }

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        let mut growing = self.0.borrow_mut();
        if let NodeOrText::AppendNode(node) = child {
            growing.detach(node);
        }
        if growing.at(*sibling).parent == NOWHERE {
            return;
        }
        match child {
            NodeOrText::AppendNode(node) => growing.insert(*sibling, node),
            NodeOrText::AppendText(text) => growing.insert_text(*sibling, &text),
        }
    }

    fn add_attrs_if_missing(&self, element: &Handle, given: Vec<Given>) {
        self.0.borrow_mut().add_late(*element, &given);
    }

    fn remove_from_parent(&self, node: &Handle) {
        self.0.borrow_mut().detach(*node);
    }

    fn reparent_children(&self, from: &Handle, to: &Handle) {
        let mut growing = self.0.borrow_mut();
        let mut child = growing.at(*from).first;
        while child != NOWHERE {
            let next = growing.at(child).next;
            growing.detach(child);
            growing.append(*to, child);
            child = next;
        }
    }
}
