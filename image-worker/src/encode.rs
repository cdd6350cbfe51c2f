//! Pictures to JPEG and WebP bytes. Metadata is not carried over: outputs are
//! upright sRGB, and what a partner's camera wrote is nobody's business.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use trawler_core::image::{OutputFormat, Variant};

use crate::error::ImageError;
use crate::picture::{Layout, Picture};

/// Part of the recipe: a new version of an encoder makes new objects. A test
/// compares the versions with Cargo.lock.
pub(crate) fn encoder_version(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Jpeg => "jpeg-encoder/0.7.1/420",
        OutputFormat::Webp => "libwebp-sys/0.9.6/lossy/m4",
    }
}

/// Effort of WebP, 0 to 6; 4 is libwebp's own default.
const WEBP_METHOD: i32 = 4;

/// Encodes an upright sRGB picture. Alpha is kept in WebP and laid on white
/// in JPEG.
pub(crate) fn encode(mut picture: Picture, variant: &Variant) -> Result<Vec<u8>, ImageError> {
    match variant.format {
        OutputFormat::Jpeg => {
            picture.flatten_onto_white();
            jpeg(&picture, variant.quality)
        }
        OutputFormat::Webp => webp(&picture, variant.quality),
    }
    .map_err(|detail| ImageError::Encode {
        variant: variant.name.clone(),
        detail,
    })
}

fn jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, String> {
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| format!("side of {pixels} pixels"));
    let (width, height) = (side(picture.width)?, side(picture.height)?);
    // About a bit and a half a pixel at quality 80.
    let mut out = Vec::with_capacity(picture.data.len() / 12 + 1024);
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder
        .encode(&picture.data, width, height, ColorType::Rgb)
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
    use super::*;

    #[test]
    fn recipes_name_the_encoders_that_are_built_in() {
        let lock = include_str!("../../Cargo.lock");
        for format in [OutputFormat::Jpeg, OutputFormat::Webp] {
            let mut parts = encoder_version(format).split('/');
            let (name, version) = (parts.next().unwrap(), parts.next().unwrap());
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
            assert!(lock.contains(&entry), "{entry} is not in Cargo.lock");
        }
    }
}
