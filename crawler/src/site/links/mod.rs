//! Which URLs of a site are product pages, which are followed, and which are
//! left, by the rules of the pipe (`trawler_core::site::LinkOptions`).
//!
//! [`LinkRules`] decide about one URL and remember nothing; [`Traps`] counts
//! the URLs of a path over a whole run. Whether a URL was seen before is the
//! frontier's to know, and whether robots.txt allows it is not asked here.

mod files;
mod pattern;
mod traps;

#[cfg(test)]
mod tests;

use std::fmt;

use trawler_core::site::SiteOptions;

pub use pattern::{Pattern, Patterns};
pub use traps::{Trap, Traps};

use super::url::CanonicalUrl;

/// What becomes of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkVerdict {
    /// It is asked for and read as a product page.
    Product,
    /// It is asked for, and its links are looked at. Without `links.products`
    /// it may be a product page as well.
    Follow,
    /// It is not asked for.
    Leave(Leave),
}

/// Why a URL is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leave {
    /// Its host is not the shop's.
    OtherSite,
    /// A pattern of `links.deny` matches.
    Denied,
    /// There are patterns in `links.allow`, and none matches.
    NotAllowed,
    /// A sitemap or listing names it, and no pattern of `links.products`
    /// matches.
    NoProduct,
    /// It is an image, an archive or another file that is no page.
    File,
    /// Links are not followed.
    NotFollowed,
    /// It is further from the start than `links.depth_max`.
    TooDeep,
    /// It looks like one of endlessly many.
    Trap(Trap),
}

impl Leave {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherSite => "other_site",
            Self::Denied => "denied",
            Self::NotAllowed => "not_allowed",
            Self::NoProduct => "no_product",
            Self::File => "file",
            Self::NotFollowed => "not_followed",
            Self::TooDeep => "too_deep",
            Self::Trap(trap) => trap.as_str(),
        }
    }

    /// Whether products may have been missed for it, so that the run is
    /// incomplete: a bound was reached, and no rule of the pipe says so.
    pub fn cuts(self) -> bool {
        match self {
            Self::Trap(trap) => trap.cuts(),
            Self::OtherSite
            | Self::Denied
            | Self::NotAllowed
            | Self::NoProduct
            | Self::File
            | Self::NotFollowed
            | Self::TooDeep => false,
        }
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherSite => "its host is neither that of source.url nor one of site.hosts",
            Self::Denied => "a pattern of links.deny matches",
            Self::NotAllowed => "no pattern of links.allow matches",
            Self::NoProduct => "no pattern of links.products matches",
            Self::File => "it is a file and no page",
            Self::NotFollowed => "links.follow is off",
            Self::TooDeep => "it is further away than links.depth_max",
            Self::Trap(trap) => return trap.fmt(f),
        })
    }
}

/// The link rules of a pipe, compiled.
#[derive(Debug, Clone)]
pub struct LinkRules {
    hosts: Hosts,
    follow: bool,
    allow: Patterns,
    deny: Patterns,
    products: Patterns,
    depth_max: u32,
}

impl LinkRules {
    /// `start` is the canonical URL of `source.url`.
    pub fn new(options: &SiteOptions, start: &CanonicalUrl) -> Self {
        let links = &options.links;
        Self {
            hosts: Hosts::new(start.host(), &options.hosts),
            follow: links.follow,
            allow: Patterns::new(&links.allow),
            deny: Patterns::new(&links.deny),
            products: Patterns::new(&links.products),
            depth_max: links.depth_max,
        }
    }

    /// About a link of a page; `depth` counts the links from `source.url` to
    /// where it leads.
    pub fn decide(&self, url: &CanonicalUrl, depth: u32) -> LinkVerdict {
        let found = match self.judge(url) {
            Ok(found) => found,
            Err(why) => return LinkVerdict::Leave(why),
        };
        let depth_max = match found {
            // Its links are the next step.
            Kind::Product => self.depth_max.saturating_add(1),
            Kind::Page => self.depth_max,
        };
        let why = match found {
            Kind::Page if !self.follow => Leave::NotFollowed,
            _ if depth > depth_max => Leave::TooDeep,
            Kind::Product => return LinkVerdict::Product,
            Kind::Page => match Trap::of(url) {
                None => return LinkVerdict::Follow,
                Some(trap) => Leave::Trap(trap),
            },
        };
        LinkVerdict::Leave(why)
    }

    /// About a URL that a sitemap, a listing or a JSON endpoint names: without
    /// `links.products` a product page, with such patterns what they say.
    pub fn decide_listed(&self, url: &CanonicalUrl) -> LinkVerdict {
        match self.judge(url) {
            Err(why) => LinkVerdict::Leave(why),
            Ok(Kind::Product) => LinkVerdict::Product,
            Ok(Kind::Page) if self.products.is_empty() => LinkVerdict::Product,
            Ok(Kind::Page) if self.follow => LinkVerdict::Follow,
            Ok(Kind::Page) => LinkVerdict::Leave(Leave::NoProduct),
        }
    }

    /// Whether the URL's host is the shop's.
    pub fn is_site(&self, url: &CanonicalUrl) -> bool {
        self.hosts.has(url.host())
    }

    /// As [`LinkRules::is_site`], by host.
    pub fn is_host(&self, host: &str) -> bool {
        self.hosts.has(host)
    }

    /// Whether the pipe says what product pages are called.
    pub fn knows_products(&self) -> bool {
        !self.products.is_empty()
    }

    fn judge(&self, url: &CanonicalUrl) -> Result<Kind, Leave> {
        if !self.is_site(url) {
            return Err(Leave::OtherSite);
        }
        let path = url.path_and_query();
        if self.deny.matches(path) {
            return Err(Leave::Denied);
        }
        if !self.allow.is_empty() && !self.allow.matches(path) {
            return Err(Leave::NotAllowed);
        }
        if self.products.matches(path) {
            return Ok(Kind::Product);
        }
        match files::is_file(url.path()) {
            true => Err(Leave::File),
            false => Ok(Kind::Page),
        }
    }
}

/// What a URL is by its name alone.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Product,
    Page,
}

/// The hosts of a shop; as `SiteOptions::is_host`, for many questions.
#[derive(Debug, Clone)]
struct Hosts {
    whole: Vec<String>,
    /// With the dot.
    suffixes: Vec<String>,
}

impl Hosts {
    fn new(start: &str, declared: &[String]) -> Self {
        let bare = start.strip_prefix("www.").unwrap_or(start);
        let mut this = Self {
            whole: vec![start.to_owned(), bare.to_owned(), format!("www.{bare}")],
            suffixes: Vec::new(),
        };
        for host in declared {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix('*') {
                Some(suffix) => this.suffixes.push(suffix.to_owned()),
                None => this.whole.push(host),
            }
        }
        this
    }

    fn has(&self, host: &str) -> bool {
        self.whole.iter().any(|own| own == host)
            || self
                .suffixes
                .iter()
                .any(|suffix| host.len() > suffix.len() && host.ends_with(suffix))
    }
}
