//! Source bytes to pixels, strictly: what a lenient decoder would fill with
//! grey is an error here. Only [`decode_leniently`] is one, on demand.
//!
//! JPEG is not here: `jpeg` decodes it, at the size that is needed.
//!
//! Every decoder is run behind a catch of panics: the decoders are other
//! people's code at work on hostile bytes, and a panic of theirs means that
//! one image is broken, not that the worker is.

mod bmp;
mod gif;
mod png;
mod png_damaged;
mod samples;
mod tiff;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::ImageError;
use crate::orient::Orientation;
use crate::picture::Picture;
use crate::room::Budget;
use crate::sniff::SourceFormat;

/// Pixels as stored, and what is needed to show them rightly.
pub(crate) struct Decoded {
    pub(crate) picture: Picture,
    pub(crate) orientation: Orientation,
    /// Profile that the pixels are still in.
    pub(crate) icc: Option<Vec<u8>>,
    /// Frames of an animation; none for a still image.
    pub(crate) frames: Option<u32>,
}

/// Decodes `bytes`, which have been sniffed as `format`, into `buffer`.
pub(crate) fn decode(
    format: SourceFormat,
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let run = AssertUnwindSafe(|| match format {
        SourceFormat::Jpeg => unreachable!("a JPEG is opened as layers"),
        SourceFormat::Png => png::decode(bytes, budget, buffer),
        SourceFormat::Gif => gif::decode(bytes, budget, buffer),
        SourceFormat::Webp => webp::decode(bytes, budget, buffer),
        SourceFormat::Bmp => bmp::decode(bytes, budget, buffer),
        SourceFormat::Tiff => tiff::decode(bytes, budget, buffer),
    });
    catch_unwind(run)
        .unwrap_or_else(|_| Err(ImageError::corrupt(format, "the decoder gave up on it")))
}

/// Decodes what is there of a damaged file, and says how many hundredths of it
/// that is. Of PNG alone; JPEG is read by `jpeg`, and what is missing of the
/// others cannot be told from what is there.
pub(crate) fn decode_leniently(
    format: SourceFormat,
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<(Decoded, u8), ImageError> {
    let refused = |detail: &str| Err(ImageError::corrupt(format, detail));
    match format {
        SourceFormat::Png => {
            let run = AssertUnwindSafe(|| png_damaged::decode(bytes, budget, buffer));
            catch_unwind(run).unwrap_or_else(|_| refused("the decoder gave up on it"))
        }
        SourceFormat::Jpeg
        | SourceFormat::Gif
        | SourceFormat::Webp
        | SourceFormat::Bmp
        | SourceFormat::Tiff => refused("it is not decoded in part"),
    }
}

fn u16_be(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    u16_be(bytes, at).map(u16::swap_bytes)
}

fn u24_le(bytes: &[u8], at: usize) -> Option<u32> {
    let three = bytes.get(at..at.checked_add(3)?)?;
    Some(u32::from_le_bytes([three[0], three[1], three[2], 0]))
}

fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    u32_be(bytes, at).map(u32::swap_bytes)
}
