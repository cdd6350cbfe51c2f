//! One walk over the tree that picks up everything the sources read from.

use std::borrow::Cow;

use crate::document::{Descend, Document, Element, Name, Step};

use super::limits::{
    ITEMS_MAX, JSON_LD_BLOCKS_MAX, MARKS_MAX, METAS_MAX, STATE_SCRIPTS_MAX, TEXT_CHARS_MAX,
};
use super::remarks::Remarks;
use super::state::{Script, ScriptKind};
use super::value::{local_name, type_name};

/// The two vocabularies that mark up elements; they differ in the names of
/// their attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Microdata,
    Rdfa,
}

/// An element that starts a product or breadcrumb item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) element: Element<'a>,
    pub(super) syntax: Syntax,
}

/// A heading, price, stock note or image, in document order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    pub(super) element: Element<'a>,
    /// First headings (`<h1>`) that came before it.
    pub(super) headings_before: usize,
}

#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) base: Option<&'a str>,
    /// The language of the page, as `<html lang>` has it.
    pub(super) language: Option<&'a str>,
    pub(super) canonicals: Vec<&'a str>,
    pub(super) title: Option<String>,
    /// `property` or `name`, and `content`.
    pub(super) metas: Vec<(&'a str, &'a str)>,
    pub(super) json_ld: Vec<Cow<'a, str>>,
    /// Scripts that may carry state, whatever is in them.
    pub(super) scripts: Vec<(ScriptKind, Element<'a>)>,
    pub(super) products: Vec<Scope<'a>>,
    pub(super) breadcrumb_lists: Vec<Scope<'a>>,
    pub(super) headings: Vec<Element<'a>>,
    pub(super) prices: Vec<Mark<'a>>,
    pub(super) stock_notes: Vec<Mark<'a>>,
    pub(super) images: Vec<Mark<'a>>,
    /// Cells and terms that may name what stands beside them.
    pub(super) labels: Vec<Element<'a>>,
    /// The first element that looks like a breadcrumb trail.
    pub(super) breadcrumbs: Option<Element<'a>>,
    pub(super) has_password: bool,
    /// An element for a test that tells people from programs.
    pub(super) has_captcha: bool,
    /// Bytes of text outside scripts and styles.
    pub(super) text_bytes: usize,
}

/// Types of schema.org that are products.
pub(super) const PRODUCT_TYPES: &[&str] = &[
    "Product",
    "IndividualProduct",
    "ProductGroup",
    "ProductModel",
    "SomeProducts",
    "ProductCollection",
    "DietarySupplement",
    "Vehicle",
    "Car",
    "Motorcycle",
];

/// Properties by which another item says that a product is what the page is
/// about; any other (a related product, a line of an invoice) does not.
const MAIN_PROPERTIES: &[&str] = &["mainEntity", "mainEntityOfPage", "itemOffered"];

pub(super) fn scan<'a>(document: &'a Document, remarks: &mut Remarks) -> Parts<'a> {
    let mut parts = Parts::default();
    let mut blocks_left_out = 0_usize;
    document.walk(|step| {
        let element = match step {
            Step::Element(element) => element,
            Step::Text(text) => {
                parts.text_bytes += text.trim_ascii().len();
                return Descend::Past;
            }
        };
        match element.number() {
            Name::TEMPLATE | Name::STYLE => return Descend::Past,
            Name::SCRIPT => {
                if !is_json_ld(element) {
                    parts.take_script(element);
                } else if parts.json_ld.len() < JSON_LD_BLOCKS_MAX {
                    parts.json_ld.push(element.raw_text());
                } else {
                    blocks_left_out += 1;
                }
                return Descend::Past;
            }
            name => parts.take_by_name(name, element),
        }
        parts.take_by_attributes(element);
        Descend::Into
    });
    if blocks_left_out > 0 {
        remarks.add(format!(
            "the page has {blocks_left_out} JSON-LD blocks over {JSON_LD_BLOCKS_MAX}; \
             they were not read"
        ));
    }
    parts
}

fn is_json_ld(script: Element<'_>) -> bool {
    const MEDIA_TYPE: &str = "application/ld+json";
    script.attribute("type").is_some_and(|media_type| {
        let media_type = media_type.trim();
        media_type
            .get(..MEDIA_TYPE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(MEDIA_TYPE))
    })
}

impl<'a> Parts<'a> {
    fn take_by_name(&mut self, name: Name, element: Element<'a>) {
        match name {
            Name::HTML => self.language = element.attribute("lang"),
            Name::INPUT => {
                let kind = element.attribute("type").unwrap_or_default();
                self.has_password |= kind.eq_ignore_ascii_case("password");
            }
            Name::BASE => self.base = self.base.or_else(|| element.attribute("href")),
            Name::LINK => self.take_link(element),
            Name::META => self.take_meta(element),
            // <svg> has titles too.
            Name::TITLE if self.title.is_none() => {
                let text = element.text(TEXT_CHARS_MAX);
                self.title = Some(text).filter(|text| !text.is_empty());
            }
            Name::TH | Name::DT if self.labels.len() < MARKS_MAX => self.labels.push(element),
            Name::H1 if self.headings.len() < MARKS_MAX => self.headings.push(element),
            Name::IMG => {
                let headings_before = self.headings.len();
                push_bounded(&mut self.images, element, headings_before);
            }
            _ => {}
        }
    }

    fn take_script(&mut self, script: Element<'a>) {
        let kind = Script::kind(script.attribute("type"));
        if let Some(kind) = kind
            && self.scripts.len() < STATE_SCRIPTS_MAX
            && script.attribute("src").is_none()
        {
            self.scripts.push((kind, script));
        }
    }

    fn take_link(&mut self, link: Element<'a>) {
        let is_canonical = link.attribute("rel").is_some_and(|rel| {
            rel.split_ascii_whitespace()
                .any(|word| word.eq_ignore_ascii_case("canonical"))
        });
        if let Some(href) = link.attribute("href").filter(|_| is_canonical)
            && self.canonicals.len() < MARKS_MAX
        {
            self.canonicals.push(href);
        }
    }

    fn take_meta(&mut self, meta: Element<'a>) {
        let key = meta
            .attribute("property")
            .or_else(|| meta.attribute("name"));
        if let (Some(key), Some(content)) = (key, meta.attribute("content"))
            && self.metas.len() < METAS_MAX
        {
            self.metas.push((key, content));
        }
    }

    fn take_by_attributes(&mut self, element: Element<'a>) {
        let mut types = [None, None];
        let mut properties = [None, None];
        let mut is_scope = false;
        let headings_before = self.headings.len();
        for (name, value) in element.numbered_attributes() {
            match name {
                Name::ITEMSCOPE => is_scope = true,
                Name::ITEMTYPE => types[0] = Some(value),
                Name::TYPEOF => types[1] = Some(value),
                Name::ITEMPROP => properties[0] = Some(value),
                Name::PROPERTY => properties[1] = Some(value),
                Name::ID | Name::CLASS => self.take_by_class(value, element, headings_before),
                _ => {}
            }
        }
        if !is_scope {
            types[0] = None;
        }
        let syntaxes = [Syntax::Microdata, Syntax::Rdfa];
        for ((syntax, item_type), property) in syntaxes.into_iter().zip(types).zip(properties) {
            let Some(item_type) = item_type else { continue };
            let has = |wanted: &[&str]| {
                item_type.split_ascii_whitespace().any(|name| {
                    let name = type_name(name);
                    wanted
                        .iter()
                        .any(|wanted| wanted.eq_ignore_ascii_case(name))
                })
            };
            let is_main = property.is_none_or(|names| {
                names
                    .split_ascii_whitespace()
                    .any(|name| MAIN_PROPERTIES.contains(&local_name(name)))
            });
            let list = if has(PRODUCT_TYPES) && is_main {
                &mut self.products
            } else if has(&["BreadcrumbList"]) {
                &mut self.breadcrumb_lists
            } else {
                continue;
            };
            if list.len() < ITEMS_MAX {
                list.push(Scope { element, syntax });
            }
        }
    }

    fn take_by_class(&mut self, class: &str, element: Element<'a>, headings_before: usize) {
        let words = ClassWords::of(class);
        if words.price {
            push_bounded(&mut self.prices, element, headings_before);
        }
        if words.stock {
            push_bounded(&mut self.stock_notes, element, headings_before);
        }
        if words.breadcrumb && self.breadcrumbs.is_none() {
            self.breadcrumbs = Some(element);
        }
        self.has_captcha |= words.captcha;
    }
}

/// What the class or id of an element speaks of.
#[derive(Debug, Default, PartialEq, Eq)]
struct ClassWords {
    price: bool,
    stock: bool,
    breadcrumb: bool,
    captcha: bool,
}

impl ClassWords {
    /// Looks at each byte once: every class of every element comes here.
    fn of(class: &str) -> Self {
        let bytes = class.as_bytes();
        let mut words = Self::default();
        for (at, pair) in bytes.windows(2).enumerate() {
            let starts = |word: &str| {
                let here = bytes.get(at..at + word.len());
                here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
            };
            match (pair[0] | 0x20, pair[1] | 0x20) {
                (b'p', b'r') => words.price |= starts("price"),
                (b's', b't') => words.stock |= starts("stock"),
                (b'a', b'v') => words.stock |= starts("availability"),
                (b'b', b'r') => words.breadcrumb |= starts("breadcrumb"),
                (b'c', b'a') => words.captcha |= starts("captcha"),
                (b'c', b'f') => words.captcha |= starts("cf-turnstile"),
                _ => {}
            }
        }
        words
    }
}

fn push_bounded<'a>(list: &mut Vec<Mark<'a>>, element: Element<'a>, headings_before: usize) {
    if list.len() < MARKS_MAX {
        list.push(Mark {
            element,
            headings_before,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case() {
        let check = |class: &str, price: bool, stock: bool| {
            let words = ClassWords::of(class);
            assert_eq!((words.price, words.stock), (price, stock), "{class}");
        };
        check("c-Product-PRICE", true, false);
        check("pric", false, false);
        check("", false, false);
        check("instock availability", false, true);
        check("priceAvailability", true, true);
        assert!(ClassWords::of("nav Breadcrumbs").breadcrumb);
        assert!(ClassWords::of("g-reCaptcha").captcha);
    }
}
