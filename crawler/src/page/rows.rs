//! A page's product as rows for the catalogue: JSON objects whose keys are
//! columns of the product schema, as the reader of JSON lines takes them. What
//! the schema has no column for (`sku`, `rating`) goes along as an extra.
//!
//! Ids: the pipe's own rule, else the number that the page gives the product
//! (sku, product id, GTIN), else its canonical URL. Whether a shop gives the
//! same number to different products is seen over many pages, by the crawl;
//! every row carries `canonical_link` for that.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};
use trawler_core::product::Money;
use trawler_core::site::{ExtractOptions, Variants};
use url::Url;

use super::kind::PageKind;
use super::limits::{ID_BYTES_MAX, MARKS_MAX};
use super::report::{ExtractedProduct, Found, PageReport, Variant};

/// What becomes of products on their way to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowRules {
    pub variants: Variants,
}

impl RowRules {
    pub fn new(options: &ExtractOptions) -> Self {
        Self {
            variants: options.variants,
        }
    }
}

/// The rows of a page: of its product, or of each of its variants. None for a
/// page that is no product, or whose product has no title.
pub fn rows(report: &PageReport, rules: &RowRules) -> Vec<Map<String, Json>> {
    let Some(product) = &report.product else {
        return Vec::new();
    };
    if report.kind != PageKind::Product || product.title.is_none() {
        return Vec::new();
    }
    let shared = shared(report, product);
    match rules.variants {
        Variants::Rows if !report.variants.is_empty() => report
            .variants
            .iter()
            .map(|variant| of_variant(&shared, product, variant))
            .collect(),
        Variants::Rows | Variants::Main => vec![shared],
    }
}

type Row = Map<String, Json>;

fn set(row: &mut Row, column: &str, value: impl Into<Json>) {
    row.insert(column.to_owned(), value.into());
}

fn set_text(row: &mut Row, column: &str, text: Option<&str>) {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return;
    };
    let is_refused = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(is_refused) {
        set(row, column, text.replace(is_refused, ""));
    } else {
        set(row, column, text);
    }
}

fn text(found: &Option<Found<String>>) -> Option<&str> {
    found.as_ref().map(|found| found.value.as_str())
}

/// The row of the product as a whole.
fn shared(report: &PageReport, product: &ExtractedProduct) -> Row {
    let mut row = Row::new();
    let link = link(report, product);
    let own = report.canonical.as_ref().unwrap_or(&link);
    set(&mut row, "id", id(text(&product.id), own));
    set_text(&mut row, "title", text(&product.title));
    set(&mut row, "link", link.as_str());
    set(&mut row, "canonical_link", own.as_str());
    let price = product.price.as_ref().map(|found| found.value);
    let list_price = product.list_price.as_ref().map(|found| found.value);
    set_prices(&mut row, price, list_price);
    if let Some(currency) = product.currency.as_ref().filter(|_| price.is_none()) {
        set(&mut row, "currency", currency.value.as_str());
    }
    if let Some(availability) = &product.availability {
        set(&mut row, "availability", availability.value.column_word());
    }
    let images = product.image_link.iter().map(|found| &found.value);
    let more = product
        .additional_image_links
        .iter()
        .flat_map(|found| &found.value);
    set_images(&mut row, images.chain(more));
    for (column, value) in [
        ("brand", &product.brand),
        ("gtin", &product.gtin),
        ("mpn", &product.mpn),
        ("item_group_id", &product.group_id),
        ("description", &product.description),
        ("condition", &product.condition),
        ("color", &product.color),
        ("size", &product.size),
        ("material", &product.material),
        ("sku", &product.sku),
        ("rating", &product.rating),
    ] {
        set_text(&mut row, column, text(value));
    }
    if let Some(count) = &product.review_count {
        set(&mut row, "review_count", count.value);
    }
    let path = category_path(product);
    if !path.is_empty() {
        set(&mut row, "category_path", path);
    }
    for (column, values) in &product.columns {
        match values.as_slice() {
            [value] => set_text(&mut row, column, Some(value)),
            values => set(&mut row, column, values.to_vec()),
        }
    }
    row
}

/// The row of one variant: what it says itself, else what its product says.
fn of_variant(shared: &Row, product: &ExtractedProduct, variant: &Variant) -> Row {
    let mut row = shared.clone();
    let group = text(&product.group_id).or(text(&product.id));
    // What names the product as a whole or its main variant is not this one's.
    for column in [
        "gtin",
        "mpn",
        "sku",
        "color",
        "size",
        "material",
        "list_price_minor",
    ] {
        row.remove(column);
    }
    let group = group.map_or_else(|| shared["id"].clone(), Json::from);
    set(&mut row, "item_group_id", group);
    let id = Json::from(bounded_id(&variant.id));
    set(&mut row, "id", id);
    set_text(&mut row, "title", variant.title.as_deref());
    if let Some(link) = &variant.link {
        set(&mut row, "link", link.as_str());
    }
    if variant.price.is_some() {
        row.remove("price_minor");
        set_prices(&mut row, variant.price, variant.list_price);
    }
    match variant.availability {
        Some(availability) => set(&mut row, "availability", availability.column_word()),
        // That another variant can be had says nothing of this one.
        None => {
            row.remove("availability");
        }
    }
    if !variant.images.is_empty() {
        row.remove("additional_image_links");
        set_images(&mut row, variant.images.iter());
    }
    for (column, value) in [
        ("sku", &variant.sku),
        ("gtin", &variant.gtin),
        ("mpn", &variant.mpn),
        ("color", &variant.color),
        ("size", &variant.size),
        ("material", &variant.material),
    ] {
        set_text(&mut row, column, value.as_deref());
    }
    row
}

/// Where the product is: its own URL if that is of the page's host, else the
/// page's canonical URL, else the page's.
fn link(report: &PageReport, product: &ExtractedProduct) -> Url {
    let own = product.link.as_ref().map(|found| &found.value);
    let bare = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        host.strip_prefix("www.").unwrap_or(host).to_owned()
    };
    let here = own.filter(|url| bare(url) == bare(&report.url));
    let mut link = here
        .or(report.canonical.as_ref())
        .unwrap_or(&report.url)
        .clone();
    link.set_fragment(None);
    link
}

fn id(found: Option<&str>, link: &Url) -> String {
    let found = found.map(str::trim).filter(|id| !id.is_empty());
    bounded_id(found.unwrap_or(link.as_str()))
}

/// Ids are short and printable; what is not becomes its hash.
fn bounded_id(id: &str) -> String {
    if id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control) {
        return id.to_owned();
    }
    format!("sha256:{}", hex::encode(Sha256::digest(id.as_bytes())))
}

fn set_prices(row: &mut Row, price: Option<Money>, list_price: Option<Money>) {
    if let Some(price) = price {
        set(row, "price_minor", price.amount_minor);
        set(row, "currency", price.currency.as_str());
    }
    if let Some(list_price) = list_price {
        set(row, "list_price_minor", list_price.amount_minor);
    }
}

fn set_images<'u>(row: &mut Row, images: impl Iterator<Item = &'u Url>) {
    let mut images = images.map(|url| Json::from(url.as_str()));
    if let Some(first) = images.next() {
        set(row, "image_link", first);
        let more: Vec<Json> = images.collect();
        if !more.is_empty() {
            set(row, "additional_image_links", more);
        }
    }
}

/// What shops call the top of themselves, in lower case.
#[rustfmt::skip]
const HOME: &[&str] = &[
    "home", "home page", "homepage", "start", "startseite", "hauptseite", "accueil", "inicio",
    "início", "página inicial", "pagina principal", "página principal", "portada", "strona główna",
    "główna", "главная", "на главную", "головна", "начало", "domů", "úvod", "domov", "hem", "hjem",
    "forside", "etusivu", "ana sayfa", "anasayfa", "kezdőlap", "főoldal", "acasă", "acasa",
    "αρχική", "trang chủ", "beranda", "หน้าแรก", "الرئيسية", "דף הבית", "홈", "처음", "메인",
    "ホーム", "トップ", "トップページ", "top", "首页", "首頁", "shop", "store",
];

/// The way to the product, without the top of the shop and the product itself.
fn category_path(product: &ExtractedProduct) -> Vec<String> {
    let mut path: Vec<String> = match (&product.breadcrumbs, &product.category) {
        (Some(steps), _) => steps.value.clone(),
        (None, Some(category)) => category.value.split('>').map(str::to_owned).collect(),
        (None, None) => return Vec::new(),
    };
    path.truncate(MARKS_MAX);
    for step in &mut path {
        // Levels are joined by this sign.
        *step = step.replace('>', " ").trim().to_owned();
    }
    path.retain(|step| !step.is_empty() && !step.chars().any(char::is_control));
    let is_home = |step: &String| HOME.contains(&step.to_lowercase().as_str());
    if path.first().is_some_and(is_home) {
        path.remove(0);
    }
    let title = text(&product.title).unwrap_or_default().to_lowercase();
    let is_product = |step: &String| {
        let step = step.to_lowercase();
        let cut = step.trim_end_matches(['…', '.']);
        step == title || (cut.len() < step.len() && title.starts_with(cut.trim_end()))
    };
    if path.last().is_some_and(is_product) {
        path.pop();
    }
    path
}
