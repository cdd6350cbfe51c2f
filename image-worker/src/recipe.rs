//! How a variant is named by what it is made of: its transform and the
//! versions of everything that turns the transform into bytes.

use sha2::{Digest, Sha256};
use thiserror::Error;
use trawler_core::image::{Fit, ORIGINAL, OutputFormat, Variant};

use crate::encode::encoder_version;
use crate::resize::RESIZE_VERSION;
use crate::sniff::SourceFormat;

/// Decoding, colour and orientation; raised when their pixels change.
const PIPELINE_VERSION: &str = "2";
/// WebP holds 14 bits a side; JPEG 16, but one bound is easier to keep.
const SIDE_PX_MAX: u32 = 16_383;

/// A variant that cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("variant `{name}`: {key} is {found}, allowed is {allowed}")]
pub struct InvalidVariant {
    pub name: String,
    pub key: &'static str,
    pub found: String,
    pub allowed: &'static str,
}

/// Checks variants from a configuration, once at start.
pub fn check_variants(variants: &[Variant]) -> Result<(), InvalidVariant> {
    for (index, variant) in variants.iter().enumerate() {
        let refuse = |key, found: String, allowed| {
            Err(InvalidVariant {
                name: variant.name.clone(),
                key,
                found,
                allowed,
            })
        };
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if variant.name.is_empty() || variant.name.len() > 64 || !variant.name.bytes().all(plain) {
            let allowed = "1 to 64 of a-z, 0-9, - and _";
            return refuse("name", format!("`{}`", variant.name), allowed);
        }
        if variant.name == ORIGINAL {
            let allowed = "any name but this one, which a kept original has";
            return refuse("name", format!("`{ORIGINAL}`"), allowed);
        }
        if variants[..index]
            .iter()
            .any(|other| other.name == variant.name)
        {
            return refuse("name", "used twice".to_owned(), "one variant a name");
        }
        for (key, side) in [("width", variant.width), ("height", variant.height)] {
            if !(1..=SIDE_PX_MAX).contains(&side) {
                return refuse(key, side.to_string(), "1 to 16383 pixels");
            }
        }
        if !(1..=100).contains(&variant.quality) {
            return refuse("quality", variant.quality.to_string(), "1 to 100");
        }
    }
    Ok(())
}

/// The canonical text that [`spec8`] hashes. The variant's name is not part of
/// it: it stands in the key beside the hash.
pub fn spec_text(variant: &Variant) -> String {
    let fit = match variant.fit {
        Fit::Cover => "cover",
        Fit::Contain => "contain",
        Fit::Pad => "pad",
        Fit::Crop => "crop",
        Fit::Content => "content",
    };
    let format = format_name(variant.format);
    let mut text = format!(
        "trawler-image/{PIPELINE_VERSION};fit={fit};width={};height={};format={format};quality={};resize={RESIZE_VERSION};encoder={}",
        variant.width,
        variant.height,
        variant.quality,
        encoder_version(variant.format),
    );
    // What is not set leaves the text as it was before there was such a setting.
    if let Some(background) = variant.background {
        text.push_str(&format!(";background={}", String::from(background)));
    }
    if let Some(format) = variant.transparent {
        let (name, encoder) = (format_name(format), encoder_version(format));
        text.push_str(&format!(";transparent={name},{encoder}"));
    }
    if variant.trim && variant.fit != Fit::Content {
        text.push_str(";trim");
    }
    text
}

fn format_name(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Jpeg => "jpeg",
        OutputFormat::Webp => "webp",
        OutputFormat::Png => "png",
    }
}

/// First 8 hex digits of the SHA-256 of [`spec_text`].
pub fn spec8(variant: &Variant) -> String {
    hex::encode(&Sha256::digest(spec_text(variant))[..4])
}

/// One name for all variants of a configuration, whatever their order: the
/// same bytes with the same recipe need no decoding. 16 hex digits.
pub fn recipe(variants: &[Variant]) -> String {
    let mut parts: Vec<String> = variants
        .iter()
        .map(|variant| format!("{}={}", variant.name, spec_text(variant)))
        .collect();
    parts.sort_unstable();
    hex::encode(&Sha256::digest(parts.join("\n"))[..8])
}

/// Where a variant of a source is stored: `images/ab/abcd.../name-spec8.ext`.
/// `source_sha256` is lower-case hex; `format` is what the picture was encoded
/// as, of those that the variant allows.
pub fn key(source_sha256: &str, variant: &Variant, format: OutputFormat) -> String {
    let shard = source_sha256.get(..2).unwrap_or(source_sha256);
    format!(
        "images/{shard}/{source_sha256}/{}-{}.{}",
        variant.name,
        spec8(variant),
        format.extension(),
    )
}

/// Where the bytes of a source are kept: `images/ab/abcd.../original.jpg`.
pub fn original_key(source_sha256: &str, format: SourceFormat) -> String {
    let shard = source_sha256.get(..2).unwrap_or(source_sha256);
    let extension = format.extension();
    format!("images/{shard}/{source_sha256}/{ORIGINAL}.{extension}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn variant(name: &str) -> Variant {
        Variant {
            name: name.to_owned(),
            width: 256,
            height: 256,
            fit: Fit::Cover,
            format: OutputFormat::Jpeg,
            quality: 80,
            background: None,
            transparent: None,
            trim: false,
        }
    }

    #[test]
    fn spec8_stays_what_it_is() {
        let jpeg = variant("thumb");
        let webp = Variant {
            format: OutputFormat::Webp,
            fit: Fit::Contain,
            ..jpeg.clone()
        };
        assert_eq!(
            spec_text(&jpeg),
            "trawler-image/2;fit=cover;width=256;height=256;format=jpeg;quality=80;resize=halve+catmullrom.2;encoder=trawler-jpeg/1/420"
        );
        assert_eq!(spec8(&jpeg), "c0d3754a");
        assert_eq!(spec8(&webp), "8fbed765");
        assert_eq!(
            key(&"ab".repeat(32), &jpeg, jpeg.format),
            format!("images/ab/{}/thumb-c0d3754a.jpg", "ab".repeat(32))
        );
        assert_eq!(
            original_key(&"ab".repeat(32), SourceFormat::Jpeg),
            format!("images/ab/{}/original.jpg", "ab".repeat(32))
        );
    }

    #[test]
    fn a_recipe_does_not_depend_on_order_but_on_every_setting() {
        let (a, b) = (variant("a"), variant("b"));
        let forth = recipe(&[a.clone(), b.clone()]);
        assert_eq!(forth, recipe(&[b.clone(), a.clone()]));
        let trimmed = Variant {
            trim: true,
            ..a.clone()
        };
        assert_ne!(forth, recipe(&[trimmed.clone(), b.clone()]));
        assert!(spec_text(&trimmed).ends_with("/420;trim"));
        // It does so in any case.
        let [content, twice] = [false, true].map(|trim| Variant {
            fit: Fit::Content,
            trim,
            ..a.clone()
        });
        assert_eq!(spec_text(&content), spec_text(&twice));
        let finer = Variant { quality: 81, ..a };
        assert_ne!(forth, recipe(&[finer, b]));
    }

    #[test]
    fn variants_that_cannot_be_rendered_are_named() {
        let check = |change: fn(&mut Variant), expected: &str| {
            let mut variant = variant("thumb");
            change(&mut variant);
            let found = check_variants(&[variant]).unwrap_err().to_string();
            assert_eq!(found, expected);
        };
        check(
            |v| v.quality = 0,
            "variant `thumb`: quality is 0, allowed is 1 to 100",
        );
        check(
            |v| v.width = 0,
            "variant `thumb`: width is 0, allowed is 1 to 16383 pixels",
        );
        check(
            |v| v.height = 20_000,
            "variant `thumb`: height is 20000, allowed is 1 to 16383 pixels",
        );
        check(
            |v| v.name = "original".to_owned(),
            "variant `original`: name is `original`, allowed is any name but this one, which a kept original has",
        );
        check(
            |v| v.name = "../x".to_owned(),
            "variant `../x`: name is `../x`, allowed is 1 to 64 of a-z, 0-9, - and _",
        );
        let twice = check_variants(&[variant("a"), variant("a")]).unwrap_err();
        assert_eq!(twice.key, "name");
        assert_eq!(check_variants(&[variant("a"), variant("b")]), Ok(()));
    }
}
