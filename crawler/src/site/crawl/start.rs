//! Where a crawl begins.

use trawler_core::site::{RobotsRule, SiteOptions, SitemapWord, Sitemaps};
use trawler_core::verdict::{Ending, Failure};

use super::super::robots::Availability;
use super::super::url::CanonicalUrl;
use super::kind::Kind;
use super::site_rules::SiteRules;
use super::visit::Find;
use super::visitor::Visitor;

/// The sitemap's number of one that the pipe or robots.txt names, and of one
/// that is only guessed and need not exist.
pub(super) const NAMED: u32 = 0;
pub(super) const GUESSED: u32 = 1;
/// Of one that an index names.
pub(super) const PART: u32 = 2;

/// The sitemaps to begin with.
pub(super) async fn sitemaps(
    visitor: &Visitor,
    options: &SiteOptions,
    home: &CanonicalUrl,
) -> Result<Vec<Find>, Ending> {
    reachable(visitor, home).await?;
    let sitemap = |url: String, source| Find {
        kind: Kind::Sitemap,
        source,
        ..page(url)
    };
    Ok(match &options.sitemaps {
        Sitemaps::Word(SitemapWord::None) => Vec::new(),
        Sitemaps::Listed(urls) => {
            let urls = urls.iter();
            urls.map(|url| sitemap(url.to_string(), NAMED)).collect()
        }
        Sitemaps::Word(SitemapWord::Robots) => {
            let file = visitor.permissions.file(home).await;
            let named = file.access.sitemaps();
            if named.is_empty() {
                let guess = format!("{}/sitemap.xml", home.origin());
                return Ok(vec![sitemap(guess, GUESSED)]);
            }
            named
                .iter()
                .filter_map(|url| visitor.rules.sitemap_url(home, url))
                .map(|url| sitemap(url, NAMED))
                .collect()
        }
    })
}

/// What comes once the sitemaps are read: a page that one of them names comes
/// with its date, and need not be asked for where that has not moved.
pub(super) fn others(rules: &SiteRules, options: &SiteOptions) -> Vec<Find> {
    let canonical = |url| rules.canonical.of_url(url).ok();
    let pages = options.urls.iter().filter_map(canonical);
    let home = options.links.follow.then(|| rules.home.clone());
    let pages = pages.chain(home).map(|url| page(url.into()));
    rules.lists.starts().into_iter().chain(pages).collect()
}

fn page(url: String) -> Find {
    Find {
        kind: Kind::Page,
        url,
        depth: 0,
        source: 0,
        page: 0,
        lastmod: None,
        is_counted: false,
    }
}

/// A shop that cannot be asked what it allows is down, or as good as that: the
/// job fails and comes again, and no run ends as if there were no products.
async fn reachable(visitor: &Visitor, home: &CanonicalUrl) -> Result<(), Ending> {
    if visitor.permissions.rule == RobotsRule::Ignore {
        return Ok(());
    }
    let file = visitor.permissions.file(home).await;
    match file.access.availability() {
        Availability::Found | Availability::Unavailable => Ok(()),
        Availability::Unreachable => {
            let why = file.reason.unwrap_or_default();
            Err(Ending::Failed(Failure::transient(format!(
                "ask what {} allows, and nothing is asked for until it says so: {why}",
                home.origin()
            ))))
        }
    }
}
