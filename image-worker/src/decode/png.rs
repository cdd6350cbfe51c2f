//! PNG: all colour types and depths, to 8 bits. The checksum of every chunk
//! with pixels is verified, and the end chunk has to be there. Of an APNG the
//! default image is taken.
//!
//! Facts: PNG specification, third edition (chunks, 5; acTL, eXIf, 11.3).

use std::io::{Cursor, ErrorKind};

use image::ImageDecoder;
use image::codecs::png::PngDecoder;

use super::samples::picture;
use super::{Decoded, u32_be};
use crate::colour::PROFILE_BYTES_MAX;
use crate::error::ImageError;
use crate::orient;
use crate::room::Budget;
use crate::sniff::SourceFormat;

/// What the decoder may take besides the pixels and the file's own texts: two
/// rows of the widest image at 16 bits, a profile.
pub(super) const WORKING_BYTES_MAX: usize = 2 * PROFILE_BYTES_MAX + 4 * 1024 * 1024;

/// Texts of one file. The decoder keeps each in memory of its own, and a text
/// of two letters takes fourteen bytes of the file.
const TEXTS_MAX: u64 = 1_000;

const SIGNATURE_BYTES: usize = 8;
/// Length and name before a chunk's data, checksum after it.
const CHUNK_FRAME_BYTES: usize = 12;

/// What the chunks say.
pub(super) struct Walk<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    depth: u8,
    pub(super) frames: Option<u32>,
    pub(super) exif: Option<&'a [u8]>,
}

pub(super) fn decode(
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let walk = Walk::to_the_end(bytes)?;
    check_size(&walk, budget)?;
    let working = (WORKING_BYTES_MAX + bytes.len()) as u64;
    let mut bounds = image::Limits::no_limits();
    bounds.max_alloc = Some(working);
    let refusal = |error| refusal(error, working);
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), bounds).map_err(refusal)?;
    let icc = decoder.icc_profile().map_err(refusal)?;
    let colour = decoder.color_type();
    let mut data = buffer;
    let size = usize::try_from(decoder.total_bytes()).expect("the header was checked");
    data.resize(size, 0);
    decoder.read_image(&mut data).map_err(refusal)?;
    Ok(Decoded {
        picture: picture(SourceFormat::Png, (walk.width, walk.height), colour, data)?,
        orientation: orient::of_exif(walk.exif),
        icc,
        frames: walk.frames.filter(|&frames| frames > 1),
    })
}

/// Four channels, which the decoder gives in the depth of the file.
pub(super) fn check_size(walk: &Walk<'_>, budget: &Budget<'_>) -> Result<(), ImageError> {
    let bytes_a_pixel = if walk.depth == 16 { 8 } else { 4 };
    budget.claim_picture(walk.width, walk.height, bytes_a_pixel)
}

impl<'a> Walk<'a> {
    /// The decoder stops behind the pixels; this goes on to the end chunk.
    fn to_the_end(bytes: &'a [u8]) -> Result<Self, ImageError> {
        match walk(bytes)? {
            (walk, true) => Ok(walk),
            (_, false) => Err(truncated("it stops before its end chunk")),
        }
    }

    /// The same of a file that may stop anywhere behind its header.
    pub(super) fn as_far_as_it_goes(bytes: &'a [u8]) -> Result<Self, ImageError> {
        walk(bytes).map(|(walk, _)| walk)
    }
}

/// What the chunks say, and whether the end chunk came.
fn walk(bytes: &[u8]) -> Result<(Walk<'_>, bool), ImageError> {
    let (Some(width), Some(height), Some(&depth)) =
        (u32_be(bytes, 16), u32_be(bytes, 20), bytes.get(24))
    else {
        return Err(truncated("it stops in its header"));
    };
    if &bytes[12..16] != b"IHDR" {
        return Err(corrupt("its first chunk is no header"));
    }
    let mut walk = Walk {
        width,
        height,
        depth,
        frames: None,
        exif: None,
    };
    let mut at = SIGNATURE_BYTES;
    let mut texts = 0;
    loop {
        let Some(length) = u32_be(bytes, at) else {
            return Ok((walk, false));
        };
        let length = length as usize;
        let end = at.saturating_add(CHUNK_FRAME_BYTES).saturating_add(length);
        let Some(chunk) = bytes.get(at..end) else {
            return Ok((walk, false));
        };
        let data = &chunk[8..8 + length];
        match &chunk[4..8] {
            b"IEND" => return Ok((walk, true)),
            b"acTL" => walk.frames = u32_be(data, 0),
            b"eXIf" => walk.exif = Some(data),
            b"tEXt" | b"zTXt" | b"iTXt" => texts += 1,
            _ => {}
        }
        if texts > TEXTS_MAX {
            return Err(ImageError::TooLarge {
                what: "texts of a png, at least",
                found: texts,
                max: TEXTS_MAX,
            });
        }
        at = end;
    }
}

fn refusal(error: image::ImageError, working_bytes_max: u64) -> ImageError {
    match error {
        image::ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            truncated("the picture data ends early")
        }
        image::ImageError::Limits(_) => ImageError::TooLarge {
            what: "a chunk's unpacked size or a row (bytes), at least",
            found: working_bytes_max + 1,
            max: working_bytes_max,
        },
        other => corrupt(other.to_string()),
    }
}

fn truncated(detail: &str) -> ImageError {
    ImageError::truncated(SourceFormat::Png, detail)
}

pub(super) fn corrupt(detail: impl Into<String>) -> ImageError {
    ImageError::corrupt(SourceFormat::Png, detail)
}
