//! Pictures to JPEG and WebP bytes. Metadata is not carried over: outputs are
//! upright sRGB, and what a partner's camera wrote is nobody's business.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use trawler_core::image::{Colour, OutputFormat, Variant};

use crate::error::ImageError;
use crate::frame::{Frame, Samples, frame_of};
use crate::jpeg::{self, Rows};
use crate::picture::{Layout, Picture};

/// Part of the recipe: a new version of an encoder makes new objects. Tests
/// compare the version of WebP with Cargo.lock, and our own by what it writes.
pub(crate) fn encoder_version(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Jpeg => "trawler-jpeg/1/420",
        OutputFormat::Webp => "libwebp-sys/0.9.6/lossy/m4",
        OutputFormat::Png => "png/0.18.1/balanced",
    }
}

/// Effort of WebP, 0 to 6; 4 is libwebp's own default.
const WEBP_METHOD: i32 = 4;

/// Encodes an upright sRGB picture. Alpha is kept in WebP and PNG, unless there
/// is a background, and laid on that or white in JPEG.
pub(crate) fn encode(
    mut picture: Picture,
    variant: &Variant,
    format: OutputFormat,
) -> Result<Vec<u8>, ImageError> {
    if let Some(ground) = variant.background {
        picture.flatten_onto(ground);
    }
    let refused = |detail| ImageError::Encode {
        variant: variant.name.clone(),
        detail,
    };
    match format {
        OutputFormat::Jpeg => {
            picture.flatten_onto(Colour::WHITE);
            encode_frame(&frame_of(&picture), variant)
        }
        OutputFormat::Webp => webp(&picture, variant.quality).map_err(refused),
        OutputFormat::Png => png(&picture).map_err(refused),
    }
}

/// Encodes an upright frame as JPEG.
pub(crate) fn encode_frame(frame: &Frame, variant: &Variant) -> Result<Vec<u8>, ImageError> {
    let side = |samples: u32| {
        u16::try_from(samples).map_err(|_| ImageError::Encode {
            variant: variant.name.clone(),
            detail: format!("side of {samples} pixels"),
        })
    };
    let size = (side(frame.luma.width)?, side(frame.luma.height)?);
    let chroma = frame
        .chroma
        .as_ref()
        .map(|planes| planes.each_ref().map(rows));
    Ok(jpeg::encode(
        size,
        rows(&frame.luma),
        chroma,
        variant.quality,
    ))
}

fn rows(samples: &Samples) -> Rows<'_> {
    Rows {
        width: samples.width as usize,
        height: samples.height as usize,
        data: &samples.data,
    }
}

fn png(picture: &Picture) -> Result<Vec<u8>, String> {
    let colour = match picture.layout {
        Layout::Rgb => ExtendedColorType::Rgb8,
        Layout::Rgba => ExtendedColorType::Rgba8,
    };
    let mut out = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut out, CompressionType::Default, FilterType::Adaptive);
    encoder
        .write_image(&picture.data, picture.width, picture.height, colour)
        .map_err(|error| error.to_string())?;
    Ok(out)
}

fn webp(picture: &Picture, quality: u8) -> Result<Vec<u8>, String> {
    let mut config =
        webp::WebPConfig::new().map_err(|()| "libwebp of another version".to_owned())?;
    config.quality = f32::from(quality);
    config.method = WEBP_METHOD;
    config.alpha_compression = 1;
    let (data, width, height) = (&picture.data, picture.width, picture.height);
    let encoder = match picture.layout {
        Layout::Rgb => webp::Encoder::from_rgb(data, width, height),
        Layout::Rgba => webp::Encoder::from_rgba(data, width, height),
    };
    encoder
        .encode_advanced(&config)
        .map(|memory| memory.to_vec())
        .map_err(|error| format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn recipes_name_the_encoders_that_are_built_in() {
        let lock = include_str!("../../Cargo.lock");
        for format in [OutputFormat::Webp, OutputFormat::Png] {
            let mut parts = encoder_version(format).split('/');
            let (name, version) = (parts.next().unwrap(), parts.next().unwrap());
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
            assert!(lock.contains(&entry), "{entry} is not in Cargo.lock");
        }
    }

    /// Other bytes need another version, or stored images would be mistaken
    /// for what is written now.
    #[test]
    fn our_own_encoder_writes_what_its_version_says() {
        let picture = Picture {
            width: 37,
            height: 21,
            layout: Layout::Rgb,
            data: (0..37 * 21 * 3_u32)
                .map(|at| (at * at / 97 % 256) as u8)
                .collect(),
        };
        let variant = Variant {
            name: "v".to_owned(),
            width: 37,
            height: 21,
            fit: trawler_core::image::Fit::Cover,
            format: OutputFormat::Jpeg,
            quality: 80,
            background: None,
            transparent: None,
            trim: false,
        };
        let hash = hex::encode(Sha256::digest(
            encode(picture, &variant, variant.format).unwrap(),
        ));
        let written = (encoder_version(OutputFormat::Jpeg), &hash[..16]);
        assert_eq!(written, ("trawler-jpeg/1/420", "831be196fa628f34"));
    }
}
