//! What is taken of a product page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Findings;

/// Most fields with selectors of their own; the product schema has about 100
/// columns, and what it does not have goes to `extra`.
const FIELDS_MAX: usize = 200;

/// Most selectors of one field.
const SELECTORS_MAX: usize = 16;

/// What is taken of a product page besides what its structured data says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExtractOptions {
    /// A field and where it stands: a CSS selector, with `@name` behind it for
    /// an attribute and the element's text without, or a list of which the
    /// first that finds something counts, as in `price = ["meta.price@content",
    /// ".price"]`; `"=EUR"` is the value itself, for what no page says. Asked
    /// before structured data. A field is `price`, `list_price`, `image` (all
    /// that are found), `category`, `sku`, `rating`, `review_count` or a column
    /// of the product schema, or it goes to `extra`: lower-case letters, digits
    /// and `_`. Default none, at most 200 of at most 16 selectors.
    pub fields: BTreeMap<String, Selectors>,
    /// What becomes of a product with variants: `"rows"` (default), a row for
    /// each, or `"main"`, one row for all.
    pub variants: Variants,
}

/// One selector or several in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a CSS selector or a list of them")]
pub enum Selectors {
    One(String),
    Several(Vec<String>),
}

impl Selectors {
    /// In the order in which they are asked.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(selector) => std::slice::from_ref(selector),
            Self::Several(selectors) => selectors,
        }
    }
}

/// What becomes of a product with variants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variants {
    #[default]
    Rows,
    Main,
}

impl ExtractOptions {
    pub(super) fn problems(&self, found: &mut Findings) {
        found.count("extract.fields", self.fields.len(), FIELDS_MAX);
        for (field, selectors) in &self.fields {
            let key = format!("extract.fields.{field}");
            let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            let named = (1..=64).contains(&field.len()) && field.bytes().all(letters);
            let allowed = "a name of 1 to 64 lower-case ASCII letters, digits and '_'";
            found.unless(named, &key, field, allowed);
            let selectors = selectors.as_slice();
            found.unless(!selectors.is_empty(), &key, &"[]", "at least one selector");
            found.count(&key, selectors.len(), SELECTORS_MAX);
            for selector in selectors {
                found.selector(&key, selector);
            }
        }
    }
}
