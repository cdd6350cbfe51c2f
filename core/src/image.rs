//! Nouns of image work: what is fetched, what variants come out, and what
//! became of it.

use serde::{Deserialize, Serialize};

/// How a source is fitted into a variant's box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Fills the box, cutting what sticks out, centred.
    Cover,
    /// Fits whole within the box, never enlarged; the output may be smaller
    /// than the box on one side.
    Contain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    Jpeg,
    Webp,
}

impl OutputFormat {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// One stored rendition of every image, from the configuration. Every field
/// has to be given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// 1 to 32 lower-case ASCII letters, digits, `-` and `_`; part of the key.
    pub name: String,
    /// Of the box, in pixels; bound 1 to 8192.
    pub width: u32,
    /// Of the box, in pixels; bound 1 to 8192.
    pub height: u32,
    /// `"cover"` or `"contain"`.
    pub fit: Fit,
    /// `"jpeg"` or `"webp"`.
    pub format: OutputFormat,
    /// Of the encoder; bound 1 to 100.
    pub quality: u8,
}

/// What became of one image. None of them is a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageStatus {
    /// Not tried yet; the commit of a run writes it.
    Pending,
    Stored,
    /// Same bytes and same recipe as stored before; nothing was written.
    Unchanged,
    NotFound,
    /// The partner refuses us (401, 403, 451).
    Blocked,
    NotAnImage,
    Truncated,
    Corrupt,
    TooLarge,
    UnsupportedFormat,
    Timeout,
    /// The address is one that Trawler never connects to.
    RefusedAddress,
    /// The host failed otherwise (connection, 5xx) until attempts ran out.
    Unreachable,
    /// The image URL is not a URL that can be fetched.
    BadUrl,
}

impl ImageStatus {
    pub const ALL: [Self; 14] = [
        Self::Pending,
        Self::Stored,
        Self::Unchanged,
        Self::NotFound,
        Self::Blocked,
        Self::NotAnImage,
        Self::Truncated,
        Self::Corrupt,
        Self::TooLarge,
        Self::UnsupportedFormat,
        Self::Timeout,
        Self::RefusedAddress,
        Self::Unreachable,
        Self::BadUrl,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Stored => "stored",
            Self::Unchanged => "unchanged",
            Self::NotFound => "not_found",
            Self::Blocked => "blocked",
            Self::NotAnImage => "not_an_image",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too_large",
            Self::UnsupportedFormat => "unsupported_format",
            Self::Timeout => "timeout",
            Self::RefusedAddress => "refused_address",
            Self::Unreachable => "unreachable",
            Self::BadUrl => "bad_url",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a later try may end otherwise without the partner mending
    /// anything; such images are retried before the next recheck.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Timeout | Self::Unreachable | Self::Truncated => true,
            Self::Pending
            | Self::Stored
            | Self::Unchanged
            | Self::NotFound
            | Self::Blocked
            | Self::NotAnImage
            | Self::Corrupt
            | Self::TooLarge
            | Self::UnsupportedFormat
            | Self::RefusedAddress
            | Self::BadUrl => false,
        }
    }
}

/// What is known of an image from the last time it was fetched, so that
/// unchanged bytes are neither sent nor decoded again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownImage {
    /// Hex SHA-256 of the source bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Recipe (all variants) that the stored variants were made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// One variant as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredVariant {
    pub name: String,
    pub key: String,
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
    /// Hex SHA-256 of the stored bytes, for verification.
    pub sha256: String,
}

/// What became of one image of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOutcome {
    pub product_id: String,
    pub url: String,
    pub status: ImageStatus,
    /// Why, for people; empty when stored or unchanged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Facts of the source, when it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceFacts>,
    /// What the next fetch should send and compare.
    pub known: KnownImage,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<StoredVariant>,
}

/// Facts of a source image; width and height are after orientation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    pub sha256: String,
    pub format: String,
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
}

/// When the image of a row whose URL did not change is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recheck {
    Never,
    EveryRun,
    /// Each image once in so many days, 1 to 3650, spread by hash of its
    /// product id.
    #[serde(untagged)]
    Days {
        every_days: u32,
    },
}

impl Default for Recheck {
    fn default() -> Self {
        Self::Days { every_days: 30 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_survive_writing_and_reading() {
        for status in ImageStatus::ALL {
            assert_eq!(ImageStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(ImageStatus::parse("fine"), None);
    }
}
