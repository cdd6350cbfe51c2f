//! One image from bytes to variants, with everything that is worth keeping
//! from one image to the next.

use fast_image_resize::Resizer;
use sha2::{Digest, Sha256};
use trawler_core::image::{OutputFormat, SourceFacts, StoredVariant, Variant};

use crate::colour::Colours;
use crate::decode::decode;
use crate::encode::{encode, encode_frame};
use crate::error::ImageError;
use crate::geometry::{Plan, plan};
use crate::jpeg::Scratch;
use crate::layers::{Made, Opened};
use crate::limits::Limits;
use crate::orient::{Orientation, swap_if_turned, upright};
use crate::picture::Picture;
use crate::recipe::key;
use crate::resample::Resampler;
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

impl RenderedVariant {
    fn new(source: &str, variant: &Variant, (width, height): (u32, u32), data: Vec<u8>) -> Self {
        Self {
            name: variant.name.clone(),
            key: key(source, variant),
            width,
            height,
            format: variant.format,
            sha256: hex::encode(Sha256::digest(&data)),
            data,
        }
    }
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
    scratch: Scratch,
    resampler: Resampler,
    colours: Colours,
}

impl Workbench {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            resizer: Resizer::new(),
            pyramid: Pyramid::default(),
            scratch: Scratch::default(),
            resampler: Resampler::default(),
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
        let facts = Facts {
            sha256: sha256.to_owned(),
            format,
            width: 0,
            height: 0,
            bytes: source.len() as u64,
            orientation: Orientation::NoTransforms,
            frames: None,
            has_alpha: false,
        };
        match format {
            SourceFormat::Jpeg => self.render_layers(facts, source, variants),
            SourceFormat::Png
            | SourceFormat::Gif
            | SourceFormat::Webp
            | SourceFormat::Bmp
            | SourceFormat::Tiff => self.render_picture(facts, source, variants),
        }
    }

    fn render_picture(
        &mut self,
        mut facts: Facts,
        source: &[u8],
        variants: &[Variant],
    ) -> Result<Rendition, ImageError> {
        let buffer = self.pyramid.take_buffer();
        let decoded = decode(facts.format, source, &self.limits, buffer)?;
        let mut picture = decoded.picture;
        facts.has_alpha = picture.drop_idle_alpha();
        let stored = (picture.width, picture.height);
        (facts.width, facts.height) = swap_if_turned(decoded.orientation, stored);
        facts.orientation = decoded.orientation;
        facts.frames = decoded.frames;
        self.pyramid.start(picture);
        let mut rendered = Vec::with_capacity(variants.len());
        for variant in variants {
            let plan = plan(stored, decoded.orientation, variant);
            let picture = self.pyramid.render(&mut self.resizer, &plan);
            let picture = self.finish(picture, decoded.icc.as_deref(), decoded.orientation);
            let size = (picture.width, picture.height);
            let data = encode(picture, variant)?;
            rendered.push(RenderedVariant::new(&facts.sha256, variant, size, data));
        }
        Ok(Rendition {
            facts,
            variants: rendered,
        })
    }

    fn render_layers(
        &mut self,
        mut facts: Facts,
        source: &[u8],
        variants: &[Variant],
    ) -> Result<Rendition, ImageError> {
        let opened = Opened::read(source, &self.limits)?;
        let (stored, orientation) = (opened.stored(), opened.orientation);
        (facts.width, facts.height) = swap_if_turned(orientation, stored);
        facts.orientation = orientation;
        let keeps_coding = opened.keeps_coding(&mut self.colours);
        let made = |variant: &Variant| match variant.format {
            OutputFormat::Jpeg if keeps_coding => Made::Frame,
            OutputFormat::Jpeg | OutputFormat::Webp => Made::Picture,
        };
        let plans: Vec<(Plan, Made)> = variants
            .iter()
            .map(|variant| (plan(stored, orientation, variant), made(variant)))
            .collect();
        let layers = opened.decode(&plans, &mut self.scratch)?;
        let mut rendered = Vec::with_capacity(variants.len());
        for (variant, (plan, made)) in variants.iter().zip(&plans) {
            let size = swap_if_turned(orientation, (plan.width, plan.height));
            let data = match made {
                Made::Frame => {
                    let frame = layers.frame(&mut self.resampler, plan);
                    encode_frame(&frame.upright(orientation), variant)?
                }
                Made::Picture => {
                    let picture = layers.picture(&mut self.resampler, plan, &mut self.colours);
                    let picture = self.finish(picture, layers.icc(), orientation);
                    encode(picture, variant)?
                }
            };
            rendered.push(RenderedVariant::new(&facts.sha256, variant, size, data));
        }
        layers.close(&mut self.scratch);
        Ok(Rendition {
            facts,
            variants: rendered,
        })
    }

    /// Brings a resized picture to sRGB and upright.
    fn finish(
        &mut self,
        mut picture: Picture,
        icc: Option<&[u8]>,
        orientation: Orientation,
    ) -> Picture {
        if let Some(profile) = icc {
            self.colours.convert_to_srgb(&mut picture, profile);
        }
        upright(picture, orientation)
    }
}
