//! What one source says about the product, before sources are merged.

use trawler_core::product::Currency;
use url::Url;

use super::availability::Availability;
use super::price;
use super::report::Rule;

#[derive(Debug)]
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
}

impl Fields {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            is_product: false,
            id: None,
            sku: None,
            title: None,
            price: None,
            list_price: None,
            currency: None,
            availability: None,
            brand: None,
            gtin: None,
            mpn: None,
            images: Vec::new(),
            description: None,
            category: None,
            breadcrumbs: Vec::new(),
            link: None,
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

    pub(super) fn currency(&self) -> Option<Currency> {
        price::currency_in(&self.text).map(|(currency, _)| currency)
    }
}
