//! Samples as the decoders of `image` give them, brought to ours: 8 bits, RGB,
//! with alpha where there is some.

use std::io::ErrorKind;

use image::ColorType;

use crate::error::ImageError;
use crate::picture::{Layout, Picture};
use crate::sniff::SourceFormat;

/// Brings samples of any colour type to 8 bits and to RGB, in place.
pub(super) fn picture(
    format: SourceFormat,
    (width, height): (u32, u32),
    colour: ColorType,
    mut data: Vec<u8>,
) -> Result<Picture, ImageError> {
    match colour {
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            let samples = data.len() / 2;
            for sample in 0..samples {
                let value = u16::from_ne_bytes([data[2 * sample], data[2 * sample + 1]]);
                data[sample] = value.to_be_bytes()[0];
            }
            data.truncate(samples);
        }
        _ => {}
    }
    let pixels = width as usize * height as usize;
    let layout = match colour {
        ColorType::Rgb8 | ColorType::Rgb16 => Layout::Rgb,
        ColorType::Rgba8 | ColorType::Rgba16 => Layout::Rgba,
        ColorType::L8 | ColorType::L16 => {
            data.resize(pixels * 3, 0);
            for pixel in (0..pixels).rev() {
                let grey = data[pixel];
                data[pixel * 3..][..3].fill(grey);
            }
            Layout::Rgb
        }
        ColorType::La8 | ColorType::La16 => {
            data.resize(pixels * 4, 0);
            for pixel in (0..pixels).rev() {
                let (grey, alpha) = (data[pixel * 2], data[pixel * 2 + 1]);
                data[pixel * 4..][..4].copy_from_slice(&[grey, grey, grey, alpha]);
            }
            Layout::Rgba
        }
        other => {
            let found = format!("{format} of {other:?} samples");
            return Err(ImageError::unsupported(found));
        }
    };
    Ok(Picture {
        width,
        height,
        layout,
        data,
    })
}

/// What a decoder's error says of the image; `bytes_max` is what it may take.
pub(super) fn refusal(
    format: SourceFormat,
    bytes_max: u64,
    error: image::ImageError,
) -> ImageError {
    match error {
        image::ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::truncated(format, "the picture data ends early")
        }
        image::ImageError::Unsupported(error) => {
            ImageError::unsupported(format!("{format}: {error}"))
        }
        image::ImageError::Limits(_) => ImageError::TooLarge {
            what: "memory for decoding (bytes), at least",
            found: bytes_max + 1,
            max: bytes_max,
        },
        other => ImageError::corrupt(format, other.to_string()),
    }
}
