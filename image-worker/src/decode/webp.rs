//! WebP: lossy, lossless, with alpha; of an animation the first frame, laid on
//! its (transparent) canvas.
//!
//! Facts: RFC 9649 (container, both bitstreams' headers).

use std::io::{Cursor, ErrorKind};
use std::ops::Range;

use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;

use super::{Decoded, u16_le, u24_le, u32_le};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::orient;
use crate::picture::{Layout, Picture};
use crate::sniff::SourceFormat;

const RIFF_HEADER_BYTES: usize = 12;
const CHUNK_HEADER_BYTES: usize = 8;
/// Peak of decoding a pixel: the result, a canvas and a frame of four
/// channels each.
const PEAK_BYTES_A_PIXEL: u64 = 12;

/// What the chunks say.
struct Walk<'a> {
    width: u32,
    height: u32,
    frames: u32,
    exif: Option<&'a [u8]>,
    icc: Option<&'a [u8]>,
    /// The file as far as its header says it goes.
    file: &'a [u8],
}

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let walk = walk(bytes)?;
    limits.check_header(walk.width, walk.height, PEAK_BYTES_A_PIXEL)?;

    let decoder = WebPDecoder::new(Cursor::new(walk.file)).map_err(refusal)?;
    if decoder.dimensions() != (walk.width, walk.height) {
        return Err(corrupt("two sizes are named"));
    }
    let layout = if decoder.color_type().has_alpha() {
        Layout::Rgba
    } else {
        Layout::Rgb
    };
    let mut picture = Picture::in_buffer(walk.width, walk.height, layout, buffer);
    decoder.read_image(&mut picture.data).map_err(refusal)?;
    Ok(Decoded {
        picture,
        orientation: orient::of_exif(walk.exif),
        icc: walk.icc.map(<[u8]>::to_vec),
        frames: (walk.frames > 1).then_some(walk.frames),
    })
}

fn walk(bytes: &[u8]) -> Result<Walk<'_>, ImageError> {
    let riff_bytes = u32_le(bytes, 4).ok_or_else(cut)? as usize;
    let file_bytes = CHUNK_HEADER_BYTES.saturating_add(riff_bytes);
    let file = bytes.get(..file_bytes).ok_or_else(cut)?;
    let mut walk = Walk {
        width: 0,
        height: 0,
        frames: 0,
        exif: None,
        icc: None,
        file,
    };
    let mut at = RIFF_HEADER_BYTES;
    while at + CHUNK_HEADER_BYTES <= file.len() {
        let length = u32_le(file, at + 4).ok_or_else(cut)? as usize;
        let start = at + CHUNK_HEADER_BYTES;
        let end = start.saturating_add(length);
        let data = file.get(start..end).ok_or_else(cut)?;
        let name = at..at + 4;
        walk.chunk(name, data)?;
        // Chunks are padded to even lengths; the last one's pad byte is
        // sometimes left out.
        at = end + length % 2;
    }
    if walk.width == 0 || walk.height == 0 {
        return Err(corrupt("it has no picture"));
    }
    Ok(walk)
}

impl<'a> Walk<'a> {
    fn chunk(&mut self, name: Range<usize>, data: &'a [u8]) -> Result<(), ImageError> {
        let short = || corrupt("a header chunk is too short");
        let first = self.width == 0;
        match &self.file[name] {
            b"VP8X" if first => {
                self.width = u24_le(data, 4).ok_or_else(short)? + 1;
                self.height = u24_le(data, 7).ok_or_else(short)? + 1;
            }
            b"VP8 " if first => {
                self.width = u32::from(u16_le(data, 6).ok_or_else(short)? & 0x3fff);
                self.height = u32::from(u16_le(data, 8).ok_or_else(short)? & 0x3fff);
            }
            b"VP8L" if first => {
                let packed = u32_le(data, 1).ok_or_else(short)?;
                self.width = (packed & 0x3fff) + 1;
                self.height = (packed >> 14 & 0x3fff) + 1;
            }
            b"ANMF" => self.frames += 1,
            b"EXIF" => self.exif = Some(data),
            b"ICCP" => self.icc = Some(data),
            _ => {}
        }
        Ok(())
    }
}

fn refusal(error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::truncated(SourceFormat::Webp, "the picture data ends early")
        }
        // The only way in which the decoder says so.
        other if other.to_string().contains("Unsupported feature") => {
            ImageError::unsupported(format!("webp: {other}"))
        }
        other => corrupt(other.to_string()),
    }
}

fn cut() -> ImageError {
    ImageError::truncated(SourceFormat::Webp, "it is shorter than its header says")
}

fn corrupt(detail: impl Into<String>) -> ImageError {
    ImageError::corrupt(SourceFormat::Webp, detail)
}
