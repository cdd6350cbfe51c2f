//! What is known of a page, and the merge that chooses for every field the
//! first source which has it.

use serde::Serialize;
use trawler_core::product::{Currency, Money};
use url::Url;

use super::availability::Availability;
use super::fields::{Fields, PriceText, VariantFields};
use super::gtin;
use super::kind::PageKind;
use super::markup::Missing;
use super::price::{self, Currencies};
use super::remarks::{Remarks, quoted};

/// Which kind of evidence gave a field, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum Rule {
    /// A selector of the pipe.
    #[serde(rename = "css")]
    Css,
    #[serde(rename = "json-ld")]
    JsonLd,
    #[serde(rename = "microdata")]
    Microdata,
    #[serde(rename = "rdfa")]
    Rdfa,
    #[serde(rename = "opengraph")]
    OpenGraph,
    /// State that scripts of the page carry.
    #[serde(rename = "state")]
    State,
    #[default]
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
    pub kind: PageKind,
    pub product: Option<ExtractedProduct>,
    /// Two at least, or none.
    pub variants: Vec<Variant>,
    /// What was broken, missing, ambiguous or cut short, for people.
    pub remarks: Vec<String>,
}

/// A product as its page shows it; what no rule found is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtractedProduct {
    /// SKU, product id, GTIN or, failing these, the canonical URL. Of a
    /// product with variants it is the group's.
    pub id: Option<Found<String>>,
    pub title: Option<Found<String>>,
    /// Selling price: of the variant that the page's URL selects, else of the
    /// cheapest offer that can be bought.
    pub price: Option<Found<Money>>,
    /// Price before a reduction; always above the price.
    pub list_price: Option<Found<Money>>,
    pub currency: Option<Found<Currency>>,
    pub availability: Option<Found<Availability>>,
    pub brand: Option<Found<String>>,
    pub sku: Option<Found<String>>,
    /// Digits with a right check digit.
    pub gtin: Option<Found<String>>,
    pub mpn: Option<Found<String>>,
    /// What the variants of the product share.
    pub group_id: Option<Found<String>>,
    pub image_link: Option<Found<Url>>,
    pub additional_image_links: Option<Found<Vec<Url>>>,
    pub description: Option<Found<String>>,
    /// The shop's category of the product, as one text.
    pub category: Option<Found<String>>,
    /// The way to the product from the top of the shop, without the product.
    pub breadcrumbs: Option<Found<Vec<String>>>,
    pub link: Option<Found<Url>>,
    /// The word of the catalogue's column.
    pub condition: Option<Found<String>>,
    pub color: Option<Found<String>>,
    pub size: Option<Found<String>>,
    pub material: Option<Found<String>>,
    /// A decimal number on the shop's own scale.
    pub rating: Option<Found<String>>,
    pub review_count: Option<Found<u64>>,
    /// Further columns of the product schema, which the pipe's selectors fill,
    /// and measures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<(String, Vec<String>)>,
}

/// One variant of the product; all of it from one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variant {
    pub from: Rule,
    /// SKU, product id, GTIN, part number or URL: whatever tells it from the
    /// others.
    pub id: String,
    pub sku: Option<String>,
    pub gtin: Option<String>,
    pub mpn: Option<String>,
    pub title: Option<String>,
    pub price: Option<Money>,
    pub list_price: Option<Money>,
    pub availability: Option<Availability>,
    pub link: Option<Url>,
    pub images: Vec<Url>,
    pub color: Option<String>,
    pub size: Option<String>,
    pub material: Option<String>,
    pub options: Vec<String>,
}

/// Chooses field by field; `sources` are in order of precedence. `None` if
/// none of them is evidence of a product.
pub(super) fn merge(
    sources: &[Fields],
    home: Option<Currency>,
    default: Option<Currency>,
    remarks: &mut Remarks,
) -> Option<ExtractedProduct> {
    if !sources.iter().any(|source| source.is_product) {
        return None;
    }
    let currency = first(sources, |source| source.currency).or_else(|| {
        first(sources, |source| {
            source
                .price
                .as_ref()
                .and_then(|text| text.currency_at(home))
        })
    });
    let declared = currency.as_ref().map(|found| found.value);
    let money = Amounts {
        sources,
        declared: declared.or(default),
        home: default.or(home),
    };
    let price = money.find("price", |s| s.price.as_ref(), remarks);
    let list_price = money
        .find("list price", |s| s.list_price.as_ref(), remarks)
        .filter(|list| is_above(Some(list.value), price.as_ref().map(|price| price.value)));
    let currency = match &price {
        Some(price) if declared != Some(price.value.currency) => Some(Found {
            value: price.value.currency,
            from: price.from,
        }),
        Some(_) | None => currency,
    };
    let images = first(sources, |source| {
        (!source.images.is_empty()).then(|| source.images.clone())
    });
    let (image_link, additional_image_links) = split(images);
    let product = ExtractedProduct {
        id: first(sources, |source| source.id.clone()),
        title: first(sources, |source| source.title.clone()),
        price,
        list_price,
        currency,
        availability: first(sources, |source| source.availability),
        brand: first(sources, |source| source.brand.clone()),
        sku: first(sources, |source| source.sku.clone()),
        gtin: checked_gtin(sources, remarks),
        mpn: first(sources, |source| source.mpn.clone()),
        group_id: first(sources, |source| source.group_id.clone()),
        image_link,
        additional_image_links,
        description: first(sources, |source| source.description.clone()),
        category: first(sources, |source| source.category.clone()),
        breadcrumbs: first(sources, |source| {
            (!source.breadcrumbs.is_empty()).then(|| source.breadcrumbs.clone())
        }),
        link: first(sources, |source| source.link.clone()),
        condition: first(sources, |source| source.condition.clone()),
        color: first(sources, |source| source.color.clone()),
        size: first(sources, |source| source.size.clone()),
        material: first(sources, |source| source.material.clone()),
        rating: first(sources, |source| source.rating.clone()),
        review_count: first(sources, |source| source.review_count),
        columns: columns(sources),
    };
    tell_missing(&product, remarks);
    Some(product)
}

/// Of every column what the first source with it says.
fn columns(sources: &[Fields]) -> Vec<(String, Vec<String>)> {
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    for (column, values) in sources.iter().flat_map(|source| &source.columns) {
        if columns.iter().all(|(known, _)| known != column) {
            columns.push((column.clone(), values.clone()));
        }
    }
    columns
}

/// Which fields no source has yet, as the merge would see it.
pub(super) fn missing(
    sources: &[Fields],
    home: Option<Currency>,
    default: Option<Currency>,
) -> Missing {
    let lacks = |has: fn(&Fields) -> bool| !sources.iter().any(has);
    let declared = sources.iter().find_map(|source| source.currency);
    let money = Amounts {
        sources,
        declared: declared.or(default),
        home: default.or(home),
    };
    // Zero gives way to any amount.
    let price = money.find("price", |s| s.price.as_ref(), &mut Remarks::default());
    let priced = price.is_some_and(|price| price.value.amount_minor > 0);
    Missing {
        price: !priced || lacks(|source| source.is_product),
        availability: lacks(|source| source.availability.is_some()),
        description: lacks(|source| source.description.is_some()),
        images: lacks(|source| !source.images.is_empty()),
        breadcrumbs: lacks(|source| !source.breadcrumbs.is_empty()),
        numbers: lacks(|source| source.sku.is_some())
            || lacks(|source| source.gtin.is_some())
            || lacks(|source| source.mpn.is_some())
            || lacks(|source| source.brand.is_some()),
    }
}

/// The variants that the first source with any has.
pub(super) fn variants(
    sources: &[Fields],
    product: Option<&ExtractedProduct>,
    home: Option<Currency>,
) -> Vec<Variant> {
    let Some(product) = product else {
        return Vec::new();
    };
    let Some(source) = sources.iter().find(|source| !source.variants.is_empty()) else {
        return Vec::new();
    };
    let declared = product.currency.as_ref().map(|found| found.value);
    let money = |variant: &VariantFields, text: &Option<PriceText>| {
        let text = text.as_ref()?;
        let currencies = Currencies {
            declared: variant.currency,
            home,
            default: declared,
        };
        price::read_at(text, currencies).ok().map(|read| read.money)
    };
    let variants = source.variants.iter().filter_map(|variant| {
        let price = money(variant, &variant.price);
        let list_price = money(variant, &variant.list_price);
        Some(Variant {
            from: source.rule,
            id: variant.id.clone()?,
            sku: variant.sku.clone(),
            gtin: variant
                .gtin
                .as_deref()
                .and_then(|text| gtin::parse(text).ok()),
            mpn: variant.mpn.clone(),
            title: variant.title.clone(),
            price,
            list_price: list_price.filter(|list| is_above(Some(*list), price)),
            availability: variant.availability,
            link: variant.link.clone(),
            images: variant.images.clone(),
            color: variant.color.clone(),
            size: variant.size.clone(),
            material: variant.material.clone(),
            options: variant.options.clone(),
        })
    });
    variants.collect()
}

fn is_above(list: Option<Money>, price: Option<Money>) -> bool {
    match (list, price) {
        (Some(list), Some(price)) => {
            list.currency == price.currency && list.amount_minor > price.amount_minor
        }
        (_, None) => true,
        (None, Some(_)) => false,
    }
}

type Images = (Option<Found<Url>>, Option<Found<Vec<Url>>>);

fn split(images: Option<Found<Vec<Url>>>) -> Images {
    let Some(Found { mut value, from }) = images else {
        return (None, None);
    };
    let first = value.remove(0);
    let rest = (!value.is_empty()).then_some(Found { value, from });
    (Some(Found { value: first, from }), rest)
}

fn first<T>(sources: &[Fields], field: impl Fn(&Fields) -> Option<T>) -> Option<Found<T>> {
    sources.iter().find_map(|source| {
        field(source).map(|value| Found {
            value,
            from: source.rule,
        })
    })
}

/// The first number with a right check digit; wrong ones leave a remark.
fn checked_gtin(sources: &[Fields], remarks: &mut Remarks) -> Option<Found<String>> {
    sources.iter().find_map(|source| {
        let text = source.gtin.as_deref()?;
        match gtin::parse(text) {
            Ok(value) => Some(Found {
                value,
                from: source.rule,
            }),
            Err(why) => {
                remarks.add(format!(
                    "{} gtin {} {why}; it was left out",
                    source.rule.name(),
                    quoted(text)
                ));
                None
            }
        }
    })
}

struct Amounts<'s> {
    sources: &'s [Fields],
    declared: Option<Currency>,
    home: Option<Currency>,
}

impl Amounts<'_> {
    /// The first amount above zero that can be read, else the first that is
    /// zero: shops write 0 where they show no price. Those that cannot be
    /// read leave a remark.
    fn find(
        &self,
        what: &str,
        field: impl Fn(&Fields) -> Option<&PriceText>,
        remarks: &mut Remarks,
    ) -> Option<Found<Money>> {
        let mut zero = None;
        for source in self.sources {
            let Some(text) = field(source) else { continue };
            let currencies = Currencies {
                declared: source.currency,
                home: self.home,
                default: self.declared,
            };
            match price::read_at(text, currencies) {
                Ok(read) => {
                    for remark in read.remarks {
                        remarks.add(format!("{} {what}: {remark}", source.rule.name()));
                    }
                    let found = Found {
                        value: read.money,
                        from: source.rule,
                    };
                    if found.value.amount_minor > 0 {
                        return Some(found);
                    }
                    zero = zero.or(Some(found));
                }
                Err(error) => {
                    remarks.add(format!("{} {what}: {error}", source.rule.name()));
                }
            }
        }
        zero
    }
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
            Self::Css => "css",
            Self::JsonLd => "json-ld",
            Self::Microdata => "microdata",
            Self::Rdfa => "rdfa",
            Self::OpenGraph => "opengraph",
            Self::State => "state",
            Self::Html => "html",
        }
    }
}
