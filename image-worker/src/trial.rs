//! One image, tried: what `trawler try image` shows. Stores nothing; the
//! command writes the outputs where it was asked to.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trawler_core::image::{Damaged, ImageStatus, OutputFormat, Variant};
use trawler_core::image_policy::ImagePolicy;
use trawler_core::phash::Phash;

use crate::error::ImageError;
use crate::limits::Limits;
use crate::sniff::{Found, sniff};
use crate::workbench::{Facts, Refused, RenderedVariant, Workbench};

/// The report, as printed with `--json`. Sizes are in pixels, of the upright
/// picture; `bytes` is the size of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    pub status: ImageStatus,
    /// Why it was refused, is a placeholder, or is damaged; absent when none of
    /// it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub sha256: String,
    pub bytes: u64,
    /// What the bytes are, also where they are not supported.
    pub format: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// EXIF orientation, 1 to 8.
    pub orientation: Option<u8>,
    /// Frames of an animation, of which the first is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    pub has_alpha: Option<bool>,
    /// 16 hex digits; zeros for a picture of one colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phash: Option<Phash>,
    /// Of a file that strict decoding refuses and lenient decoding accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<Damaged>,
    pub variants: Vec<TrialVariant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialVariant {
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub format: OutputFormat,
    pub bytes: u64,
    pub sha256: String,
    /// Where a worker would store it.
    pub key: String,
    /// Where the command wrote it; set by the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// For people: the status and why, the source, then a line a variant.
impl fmt::Display for TrialReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status.as_str())?;
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        let format = self.format.as_deref().unwrap_or("not an image");
        write!(f, "\n  source: {format}")?;
        if let (Some(width), Some(height)) = (self.width, self.height) {
            write!(f, ", {width} x {height}")?;
        }
        write!(f, ", {} bytes", self.bytes)?;
        if let Some(turned) = self.orientation.filter(|&exif| exif != 1) {
            write!(f, ", turned upright (EXIF orientation {turned})")?;
        }
        if let Some(frames) = self.frames {
            write!(f, ", the first of {frames} frames")?;
        }
        if self.has_alpha == Some(true) {
            write!(f, ", partly transparent")?;
        }
        write!(f, "\n  sha256: {}", self.sha256)?;
        if let Some(phash) = self.phash {
            write!(f, "\n  phash: {phash}")?;
            if phash == Phash::ONE_COLOUR {
                write!(f, ", a picture of one colour")?;
            } else if phash.is_plain() {
                write!(f, ", too plain to be known by it")?;
            }
        }
        if let Some(damaged) = self.damaged {
            let percent = damaged.decoded_percent;
            write!(f, "\n  damaged: {percent} % of it can be decoded")?;
            if self.status != ImageStatus::Stored {
                write!(f, "; images.damaged = \"store\" would store it")?;
            }
        }
        for variant in &self.variants {
            write!(f, "\n  {variant}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TrialVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (format, place) = (self.format.extension(), self.path.as_ref());
        write!(
            f,
            "{}: {format}, {} x {}, {} bytes, {}",
            self.name,
            self.width,
            self.height,
            self.bytes,
            place.unwrap_or(&self.key),
        )
    }
}

/// A report and the encoded variants it speaks of, in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub report: TrialReport,
    pub variants: Vec<RenderedVariant>,
}

/// Runs the whole pipeline on one image, by the policy. An error only where an encoder
/// refused a variant; whatever is wrong with the image is its status.
pub fn try_image(
    source: &[u8],
    variants: &[Variant],
    limits: Limits,
    policy: &ImagePolicy,
) -> Result<Trial, ImageError> {
    let mut report = TrialReport {
        status: ImageStatus::Stored,
        reason: None,
        sha256: hex::encode(Sha256::digest(source)),
        bytes: source.len() as u64,
        format: match sniff(source) {
            Found::Image(format) => Some(format.as_str().to_owned()),
            Found::Unsupported(name) => Some(name.to_owned()),
            Found::NotAnImage(_) => None,
        },
        width: None,
        height: None,
        orientation: None,
        frames: None,
        has_alpha: None,
        phash: None,
        damaged: None,
        variants: Vec::new(),
    };
    let rendition = match Workbench::new(limits).render_by(policy, source, variants) {
        Ok(rendition) => rendition,
        Err(Refused { error, facts }) => {
            report.status = match error.status() {
                Some(status) => status,
                None => return Err(error),
            };
            report.reason = Some(error.to_string());
            if let Some(facts) = facts {
                report.tell(&facts);
            }
            return Ok(Trial {
                report,
                variants: Vec::new(),
            });
        }
    };
    report.tell(&rendition.facts);
    report.reason = rendition.remark();
    if rendition.placeholder.is_some() {
        report.status = ImageStatus::Placeholder;
    }
    report.variants = rendition.variants.iter().map(shown).collect();
    Ok(Trial {
        report,
        variants: rendition.variants,
    })
}

impl TrialReport {
    fn tell(&mut self, facts: &Facts) {
        self.phash = facts.phash;
        self.damaged = facts.damaged;
        if facts.phash.is_some() {
            self.width = Some(facts.width);
            self.height = Some(facts.height);
            self.orientation = Some(facts.orientation.to_exif());
            self.frames = facts.frames;
            self.has_alpha = Some(facts.has_alpha);
        }
    }
}

fn shown(variant: &RenderedVariant) -> TrialVariant {
    TrialVariant {
        name: variant.name.clone(),
        width: variant.width,
        height: variant.height,
        format: variant.format,
        bytes: variant.data.len() as u64,
        sha256: variant.sha256.clone(),
        key: variant.key.clone(),
        path: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::image::Fit;

    use super::*;

    #[test]
    fn a_report_reads_well_and_has_the_promised_fields() {
        let mut source = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut source, 80);
        let colour = jpeg_encoder::ColorType::Luma;
        encoder.encode(&[128; 60 * 40], 60, 40, colour).unwrap();
        let thumb = Variant {
            name: "thumb".to_owned(),
            width: 30,
            height: 30,
            fit: Fit::Contain,
            format: OutputFormat::Jpeg,
            quality: 80,
            background: None,
            transparent: None,
            trim: false,
        };
        let (limits, policy) = (Limits::default(), ImagePolicy::default());
        let mut report = try_image(&source, std::slice::from_ref(&thumb), limits, &policy)
            .unwrap()
            .report;
        report.variants[0].path = Some("out/thumb.jpg".to_owned());
        let thumb_bytes = report.variants[0].bytes;
        assert_eq!(
            report.to_string(),
            format!(
                "stored\n  source: jpeg, 60 x 40, {} bytes\n  sha256: {}\n  phash: 0000000000000000, a picture of one colour\n  thumb: jpg, 30 x 20, {thumb_bytes} bytes, out/thumb.jpg",
                source.len(),
                report.sha256,
            )
        );
        let json = serde_json::to_value(&report).unwrap();
        let variant = json["variants"][0].as_object().unwrap();
        for field in ["name", "width", "height", "format", "bytes", "path"] {
            assert!(variant.contains_key(field), "{field}");
        }
        assert_eq!(variant["format"], "jpeg");

        let refused = try_image(b"<html>", &[thumb], limits, &policy).unwrap();
        assert_eq!(
            refused.report.to_string(),
            format!(
                "not_an_image: found HTML where an image was expected\n  source: not an image, 6 bytes\n  sha256: {}",
                refused.report.sha256
            )
        );
    }
}
