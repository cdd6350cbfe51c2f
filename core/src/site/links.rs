//! Which links are followed and which are product pages.

use serde::{Deserialize, Serialize};

use super::check::Findings;

/// Rules for the links of pages and for the URLs of sitemaps and listings.
///
/// Patterns are those of robots.txt: compared with the beginning of path and
/// query of the canonical URL (its parameters in order), `*` for anything,
/// `$` at the end for the end. `/p/` means everything below, `*.html$` what
/// ends so, `/item*id=` the parameter anywhere behind `/item`. Upper and lower
/// case differ, percent-encoding does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkOptions {
    /// Whether the links of pages are followed, beginning with `source.url`;
    /// default false: only what sitemaps, lists and listings name.
    pub follow: bool,
    /// Only what matches one of these is followed or taken for a product page;
    /// default everything, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// What matches one of these is left, whatever else matches; default none,
    /// at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// URLs of product pages. With such patterns nothing else is read as a
    /// product; without, every page is looked at. Default none, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<String>,
    /// Links between `source.url` and a page that is followed; product pages
    /// may lie one further. Default 16, bound 0 to 1,000.
    pub depth_max: u32,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            follow: false,
            allow: Vec::new(),
            deny: Vec::new(),
            products: Vec::new(),
            depth_max: 16,
        }
    }
}

impl LinkOptions {
    pub(super) fn problems(&self, found: &mut Findings) {
        found.patterns("links.allow", &self.allow);
        found.patterns("links.deny", &self.deny);
        found.patterns("links.products", &self.products);
        found.within("links.depth_max", u64::from(self.depth_max), 0, 1_000);
    }
}
