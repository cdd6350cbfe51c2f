//! Naver EP 3.0: tab separated, a header row, no quoting.
//!
//! Column names and their order are those of the public EP 3.0 files that shop systems write; the last
//! two are later additions that not every reader knows, as real files have them. The summary has
//! `class` (I, U, D) and `update_time` beside, and only what differs from the day before.

use std::io;

use super::{TextSink, each_product};
use crate::model::{Event, Model};
use crate::number::{push_amount, push_number};
use crate::product::ShopProduct;

/// The columns of the full file, in order.
pub const EP_COLUMNS: [&str; 52] = [
    "id",
    "title",
    "price_pc",
    "price_mobile",
    "normal_price",
    "link",
    "mobile_link",
    "image_link",
    "add_image_link",
    "category_name1",
    "category_name2",
    "category_name3",
    "category_name4",
    "naver_category",
    "naver_product_id",
    "condition",
    "import_flag",
    "parallel_import",
    "order_made",
    "product_flag",
    "adult",
    "goods_type",
    "barcode",
    "manufacture_define_number",
    "model_number",
    "brand",
    "maker",
    "origin",
    "card_event",
    "event_words",
    "coupon",
    "partner_coupon_download",
    "interest_free_event",
    "point",
    "installation_costs",
    "pre_match_code",
    "search_tag",
    "group_id",
    "vendor_id",
    "coordi_id",
    "minimum_purchase_quantity",
    "review_count",
    "shipping",
    "delivery_grade",
    "delivery_detail",
    "attribute",
    "option_detail",
    "seller_id",
    "age_group",
    "gender",
    "includes_vat",
    "shipping_settings",
];

pub(super) fn full(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    header(sink.text());
    sink.text().push('\n');
    each_product(model, day, sink, |out, product| {
        row(out, product);
        out.push('\n');
    })
}

pub(super) fn summary(model: &Model, day: u32, sink: &mut TextSink<'_>) -> io::Result<()> {
    header(sink.text());
    sink.text().push_str("\tclass\tupdate_time\n");
    let time = model.published_seoul(day);
    let mut product = ShopProduct::empty();
    for slot in 0..model.universe(day) {
        let Some(event) = model.event(slot, day) else {
            continue;
        };
        let out = sink.text();
        let class = match event {
            Event::Gone => {
                // Naver asks for the id, the class and the time alone.
                out.push_str(&model.id(slot));
                skip(out, EP_COLUMNS.len() - 1);
                "\tD\t"
            }
            Event::New | Event::Changed => {
                model.fill(slot, day, &mut product);
                row(out, &product);
                if event == Event::New {
                    "\tI\t"
                } else {
                    "\tU\t"
                }
            }
        };
        out.push_str(class);
        out.push_str(&time);
        out.push('\n');
        sink.row()?;
    }
    Ok(())
}

fn header(out: &mut String) {
    for (n, name) in EP_COLUMNS.iter().enumerate() {
        if n > 0 {
            out.push('\t');
        }
        out.push_str(name);
    }
}

/// The cells in the order of `EP_COLUMNS`, without the line's end.
fn row(out: &mut String, p: &ShopProduct) {
    out.push_str(&p.id);
    cell(out, &p.title);
    for minor in [p.price_minor, p.price_minor, p.normal_price_minor] {
        out.push('\t');
        push_amount(out, minor, p.currency);
    }
    cell(out, &p.link);
    cell(out, &p.mobile_link);
    cell(out, &p.image_link);
    out.push('\t');
    for (n, link) in p.extra_image_links.iter().enumerate() {
        if n > 0 {
            out.push('|');
        }
        out.push_str(link);
    }
    for name in p.category_path {
        cell(out, name);
    }
    skip(out, 1); // category_name4
    cell(out, p.naver_category);
    skip(out, 1); // naver_product_id
    cell(out, p.condition_ko());
    skip(out, 4); // import_flag, parallel_import, order_made, product_flag
    skip(out, 2); // adult, goods_type
    cell(out, &p.gtin);
    cell(out, &p.mpn);
    cell(out, &p.model);
    cell(out, p.brand);
    cell(out, p.maker);
    cell(out, p.origin);
    skip(out, 1); // card_event
    cell(out, p.event_words);
    skip(out, 3); // coupon, partner_coupon_download, interest_free_event
    out.push_str("\t쇼핑몰자체포인트^");
    push_number(out, u64::from(p.point));
    skip(out, 2); // installation_costs, pre_match_code
    cell(out, &p.search_tag);
    cell(out, &p.group_id);
    skip(out, 2); // vendor_id, coordi_id
    cell(out, "1");
    out.push('\t');
    push_number(out, u64::from(p.review_count));
    out.push('\t');
    push_amount(out, p.shipping_minor, p.currency);
    skip(out, 2); // delivery_grade, delivery_detail
    cell(out, p.color);
    if !p.size.is_empty() {
        out.push('^');
        out.push_str(p.size);
    }
    skip(out, 2); // option_detail, seller_id
    cell(out, p.age_group);
    cell(out, p.gender);
    cell(out, "Y");
    skip(out, 1); // shipping_settings
}

fn cell(out: &mut String, text: &str) {
    out.push('\t');
    out.push_str(text);
}

/// Empty cells.
fn skip(out: &mut String, cells: usize) {
    for _ in 0..cells {
        out.push('\t');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::spec::ShopSpec;

    #[test]
    fn every_cell_stands_under_its_name() {
        let model = Model::new(&ShopSpec::new("t", 3, 400), "http://shop.example").unwrap();
        for p in model.products(0) {
            let mut line = String::new();
            row(&mut line, &p);
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), EP_COLUMNS.len());
            let at = |name: &str| {
                cells[EP_COLUMNS
                    .iter()
                    .position(|column| *column == name)
                    .unwrap()]
            };
            assert_eq!(at("title"), p.title);
            assert_eq!(at("price_pc"), p.price_minor.to_string());
            assert_eq!(at("normal_price"), p.normal_price_minor.to_string());
            assert_eq!(at("add_image_link"), p.extra_image_links.join("|"));
            assert_eq!(at("category_name3"), p.category_path[2]);
            assert_eq!(at("naver_category"), p.naver_category);
            assert_eq!(at("condition"), p.condition_ko());
            assert_eq!(at("barcode"), p.gtin);
            assert_eq!(at("manufacture_define_number"), p.mpn);
            assert_eq!(at("model_number"), p.model);
            assert_eq!(at("origin"), p.origin);
            assert_eq!(at("event_words"), p.event_words);
            assert!(at("point").ends_with(&format!("^{}", p.point)));
            assert_eq!(at("search_tag"), p.search_tag);
            assert_eq!(at("group_id"), p.group_id);
            assert_eq!(at("minimum_purchase_quantity"), "1");
            assert_eq!(at("review_count"), p.review_count.to_string());
            assert_eq!(at("shipping"), p.shipping_minor.to_string());
            assert!(at("attribute").starts_with(p.color));
            assert_eq!(at("age_group"), p.age_group);
            assert_eq!(at("gender"), p.gender);
            assert_eq!(at("includes_vat"), "Y");
        }
    }
}
