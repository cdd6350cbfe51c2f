//! Reads the product from one HTML page.
//!
//! Four kinds of evidence are read, and for every field the first that has
//! it wins: JSON-LD, microdata (then RDFa Lite), OpenGraph and product meta
//! tags, plain HTML (`<h1>`, marked prices, the image named like the title).
//! Each field says which rule gave it, and what was broken, ambiguous or cut
//! short is told in [`PageReport::remarks`].
//!
//! It is pure and synchronous: no fetching, no scripts run, no selectors of a
//! pipe, no variants (the cheapest available offer speaks for the product).
//! CPU only, up to about a second for a hostile page: run it off the reactor.

mod availability;
mod charset;
mod dom;
mod fields;
mod guard;
mod items;
mod json;
pub mod limits;
mod links;
mod markup;
mod meta;
mod offers;
mod price;
mod remarks;
mod report;
mod scan;
mod schema;
mod value;

#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod tests;

use url::Url;

pub use availability::Availability;
pub use report::{ExtractedProduct, Found, PageReport, Rule};

use fields::Fields;
use links::Links;
use remarks::Remarks;

/// Reads the product from the bytes of a page.
///
/// `content_type_charset` is the `charset` parameter of the response's
/// `Content-Type`, if it had one; `page_url` is where the page came from,
/// after redirects. Never fails: what could not be read is a remark, and a
/// page without product has `product: None`.
pub fn extract(bytes: &[u8], content_type_charset: Option<&str>, page_url: &Url) -> PageReport {
    let mut remarks = Remarks::default();
    let (text, charset) = charset::decode(bytes, content_type_charset, page_url, &mut remarks);
    let html = guard::parse(&text, &mut remarks);
    let parts = scan::scan(&html, &mut remarks);
    let links = Links::new(page_url, parts.base, &mut remarks);
    let canonical = canonical(&parts, &links, &mut remarks);

    let mut sources = vec![schema::from_json_ld(
        &parts.json_ld,
        &links,
        canonical.as_ref(),
        &mut remarks,
    )];
    sources.extend(items::read(
        &parts,
        &links,
        canonical.as_ref(),
        &mut remarks,
    ));
    sources.push(meta::read(&parts, &links, &mut remarks));
    sources.push(markup::read(
        &parts,
        &links,
        canonical.as_ref(),
        &mut remarks,
    ));

    let sources: Vec<Fields> = sources.into_iter().flatten().collect();
    let product = report::merge(&sources, &mut remarks);
    if product.is_none() {
        remarks.add(
            "no product on this page: no Product in JSON-LD, microdata or RDFa, \
             no product meta tags, no <h1> followed by a price"
                .to_owned(),
        );
    }
    PageReport {
        url: page_url.clone(),
        charset,
        canonical,
        product,
        remarks: remarks.into_list(),
    }
}

fn canonical(parts: &scan::Parts<'_>, links: &Links, remarks: &mut Remarks) -> Option<Url> {
    let mut found: Option<Url> = None;
    for href in &parts.canonicals {
        let Some(url) = links.resolve(href, "rel=canonical", remarks) else {
            continue;
        };
        match &found {
            None => found = Some(url),
            Some(first) if *first != url => {
                remarks.add(format!(
                    "the page has several rel=canonical links; {first} was taken, not {url}"
                ));
                break;
            }
            Some(_) => {}
        }
    }
    found
}
