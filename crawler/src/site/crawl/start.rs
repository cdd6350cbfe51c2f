//! Where a crawl begins.

use trawler_core::site::{RobotsRule, SiteOptions, SitemapWord, Sitemaps};
use trawler_core::verdict::{Ending, Failure};

use super::super::robots::Availability;
use super::super::url::CanonicalUrl;
use super::kind::Kind;
use super::visit::Find;
use super::visitor::Visitor;

/// The sitemap's number of one that the pipe or robots.txt names, and of one
/// that is only guessed and need not exist.
pub(super) const NAMED: u32 = 0;
pub(super) const GUESSED: u32 = 1;
/// Of one that an index names.
pub(super) const PART: u32 = 2;

/// What there is to begin with.
pub(super) async fn starts(
    visitor: &Visitor,
    options: &SiteOptions,
    home: &CanonicalUrl,
) -> Result<Vec<Find>, Ending> {
    reachable(visitor, home).await?;
    let page = |url: String, depth| Find {
        kind: Kind::Page,
        url,
        depth,
        source: 0,
        page: 0,
        lastmod: None,
        is_counted: false,
    };
    let sitemap = |url: String, source| Find {
        kind: Kind::Sitemap,
        source,
        ..page(url, 0)
    };
    let mut starts = Vec::new();
    match &options.sitemaps {
        Sitemaps::Word(SitemapWord::None) => {}
        Sitemaps::Listed(urls) => {
            starts.extend(urls.iter().map(|url| sitemap(url.to_string(), NAMED)));
        }
        Sitemaps::Word(SitemapWord::Robots) => {
            let file = visitor.permissions.file(home).await;
            let named = file.access.sitemaps();
            starts.extend(
                named
                    .iter()
                    .filter_map(|url| visitor.rules.sitemap_url(home, url))
                    .map(|url| sitemap(url, NAMED)),
            );
            if named.is_empty() {
                let guess = format!("{}/sitemap.xml", home.origin());
                starts.push(sitemap(guess, GUESSED));
            }
        }
    }
    starts.extend(visitor.rules.lists.starts());
    let canonical = |url| visitor.rules.canonical.of_url(url).ok();
    let pages = options.urls.iter().filter_map(canonical);
    starts.extend(pages.map(|url| page(url.into(), 0)));
    if options.links.follow {
        starts.push(page(home.as_str().to_owned(), 0));
    }
    Ok(starts)
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
