//! PNG: all colour types and depths, to 8 bits; checksums of pixels and
//! critical chunks are verified, and the end chunk has to be there.
//! Of an APNG the default image is taken.

use std::io::{Cursor, ErrorKind};

use ::png::{ColorType, DecodeOptions, Decoder, DecodingError, Limits as PngLimits};
use ::png::{Reader, Transformations};

use super::{Decoded, u32_be};
use crate::colour::PROFILE_BYTES_MAX;
use crate::error::ImageError;
use crate::exif;
use crate::limits::Limits;
use crate::orient::Orientation;
use crate::picture::{Layout, Picture};
use crate::sniff::SourceFormat;

/// What the decoder may take besides the pixels: two rows of the widest image
/// at 16 bits, a profile, an EXIF block.
const WORKING_BYTES_MAX: usize = 2 * PROFILE_BYTES_MAX + 4 * 1024 * 1024;

type Source<'a> = Reader<Cursor<&'a [u8]>>;

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    buffer: Vec<u8>,
) -> Result<Decoded, ImageError> {
    let (Some(width), Some(height)) = (u32_be(bytes, 16), u32_be(bytes, 20)) else {
        return Err(truncated("it stops in its header"));
    };
    if &bytes[12..16] != b"IHDR" {
        return Err(corrupt("its first chunk is no header"));
    }
    limits.check_header(width, height, 4)?;

    let mut options = DecodeOptions::default();
    options.set_ignore_checksums(false);
    options.set_ignore_text_chunk(true);
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(PngLimits {
        bytes: WORKING_BYTES_MAX,
    });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(refusal)?;
    let picture = pixels(&mut reader, buffer)?;
    reader.finish().map_err(refusal)?;

    let info = reader.info();
    let frames = info.animation_control().map(|control| control.num_frames);
    let exif = info.exif_metadata.as_deref();
    Ok(Decoded {
        picture,
        orientation: exif.map_or(Orientation::Upright, exif::orientation),
        icc: info.icc_profile.as_deref().map(<[u8]>::to_vec),
        frames,
    })
}

fn pixels(reader: &mut Source<'_>, buffer: Vec<u8>) -> Result<Picture, ImageError> {
    let (colour, _) = reader.output_color_type();
    let (width, height) = (reader.info().width, reader.info().height);
    let layout = match colour {
        ColorType::Grayscale | ColorType::Rgb | ColorType::Indexed => Layout::Rgb,
        ColorType::GrayscaleAlpha | ColorType::Rgba => Layout::Rgba,
    };
    let mut picture = Picture::in_buffer(width, height, layout, buffer);
    match colour {
        ColorType::Rgb | ColorType::Rgba => {
            reader.next_frame(&mut picture.data).map_err(refusal)?;
        }
        ColorType::Grayscale | ColorType::GrayscaleAlpha => {
            let samples = colour.samples();
            let mut grey = vec![0; width as usize * height as usize * samples];
            reader.next_frame(&mut grey).map_err(refusal)?;
            let targets = picture.data.chunks_exact_mut(layout.channels());
            for (target, source) in targets.zip(grey.chunks_exact(samples)) {
                target[..3].fill(source[0]);
                if let [_, alpha] = source {
                    target[3] = *alpha;
                }
            }
        }
        ColorType::Indexed => return Err(corrupt("a palette image without a palette")),
    }
    Ok(picture)
}

fn refusal(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            truncated("it stops before its end chunk")
        }
        DecodingError::LimitsExceeded => ImageError::TooLarge {
            what: "a chunk's unpacked size or a row (bytes), at least",
            found: WORKING_BYTES_MAX as u64 + 1,
            max: WORKING_BYTES_MAX as u64,
        },
        DecodingError::IoError(error) => corrupt(error.to_string()),
        DecodingError::Format(error) => corrupt(error.to_string()),
        DecodingError::Parameter(error) => corrupt(error.to_string()),
    }
}

fn truncated(detail: &str) -> ImageError {
    ImageError::truncated(SourceFormat::Png, detail)
}

fn corrupt(detail: impl Into<String>) -> ImageError {
    ImageError::corrupt(SourceFormat::Png, detail)
}
