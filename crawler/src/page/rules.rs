//! The pipe's own selectors for the fields of its pages: compiled once,
//! checked where they are written, asked before everything else.
//!
//! A source is `h1` (the element's text), `meta[itemprop=price]@content` (an
//! attribute), or `=GBP` (the value itself, for what no page says). Of a list
//! the first that finds something counts.

use trawler_core::product::{COLUMNS, Kind, column_index};
use trawler_core::site::ExtractOptions;

use super::availability::Availability;
use super::dom::collapse;
use super::fields::{Fields, PriceText, Written};
use super::images::image_source;
use super::limits::{DESCRIPTION_CHARS_MAX, IMAGES_MAX, SELECTED_MAX, TEXT_CHARS_MAX};
use super::links::Links;
use super::price;
use super::remarks::{Remarks, quoted};
use super::report::Rule;
use super::schema::{condition_word, decimal, whole};
use crate::document::{Document, Element, Selector, SelectorError};

/// What is wrong with the rules of a pipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("extract.fields.{field}: one of its selectors cannot be used")]
    Selector {
        field: String,
        #[source]
        source: SelectorError,
    },
    #[error(
        "extract.fields.{field}: {found:?} selects nothing; write a CSS selector before the \
         attribute, as in \"meta.price@content\""
    )]
    NoSelector { field: String, found: String },
}

/// The fields that a pipe has selectors for.
#[derive(Debug, Default)]
pub(super) struct Rules {
    fields: Vec<(Target, Vec<Source>)>,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Id,
    Title,
    Price,
    ListPrice,
    Currency,
    Availability,
    Brand,
    Sku,
    Gtin,
    Mpn,
    GroupId,
    Images,
    Description,
    Category,
    Link,
    Condition,
    Color,
    Size,
    Material,
    Rating,
    ReviewCount,
    /// Another column of the product schema, or an extra; with all values
    /// where the column takes a list.
    Column {
        name: String,
        is_list: bool,
    },
}

/// Names of fields besides those of the columns.
#[rustfmt::skip]
const TARGETS: &[(&str, Target)] = &[
    ("id", Target::Id), ("title", Target::Title), ("name", Target::Title),
    ("price", Target::Price), ("price_minor", Target::Price),
    ("list_price", Target::ListPrice), ("list_price_minor", Target::ListPrice),
    ("regular_price", Target::ListPrice), ("currency", Target::Currency),
    ("availability", Target::Availability), ("brand", Target::Brand), ("sku", Target::Sku),
    ("gtin", Target::Gtin), ("upc", Target::Gtin), ("ean", Target::Gtin), ("mpn", Target::Mpn),
    ("item_group_id", Target::GroupId), ("group_id", Target::GroupId),
    ("image", Target::Images), ("images", Target::Images), ("image_link", Target::Images),
    ("description", Target::Description), ("category", Target::Category),
    ("category_path", Target::Category), ("breadcrumbs", Target::Category),
    ("link", Target::Link), ("url", Target::Link), ("condition", Target::Condition),
    ("color", Target::Color), ("size", Target::Size), ("material", Target::Material),
    ("rating", Target::Rating), ("review_count", Target::ReviewCount),
];

#[derive(Debug)]
enum Source {
    Selected {
        selector: Selector,
        attribute: Option<String>,
    },
    Constant(String),
}

impl Rules {
    pub(super) fn new(options: &ExtractOptions) -> Result<Self, RuleError> {
        let mut fields = Vec::new();
        for (field, selectors) in &options.fields {
            let sources: Result<Vec<Source>, RuleError> = selectors
                .as_slice()
                .iter()
                .map(|text| Source::parse(field, text))
                .collect();
            fields.push((Target::of(field), sources?));
        }
        Ok(Self { fields })
    }

    /// What the selectors find. `None` without rules.
    pub(super) fn read(
        &self,
        document: &Document,
        links: &Links,
        remarks: &mut Remarks,
    ) -> Option<Fields> {
        if self.fields.is_empty() {
            return None;
        }
        let mut fields = Fields::new(Rule::Css);
        for (target, sources) in &self.fields {
            let found = sources
                .iter()
                .map(|source| source.find(document, target))
                .find(|found| !found.is_empty());
            if let Some(found) = found {
                fill(target, found, &mut fields, links, remarks);
            }
        }
        fields.is_product = fields.title.is_some() && fields.price.is_some();
        Some(fields)
    }
}

impl Target {
    fn of(field: &str) -> Self {
        if let Some((_, target)) = TARGETS.iter().find(|(name, _)| *name == field) {
            return target.clone();
        }
        let column = column_index(field).map(|at| &COLUMNS[at]);
        Self::Column {
            name: field.to_owned(),
            is_list: column.is_some_and(|column| column.kind == Kind::TextList),
        }
    }

    /// Whether all elements that a selector finds count, not only the first.
    fn takes_all(&self) -> bool {
        match self {
            Self::Images | Self::Category => true,
            Self::Column { is_list, .. } => *is_list,
            _ => false,
        }
    }
}

/// A value as it was found.
struct FoundText {
    text: String,
    written: Written,
}

impl Source {
    fn parse(field: &str, text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        if let Some(constant) = text.strip_prefix('=') {
            return Ok(Self::Constant(constant.trim().to_owned()));
        }
        let is_name = |name: &str| {
            let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':');
            !name.is_empty() && name.bytes().all(letter)
        };
        let (selector, attribute) = match text.rsplit_once('@') {
            Some((selector, name)) if is_name(name.trim()) => {
                (selector.trim(), Some(name.trim().to_ascii_lowercase()))
            }
            Some(_) | None => (text, None),
        };
        if selector.is_empty() {
            return Err(RuleError::NoSelector {
                field: field.to_owned(),
                found: text.to_owned(),
            });
        }
        let selector = Selector::parse(selector).map_err(|source| RuleError::Selector {
            field: field.to_owned(),
            source,
        })?;
        Ok(Self::Selected {
            selector,
            attribute,
        })
    }

    fn find(&self, document: &Document, target: &Target) -> Vec<FoundText> {
        let (selector, attribute) = match self {
            Self::Constant(text) => {
                return vec![FoundText {
                    text: text.clone(),
                    written: Written::ForMachines,
                }];
            }
            Self::Selected {
                selector,
                attribute,
            } => (selector, attribute.as_deref()),
        };
        let count = if target.takes_all() { SELECTED_MAX } else { 1 };
        document
            .select(selector)
            .filter_map(|element| value(element, attribute, target))
            .take(count)
            .collect()
    }
}

/// What an element says for a field; `None` if nothing.
fn value(element: Element<'_>, attribute: Option<&str>, target: &Target) -> Option<FoundText> {
    let chars_max = match target {
        Target::Description => DESCRIPTION_CHARS_MAX,
        _ => TEXT_CHARS_MAX,
    };
    let (text, written) = match (attribute, target) {
        (Some(name), _) => {
            let text = collapse(element.attribute(name)?, chars_max);
            let written = PriceText::of_field(text.clone()).written;
            (text, written)
        }
        (None, Target::Images) if element.name() != "a" => {
            (image_source(element)?.to_owned(), Written::ForMachines)
        }
        (None, Target::Images | Target::Link) => {
            (element.attribute("href")?.to_owned(), Written::ForMachines)
        }
        (None, _) if element.name() == "meta" => (
            collapse(element.attribute("content")?, chars_max),
            Written::ForMachines,
        ),
        (None, _) => (element.text(chars_max), Written::ForPeople),
    };
    (!text.is_empty()).then_some(FoundText { text, written })
}

fn fill(
    target: &Target,
    mut found: Vec<FoundText>,
    fields: &mut Fields,
    links: &Links,
    remarks: &mut Remarks,
) {
    if target.takes_all() {
        return fill_all(target, found, fields, links, remarks);
    }
    let FoundText { text, written } = found.swap_remove(0);
    let mut tell = |what: &str| {
        remarks.add(format!("css {what} {} is not known", quoted(&text)));
    };
    match target {
        Target::Price => fields.price = Some(PriceText { text, written }),
        Target::ListPrice => fields.list_price = Some(PriceText { text, written }),
        Target::Currency => {
            fields.currency = price::currency_field_at(&text, links.home());
            if fields.currency.is_none() {
                tell("currency");
            }
        }
        Target::Availability => {
            fields.availability = Availability::parse(&text);
            if fields.availability.is_none() {
                tell("availability");
            }
        }
        Target::Condition => {
            fields.condition = condition_word(&text);
            if fields.condition.is_none() {
                tell("condition");
            }
        }
        Target::Rating => fields.rating = decimal(&text),
        Target::ReviewCount => fields.review_count = whole(&text),
        Target::Link => fields.link = links.resolve(&text, "css link", remarks),
        Target::Id => fields.id = Some(text),
        Target::Title => fields.title = Some(text),
        Target::Brand => fields.brand = Some(text),
        Target::Sku => fields.sku = Some(text),
        Target::Gtin => fields.gtin = Some(text),
        Target::Mpn => fields.mpn = Some(text),
        Target::GroupId => fields.group_id = Some(text),
        Target::Description => fields.description = Some(text),
        Target::Color => fields.color = Some(text),
        Target::Size => fields.size = Some(text),
        Target::Material => fields.material = Some(text),
        Target::Column { name, .. } => fields.columns.push((name.clone(), vec![text])),
        Target::Images | Target::Category => {
            unreachable!("fields that take all values are filled above")
        }
    }
}

fn fill_all(
    target: &Target,
    found: Vec<FoundText>,
    fields: &mut Fields,
    links: &Links,
    remarks: &mut Remarks,
) {
    let texts = found.into_iter().map(|found| found.text);
    match target {
        Target::Images => {
            for text in texts.take(IMAGES_MAX) {
                if let Some(url) = links.resolve(&text, "css image", remarks)
                    && !fields.images.contains(&url)
                {
                    fields.images.push(url);
                }
            }
        }
        Target::Category => {
            let steps: Vec<String> = texts.collect();
            // One element holds the whole way, or its name alone.
            fields.breadcrumbs = match steps.as_slice() {
                [way] => way.split('>').map(|step| step.trim().to_owned()).collect(),
                _ => steps,
            };
            fields.breadcrumbs.retain(|step| !step.is_empty());
        }
        Target::Column { name, .. } => fields.columns.push((name.clone(), texts.collect())),
        _ => unreachable!("the other fields take one value"),
    }
}
