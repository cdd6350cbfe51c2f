//! One HTML page as a flat document: nodes in document order, to walk, to
//! select in by CSS and to read links and text from.
//!
//! Two builders give the same document. The fast one reads a page in one pass
//! and knows the HTML standard but for what moves nodes about; where a page
//! needs that, it declines and the full one (`html5ever`'s) reads the page.
//! `tests` holds them equal on real and on generated pages.
//!
//! No scripts are run and none are assumed: what stands in `<noscript>` is
//! part of the document. Comments and the doctype are not. A document owns its
//! text, is never changed, and is bounded ([`limits`]); what was left out is
//! told ([`Cut`]).

mod arena;
mod element;
mod fast;
mod full;
pub mod limits;
mod links;
mod name;
mod references;
mod selector;
mod text;
mod tree;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod builder_tests;
#[cfg(test)]
mod by_scraper;
#[cfg(test)]
mod selector_tests;

use std::fmt;

use arena::{Arena, with_line_feeds};
use limits::TEXT_BYTES_MAX;

pub use element::{Attributes, Child, Children, Descend, Descendants, Element, Step};
pub use links::{Link, LinkKind};
pub use references::decode_references;
pub use selector::{Select, Selector, SelectorError};
pub use text::collapse;

pub(crate) use name::Name;

/// Which builder read a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    Fast,
    /// And what the fast one declined for.
    Full(Declined),
}

/// What a page has that the fast builder leaves to the full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Declined {
    /// A NUL character.
    Null,
    /// Text in a table, outside its cells.
    TextInTable,
    /// Elements in a table, outside its cells.
    MarkupInTable,
    /// A formatting element that ends within an element that started in it.
    Misnested,
    Template,
    Frameset,
    Plaintext,
    MathMl,
    /// HTML within SVG.
    MarkupInForeign,
    /// Elements within the title or description of an SVG picture.
    MarkupInForeignText,
    /// A CDATA section without end.
    Cdata,
    /// A doctype of which it depends whether a table ends a paragraph.
    Doctype,
    /// Nobody asked for the fast builder.
    NotTried,
}

/// What of a page is not in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Cut {
    /// The text had more than [`TEXT_BYTES_MAX`] bytes.
    pub text: bool,
    /// Elements nested deeper than [`limits::OPEN_ELEMENTS_MAX`]; those lying
    /// deeper were left out, their text was not.
    pub depth: bool,
    /// There were more than [`limits::NODES_MAX`] nodes; the rest was not read.
    pub nodes: bool,
    /// There were more than [`limits::ATTRIBUTES_MAX`] attributes; the rest was
    /// not read.
    pub attributes: bool,
    /// The tag at this byte of the text had more than
    /// [`limits::TAG_ATTRIBUTES_MAX`] attributes; the page was read up to it.
    pub long_tag_at: Option<usize>,
}

/// A page.
pub struct Document {
    page: String,
    arena: Arena,
    builder: Builder,
    cut: Cut,
    /// Entries of the stack of open elements that the fast builder looked at.
    looks: usize,
}

impl Document {
    /// Reads a page. Never fails: whatever it is, it is a document.
    pub fn parse(page: impl Into<String>) -> Self {
        let (page, is_cut) = prepare(page.into());
        let (arena, mut cut, builder, looks) = match fast::build(&page) {
            Ok((arena, cut, looks)) => (arena, cut, Builder::Fast, looks),
            Err(declined) => {
                let (arena, cut) = full::build(&page);
                (arena, cut, Builder::Full(declined), 0)
            }
        };
        cut.text = is_cut;
        Self {
            page,
            arena,
            builder,
            cut,
            looks,
        }
    }

    /// Reads a page with the fast builder, if that one can: in a time that its
    /// length bounds.
    pub fn parse_fast(page: impl Into<String>) -> Option<Self> {
        let (page, is_cut) = prepare(page.into());
        let (arena, mut cut, looks) = fast::build(&page).ok()?;
        cut.text = is_cut;
        Some(Self {
            page,
            arena,
            builder: Builder::Fast,
            cut,
            looks,
        })
    }

    /// Reads a page with the full builder, whatever it is.
    pub fn parse_full(page: impl Into<String>) -> Self {
        let (page, is_cut) = prepare(page.into());
        let (arena, mut cut) = full::build(&page);
        cut.text = is_cut;
        Self {
            page,
            arena,
            builder: Builder::Full(Declined::NotTried),
            cut,
            looks: 0,
        }
    }

    pub fn builder(&self) -> Builder {
        self.builder
    }

    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// Nodes (elements and texts) of the document.
    pub fn node_count(&self) -> usize {
        self.arena.nodes.len() - 1
    }

    /// The work that the fast builder had beyond reading each byte once:
    /// how many times it looked at an open element.
    pub fn looks(&self) -> usize {
        self.looks
    }
}

/// The text as the builders want it, and whether it was cut.
fn prepare(page: String) -> (String, bool) {
    let mut page = page;
    let is_cut = page.len() > TEXT_BYTES_MAX;
    if is_cut {
        let mut end = TEXT_BYTES_MAX;
        while !page.is_char_boundary(end) {
            end -= 1;
        }
        page.truncate(end);
    }
    if page.starts_with('\u{feff}') {
        page.drain(..'\u{feff}'.len_utf8());
    }
    (with_line_feeds(page), is_cut)
}

/// The outline of the document, a node a line.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} {:?}", self.builder, self.cut)?;
        self.outline(f)
    }
}

impl Document {
    fn outline(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let mut ends: Vec<u32> = Vec::new();
        for (at, node) in self.arena.nodes.iter().enumerate().skip(1) {
            while ends.last().is_some_and(|end| *end as usize <= at) {
                ends.pop();
            }
            write!(f, "{:width$}", "", width = ends.len() * 2)?;
            if node.name == name::Name::TEXT {
                writeln!(
                    f,
                    "{:?}",
                    self.arena.slice(&self.page, node.content.as_text())
                )?;
                continue;
            }
            write!(f, "<{}", self.arena.name_text(&self.page, node.name))?;
            if node.space != arena::Space::Html {
                write!(f, " {:?}", node.space)?;
            }
            for attribute in &self.arena.attributes[node.content.as_attributes()] {
                let name = self.arena.name_text(&self.page, attribute.name);
                let value = self.arena.slice(&self.page, attribute.value);
                write!(f, " {name}={value:?}")?;
            }
            writeln!(f, ">")?;
            ends.push(node.end);
        }
        Ok(())
    }
}
