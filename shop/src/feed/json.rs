//! JSON: one document with the products under `data.items`, or one object a line.
//!
//! Prices are JSON numbers in the major unit, as shops write them.

use std::io;

use super::{TextSink, each_product};
use crate::markup::push_json_string;
use crate::model::Model;
use crate::number::{push_amount, push_number};
use crate::product::ShopProduct;

pub(super) fn document(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    let out = sink.text();
    out.push_str("{\"status\":\"ok\",\"shop\":");
    push_json_string(out, &model.spec().name);
    out.push_str(",\"data\":{\"items\":[");
    let mut first = true;
    each_product(model, day, sink, |out, p| {
        out.push_str(if first { "\n" } else { ",\n" });
        first = false;
        object(out, p);
    })?;
    sink.text().push_str("\n]}}\n");
    Ok(())
}

pub(super) fn lines(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    each_product(model, day, sink, |out, p| {
        object(out, p);
        out.push('\n');
    })
}

fn object(out: &mut String, p: &ShopProduct) {
    out.push_str("{\"id\":");
    push_json_string(out, &p.id);
    for (key, text) in [
        ("name", &*p.title),
        ("url", &p.link),
        ("mobile_url", &p.mobile_link),
        ("image", &p.image_link),
        ("brand", p.brand),
        ("maker", p.maker),
        ("model", &p.model),
        ("gtin", &p.gtin),
        ("mpn", &p.mpn),
        ("color", p.color),
        ("size", p.size),
        ("condition", p.condition_en()),
        ("group_id", &p.group_id),
        ("description", &p.description),
        ("currency", p.currency.code()),
    ] {
        out.push_str(",\"");
        out.push_str(key);
        out.push_str("\":");
        push_json_string(out, text);
    }
    out.push_str(",\"price\":");
    push_amount(out, p.price_minor, p.currency);
    out.push_str(",\"list_price\":");
    push_amount(out, p.normal_price_minor, p.currency);
    out.push_str(",\"shipping\":");
    push_amount(out, p.shipping_minor, p.currency);
    out.push_str(",\"reviews\":");
    push_number(out, u64::from(p.review_count));
    out.push_str(",\"in_stock\":");
    out.push_str(if p.in_stock { "true" } else { "false" });
    out.push_str(",\"images\":[");
    array(out, p.extra_image_links.iter().map(String::as_str));
    out.push_str("],\"categories\":[");
    array(out, p.category_path);
    out.push_str("]}");
}

fn array<'a>(out: &mut String, texts: impl IntoIterator<Item = &'a str>) {
    for (n, text) in texts.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        push_json_string(out, text);
    }
}
