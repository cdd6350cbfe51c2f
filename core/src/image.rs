//! Nouns of image work: what is fetched, what variants come out, and what
//! became of it.

use serde::{Deserialize, Serialize};

use crate::phash::Phash;

/// How a source is fitted into a variant's box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Fills the box, cutting what sticks out, centred.
    Cover,
    /// Fits whole within the box, never enlarged; the output may be smaller
    /// than the box on one side.
    Contain,
    /// As `contain`, in the middle of the whole box, whose rest is the
    /// variant's background.
    Pad,
    /// The middle at the source's own size: what sticks out of the box is cut,
    /// nothing is enlarged or shrunk.
    Crop,
    /// The border of one colour is cut off first; what is left fits as with
    /// `contain`.
    Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    Jpeg,
    Webp,
    /// Without loss; the quality means nothing.
    Png,
}

impl OutputFormat {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
            Self::Png => "png",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Png => "image/png",
        }
    }
}

/// A colour, written `"#f0f0f0"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl Colour {
    pub const WHITE: Self = Self([u8::MAX; 3]);
}

/// A text that is no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is a # and six hex digits, such as \"#ffffff\"")]
pub struct NoColour;

impl TryFrom<String> for Colour {
    type Error = NoColour;

    fn try_from(text: String) -> Result<Self, NoColour> {
        let digits = text.strip_prefix('#').ok_or(NoColour)?;
        let plain = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u32::from_str_radix(digits, 16).map_err(|_| NoColour)?;
        let [_, red, green, blue] = value.to_be_bytes();
        plain.then_some(Self([red, green, blue])).ok_or(NoColour)
    }
}

impl From<Colour> for String {
    fn from(Colour([red, green, blue]): Colour) -> Self {
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

/// One stored rendition of every image, from the configuration. Every field
/// without a default has to be given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// 1 to 32 lower-case ASCII letters, digits, `-` and `_`; part of the key.
    pub name: String,
    /// Of the box, in pixels; bound 1 to 8192.
    pub width: u32,
    /// Of the box, in pixels; bound 1 to 8192.
    pub height: u32,
    /// `"cover"`, `"contain"`, `"pad"`, `"crop"` or `"content"`.
    pub fit: Fit,
    /// `"jpeg"`, `"webp"` or `"png"`.
    pub format: OutputFormat,
    /// Of the encoder; bound 1 to 100.
    pub quality: u8,
    /// What is seen where the picture is not: the rest of a `pad`ded box, and
    /// whatever is transparent in a JPEG. Default white, and in formats that
    /// keep transparency nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Colour>,
    /// The format instead of `format` for pictures with transparency, which
    /// then stays: `"png"` or `"webp"`. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transparent: Option<OutputFormat>,
    /// Whether the border of one colour is cut off before the picture is
    /// fitted, whatever the fit; default false. `content` does so in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trim: bool,
}

impl Variant {
    /// The format of a picture with or without transparency.
    pub fn format_of(&self, is_transparent: bool) -> OutputFormat {
        let other = self.transparent.filter(|_| is_transparent);
        other.unwrap_or(self.format)
    }

    /// Whether it shows what lies within the border of one colour.
    pub fn trims(&self) -> bool {
        self.trim || self.fit == Fit::Content
    }
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
    /// A picture, but one that stands for "no picture yet", as the
    /// configuration says; no variants are stored.
    Placeholder,
    /// Its job was given up because the pipe is not to be had, so that nobody
    /// was asked; fetched by the first run after the pipe is back.
    PipePaused,
    /// The pipe says that its images are not collected; fetched by the first
    /// run after it says otherwise.
    NotCollected,
}

impl ImageStatus {
    pub const ALL: [Self; 17] = [
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
        Self::Placeholder,
        Self::PipePaused,
        Self::NotCollected,
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
            Self::Placeholder => "placeholder",
            Self::PipePaused => "pipe_paused",
            Self::NotCollected => "not_collected",
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
            | Self::BadUrl
            | Self::Placeholder
            | Self::PipePaused
            | Self::NotCollected => false,
        }
    }
}

/// Whether the bytes that came from a partner are stored beside what is made
/// of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Originals {
    #[default]
    Drop,
    /// Once for each content. Listed among the variants, after the others,
    /// under the name [`ORIGINAL`].
    Keep,
}

/// The name under which a kept original is listed; no variant has it.
pub const ORIGINAL: &str = "original";

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
    /// Of the picture, so that a changed list of placeholders is held against
    /// it without a download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phash: Option<Phash>,
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

/// Facts of a source image; width and height are after orientation, and 0 where
/// its bytes alone told enough and it was not decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    pub sha256: String,
    pub format: String,
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phash: Option<Phash>,
    /// What is wrong with it, if it is not sound and could be decoded in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<Damaged>,
}

/// A file that strict decoding refuses and lenient decoding accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    pub kind: Damage,
    /// Hundredths of the picture that its data reached.
    pub decoded_percent: u8,
}

/// Why strict decoding refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    Truncated,
    Corrupt,
}

impl Damage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Truncated, Self::Corrupt];
        all.into_iter().find(|damage| damage.as_str() == text)
    }

    /// The status of a file that is refused for it.
    pub fn status(self) -> ImageStatus {
        match self {
            Self::Truncated => ImageStatus::Truncated,
            Self::Corrupt => ImageStatus::Corrupt,
        }
    }
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
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn colours_are_written_as_on_the_web() {
        let check = |text: &str, expected: Option<[u8; 3]>| {
            let found = Colour::try_from(text.to_owned()).ok();
            assert_eq!(found, expected.map(Colour), "{text}");
            if let Some(colour) = found {
                assert_eq!(String::from(colour), text);
            }
        };
        check("#ffffff", Some([255; 3]));
        check("#01a0fe", Some([1, 160, 254]));
        check("ffffff", None);
        check("#fff", None);
        check("#+1a0fe", None);
        check("white", None);
    }

    #[test]
    fn statuses_survive_writing_and_reading() {
        for status in ImageStatus::ALL {
            assert_eq!(ImageStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(ImageStatus::parse("fine"), None);
    }

    #[test]
    fn results_of_an_earlier_release_are_read() {
        let old = r#"{"product_id":"p","url":"u","status":"stored","source":{"sha256":"s","format":"jpeg","width":1,"height":2,"bytes":3},"known":{"sha256":"s","recipe":"r"}}"#;
        let outcome: ImageOutcome = serde_json::from_str(old).unwrap();
        let facts = outcome.source.as_ref().unwrap();
        assert_eq!((facts.phash, facts.damaged), (None, None));
        // And what is not known is not written.
        let new = serde_json::to_value(&outcome).unwrap();
        let old: serde_json::Value = serde_json::from_str(old).unwrap();
        assert_eq!(new, old);
    }
}
