//! What one source says about the product, before sources are merged.

use trawler_core::product::Currency;
use url::Url;

use super::availability::Availability;
use super::price;
use super::report::Rule;

#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) rule: Rule,
    /// Whether this source alone says that the page sells a product.
    pub(super) is_product: bool,
    pub(super) id: Option<String>,
    pub(super) sku: Option<String>,
    pub(super) title: Option<String>,
    pub(super) price: Option<PriceText>,
    pub(super) list_price: Option<PriceText>,
    pub(super) currency: Option<Currency>,
    pub(super) availability: Option<Availability>,
    pub(super) brand: Option<String>,
    pub(super) gtin: Option<String>,
    pub(super) mpn: Option<String>,
    pub(super) images: Vec<Url>,
    pub(super) description: Option<String>,
    pub(super) category: Option<String>,
    pub(super) breadcrumbs: Vec<String>,
    pub(super) link: Option<Url>,
    pub(super) group_id: Option<String>,
    pub(super) condition: Option<String>,
    pub(super) color: Option<String>,
    pub(super) size: Option<String>,
    pub(super) material: Option<String>,
    /// A decimal number, as written.
    pub(super) rating: Option<String>,
    pub(super) review_count: Option<u64>,
    /// Further columns of the product schema: what selectors of a pipe fill, and
    /// measures.
    pub(super) columns: Vec<(String, Vec<String>)>,
    pub(super) variants: Vec<VariantFields>,
}

/// What one source says about one variant of the product.
#[derive(Debug, Default, Clone)]
pub(super) struct VariantFields {
    pub(super) id: Option<String>,
    pub(super) sku: Option<String>,
    pub(super) gtin: Option<String>,
    pub(super) mpn: Option<String>,
    pub(super) title: Option<String>,
    pub(super) price: Option<PriceText>,
    pub(super) list_price: Option<PriceText>,
    pub(super) currency: Option<Currency>,
    pub(super) availability: Option<Availability>,
    pub(super) link: Option<Url>,
    pub(super) images: Vec<Url>,
    pub(super) color: Option<String>,
    pub(super) size: Option<String>,
    pub(super) material: Option<String>,
    /// Values of the options that tell it from the others, in the page's order.
    pub(super) options: Vec<String>,
}

impl Fields {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            ..Self::default()
        }
    }
}

/// How an amount was written, which decides what a lone dot means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// In a field for machines: `1.299` is one and a bit.
    ForMachines,
    /// In text for people: `1.299 €` is a thousand and more.
    ForPeople,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PriceText {
    pub(super) text: String,
    pub(super) written: Written,
}

impl PriceText {
    /// A value of a field for machines; symbols or letters in it show that
    /// it was written for people after all.
    pub(super) fn of_field(text: String) -> Self {
        let plain = text
            .trim()
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+' | 'e' | 'E'));
        Self {
            text,
            written: if plain {
                Written::ForMachines
            } else {
                Written::ForPeople
            },
        }
    }

    /// The currency that its mark means on a page made for `home`.
    pub(super) fn currency_at(&self, home: Option<Currency>) -> Option<Currency> {
        price::named_in(&self.text).map(|named| named.settle(home))
    }
}
