//! A page of a category as HTML: the links to products and to the next page.
//!
//! Where the pipe names no selector, the next page is what `rel=next` says, of
//! a `<link>` or an anchor; then an anchor that is called so. The last is a
//! guess, and is held to links that differ from the page in their query, or in
//! the last parts of their path: what turns pictures over and leads to the
//! next article does not.

use std::collections::HashSet;

use super::super::links::{LinkRules, LinkVerdict};
use super::super::url::{CanonicalRules, CanonicalUrl, Refused, Resolver};
use super::category::Category;
use super::words::{NEXT_ARROWS, NEXT_WORDS};
use crate::document::{Document, Element, LinkKind, collapse};

/// Anchors of a page that are looked at for products; a listing has hundreds.
const ANCHORS_MAX: usize = 20_000;

/// Characters of an anchor's text that may be a word for the next page.
const WORD_CHARS_MAX: usize = 24;

/// Ancestors in which the words for a pagination are looked for.
const ANCESTORS_MAX: usize = 6;

/// What a page of a category says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryPage {
    /// Its product pages, each once, in the order of the page.
    pub products: Vec<CanonicalUrl>,
    /// References to products, those as well that the link rules leave.
    pub listed: u64,
    /// References where the selector finds products that name no page.
    pub bad: u64,
    pub(super) next: NextLink,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextLink {
    None,
    Page(CanonicalUrl),
    /// A link is there and leads nowhere.
    Refused(Refused),
}

impl Category {
    /// Reads a page that came from `url`, after redirects. `names` are the
    /// pipe's rules, for the products' URLs.
    pub fn read(
        &self,
        url: &CanonicalUrl,
        document: &Document,
        names: &CanonicalRules,
        links: &LinkRules,
    ) -> CategoryPage {
        let address = url.to_url();
        let base = base_of(document);
        let mut products = Products {
            names: names.resolver(&address, base),
            links,
            met: HashSet::new(),
            found: Vec::new(),
            listed: 0,
            bad: 0,
        };
        match &self.products {
            Some(selector) => document
                .select(selector)
                .take(ANCHORS_MAX)
                .for_each(|element| products.selected(element)),
            None => products.by_rules(document, url),
        }
        CategoryPage {
            next: self.next_link(url, document, base),
            products: products.found,
            listed: products.listed,
            bad: products.bad,
        }
    }

    fn next_link(&self, url: &CanonicalUrl, document: &Document, base: Option<&str>) -> NextLink {
        let address = url.to_url();
        let mut names = self.rules.resolver(&address, base);
        if let Some(selector) = &self.next {
            let element = document.select(selector).next();
            let Some(href) = element.and_then(href_of) else {
                return NextLink::None;
            };
            return declared(&mut names, href);
        }
        let said = document.links().find(|link| link.kind == LinkKind::Next);
        if let Some(link) = said {
            return declared(&mut names, link.target);
        }
        document
            .links()
            .filter(|link| link.kind == LinkKind::Anchor && is_called_next(link.element))
            .filter_map(|link| names.resolve(link.target).ok())
            .find(|next| goes_on(url, next))
            .map_or(NextLink::None, NextLink::Page)
    }
}

/// A link that is said to be the next page. One that leads nowhere by design,
/// such as `#` or `javascript:`, is how shops switch it off at the end.
fn declared(names: &mut Resolver<'_>, href: &str) -> NextLink {
    if href.is_empty() || href.starts_with('#') {
        return NextLink::None;
    }
    match names.resolve(href) {
        Ok(next) => NextLink::Page(next),
        Err(Refused::Scheme(_)) => NextLink::None,
        Err(why) => NextLink::Refused(why),
    }
}

struct Products<'p> {
    names: Resolver<'p>,
    links: &'p LinkRules,
    met: HashSet<CanonicalUrl>,
    found: Vec<CanonicalUrl>,
    listed: u64,
    bad: u64,
}

impl Products<'_> {
    /// An element that the selector found: the link itself, or what it lies in
    /// or is drawn around.
    fn selected(&mut self, element: Element<'_>) {
        let within = || element.descendants().find_map(href_of);
        let around = || element.ancestors().find_map(href_of);
        let Some(href) = href_of(element).or_else(within).or_else(around) else {
            self.bad += 1;
            return;
        };
        match self.names.resolve(href) {
            Ok(product) => {
                self.listed += 1;
                // What the pipe has selected is a product; other rules hold.
                let is_product = matches!(
                    self.links.decide_listed(&product),
                    LinkVerdict::Product | LinkVerdict::Follow
                );
                self.take(product, is_product);
            }
            Err(_) => self.bad += 1,
        }
    }

    fn by_rules(&mut self, document: &Document, url: &CanonicalUrl) {
        let anchors = document
            .links()
            .filter(|link| matches!(link.kind, LinkKind::Anchor | LinkKind::Area));
        for link in anchors.take(ANCHORS_MAX) {
            let Ok(found) = self.names.resolve(link.target) else {
                continue;
            };
            // Without patterns another page of this list looks like a product.
            let is_list = found.origin() == url.origin() && found.path() == url.path();
            let verdict = self.links.decide_listed(&found);
            let is_product =
                verdict == LinkVerdict::Product && (self.links.knows_products() || !is_list);
            self.listed += u64::from(is_product);
            self.take(found, is_product);
        }
    }

    fn take(&mut self, product: CanonicalUrl, is_product: bool) {
        if is_product && self.met.insert(product.clone()) {
            self.found.push(product);
        }
    }
}

fn base_of(document: &Document) -> Option<&str> {
    let mut links = document.links();
    links
        .find(|link| link.kind == LinkKind::Base)
        .map(|link| link.target)
}

fn href_of<'d>(element: Element<'d>) -> Option<&'d str> {
    let links = matches!(element.name(), "a" | "area" | "link");
    element.attribute("href").filter(|_| links).map(str::trim)
}

/// Whether an anchor is called "next page".
fn is_called_next(anchor: Element<'_>) -> bool {
    let is_word = |text: &str| NEXT_WORDS.contains(&text);
    let labels = ["aria-label", "title"].iter();
    let labels = labels.filter_map(|name| anchor.attribute(name)).map(word);
    let mut said = labels.chain([word(&anchor.text(WORD_CHARS_MAX + 1))]);
    if said.any(|text| is_word(&text)) {
        return true;
    }
    let arrow = NEXT_ARROWS.contains(&word(&anchor.text(WORD_CHARS_MAX + 1)).as_str());
    let classes = anchor.attribute("class").unwrap_or_default();
    let next_class = classes.split_ascii_whitespace().any(|class| {
        matches!(
            class,
            "next" | "next-page" | "page-next" | "pagination-next"
        )
    });
    (arrow || next_class) && is_in_pagination(anchor)
}

/// Text as it is compared: lower case, one blank between words, `""` if long.
fn word(text: &str) -> String {
    let text = collapse(text, WORD_CHARS_MAX + 1).to_lowercase();
    match text.chars().count() <= WORD_CHARS_MAX {
        true => text,
        false => String::new(),
    }
}

fn is_in_pagination(anchor: Element<'_>) -> bool {
    const WORDS: &[&str] = &[
        "pagination",
        "pager",
        "paging",
        "paginate",
        "pages",
        "page-nav",
    ];
    std::iter::once(anchor)
        .chain(anchor.ancestors().take(ANCESTORS_MAX))
        .any(|element| {
            ["class", "id", "aria-label"].iter().any(|name| {
                let value = element.attribute(name).unwrap_or_default();
                let value = value.to_ascii_lowercase();
                WORDS.iter().any(|word| value.contains(word))
            })
        })
}

/// Whether a link may be another page of the same list: the same path with
/// another query, or a path beside or below.
fn goes_on(page: &CanonicalUrl, next: &CanonicalUrl) -> bool {
    if page.origin() != next.origin() || page == next {
        return false;
    }
    let folder = |path: &str| path[..path.rfind('/').map_or(0, |at| at + 1)].to_owned();
    let (here, there) = (page.path(), next.path());
    here == there
        || there.starts_with(&format!("{}/", here.trim_end_matches('/')))
        || (folder(here) != "/" && folder(there) == folder(here))
        // `/shoes/page/2/` to `/shoes/page/3/`
        || (here.ends_with('/') && folder(here.trim_end_matches('/')) != "/"
            && folder(there.trim_end_matches('/')) == folder(here.trim_end_matches('/')))
}
