//! Reads schema.org's Product, Offer and BreadcrumbList out of [`Value`]s,
//! wherever these came from.

use std::collections::HashMap;

use url::Url;

use super::dom::plain_text;
use super::fields::Fields;
use super::json;
use super::limits::{DESCRIPTION_CHARS_MAX, IMAGES_MAX, MARKS_MAX, TEXT_CHARS_MAX};
use super::links::Links;
use super::offers::{cheapest, price_field};
use super::price;
use super::remarks::{Remarks, quoted};
use super::report::Rule;
use super::scan::PRODUCT_TYPES;
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
            self.by_id.entry(id).or_insert(node);
        }
    }

    /// The node that a bare reference names, or the value itself.
    pub(super) fn resolve(&self, value: &'v Value) -> &'v Value {
        match value.get("@id") {
            Some(Value::Text(id)) if is_reference(value) => {
                self.by_id.get(id.as_str()).copied().unwrap_or(value)
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

/// What the JSON-LD blocks of a page say.
pub(super) fn from_json_ld(
    blocks: &[String],
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> Option<Fields> {
    let mut roots = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let number = at + 1;
        match json::parse(block) {
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
                roots.push(parsed.value);
            }
            Ok(None) => remarks.add(format!("JSON-LD block {number} is empty")),
            Err(error) => remarks.add(format!(
                "JSON-LD block {number} could not be read: {error}; the block was left out"
            )),
        }
    }
    let mut graph = Graph::default();
    let nodes = nodes_of(&roots);
    for node in &nodes {
        graph.add(node);
    }
    let of_types = |types: &[&str]| -> Vec<&Value> {
        let mut of_types: Vec<&Value> = Vec::new();
        for node in nodes.iter().filter(|node| node.has_type(types)) {
            if !is_reference(node) && !of_types.iter().any(|known| std::ptr::eq(*known, *node)) {
                of_types.push(node);
            }
        }
        of_types
    };
    read(
        Rule::JsonLd,
        &graph,
        &of_types(PRODUCT_TYPES),
        &of_types(&["BreadcrumbList"]),
        links,
        canonical,
        remarks,
    )
}

/// The objects that stand for things of the page itself, in document order.
/// Lists of other things (ItemList, related products) are not entered.
fn nodes_of(roots: &[Value]) -> Vec<&Value> {
    const ENTERED: &[&str] = &["@graph", "mainEntity", "mainEntityOfPage", "breadcrumb"];
    let mut nodes = Vec::new();
    let mut pending: Vec<&Value> = roots.iter().rev().collect();
    while let Some(value) = pending.pop() {
        match value {
            Value::List(list) => pending.extend(list.iter().rev()),
            Value::Object(_) => {
                nodes.push(value);
                pending.extend(ENTERED.iter().rev().filter_map(|name| value.get(name)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    nodes
}

/// Reads the page's product and way to it. `None` if there is neither.
pub(super) fn read<'v>(
    rule: Rule,
    graph: &Graph<'v>,
    products: &[&'v Value],
    breadcrumb_lists: &[&'v Value],
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> Option<Fields> {
    if products.is_empty() && breadcrumb_lists.is_empty() {
        return None;
    }
    let mut fields = Fields::new(rule);
    if let Some(product) = choose(rule, products, links, canonical, remarks) {
        let mut reader = Reader {
            rule,
            graph,
            links,
            remarks,
        };
        reader.product(product, &mut fields);
    }
    fields.breadcrumbs = breadcrumb_lists
        .iter()
        .map(|list| breadcrumbs(graph, list, fields.title.as_deref()))
        .find(|steps| !steps.is_empty())
        .unwrap_or_default();
    Some(fields)
}

/// The product that the page is about: of several the one with the page's
/// URL, else the first with an offer, else the first.
fn choose<'v>(
    rule: Rule,
    products: &[&'v Value],
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> Option<&'v Value> {
    let first = *products.first()?;
    if products.len() == 1 {
        return Some(first);
    }
    let page = links.page();
    let is_this_page = |product: &&&Value| {
        ["url", "@id"].iter().any(|name| {
            let url = product
                .get(name)
                .and_then(Value::text)
                .and_then(|text| links.resolve(text, "url", &mut Remarks::default()))
                .map(|mut url| {
                    url.set_fragment(None);
                    url
                });
            url.is_some_and(|url| Some(&url) == canonical || Some(&url) == page.as_ref())
        })
    };
    let has_offer =
        |product: &&&Value| product.get("offers").is_some() || product.get("hasVariant").is_some();
    let chosen = products
        .iter()
        .find(is_this_page)
        .or_else(|| products.iter().find(has_offer))
        .copied()
        .unwrap_or(first);
    let name = chosen
        .get("name")
        .and_then(Value::text)
        .unwrap_or("(no name)");
    remarks.add(format!(
        "{} describes {} products; {} was taken",
        rule.name(),
        products.len(),
        quoted(name)
    ));
    Some(chosen)
}

pub(super) struct Reader<'r, 'v> {
    pub(super) rule: Rule,
    pub(super) graph: &'r Graph<'v>,
    pub(super) links: &'r Links,
    pub(super) remarks: &'r mut Remarks,
}

const GTINS: &[&str] = &["gtin13", "gtin", "gtin14", "gtin12", "gtin8", "isbn"];

impl<'v> Reader<'_, 'v> {
    fn product(&mut self, product: &'v Value, fields: &mut Fields) {
        fields.title = short(product, "name");
        fields.description = product
            .get("description")
            .and_then(Value::text)
            .map(|text| plain_text(text, DESCRIPTION_CHARS_MAX))
            .filter(|text| !text.is_empty());
        fields.brand = product.get("brand").and_then(|brand| self.name_of(brand));
        fields.category = self.category(product);
        fields.images = self.images(product);
        fields.link = self.link(product);

        let offers = self.offers(product);
        let currency = offers.iter().find_map(|offer| offer.currency);
        let availability = offers.iter().find_map(|offer| offer.availability);
        let best = cheapest(offers).unwrap_or_default();
        let of_either = |name: &str| {
            short(product, name).or_else(|| best.node.and_then(|offer| short(offer, name)))
        };
        fields.sku = of_either("sku");
        fields.mpn = of_either("mpn");
        fields.gtin = GTINS.iter().find_map(|name| of_either(name));
        fields.id = fields
            .sku
            .clone()
            .or_else(|| of_either("productID"))
            .or_else(|| fields.gtin.clone());
        let product_currency = || {
            let text = product.get("priceCurrency")?.text()?;
            price::currency_field(text)
        };
        fields.currency = best.currency.or(currency).or_else(product_currency);
        fields.availability = best.availability.or(availability);
        fields.list_price = best.list_price;
        // Some shops leave the offer out and put its fields on the product.
        fields.price = best.price.or_else(|| price_field(product, "price"));
        fields.is_product = fields.title.is_some() || fields.price.is_some();
    }

    /// A text, or the name of the thing that is referred to.
    fn name_of(&self, value: &'v Value) -> Option<String> {
        let value = self.graph.resolve(value.each().first()?);
        match value.get("name") {
            Some(name) => name.text(),
            None => value.text(),
        }
        .map(|text| plain_text(text, TEXT_CHARS_MAX))
        .filter(|text| !text.is_empty())
    }

    fn category(&self, product: &'v Value) -> Option<String> {
        let names: Vec<String> = product
            .get("category")?
            .each()
            .iter()
            .take(MARKS_MAX)
            .filter_map(|category| self.name_of(category))
            .collect();
        let category = super::dom::collapse(&names.join(" > "), TEXT_CHARS_MAX);
        Some(category).filter(|category| !category.is_empty())
    }

    fn link(&mut self, product: &'v Value) -> Option<Url> {
        let url = product.get("url")?;
        let text = url.text().or_else(|| url.get("@id")?.text())?;
        let what = format!("{} url", self.rule.name());
        self.links.resolve(text, &what, self.remarks)
    }

    fn images(&mut self, product: &'v Value) -> Vec<Url> {
        let what = format!("{} image", self.rule.name());
        let mut images: Vec<Url> = Vec::new();
        let mut left_out = 0_usize;
        let listed = product.get("image").map(Value::each).unwrap_or_default();
        for image in listed {
            let image = self.graph.resolve(image);
            let reference = image
                .text()
                .or_else(|| image.get("contentUrl")?.text())
                .or_else(|| image.get("url")?.text())
                .or_else(|| image.get("@id")?.text().filter(|id| id.starts_with("http")));
            let Some(reference) = reference else { continue };
            if images.len() >= IMAGES_MAX {
                left_out += 1;
            } else if let Some(url) = self.links.resolve(reference, &what, self.remarks)
                && !images.contains(&url)
            {
                images.push(url);
            }
        }
        if left_out > 0 {
            self.remarks.add(format!(
                "{what}: {left_out} over {IMAGES_MAX} were left out"
            ));
        }
        images
    }
}

fn short(node: &Value, name: &str) -> Option<String> {
    let text = node.get(name)?.text()?;
    Some(plain_text(text, TEXT_CHARS_MAX)).filter(|text| !text.is_empty())
}

/// Names of the steps in order of position, without the product itself.
fn breadcrumbs(graph: &Graph<'_>, list: &Value, title: Option<&str>) -> Vec<String> {
    let mut steps: Vec<(u32, String)> = Vec::new();
    let members = list
        .get("itemListElement")
        .map(Value::each)
        .unwrap_or_default();
    for (at, member) in members.iter().take(MARKS_MAX).enumerate() {
        let member = graph.resolve(member);
        let item = member.get("item").map(|item| graph.resolve(item));
        let name = short(member, "name").or_else(|| short(item?, "name"));
        let Some(name) = name else { continue };
        let position = member
            .get("position")
            .and_then(Value::text)
            .and_then(|text| text.parse().ok())
            .unwrap_or(u32::try_from(at + 1).unwrap_or(u32::MAX));
        steps.push((position, name));
    }
    steps.sort_by_key(|(position, _)| *position);
    let mut steps: Vec<String> = steps.into_iter().map(|(_, name)| name).collect();
    if steps.last().map(String::as_str) == title {
        steps.pop();
    }
    steps
}
