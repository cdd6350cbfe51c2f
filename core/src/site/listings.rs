//! Pages and endpoints that list products.

use serde::{Deserialize, Serialize};
use url::Url;

use super::SiteOptions;
use super::check::Findings;

/// Longest template of a URL or link.
const TEMPLATE_BYTES_MAX: usize = 2_048;

/// The most pages that one listing may be given.
const PAGES_MAX: u64 = 100_000;

/// What stands for the number of a page in a template.
const PAGE: &str = "{page}";
/// What stands for the number of items before a page.
const OFFSET: &str = "{offset}";
/// What stands for what the answer before said.
const CURSOR: &str = "{cursor}";

/// A page that lists products, and how the list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryOptions {
    /// The first page of the list.
    pub url: Url,
    /// CSS selector of the link to the next page. By default `rel=next` of a
    /// link or anchor, then a link that carries the class or label of one.
    /// Not together with `pages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// `"one"` for a list of one page; or pages by number, until one is not
    /// there (404, 410) or brings no product that the others did not:
    /// `{ parameter = "page" }`. Default: by links, see `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<CategoryPages>,
    /// CSS selector of the links to products. By default what `links.products`
    /// matches, and without such patterns every link that is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<String>,
    /// Pages of this list at most; more make the run incomplete. Default
    /// `limits.listing_pages_max`, bound 1 to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_max: Option<u64>,
}

/// How the pages of a category are found other than by links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "\"one\" or a table such as { parameter = \"page\", first = 1, step = 1 }"
)]
pub enum CategoryPages {
    One(OnePage),
    Numbered(NumberedPages),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnePage {
    One,
}

/// Pages by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedPages {
    /// The query parameter that carries the number. Either this or `template`;
    /// default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The URL of a page, absolute or from `/`, with `{page}` for the number, as
    /// in `/shoes/page/{page}/`. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The number that the category's own URL stands for; default 1, bound 0
    /// to 1,000,000.
    #[serde(default = "one")]
    pub first: u64,
    /// From one page's number to the next one's; default 1, bound 1 to 10,000.
    #[serde(default = "one")]
    pub step: u64,
}

/// A JSON endpoint that lists products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonOptions {
    /// Absolute URL with `{page}` (a number), `{offset}` (items so far) or
    /// `{cursor}` (what `next` of the answer before said; empty at first).
    /// Without any of them one answer is read, and what `next` leads to.
    pub url: String,
    /// Dotted path to the array of items, such as `data.products`; by default
    /// the answer is the array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// Dotted path in an item to its link, such as `url`; or a template with
    /// paths in braces: `/products/{handle}`.
    pub link: String,
    /// Dotted path in the answer to the next cursor, or to the URL of the next
    /// answer where `url` has no `{cursor}`. Missing, null, false or empty at
    /// the end. Default none: one answer, or pages by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The first number; default 1 for `{page}` and 0 for `{offset}`, bound 0
    /// to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// From one number to the next; default 1 for `{page}`, and for `{offset}`
    /// the items of the answer. Bound 1 to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Answers of this endpoint at most; more make the run incomplete. Default
    /// `limits.listing_pages_max`, bound 1 to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_max: Option<u64>,
}

fn one() -> u64 {
    1
}

impl CategoryOptions {
    /// A category by its URL alone.
    pub fn of(url: Url) -> Self {
        Self {
            url,
            next: None,
            pages: None,
            products: None,
            pages_max: None,
        }
    }

    pub(super) fn problems(
        &self,
        at: usize,
        site: &SiteOptions,
        start: &Url,
        found: &mut Findings,
    ) {
        let key = |name: &str| format!("categories[{at}].{name}");
        found.page(&key("url"), &self.url, site, start);
        for (name, selector) in [("next", &self.next), ("products", &self.products)] {
            if let Some(selector) = selector {
                found.selector(&key(name), selector);
            }
        }
        if self.next.is_some() && self.pages.is_some() {
            let allowed = "either next or pages";
            found.push(&key("next"), &"a selector, and pages as well", allowed);
        }
        if let Some(CategoryPages::Numbered(pages)) = &self.pages {
            pages.problems(&key("pages"), found);
        }
        if let Some(pages) = self.pages_max {
            found.within(&key("pages_max"), pages, 1, PAGES_MAX);
        }
    }
}

impl NumberedPages {
    fn problems(&self, key: &str, found: &mut Findings) {
        match (&self.parameter, &self.template) {
            (Some(name), None) => found.parameter(&format!("{key}.parameter"), name, name),
            (None, Some(template)) => {
                let fits = template.matches(PAGE).count() == 1
                    && template.len() <= TEMPLATE_BYTES_MAX
                    && ["/", "http://", "https://"]
                        .iter()
                        .any(|start| template.starts_with(start));
                let allowed = "a URL, absolute or from /, with {page} once, of at most 2048 bytes";
                let key = format!("{key}.template");
                found.unless(fits, &key, &format!("{template:?}"), allowed);
            }
            (None, None) => found.push(key, &"neither", "parameter or template"),
            (Some(_), Some(_)) => found.push(key, &"both", "parameter or template"),
        }
        found.within(&format!("{key}.first"), self.first, 0, 1_000_000);
        found.within(&format!("{key}.step"), self.step, 1, 10_000);
    }
}

impl JsonOptions {
    pub(super) fn problems(
        &self,
        at: usize,
        site: &SiteOptions,
        start: &Url,
        found: &mut Findings,
    ) {
        let key = |name: &str| format!("json[{at}].{name}");
        self.url_problems(&key("url"), site, start, found);
        if let Some(items) = &self.items {
            found.path(&key("items"), items);
        }
        if let Some(next) = &self.next {
            found.path(&key("next"), next);
        }
        if self.url.contains(CURSOR) && self.next.is_none() {
            let allowed = "with {cursor} in url the path to the next cursor";
            found.push(&key("next"), &"nothing", allowed);
        }
        self.link_problems(&key("link"), found);
        let numbered = self.url.contains(PAGE) || self.url.contains(OFFSET);
        for (name, number, min, max) in [
            ("first", self.first, 0, 1_000_000),
            ("step", self.step, 1, 10_000),
        ] {
            let Some(number) = number else { continue };
            let allowed = "only with {page} or {offset} in url";
            found.unless(numbered, &key(name), &number, allowed);
            found.within(&key(name), number, min, max);
        }
        if numbered && self.next.is_some() {
            let allowed = "one way to go on: a number in url, or next";
            found.push(&key("next"), &"a path, and a number in url", allowed);
        }
        if let Some(pages) = self.pages_max {
            found.within(&key("pages_max"), pages, 1, PAGES_MAX);
        }
    }

    fn url_problems(&self, key: &str, site: &SiteOptions, start: &Url, found: &mut Findings) {
        let holders: usize = [PAGE, OFFSET, CURSOR]
            .iter()
            .map(|holder| self.url.matches(holder).count())
            .sum();
        let shown = format!("{:?}", self.url);
        let allowed = "at most one of {page}, {offset} and {cursor}, once";
        found.unless(holders <= 1, key, &shown, allowed);
        // A number in the host would be another shop's on every page.
        let path_at = self.url.find("://").and_then(|at| {
            let rest = &self.url[at + 3..];
            Some(at + 3 + rest.find(['/', '?'])?)
        });
        let authority = &self.url[..path_at.unwrap_or(self.url.len())];
        let allowed = "{page}, {offset} and {cursor} behind the host";
        if authority.contains('{') {
            return found.push(key, &shown, allowed);
        }
        let filled = [PAGE, OFFSET, CURSOR]
            .iter()
            .fold(self.url.clone(), |url, holder| url.replace(holder, "1"));
        match Url::parse(&filled) {
            Ok(url) if filled.len() <= TEMPLATE_BYTES_MAX => found.page(key, &url, site, start),
            Ok(_) | Err(_) => found.push(key, &shown, "an absolute URL of at most 2048 bytes"),
        }
    }

    fn link_problems(&self, key: &str, found: &mut Findings) {
        let link = &self.link;
        if !link.contains('{') {
            return found.path(key, link);
        }
        let mut rest = link.as_str();
        let mut fits = link.len() <= TEMPLATE_BYTES_MAX;
        while let Some((_, after)) = rest.split_once('{') {
            let Some((path, after)) = after.split_once('}') else {
                fits = false;
                break;
            };
            fits &= !path.is_empty() && path.split('.').all(|part| !part.is_empty());
            rest = after;
        }
        let allowed = "a dotted path, or a template with dotted paths in braces, such as \
                       /products/{handle}";
        found.unless(
            fits && !rest.contains('}'),
            key,
            &format!("{link:?}"),
            allowed,
        );
    }
}
