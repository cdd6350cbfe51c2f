//! One image from bytes to variants, with everything that is worth keeping
//! from one image to the next.

use fast_image_resize::Resizer;
use sha2::{Digest, Sha256};
use trawler_core::image::{OutputFormat, SourceFacts, StoredVariant, Variant};

use crate::colour::Colours;
use crate::decode::decode;
use crate::encode::encode;
use crate::error::ImageError;
use crate::geometry::plan;
use crate::limits::Limits;
use crate::orient::{Orientation, swap_if_turned, upright};
use crate::recipe::key;
use crate::resize::Pyramid;
use crate::sniff::{SourceFormat, decodable};

/// What is known of a source that was decoded. Width and height are those of
/// the upright picture, in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Lower-case hex of the source bytes.
    pub sha256: String,
    pub format: SourceFormat,
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
    pub orientation: Orientation,
    /// Frames of an animation, 2 or more; `None` for a still image.
    pub frames: Option<u32>,
    /// Some pixel is not opaque.
    pub has_alpha: bool,
}

impl From<&Facts> for SourceFacts {
    fn from(facts: &Facts) -> Self {
        Self {
            sha256: facts.sha256.clone(),
            format: facts.format.as_str().to_owned(),
            width: facts.width,
            height: facts.height,
            bytes: facts.bytes,
        }
    }
}

/// One variant, encoded, with the key it belongs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedVariant {
    pub name: String,
    pub key: String,
    pub width: u32,
    pub height: u32,
    pub format: OutputFormat,
    /// Lower-case hex of `data`.
    pub sha256: String,
    pub data: Vec<u8>,
}

impl From<&RenderedVariant> for StoredVariant {
    fn from(variant: &RenderedVariant) -> Self {
        Self {
            name: variant.name.clone(),
            key: variant.key.clone(),
            width: variant.width,
            height: variant.height,
            bytes: variant.data.len() as u64,
            sha256: variant.sha256.clone(),
        }
    }
}

/// A source and its variants, in the order in which they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    pub facts: Facts,
    pub variants: Vec<RenderedVariant>,
}

/// Renders images, one at a time. A worker keeps one a CPU slot: buffers and
/// colour conversions are used again. What it holds between images is bounded
/// by the largest image its limits let in.
pub struct Workbench {
    limits: Limits,
    resizer: Resizer,
    pyramid: Pyramid,
    colours: Colours,
}

impl Workbench {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            resizer: Resizer::new(),
            pyramid: Pyramid::default(),
            colours: Colours::default(),
        }
    }

    /// Renders `variants` (checked by [`crate::check_variants`]) of a source.
    /// CPU work of some milliseconds: not for a reactor thread. The same
    /// source and variant give the same bytes, whatever was rendered before
    /// and beside it.
    pub fn render(&mut self, source: &[u8], variants: &[Variant]) -> Result<Rendition, ImageError> {
        let sha256 = hex::encode(Sha256::digest(source));
        self.render_named(&sha256, source, variants)
    }

    /// The same for a source whose hash is known.
    pub(crate) fn render_named(
        &mut self,
        sha256: &str,
        source: &[u8],
        variants: &[Variant],
    ) -> Result<Rendition, ImageError> {
        self.limits.check_source(source.len())?;
        let format = decodable(source)?;
        let buffer = self.pyramid.take_buffer();
        let decoded = decode(format, source, &self.limits, &mut self.colours, buffer)?;
        let mut picture = decoded.picture;
        let has_alpha = picture.drop_idle_alpha();
        let stored = (picture.width, picture.height);
        let (width, height) = swap_if_turned(decoded.orientation, stored);
        let facts = Facts {
            sha256: sha256.to_owned(),
            format,
            width,
            height,
            bytes: source.len() as u64,
            orientation: decoded.orientation,
            frames: decoded.frames,
            has_alpha,
        };
        self.pyramid.start(picture);
        let mut rendered = Vec::with_capacity(variants.len());
        for variant in variants {
            let plan = plan(stored, decoded.orientation, variant);
            let mut picture = self.pyramid.render(&mut self.resizer, &plan);
            if let Some(profile) = &decoded.icc {
                self.colours.convert_to_srgb(&mut picture, profile);
            }
            let picture = upright(picture, decoded.orientation);
            let (width, height) = (picture.width, picture.height);
            let data = encode(picture, variant)?;
            rendered.push(RenderedVariant {
                name: variant.name.clone(),
                key: key(&facts.sha256, variant),
                width,
                height,
                format: variant.format,
                sha256: hex::encode(Sha256::digest(&data)),
                data,
            });
        }
        Ok(Rendition {
            facts,
            variants: rendered,
        })
    }
}
