//! The shop's robots.txt.

use super::FORBIDDEN;
use super::sitemap::EXTRA_SITEMAPS;
use crate::model::{Model, PRIVATE, PRIVATE_OPEN};
use crate::site_spec::{PagingMix, SitemapStyle};

pub(crate) fn robots(model: &Model) -> String {
    let spec = model.spec();
    if let Some(text) = &spec.site.robots_text {
        return text.clone();
    }
    let mut out = format!("User-agent: *\nDisallow: {FORBIDDEN}\n");
    if spec.site.has_areas() {
        out.push_str(&format!("Disallow: {PRIVATE}\nAllow: {PRIVATE_OPEN}\n"));
    }
    if spec.site.paging == PagingMix::Mixed {
        out.push_str("Disallow: /search\nDisallow: /*?sort=\nDisallow: /*&sort=\n");
    }
    for prefix in &spec.robots_disallow {
        out.push_str("Disallow: ");
        out.push_str(prefix);
        out.push('\n');
    }
    if let Some(delay) = spec.crawl_delay {
        out.push_str(&format!("Crawl-delay: {}\n", delay.as_secs_f64()));
    }
    if spec.site.paging == PagingMix::Mixed {
        out.push_str("\nUser-agent: unwanted-bot\nDisallow: /\n");
    }
    out.push_str(&format!("\nSitemap: {}/sitemap.xml\n", model.base_url()));
    if spec.site.sitemap == SitemapStyle::Mixed {
        for (path, _) in EXTRA_SITEMAPS {
            out.push_str(&format!("Sitemap: {}{path}\n", model.base_url()));
        }
    }
    out
}
