//! A JSON endpoint that lists products, as pages with infinite scrolling ask
//! it.

use serde_json::Value;
use trawler_core::site::{JsonOptions, SiteLimits};
use url::Url;

use super::super::links::{LinkRules, LinkVerdict};
use super::super::url::{CanonicalRules, CanonicalUrl, Refused};
use super::json::{LinkOf, Path, kind, text_of};
use super::words::encoded;
use super::{Broken, End, ListingError, Next, Place};

/// Items of one answer.
const ITEMS_MAX: usize = 20_000;

/// Longest cursor; it goes into a URL.
const CURSOR_BYTES_MAX: usize = 2_048;

/// One endpoint of a pipe, compiled.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// With its placeholder.
    template: String,
    mode: Mode,
    items: Option<Path>,
    link: LinkOf,
    link_text: String,
    next: Option<Path>,
    pages_max: u64,
    /// For the URLs of its answers.
    rules: CanonicalRules,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `{page}`
    Page { first: u64, step: u64 },
    /// `{offset}`; without step, by the items of the answer.
    Offset { first: u64, step: Option<u64> },
    /// `{cursor}`
    Cursor,
    /// One answer, or those that `next` leads to.
    Links,
}

/// What one answer brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPage {
    /// Of the items that are product pages by the link rules, each once.
    pub products: Vec<CanonicalUrl>,
    pub items: u64,
    /// Items without a link, or with one that names no page; each may be a
    /// product that is missing.
    pub bad: u64,
    next: Option<Value>,
}

impl Endpoint {
    /// `at` is its place in the pipe file, for errors.
    pub fn new(
        at: usize,
        options: &JsonOptions,
        limits: &SiteLimits,
        rules: &CanonicalRules,
    ) -> Result<Self, ListingError> {
        let (first, step) = (options.first, options.step);
        let has = |holder: &str| options.url.contains(holder);
        let mode = if has("{page}") {
            let (first, step) = (first.unwrap_or(1), step.unwrap_or(1));
            Mode::Page { first, step }
        } else if has("{offset}") {
            let first = first.unwrap_or(0);
            Mode::Offset { first, step }
        } else if has("{cursor}") {
            Mode::Cursor
        } else {
            Mode::Links
        };
        let this = Self {
            template: options.url.clone(),
            mode,
            items: options.items.as_deref().map(Path::new),
            link: LinkOf::new(&options.link),
            link_text: options.link.clone(),
            next: options.next.as_deref().map(Path::new),
            pages_max: options.pages_max.unwrap_or(limits.listing_pages_max),
            rules: rules.for_listings(),
        };
        match this.filled("1").and_then(|_| this.start()) {
            Ok(_) => Ok(this),
            Err(why) => Err(ListingError::Url {
                key: format!("json[{at}].url"),
                url: options.url.clone(),
                why,
            }),
        }
    }

    /// Its first answer; [`Endpoint::new`] has found that there is one.
    pub fn start(&self) -> Result<(CanonicalUrl, Place), Refused> {
        let (value, number) = match self.mode {
            Mode::Page { first, .. } | Mode::Offset { first, .. } => (first.to_string(), first),
            Mode::Cursor | Mode::Links => (String::new(), 0),
        };
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        Ok((self.filled(&value)?, Place { page: 0, number }))
    }

    /// Reads an answer that came from `url`. `names` are the pipe's rules, for
    /// the products' URLs.
    pub fn read(
        &self,
        url: &CanonicalUrl,
        body: &[u8],
        names: &CanonicalRules,
        links: &LinkRules,
    ) -> Result<JsonPage, Broken> {
        let answer: Value = serde_json::from_slice(without_mark(body))
            .map_err(|error| Broken::NoJson(error.to_string()))?;
        let items = self.items(&answer)?;
        if items.len() > ITEMS_MAX {
            return Err(Broken::ManyItems(items.len()));
        }
        let base = url.to_url();
        let mut resolver = names.resolver(&base, None);
        let mut page = JsonPage {
            products: Vec::new(),
            items: items.len() as u64,
            bad: 0,
            next: None,
        };
        let mut met = std::collections::HashSet::new();
        for item in items {
            let link = self.link.of(item);
            let Some(Ok(product)) = link.map(|link| resolver.resolve(&link)) else {
                page.bad += 1;
                continue;
            };
            let is_product = matches!(
                links.decide_listed(&product),
                LinkVerdict::Product | LinkVerdict::Follow
            );
            if is_product && met.insert(product.clone()) {
                page.products.push(product);
            }
        }
        if page.bad > 0 && page.bad == page.items {
            return Err(Broken::NoLinks(items.len(), self.link_text.clone()));
        }
        page.next = match &self.next {
            // At the end many answers leave it out.
            Some(path) => path.find(&answer).ok().cloned(),
            None => None,
        };
        Ok(page)
    }

    /// What comes behind an answer from `url`, of whose products `new` were in
    /// no other answer of this list.
    pub fn next(
        &self,
        place: Place,
        url: &CanonicalUrl,
        page: &JsonPage,
        new: u64,
        links: &LinkRules,
    ) -> Next {
        if page.items == 0 {
            return Next::End(match place.is_start() {
                true => End::EmptyFromTheStart,
                false => End::Empty,
            });
        }
        let number = u64::try_from(place.number).unwrap_or_default();
        let number = match self.mode {
            Mode::Cursor | Mode::Links => return self.by_word(place, url, page, links),
            // The same answer again, whatever the number.
            Mode::Page { .. } | Mode::Offset { .. }
                if new == 0 && !page.products.is_empty() && !place.is_start() =>
            {
                return Next::End(End::NothingNew);
            }
            Mode::Page { step, .. } => number.saturating_add(step),
            Mode::Offset { step, .. } => number.saturating_add(step.unwrap_or(page.items)),
        };
        match self.filled(&number.to_string()) {
            Ok(url) => {
                let number = i64::try_from(number).unwrap_or(i64::MAX);
                Next::page(url, place.next(number, self.pages_max))
            }
            Err(why) => Next::Broken(Broken::Refused(why)),
        }
    }

    /// What it means that an answer is not there (404, 410).
    pub fn gone(&self, place: Place) -> Next {
        match self.mode {
            Mode::Page { .. } | Mode::Offset { .. } if !place.is_start() => Next::End(End::Gone),
            Mode::Page { .. } | Mode::Offset { .. } | Mode::Cursor | Mode::Links => {
                Next::Broken(Broken::Gone)
            }
        }
    }

    /// What it means that an answer leads to another URL.
    pub fn moved(&self, place: Place, to: &CanonicalUrl, links: &LinkRules) -> Next {
        match links.is_site(to) {
            true => Next::Page(to.clone(), place),
            false => Next::Broken(Broken::OtherSite(to.host().to_owned())),
        }
    }

    /// By what the answer says comes next.
    fn by_word(
        &self,
        place: Place,
        url: &CanonicalUrl,
        page: &JsonPage,
        links: &LinkRules,
    ) -> Next {
        let path = self.next.as_ref().map_or("next", Path::as_str);
        let word = match &page.next {
            None | Some(Value::Null | Value::Bool(false)) => return Next::End(End::NoNext),
            Some(Value::String(text)) if text.trim().is_empty() => return Next::End(End::NoNext),
            Some(word) => match text_of(word) {
                Some(text) if text.len() <= CURSOR_BYTES_MAX => text,
                Some(_) | None => {
                    let found = format!("{path}: {}", kind(word));
                    return Next::Broken(Broken::NoCursor(found));
                }
            },
        };
        let next = match self.mode {
            Mode::Cursor => self.filled(&encoded(&word)),
            Mode::Links | Mode::Page { .. } | Mode::Offset { .. } => {
                self.rules.resolver(&url.to_url(), None).resolve(&word)
            }
        };
        let next = match next {
            Ok(next) => next,
            Err(why) => return Next::Broken(Broken::Refused(why)),
        };
        if next == *url {
            return Next::Broken(Broken::Itself);
        }
        if !links.is_site(&next) {
            return Next::Broken(Broken::OtherSite(next.host().to_owned()));
        }
        Next::page(next, place.next(0, self.pages_max))
    }

    fn items<'v>(&self, answer: &'v Value) -> Result<&'v [Value], Broken> {
        let name = self.items.as_ref().map_or("(the answer)", Path::as_str);
        let missing = |found: String| Broken::NoItems {
            path: name.to_owned(),
            found,
        };
        let found = match &self.items {
            Some(path) => path.find(answer).map_err(missing)?,
            None => answer,
        };
        match found {
            Value::Array(items) => Ok(items),
            // Some servers write nothing so.
            Value::Null if self.items.is_some() => Ok(&[]),
            other => Err(missing(format!("{} is there", kind(other)))),
        }
    }

    fn filled(&self, value: &str) -> Result<CanonicalUrl, Refused> {
        let holder = match self.mode {
            Mode::Page { .. } => "{page}",
            Mode::Offset { .. } => "{offset}",
            Mode::Cursor => "{cursor}",
            Mode::Links => return self.rules.of_url(&Url::parse(&self.template)?),
        };
        let url = Url::parse(&self.template.replace(holder, value))?;
        self.rules.of_url(&url)
    }
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}
