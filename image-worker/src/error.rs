//! Why an image was not rendered. Each kind is one status of the catalogue;
//! which of them are retried is decided in core.

use thiserror::Error;
use trawler_core::image::{Damage, ImageStatus};

use crate::sniff::SourceFormat;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The bytes are of something else, most often an error page sent with
    /// status 200.
    #[error("found {found} where an image was expected")]
    NotAnImage { found: String },
    /// An image, but of a format or coding that is not decoded here.
    #[error("{found} is not supported; supported are JPEG, PNG, GIF, WebP, BMP and TIFF")]
    UnsupportedFormat { found: String },
    /// A limit was exceeded; nothing was allocated for the pixels.
    #[error("{what} is {found}, the limit is {max}")]
    TooLarge {
        what: &'static str,
        found: u64,
        max: u64,
    },
    /// The bytes end before the image does.
    #[error("{format} image ends early: {detail}")]
    Truncated {
        format: SourceFormat,
        detail: String,
    },
    /// The bytes contradict themselves or their format.
    #[error("{format} image is broken: {detail}")]
    Corrupt {
        format: SourceFormat,
        detail: String,
    },
    /// Our own code gave up on it, which is a defect to be mended; until then
    /// the image is one that cannot be rendered.
    #[error("rendering it panicked: {detail}")]
    Panicked { detail: String },
    /// An encoder refused a picture; the variant, not the partner, is at
    /// fault.
    #[error("cannot encode variant `{variant}`: {detail}")]
    Encode { variant: String, detail: String },
}

impl ImageError {
    /// The status to record, or `None` where the fault is ours and the job has
    /// failed rather than the image.
    pub fn status(&self) -> Option<ImageStatus> {
        match self {
            Self::NotAnImage { .. } => Some(ImageStatus::NotAnImage),
            Self::UnsupportedFormat { .. } => Some(ImageStatus::UnsupportedFormat),
            Self::TooLarge { .. } => Some(ImageStatus::TooLarge),
            Self::Truncated { .. } => Some(ImageStatus::Truncated),
            Self::Corrupt { .. } | Self::Panicked { .. } => Some(ImageStatus::Corrupt),
            Self::Encode { .. } => None,
        }
    }

    /// What is wrong with a file that may still be decoded in part.
    pub(crate) fn damage(&self) -> Option<Damage> {
        match self {
            Self::Truncated { .. } => Some(Damage::Truncated),
            Self::Corrupt { .. } => Some(Damage::Corrupt),
            Self::NotAnImage { .. }
            | Self::UnsupportedFormat { .. }
            | Self::TooLarge { .. }
            | Self::Panicked { .. }
            | Self::Encode { .. } => None,
        }
    }

    pub(crate) fn truncated(format: SourceFormat, detail: impl Into<String>) -> Self {
        Self::Truncated {
            format,
            detail: detail.into(),
        }
    }

    pub(crate) fn corrupt(format: SourceFormat, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            format,
            detail: detail.into(),
        }
    }

    pub(crate) fn unsupported(found: impl Into<String>) -> Self {
        Self::UnsupportedFormat {
            found: found.into(),
        }
    }
}
