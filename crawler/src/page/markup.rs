//! Careful rules for plain HTML, for pages that mark nothing up: the heading,
//! the first amount after it in an element called a price, the image whose
//! `alt` is the title, breadcrumbs by class. What they say comes last.

use url::Url;

use crate::document::{Descend, Element, Step};

use super::availability::Availability;
use super::dom::collapse;
use super::fields::{Fields, PriceText, Written};
use super::gtin;
use super::images::image_source;
use super::limits::{DESCRIPTION_CHARS_MAX, IMAGES_MAX, MARKS_MAX, TEXT_CHARS_MAX};
use super::links::Links;
use super::price;
use super::remarks::Remarks;
use super::report::Rule;
use super::scan::{Mark, Parts};

/// Fields that nothing before gave; only these are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    /// Or nothing before showed that there is a product.
    pub(super) price: bool,
    pub(super) availability: bool,
    pub(super) description: bool,
    pub(super) images: bool,
    pub(super) breadcrumbs: bool,
    /// Any of sku, gtin, mpn and brand.
    pub(super) numbers: bool,
}

pub(super) fn read(
    parts: &Parts<'_>,
    heading: Option<&Heading>,
    missing: Missing,
    links: &Links,
    canonical: Option<&Url>,
    remarks: &mut Remarks,
) -> Fields {
    let mut fields = Fields::new(Rule::Html);
    let heading_title = heading.map(|heading| heading.text.clone());
    let title = heading_title.as_ref().or(parts.title.as_ref());
    if missing.description {
        fields.description = parts
            .metas
            .iter()
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("description"))
            .map(|(_, content)| collapse(content, DESCRIPTION_CHARS_MAX))
            .filter(|text| !text.is_empty());
    }
    fields.link = canonical.cloned().or_else(|| links.page());
    fields.id = fields.link.as_ref().map(Url::to_string);
    if let Some(title) = title.filter(|_| missing.images) {
        fields.images = images(parts, title, links, remarks);
    }
    if let Some(title) = title.filter(|_| missing.breadcrumbs) {
        fields.breadcrumbs = breadcrumbs(parts, title);
    }
    if let Some(heading) = heading {
        let after = |mark: &&Mark<'_>| mark.headings_before > heading.at;
        if missing.price {
            fields.price = parts.prices.iter().filter(after).find_map(price_of);
        }
        if missing.availability {
            let mut notes = parts.stock_notes.iter().filter(after);
            fields.availability = notes.find_map(|mark| {
                Availability::parse_sentence(&mark.element.text(SENTENCE_CHARS_MAX))
            });
        }
    }
    if missing.numbers && heading.is_some() {
        numbers(parts, &mut fields);
    }
    fields.is_product = heading_title.is_some() && fields.price.is_some();
    fields.title = title.cloned();
    fields
}

/// What cells of a table of properties are called, in lower case.
#[rustfmt::skip]
const LABELS: &[(Label, &[&str])] = &[
    (Label::Sku, &[
        "sku", "item number", "item no", "article number", "article no", "product code",
        "product number", "artikelnummer", "artikel-nr", "art.-nr", "bestellnummer", "référence",
        "referencia", "codice articolo", "상품코드", "상품번호", "商品コード", "商品番号", "артикул",
    ]),
    (Label::Gtin, &["gtin", "ean", "ean-13", "upc", "isbn", "isbn-13", "isbn-10", "barcode", "바코드"]),
    (Label::Mpn, &[
        "mpn", "part number", "manufacturer part number", "model number", "herstellernummer",
    ]),
    (Label::Brand, &[
        "brand", "manufacturer", "marke", "hersteller", "marque", "marca", "merk", "marka",
        "브랜드", "제조사", "ブランド", "メーカー", "品牌", "бренд", "производитель",
    ]),
];

#[derive(Clone, Copy)]
enum Label {
    Sku,
    Gtin,
    Mpn,
    Brand,
}

/// Numbers and brand from a table or list of properties. A trade number whose
/// check digit is wrong is the shop's own.
fn numbers(parts: &Parts<'_>, fields: &mut Fields) {
    for label in &parts.labels {
        let name = label.text(SENTENCE_CHARS_MAX).to_lowercase();
        let name = name.trim_end_matches([':', '.', ' ']);
        let known = LABELS.iter().find(|(_, names)| names.contains(&name));
        let Some((kind, _)) = known else { continue };
        let beside = label.next_sibling();
        let beside = beside.filter(|value| matches!(value.name(), "td" | "dd"));
        let Some(value) = beside.map(|value| value.text(SENTENCE_CHARS_MAX + 1)) else {
            continue;
        };
        // More text than this is no number or name.
        if value.is_empty() || value.chars().count() > SENTENCE_CHARS_MAX {
            continue;
        }
        let field = match kind {
            Label::Gtin if gtin::parse(&value).is_ok() => &mut fields.gtin,
            Label::Sku | Label::Gtin => &mut fields.sku,
            Label::Mpn => &mut fields.mpn,
            Label::Brand => &mut fields.brand,
        };
        field.get_or_insert(value);
    }
}

/// Elements that show a price, at most `count`; those that hold another one
/// are not counted beside it. On a page with a `product` of its own the first
/// price is that of the product, and only those that stand as it does count:
/// the cards of a list are all alike, a product and its related ones are not.
pub(super) fn shown_prices(parts: &Parts<'_>, product: Option<&Heading>, count: usize) -> usize {
    let marks = parts.prices.iter().enumerate();
    let innermost = marks.filter(|(at, mark)| {
        let next = parts.prices.get(at + 1);
        next.is_none_or(|next| {
            let mut ancestors = next.element.ancestors().take(HOLDERS_MAX);
            !ancestors.any(|ancestor| ancestor == mark.element)
        })
    });
    let mut shown = innermost
        .map(|(_, mark)| mark)
        .filter(|mark| price_of(mark).is_some())
        .filter(|mark| product.is_none_or(|heading| mark.headings_before > heading.at));
    let Some(first) = shown.next() else { return 0 };
    let alike = shown.filter(|mark| product.is_none() || stands_as(first.element, mark.element));
    1 + alike.take(count).count()
}

/// Whether two elements and what they lie in have the same names and classes.
fn stands_as(one: Element<'_>, other: Element<'_>) -> bool {
    const LEVELS: usize = 3;
    let outwards = |element| std::iter::successors(Some(element), Element::parent).take(LEVELS);
    outwards(one).zip(outwards(other)).all(|(one, other)| {
        one.name() == other.name() && one.attribute("class") == other.attribute("class")
    })
}

/// How far above a price what holds it is looked for.
const HOLDERS_MAX: usize = 6;

/// The heading that names the page.
#[derive(Debug)]
pub(super) struct Heading {
    /// Headings before it.
    at: usize,
    pub(super) text: String,
}

/// An element with more text than this holds more than one price or note.
const SENTENCE_CHARS_MAX: usize = 64;

/// The heading that names the page: of several the first that is part of
/// `<title>` too (shops put their logo in an `<h1>`), else the first.
pub(super) fn heading(parts: &Parts<'_>) -> Option<Heading> {
    let mut headings = parts
        .headings
        .iter()
        .enumerate()
        .map(|(at, heading)| Heading {
            at,
            text: heading.text(TEXT_CHARS_MAX),
        })
        .filter(|heading| !heading.text.is_empty());
    let page_title = parts.title.as_deref().unwrap_or_default();
    let first = headings.next()?;
    if page_title.starts_with(&first.text) {
        return Some(first);
    }
    let named = headings.find(|heading| page_title.starts_with(&heading.text));
    Some(named.unwrap_or(first))
}

/// The amount in a price element, if it names its currency and was not
/// struck through.
fn price_of(mark: &Mark<'_>) -> Option<PriceText> {
    if is_former(mark.element) {
        return None;
    }
    let text = mark.element.text(SENTENCE_CHARS_MAX + 1);
    if text.chars().count() > SENTENCE_CHARS_MAX {
        return None;
    }
    let (currency, _) = price::currency_in(&text)?;
    let price = PriceText {
        text,
        written: Written::ForPeople,
    };
    price::read(&price, Some(currency)).ok().map(|_| price)
}

/// Whether an element or what it lies in shows a price of before.
fn is_former(element: Element<'_>) -> bool {
    const LOOKED_UP: usize = 4;
    const WORDS: &[&str] = &[
        "old", "was", "strike", "regular", "original", "before", "list",
    ];
    let mut ancestors = element.ancestors();
    let is_struck = |element: &Element<'_>| matches!(element.name(), "del" | "s" | "strike");
    let class = element.attribute("class").unwrap_or_default();
    let says_so = class
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| WORDS.iter().any(|former| word.eq_ignore_ascii_case(former)));
    says_so || is_struck(&element) || ancestors.by_ref().take(LOOKED_UP).any(|up| is_struck(&up))
}

fn images(parts: &Parts<'_>, title: &str, links: &Links, remarks: &mut Remarks) -> Vec<Url> {
    let mut images = Vec::new();
    for mark in &parts.images {
        let alt = mark.element.attribute("alt").unwrap_or_default();
        if images.len() < IMAGES_MAX
            && collapse(alt, TEXT_CHARS_MAX).eq_ignore_ascii_case(title)
            && let Some(source) = image_source(mark.element)
            && let Some(url) = links.resolve(source, "<img>", remarks)
            && !images.contains(&url)
        {
            images.push(url);
        }
    }
    images
}

/// The texts of the list items of a trail, or of its links, without the
/// product itself.
fn breadcrumbs(parts: &Parts<'_>, title: &str) -> Vec<String> {
    let Some(trail) = parts.breadcrumbs else {
        return Vec::new();
    };
    let texts = |wanted: &str| {
        let mut texts: Vec<String> = Vec::new();
        trail.walk(|step| {
            let Step::Element(element) = step else {
                return Descend::Past;
            };
            if element.name() != wanted {
                return Descend::Into;
            }
            let text = element.text(TEXT_CHARS_MAX);
            let text = text.trim_matches(|c: char| c.is_whitespace() || "/>»›|".contains(c));
            if !text.is_empty() {
                texts.push(text.to_owned());
            }
            if texts.len() < MARKS_MAX {
                Descend::Past
            } else {
                Descend::Stop
            }
        });
        texts
    };
    let mut steps = texts("li");
    if steps.is_empty() {
        steps = texts("a");
    }
    if steps.last().map(String::as_str) == Some(title) {
        steps.pop();
    }
    steps
}
