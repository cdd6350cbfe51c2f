//! GIF: the first frame, laid on its (transparent) canvas. The block structure
//! is walked to the trailer, so that a cut file is known as one even where the
//! first frame is whole.
//!
//! Facts: GIF89a specification.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use image::ImageDecoder;
use image::codecs::gif::GifDecoder;

use super::{Decoded, u16_le};
use crate::error::ImageError;
use crate::orient::Orientation;
use crate::picture::{Layout, Picture};
use crate::room::Budget;
use crate::sniff::SourceFormat;

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;
const TRAILER: u8 = 0x3b;
const HEADER_BYTES: usize = 13;

/// What the block structure says.
struct Walk {
    frames: u32,
    canvas: (u16, u16),
    first: (u16, u16),
}

pub(super) fn decode(
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let walk = walk(bytes)?;
    let file = with_canvas(bytes, &walk);
    let (width, height) = (side(&file, 6)?, side(&file, 8)?);
    if width == 0 || height == 0 {
        return Err(corrupt("it has no pixels"));
    }
    let (width, height) = (u32::from(width), u32::from(height));
    budget.claim_picture(width, height, 4)?;
    // A frame that is not as wide as its canvas is decoded apart.
    budget.claim_picture(u32::from(walk.first.0), u32::from(walk.first.1), 4)?;

    let refusal = |error| refusal(error, budget);
    let mut bounds = image::Limits::no_limits();
    bounds.max_alloc = Some(budget.decoded_bytes_max);
    let mut decoder = GifDecoder::new(Cursor::new(file.as_ref())).map_err(refusal)?;
    decoder.set_limits(bounds).map_err(refusal)?;
    let icc = decoder.icc_profile().map_err(refusal)?;
    let mut picture = Picture::in_buffer(width, height, Layout::Rgba, buffer);
    // An index that the palette does not have leaves its pixel as it is, which
    // shall be transparent, as in browsers.
    picture.data.fill(0);
    decoder.read_image(&mut picture.data).map_err(refusal)?;
    Ok(Decoded {
        picture,
        orientation: Orientation::NoTransforms,
        icc,
        frames: (walk.frames > 1).then_some(walk.frames),
    })
}

/// Some encoders leave the canvas empty; the first frame then is the picture.
fn with_canvas<'a>(bytes: &'a [u8], walk: &Walk) -> Cow<'a, [u8]> {
    if walk.canvas.0 > 0 && walk.canvas.1 > 0 {
        return Cow::Borrowed(bytes);
    }
    let mut file = bytes.to_vec();
    file[6..8].copy_from_slice(&walk.first.0.to_le_bytes());
    file[8..10].copy_from_slice(&walk.first.1.to_le_bytes());
    Cow::Owned(file)
}

fn walk(bytes: &[u8]) -> Result<Walk, ImageError> {
    let flags = *bytes.get(10).ok_or_else(cut)?;
    let canvas = (side(bytes, 6)?, side(bytes, 8)?);
    let mut at = HEADER_BYTES + palette_bytes(flags);
    let mut frames = 0;
    let mut first = None;
    loop {
        let block = *bytes.get(at).ok_or_else(cut)?;
        match block {
            EXTENSION => at = skip_parts(bytes, at + 2)?,
            IMAGE => {
                frames += 1;
                let size = (side(bytes, at + 5)?, side(bytes, at + 7)?);
                first.get_or_insert(size);
                let flags = *bytes.get(at + 9).ok_or_else(cut)?;
                // After the descriptor, its palette and the code size.
                at = skip_parts(bytes, at + 10 + palette_bytes(flags) + 1)?;
            }
            TRAILER => break,
            // Padding that some encoders put between blocks.
            0 => at += 1,
            other => return Err(corrupt(format!("unknown block {other:02x}"))),
        }
    }
    let first = first.ok_or_else(|| corrupt("it has no frame"))?;
    Ok(Walk {
        frames,
        canvas,
        first,
    })
}

fn palette_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

/// Skips sub-blocks up to the empty one that ends them.
fn skip_parts(bytes: &[u8], mut at: usize) -> Result<usize, ImageError> {
    loop {
        let length = usize::from(*bytes.get(at).ok_or_else(cut)?);
        at += 1 + length;
        if length == 0 {
            return Ok(at);
        }
    }
}

fn side(bytes: &[u8], at: usize) -> Result<u16, ImageError> {
    u16_le(bytes, at).ok_or_else(cut)
}

fn refusal(error: image::ImageError, budget: &Budget<'_>) -> ImageError {
    match error {
        image::ImageError::Limits(_) => ImageError::TooLarge {
            what: "first frame (bytes), at least",
            found: budget.decoded_bytes_max + 1,
            max: budget.decoded_bytes_max,
        },
        image::ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => cut(),
        // The only way in which the decoder says so.
        other if other.to_string().contains("truncated") => {
            ImageError::truncated(SourceFormat::Gif, "the first frame lacks pixels")
        }
        other => corrupt(other.to_string()),
    }
}

fn cut() -> ImageError {
    ImageError::truncated(SourceFormat::Gif, "it stops before its trailer")
}

fn corrupt(detail: impl Into<String>) -> ImageError {
    ImageError::corrupt(SourceFormat::Gif, detail)
}
