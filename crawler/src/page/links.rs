//! Turns the references of a page into absolute http(s) URLs.

use trawler_core::product::Currency;
use url::Url;

use super::limits::URL_CHARS_MAX;
use super::price;
use super::remarks::{Remarks, quoted};

/// What relative references of the page are relative to.
#[derive(Debug)]
pub(super) struct Links {
    base: Url,
    page: Url,
    home: Option<Currency>,
}

impl Links {
    pub(super) fn new(page: &Url, base_href: Option<&str>, remarks: &mut Remarks) -> Self {
        let base = base_href.and_then(|href| match page.join(href.trim()) {
            Ok(url) if is_web(&url) || url.scheme() == page.scheme() => Some(url),
            Ok(_) | Err(_) => {
                remarks.add(format!(
                    "<base href={}> is not an http(s) URL; the page's own URL was used",
                    quoted(href)
                ));
                None
            }
        });
        Self {
            base: base.unwrap_or_else(|| page.clone()),
            page: page.clone(),
            home: price::home(None, page),
        }
    }

    /// The same, for a page that says what language it is in.
    pub(super) fn in_language(mut self, language: Option<&str>) -> Self {
        self.home = price::home(language, &self.page);
        self
    }

    /// The currency of the place that the page is made for, as far as its
    /// language and host tell.
    pub(super) fn home(&self) -> Option<Currency> {
        self.home
    }

    /// Whether a reference leads to this page: to where it came from or to
    /// its canonical URL, whatever the fragment.
    pub(super) fn is_page(&self, reference: &str, canonical: Option<&Url>) -> bool {
        let Some(mut url) = self.base.join(reference.trim()).ok().filter(is_web) else {
            return false;
        };
        url.set_fragment(None);
        Some(&url) == canonical || Some(&url) == self.page().as_ref()
    }

    /// Where the page came from, if that is the web.
    pub(super) fn page(&self) -> Option<Url> {
        is_web(&self.page).then(|| {
            let mut url = self.page.clone();
            url.set_fragment(None);
            url
        })
    }

    /// Whether the query of the page's URL has this value: `?variant=4711`.
    pub(super) fn query_names(&self, value: &str) -> bool {
        self.page.query_pairs().any(|(_, found)| found == value)
    }

    /// The absolute URL of a reference; `what` names it in the remark that
    /// an unusable one leaves.
    pub(super) fn resolve(
        &self,
        reference: &str,
        what: &str,
        remarks: &mut Remarks,
    ) -> Option<Url> {
        let reference = reference.trim();
        if reference.is_empty() {
            return None;
        }
        // A byte is at least as strict as a character, and cheaper to count.
        if reference.len() > URL_CHARS_MAX {
            remarks.add(format!(
                "{what} {} is longer than {URL_CHARS_MAX} bytes; it was left out",
                quoted(reference)
            ));
            return None;
        }
        let why = match self.base.join(reference) {
            Ok(url) if is_web(&url) => return Some(url),
            Ok(url) => format!("its scheme is {}", url.scheme()),
            Err(error) => error.to_string(),
        };
        remarks.add(format!(
            "{what} {} is not an http(s) URL ({why}); it was left out",
            quoted(reference)
        ));
        None
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}
