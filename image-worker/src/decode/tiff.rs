//! TIFF: grey, RGB and CMYK of 8 or 16 bits, striped or tiled, uncompressed, LZW,
//! Deflate or PackBits. Of several pages the first is taken. Palettes, JPEG
//! within TIFF, floats and BigTIFF are refused as unsupported.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation as Turned;

use super::samples::{picture, refusal};
use super::{Decoded, u16_be, u16_le, u32_be, u32_le};
use crate::colour::PROFILE_BYTES_MAX;
use crate::error::ImageError;
use crate::orient::Orientation;
use crate::room::Budget;
use crate::sniff::SourceFormat;

/// Where a profile names the colours that it is of (ICC.1, 7.2.6), and RGB.
const PROFILE_COLOURS: std::ops::Range<usize> = 16..20;
const RGB: &[u8] = b"RGB ";
/// What the decoder may take besides the pixels: a strip as it is stored, twice,
/// and its tables.
const WORKING_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The tag that says how pixels are packed, and what it says of the two ways to
/// put a JPEG into a TIFF (TIFF 6.0, section 22, and its technical note 2).
const COMPRESSION: u16 = 259;
const JPEG: [u16; 2] = [6, 7];

pub(super) fn decode(
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    if compression(bytes).is_some_and(|packed| JPEG.contains(&packed)) {
        // The decoder would read it, and not strictly.
        return Err(ImageError::unsupported("tiff with JPEG in it"));
    }
    let bytes_max = budget.decoded_bytes_max + WORKING_BYTES_MAX;
    let refusal = |error| refusal(SourceFormat::Tiff, bytes_max, error);
    let mut decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    let colour = decoder.color_type();
    // As stored, where inks are four samples, and as they are given.
    let stored = u64::from(colour.bytes_per_pixel()) + 2;
    budget.claim_picture(width, height, 2 * stored)?;
    let mut bounds = image::Limits::no_limits();
    bounds.max_alloc = Some(bytes_max);
    decoder.set_limits(bounds).map_err(refusal)?;
    let orientation = orientation(decoder.orientation().map_err(refusal)?);
    let icc = decoder.icc_profile().map_err(refusal)?;
    // The decoder brings inks and greys to RGB by rule, so that their profile
    // says nothing any more.
    let icc =
        icc.filter(|icc| icc.len() <= PROFILE_BYTES_MAX && icc.get(PROFILE_COLOURS) == Some(RGB));
    let mut data = buffer;
    let size = usize::try_from(decoder.total_bytes()).expect("the header was checked");
    data.clear();
    data.resize(size, 0);
    decoder.read_image(&mut data).map_err(refusal)?;
    Ok(Decoded {
        picture: picture(SourceFormat::Tiff, (width, height), colour, data)?,
        orientation,
        icc,
        frames: None,
    })
}

/// How the first page is packed; a file that does not say is the decoder's
/// affair.
fn compression(bytes: &[u8]) -> Option<u16> {
    let is_little = bytes.starts_with(b"II");
    let short = |at| {
        if is_little {
            u16_le(bytes, at)
        } else {
            u16_be(bytes, at)
        }
    };
    let long = |at| {
        if is_little {
            u32_le(bytes, at)
        } else {
            u32_be(bytes, at)
        }
    };
    let page = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(page)?);
    (0..entries)
        .map(|entry| page + 2 + 12 * entry)
        .find(|at| short(*at) == Some(COMPRESSION))
        .and_then(|at| short(at + 8))
}

fn orientation(turned: Turned) -> Orientation {
    match turned {
        Turned::NoTransforms => Orientation::NoTransforms,
        Turned::FlipHorizontal => Orientation::FlipHorizontal,
        Turned::Rotate180 => Orientation::Rotate180,
        Turned::FlipVertical => Orientation::FlipVertical,
        Turned::Rotate90FlipH => Orientation::Rotate90FlipH,
        Turned::Rotate90 => Orientation::Rotate90,
        Turned::Rotate270FlipH => Orientation::Rotate270FlipH,
        Turned::Rotate270 => Orientation::Rotate270,
    }
}
