//! A category: its rules, and what comes behind a page of it.

use trawler_core::site::{CategoryOptions, CategoryPages, NumberedPages, SiteLimits};
use url::Url;

use super::super::links::LinkRules;
use super::super::url::{CanonicalRules, CanonicalUrl};
use super::page::{CategoryPage, NextLink};
use super::{Broken, End, ListingError, NOTHING_NEW_MAX, Next, Place};
use crate::document::Selector;

/// One category of a pipe, compiled.
#[derive(Debug, Clone)]
pub struct Category {
    start: CanonicalUrl,
    pub(super) next: Option<Selector>,
    pub(super) products: Option<Selector>,
    mode: Mode,
    pages_max: u64,
    /// For the URLs of its pages.
    pub(super) rules: CanonicalRules,
}

#[derive(Debug, Clone)]
enum Mode {
    One,
    Links,
    Numbered(NumberedPages),
}

impl Category {
    /// `at` is its place in the pipe file, for errors.
    pub fn new(
        at: usize,
        options: &CategoryOptions,
        limits: &SiteLimits,
        rules: &CanonicalRules,
    ) -> Result<Self, ListingError> {
        let rules = rules.for_listings();
        let selector = |name: &str, text: &Option<String>| {
            let parse = |text: &String| Selector::parse(text);
            text.as_ref()
                .map(parse)
                .transpose()
                .map_err(|why| ListingError::Selector {
                    key: format!("categories[{at}].{name}"),
                    why,
                })
        };
        let start = rules.of_url(&options.url);
        let start = start.map_err(|why| ListingError::Url {
            key: format!("categories[{at}].url"),
            url: options.url.to_string(),
            why,
        })?;
        let this = Self {
            start,
            next: selector("next", &options.next)?,
            products: selector("products", &options.products)?,
            mode: match &options.pages {
                None => Mode::Links,
                Some(CategoryPages::One(_)) => Mode::One,
                Some(CategoryPages::Numbered(pages)) => Mode::Numbered(pages.clone()),
            },
            pages_max: options.pages_max.unwrap_or(limits.listing_pages_max),
            rules,
        };
        // A template that makes no URL is found now and not in the night.
        this.numbered_url(1).map_err(|why| ListingError::Url {
            key: format!("categories[{at}].pages"),
            url: options.url.to_string(),
            why,
        })?;
        Ok(this)
    }

    /// Its first page.
    pub fn start(&self) -> (CanonicalUrl, Place) {
        (self.start.clone(), Place::START)
    }

    /// What comes behind a page at `url`, of whose products `new` were on no
    /// other page of this list.
    pub fn next(
        &self,
        place: Place,
        url: &CanonicalUrl,
        page: &CategoryPage,
        new: u64,
        links: &LinkRules,
    ) -> Next {
        match &self.mode {
            Mode::One => Next::End(End::OnePage),
            Mode::Links => self.by_link(place, url, page, new, links),
            Mode::Numbered(pages) => self.by_number(place, pages, page, new),
        }
    }

    /// What it means that a page is not there (404, 410).
    pub fn gone(&self, place: Place) -> Next {
        match &self.mode {
            Mode::Numbered(_) if !place.is_start() => Next::End(End::Gone),
            Mode::Numbered(_) | Mode::One | Mode::Links => Next::Broken(Broken::Gone),
        }
    }

    /// What it means that a page leads to another one.
    pub fn moved(&self, place: Place, to: &CanonicalUrl, links: &LinkRules) -> Next {
        if !links.is_site(to) {
            return Next::Broken(Broken::OtherSite(to.host().to_owned()));
        }
        match !place.is_start() && *to == self.start {
            true => Next::End(End::BackToTheStart),
            false => Next::Page(to.clone(), place),
        }
    }

    fn by_link(
        &self,
        place: Place,
        url: &CanonicalUrl,
        page: &CategoryPage,
        new: u64,
        links: &LinkRules,
    ) -> Next {
        let next = match &page.next {
            NextLink::None if page.listed == 0 && place.is_start() => {
                return Next::End(End::EmptyFromTheStart);
            }
            NextLink::None => return Next::End(End::NoNext),
            NextLink::Refused(why) => return Next::Broken(Broken::Refused(why.clone())),
            NextLink::Page(next) if next == url => return Next::End(End::Itself),
            NextLink::Page(next) if *next == self.start => return Next::End(End::BackToTheStart),
            NextLink::Page(next) => next,
        };
        if !links.is_site(next) {
            return Next::Broken(Broken::OtherSite(next.host().to_owned()));
        }
        let nothing_new = match new {
            0 => place.number + 1,
            _ => 0,
        };
        if nothing_new >= NOTHING_NEW_MAX {
            return Next::Broken(Broken::NothingNew(nothing_new));
        }
        Next::page(next.clone(), place.next(nothing_new, self.pages_max))
    }

    fn by_number(
        &self,
        place: Place,
        pages: &NumberedPages,
        page: &CategoryPage,
        new: u64,
    ) -> Next {
        // Where the link rules leave all that is listed, nobody can say whether
        // it is new; the list goes on to its own end.
        let end = match (page.listed, page.products.len(), new) {
            (0, _, _) if place.is_start() => Some(End::EmptyFromTheStart),
            (0, _, _) => Some(End::Empty),
            (_, 1.., 0) if !place.is_start() => Some(End::NothingNew),
            (_, _, _) => None,
        };
        if let Some(end) = end {
            return Next::End(end);
        }
        let number = pages.first + (u64::from(place.page) + 1) * pages.step;
        match self.numbered_url(number) {
            Ok(Some(url)) => Next::page(url, place.next(0, self.pages_max)),
            Ok(None) => Next::End(End::OnePage),
            Err(why) => Next::Broken(Broken::Refused(why)),
        }
    }

    /// The page of a number; `None` where pages have none.
    fn numbered_url(&self, number: u64) -> Result<Option<CanonicalUrl>, super::Refused> {
        let Mode::Numbered(pages) = &self.mode else {
            return Ok(None);
        };
        let start = self.start.to_url();
        let url = match (&pages.template, &pages.parameter) {
            (Some(template), _) => {
                let filled = template.replace("{page}", &number.to_string());
                return self.rules.resolver(&start, None).resolve(&filled).map(Some);
            }
            (None, Some(parameter)) => with_parameter(start, parameter, number),
            (None, None) => start,
        };
        self.rules.of_url(&url).map(Some)
    }
}

/// The URL with one parameter set, the others as they are spelt.
fn with_parameter(mut url: Url, parameter: &str, number: u64) -> Url {
    let name = super::words::encoded(parameter);
    let others = url.query().unwrap_or_default().split('&');
    let others = others.filter(|piece| {
        let has = piece.split('=').next().unwrap_or_default();
        !piece.is_empty() && has != name && has != parameter
    });
    let query: String = others.map(|piece| format!("{piece}&")).collect();
    url.set_query(Some(&format!("{query}{name}={number}")));
    url
}
