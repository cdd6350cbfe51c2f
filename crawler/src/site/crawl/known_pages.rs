//! What the last complete run knew of the pages: its page book, asked by many
//! visits, and how a page goes into the next one.

use std::sync::{Mutex, PoisonError};

use trawler_fleet::chain;
use trawler_net::Validators;

use super::super::book::{Book, Page};
use super::super::url::CanonicalUrl;
use super::facts::{Facts, PageFacts};
use super::kind::Outcome;

/// One page of the book.
#[derive(Debug, Clone)]
pub(super) struct KnownPage {
    pub(super) facts: PageFacts,
    /// As [`PageRows`](super::rows::PageRows) holds them.
    pub(super) rows: Vec<u8>,
}

impl KnownPage {
    /// What the place that the page came from is asked with.
    pub(super) fn as_held(&self, url: &CanonicalUrl) -> Held {
        Held {
            validators: Validators {
                etag: self.facts.etag.clone(),
                last_modified: self.facts.last_modified.clone(),
            },
            at: self.came_from().unwrap_or_else(|| url.clone()),
        }
    }

    /// The place that the page's URL led to, if it did.
    pub(super) fn came_from(&self) -> Option<CanonicalUrl> {
        CanonicalUrl::stored(self.facts.from.as_ref()?)
    }

    fn of(page: Page) -> Option<Self> {
        let (links, rows) = unpacked(&page.rows)?;
        Some(Self {
            facts: PageFacts {
                lastmod: page.lastmod,
                etag: page.etag,
                last_modified: page.last_modified,
                from: page.from,
                read_at: page.read_at,
                links,
            },
            rows: rows.to_vec(),
        })
    }
}

/// What is held of an answer, so that it needs not be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) validators: Validators,
    /// The place that gave it.
    pub(super) at: CanonicalUrl,
}

/// The page as the next run wants to know it.
pub(super) fn page_of(facts: &Facts, outcome: Outcome, rows: &[u8]) -> Option<Page> {
    let page = facts.page.as_ref()?;
    Some(Page {
        url: facts.url.clone(),
        lastmod: page.lastmod,
        etag: page.etag.clone(),
        last_modified: page.last_modified.clone(),
        from: page.from.clone(),
        read_at: page.read_at,
        outcome: outcome.code(),
        rows: packed(&page.links, rows),
    })
}

/// Links and rows as one: length of the links, links, rows.
fn packed(links: &[String], rows: &[u8]) -> Vec<u8> {
    let links = links.join("\n");
    let length = u32::try_from(links.len()).expect("the links of a page of at most 8 MiB");
    let mut bytes = Vec::with_capacity(4 + links.len() + rows.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(links.as_bytes());
    bytes.extend_from_slice(rows);
    bytes
}

fn unpacked(bytes: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (links, rows) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let links = std::str::from_utf8(links).ok()?;
    let links = links.lines().map(str::to_owned).collect();
    Some((links, rows))
}

/// The book, or none.
#[derive(Default)]
pub(super) struct KnownPages {
    book: Option<Mutex<Book>>,
}

impl KnownPages {
    pub(super) fn of(book: Book) -> Self {
        Self {
            book: Some(Mutex::new(book)),
        }
    }

    /// A page that cannot be read from the book is not known, and is asked for.
    pub(super) fn get(&self, url: &str) -> Option<KnownPage> {
        let mut book = self
            .book
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match book.get(url) {
            Ok(page) => KnownPage::of(page?),
            Err(error) => {
                tracing::debug!(%url, "the page book does not tell of {url}: {}", chain(&error));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn links_and_rows_come_back_as_they_were() {
        let links = ["https://a.test/1".to_owned(), "https://a.test/2".to_owned()];
        for (links, rows) in [(&links[..], &b"rows"[..]), (&[], b""), (&links[..1], b"")] {
            let bytes = packed(links, rows);
            assert_eq!(unpacked(&bytes).unwrap(), (links.to_vec(), rows));
        }
        assert_eq!(unpacked(&[9, 0, 0, 0, 1]), None);
    }
}
