//! `trawler try page`: what one page sells, and which rule gave each field.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use trawler_core::pipe::Pipe;
use trawler_core::product::{Currency, Money};
use trawler_core::site::SiteOptions;
use trawler_crawler::page::{Extractor, Found, PageReport, Variant};
use url::Url;

use super::{charset_of, fetch, read_file, show, web_url};
use crate::args::TryPageArgs;
use crate::config;
use crate::end::{End, Misuse};
use crate::output::{self, Row};

/// Where a page from a file came from, if nobody says.
const NOWHERE: &str = "https://page.invalid/";

/// Characters of a value that people are shown.
const SHOWN_CHARS: usize = 200;

/// Variants that people are shown.
const VARIANTS_SHOWN: usize = 20;

pub(super) async fn run(dir: &Path, args: &TryPageArgs, as_json: bool) -> anyhow::Result<End> {
    let pipe = match &args.pipe {
        Some(id) => Some(named(dir, id)?),
        None => None,
    };
    let extractor = extractor(pipe.as_ref())?;
    let (bytes, charset, url) = match web_url(&args.input) {
        Some(url) => {
            let got = fetch(dir, &url, &args.way, pipe.as_ref()).await?;
            let charset = got.content_type.as_deref().and_then(charset_of);
            (got.bytes, charset.map(str::to_owned), got.url)
        }
        None => {
            let text = args.url.as_deref().unwrap_or(NOWHERE);
            let url =
                Url::parse(text).map_err(|error| Misuse::new(format!("--url {text}: {error}")))?;
            (read_file(&args.input)?, None, url)
        }
    };
    let reading =
        tokio::task::spawn_blocking(move || extractor.extract(&bytes, charset.as_deref(), &url));
    let report = reading.await.context("read the page")?;
    if as_json {
        output::json(&Shown::new(&report)?)?;
    } else {
        print(&report)?;
    }
    Ok(match &report.product {
        Some(_) => End::Done,
        None => End::Left,
    })
}

fn named(dir: &Path, id: &str) -> anyhow::Result<Pipe> {
    let loaded = config::load(dir).map_err(Misuse::config)?;
    let mut pipes = loaded.pipes.into_iter();
    let pipe = pipes.find(|pipe| pipe.id.as_str() == id);
    pipe.ok_or_else(|| Misuse::new(format!("--pipe {id}: no such pipe")).into())
}

/// The rules of the pipe, or none.
fn extractor(pipe: Option<&Pipe>) -> anyhow::Result<Extractor> {
    let Some(pipe) = pipe else {
        return Ok(Extractor::default());
    };
    let site: SiteOptions = pipe.site.clone().unwrap_or_default();
    let extractor = Extractor::new(&site.extract)
        .map_err(|error| Misuse::new(format!("{:#}", anyhow::Error::from(error))))?;
    Ok(extractor.with_currency(site.currency))
}

/// What is printed as JSON: the fields by their plain names, then how they
/// came about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'r> {
    url: &'r Url,
    kind: &'static str,
    canonical: Option<&'r Url>,
    charset: &'static str,
    id: Option<&'r str>,
    name: Option<&'r str>,
    /// Decimal, in the page's currency.
    price: Option<String>,
    regular_price: Option<String>,
    currency: Option<String>,
    /// Whether it can be ordered: `InStock` or `OutOfStock`.
    availability: Option<&'static str>,
    /// The same in all words of schema.org.
    availability_detail: Option<serde_json::Value>,
    sku: Option<&'r str>,
    mpn: Option<&'r str>,
    gtin: Option<&'r str>,
    brand: Option<&'r str>,
    description: Option<&'r str>,
    images: Vec<&'r Url>,
    breadcrumbs: &'r [String],
    category: Option<&'r str>,
    condition: Option<&'r str>,
    color: Option<&'r str>,
    size: Option<&'r str>,
    material: Option<&'r str>,
    group_id: Option<&'r str>,
    rating: Option<&'r str>,
    review_count: Option<u64>,
    link: Option<&'r Url>,
    columns: BTreeMap<&'r str, &'r [String]>,
    variants: Vec<ShownVariant<'r>>,
    /// Field and the rule that gave it.
    rules: BTreeMap<String, serde_json::Value>,
    /// The fields as they are kept, with their rules.
    product: Option<serde_json::Value>,
    remarks: &'r [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownVariant<'r> {
    id: &'r str,
    name: Option<&'r str>,
    price: Option<String>,
    regular_price: Option<String>,
    currency: Option<String>,
    availability: Option<&'static str>,
    sku: Option<&'r str>,
    mpn: Option<&'r str>,
    gtin: Option<&'r str>,
    images: &'r [Url],
    url: Option<&'r Url>,
    options: &'r [String],
}

/// Fields of the report by their names here.
const NAMES: &[(&str, &str)] = &[
    ("title", "name"),
    ("list_price", "regularPrice"),
    ("image_link", "images"),
    ("group_id", "groupId"),
    ("review_count", "reviewCount"),
];

impl<'r> Shown<'r> {
    fn new(report: &'r PageReport) -> anyhow::Result<Self> {
        let product = report.product.as_ref();
        let text = |found: Option<&'r Option<Found<String>>>| {
            found?.as_ref().map(|found| found.value.as_str())
        };
        let availability = product.and_then(|product| product.availability.as_ref());
        let availability = availability.map(|found| found.value);
        let detail = availability.map(serde_json::to_value).transpose()?;
        let price = product.and_then(|product| product.price.as_ref());
        let list_price = product.and_then(|product| product.list_price.as_ref());
        let first = product.and_then(|product| product.image_link.as_ref());
        let more = product.and_then(|product| product.additional_image_links.as_ref());
        let images = first.map(|found| &found.value).into_iter();
        let breadcrumbs = product.and_then(|product| product.breadcrumbs.as_ref());
        let detailed = product.map(serde_json::to_value).transpose()?;
        Ok(Self {
            url: &report.url,
            kind: report.kind.name(),
            canonical: report.canonical.as_ref(),
            charset: report.charset,
            id: text(product.map(|product| &product.id)),
            name: text(product.map(|product| &product.title)),
            price: price.map(|found| decimal(found.value)),
            regular_price: list_price.map(|found| decimal(found.value)),
            currency: product
                .and_then(|product| product.currency.as_ref())
                .map(|found| found.value.to_string()),
            availability: availability.map(|found| in_or_out(found.can_be_bought())),
            availability_detail: detail,
            sku: text(product.map(|product| &product.sku)),
            mpn: text(product.map(|product| &product.mpn)),
            gtin: text(product.map(|product| &product.gtin)),
            brand: text(product.map(|product| &product.brand)),
            description: text(product.map(|product| &product.description)),
            images: images
                .chain(more.iter().flat_map(|found| &found.value))
                .collect(),
            breadcrumbs: breadcrumbs
                .map(|found| found.value.as_slice())
                .unwrap_or_default(),
            category: text(product.map(|product| &product.category)),
            condition: text(product.map(|product| &product.condition)),
            color: text(product.map(|product| &product.color)),
            size: text(product.map(|product| &product.size)),
            material: text(product.map(|product| &product.material)),
            group_id: text(product.map(|product| &product.group_id)),
            rating: text(product.map(|product| &product.rating)),
            review_count: product
                .and_then(|product| product.review_count.as_ref())
                .map(|found| found.value),
            link: product
                .and_then(|product| product.link.as_ref())
                .map(|found| &found.value),
            columns: product
                .into_iter()
                .flat_map(|product| &product.columns)
                .map(|(name, values)| (name.as_str(), values.as_slice()))
                .collect(),
            variants: report.variants.iter().map(ShownVariant::new).collect(),
            rules: rules(detailed.as_ref()),
            product: detailed,
            remarks: &report.remarks,
        })
    }
}

/// Which rule gave each field of a product.
fn rules(product: Option<&serde_json::Value>) -> BTreeMap<String, serde_json::Value> {
    let fields = product.and_then(serde_json::Value::as_object);
    let given = fields.into_iter().flatten().filter_map(|(name, found)| {
        let renamed = NAMES.iter().find(|(known, _)| known == name);
        let name = renamed.map_or(name.as_str(), |(_, shown)| shown);
        Some((name.to_owned(), found.get("from")?.clone()))
    });
    given.collect()
}

impl<'r> ShownVariant<'r> {
    fn new(variant: &'r Variant) -> Self {
        let availability = variant.availability;
        Self {
            id: &variant.id,
            name: variant.title.as_deref(),
            price: variant.price.map(decimal),
            regular_price: variant.list_price.map(decimal),
            currency: variant.price.map(|price| price.currency.to_string()),
            availability: availability.map(|found| in_or_out(found.can_be_bought())),
            sku: variant.sku.as_deref(),
            mpn: variant.mpn.as_deref(),
            gtin: variant.gtin.as_deref(),
            images: &variant.images,
            url: variant.link.as_ref(),
            options: &variant.options,
        }
    }
}

fn in_or_out(can_be_bought: bool) -> &'static str {
    match can_be_bought {
        true => "InStock",
        false => "OutOfStock",
    }
}

/// The amount with the decimals of its currency: `19.90`, `12900`.
fn decimal(money: Money) -> String {
    let exponent = exponent(money.currency);
    let digits = format!("{:0>width$}", money.amount_minor, width = exponent + 1);
    let (whole, decimals) = digits.split_at(digits.len() - exponent);
    match decimals {
        "" => whole.to_owned(),
        decimals => format!("{whole}.{decimals}"),
    }
}

fn exponent(currency: Currency) -> usize {
    currency.exponent() as usize
}

fn print(report: &PageReport) -> anyhow::Result<()> {
    let shown = Shown::new(report)?;
    say!(
        "{} ({}, charset {})",
        show::plain(report.url.as_str()),
        shown.kind,
        report.charset
    );
    let fields = serde_json::to_value(&shown)?;
    let mut rows = Vec::new();
    for (name, rule) in &shown.rules {
        if let Some(value) = fields.get(name) {
            rows.push(row(name, &text(value), rule));
        }
    }
    for (name, values) in &shown.columns {
        rows.push(row(name, &values.join(", "), &json!("css")));
    }
    match rows.is_empty() {
        true => say!("no product found"),
        false => output::list(&rows, &["field", "value", "from"])?,
    }
    if !shown.variants.is_empty() {
        say!("{} variants", shown.variants.len());
        let variants: anyhow::Result<Vec<Row>> = shown
            .variants
            .iter()
            .take(VARIANTS_SHOWN)
            .map(|variant| match serde_json::to_value(variant)? {
                serde_json::Value::Object(row) => Ok(row),
                _ => Ok(Row::new()),
            })
            .collect();
        output::list(
            &variants?,
            &["id", "name", "price", "currency", "availability"],
        )?;
    }
    for remark in &report.remarks {
        say!("remark: {}", show::plain(remark));
    }
    Ok(())
}

fn row(name: &str, value: &str, rule: &serde_json::Value) -> Row {
    let mut row = Row::new();
    let short: String = show::plain(value).chars().take(SHOWN_CHARS).collect();
    row.insert("field".to_owned(), name.into());
    row.insert("value".to_owned(), short.into());
    row.insert("from".to_owned(), rule.clone());
    row
}

fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let check = |amount_minor: i64, currency: &str, expected: &str| {
            let currency = Currency::parse(currency).unwrap();
            let money = Money {
                amount_minor,
                currency,
            };
            assert_eq!(decimal(money), expected);
        };
        check(1990, "USD", "19.90");
        check(5, "USD", "0.05");
        check(0, "USD", "0.00");
        check(12_900, "KRW", "12900");
        check(0, "KRW", "0");
        check(1_234, "KWD", "1.234");
    }
}
