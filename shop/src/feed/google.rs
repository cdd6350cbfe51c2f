//! Google Merchant, tab separated: cells with a quote are quoted, line breaks become spaces.
//!
//! As the specification has it, `price` is the price before discount and `sale_price` what the buyer
//! pays; without a discount `sale_price` is empty.

use std::io;

use super::{TextSink, each_product};
use crate::model::Model;
use crate::number::push_amount;
use crate::product::ShopProduct;
use crate::spec::Currency;

/// The columns, in order.
pub const GOOGLE_COLUMNS: [&str; 22] = [
    "id",
    "title",
    "description",
    "link",
    "mobile_link",
    "image_link",
    "additional_image_link",
    "availability",
    "price",
    "sale_price",
    "brand",
    "gtin",
    "mpn",
    "condition",
    "google_product_category",
    "product_type",
    "item_group_id",
    "color",
    "size",
    "gender",
    "age_group",
    "shipping",
];

pub(super) fn tsv(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    let out = sink.text();
    for (n, name) in GOOGLE_COLUMNS.iter().enumerate() {
        if n > 0 {
            out.push('\t');
        }
        out.push_str(name);
    }
    out.push('\n');
    each_product(model, day, sink, row)
}

fn row(out: &mut String, p: &ShopProduct) {
    out.push_str(&p.id);
    cell(out, &p.title);
    cell(out, &p.description);
    cell(out, &p.link);
    cell(out, &p.mobile_link);
    cell(out, &p.image_link);
    out.push('\t');
    for (n, link) in p.extra_image_links.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(link);
    }
    cell(out, availability(p));
    out.push('\t');
    push_price(out, p.normal_price_minor, p.currency);
    out.push('\t');
    if p.is_discounted() {
        push_price(out, p.price_minor, p.currency);
    }
    cell(out, p.brand);
    cell(out, &p.gtin);
    cell(out, &p.mpn);
    cell(out, p.condition_en());
    cell(out, p.google_category);
    out.push('\t');
    push_category_path(out, p);
    cell(out, &p.group_id);
    cell(out, p.color);
    cell(out, p.size);
    cell(out, p.gender_en());
    cell(out, p.age_group_en());
    out.push_str("\tKR:::");
    push_price(out, p.shipping_minor, p.currency);
    out.push('\n');
}

pub(super) fn availability(p: &ShopProduct) -> &'static str {
    if p.in_stock {
        "in_stock"
    } else {
        "out_of_stock"
    }
}

/// `12900 KRW`.
pub(super) fn push_price(out: &mut String, minor: u64, currency: Currency) {
    push_amount(out, minor, currency);
    out.push(' ');
    out.push_str(currency.code());
}

/// `A > B > C`.
pub(super) fn push_category_path(out: &mut String, p: &ShopProduct) {
    for (n, name) in p.category_path.iter().enumerate() {
        if n > 0 {
            out.push_str(" > ");
        }
        out.push_str(name);
    }
}

fn cell(out: &mut String, text: &str) {
    out.push('\t');
    let quoted = text.contains('"');
    if quoted {
        out.push('"');
    }
    if quoted || text.contains(['\n', '\t']) {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\"\""),
                '\n' | '\t' => out.push(' '),
                c => out.push(c),
            }
        }
    } else {
        out.push_str(text);
    }
    if quoted {
        out.push('"');
    }
}
