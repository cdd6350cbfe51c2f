//! One walk over the tree that picks up everything the sources read from.

use std::collections::HashMap;

use scraper::{ElementRef, Html};

use super::dom::{Descend, Step, text_of, walk};
use super::limits::{ITEMS_MAX, JSON_LD_BLOCKS_MAX, MARKS_MAX, METAS_MAX, TEXT_CHARS_MAX};
use super::remarks::Remarks;
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
    pub(super) element: ElementRef<'a>,
    pub(super) syntax: Syntax,
}

/// A heading, price, stock note or image, in document order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    pub(super) element: ElementRef<'a>,
    /// First headings (`<h1>`) that came before it.
    pub(super) headings_before: usize,
}

#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) base: Option<&'a str>,
    pub(super) canonicals: Vec<&'a str>,
    pub(super) title: Option<String>,
    /// `property` or `name`, and `content`.
    pub(super) metas: Vec<(&'a str, &'a str)>,
    pub(super) json_ld: Vec<String>,
    pub(super) products: Vec<Scope<'a>>,
    pub(super) breadcrumb_lists: Vec<Scope<'a>>,
    pub(super) headings: Vec<ElementRef<'a>>,
    pub(super) prices: Vec<Mark<'a>>,
    pub(super) stock_notes: Vec<Mark<'a>>,
    pub(super) images: Vec<Mark<'a>>,
    /// The first element that looks like a breadcrumb trail.
    pub(super) breadcrumbs: Option<ElementRef<'a>>,
    pub(super) by_id: HashMap<&'a str, ElementRef<'a>>,
}

/// Types of schema.org that are products.
pub(super) const PRODUCT_TYPES: &[&str] = &[
    "Product",
    "IndividualProduct",
    "ProductGroup",
    "ProductModel",
    "SomeProducts",
];

/// Properties by which another item says that a product is what the page is
/// about; any other (a related product, a line of an invoice) does not.
const MAIN_PROPERTIES: &[&str] = &["mainEntity", "mainEntityOfPage", "itemOffered"];

pub(super) fn scan<'a>(html: &'a Html, remarks: &mut Remarks) -> Parts<'a> {
    let mut parts = Parts::default();
    let mut blocks_left_out = 0_usize;
    walk(html.tree.root(), |step| {
        let Step::Element(element) = step else {
            return Descend::Past;
        };
        match element.value().name() {
            "template" => return Descend::Past,
            "script" => {
                if is_json_ld(element) {
                    if parts.json_ld.len() < JSON_LD_BLOCKS_MAX {
                        parts.json_ld.push(element.text().collect());
                    } else {
                        blocks_left_out += 1;
                    }
                }
                return Descend::Past;
            }
            "style" => return Descend::Past,
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

fn is_json_ld(script: ElementRef<'_>) -> bool {
    const MEDIA_TYPE: &str = "application/ld+json";
    script.attr("type").is_some_and(|media_type| {
        let media_type = media_type.trim();
        media_type
            .get(..MEDIA_TYPE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(MEDIA_TYPE))
    })
}

impl<'a> Parts<'a> {
    fn take_by_name(&mut self, name: &str, element: ElementRef<'a>) {
        match name {
            "base" => self.base = self.base.or_else(|| element.attr("href")),
            "link" => self.take_link(element),
            "meta" => self.take_meta(element),
            // <svg> has titles too.
            "title" if self.title.is_none() => {
                let text = text_of(element, TEXT_CHARS_MAX);
                self.title = Some(text).filter(|text| !text.is_empty());
            }
            "h1" if self.headings.len() < MARKS_MAX => self.headings.push(element),
            "img" => {
                let headings_before = self.headings.len();
                push_bounded(&mut self.images, element, headings_before);
            }
            _ => {}
        }
    }

    fn take_link(&mut self, link: ElementRef<'a>) {
        let is_canonical = link.attr("rel").is_some_and(|rel| {
            rel.split_ascii_whitespace()
                .any(|word| word.eq_ignore_ascii_case("canonical"))
        });
        if let Some(href) = link.attr("href").filter(|_| is_canonical)
            && self.canonicals.len() < MARKS_MAX
        {
            self.canonicals.push(href);
        }
    }

    fn take_meta(&mut self, meta: ElementRef<'a>) {
        let key = meta.attr("property").or_else(|| meta.attr("name"));
        if let (Some(key), Some(content)) = (key, meta.attr("content"))
            && self.metas.len() < METAS_MAX
        {
            self.metas.push((key, content));
        }
    }

    fn take_by_attributes(&mut self, element: ElementRef<'a>) {
        let mut types = [None, None];
        let mut properties = [None, None];
        let mut is_scope = false;
        let headings_before = self.headings.len();
        for (name, value) in element.value().attrs() {
            match name {
                "itemscope" => is_scope = true,
                "itemtype" => types[0] = Some(value),
                "typeof" => types[1] = Some(value),
                "itemprop" => properties[0] = Some(value),
                "property" => properties[1] = Some(value),
                "id" => {
                    self.by_id.entry(value).or_insert(element);
                    self.take_by_class(value, element, headings_before);
                }
                "class" => self.take_by_class(value, element, headings_before),
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
                item_type
                    .split_ascii_whitespace()
                    .any(|name| wanted.contains(&type_name(name)))
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

    fn take_by_class(&mut self, class: &str, element: ElementRef<'a>, headings_before: usize) {
        if contains(class, "price") {
            push_bounded(&mut self.prices, element, headings_before);
        }
        if contains(class, "availability") || contains(class, "stock") {
            push_bounded(&mut self.stock_notes, element, headings_before);
        }
        if self.breadcrumbs.is_none() && contains(class, "breadcrumb") {
            self.breadcrumbs = Some(element);
        }
    }
}

fn push_bounded<'a>(list: &mut Vec<Mark<'a>>, element: ElementRef<'a>, headings_before: usize) {
    if list.len() < MARKS_MAX {
        list.push(Mark {
            element,
            headings_before,
        });
    }
}

/// Whether `text` holds the lower-case word `word`, in any case.
fn contains(text: &str, word: &str) -> bool {
    text.as_bytes()
        .windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case() {
        assert!(contains("c-Product-PRICE", "price"));
        assert!(!contains("pric", "price"));
        assert!(!contains("", "price"));
    }
}
