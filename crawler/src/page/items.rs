//! Microdata and RDFa Lite: reads the product items of a page into
//! [`Value`]s. `itemref` is followed; vocabularies other than schema.org's
//! types, and RDFa's prefixes and chaining, are not looked at.

use std::collections::HashMap;

use url::Url;

use crate::document::{Descend, Document, Element, Step};

use super::fields::Fields;
use super::images::image_source;
use super::limits::{
    DESCRIPTION_CHARS_MAX, ITEM_DEPTH_MAX, ITEM_NODES_MAX, ITEM_PROPERTIES_MAX,
    ITEM_TEXT_BYTES_MAX, PROPERTY_NAMES_MAX,
};
use super::links::Links;
use super::remarks::Remarks;
use super::report::Rule;
use super::scan::{Parts, Scope, Syntax};
use super::schema::{self, Graph};
use super::value::{Value, local_name};

/// What microdata and RDFa say, in this order.
pub(super) fn read(
    document: &Document,
    parts: &Parts<'_>,
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> Vec<Option<Fields>> {
    if parts.products.is_empty() && parts.breadcrumb_lists.is_empty() {
        return Vec::new();
    }
    let mut reader = Reader::new(document);
    let mut sources = Vec::new();
    for (syntax, rule) in [
        (Syntax::Microdata, Rule::Microdata),
        (Syntax::Rdfa, Rule::Rdfa),
    ] {
        let products = reader.items(&parts.products, syntax);
        let lists = reader.items(&parts.breadcrumb_lists, syntax);
        let products: Vec<&Value> = products.iter().collect();
        let lists: Vec<&Value> = lists.iter().collect();
        let graph = Graph::default();
        sources.push(schema::read(
            rule, &graph, &products, &lists, links, canonical, remarks,
        ));
    }
    if reader.nodes_left == 0 || reader.properties_left == 0 || reader.text_bytes_left == 0 {
        remarks.add(format!(
            "the items of the page visit more than {ITEM_NODES_MAX} nodes, have more than \
             {ITEM_PROPERTIES_MAX} properties or more than {ITEM_TEXT_BYTES_MAX} bytes of text; \
             the rest was not read"
        ));
    }
    sources
}

/// Builds items; its budgets are those of the whole page.
pub(super) struct Reader<'a> {
    document: &'a Document,
    /// Made when the first `itemref` asks.
    by_id: Option<HashMap<&'a str, Element<'a>>>,
    nodes_left: usize,
    properties_left: usize,
    text_bytes_left: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self {
            document,
            by_id: None,
            nodes_left: ITEM_NODES_MAX,
            properties_left: ITEM_PROPERTIES_MAX,
            text_bytes_left: ITEM_TEXT_BYTES_MAX,
        }
    }

    fn items(&mut self, scopes: &[Scope<'a>], syntax: Syntax) -> Vec<Value> {
        scopes
            .iter()
            .filter(|scope| scope.syntax == syntax)
            .map(|scope| self.item(scope.element, syntax, 0))
            .collect()
    }

    /// The item that starts at `scope`. Calls itself for items in items, at
    /// most [`ITEM_DEPTH_MAX`] deep.
    pub(super) fn item(&mut self, scope: Element<'a>, syntax: Syntax, depth: usize) -> Value {
        let mut entries: Vec<(String, Value)> = Vec::new();
        let types = scope.attribute(syntax.type_attribute()).unwrap_or_default();
        let types = types
            .split_ascii_whitespace()
            .map(|name| Value::Text(name.to_owned()))
            .collect();
        entries.push(("@type".to_owned(), Value::List(types)));
        let id = scope.attribute(match syntax {
            Syntax::Microdata => "itemid",
            Syntax::Rdfa => "resource",
        });
        if let Some(id) = id {
            entries.push(("@id".to_owned(), Value::Text(id.trim().to_owned())));
        }
        self.properties_below(scope, syntax, depth, &mut entries);
        if syntax == Syntax::Microdata {
            let references = scope.attribute("itemref").unwrap_or_default();
            for id in references.split_ascii_whitespace() {
                let Some(element) = self.element(id) else {
                    continue;
                };
                let after = self.property(element, syntax, depth, &mut entries);
                // Shops refer to an item of its own for what it says, although
                // the standard reads no properties of others.
                let is_aside = element.attribute("itemprop").is_none();
                if after == Descend::Into || (is_aside && element != scope) {
                    self.properties_below(element, syntax, depth, &mut entries);
                }
            }
        }
        Value::Object(entries)
    }

    /// The first element with an id.
    fn element(&mut self, id: &str) -> Option<Element<'a>> {
        let document = self.document;
        let by_id = self.by_id.get_or_insert_with(|| {
            let mut by_id = HashMap::new();
            for element in document.elements() {
                if let Some(id) = element.attribute("id") {
                    by_id.entry(id).or_insert(element);
                }
            }
            by_id
        });
        by_id.get(id).copied()
    }

    fn properties_below(
        &mut self,
        top: Element<'a>,
        syntax: Syntax,
        depth: usize,
        entries: &mut Vec<(String, Value)>,
    ) {
        top.walk(|step| {
            if self.nodes_left == 0 {
                return Descend::Stop;
            }
            self.nodes_left -= 1;
            match step {
                Step::Element(element) => self.property(element, syntax, depth, entries),
                Step::Text(_) => Descend::Past,
            }
        });
    }

    /// Adds the property that an element is, if it is one. Other items are
    /// not descended into: their properties are not this item's.
    fn property(
        &mut self,
        element: Element<'a>,
        syntax: Syntax,
        depth: usize,
        entries: &mut Vec<(String, Value)>,
    ) -> Descend {
        let is_scope = element.attribute(syntax.scope_attribute()).is_some();
        let after = if is_scope {
            Descend::Past
        } else {
            Descend::Into
        };
        let Some(names) = element.attribute(syntax.property_attribute()) else {
            return after;
        };
        if self.properties_left == 0 || (is_scope && depth + 1 >= ITEM_DEPTH_MAX) {
            return after;
        }
        self.properties_left -= 1;
        let mut names = names.split_ascii_whitespace().map(local_name);
        if is_scope {
            // One name only: copies of items in items would multiply.
            if let Some(name) = names.next() {
                let item = self.item(element, syntax, depth + 1);
                add(entries, name, item);
            }
        } else {
            let text = self.text_value(element, syntax);
            for name in names.take(PROPERTY_NAMES_MAX) {
                self.text_bytes_left = self.text_bytes_left.saturating_sub(text.len());
                if self.text_bytes_left > 0 {
                    add(entries, name, Value::Text(text.clone()));
                }
            }
        }
        after
    }

    /// The value of a property that is not an item. `content` is taken from
    /// any element: shops put it everywhere, and search engines read it.
    fn text_value(&self, element: Element<'a>, syntax: Syntax) -> String {
        let attribute = |names: &[&str]| names.iter().find_map(|name| element.attribute(name));
        let value = attribute(&["content"]).or_else(|| match element.name() {
            "audio" | "embed" | "iframe" | "source" | "track" | "video" => attribute(&["src"]),
            "img" => image_source(element),
            "a" | "area" | "link" => attribute(&["href", "resource"]),
            "object" => attribute(&["data"]),
            "data" | "meter" => attribute(&["value"]),
            "time" => attribute(&["datetime"]),
            _ if syntax == Syntax::Rdfa => attribute(&["resource"]),
            _ => None,
        });
        match value {
            Some(value) => value.trim().to_owned(),
            None => element.text(DESCRIPTION_CHARS_MAX),
        }
    }
}

/// Several values of one name become a list, in document order.
fn add(entries: &mut Vec<(String, Value)>, name: &str, value: Value) {
    match entries.iter_mut().find(|(key, _)| key == name) {
        Some((_, Value::List(list))) if name != "@type" => list.push(value),
        Some((_, first)) => {
            let before = std::mem::replace(first, Value::Null);
            *first = Value::List(vec![before, value]);
        }
        None => entries.push((name.to_owned(), value)),
    }
}

impl Syntax {
    fn scope_attribute(self) -> &'static str {
        match self {
            Self::Microdata => "itemscope",
            Self::Rdfa => "typeof",
        }
    }

    fn type_attribute(self) -> &'static str {
        match self {
            Self::Microdata => "itemtype",
            Self::Rdfa => "typeof",
        }
    }

    fn property_attribute(self) -> &'static str {
        match self {
            Self::Microdata => "itemprop",
            Self::Rdfa => "property",
        }
    }
}
