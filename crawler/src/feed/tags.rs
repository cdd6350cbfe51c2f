//! The fields of tagged engine pages and the columns that they fill.
//!
//! Naver's guide to the engine page before EP 3.0 (지식쇼핑 상품 EP 제작 및 연동
//! 가이드, 2010) and Daum's to its own (쇼핑하우) are no longer published; the
//! table follows what open shop software of that time quotes from them and
//! writes: gnuboard5 (`shop/price/naver*.php`, `daum*.php`), Godo, Firstmall,
//! WooCommerce Korea. Both name most fields alike, so that one table reads
//! both. Tags that no column takes go to `extra`, among them `caid1` to `caid4`
//! (numbers of the partner's categories), `pdate` (month of publication),
//! `mcoupon` (coupon for mobile devices), `weight` (rank, not grams), and the
//! prices in dollars of duty-free shops.

/// What a tag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Column(&'static str),
    /// A level of a path, from the root.
    Level(&'static str, u8),
    Class,
    /// Of no use to anybody but the portal.
    Nowhere,
}

use Place::{Class, Column, Level, Nowhere};

pub(super) const TAGS: &[(&str, Place)] = &[
    ("mapid", Column("id")),
    ("pname", Column("title")),
    ("price", Column("price_minor")),
    ("lprice", Column("list_price_minor")),
    ("mpric", Column("mobile_price_minor")),
    ("mprice", Column("mobile_price_minor")),
    ("pgurl", Column("link")),
    ("mourl", Column("mobile_link")),
    ("igurl", Column("image_link")),
    ("cate1", Level("category_path", 0)),
    ("cate2", Level("category_path", 1)),
    ("cate3", Level("category_path", 2)),
    ("cate4", Level("category_path", 3)),
    ("model", Column("model")),
    ("brand", Column("brand")),
    ("maker", Column("maker")),
    ("origi", Column("origin")),
    ("barcode", Column("gtin")),
    ("deliv", Column("shipping_cost_minor")),
    ("dlvga", Column("shipping_differs")),
    ("dlvdt", Column("shipping_detail")),
    ("insco", Column("installation_costs_extra")),
    ("event", Column("event_words")),
    ("coupo", Column("coupon")),
    ("coupon", Column("coupon")),
    ("pcpdn", Column("coupon_download_required")),
    ("pcard", Column("interest_free_event")),
    ("point", Column("points")),
    ("revct", Column("review_count")),
    ("selid", Column("seller_id")),
    ("adult", Column("adult")),
    ("utime", Column("partner_updated")),
    ("class", Class),
    // Whether, or when, the image changed: Trawler looks for itself.
    ("upimg", Nowhere),
    ("updateimg", Nowhere),
];

/// Names of the generation before, whose records carry `pid`: Daum's first
/// engine page, which has numbers of categories where later ones have names.
pub(super) const OLDER: &[(&str, &str)] = &[
    ("pid", "mapid"),
    ("cate1", "caid1"),
    ("cate2", "caid2"),
    ("cate3", "caid3"),
    ("cate4", "caid4"),
    ("catename1", "cate1"),
    ("catename2", "cate2"),
    ("catename3", "cate3"),
    ("catename4", "cate4"),
    ("purl", "pgurl"),
    ("imgurl", "igurl"),
    ("delivery", "dlvdt"),
];

/// The id of a record of the generation before.
pub(super) const OLDER_ID: &str = "pid";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use trawler_core::product::column_index;

    use super::*;

    #[test]
    fn tags_name_columns_and_come_once() {
        let names: BTreeSet<&str> = TAGS.iter().map(|(tag, _)| *tag).collect();
        assert_eq!(names.len(), TAGS.len());
        for (tag, place) in TAGS {
            if let Column(name) | Level(name, _) = place {
                assert!(column_index(name).is_some(), "{tag}: {name}");
            }
        }
        let older: BTreeSet<&str> = OLDER.iter().map(|(tag, _)| *tag).collect();
        assert_eq!(older.len(), OLDER.len());
    }
}
