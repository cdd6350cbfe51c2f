//! A JPEG on its way to variants: its components are decoded at the size that
//! is needed, and each is resized by itself. Chroma that is stored at half
//! the size of luma is so never enlarged and shrunk again, and where the variant is
//! a JPEG too, colours are never converted.
//!
//! What a variant becomes follows from its own plan alone. Two variants share
//! what both need; coefficients are read once for all of them.

use trawler_core::phash::Phash;

use crate::colour::Colours;
use crate::error::ImageError;
use crate::frame::{Frame, Samples, halved};
use crate::geometry::{Plan, halvings};
use crate::inks::inks_to_rgb;
use crate::jpeg::{self, Coding, Plane, Scale, Scratch, Structure};
use crate::look;
use crate::orient::{self, Orientation, ends_first};
use crate::picture::{Layout, Picture};
use crate::resample::{Area, Resampler};
use crate::resize::halve_samples;
use crate::room::Budget;

/// Bytes of decoding a pixel, besides coefficients: each component whole and at
/// all smaller scales, which are a third more, and two planes to resize by.
fn bytes_a_pixel(structure: &Structure<'_>) -> u64 {
    let components = structure.components.len() as u64;
    (4 * components).div_ceil(3) + 2
}

/// A file that was opened, with its header read and its limits checked.
pub(crate) struct Opened<'a> {
    structure: Structure<'a>,
    coding: Coding,
    pub(crate) orientation: Orientation,
    pub(crate) icc: Option<Vec<u8>>,
    reading: Reading,
}

/// What becomes of a file that is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Strict,
    /// It gives what is there of it.
    Lenient,
}

/// What a variant is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// Luma and chroma for a JPEG.
    Frame,
    Picture,
}

/// One component of one variant.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    halvings: u32,
    area: Area,
    to: (u32, u32),
}

/// A decoded file.
pub(crate) struct Layers<'a> {
    opened: Opened<'a>,
    /// At least one plane a component.
    parts: Vec<Vec<Plane>>,
    /// Hundredths of it that were there, if it was read leniently.
    pub(crate) decoded_percent: Option<u8>,
}

impl<'a> Opened<'a> {
    pub(crate) fn read(
        bytes: &'a [u8],
        budget: &Budget<'_>,
        reading: Reading,
    ) -> Result<Self, ImageError> {
        let on_frame = |file: &Structure<'_>| {
            let (width, height) = (u32::from(file.width), u32::from(file.height));
            let bytes = bytes_a_pixel(file) + file.coefficient_bytes();
            budget.claim(width, height, bytes)
        };
        let structure = match reading {
            Reading::Strict => Structure::read(bytes, on_frame)?,
            Reading::Lenient => Structure::read_leniently(bytes, on_frame)?,
        };
        Ok(Self {
            reading,
            coding: structure.coding(),
            orientation: orient::of_exif(structure.exif),
            icc: structure.icc_profile(),
            structure,
        })
    }

    pub(crate) fn stored(&self) -> (u32, u32) {
        (
            u32::from(self.structure.width),
            u32::from(self.structure.height),
        )
    }

    /// What a variant may be made as: luma and chroma stay as they are unless
    /// their colours have to be converted.
    pub(crate) fn keeps_coding(&self, colours: &mut Colours) -> bool {
        let plain = matches!(self.coding, Coding::Grey | Coding::YCbCr);
        plain
            && !self
                .icc
                .as_deref()
                .is_some_and(|icc| colours.differ_from_srgb(icc))
    }

    /// Decodes what `variants` need.
    pub(crate) fn decode(
        self,
        variants: &[(Plan, Made)],
        scratch: &mut Scratch,
    ) -> Result<Layers<'a>, ImageError> {
        let wanted: Vec<Vec<Scale>> = (0..self.structure.components.len())
            .map(|part| {
                let scale = |(plan, made): &(Plan, Made)| {
                    Scale::of_halvings(self.cut(part, plan, *made).halvings)
                };
                let mut scales: Vec<Scale> = variants.iter().map(scale).collect();
                scales.sort_unstable();
                scales.dedup();
                if scales.is_empty() {
                    scales.push(Scale::Eighth);
                }
                scales
            })
            .collect();
        let (parts, decoded_percent) = match self.reading {
            Reading::Strict => (jpeg::decode(&self.structure, &wanted, scratch)?, None),
            Reading::Lenient => {
                let read = jpeg::decode_leniently(&self.structure, &wanted, scratch)?;
                (read.0, Some(read.1))
            }
        };
        Ok(Layers {
            opened: self,
            parts,
            decoded_percent,
        })
    }

    /// Which part of a component becomes which size.
    fn cut(&self, part: usize, plan: &Plan, made: Made) -> Cut {
        let component = &self.structure.components[part];
        let (across_max, down_max) = self.structure.sampling_max();
        let (ends_first_across, ends_first_down) = ends_first(self.orientation);
        let halve = made == Made::Frame && part > 0;
        let (left, cut_width, to_width) = side(
            f64::from(component.across) / across_max as f64,
            (plan.left, plan.crop_width, plan.width),
            halve.then_some(ends_first_across),
        );
        let (top, cut_height, to_height) = side(
            f64::from(component.down) / down_max as f64,
            (plan.top, plan.crop_height, plan.height),
            halve.then_some(ends_first_down),
        );
        let shrink = (cut_width / f64::from(to_width)).min(cut_height / f64::from(to_height));
        Cut {
            halvings: halvings(shrink),
            area: Area {
                left,
                top,
                width: cut_width,
                height: cut_height,
            },
            to: (to_width, to_height),
        }
    }
}

/// One side of a cut, as where it begins and its length in stored samples,
/// and its length in the variant. `share` is that of the component's samples in
/// pixels. A side to be halved leaves the pixel out that has no other beside
/// it: the upright picture's last, which may be the stored one's first.
fn side(share: f64, (begin, cropped, to): (f64, f64, u32), halve: Option<bool>) -> (f64, f64, u32) {
    let Some(ends_first) = halve else {
        return (begin * share, cropped * share, to);
    };
    let pixel = if to > 1 && to % 2 == 1 {
        cropped / f64::from(to)
    } else {
        0.0
    };
    let begin = if ends_first { begin + pixel } else { begin };
    (begin * share, (cropped - pixel) * share, halved(to))
}

impl Layers<'_> {
    /// Renders a plan as luma and chroma.
    pub(crate) fn frame(&self, resampler: &mut Resampler, plan: &Plan) -> Frame {
        let mut parts =
            (0..self.parts.len()).map(|part| self.samples(resampler, part, plan, Made::Frame));
        let luma = parts.next().expect("a file has a component");
        let chroma = match (parts.next(), parts.next()) {
            (Some(blue), Some(red)) => Some([blue, red]),
            _ => None,
        };
        Frame { luma, chroma }
    }

    /// Renders a plan as RGB: inks are sRGB then, other colours are still in
    /// their profile.
    pub(crate) fn picture(
        &self,
        resampler: &mut Resampler,
        plan: &Plan,
        colours: &mut Colours,
    ) -> Picture {
        let coding = self.opened.coding;
        let inks = matches!(coding, Coding::Cmyk | Coding::Ycck);
        let layout = if inks { Layout::Rgba } else { Layout::Rgb };
        let mut picture = Picture::in_buffer(plan.width, plan.height, layout, Vec::new());
        let channels = layout.channels();
        for part in 0..self.parts.len() {
            let samples = self.samples(resampler, part, plan, Made::Picture);
            let pixels = picture.data.chunks_exact_mut(channels);
            for (pixel, sample) in pixels.zip(samples.data) {
                match coding {
                    Coding::Grey => pixel.fill(sample),
                    _ => pixel[part] = sample,
                }
            }
        }
        match coding {
            Coding::YCbCr => {
                for pixel in picture.data.chunks_exact_mut(3) {
                    pixel.copy_from_slice(&rgb_of_ycbcr(pixel[0], pixel[1], pixel[2]));
                }
                picture
            }
            Coding::Grey | Coding::Rgb => picture,
            Coding::Cmyk | Coding::Ycck => {
                inks_to_rgb(picture, coding, self.opened.icc.as_deref(), colours)
            }
        }
    }

    /// The profile that colours of [`Layers::picture`] are in.
    pub(crate) fn icc(&self) -> Option<&[u8]> {
        match self.opened.coding {
            Coding::Cmyk | Coding::Ycck => None,
            Coding::Grey | Coding::YCbCr | Coding::Rgb => self.opened.icc.as_deref(),
        }
    }

    /// What it looks like, by the smallest planes.
    pub(crate) fn look(&self) -> Phash {
        let smallest = |planes: &'_ Vec<Plane>| planes.len() - 1;
        let parts = self.parts.iter();
        let planes: Vec<&Plane> = parts.map(|planes| &planes[smallest(planes)]).collect();
        look::of_planes(self.opened.coding, &planes, self.opened.orientation)
    }

    fn samples(&self, resampler: &mut Resampler, part: usize, plan: &Plan, made: Made) -> Samples {
        let cut = self.opened.cut(part, plan, made);
        let scale = Scale::of_halvings(cut.halvings);
        let plane = self.parts[part].iter().find(|plane| plane.scale == scale);
        let plane = plane.expect("it was decoded for these variants");
        let shrink = f64::from(1_u32 << cut.halvings);
        let area = Area {
            left: cut.area.left / shrink,
            top: cut.area.top / shrink,
            width: cut.area.width / shrink,
            height: cut.area.height / shrink,
        };
        let mut smaller: Option<Samples> = None;
        for _ in scale.halvings()..cut.halvings {
            smaller = Some(match &smaller {
                None => halve_samples(plane.width, plane.height, &plane.data),
                Some(last) => halve_samples(last.width as usize, last.height as usize, &last.data),
            });
        }
        let from = match &smaller {
            None => (plane.width, plane.height, plane.data.as_slice()),
            Some(last) => (
                last.width as usize,
                last.height as usize,
                last.data.as_slice(),
            ),
        };
        resampler.resize(from, area, cut.to)
    }

    /// Hands its memory back.
    pub(crate) fn close(self, scratch: &mut Scratch) {
        scratch.give_back(self.parts.into_iter().flatten());
    }
}

/// JFIF's matrix (T.871, 7) in 16 bit fixed point.
pub(crate) fn rgb_of_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + 91_881 * cr;
    let green = y - 22_554 * cb - 46_802 * cr;
    let blue = y + 116_130 * cb;
    [red, green, blue]
        .map(|value| u8::try_from(((value + HALF) >> 16).clamp(0, 255)).expect("clamped to a byte"))
}
