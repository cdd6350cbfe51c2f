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
use crate::orient;
use crate::picture::{Layout, Picture};
use crate::room::Budget;
use crate::sniff::SourceFormat;

const RIFF_HEADER_BYTES: usize = 12;
const CHUNK_HEADER_BYTES: usize = 8;
/// Place, size, duration and flags of a frame, before its chunks.
const FRAME_HEADER_BYTES: usize = 16;
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
    /// What is wrong with the sizes of its pictures.
    odd: Option<&'static str>,
}

pub(super) fn decode(
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let walk = walk(bytes)?;
    budget.claim(walk.width, walk.height, PEAK_BYTES_A_PIXEL)?;
    if let Some(odd) = walk.odd {
        // The decoder takes memory for a picture before it compares its size.
        return Err(corrupt(odd));
    }

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
        odd: None,
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
        let name = &self.file[name];
        match name {
            b"VP8X" if first => {
                self.width = u24_le(data, 4).ok_or_else(short)? + 1;
                self.height = u24_le(data, 7).ok_or_else(short)? + 1;
            }
            b"VP8 " | b"VP8L" => {
                let size = picture_size(name, data).ok_or_else(short)?;
                if first {
                    (self.width, self.height) = size;
                } else if size != (self.width, self.height) {
                    self.odd = Some("a picture of another size than its canvas");
                }
            }
            b"ANMF" => {
                self.frames += 1;
                if self.frames == 1 {
                    self.check_frame(data)?;
                }
            }
            b"EXIF" => self.exif = Some(data),
            b"ICCP" => self.icc = Some(data),
            _ => {}
        }
        Ok(())
    }

    /// Looks at the pictures of a frame.
    fn check_frame(&mut self, data: &[u8]) -> Result<(), ImageError> {
        let short = || corrupt("a frame is too short");
        let side = |at| u24_le(data, at).map(|less| less + 1);
        let size = (side(6).ok_or_else(short)?, side(9).ok_or_else(short)?);
        let name = |at: usize| data.get(at..at.saturating_add(4));
        let picture = match name(FRAME_HEADER_BYTES) {
            Some(b"ALPH") => {
                let length = u32_le(data, FRAME_HEADER_BYTES + 4).ok_or_else(short)? as usize;
                let after = length.saturating_add(length % 2 + CHUNK_HEADER_BYTES);
                name(FRAME_HEADER_BYTES.saturating_add(after))
            }
            first => first,
        };
        if !matches!(picture, Some(b"VP8 " | b"VP8L")) {
            // The decoder takes what comes after transparency for a picture,
            // whatever it is called, and is not ready for every size.
            self.odd = Some("a frame without a picture");
        }
        let mut at = FRAME_HEADER_BYTES;
        while let (Some(name), Some(length)) = (data.get(at..at + 4), u32_le(data, at + 4)) {
            let start = at + CHUNK_HEADER_BYTES;
            let end = start.saturating_add(length as usize);
            let chunk = data.get(start..end).ok_or_else(cut)?;
            if matches!(name, b"VP8 " | b"VP8L") && picture_size(name, chunk) != Some(size) {
                self.odd = Some("a picture of another size than its frame");
            }
            at = end + length as usize % 2;
        }
        Ok(())
    }
}

/// What a lossy or lossless picture says of its size.
fn picture_size(name: &[u8], data: &[u8]) -> Option<(u32, u32)> {
    if name == b"VP8L" {
        let packed = u32_le(data, 1)?;
        return Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1));
    }
    let side = |at| u16_le(data, at).map(|side| u32::from(side & 0x3fff));
    Some((side(6)?, side(8)?))
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
