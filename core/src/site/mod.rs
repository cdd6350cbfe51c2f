//! The keys of the `[site]` table of a pipe file: how a shop without a feed is
//! discovered, which of its URLs are the same, what is taken of its pages, and
//! the bounds of a crawl.
//!
//! Plain data and the checks that need neither network nor HTML. CSS selectors
//! are read, and patterns compiled, by the crawler, which also does the work.

mod canonical;
mod check;
mod extract;
mod limits;
mod links;
mod listings;
mod sitemaps;
mod unchanged;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::problem::Problem;
use crate::product::Currency;

pub use canonical::{CanonicalOptions, Scheme, TrailingSlash};
pub use extract::{ExtractOptions, Selectors, Variants};
pub use limits::{PAGE_BYTES_MAX, SiteLimits};
pub use links::LinkOptions;
pub use listings::{CategoryOptions, CategoryPages, JsonOptions, NumberedPages, OnePage};
pub use sitemaps::{SitemapWord, Sitemaps};
pub use unchanged::{LastmodTrust, UnchangedOptions};

use check::Findings;

/// Most values of a list of hosts, patterns, parameters or selectors. Each
/// costs time for every link of every page.
pub const LIST_MAX: usize = 256;

/// Most pages that a pipe file may name one by one. More belong into a sitemap.
pub const URLS_MAX: usize = 10_000;

/// Everything that a pipe declares about crawling its site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteOptions {
    /// Hosts of the shop besides that of `source.url` and its `www.` form,
    /// such as `m.shop.example`, or `*.shop.example` for all below it. Pages
    /// of other hosts are never asked for. Default none, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// `"obey"` (default), or `"ignore"` for a shop of one's own, which
    /// `robots_ignored_because` has to say.
    pub robots: RobotsRule,
    /// Why the shop's robots.txt is not obeyed, such as `"our own outlet, agreed
    /// with its team"`; needed with `robots = "ignore"`, 10 to 500 characters.
    /// Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robots_ignored_because: Option<String>,
    /// `"robots"` (default): the sitemaps that robots.txt names, and
    /// `/sitemap.xml` where it names none. `"none"`, or a list of at most 256
    /// URLs of sitemaps and sitemap indexes.
    pub sitemaps: Sitemaps,
    /// Of the files that a sitemap index names only those whose path matches
    /// one of these patterns, such as `/sitemap_products_*`; syntax as in
    /// `links`. Default all, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sitemap_allow: Vec<String>,
    /// Files of a sitemap index that are left out. Default none, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sitemap_deny: Vec<String>,
    /// Product pages by their URLs. Default none, at most 10,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<Url>,
    /// Pages that list products; default none, at most 10,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<CategoryOptions>,
    /// JSON endpoints that list products, as pages with infinite scrolling
    /// use; default none, at most 1,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<JsonOptions>,
    /// Which links are followed and which are product pages.
    pub links: LinkOptions,
    /// Which URLs are the same page.
    pub canonical: CanonicalOptions,
    /// What is taken of a product page.
    pub extract: ExtractOptions,
    /// When a page counts as unchanged without being read.
    pub unchanged: UnchangedOptions,
    pub limits: SiteLimits,
    /// `"none"` (default), or `"chromium"` for pages that build themselves by
    /// script: every page is built in a browser before it is read.
    pub render: Render,
    /// Currency of amounts that name none, such as `EUR`; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// What the shop's robots.txt means to the crawl.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RobotsRule {
    #[default]
    Obey,
    Ignore,
}

/// What builds a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Render {
    /// The server: its HTML is read as it comes.
    #[default]
    None,
    /// A headless Chromium runs the page's scripts first.
    Chromium,
}

/// Most JSON endpoints of a pipe.
const JSON_MAX: usize = 1_000;

impl SiteOptions {
    /// Every value outside its bound and every contradiction between two
    /// settings; keys are relative to the table. `start` is `source.url`.
    pub fn problems(&self, start: &Url) -> Vec<Problem> {
        let mut found = Findings::default();
        self.host_problems(&mut found);
        self.robots_problems(&mut found);
        self.sitemaps.problems(&mut found);
        found.patterns("sitemap_allow", &self.sitemap_allow);
        found.patterns("sitemap_deny", &self.sitemap_deny);
        found.count("urls", self.urls.len(), URLS_MAX);
        for url in &self.urls {
            found.page("urls", url, self, start);
        }
        found.count("categories", self.categories.len(), URLS_MAX);
        for (at, category) in self.categories.iter().enumerate() {
            category.problems(at, self, start, &mut found);
        }
        found.count("json", self.json.len(), JSON_MAX);
        for (at, json) in self.json.iter().enumerate() {
            json.problems(at, self, start, &mut found);
        }
        self.links.problems(&mut found);
        self.canonical.problems(&mut found);
        self.extract.problems(&mut found);
        self.unchanged.problems(&mut found);
        self.limits.problems(&mut found);
        if self.starts_nowhere() {
            let nothing = "\"none\", and nothing else to begin with";
            let allowed = "a sitemap, urls, categories, json or links.follow = true, \
                           or nothing is ever found";
            found.push("sitemaps", &nothing, allowed);
        }
        found.into_list()
    }

    /// Whether `host` belongs to the shop whose start page is on `start_host`.
    /// Both are as URLs have them: lower case and ASCII.
    pub fn is_host(&self, start_host: &str, host: &str) -> bool {
        let bare = |host: &str| host.strip_prefix("www.").unwrap_or(host).to_owned();
        if bare(host) == bare(start_host) {
            return true;
        }
        self.hosts.iter().any(|declared| {
            let declared = declared.to_ascii_lowercase();
            match declared.strip_prefix('*') {
                // `.shop.example`, with the dot: not `othershop.example`.
                Some(suffix) => host.ends_with(suffix) && host.len() > suffix.len(),
                None => host == declared,
            }
        })
    }

    fn starts_nowhere(&self) -> bool {
        self.sitemaps == Sitemaps::Word(SitemapWord::None)
            && self.urls.is_empty()
            && self.categories.is_empty()
            && self.json.is_empty()
            && !self.links.follow
    }

    fn host_problems(&self, found: &mut Findings) {
        found.count("hosts", self.hosts.len(), LIST_MAX);
        for host in &self.hosts {
            let name = host.strip_prefix("*.").unwrap_or(host);
            found.host("hosts", name, host);
        }
    }

    fn robots_problems(&self, found: &mut Findings) {
        const KEY: &str = "robots_ignored_because";
        match (self.robots, &self.robots_ignored_because) {
            (RobotsRule::Obey, None) => {}
            (RobotsRule::Obey, Some(why)) => {
                found.push(KEY, &format!("{why:?}"), "only with robots = \"ignore\"");
            }
            (RobotsRule::Ignore, why) => {
                let why = why.as_deref().unwrap_or_default().trim();
                let says = (10..=500).contains(&why.chars().count());
                let allowed = "with robots = \"ignore\" a reason of 10 to 500 characters";
                found.unless(says, KEY, &format!("{why:?}"), allowed);
            }
        }
    }
}
