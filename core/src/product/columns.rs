//! The table of product columns. `id` comes first; the order is the order in
//! the catalogue. What a partner sends and no column takes goes to the
//! catalogue's `extra` map.

use super::column::{Column, Kind};

const fn text(
    name: &'static str,
    naver_ep: Option<&'static str>,
    merchant: Option<&'static str>,
    doc: &'static str,
) -> Column {
    Column {
        name,
        kind: Kind::Text,
        unit: None,
        naver_ep,
        merchant,
        doc,
    }
}

pub const COLUMNS: &[Column] = &[
    text(
        "id",
        Some("id"),
        Some("id"),
        "The partner's own product id, unique within the pipe.",
    ),
    text(
        "title",
        Some("title"),
        Some("title"),
        "Name of the product as the partner writes it.",
    ),
    Column {
        name: "price_minor",
        kind: Kind::Int,
        unit: Some("minor units of currency"),
        naver_ep: Some("price_pc"),
        merchant: Some("price"),
        doc: "Regular selling price.",
    },
    text(
        "currency",
        None,
        None,
        "ISO 4217 code of every amount in the row.",
    ),
    text("link", Some("link"), Some("link"), "Product page."),
    text(
        "image_link",
        Some("image_link"),
        Some("image_link"),
        "Main image.",
    ),
];
