//! One page of a site: what it says, where it links to, and whether it seems to
//! wait for a script.

use serde::Serialize;
use trawler_net::{Prefix, Response};
use url::Url;

use super::error::OnboardError;
use super::look::shown;
use super::shown::example;
use crate::document::LinkKind;
use crate::page::{self, Extractor, PageReport, Rule};

/// Links that are taken of a page.
const LINKS_MAX: usize = 5_000;

/// Visible text of a page that was built, at least.
const TEXT_CHARS_MIN: usize = 200;

/// A page that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageSeen {
    pub url: String,
    pub kind: &'static str,
    pub title: Option<String>,
    pub price: Option<String>,
    /// Which kinds of evidence gave id, title, price, image and availability.
    pub rules: Vec<String>,
    pub missing: Vec<&'static str>,
    pub products: usize,
}

/// What a page says, where it links to, and whether it waits for a script.
pub(super) async fn read(
    response: &Response<Prefix>,
) -> Result<(PageReport, Vec<Url>, bool), OnboardError> {
    let charset = response.content_type().and_then(|content_type| {
        let parameters = content_type.split(';').skip(1);
        let mut pairs = parameters.filter_map(|parameter| parameter.trim().split_once('='));
        let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case("charset"));
        found.map(|(_, value)| value.trim_matches('"').to_owned())
    });
    let (bytes, url) = (response.body.bytes.clone(), response.url.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let (document, _) = Extractor::document(&bytes, charset.as_deref(), &url);
        let anchors = document
            .links()
            .filter(|link| link.kind == LinkKind::Anchor);
        let links = anchors.filter_map(|link| {
            let mut found = url.join(link.target).ok()?;
            found.set_fragment(None);
            matches!(found.scheme(), "http" | "https").then_some(found)
        });
        let links = links.take(LINKS_MAX).collect();
        let report = page::extract(&bytes, charset.as_deref(), &url);
        (report, links, is_scripted(&bytes))
    });
    reading.await.map_err(|_| OnboardError::Stopped)
}

pub(super) fn page_seen(report: &PageReport) -> PageSeen {
    let product = report.product.as_ref();
    let mut rules: Vec<String> = Vec::new();
    let mut missing = Vec::new();
    let mut note = |what: &'static str, rule: Option<Rule>| match rule {
        Some(rule) => {
            let word = serde_json::to_value(rule).ok();
            let word = word
                .as_ref()
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            if !rules.iter().any(|known| known == word) {
                rules.push(word.to_owned());
            }
        }
        None => missing.push(what),
    };
    if let Some(product) = product {
        note("id", product.id.as_ref().map(|found| found.from));
        note("title", product.title.as_ref().map(|found| found.from));
        note("price", product.price.as_ref().map(|found| found.from));
        note("image", product.image_link.as_ref().map(|found| found.from));
        note(
            "availability",
            product.availability.as_ref().map(|found| found.from),
        );
    }
    let title = product.and_then(|product| product.title.as_ref());
    let price = product.and_then(|product| product.price.as_ref());
    PageSeen {
        url: shown(&report.url),
        kind: report.kind.name(),
        title: title.map(|title| example(&title.value)),
        price: price.map(|price| format!("{} {}", price.value.amount_minor, price.value.currency)),
        rules,
        missing,
        products: match product {
            None => 0,
            Some(_) => report.variants.len().max(1),
        },
    }
}

pub(super) fn is_korean(bytes: &[u8], charset: &str) -> bool {
    charset == "EUC-KR"
        || std::str::from_utf8(bytes)
            .is_ok_and(|text| text.contains(|c: char| matches!(c, '\u{ac00}'..='\u{d7a3}')))
}

/// Little text, scripts, and a place that they fill.
fn is_scripted(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let lower = text.to_ascii_lowercase();
    lower.contains("<script") && visible_chars(&lower) < TEXT_CHARS_MIN
}

/// Characters of a page outside tags, scripts, styles and its head.
fn visible_chars(lower: &str) -> usize {
    let mut rest = lower.find("<body").map_or(lower, |at| &lower[at..]);
    let mut chars = 0;
    while let Some(at) = rest.find('<') {
        chars += rest[..at].split_whitespace().map(str::len).sum::<usize>();
        rest = &rest[at..];
        let hidden = ["script", "style", "noscript", "template", "svg"]
            .into_iter()
            .find(|name| rest[1..].starts_with(name));
        let end = match hidden {
            Some(name) => rest.find(&format!("</{name}")),
            None => None,
        };
        rest = &rest[end.unwrap_or(0)..];
        match rest.find('>') {
            Some(end) => rest = &rest[end + 1..],
            None => return chars,
        }
    }
    chars + rest.split_whitespace().map(str::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_wait_for_a_script_are_suspected() {
        let check = |page: &str, expected: bool| {
            assert_eq!(is_scripted(page.as_bytes()), expected, "{page}");
        };
        let words = "a word ".repeat(80);
        check("<body><div id=root></div><script src=a.js></script>", true);
        check(
            "<body><script>var a = '<b>';</script><noscript>on!</noscript>",
            true,
        );
        check(&format!("<body><p>{words}</p><script></script>"), false);
        check(
            &format!("<body><script>{words}</script><div id=app></div>"),
            true,
        );
        check("<body><h1>Cup</h1>", false);
    }
}
