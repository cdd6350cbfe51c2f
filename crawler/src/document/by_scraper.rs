//! `scraper`'s tree as a document: what the full builder's is held to.

use ego_tree::iter::Edge;
use html5ever::{QualName, ns};
use scraper::node::Element;
use scraper::{Html, HtmlTreeSink, Node};

use super::arena::{Arena, Attribute, Content, Space};
use super::full;
use super::limits::ATTRIBUTES_MAX;
use super::name::Name;
use super::{Builder, Cut, Declined, Document, prepare};

/// The page as `scraper` has it, within the full builder's bounds.
pub(super) fn parse_by_scraper(page: &str) -> Document {
    let (page, is_cut) = prepare(page.to_owned());
    let sink = HtmlTreeSink::new(Html::new_document());
    let (sink, cut) = full::grown(&page, sink, |sink| sink.0.borrow().tree.values().len());
    let (arena, has_all_attributes) = arena_of(&sink.0.into_inner(), page.len());
    Document {
        page,
        arena,
        builder: Builder::Full(Declined::NotTried),
        cut: Cut {
            text: is_cut,
            attributes: !has_all_attributes,
            ..cut
        },
        looks: 0,
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
