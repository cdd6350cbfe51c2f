//! PNG that `png` refuses: wrong checksums are let pass, and the picture may
//! lack its last rows, which are grey. Of an interlaced file all rows have to
//! be there: what is missing of it lies between all others.

use std::io::Cursor;

use image::ColorType;
use png::{BitDepth, DecodeOptions, Decoder, DecodingError, Reader, Transformations};

use super::Decoded;
use super::png::{WORKING_BYTES_MAX, Walk, check_size, corrupt};
use super::samples::picture;
use crate::error::ImageError;
use crate::jpeg::DECODED_PERCENT_MIN;
use crate::orient;
use crate::picture::Picture;
use crate::room::Budget;
use crate::sniff::SourceFormat;

/// Of a pixel that nothing is known of.
const GREY: [u8; 4] = [128, 128, 128, u8::MAX];

/// Decodes what is there, and says how many hundredths of the rows that is: at
/// least [`DECODED_PERCENT_MIN`].
pub(super) fn decode(
    bytes: &[u8],
    budget: &Budget<'_>,
    buffer: Vec<u8>,
) -> Result<(Decoded, u8), ImageError> {
    let walk = Walk::as_far_as_it_goes(bytes)?;
    check_size(&walk, budget)?;
    let refusal = |error: DecodingError| corrupt(error.to_string());
    let mut options = DecodeOptions::default();
    options.set_ignore_checksums(true);
    options.set_ignore_text_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(png::Limits {
        bytes: WORKING_BYTES_MAX + bytes.len(),
    });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(refusal)?;
    let icc = reader.info().icc_profile.as_ref();
    let icc = icc.map(|profile| profile.to_vec());
    let colour = colour_of(&reader)?;
    let mut data = buffer;
    data.resize(reader.output_buffer_size().unwrap_or(usize::MAX), 0);
    let rows = read_rows(&mut reader, &mut data);
    // Both are of the header, which was checked.
    let percent = 100 * rows / walk.height as usize;
    let percent = u8::try_from(percent).unwrap_or(100);
    if percent < DECODED_PERCENT_MIN {
        let detail = format!(
            "{percent} % of its rows can be decoded, and at least {DECODED_PERCENT_MIN} have to be"
        );
        return Err(corrupt(detail));
    }
    let size = (walk.width, walk.height);
    let mut picture = picture(SourceFormat::Png, size, colour, data)?;
    grey_from(&mut picture, rows);
    let decoded = Decoded {
        picture,
        orientation: orient::of_exif(walk.exif),
        icc,
        frames: walk.frames.filter(|&frames| frames > 1),
    };
    Ok((decoded, percent))
}

/// With palettes and few bits expanded, and 16 of them cut.
fn colour_of(reader: &Reader<Cursor<&[u8]>>) -> Result<ColorType, ImageError> {
    match reader.output_color_type() {
        (png::ColorType::Grayscale, BitDepth::Eight) => Ok(ColorType::L8),
        (png::ColorType::GrayscaleAlpha, BitDepth::Eight) => Ok(ColorType::La8),
        (png::ColorType::Rgb, BitDepth::Eight) => Ok(ColorType::Rgb8),
        (png::ColorType::Rgba, BitDepth::Eight) => Ok(ColorType::Rgba8),
        (colour, depth) => Err(corrupt(format!("samples of {colour:?} {depth:?}"))),
    }
}

/// Reads rows until one does not come; answers how many did.
fn read_rows(reader: &mut Reader<Cursor<&[u8]>>, data: &mut [u8]) -> usize {
    let height = reader.info().height as usize;
    if reader.info().interlaced {
        let whole = reader.next_frame(data).is_ok();
        return if whole { height } else { 0 };
    }
    // As many rows as there are, unless one does not come.
    let row_bytes = data.len() / height.max(1);
    let rows = data.chunks_exact_mut(row_bytes.max(1));
    let mut came = rows.map(|row| matches!(reader.read_row(row), Ok(Some(_))));
    came.position(|came| !came).unwrap_or(height)
}

fn grey_from(picture: &mut Picture, rows: usize) {
    let channels = picture.layout.channels();
    let from = rows * picture.row_bytes();
    for pixel in picture.data[from..].chunks_exact_mut(channels) {
        pixel.copy_from_slice(&GREY[..channels]);
    }
}
