//! CSV after RFC 4180 with the separator of the specification: every text quoted, numbers bare.
//!
//! Column names are the shop's own, so that a pipe has to map them.

use std::io;

use super::google::push_category_path;
use super::{TextSink, each_product};
use crate::model::Model;
use crate::number::{push_amount, push_number};
use crate::product::ShopProduct;

const COLUMNS: [&str; 17] = [
    "product_id",
    "name",
    "price",
    "list_price",
    "currency",
    "url",
    "image",
    "images",
    "category",
    "brand",
    "maker",
    "model",
    "barcode",
    "stock",
    "color",
    "size",
    "description",
];

pub(super) fn csv(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    let separator = char::from(model.spec().csv_separator);
    let out = sink.text();
    out.push_str(&COLUMNS.join(separator.encode_utf8(&mut [0; 4])));
    out.push_str("\r\n");
    each_product(model, day, sink, |out, p| row(out, p, separator))
}

fn row(out: &mut String, p: &ShopProduct, separator: char) {
    let text = |out: &mut String, text: &str| {
        push_quoted(out, text);
        out.push(separator);
    };
    text(out, &p.id);
    text(out, &p.title);
    push_amount(out, p.price_minor, p.currency);
    out.push(separator);
    push_amount(out, p.normal_price_minor, p.currency);
    out.push(separator);
    text(out, p.currency.code());
    text(out, &p.link);
    text(out, &p.image_link);
    text(out, &p.extra_image_links.join("|"));
    out.push('"');
    push_category_path(out, p);
    out.push('"');
    out.push(separator);
    text(out, p.brand);
    text(out, p.maker);
    text(out, &p.model);
    text(out, &p.gtin);
    push_number(out, u64::from(p.in_stock));
    out.push(separator);
    text(out, p.color);
    text(out, p.size);
    push_quoted(out, &p.description);
    out.push_str("\r\n");
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        out.push_str(&rest[..=at]);
        out.push('"');
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
