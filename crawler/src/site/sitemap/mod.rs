//! Sitemaps, read as they arrive.
//!
//! [`read`] takes the body of one file (XML `urlset` and `sitemapindex`, RSS 2.0
//! and 1.0, Atom, or text with one URL a line; gzip told by its first bytes)
//! and hands on each URL. Memory is constant: a decompressor, a buffer and one
//! entry, however long the file is. Document types with declarations of
//! entities are refused and no entity is expanded but those of XML itself.
//!
//! It fetches nothing and makes no URL canonical. Namespaces are not asked for:
//! shops write them in many ways; what belongs to the protocol is told by its
//! place and by having the prefix of the entry it stands in, so that `image:loc`
//! and `xhtml:link` do not count.
//!
//! Facts: <https://www.sitemaps.org/protocol.html>, RFC 4287 (Atom), the RSS 2.0
//! specification.

mod date;
mod error;
mod lines;
mod source;
mod text;
mod xml;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::ops::ControlFlow;

pub use date::Lastmod;
pub use error::{BadEntry, SitemapError, WhyBad};

use trawler_core::site::SiteLimits;

use text::Text;

/// Indexes that may stand above a file. The protocol knows one; some shop
/// systems make an index of indexes.
pub const INDEX_DEPTH_MAX: u32 = 2;

/// Bytes of one URL in a file; the protocol allows 2,048.
const LOC_BYTES_MAX: usize = 8_192;

/// Bytes between two steps of the reader: a tag, a text, a comment. It is held
/// at once.
const EVENT_BYTES_MAX: usize = 256 << 10;

/// Bad entries that are shown, all being counted.
const SHOWN_MAX: usize = 20;

/// The bounds of reading one file.
#[derive(Debug, Clone)]
pub struct SitemapLimits {
    /// After decompression.
    pub bytes_max: u64,
    pub urls_max: u64,
}

impl From<&SiteLimits> for SitemapLimits {
    fn from(limits: &SiteLimits) -> Self {
        Self {
            bytes_max: limits.sitemap_bytes_max,
            urls_max: limits.sitemap_urls_max,
        }
    }
}

/// What a file names, as it is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A page.
    Page {
        loc: &'a str,
        lastmod: Option<Lastmod>,
    },
    /// Another sitemap.
    Part {
        loc: &'a str,
        lastmod: Option<Lastmod>,
    },
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SitemapKind {
    UrlSet,
    Index,
    Rss,
    Atom,
    Text,
}

/// What was read of a file that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub kind: SitemapKind,
    /// Handed on.
    pub pages: u64,
    pub parts: u64,
    /// Entries that name nothing, all of them; each may be a product that is
    /// missing.
    pub bad: u64,
    /// The first 20 of them.
    pub bad_entries: Vec<BadEntry>,
    /// Dates that are none; their entries were handed on without.
    pub bad_dates: u64,
    /// After decompression.
    pub bytes: u64,
    /// The one who takes the entries wanted no more.
    pub stopped: bool,
}

impl Summary {
    fn new(kind: SitemapKind) -> Self {
        Self {
            kind,
            pages: 0,
            parts: 0,
            bad: 0,
            bad_entries: Vec::new(),
            bad_dates: 0,
            bytes: 0,
            stopped: false,
        }
    }
}

/// Reads one file and hands on what it names, in its order; `each` may end it.
///
/// `above` counts the indexes that lead to this file. What was handed on
/// before an error is right; what follows is not known, so that an error makes
/// the run incomplete. Blocks as `input` does.
pub fn read(
    input: impl Read,
    limits: &SitemapLimits,
    above: u32,
    mut each: impl FnMut(Entry<'_>) -> ControlFlow<()>,
) -> Result<Summary, SitemapError> {
    let mut text = Text::new(source::open(input, limits.bytes_max)?)?;
    let mut taker = Taker {
        limits,
        above,
        each: &mut each,
        summary: Summary::new(SitemapKind::Text),
    };
    match text.first_character()? {
        None => return Err(SitemapError::Empty),
        Some(b'<') => xml::read(&mut text, &mut taker)?,
        Some(_) => lines::read(&mut text, &mut taker)?,
    }
    Ok(Summary {
        bytes: text.offset(),
        ..taker.summary
    })
}

/// Hands entries on and counts them.
struct Taker<'t> {
    limits: &'t SitemapLimits,
    above: u32,
    each: &'t mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    summary: Summary,
}

impl Taker<'_> {
    fn entry(&mut self, entry: Entry<'_>, offset: u64) -> Result<ControlFlow<()>, SitemapError> {
        let summary = &mut self.summary;
        if summary.pages + summary.parts >= self.limits.urls_max {
            let max = self.limits.urls_max;
            return Err(SitemapError::TooManyUrls { max });
        }
        match entry {
            Entry::Page { .. } => summary.pages += 1,
            Entry::Part { .. } if self.above >= INDEX_DEPTH_MAX => {
                return Err(SitemapError::NestedIndex { offset });
            }
            Entry::Part { .. } => summary.parts += 1,
        }
        let flow = (self.each)(entry);
        summary.stopped = flow.is_break();
        Ok(flow)
    }

    fn bad(&mut self, why: WhyBad, offset: u64) {
        self.summary.bad += 1;
        if self.summary.bad_entries.len() < SHOWN_MAX {
            self.summary.bad_entries.push(BadEntry { why, offset });
        }
    }
}
