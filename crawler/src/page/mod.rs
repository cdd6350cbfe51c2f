//! Reads the product from one HTML page.
//!
//! Several kinds of evidence are read, and for every field the first that has
//! it wins: selectors of the pipe, JSON-LD, microdata (then RDFa Lite),
//! OpenGraph and product meta tags, state that scripts carry, plain HTML
//! (`<h1>`, marked prices, the image named like the title). Each field says
//! which rule gave it, and what was broken, ambiguous or cut short is told in
//! [`PageReport::remarks`]. Pages that are no product are told apart
//! ([`PageKind`]); [`rows()`] makes rows for the catalogue.
//!
//! It is pure and synchronous: no fetching, no scripts run. CPU only, up to
//! about a second for a hostile page: run it off the reactor.

mod availability;
mod charset;
mod context;
mod dom;
mod extractor;
mod fields;
mod graph;
mod gtin;
mod guard;
mod images;
mod items;
mod json;
mod kind;
pub mod limits;
mod links;
mod markup;
mod measure;
mod meta;
mod offers;
mod price;
mod remarks;
mod report;
mod rows;
mod rules;
mod scan;
mod schema;
mod state;
mod value;
mod variants;

#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod shop_tests;
#[cfg(test)]
mod tests;

use url::Url;

pub use availability::Availability;
pub use extractor::Extractor;
pub use kind::PageKind;
pub use report::{ExtractedProduct, Found, PageReport, Rule, Variant};
pub use rows::{RowRules, rows};
pub use rules::RuleError;

/// Reads the product from the bytes of a page, without rules of a pipe.
///
/// `content_type_charset` is the `charset` parameter of the response's
/// `Content-Type`, if it had one; `page_url` is where the page came from,
/// after redirects. Never fails: what could not be read is a remark, and a
/// page without product has `product: None`.
pub fn extract(bytes: &[u8], content_type_charset: Option<&str>, page_url: &Url) -> PageReport {
    Extractor::default().extract(bytes, content_type_charset, page_url)
}
