//! Real pages, beside what an established extractor reads from them. They are
//! not part of this tree; where they are absent the tests say so and pass.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::remarks::Remarks;
use super::value::Value;
use super::*;
use crate::real::real;

fn page_url() -> Url {
    Url::parse("https://shop.example/goods/").unwrap()
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "html")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn report(path: &Path) -> PageReport {
    extract(&fs::read(path).unwrap(), None, &page_url())
}

/// The expected value of a field of the first Product in an extractor's
/// microdata output.
fn expected(item: &Json, path: &[&str]) -> Option<String> {
    let mut at = item;
    for name in path {
        at = at.get("properties")?.get(name)?;
        at = at.get(0).unwrap_or(at);
    }
    at.as_str().map(str::to_owned)
}

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn products_agree_with_the_reference() {
    let Some(folder) = real("structured") else {
        return;
    };
    for (page, reference) in [
        ("schema.org/product.html", "schema.org/product.json"),
        ("schema.org/product-ref.html", "schema.org/product-ref.json"),
        ("misc/product_microdata.html", "schema.org/product.json"),
        (
            "websites/microdata-with-description.html",
            "websites/microdata-with-description.json",
        ),
    ] {
        let reference: Json =
            serde_json::from_slice(&fs::read(folder.join(reference)).unwrap()).unwrap();
        let item = &reference[0];
        let product = report(&folder.join(page)).product.unwrap();
        let text =
            |found: &Option<Found<String>>| found.as_ref().map(|found| collapsed(&found.value));
        assert_eq!(text(&product.title), expected(item, &["name"]), "{page}");
        assert_eq!(
            product.title.as_ref().unwrap().from,
            Rule::Microdata,
            "{page}"
        );
        assert_eq!(text(&product.brand), expected(item, &["brand"]), "{page}");
        assert_eq!(text(&product.mpn), expected(item, &["mpn"]), "{page}");
        assert_eq!(
            text(&product.description),
            expected(item, &["description"]).map(|text| collapsed(&text)),
            "{page}"
        );
        let image = expected(item, &["image"]).map(|image| page_url().join(&image).unwrap());
        assert_eq!(product.image_link.map(|found| found.value), image, "{page}");
        let price = product.price.unwrap().value;
        let price = format!(
            "{}.{:02}",
            price.amount_minor / 100,
            price.amount_minor % 100
        );
        let lowest =
            expected(item, &["offers", "price"]).or(expected(item, &["offers", "lowPrice"]));
        assert_eq!(Some(price), lowest, "{page}");
        let currency = product.currency.map(|found| found.value.to_string());
        assert_eq!(
            currency,
            expected(item, &["offers", "priceCurrency"]),
            "{page}"
        );
        assert_eq!(
            product.availability.unwrap().value,
            Availability::InStock,
            "{page}"
        );
    }
}

#[test]
fn meta_tags_agree_with_the_reference() {
    let Some(folder) = real("structured") else {
        return;
    };
    let report = report(&folder.join("misc/opengraph_ns_product_test.html"));
    let product = report.product.unwrap();
    let check = |found: Option<Found<String>>, value: &str, from: Rule| {
        assert_eq!(
            found,
            Some(Found {
                value: value.to_owned(),
                from
            })
        );
    };
    // The page also has microdata, which comes first where it has a field.
    check(
        product.title,
        "Better Off Dead [Exclusive Blu-ray Steelbook]",
        Rule::Microdata,
    );
    check(product.id, "fye.000000032429335302", Rule::OpenGraph);
    check(product.gtin, "032429335302", Rule::OpenGraph);
    assert_eq!(product.price.unwrap().value.amount_minor, 1799);
    assert_eq!(product.currency.unwrap().value.as_str(), "USD");
    assert_eq!(product.availability.unwrap().value, Availability::InStock);
    assert_eq!(
        report.canonical.unwrap().as_str(),
        "https://www.fye.com/better-off-dead-exclusive-blu-ray-steelbook-fye.000000032429335302.html"
    );
}

#[test]
fn pages_without_product_have_none() {
    let Some(folder) = real("structured") else {
        return;
    };
    let has_product = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("product")
            || [
                // A book with an offer.
                "CreativeWork.001.html",
                "microdata-with-description.html",
                "microdata.4.2.meter.html",
                "opengraph_ns_product_test.html",
            ]
            .contains(&name)
    };
    let files = files(&folder);
    assert_eq!(files.len(), 56);
    for path in files {
        let report = report(&path);
        assert_eq!(
            report.product.is_some(),
            has_product(&path),
            "{}: {:?}",
            path.display(),
            report.product
        );
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(yes) => Json::Bool(*yes),
        Value::Number(digits) => serde_json::from_str(digits).unwrap(),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(list) => list.iter().map(to_json).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), to_json(value)))
            .collect(),
    }
}

/// Every JSON-LD block of a page as the reference has it, the broken ones
/// included; these leave remarks.
#[test]
fn json_ld_agrees_with_the_reference() {
    let Some(folder) = real("structured") else {
        return;
    };
    let mut compared = 0;
    for path in files(&folder) {
        let reference = path.with_extension("jsonld");
        if !reference.is_file() {
            continue;
        }
        compared += 1;
        let reference: Json = serde_json::from_slice(&fs::read(reference).unwrap()).unwrap();
        let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
        let document = guard::parse(text, &mut Remarks::default());
        let blocks = scan::scan(&document, &mut Remarks::default()).json_ld;
        let mut found: Vec<Json> = Vec::new();
        let mut repairs = 0;
        for block in &blocks {
            let Some(parsed) = json::parse(block).unwrap() else {
                continue;
            };
            repairs += parsed.repairs.len();
            match to_json(&parsed.value) {
                Json::Null | Json::Bool(_) => {}
                Json::Array(list) => found.extend(list),
                object => found.push(object),
            }
        }
        // One reference keeps the blocks apart, each a list of its own.
        let reference: Vec<Json> = match reference {
            Json::Array(items) => items,
            mut blocks => serde_json::from_value::<Vec<Vec<Json>>>(blocks["items"].take())
                .unwrap()
                .concat(),
        };
        for (found, expected) in found.iter().zip(&reference) {
            assert_eq!(found, expected, "{}", path.display());
        }
        assert_eq!(found.len(), reference.len(), "{}", path.display());
        let is_invalid = path
            .parent()
            .unwrap()
            .to_str()
            .unwrap()
            .ends_with(".invalid");
        assert!(!is_invalid || repairs > 0, "{}", path.display());
        if is_invalid {
            let told = report(&path).remarks.join("; ");
            assert!(told.contains("JSON-LD block 1 is not valid JSON"), "{told}");
        }
    }
    assert_eq!(compared, 12, "pages compared");
}

#[test]
fn all_book_pages_are_products() {
    let Some(folder) = real("books") else {
        return;
    };
    let pages = files(&folder);
    assert_eq!(pages.len(), 200);
    let url = Url::parse("https://books.example/catalogue/a-book_1/index.html").unwrap();
    for path in pages {
        let bytes = fs::read(&path).unwrap();
        let report = extract(&bytes, None, &url);
        let told = format!("{}: {:?}", path.display(), report.remarks);
        let product = report.product.expect(&told);
        let text = String::from_utf8(bytes).unwrap();
        let between = |start: &str, end: &str| {
            let from = text.find(start).expect(start) + start.len();
            text[from..from + text[from..].find(end).unwrap()].to_owned()
        };
        let title = dom::plain_text(&between("<h1>", "</h1>"), 1000);
        assert_eq!(product.title.expect(&told).value, title);
        let price = product.price.expect(&told);
        assert_eq!(price.from, Rule::Html);
        assert_eq!(price.value.currency.as_str(), "GBP");
        let pence: i64 = between("price_color\">£", "<")
            .replace('.', "")
            .parse()
            .unwrap();
        assert_eq!(price.value.amount_minor, pence, "{told}");
        let image = between("<img src=\"../../", "\"");
        let image = format!("https://books.example/{image}");
        assert_eq!(
            product.image_link.expect(&told).value.as_str(),
            image,
            "{told}"
        );
        assert!(product.availability.is_some(), "{told}");
        let crumbs = product.breadcrumbs.expect(&told).value;
        assert_eq!(crumbs[..2], ["Home", "Books"], "{told}");
        assert_eq!(product.link.expect(&told).value, url);
        assert_eq!(report.charset, "UTF-8");
    }
}
