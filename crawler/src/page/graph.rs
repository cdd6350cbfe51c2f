//! The nodes of a page's JSON-LD: which of them are the page's own products
//! and breadcrumbs, and which one an `@id` means, across all blocks.

use std::collections::HashMap;

use url::Url;

use super::context;
use super::fields::Fields;
use super::json;
use super::limits::PRODUCTS_MAX;
use super::links::Links;
use super::remarks::Remarks;
use super::report::Rule;
use super::scan::PRODUCT_TYPES;
use super::schema;
use super::value::Value;

/// Nodes that others refer to by `{"@id": …}`.
#[derive(Debug, Default)]
pub(super) struct Graph<'v> {
    by_id: HashMap<&'v str, &'v Value>,
}

impl<'v> Graph<'v> {
    fn add(&mut self, node: &'v Value) {
        if let Some(Value::Text(id)) = node.get("@id")
            && !is_reference(node)
        {
            self.by_id.entry(id.trim()).or_insert(node);
        }
    }

    /// The node that a bare reference names, or the value itself.
    pub(super) fn resolve(&self, value: &'v Value) -> &'v Value {
        match value.get("@id") {
            Some(Value::Text(id)) if is_reference(value) => {
                self.by_id.get(id.trim()).copied().unwrap_or(value)
            }
            _ => value,
        }
    }
}

/// Whether an object says nothing but which node it is.
fn is_reference(value: &Value) -> bool {
    match value {
        Value::Object(entries) => entries
            .iter()
            .all(|(key, _)| matches!(key.as_str(), "@id" | "@type")),
        _ => false,
    }
}

/// What the JSON-LD of a page says.
#[derive(Debug, Default)]
pub(super) struct JsonLd {
    pub(super) fields: Option<Fields>,
    /// Products that stand beside each other, none of them marked as the page's.
    pub(super) products: usize,
    /// Members of the longest ItemList.
    pub(super) listed: usize,
}

/// Reads the JSON-LD blocks of a page.
pub(super) fn read(
    blocks: &[impl AsRef<str>],
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> JsonLd {
    let nodes = merged(parsed(blocks, remarks));
    if nodes.is_empty() {
        return JsonLd::default();
    }
    let mut found = Nodes::default();
    found.walk(&nodes);
    // What a page merely mentions is its product only if it has no other.
    let products = match found.products.is_empty() {
        true => &found.mentioned,
        false => &found.products,
    };
    let fields = schema::read(
        Rule::JsonLd,
        &found.graph,
        products,
        &found.breadcrumb_lists,
        links,
        canonical,
        remarks,
    );
    JsonLd {
        fields,
        products: products.len(),
        listed: found.listed,
    }
}

fn parsed(blocks: &[impl AsRef<str>], remarks: &mut Remarks) -> Vec<Value> {
    let mut roots = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let number = at + 1;
        match json::parse(block.as_ref()) {
            Ok(Some(parsed)) => {
                if !parsed.repairs.is_empty() {
                    let told: Vec<String> = parsed
                        .repairs
                        .iter()
                        .map(|(what, place)| format!("{what} at {place}"))
                        .collect();
                    remarks.add(format!(
                        "JSON-LD block {number} is not valid JSON, but was read: {}",
                        told.join("; ")
                    ));
                }
                let mut value = parsed.value;
                // A block that was made JSON twice.
                if let Value::Text(text) = &value
                    && let Ok(Some(inner)) = json::parse(text)
                {
                    value = inner.value;
                }
                context::apply(&mut value);
                roots.push(value);
            }
            Ok(None) => remarks.add(format!("JSON-LD block {number} is empty")),
            Err(error) => remarks.add(format!(
                "JSON-LD block {number} could not be read: {error}; the block was left out"
            )),
        }
    }
    roots
}

/// The top nodes of all blocks, lists and graphs opened. Nodes of one id are
/// one node, whichever block each part of it stands in; and an offer that
/// names what it offers becomes that thing's offer.
fn merged(roots: Vec<Value>) -> Vec<Value> {
    let mut nodes: Vec<Value> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    let mut pending: Vec<Value> = roots.into_iter().rev().collect();
    while let Some(value) = pending.pop() {
        let mut entries = match value {
            Value::List(list) => {
                pending.extend(list.into_iter().rev());
                continue;
            }
            Value::Object(entries) => entries,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => continue,
        };
        if let Some(at) = entries.iter().position(|(key, _)| key == "@graph") {
            pending.push(entries.remove(at).1);
        }
        let node = with_offered(Value::Object(entries));
        let id = match node.get("@id") {
            Some(Value::Text(id)) if !is_reference(&node) => id.trim().to_owned(),
            _ => {
                nodes.push(node);
                continue;
            }
        };
        match by_id.get(&id) {
            Some(at) => {
                if let (Value::Object(known), Value::Object(more)) = (&mut nodes[*at], node) {
                    known.extend(more);
                }
            }
            None => {
                by_id.insert(id, nodes.len());
                nodes.push(node);
            }
        }
    }
    nodes
}

/// `{Offer, itemOffered: {Product}}` as `{Product, offers: {Offer}}`.
fn with_offered(node: Value) -> Value {
    let offers_product = node.has_type(&["Offer", "AggregateOffer"])
        && node.get("itemOffered").is_some_and(|item| {
            item.has_type(PRODUCT_TYPES) && !is_reference(item) && item.get("offers").is_none()
        });
    let Value::Object(mut entries) = node else {
        return node;
    };
    let is_item = |(key, _): &(String, Value)| super::value::local_name(key) == "itemOffered";
    let at = entries.iter().position(is_item).filter(|_| offers_product);
    let Some(at) = at else {
        return Value::Object(entries);
    };
    let (_, item) = entries.remove(at);
    let offer = Value::Object(entries);
    match item {
        Value::Object(mut product) => {
            product.push(("offers".to_owned(), offer));
            Value::Object(product)
        }
        other => other,
    }
}

/// How much a node has to do with the page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is what the page is about.
    Own,
    /// The page says something of it.
    Mentioned,
    /// It is another page's.
    Foreign,
}

#[derive(Default)]
struct Nodes<'v> {
    graph: Graph<'v>,
    products: Vec<&'v Value>,
    mentioned: Vec<&'v Value>,
    breadcrumb_lists: Vec<&'v Value>,
    listed: usize,
}

impl<'v> Nodes<'v> {
    /// Every object of the page, in document order.
    fn walk(&mut self, nodes: &'v [Value]) {
        let mut pending: Vec<(&Value, Standing)> = Vec::new();
        pending.extend(nodes.iter().rev().map(|node| (node, Standing::Own)));
        while let Some((value, standing)) = pending.pop() {
            match value {
                Value::List(list) => {
                    pending.extend(list.iter().rev().map(|member| (member, standing)));
                }
                Value::Object(entries) => {
                    let inner = self.take(value, standing);
                    for (key, member) in entries.iter().rev() {
                        let standing = below(super::value::local_name(key), standing, inner);
                        pending.push((member, standing));
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
            }
        }
    }

    /// Notes what an object is. How things below it stand to the page at best.
    fn take(&mut self, node: &'v Value, standing: Standing) -> Standing {
        self.graph.add(node);
        if is_reference(node) {
            return standing;
        }
        if node.has_type(&["BreadcrumbList"]) {
            self.breadcrumb_lists.push(node);
            return Standing::Foreign;
        }
        if node.has_type(&["ItemList", "OfferCatalog"]) {
            let members = node.get("itemListElement").map(Value::each);
            self.listed = self.listed.max(members.unwrap_or_default().len());
            return Standing::Foreign;
        }
        if is_product(node) {
            let list = match standing {
                Standing::Own => &mut self.products,
                Standing::Mentioned => &mut self.mentioned,
                Standing::Foreign => return Standing::Foreign,
            };
            if list.len() < PRODUCTS_MAX {
                list.push(node);
            }
            // Variants, related products, what an offer holds.
            return Standing::Foreign;
        }
        standing
    }
}

/// Things that are sold, but have types of their own; products where they
/// have an offer.
const SOLD_TYPES: &[&str] = &[
    "Book",
    "Movie",
    "MusicAlbum",
    "MusicRelease",
    "VideoGame",
    "SoftwareApplication",
    "Drug",
];

fn is_product(node: &Value) -> bool {
    node.has_type(PRODUCT_TYPES)
        || (node.has_type(SOLD_TYPES) && node.get("offers").is_some() && node.get("name").is_some())
}

/// How what lies under a property stands to the page.
fn below(property: &str, of: Standing, at_best: Standing) -> Standing {
    if at_best == Standing::Foreign || of == Standing::Foreign {
        return Standing::Foreign;
    }
    match property {
        "@graph" | "@included" | "mainEntity" | "mainEntityOfPage" | "breadcrumb"
        | "itemOffered" | "@list" | "@set" => of,
        "itemListElement"
        | "isRelatedTo"
        | "isSimilarTo"
        | "isAccessoryOrSparePartFor"
        | "isConsumableFor"
        | "hasOfferCatalog"
        | "makesOffer"
        | "owns" => Standing::Foreign,
        _ => Standing::Mentioned,
    }
}
