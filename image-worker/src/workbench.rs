//! One image from bytes to variants, with everything that is worth keeping
//! from one image to the next.

use std::sync::Arc;

use fast_image_resize::Resizer;
use sha2::{Digest, Sha256};
use thiserror::Error;
use trawler_core::image::{
    Colour, Damage, Damaged, Fit, OutputFormat, SourceFacts, StoredVariant, Variant,
};
use trawler_core::image_policy::{ImagePolicy, OnDamaged};
use trawler_core::phash::Phash;

use crate::colour::Colours;
use crate::decode::{decode, decode_leniently};
use crate::encode::{encode, encode_frame};
use crate::error::ImageError;
use crate::geometry::{Plan, Region, identity, plan};
use crate::jpeg::Scratch;
use crate::layers::{Made, Opened, Reading};
use crate::limits::Limits;
use crate::look;
use crate::orient::{Orientation, swap_if_turned, upright};
use crate::picture::{Layout, Picture};
use crate::recipe::key;
use crate::resample::Resampler;
use crate::resize::Pyramid;
use crate::room::{Budget, Room};
use crate::sniff::{SourceFormat, decodable};
use crate::trim::{CONTENT_TOLERANCE, content};

/// What is known of a source that was decoded, or whose bytes told enough.
/// Width and height are those of the upright picture, in pixels; 0 where it was
/// not decoded.
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
    /// `None` where it was not decoded.
    pub phash: Option<Phash>,
    /// Set where strict decoding refuses it.
    pub damaged: Option<Damaged>,
}

impl From<&Facts> for SourceFacts {
    fn from(facts: &Facts) -> Self {
        Self {
            sha256: facts.sha256.clone(),
            format: facts.format.as_str().to_owned(),
            width: facts.width,
            height: facts.height,
            bytes: facts.bytes,
            phash: facts.phash,
            damaged: facts.damaged,
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
    fn new(
        source: &str,
        variant: &Variant,
        format: OutputFormat,
        (width, height): (u32, u32),
        data: Vec<u8>,
    ) -> Self {
        Self {
            name: variant.name.clone(),
            key: key(source, variant, format),
            width,
            height,
            format,
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
    /// Why it is a placeholder; then there are no variants.
    pub placeholder: Option<String>,
}

/// A source of which no variants were made, for what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{error}")]
pub struct Refused {
    pub error: ImageError,
    /// What it would have been, had damaged files been stored.
    pub facts: Option<Box<Facts>>,
}

impl From<ImageError> for Refused {
    fn from(error: ImageError) -> Self {
        Self { error, facts: None }
    }
}

/// Buffers that a workbench keeps from one image to the next, by what the image
/// took: enough for photographs of shops, which are nearly all there is.
const KEPT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What is to be made of a source.
struct Order<'a> {
    source: &'a [u8],
    variants: &'a [Variant],
    policy: &'a ImagePolicy,
    reading: Reading,
}

/// Renders images, one at a time. A worker keeps one a CPU slot: buffers and
/// colour conversions are used again, but for those of a large image, which are
/// given back.
pub struct Workbench {
    limits: Limits,
    room: Arc<Room>,
    resizer: Resizer,
    pyramid: Pyramid,
    scratch: Scratch,
    resampler: Resampler,
    colours: Colours,
}

impl Workbench {
    pub fn new(limits: Limits) -> Self {
        Self::in_room(limits, Arc::new(Room::new(limits.together_bytes_max)))
    }

    /// One that takes memory for pixels together with others.
    pub(crate) fn in_room(limits: Limits, room: Arc<Room>) -> Self {
        Self {
            limits,
            room,
            resizer: Resizer::new(),
            pyramid: Pyramid::default(),
            scratch: Scratch::default(),
            resampler: Resampler::default(),
            colours: Colours::default(),
        }
    }

    /// Renders `variants` (checked by [`crate::check_variants`]) of a source.
    /// Strictly, and whatever it shows.
    /// CPU work of some milliseconds: not for a reactor thread. The same
    /// source and variant give the same bytes, whatever was rendered before
    /// and beside it.
    pub fn render(&mut self, source: &[u8], variants: &[Variant]) -> Result<Rendition, ImageError> {
        self.limits.check_source(source.len())?;
        let sha256 = hex::encode(Sha256::digest(source));
        let facts = facts_of(&sha256, source)?;
        let policy = ImagePolicy::default();
        let order = Order {
            source,
            variants,
            policy: &policy,
            reading: Reading::Strict,
        };
        self.read(facts, &order)
    }

    /// The same by a policy: a placeholder gets no variants, and what strict
    /// decoding refuses is decoded leniently if that is possible.
    pub fn render_by(
        &mut self,
        policy: &ImagePolicy,
        source: &[u8],
        variants: &[Variant],
    ) -> Result<Rendition, Refused> {
        let sha256 = hex::encode(Sha256::digest(source));
        self.render_named(&sha256, policy, source, variants)
    }

    /// The same for a source whose hash is known.
    pub(crate) fn render_named(
        &mut self,
        sha256: &str,
        policy: &ImagePolicy,
        source: &[u8],
        variants: &[Variant],
    ) -> Result<Rendition, Refused> {
        self.limits.check_source(source.len())?;
        let facts = facts_of(sha256, source)?;
        if let Some(reason) = policy.judge_bytes(sha256) {
            return Ok(Rendition::of_placeholder(facts, reason));
        }
        let order = Order {
            source,
            variants,
            policy,
            reading: Reading::Strict,
        };
        self.read(facts.clone(), &order)
            .or_else(|error| self.read_damaged(facts, &order, error))
    }

    /// What lenient decoding makes of a file that strict decoding refuses. Also
    /// where such files are not stored it is tried, at the cost of its smallest
    /// scale, so that one can know how many there are.
    fn read_damaged(
        &mut self,
        facts: Facts,
        order: &Order<'_>,
        error: ImageError,
    ) -> Result<Rendition, Refused> {
        let Some(kind) = error.damage() else {
            return Err(error.into());
        };
        let is_stored = order.policy.damaged == OnDamaged::Store;
        let order = Order {
            variants: if is_stored { order.variants } else { &[] },
            reading: Reading::Lenient,
            ..*order
        };
        let Ok(mut rendition) = self.read(facts, &order) else {
            return Err(error.into());
        };
        if let Some(damaged) = &mut rendition.facts.damaged {
            damaged.kind = kind;
        }
        match is_stored {
            true => Ok(rendition),
            false => Err(Refused {
                error,
                facts: Some(Box::new(rendition.facts)),
            }),
        }
    }

    fn read(&mut self, facts: Facts, order: &Order<'_>) -> Result<Rendition, ImageError> {
        let room = Arc::clone(&self.room);
        let budget = Budget::new(self.limits, &room);
        let rendition = match facts.format {
            SourceFormat::Jpeg => self.render_layers(facts, order, &budget),
            SourceFormat::Png
            | SourceFormat::Gif
            | SourceFormat::Webp
            | SourceFormat::Bmp
            | SourceFormat::Tiff => self.render_picture(facts, order, &budget),
        };
        if budget.taken() > KEPT_BYTES_MAX {
            self.give_back_buffers();
        }
        rendition
    }

    /// Room that is free for others has to be free indeed.
    fn give_back_buffers(&mut self) {
        self.resizer = Resizer::new();
        self.pyramid = Pyramid::default();
        self.scratch = Scratch::default();
        self.resampler = Resampler::default();
    }

    fn render_picture(
        &mut self,
        mut facts: Facts,
        order: &Order<'_>,
        budget: &Budget<'_>,
    ) -> Result<Rendition, ImageError> {
        let Order {
            source, variants, ..
        } = *order;
        let buffer = self.pyramid.take_buffer();
        let decoded = match order.reading {
            Reading::Strict => decode(facts.format, source, budget, buffer)?,
            Reading::Lenient => {
                let (decoded, percent) = decode_leniently(facts.format, source, budget, buffer)?;
                facts.damaged = Some(damaged(percent));
                decoded
            }
        };
        let mut picture = decoded.picture;
        facts.has_alpha = picture.drop_idle_alpha();
        let stored = (picture.width, picture.height);
        (facts.width, facts.height) = swap_if_turned(decoded.orientation, stored);
        facts.orientation = decoded.orientation;
        facts.frames = decoded.frames;
        let at = Standing {
            stored,
            region: content_of(&picture, variants),
            orientation: decoded.orientation,
            icc: decoded.icc.as_deref(),
        };
        self.pyramid.start(picture);
        let halvings = variants.iter().map(|variant| at.plan(variant).halvings);
        let smallest = self.pyramid.halved(halvings.max().unwrap_or(0));
        let look = look::of_picture(smallest, at.orientation);
        facts.phash = Some(look);
        if let Some(reason) = order.policy.judge_look(look) {
            return Ok(Rendition::of_placeholder(facts, reason));
        }
        let rendered = variants
            .iter()
            .map(|variant| self.by_pyramid(&facts.sha256, variant, &at));
        let variants = rendered.collect::<Result<_, _>>()?;
        Ok(Rendition {
            facts,
            variants,
            placeholder: None,
        })
    }

    /// A variant of the picture that the pyramid was started with.
    fn by_pyramid(
        &mut self,
        source: &str,
        variant: &Variant,
        at: &Standing<'_>,
    ) -> Result<RenderedVariant, ImageError> {
        let picture = self.pyramid.render(&mut self.resizer, &at.plan(variant));
        self.encoded(source, variant, picture, at.icc, at.orientation)
    }

    /// A resized picture to sRGB, upright, in its box, and to bytes.
    fn encoded(
        &mut self,
        source: &str,
        variant: &Variant,
        mut picture: Picture,
        icc: Option<&[u8]>,
        orientation: Orientation,
    ) -> Result<RenderedVariant, ImageError> {
        if let Some(profile) = icc {
            self.colours.convert_to_srgb(&mut picture, profile);
        }
        let picture = upright(picture, orientation);
        let format = variant.format_of(picture.layout == Layout::Rgba);
        let picture = match variant.fit {
            Fit::Pad => padded(picture, variant, format),
            Fit::Cover | Fit::Contain | Fit::Crop | Fit::Content => picture,
        };
        let size = (picture.width, picture.height);
        let data = encode(picture, variant, format)?;
        Ok(RenderedVariant::new(source, variant, format, size, data))
    }

    fn render_layers(
        &mut self,
        mut facts: Facts,
        order: &Order<'_>,
        budget: &Budget<'_>,
    ) -> Result<Rendition, ImageError> {
        let variants = order.variants;
        let opened = Opened::read(order.source, budget, order.reading)?;
        let (stored, orientation) = (opened.stored(), opened.orientation);
        (facts.width, facts.height) = swap_if_turned(orientation, stored);
        facts.orientation = orientation;
        let keeps_coding = opened.keeps_coding(&mut self.colours);
        let plans: Vec<(Plan, Made)> = variants
            .iter()
            .map(|variant| match variant.trims() {
                // Where its content is, is only known when all of it was seen.
                true => (identity(stored), Made::Picture),
                false => {
                    let plan = plan(Region::whole(stored), orientation, variant);
                    (plan, made(variant, keeps_coding))
                }
            })
            .collect();
        let layers = opened.decode(&plans, &mut self.scratch)?;
        facts.damaged = layers.decoded_percent.map(damaged);
        let look = layers.look();
        facts.phash = Some(look);
        if let Some(reason) = order.policy.judge_look(look) {
            layers.close(&mut self.scratch);
            return Ok(Rendition::of_placeholder(facts, reason));
        }
        let mut at = Standing {
            stored,
            region: Region::whole(stored),
            orientation,
            icc: layers.icc(),
        };
        if variants.iter().any(Variant::trims) {
            let whole = identity(stored);
            let picture = layers.picture(&mut self.resampler, &whole, &mut self.colours);
            at.region = content_of(&picture, variants);
            self.pyramid.start(picture);
        }
        let mut rendered = Vec::with_capacity(variants.len());
        for (variant, (plan, made)) in variants.iter().zip(&plans) {
            let source = &facts.sha256;
            rendered.push(match (variant.trims(), made) {
                (true, _) => self.by_pyramid(source, variant, &at)?,
                (false, Made::Frame) => {
                    let size = swap_if_turned(orientation, (plan.width, plan.height));
                    let frame = layers.frame(&mut self.resampler, plan);
                    let data = encode_frame(&frame.upright(orientation), variant)?;
                    RenderedVariant::new(source, variant, variant.format, size, data)
                }
                (false, Made::Picture) => {
                    let picture = layers.picture(&mut self.resampler, plan, &mut self.colours);
                    self.encoded(source, variant, picture, at.icc, orientation)?
                }
            });
        }
        layers.close(&mut self.scratch);
        Ok(Rendition {
            facts,
            variants: rendered,
            placeholder: None,
        })
    }
}

impl Rendition {
    /// Why it is a placeholder, or what is wrong with it.
    pub(crate) fn remark(&self) -> Option<String> {
        let damage = |damaged: &Damaged| {
            let (kind, percent) = (damaged.kind.as_str(), damaged.decoded_percent);
            format!("the file is {kind}: {percent} % of the picture can be decoded")
        };
        let placeholder = self.placeholder.clone();
        placeholder.or_else(|| self.facts.damaged.as_ref().map(damage))
    }

    fn of_placeholder(facts: Facts, reason: String) -> Self {
        Self {
            facts,
            variants: Vec::new(),
            placeholder: Some(reason),
        }
    }
}

/// What is known before anything is decoded.
fn facts_of(sha256: &str, source: &[u8]) -> Result<Facts, ImageError> {
    Ok(Facts {
        sha256: sha256.to_owned(),
        format: decodable(source)?,
        width: 0,
        height: 0,
        bytes: source.len() as u64,
        orientation: Orientation::NoTransforms,
        frames: None,
        has_alpha: false,
        phash: None,
        damaged: None,
    })
}

/// The kind is what strict decoding said.
fn damaged(decoded_percent: u8) -> Damaged {
    Damaged {
        kind: Damage::Corrupt,
        decoded_percent,
    }
}

/// How a decoded source stands.
struct Standing<'a> {
    stored: (u32, u32),
    /// Where its content is.
    region: Region,
    orientation: Orientation,
    icc: Option<&'a [u8]>,
}

impl Standing<'_> {
    fn plan(&self, variant: &Variant) -> Plan {
        let region = match variant.trims() {
            true => self.region,
            false => Region::whole(self.stored),
        };
        plan(region, self.orientation, variant)
    }
}

/// Luma and chroma serve where a JPEG alone is made of them.
fn made(variant: &Variant, keeps_coding: bool) -> Made {
    match variant.format {
        OutputFormat::Jpeg if keeps_coding && variant.fit != Fit::Pad => Made::Frame,
        OutputFormat::Jpeg | OutputFormat::Webp | OutputFormat::Png => Made::Picture,
    }
}

/// Where the content is, if a variant asks for it. A picture of one colour is
/// all content.
fn content_of(picture: &Picture, variants: &[Variant]) -> Region {
    let whole = Region::whole((picture.width, picture.height));
    match variants.iter().any(Variant::trims) {
        true => content(picture, CONTENT_TOLERANCE).unwrap_or(whole),
        false => whole,
    }
}

/// The upright picture in the middle of the variant's box.
fn padded(mut picture: Picture, variant: &Variant, format: OutputFormat) -> Picture {
    let keeps_alpha = format != OutputFormat::Jpeg;
    let background = match variant.background {
        Some(colour) => Some(colour),
        None if keeps_alpha && picture.layout == Layout::Rgba => None,
        None => Some(Colour::WHITE),
    };
    if let Some(colour) = background {
        picture.flatten_onto(colour);
    }
    picture.in_the_middle_of((variant.width, variant.height), background)
}
