//! RSS 2.0 and Atom 1.0, with the product data in Google's namespace.
//!
//! RSS carries the description in CDATA and Atom escaped, so that readers meet both.

use std::io;

use super::google::{availability, push_category_path, push_price};
use super::{TextSink, each_product};
use crate::markup::push_escaped;
use crate::model::Model;
use crate::product::ShopProduct;

const GOOGLE_NAMESPACE: &str = "http://base.google.com/ns/1.0";

pub(super) fn rss(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    let charset = model.spec().charset.label();
    let out = sink.text();
    out.push_str(&format!(
        "<?xml version=\"1.0\" encoding=\"{charset}\"?>\n\
         <rss version=\"2.0\" xmlns:g=\"{GOOGLE_NAMESPACE}\">\n<channel>\n"
    ));
    element(out, "title", &model.spec().name);
    element(out, "link", model.base_url());
    element(out, "description", "전체 상품");
    let date = model.published(model.content_day(day)).to_rfc2822();
    element(out, "pubDate", &date);
    each_product(model, day, sink, |out, p| {
        out.push_str("<item>\n");
        element(out, "title", &p.title);
        element(out, "link", &p.link);
        // The vocabulary holds no `]]>`.
        out.push_str("<description><![CDATA[");
        out.push_str(&p.description);
        out.push_str("]]></description>\n");
        google_elements(out, p);
        out.push_str("</item>\n");
    })?;
    sink.text().push_str("</channel>\n</rss>\n");
    Ok(())
}

pub(super) fn atom(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    let charset = model.spec().charset.label();
    let base = model.base_url();
    let out = sink.text();
    out.push_str(&format!(
        "<?xml version=\"1.0\" encoding=\"{charset}\"?>\n\
         <feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:g=\"{GOOGLE_NAMESPACE}\">\n"
    ));
    element(out, "id", base);
    element(out, "title", &model.spec().name);
    link(out, base);
    let date = model.published(model.content_day(day)).to_rfc3339();
    element(out, "updated", &date);
    let dates: Vec<String> = (0..=day)
        .map(|day| model.published(day).to_rfc3339())
        .collect();
    each_product(model, day, sink, |out, p| {
        out.push_str("<entry>\n");
        element(out, "id", &p.link);
        element(out, "title", &p.title);
        link(out, &p.link);
        element(out, "updated", &dates[p.updated_day as usize]);
        element(out, "summary", &p.description);
        google_elements(out, p);
        out.push_str("</entry>\n");
    })?;
    sink.text().push_str("</feed>\n");
    Ok(())
}

fn google_elements(out: &mut String, p: &ShopProduct) {
    element(out, "g:id", &p.id);
    element(out, "g:mobile_link", &p.mobile_link);
    element(out, "g:image_link", &p.image_link);
    for image in &p.extra_image_links {
        element(out, "g:additional_image_link", image);
    }
    element(out, "g:availability", availability(p));
    out.push_str("<g:price>");
    push_price(out, p.normal_price_minor, p.currency);
    out.push_str("</g:price>\n");
    if p.is_discounted() {
        out.push_str("<g:sale_price>");
        push_price(out, p.price_minor, p.currency);
        out.push_str("</g:sale_price>\n");
    }
    element(out, "g:brand", p.brand);
    optional(out, "g:gtin", &p.gtin);
    optional(out, "g:mpn", &p.mpn);
    element(out, "g:condition", p.condition_en());
    element(out, "g:google_product_category", p.google_category);
    out.push_str("<g:product_type>");
    let at = out.len();
    push_category_path(out, p);
    let path = out.split_off(at);
    push_escaped(out, &path);
    out.push_str("</g:product_type>\n");
    optional(out, "g:item_group_id", &p.group_id);
    element(out, "g:color", p.color);
    optional(out, "g:size", p.size);
    optional(out, "g:gender", p.gender_en());
    element(out, "g:age_group", p.age_group_en());
    out.push_str("<g:shipping><g:country>KR</g:country><g:price>");
    push_price(out, p.shipping_minor, p.currency);
    out.push_str("</g:price></g:shipping>\n");
}

fn element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    push_escaped(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push_str(">\n");
}

fn optional(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        element(out, name, text);
    }
}

fn link(out: &mut String, href: &str) {
    out.push_str("<link rel=\"alternate\" href=\"");
    push_escaped(out, href);
    out.push_str("\"/>\n");
}
