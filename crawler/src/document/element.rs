//! Elements of a document, and the walks from one.

use std::borrow::Cow;
use std::fmt;

use super::Document;
use super::arena::{Attribute, NOWHERE, Node};
use super::name::Name;
use super::selector::{Select, Selector};
use super::text::text_below;

/// An element of a document; as cheap to pass as a reference.
#[derive(Clone, Copy)]
pub struct Element<'d> {
    pub(super) document: &'d Document,
    pub(super) at: u32,
}

/// What a node has below it, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child<'d> {
    Element(Element<'d>),
    Text(&'d str),
}

/// A step of a walk in document order.
pub type Step<'d> = Child<'d>;

/// What a walk does after an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descend {
    Into,
    /// Over all that lies in it.
    Past,
    /// The walk ends.
    Stop,
}

impl Document {
    /// The `<html>` element, which every document has.
    pub fn root(&self) -> Element<'_> {
        self.elements()
            .next()
            .expect("both builders make an <html>")
    }

    /// All elements in document order.
    pub fn elements(&self) -> Descendants<'_> {
        Descendants {
            document: self,
            next: 1,
            end: self.arena.nodes[0].end,
        }
    }

    /// Walks all nodes in document order.
    pub fn walk<'d>(&'d self, visit: impl FnMut(Step<'d>) -> Descend) {
        self.walk_below(0, visit);
    }

    fn walk_below<'d>(&'d self, top: u32, mut visit: impl FnMut(Step<'d>) -> Descend) {
        let end = self.arena.nodes[top as usize].end;
        let mut at = top + 1;
        while at < end {
            at = match visit(self.child_at(at)) {
                Descend::Into => at + 1,
                Descend::Past => self.arena.nodes[at as usize].end,
                Descend::Stop => return,
            };
        }
    }

    fn child_at(&self, at: u32) -> Child<'_> {
        let node = &self.arena.nodes[at as usize];
        if node.name == Name::TEXT {
            Child::Text(self.arena.slice(&self.page, node.content.as_text()))
        } else {
            Child::Element(Element { document: self, at })
        }
    }

    /// Elements that a selector matches, in document order.
    pub fn select<'d, 's>(&'d self, selector: &'s Selector) -> Select<'d, 's> {
        Select::new(self, 0, selector)
    }
}

impl<'d> Element<'d> {
    pub(super) fn node(&self) -> &'d Node {
        &self.document.arena.nodes[self.at as usize]
    }

    /// The element at a place of the arena, if one is there.
    pub(super) fn at(document: &'d Document, at: u32) -> Option<Self> {
        let node = document.arena.nodes.get(at as usize)?;
        let is_element = node.name != Name::TEXT && node.name != Name::DOCUMENT;
        is_element.then_some(Self { document, at })
    }

    /// The name, in lower case (but for those of SVG that have both cases).
    pub fn name(&self) -> &'d str {
        let document = self.document;
        document.arena.name_text(&document.page, self.node().name)
    }

    /// The name as a number, for what asks every element of a page.
    #[inline]
    pub(crate) fn number(&self) -> Name {
        self.node().name
    }

    /// Where the element comes in its document; grows in document order.
    pub fn position(&self) -> usize {
        self.at as usize
    }

    fn raw_attributes(&self) -> &'d [Attribute] {
        &self.document.arena.attributes[self.node().content.as_attributes()]
    }

    fn value(&self, attribute: &Attribute) -> &'d str {
        self.document
            .arena
            .slice(&self.document.page, attribute.value)
    }

    /// The value of an attribute, whose name is in lower case; empty if it
    /// has none.
    pub fn attribute(&self, name: &str) -> Option<&'d str> {
        match Name::of(name) {
            Some(name) => self.known_attribute(name),
            None => self
                .raw_attributes()
                .iter()
                .find(|attribute| {
                    !attribute.name.is_known() && self.attribute_name(attribute) == name
                })
                .map(|attribute| self.value(attribute)),
        }
    }

    #[inline]
    pub(super) fn known_attribute(&self, name: Name) -> Option<&'d str> {
        self.raw_attributes()
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|attribute| self.value(attribute))
    }

    fn attribute_name(&self, attribute: &Attribute) -> &'d str {
        let document = self.document;
        document.arena.name_text(&document.page, attribute.name)
    }

    /// Names and values of the attributes as they stand in the tag.
    pub fn attributes(&self) -> Attributes<'d> {
        Attributes {
            element: *self,
            left: self.raw_attributes(),
        }
    }

    /// The same with the names as numbers: those that are not known beforehand
    /// equal none that are.
    pub(crate) fn numbered_attributes(&self) -> impl Iterator<Item = (Name, &'d str)> + use<'d> {
        let element = *self;
        let attributes = self.raw_attributes().iter();
        attributes.map(move |attribute| (attribute.name, element.value(attribute)))
    }

    pub fn parent(&self) -> Option<Self> {
        Self::at(self.document, self.node().parent)
    }

    /// The elements that this one lies in, the nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<'d> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// The elements and texts right below.
    pub fn children(&self) -> Children<'d> {
        Children {
            document: self.document,
            next: self.at + 1,
            end: self.node().end,
        }
    }

    /// All elements below, in document order.
    pub fn descendants(&self) -> Descendants<'d> {
        Descendants {
            document: self.document,
            next: self.at + 1,
            end: self.node().end,
        }
    }

    pub fn previous_sibling(&self) -> Option<Self> {
        let mut previous = self.node().previous;
        while previous != NOWHERE {
            if let Some(element) = Self::at(self.document, previous) {
                return Some(element);
            }
            previous = self.document.arena.nodes[previous as usize].previous;
        }
        None
    }

    pub fn next_sibling(&self) -> Option<Self> {
        let nodes = &self.document.arena.nodes;
        let parent = self.node().parent;
        let mut next = self.node().end;
        while let Some(node) = nodes.get(next as usize)
            && node.parent == parent
        {
            if let Some(element) = Self::at(self.document, next) {
                return Some(element);
            }
            next = node.end;
        }
        None
    }

    /// Walks everything below in document order, without the element itself.
    pub fn walk(&self, visit: impl FnMut(Step<'d>) -> Descend) {
        self.document.walk_below(self.at, visit);
    }

    /// The text as a reader sees it: white space collapsed, blocks apart,
    /// scripts and the like left out, at most `chars_max` characters.
    pub fn text(&self, chars_max: usize) -> String {
        text_below(*self, chars_max)
    }

    /// All text below as it stands there.
    pub fn raw_text(&self) -> Cow<'d, str> {
        let mut text = Cow::Borrowed("");
        self.walk(|step| {
            if let Step::Text(part) = step {
                text += part;
            }
            Descend::Into
        });
        text
    }

    /// Elements below that a selector matches, in document order. `:scope`
    /// is this element.
    pub fn select<'s>(&self, selector: &'s Selector) -> Select<'d, 's> {
        Select::new(self.document, self.at, selector)
    }

    pub fn matches(&self, selector: &Selector) -> bool {
        selector.matches(*self)
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && std::ptr::eq(self.document, other.document)
    }
}

impl Eq for Element<'_> {}

/// The start tag.
impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name())?;
        for (name, value) in self.attributes() {
            write!(f, " {name}={value:?}")?;
        }
        f.write_str(">")
    }
}

/// See [`Element::attributes`].
#[derive(Debug, Clone)]
pub struct Attributes<'d> {
    element: Element<'d>,
    left: &'d [Attribute],
}

impl<'d> Iterator for Attributes<'d> {
    type Item = (&'d str, &'d str);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, left) = self.left.split_first()?;
        self.left = left;
        Some((
            self.element.attribute_name(first),
            self.element.value(first),
        ))
    }
}

/// See [`Element::children`].
#[derive(Clone)]
pub struct Children<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
}

impl<'d> Iterator for Children<'d> {
    type Item = Child<'d>;

    fn next(&mut self) -> Option<Child<'d>> {
        if self.next >= self.end {
            return None;
        }
        let child = self.document.child_at(self.next);
        self.next = self.document.arena.nodes[self.next as usize].end;
        Some(child)
    }
}

/// See [`Element::descendants`] and [`Document::elements`].
#[derive(Clone)]
pub struct Descendants<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
}

impl<'d> Iterator for Descendants<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        while self.next < self.end {
            let at = self.next;
            self.next += 1;
            if let Some(element) = Element::at(self.document, at) {
                return Some(element);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_through_a_document_leads_to_the_same_nodes() {
        let page = "<body><ul id=u>a<li class='x y'>b<i>c</i></li>d<li>e</ul><br>f";
        for document in [Document::parse(page), Document::parse_full(page)] {
            let names: Vec<&str> = document.elements().map(|e| e.name()).collect();
            assert_eq!(names, ["html", "head", "body", "ul", "li", "i", "li", "br"]);
            let list = document.elements().nth(3).expect("<ul>");
            assert_eq!(list.attribute("id"), Some("u"));
            assert_eq!(list.attribute("class"), None);
            assert_eq!(list.attribute("data-none"), None);
            let children: Vec<String> = list.children().map(|c| format!("{c:?}")).collect();
            let expected = [
                "Text(\"a\")",
                "Element(<li class=\"x y\">)",
                "Text(\"d\")",
                "Element(<li>)",
            ];
            assert_eq!(children, expected);
            let below: Vec<&str> = list.descendants().map(|e| e.name()).collect();
            assert_eq!(below, ["li", "i", "li"]);
            let second = list.descendants().last().expect("<li>");
            let first = second.previous_sibling().expect("<li>");
            assert_eq!(first.next_sibling(), Some(second));
            assert_eq!(first.previous_sibling(), None);
            assert_eq!(second.next_sibling(), None);
            let ancestors: Vec<&str> = second.ancestors().map(|e| e.name()).collect();
            assert_eq!(ancestors, ["ul", "body", "html"]);
            assert_eq!(list.raw_text(), "abcde");
            assert_eq!(document.root().parent(), None);
            let mut past = Vec::new();
            document.walk(|step| {
                let Step::Element(element) = step else {
                    return Descend::Past;
                };
                past.push(element.name());
                match element.name() {
                    "ul" => Descend::Past,
                    "br" => Descend::Stop,
                    _ => Descend::Into,
                }
            });
            assert_eq!(past, ["html", "head", "body", "ul", "br"]);
        }
    }
}
