//! CSS selectors on a document: parsing and matching are those of the
//! `selectors` crate (browsers' own), told here about our elements.
//!
//! Most elements are rejected by name, class or id before they are matched.
//! Pseudo-elements and what depends on a user or a window (`:hover`,
//! `:visited`) are refused when a selector is made.

use std::fmt;
use std::str::FromStr;

use cssparser::{BasicParseErrorKind, ParseErrorKind, ToCss};
use precomputed_hash::PrecomputedHash;
use selectors::attr::{AttrSelectorOperation, CaseSensitivity, NamespaceConstraint};
use selectors::bloom::BloomFilter;
use selectors::context::SelectorCaches;
use selectors::matching::{
    self, ElementSelectorFlags, MatchingContext, MatchingForInvalidation, MatchingMode,
    NeedsSelectorFlags, QuirksMode,
};
use selectors::parser::{Component, ParseRelative, SelectorList, SelectorParseErrorKind as Kind};
use selectors::{OpaqueElement, SelectorImpl};

use super::Document;
use super::arena::{Node, Space, narrow};
use super::element::{Child, Element};
use super::limits::SELECTOR_CHARS_MAX;
use super::name::Name;

/// A CSS selector (or several, separated by commas), compiled once.
#[derive(Clone)]
pub struct Selector {
    text: String,
    list: SelectorList<Css>,
    needs: Vec<Needs>,
}

/// What is wrong with a selector, where, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the selector {text:?} cannot be used: {why} at character {character}, {near}; {allowed}")]
pub struct SelectorError {
    pub text: String,
    /// Counted from one.
    pub character: usize,
    why: String,
    near: String,
    allowed: &'static str,
}

const ALLOWED: &str = "allowed are names, #id, .class, [attribute], combinators and the \
    pseudo-classes :is, :where, :not, :has, :root, :scope, :empty, :nth-*, :first-*, :last-*, :only-*";

impl Selector {
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.chars().count() > SELECTOR_CHARS_MAX {
            return Err(SelectorError {
                text: text.chars().take(100).collect(),
                character: SELECTOR_CHARS_MAX + 1,
                why: format!("it has more than {SELECTOR_CHARS_MAX} characters"),
                near: "too long".to_owned(),
                allowed: ALLOWED,
            });
        }
        let mut parser = cssparser::Parser::new(text);
        let list = SelectorList::parse(&Grammar, &mut parser, ParseRelative::No);
        // Where the parser stands is after what it could not use.
        let stopped_at = parser.position().byte_index();
        let list = list.map_err(|error| SelectorError::new(text, stopped_at, error.kind))?;
        let needs = list.slice().iter().map(Needs::of).collect();
        Ok(Self {
            text: text.to_owned(),
            list,
            needs,
        })
    }

    /// The text that it was made from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an element matches; `:scope` is the root.
    pub fn matches(&self, element: Element<'_>) -> bool {
        self.matches_in(element, None, &mut SelectorCaches::default())
    }

    /// The name that an element of HTML must have to match, if there is one.
    fn only_name(&self) -> Option<OnlyName> {
        match &self.needs[..] {
            [needs] => needs.name.map(OnlyName),
            _ => None,
        }
    }

    fn matches_in(
        &self,
        element: Element<'_>,
        scope: Option<Element<'_>>,
        caches: &mut SelectorCaches,
    ) -> bool {
        let mut selectors = self.list.slice().iter().zip(&self.needs);
        selectors.any(|(selector, needs)| match needs.check(element) {
            Check::Matches => true,
            Check::Fails => false,
            Check::Unknown => {
                let mut context = MatchingContext::new(
                    MatchingMode::Normal,
                    None,
                    caches,
                    QuirksMode::NoQuirks,
                    NeedsSelectorFlags::No,
                    MatchingForInvalidation::No,
                );
                context.scope_element =
                    scope.map(|scope| selectors::Element::opaque(&Matched(scope)));
                matching::matches_selector(selector, 0, None, &Matched(element), &mut context)
            }
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({:?})", self.text)
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Selector {}

impl SelectorError {
    fn new(text: &str, stopped_at: usize, kind: ParseErrorKind<Kind>) -> Self {
        let stopped_at = stopped_at.min(text.len());
        let before = text.get(..stopped_at).unwrap_or(text);
        let after: String = text
            .get(stopped_at..)
            .unwrap_or_default()
            .chars()
            .take(20)
            .collect();
        Self {
            text: text.to_owned(),
            character: before.chars().count() + 1,
            why: reason(&kind),
            near: match after.trim() {
                "" => "the end".to_owned(),
                after => format!("before {after:?}"),
            },
            allowed: ALLOWED,
        }
    }
}

fn reason(kind: &ParseErrorKind<Kind>) -> String {
    let reason = match kind {
        ParseErrorKind::Basic(BasicParseErrorKind::EndOfInput) => "it ends too early",
        ParseErrorKind::Basic(_) => "something unexpected stands there",
        ParseErrorKind::Custom(kind) => match kind {
            Kind::EmptySelector => "a name, #, ., [, : or * is missing",
            Kind::DanglingCombinator => "a combinator has nothing after it",
            Kind::UnsupportedPseudoClassOrElement => {
                "that pseudo-class or pseudo-element is not supported"
            }
            Kind::PseudoElementExpectedColon | Kind::PseudoElementExpectedIdent => {
                "a pseudo-element is not written so"
            }
            Kind::NoIdentForPseudo => "the colon has no name of a pseudo-class after it",
            Kind::ClassNeedsIdent => "the dot has no name of a class after it",
            Kind::NoQualifiedNameInAttributeSelector
            | Kind::UnexpectedTokenInAttributeSelector
            | Kind::ExpectedBarInAttr
            | Kind::BadValueInAttr
            | Kind::InvalidQualNameInAttr => "the attribute in brackets is not written right",
            Kind::ExpectedNamespace | Kind::ExplicitNamespaceUnexpectedToken => {
                "names have no namespace prefix here"
            }
            Kind::NonCompoundSelector | Kind::InvalidState | Kind::UnexpectedIdent => {
                "something unexpected stands there"
            }
            Kind::NonPseudoElementAfterSlotted
            | Kind::InvalidPseudoElementAfterSlotted
            | Kind::InvalidPseudoElementInsideWhere => "pseudo-elements are not supported",
        },
    };
    reason.to_owned()
}

/// See [`Document::select`] and [`Element::select`].
pub struct Select<'d, 's> {
    document: &'d Document,
    selector: &'s Selector,
    scope: Option<Element<'d>>,
    next: u32,
    end: u32,
    caches: SelectorCaches,
}

impl<'d, 's> Select<'d, 's> {
    pub(super) fn new(document: &'d Document, top: u32, selector: &'s Selector) -> Self {
        Self {
            document,
            selector,
            scope: Element::at(document, top),
            next: top + 1,
            end: document.arena.nodes[top as usize].end,
            caches: SelectorCaches::default(),
        }
    }
}

impl<'d> Iterator for Select<'d, '_> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        let name = self.selector.only_name();
        while self.next < self.end {
            if let Some(name) = name {
                // Most elements of a page are called otherwise.
                let nodes = &self.document.arena.nodes[self.next as usize..self.end as usize];
                let Some(skipped) = nodes.iter().position(|node| name.may_be(node)) else {
                    self.next = self.end;
                    return None;
                };
                self.next += narrow(skipped);
            }
            let at = self.next;
            self.next += 1;
            if let Some(element) = Element::at(self.document, at)
                && self
                    .selector
                    .matches_in(element, self.scope, &mut self.caches)
            {
                return Some(element);
            }
        }
        None
    }
}

/// What an element must have to match one selector, by its last compound.
#[derive(Debug, Clone, Default)]
struct Needs {
    name: Option<Name>,
    class: Option<Box<str>>,
    id: Option<Box<str>>,
    attribute: Option<Name>,
    /// Nothing else is asked for.
    is_all: bool,
}

/// See [`Selector::only_name`].
#[derive(Debug, Clone, Copy)]
struct OnlyName(Name);

impl OnlyName {
    /// Names in other vocabularies may have other cases.
    #[inline]
    fn may_be(self, node: &Node) -> bool {
        node.name == self.0 || node.space != Space::Html
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Matches,
    Fails,
    Unknown,
}

impl Needs {
    fn of(selector: &selectors::parser::Selector<Css>) -> Self {
        let mut needs = Self::default();
        let mut is_all = true;
        let mut compound = selector.iter();
        for component in &mut compound {
            match component {
                Component::LocalName(name) if name.lower_name.known.is_some() => {
                    needs.name = name.lower_name.known;
                }
                Component::Class(class) if needs.class.is_none() => {
                    needs.class = Some(class.text.clone());
                }
                Component::ID(id) if needs.id.is_none() => needs.id = Some(id.text.clone()),
                Component::AttributeInNoNamespaceExists {
                    local_name_lower: name,
                    ..
                }
                | Component::AttributeInNoNamespace {
                    local_name: name, ..
                } if name.known.is_some() => {
                    needs.attribute = name.known;
                    is_all = false;
                }
                Component::ExplicitUniversalType => {}
                _ => is_all = false,
            }
        }
        needs.is_all = is_all && compound.next_sequence().is_none();
        needs
    }

    #[inline]
    fn check(&self, element: Element<'_>) -> Check {
        let node = element.node();
        // Names in other vocabularies may have other cases.
        if node.space != Space::Html {
            return Check::Unknown;
        }
        let is_rejected = self.name.is_some_and(|name| node.name != name)
            || self
                .id
                .as_ref()
                .is_some_and(|id| element.known_attribute(Name::ID) != Some(id))
            || self
                .class
                .as_ref()
                .is_some_and(|class| !has_class(element, class, CaseSensitivity::CaseSensitive))
            || self
                .attribute
                .is_some_and(|name| element.known_attribute(name).is_none());
        match is_rejected {
            true => Check::Fails,
            false if self.is_all => Check::Matches,
            false => Check::Unknown,
        }
    }
}

fn has_class(element: Element<'_>, class: &str, case: CaseSensitivity) -> bool {
    element.known_attribute(Name::CLASS).is_some_and(|classes| {
        classes.len() >= class.len()
            && classes
                .split_ascii_whitespace()
                .any(|word| case.eq(word.as_bytes(), class.as_bytes()))
    })
}

/// Names, ids, classes and values of a selector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct CssText {
    text: Box<str>,
    known: Option<Name>,
}

impl From<&str> for CssText {
    fn from(text: &str) -> Self {
        Self {
            text: text.into(),
            known: Name::of(text),
        }
    }
}

impl AsRef<str> for CssText {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl ToCss for CssText {
    fn to_css<W: fmt::Write>(&self, out: &mut W) -> fmt::Result {
        cssparser::serialize_identifier(&self.text, out)
    }
}

impl PrecomputedHash for CssText {
    /// FNV-1a; only Bloom filters ask, which are not used here.
    fn precomputed_hash(&self) -> u32 {
        self.text.bytes().fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
    }
}

/// The vocabulary of selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Css;

impl SelectorImpl for Css {
    type ExtraMatchingData<'a> = ();
    type AttrValue = CssText;
    type Identifier = CssText;
    type LocalName = CssText;
    type NamespaceUrl = CssText;
    type NamespacePrefix = CssText;
    type BorrowedNamespaceUrl = CssText;
    type BorrowedLocalName = CssText;
    type NonTSPseudoClass = Never;
    type PseudoElement = Never;
}

/// Pseudo-classes of users and windows, and pseudo-elements: there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Never {}

impl ToCss for Never {
    fn to_css<W: fmt::Write>(&self, _out: &mut W) -> fmt::Result {
        match *self {}
    }
}

impl selectors::parser::NonTSPseudoClass for Never {
    fn is_active_or_hover(&self) -> bool {
        match *self {}
    }

    fn is_user_action_state(&self) -> bool {
        match *self {}
    }
}

impl selectors::parser::PseudoElement for Never {}

struct Grammar;

impl selectors::parser::Parser<'_> for Grammar {
    type Impl = Css;
    type Error = Kind;

    fn parse_is_and_where(&self) -> bool {
        true
    }

    fn parse_has(&self) -> bool {
        true
    }

    fn parse_nth_child_of(&self) -> bool {
        true
    }

    /// Browsers drop what they do not know within `:is()`; here it is a
    /// mistake like elsewhere.
    fn allow_forgiving_selectors(&self) -> bool {
        false
    }
}

/// An element as the `selectors` crate asks about it.
#[derive(Debug, Clone, Copy)]
struct Matched<'d>(Element<'d>);

impl selectors::Element for Matched<'_> {
    type Impl = Css;

    fn opaque(&self) -> OpaqueElement {
        OpaqueElement::new(self.0.node())
    }

    fn parent_element(&self) -> Option<Self> {
        self.0.parent().map(Self)
    }

    fn parent_node_is_shadow_root(&self) -> bool {
        false
    }

    fn containing_shadow_host(&self) -> Option<Self> {
        None
    }

    fn is_pseudo_element(&self) -> bool {
        false
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.0.previous_sibling().map(Self)
    }

    fn next_sibling_element(&self) -> Option<Self> {
        self.0.next_sibling().map(Self)
    }

    fn first_element_child(&self) -> Option<Self> {
        let first = self.0.children().find_map(|child| match child {
            Child::Element(element) => Some(element),
            Child::Text(_) => None,
        });
        first.map(Self)
    }

    fn is_html_element_in_html_document(&self) -> bool {
        self.0.node().space == Space::Html
    }

    fn has_local_name(&self, name: &CssText) -> bool {
        match name.known {
            Some(known) => self.0.node().name == known,
            None => !self.0.node().name.is_known() && self.0.name() == &*name.text,
        }
    }

    fn has_namespace(&self, namespace: &CssText) -> bool {
        let url = match self.0.node().space {
            Space::Html => "http://www.w3.org/1999/xhtml",
            Space::Svg => "http://www.w3.org/2000/svg",
            Space::MathMl => "http://www.w3.org/1998/Math/MathML",
        };
        *namespace.text == *url
    }

    fn is_same_type(&self, other: &Self) -> bool {
        self.0.node().space == other.0.node().space
            && (self.0.node().name == other.0.node().name || self.0.name() == other.0.name())
    }

    fn attr_matches(
        &self,
        namespace: &NamespaceConstraint<&CssText>,
        name: &CssText,
        operation: &AttrSelectorOperation<&CssText>,
    ) -> bool {
        if let NamespaceConstraint::Specific(url) = namespace
            && !url.text.is_empty()
        {
            return false;
        }
        let value = match name.known {
            Some(known) => self.0.known_attribute(known),
            None => self.0.attribute(&name.text),
        };
        value.is_some_and(|value| operation.eval_str(value))
    }

    fn match_non_ts_pseudo_class(
        &self,
        pseudo: &Never,
        _context: &mut MatchingContext<'_, Css>,
    ) -> bool {
        match *pseudo {}
    }

    fn match_pseudo_element(
        &self,
        pseudo: &Never,
        _context: &mut MatchingContext<'_, Css>,
    ) -> bool {
        match *pseudo {}
    }

    fn apply_selector_flags(&self, _flags: ElementSelectorFlags) {}

    fn is_link(&self) -> bool {
        matches!(self.0.node().name, Name::A | Name::AREA)
            && self.0.known_attribute(Name::HREF).is_some()
    }

    fn is_html_slot_element(&self) -> bool {
        false
    }

    fn has_id(&self, id: &CssText, case: CaseSensitivity) -> bool {
        self.0
            .known_attribute(Name::ID)
            .is_some_and(|value| case.eq(id.text.as_bytes(), value.as_bytes()))
    }

    fn has_class(&self, class: &CssText, case: CaseSensitivity) -> bool {
        has_class(self.0, &class.text, case)
    }

    fn has_custom_state(&self, _name: &CssText) -> bool {
        false
    }

    fn imported_part(&self, _name: &CssText) -> Option<CssText> {
        None
    }

    fn is_part(&self, _name: &CssText) -> bool {
        false
    }

    /// Comments are not in a document, so whatever is there is content.
    fn is_empty(&self) -> bool {
        self.0.node().end == self.0.at + 1
    }

    fn is_root(&self) -> bool {
        self.0.node().parent == 0
    }

    fn add_element_unique_hashes(&self, _filter: &mut BloomFilter) -> bool {
        false
    }
}
