//! BMP: every depth, masks, and both run-length codings. One that ends early is
//! refused. A cursor's or icon's bitmap without its file head is no BMP.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::bmp::BmpDecoder;

use super::samples::{picture, refusal};
use super::{Decoded, u16_le, u32_le};
use crate::error::ImageError;
use crate::orient::Orientation;
use crate::room::Budget;
use crate::sniff::SourceFormat;

/// Where the length of the pixels' data is said, for what is not compressed.
const PIXELS_AT: usize = 10;
/// Where the length of the information header is said, and what it is in the
/// oldest files, whose sides have two bytes.
const HEADER_AT: usize = 14;
const CORE_HEADER: u32 = 12;
const SIDES_AT: usize = 18;

pub(super) fn decode(
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    if let Some((width, height)) = sides(bytes) {
        // The decoder takes sides above its own bound for damage.
        budget.claim_picture(width, height, 4)?;
    }
    let refusal = |error| refusal(SourceFormat::Bmp, budget.decoded_bytes_max, error);
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    budget.claim_picture(width, height, 4)?;
    let starts = u32_le(bytes, PIXELS_AT).unwrap_or(u32::MAX) as usize;
    if starts >= bytes.len() {
        let detail = "it stops before its pixels";
        return Err(ImageError::truncated(SourceFormat::Bmp, detail));
    }
    let colour = decoder.color_type();
    let mut data = buffer;
    let size = usize::try_from(decoder.total_bytes()).expect("the header was checked");
    data.clear();
    data.resize(size, 0);
    decoder.read_image(&mut data).map_err(refusal)?;
    Ok(Decoded {
        picture: picture(SourceFormat::Bmp, (width, height), colour, data)?,
        orientation: Orientation::NoTransforms,
        icc: None,
        frames: None,
    })
}

/// What the header claims; a file without a whole one is the decoder's affair.
fn sides(bytes: &[u8]) -> Option<(u32, u32)> {
    if u32_le(bytes, HEADER_AT)? == CORE_HEADER {
        let side = |at| u16_le(bytes, at).map(u32::from);
        return Some((side(SIDES_AT)?, side(SIDES_AT + 2)?));
    }
    // Rows of a negative height stand from top to bottom.
    let side = |at| u32_le(bytes, at).map(|side| side.cast_signed().unsigned_abs());
    Some((side(SIDES_AT)?, side(SIDES_AT + 4)?))
}
