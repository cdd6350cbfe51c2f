//! Why a sitemap, or an entry of one, cannot be read.

use std::io;

use super::{EVENT_BYTES_MAX, INDEX_DEPTH_MAX, LOC_BYTES_MAX};

/// Why a sitemap was not read to its end. Offsets are of the decompressed
/// file as UTF-8.
#[derive(Debug, thiserror::Error)]
pub enum SitemapError {
    #[error("the sitemap could not be read")]
    Input(#[source] io::Error),
    #[error("the sitemap is empty")]
    Empty,
    #[error("the sitemap ends in the middle, at byte {offset}")]
    Truncated { offset: u64 },
    #[error("the sitemap's gzip is damaged: {why}")]
    Corrupt { why: String },
    #[error("the sitemap is longer than {max} bytes; limits.sitemap_bytes_max is the bound")]
    TooLarge { max: u64 },
    #[error("the sitemap unpacks to more than {max} times its size, which no sitemap does")]
    Bomb { max: u64 },
    #[error("the sitemap names more than {max} URLs; limits.sitemap_urls_max is the bound")]
    TooManyUrls { max: u64 },
    #[error("it is an HTML page and no sitemap")]
    Html,
    #[error("it is no sitemap: {found}")]
    NotASitemap { found: String },
    #[error("the sitemap declares entities or a document type of its own, which is not read")]
    EntityDeclaration,
    #[error(
        "at byte {offset} the index names a sitemap, and {INDEX_DEPTH_MAX} indexes lead to it \
         already"
    )]
    NestedIndex { offset: u64 },
    #[error("the sitemap's XML is wrong at byte {offset}: {why}")]
    Malformed { offset: u64, why: String },
    #[error("a tag, text or line at byte {offset} is longer than {EVENT_BYTES_MAX} bytes")]
    TooLong { offset: u64 },
    #[error("behind its end, at byte {offset}, the sitemap goes on with another document")]
    GoesOn { offset: u64 },
}

impl SitemapError {
    /// Whether the same file may come whole when it is asked for again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Input(_) | Self::Truncated { .. } | Self::Empty | Self::Corrupt { .. } => true,
            Self::TooLarge { .. }
            | Self::Bomb { .. }
            | Self::TooManyUrls { .. }
            | Self::Html
            | Self::NotASitemap { .. }
            | Self::EntityDeclaration
            | Self::NestedIndex { .. }
            | Self::Malformed { .. }
            | Self::TooLong { .. }
            | Self::GoesOn { .. } => false,
        }
    }
}

/// An entry that names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEntry {
    pub why: WhyBad,
    /// Of the entry's beginning.
    pub offset: u64,
}

/// Why an entry names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyBad {
    #[error("it has no URL")]
    NoUrl,
    #[error("it has two URLs")]
    TwoUrls,
    #[error("its URL is longer than {LOC_BYTES_MAX} bytes")]
    TooLong,
    #[error("its URL has bytes that are not of the file's character set")]
    Damaged,
    #[error("its URL has the entity &{0}; which XML does not know")]
    Entity(String),
    #[error("it is no URL: {0}")]
    NoUrlOnLine(String),
}

/// What the layers below the parser have to say, carried through `io::Error`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("input failed")]
    Input(#[source] io::Error),
    #[error("too large")]
    TooLarge { max: u64 },
    #[error("a bomb")]
    Bomb { max: u64 },
    #[error("damaged: {0}")]
    Corrupt(String),
    #[error("ended early")]
    Truncated,
    #[error("too long")]
    TooLong,
}

impl Fault {
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

/// What an error of the layers below means, at an offset of the text.
pub(super) fn of_io(error: &io::Error, offset: u64) -> SitemapError {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref());
    match fault {
        Some(Fault::Input(cause)) => {
            SitemapError::Input(io::Error::new(cause.kind(), cause.to_string()))
        }
        Some(Fault::TooLarge { max }) => SitemapError::TooLarge { max: *max },
        Some(Fault::Bomb { max }) => SitemapError::Bomb { max: *max },
        Some(Fault::Corrupt(why)) => SitemapError::Corrupt { why: why.clone() },
        Some(Fault::Truncated) => SitemapError::Truncated { offset },
        Some(Fault::TooLong) => SitemapError::TooLong { offset },
        None => SitemapError::Input(io::Error::new(error.kind(), error.to_string())),
    }
}
