//! GIF: the first frame, laid on its (transparent) canvas. The block structure
//! is walked to the trailer, so that a cut file is known as one even where the
//! first frame is whole.
//!
//! Facts: GIF89a specification.

use std::io::Cursor;

use ::gif::{ColorOutput, DecodeOptions, DecodingError, Frame, MemoryLimit};

use super::{Decoded, u16_le};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::orient::Orientation;
use crate::picture::{Layout, Picture};
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
    limits: &Limits,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let walk = walk(bytes)?;
    // Some encoders leave the canvas empty; the frame then is the picture.
    let (width, height) = match walk.canvas {
        (0, _) | (_, 0) => walk.first,
        canvas => canvas,
    };
    if width == 0 || height == 0 {
        return Err(corrupt("it has no pixels"));
    }
    limits.check_header(u32::from(width), u32::from(height), 4)?;
    limits.check_header(u32::from(walk.first.0), u32::from(walk.first.1), 1)?;

    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(refusal)?;
    let frame = decoder.next_frame_info().map_err(refusal)?;
    let frame = frame.ok_or_else(|| corrupt("it has no frame"))?.clone();
    let mut indices = vec![0; usize::from(frame.width) * usize::from(frame.height)];
    decoder.read_into_buffer(&mut indices).map_err(refusal)?;
    let palette = decoder.palette().map_err(refusal)?;

    let (width, height) = (u32::from(width), u32::from(height));
    let mut picture = Picture::in_buffer(width, height, Layout::Rgba, buffer);
    picture.data.fill(0);
    lay(&mut picture, &frame, &indices, palette);
    Ok(Decoded {
        picture,
        orientation: Orientation::Upright,
        icc: None,
        frames: (walk.frames > 1).then_some(walk.frames),
    })
}

/// Draws a frame; what sticks out of the canvas is cut, and an index that the
/// palette does not have is transparent, as in browsers.
fn lay(canvas: &mut Picture, frame: &Frame<'_>, indices: &[u8], palette: &[u8]) {
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let row_bytes = canvas.row_bytes();
    let frame_width = usize::from(frame.width).max(1);
    let rows = canvas.data.chunks_exact_mut(row_bytes).skip(top);
    for (row, source) in rows.zip(indices.chunks_exact(frame_width)) {
        for (pixel, &index) in row.chunks_exact_mut(4).skip(left).zip(source) {
            if frame.transparent == Some(index) {
                continue;
            }
            let at = usize::from(index) * 3;
            if let Some(colour) = palette.get(at..at + 3) {
                pixel[..3].copy_from_slice(colour);
                pixel[3] = u8::MAX;
            }
        }
    }
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

fn refusal(error: DecodingError) -> ImageError {
    match error {
        DecodingError::UnexpectedEof => cut(),
        DecodingError::Format(error) if error.to_string().contains("truncated") => {
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
