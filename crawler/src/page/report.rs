//! What is known of a page, and the merge that chooses for every field the
//! first source which has it.

use serde::Serialize;
use trawler_core::product::{Currency, Money};
use url::Url;

use super::availability::Availability;
use super::fields::{Fields, PriceText};
use super::price;
use super::remarks::Remarks;

/// Which kind of evidence gave a field, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Rule {
    #[serde(rename = "json-ld")]
    JsonLd,
    #[serde(rename = "microdata")]
    Microdata,
    #[serde(rename = "rdfa")]
    Rdfa,
    #[serde(rename = "opengraph")]
    OpenGraph,
    #[serde(rename = "html")]
    Html,
}

/// A value and the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found<T> {
    pub value: T,
    pub from: Rule,
}

/// One page: where it is, how it was read, what it sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageReport {
    pub url: Url,
    /// WHATWG name of the encoding that the bytes were read with.
    pub charset: &'static str,
    pub canonical: Option<Url>,
    pub product: Option<ExtractedProduct>,
    /// What was broken, missing, ambiguous or cut short, for people.
    pub remarks: Vec<String>,
}

/// A product as its page shows it; what no rule found is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtractedProduct {
    /// SKU, product id, GTIN or, failing these, the canonical URL.
    pub id: Option<Found<String>>,
    pub title: Option<Found<String>>,
    /// Selling price: of the cheapest offer that can be bought.
    pub price: Option<Found<Money>>,
    /// Price before a reduction.
    pub list_price: Option<Found<Money>>,
    pub currency: Option<Found<Currency>>,
    pub availability: Option<Found<Availability>>,
    pub brand: Option<Found<String>>,
    pub sku: Option<Found<String>>,
    pub gtin: Option<Found<String>>,
    pub mpn: Option<Found<String>>,
    pub image_link: Option<Found<Url>>,
    pub additional_image_links: Option<Found<Vec<Url>>>,
    pub description: Option<Found<String>>,
    /// The shop's category of the product, as one text.
    pub category: Option<Found<String>>,
    /// The way to the product from the top of the shop, without the product.
    pub breadcrumbs: Option<Found<Vec<String>>>,
    pub link: Option<Found<Url>>,
}

/// Chooses field by field; `sources` are in order of precedence. `None` if
/// none of them is evidence of a product.
pub(super) fn merge(sources: &[Fields], remarks: &mut Remarks) -> Option<ExtractedProduct> {
    if !sources.iter().any(|source| source.is_product) {
        return None;
    }
    let currency = first(sources, |source| source.currency).or_else(|| {
        first(sources, |source| {
            source.price.as_ref().and_then(PriceText::currency)
        })
    });
    let declared = currency.as_ref().map(|found| found.value);
    let price = money(sources, declared, "price", |s| s.price.as_ref(), remarks);
    let list_price = money(
        sources,
        declared,
        "list price",
        |s| s.list_price.as_ref(),
        remarks,
    );
    let currency = match &price {
        Some(price) if declared != Some(price.value.currency) => Some(Found {
            value: price.value.currency,
            from: price.from,
        }),
        Some(_) | None => currency,
    };
    let product = ExtractedProduct {
        id: first(sources, |source| source.id.clone()),
        title: first(sources, |source| source.title.clone()),
        price,
        list_price,
        currency,
        availability: first(sources, |source| source.availability),
        brand: first(sources, |source| source.brand.clone()),
        sku: first(sources, |source| source.sku.clone()),
        gtin: first(sources, |source| source.gtin.clone()),
        mpn: first(sources, |source| source.mpn.clone()),
        image_link: first(sources, |source| source.images.first().cloned()),
        additional_image_links: first(sources, |source| {
            (!source.images.is_empty()).then(|| source.images[1..].to_vec())
        })
        .filter(|found| !found.value.is_empty()),
        description: first(sources, |source| source.description.clone()),
        category: first(sources, |source| source.category.clone()),
        breadcrumbs: first(sources, |source| {
            (!source.breadcrumbs.is_empty()).then(|| source.breadcrumbs.clone())
        }),
        link: first(sources, |source| source.link.clone()),
    };
    tell_missing(&product, remarks);
    Some(product)
}

fn first<T>(sources: &[Fields], field: impl Fn(&Fields) -> Option<T>) -> Option<Found<T>> {
    sources.iter().find_map(|source| {
        field(source).map(|value| Found {
            value,
            from: source.rule,
        })
    })
}

/// The first amount that can be read; those before it leave a remark.
fn money(
    sources: &[Fields],
    declared: Option<Currency>,
    what: &str,
    field: impl Fn(&Fields) -> Option<&PriceText>,
    remarks: &mut Remarks,
) -> Option<Found<Money>> {
    sources.iter().find_map(|source| {
        let text = field(source)?;
        let currency = source.currency.or(text.currency()).or(declared);
        match price::read(text, currency) {
            Ok(read) => {
                for remark in read.remarks {
                    remarks.add(format!("{} {what}: {remark}", source.rule.name()));
                }
                Some(Found {
                    value: read.money,
                    from: source.rule,
                })
            }
            Err(error) => {
                remarks.add(format!("{} {what}: {error}", source.rule.name()));
                None
            }
        }
    })
}

fn tell_missing(product: &ExtractedProduct, remarks: &mut Remarks) {
    let missing: Vec<&str> = [
        ("id", product.id.is_none()),
        ("title", product.title.is_none()),
        ("price", product.price.is_none()),
        ("availability", product.availability.is_none()),
        ("image", product.image_link.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, is_missing)| is_missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        remarks.add(format!("not found: {}", missing.join(", ")));
    }
}

impl Rule {
    /// The name that the JSON form carries.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonLd => "json-ld",
            Self::Microdata => "microdata",
            Self::Rdfa => "rdfa",
            Self::OpenGraph => "opengraph",
            Self::Html => "html",
        }
    }
}
