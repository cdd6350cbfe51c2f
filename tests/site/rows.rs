//! The rows of a shop's site as the model knows them, and as the catalogue has
//! them, in the same words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde_json::Value;
use trawler_shop::{Model, SiteProduct};

use crate::look::text;
use crate::support::Folder;

/// What every kind of markup carries of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) title: String,
    pub(crate) price_minor: i64,
    pub(crate) currency: String,
    pub(crate) availability: String,
    /// The main one first.
    pub(crate) images: Vec<String>,
    pub(crate) link: String,
    pub(crate) brand: String,
    pub(crate) category: String,
    /// Empty where there are no variants.
    pub(crate) group: String,
}

pub(crate) type Rows = BTreeMap<String, Row>;

/// What a correct crawl of a day ends with.
pub(crate) fn truth(model: &Model, day: u32) -> Rows {
    rows_of(model.site_catalogue(day))
}

pub(crate) fn rows_of(products: impl IntoIterator<Item = SiteProduct>) -> Rows {
    let rows = products.into_iter().map(|product| {
        let row = Row {
            price_minor: minor(&product.price, product.currency),
            title: product.title,
            currency: product.currency.to_owned(),
            availability: match product.in_stock {
                true => "in_stock".to_owned(),
                false => "out_of_stock".to_owned(),
            },
            images: product.images,
            link: product.link,
            brand: product.brand.to_owned(),
            category: product.category_path.join(">"),
            group: product.group_id.unwrap_or_default(),
        };
        (product.id, row)
    });
    rows.collect()
}

fn minor(price: &str, currency: &str) -> i64 {
    let (whole, cents) = price.split_once('.').unwrap_or((price, ""));
    let digits = match currency {
        "KRW" => whole.to_owned(),
        _ => format!("{whole}{cents:0<2}"),
    };
    digits.parse().unwrap()
}

/// The rows of a pipe in a folder's catalogue.
pub(crate) fn found(folder: &Folder, pipe: &str) -> Rows {
    let rows = folder.rows(pipe).into_iter();
    rows.map(|(id, row)| (id, row_of(&row))).collect()
}

/// The rows that `products --json` printed.
pub(crate) fn printed(products: &Value) -> Rows {
    let rows = products["products"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "id"), row_of(row))).collect()
}

fn row_of(row: &Value) -> Row {
    let further = row["additional_image_links"].as_array();
    let further = further.into_iter().flatten();
    let further = further.map(|link| link.as_str().unwrap_or_default().to_owned());
    let main = Some(text(row, "image_link")).filter(|link| !link.is_empty());
    // A page's reduced price is what the buyer pays.
    let price = row["sale_price_minor"].as_i64();
    Row {
        title: text(row, "title"),
        price_minor: price.or(row["price_minor"].as_i64()).unwrap_or(-1),
        currency: text(row, "currency"),
        availability: text(row, "availability"),
        images: main.into_iter().chain(further).collect(),
        link: text(row, "link"),
        brand: text(row, "brand"),
        category: text(row, "category_path"),
        group: text(row, "item_group_id"),
    }
}

/// Differences that are shown.
const SHOWN_MAX: usize = 6;

/// The fields that differ.
fn differences(found: &Row, expected: &Row) -> String {
    let mut told = Vec::new();
    let mut compare = |field: &str, found: &dyn Debug, expected: &dyn Debug| {
        let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
        if found != expected {
            told.push(format!("{field} {found}, not {expected}"));
        }
    };
    compare("title", &found.title, &expected.title);
    compare("price", &found.price_minor, &expected.price_minor);
    compare("currency", &found.currency, &expected.currency);
    compare("availability", &found.availability, &expected.availability);
    compare("images", &found.images, &expected.images);
    compare("link", &found.link, &expected.link);
    compare("brand", &found.brand, &expected.brand);
    compare("category", &found.category, &expected.category);
    compare("group", &found.group, &expected.group);
    told.join("; ")
}

/// Exactly these rows; says in few words what differs.
#[track_caller]
pub(crate) fn assert_exact(found: &Rows, expected: &Rows, what: &str) {
    let links: BTreeSet<&str> = found.values().map(|row| row.link.as_str()).collect();
    // Pages that gave no row at all; then those that gave another one.
    let (mut missing, mut elsewhere) = (Vec::new(), Vec::new());
    let mut different: Vec<String> = Vec::new();
    for (id, row) in expected {
        match found.get(id) {
            None if links.contains(&*row.link) => elsewhere.push(format!("{id} at {}", row.link)),
            None => missing.push(format!("{id} at {} and nothing else there", row.link)),
            Some(other) if other != row => {
                different.push(format!("{id} at {}: {}", row.link, differences(other, row)));
            }
            Some(_) => {}
        }
    }
    missing.extend(elsewhere);
    let more = found.iter().filter(|(id, _)| !expected.contains_key(*id));
    let more: Vec<String> = more
        .map(|(id, row)| format!("{id} at {}", row.link))
        .collect();
    let show = |list: &[String]| list[..list.len().min(SHOWN_MAX)].join("\n");
    assert!(
        missing.is_empty() && different.is_empty() && more.is_empty(),
        "{what}: of {} rows {} are missing, {} differ, {} are too many\n\
         missing:\n{}\ndifferent:\n{}\ntoo many:\n{}",
        expected.len(),
        missing.len(),
        different.len(),
        more.len(),
        show(&missing),
        show(&different),
        show(&more),
    );
}
