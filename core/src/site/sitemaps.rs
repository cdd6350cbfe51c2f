//! Where sitemaps are.

use serde::{Deserialize, Serialize};
use url::Url;

use super::LIST_MAX;
use super::check::Findings;

/// Which sitemaps are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "\"robots\", \"none\" or a list of absolute URLs of sitemaps"
)]
pub enum Sitemaps {
    Word(SitemapWord),
    /// These, on whichever host they are; the pages that they name have to be
    /// the shop's.
    Listed(Vec<Url>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SitemapWord {
    /// Those that robots.txt names; `/sitemap.xml` where it names none, and
    /// then it need not exist.
    Robots,
    None,
}

impl Default for Sitemaps {
    fn default() -> Self {
        Self::Word(SitemapWord::Robots)
    }
}

impl Sitemaps {
    pub(super) fn problems(&self, found: &mut Findings) {
        let Self::Listed(urls) = self else {
            return;
        };
        found.unless(
            !urls.is_empty(),
            "sitemaps",
            &"[]",
            "at least one URL, or \"none\"",
        );
        found.count("sitemaps", urls.len(), LIST_MAX);
        for url in urls {
            found.url("sitemaps", url);
        }
    }
}
