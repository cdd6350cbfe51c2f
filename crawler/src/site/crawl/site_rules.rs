//! What a pipe says about its site, compiled once for a crawl, and what a page
//! is by it.

use std::collections::HashSet;

use trawler_core::site::{SiteOptions, UnchangedOptions};
use trawler_core::verdict::Failure;
use trawler_fleet::chain;
use url::Url;

use super::super::links::{LinkRules, LinkVerdict, Patterns};
use super::super::url::{CanonicalRules, CanonicalUrl};
use super::kind::{Kind, Outcome};
use super::lists::Lists;
use super::rows::PageRows;
use super::visit::Find;
use super::visitor::Answer;
use crate::document::{Document, LinkKind};
use crate::page::{self, Extractor, PageKind, RowRules};

/// The rules of one crawl.
pub(super) struct SiteRules {
    pub(super) home: CanonicalUrl,
    /// The same, for the fetcher.
    pub(super) home_address: Url,
    pub(super) canonical: CanonicalRules,
    pub(super) links: LinkRules,
    pub(super) unchanged: UnchangedOptions,
    pub(super) lists: Lists,
    sitemap_allow: Patterns,
    sitemap_deny: Patterns,
    extractor: Extractor,
    row_rules: RowRules,
    follow: bool,
}

/// What a page said.
#[derive(Debug)]
pub(super) struct PageRead {
    pub(super) outcome: Outcome,
    pub(super) why: Option<String>,
    /// As [`PageRows`] holds them.
    pub(super) rows: Vec<u8>,
    pub(super) finds: Vec<Find>,
}

impl SiteRules {
    pub(super) fn new(options: &SiteOptions, home: &Url) -> Result<Self, Failure> {
        let canonical = CanonicalRules::new(&options.canonical);
        let home = canonical
            .of_url(home)
            .map_err(|error| Failure::permanent(format!("source.url {home}: {error}")))?;
        let extractor = Extractor::new(&options.extract)
            .map_err(|error| Failure::permanent(format!("site.extract: {}", chain(&error))))?
            .with_currency(options.currency);
        Ok(Self {
            lists: Lists::new(options, &canonical)?,
            extractor,
            row_rules: RowRules::new(&options.extract),
            links: LinkRules::new(options, &home),
            canonical,
            home_address: home.to_url(),
            home,
            unchanged: options.unchanged.clone(),
            sitemap_allow: Patterns::new(&options.sitemap_allow),
            sitemap_deny: Patterns::new(&options.sitemap_deny),
            follow: options.links.follow,
        })
    }

    /// A sitemap that robots.txt names, in its own spelling.
    pub(super) fn sitemap_url(&self, home: &CanonicalUrl, named: &str) -> Option<String> {
        let base = home.to_url();
        let url = self.canonical.resolver(&base, None).resolve(named.trim());
        url.ok().map(String::from)
    }

    /// Whether a part of a sitemap index is read.
    pub(super) fn wants_part(&self, url: &CanonicalUrl) -> bool {
        let path = url.path_and_query();
        !self.sitemap_deny.matches(path)
            && (self.sitemap_allow.is_empty() || self.sitemap_allow.matches(path))
    }
}

impl SiteRules {
    /// What a page says, and where it leads.
    pub(super) fn read_page(&self, answer: &Answer, at: &CanonicalUrl, depth: u16) -> PageRead {
        let address = at.to_url();
        let charset = answer.content_type.as_deref().and_then(charset_of);
        let (document, charset) = Extractor::document(&answer.body, charset, &address);
        self.read_document(&document, charset, (at, &address), depth)
    }

    /// The same of a page that the fast builder can read, if it can.
    pub(super) fn read_page_fast(
        &self,
        answer: &Answer,
        at: &CanonicalUrl,
        depth: u16,
    ) -> Option<PageRead> {
        let address = at.to_url();
        let charset = answer.content_type.as_deref().and_then(charset_of);
        let (document, charset) = Extractor::document_fast(&answer.body, charset, &address)?;
        Some(self.read_document(&document, charset, (at, &address), depth))
    }

    fn read_document(
        &self,
        document: &Document,
        charset: &'static str,
        (at, address): (&CanonicalUrl, &Url),
        depth: u16,
    ) -> PageRead {
        let finds = self.finds(document, at, address, depth);
        let is_product = match self.links.knows_products() {
            true => self.links.decide_listed(at) == LinkVerdict::Product,
            false => true,
        };
        let believed = |named: &Url| self.believed(at, address, named);
        let report = self
            .extractor
            .extract_from(document, Some(200), charset, address, &believed);
        let mut rows = PageRows::default();
        if is_product {
            for row in page::rows(&report, &self.row_rules) {
                rows.push(&row);
            }
        }
        let outcome = match (rows.rows(), report.kind) {
            (0, PageKind::SoftNotFound) => Outcome::SoftGone,
            (0, PageKind::Blocked | PageKind::Login) => Outcome::Blocked,
            (0, PageKind::Product | PageKind::Listing | PageKind::Other) => Outcome::NoProduct,
            (_, _) => Outcome::Product,
        };
        let why = (rows.rows() == 0).then(|| report.kind.words().to_owned());
        PageRead {
            outcome,
            why,
            rows: rows.into_bytes(),
            finds,
        }
    }

    /// What a page is, apart from what it sells.
    pub(super) fn kind_of(
        &self,
        document: &Document,
        charset: &'static str,
        at: &CanonicalUrl,
    ) -> PageKind {
        let address = at.to_url();
        let believed = |_: &Url| None;
        self.extractor
            .extract_from(document, Some(200), charset, &address, &believed)
            .kind
    }

    /// What is made of the page's word for its own canonical URL.
    fn believed(&self, at: &CanonicalUrl, address: &Url, named: &Url) -> Option<Url> {
        let mut names = self.canonical.resolver(address, None);
        let is_host = |host: &str| self.links.is_host(host);
        self.canonical
            .rel_canonical(at, &mut names, named.as_str(), is_host)
            .ok()
            .map(|believed| believed.to_url())
    }

    /// The document of an answer, and its character set.
    pub(super) fn document(&self, answer: &Answer, at: &CanonicalUrl) -> (Document, &'static str) {
        let charset = answer.content_type.as_deref().and_then(charset_of);
        Extractor::document(&answer.body, charset, &at.to_url())
    }

    fn finds(
        &self,
        document: &Document,
        url: &CanonicalUrl,
        address: &Url,
        depth: u16,
    ) -> Vec<Find> {
        if !self.follow {
            return Vec::new();
        }
        let below = depth.saturating_add(1);
        let mut base = None;
        let mut finds: Vec<Find> = Vec::new();
        let mut met = HashSet::new();
        let mut names = self.canonical.resolver(address, None);
        for link in document.links() {
            match link.kind {
                LinkKind::Base if base.is_none() => {
                    base = Some(link.target);
                    names = self.canonical.resolver(address, base);
                    continue;
                }
                LinkKind::Anchor | LinkKind::Area | LinkKind::Next if !link.nofollow => {}
                _ => continue,
            }
            let Ok(found) = names.resolve(link.target) else {
                continue;
            };
            let is_counted = match self.links.decide(&found, u32::from(below)) {
                LinkVerdict::Product => Some(false),
                LinkVerdict::Follow => Some(true),
                LinkVerdict::Leave(_) => None,
            };
            if let Some(is_counted) = is_counted
                && found != *url
                && met.insert(found.clone())
            {
                finds.push(Find {
                    kind: Kind::Page,
                    url: found.into(),
                    depth: below,
                    source: 0,
                    page: 0,
                    lastmod: None,
                    is_counted,
                });
            }
        }
        finds
    }
}

/// The `charset` of a `Content-Type`.
fn charset_of(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use trawler_net::Validators;

    use super::*;

    const PAGE: &str = r#"<html><head><link rel="canonical" href="/goods/1">
        <script type="application/ld+json">{"@context":"https://schema.org","@type":"Product",
        "name":"Thing","sku":"1","offers":{"@type":"Offer","price":"5000","priceCurrency":"KRW"}}
        </script></head><body></body></html>"#;

    /// The link of the row that a page at this address gives.
    fn link(at: &str, is_believed: bool) -> String {
        let mut options = SiteOptions::default();
        options.canonical.rel_canonical = is_believed;
        let home = Url::parse("https://shop.example/").unwrap();
        let rules = SiteRules::new(&options, &home).unwrap();
        let answer = Answer {
            body: Bytes::from_static(PAGE.as_bytes()),
            content_type: Some("text/html; charset=utf-8".to_owned()),
            validators: Validators::default(),
            bytes_down: PAGE.len() as u64,
            set_cookies: Vec::new(),
            doubt: None,
        };
        let at = rules.canonical.of_url(&Url::parse(at).unwrap()).unwrap();
        let read = rules.read_page(&answer, &at, 0);
        assert_eq!(read.outcome, Outcome::Product, "{read:?}");
        // Behind the hashes stands the row as JSON.
        let text = String::from_utf8_lossy(&read.rows);
        let row: serde_json::Value =
            serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
        row["link"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_word_of_a_page_for_its_own_address_is_taken_where_the_pipe_says_so() {
        for (at, is_believed, expected) in [
            ("https://shop.example/goods/1?color=2", true, "/goods/1"),
            (
                "https://shop.example/goods/1?color=2",
                false,
                "/goods/1?color=2",
            ),
            ("https://shop.example/p/9", true, "/goods/1"),
            ("https://shop.example/p/9", false, "/p/9"),
        ] {
            let expected = format!("https://shop.example{expected}");
            assert_eq!(link(at, is_believed), expected, "{at} {is_believed}");
        }
    }
}
