//! Embedded colour profiles to sRGB.
//!
//! RGB and grey pictures are converted after resizing, when there are few
//! pixels left; CMYK while decoding. A profile that cannot be read is ignored,
//! as browsers do. PNG's gAMA and cHRM are not looked at.

use std::collections::HashMap;
use std::sync::Arc;

use moxcms::{
    ColorProfile, DataColorSpace, Layout as CmsLayout, ParsingOptions, TransformExecutor,
    TransformOptions,
};
use sha2::{Digest, Sha256};

use crate::picture::{Layout, Picture};

/// Larger profiles are ignored; the largest common one (CMYK print) has
/// 2.7 MB.
pub(crate) const PROFILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Conversions kept a workbench; a shop's images carry one or two profiles.
const CACHED_MAX: usize = 16;
/// Where a profile moves no probe colour by more than this, it is sRGB for
/// every purpose of 8 bits, and converting would only add rounding.
const SRGB_TOLERANCE: u8 = 3;

type Executor = Arc<dyn TransformExecutor<u8> + Send + Sync>;

/// What a profile asks for.
#[derive(Clone)]
enum Conversion {
    None,
    Rgb(Executor),
    Grey(Executor),
    Cmyk(Executor),
}

/// Conversions by profile.
#[derive(Default)]
pub(crate) struct Colours {
    cached: HashMap<[u8; 32], Conversion>,
}

impl Colours {
    fn conversion(&mut self, profile: &[u8]) -> Conversion {
        if profile.len() > PROFILE_BYTES_MAX {
            return Conversion::None;
        }
        let id: [u8; 32] = Sha256::digest(profile).into();
        if let Some(conversion) = self.cached.get(&id) {
            return conversion.clone();
        }
        let conversion = build(profile).unwrap_or(Conversion::None);
        if self.cached.len() >= CACHED_MAX {
            self.cached.clear();
        }
        self.cached.insert(id, conversion.clone());
        conversion
    }

    /// Whether colours of this profile, other than inks, differ from sRGB.
    pub(crate) fn differ_from_srgb(&mut self, profile: &[u8]) -> bool {
        match self.conversion(profile) {
            Conversion::Rgb(_) | Conversion::Grey(_) => true,
            Conversion::None | Conversion::Cmyk(_) => false,
        }
    }

    /// Converts a picture, not multiplied with alpha, to sRGB.
    pub(crate) fn convert_to_srgb(&mut self, picture: &mut Picture, profile: &[u8]) {
        let mut pixels = match picture.layout {
            Layout::Rgb => std::mem::take(&mut picture.data),
            Layout::Rgba => colours_of(&picture.data),
        };
        match self.conversion(profile) {
            Conversion::Rgb(executor) => {
                let source = pixels.clone();
                // Source and target have the same length, the only thing that
                // a transform refuses; colours then stay as they are.
                if executor.transform(&source, &mut pixels).is_err() {
                    pixels = source;
                }
            }
            Conversion::Grey(executor) => {
                let grey: Vec<u8> = pixels.iter().step_by(3).copied().collect();
                let mut converted = vec![0; grey.len()];
                if executor.transform(&grey, &mut converted).is_ok() {
                    pixels = converted.iter().flat_map(|&value| [value; 3]).collect();
                }
            }
            Conversion::None | Conversion::Cmyk(_) => {}
        }
        match picture.layout {
            Layout::Rgb => picture.data = pixels,
            Layout::Rgba => {
                let targets = picture.data.chunks_exact_mut(4);
                for (target, colour) in targets.zip(pixels.chunks_exact(3)) {
                    target[..3].copy_from_slice(colour);
                }
            }
        }
    }

    /// Converts inks (0 none, 255 full) to sRGB by their profile; `false` when
    /// it cannot.
    pub(crate) fn inks_to_srgb(&mut self, profile: &[u8], inks: &[u8], rgb: &mut [u8]) -> bool {
        match self.conversion(profile) {
            Conversion::Cmyk(executor) => executor.transform(inks, rgb).is_ok(),
            Conversion::None | Conversion::Rgb(_) | Conversion::Grey(_) => false,
        }
    }
}

fn colours_of(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

fn build(bytes: &[u8]) -> Option<Conversion> {
    let parsing = ParsingOptions {
        max_profile_size: PROFILE_BYTES_MAX + 1,
        ..ParsingOptions::default()
    };
    let profile = ColorProfile::new_from_slice_with_options(bytes, parsing).ok()?;
    let srgb = ColorProfile::new_srgb();
    let transform = |from, to: &ColorProfile, to_layout| {
        profile
            .create_transform_8bit(from, to, to_layout, TransformOptions::default())
            .ok()
    };
    match profile.color_space {
        DataColorSpace::Rgb => {
            let executor = transform(CmsLayout::Rgb, &srgb, CmsLayout::Rgb)?;
            Some(if leaves_colours(&executor, &rgb_probes()) {
                Conversion::None
            } else {
                Conversion::Rgb(executor)
            })
        }
        DataColorSpace::Gray => {
            let grey: Vec<u8> = (0..=u8::MAX).collect();
            let to_rgb = transform(CmsLayout::Gray, &srgb, CmsLayout::Rgb)?;
            let executor: Executor = Arc::new(GreyOfRgb(to_rgb));
            Some(if leaves_colours(&executor, &grey) {
                Conversion::None
            } else {
                Conversion::Grey(executor)
            })
        }
        DataColorSpace::Cmyk => {
            transform(CmsLayout::Rgba, &srgb, CmsLayout::Rgb).map(Conversion::Cmyk)
        }
        _ => None,
    }
}

/// Grey to grey by way of RGB, whose three channels are then the same.
struct GreyOfRgb(Executor);

impl TransformExecutor<u8> for GreyOfRgb {
    fn transform(&self, source: &[u8], target: &mut [u8]) -> Result<(), moxcms::CmsError> {
        let mut rgb = vec![0; source.len() * 3];
        self.0.transform(source, &mut rgb)?;
        for (target, pixel) in target.iter_mut().zip(rgb.chunks_exact(3)) {
            *target = pixel[1];
        }
        Ok(())
    }
}

fn rgb_probes() -> Vec<u8> {
    const STEPS: [u8; 6] = [0, 51, 102, 153, 204, 255];
    let mut probes = Vec::with_capacity(STEPS.len().pow(3) * 3);
    for red in STEPS {
        for green in STEPS {
            for blue in STEPS {
                probes.extend([red, green, blue]);
            }
        }
    }
    probes
}

fn leaves_colours(executor: &Executor, probes: &[u8]) -> bool {
    let mut moved = vec![0; probes.len()];
    executor.transform(probes, &mut moved).is_ok()
        && probes
            .iter()
            .zip(&moved)
            .all(|(from, to)| from.abs_diff(*to) <= SRGB_TOLERANCE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn picture(rgb: [u8; 3]) -> Picture {
        Picture {
            width: 1,
            height: 1,
            layout: Layout::Rgb,
            data: rgb.to_vec(),
        }
    }

    #[test]
    fn profiles_convert_and_srgb_is_left_alone() {
        let check = |profile: ColorProfile, from: [u8; 3], expected: [u8; 3]| {
            let mut picture = picture(from);
            Colours::default().convert_to_srgb(&mut picture, &profile.encode().unwrap());
            let near = picture
                .data
                .iter()
                .zip(&expected)
                .all(|(found, expected)| found.abs_diff(*expected) <= 3);
            assert!(near, "{:?} is not near {expected:?}", picture.data);
        };
        check(ColorProfile::new_srgb(), [10, 200, 90], [10, 200, 90]);
        // Reference values from the matrices of the two colour spaces.
        check(
            ColorProfile::new_adobe_rgb(),
            [100, 150, 100],
            [65, 151, 98],
        );
        check(ColorProfile::new_display_p3(), [128, 0, 0], [140, 0, 0]);
        check(
            ColorProfile::new_gray_with_gamma(1.0),
            [55, 55, 55],
            [128, 128, 128],
        );
    }

    #[test]
    fn an_unreadable_profile_changes_nothing() {
        let mut picture = picture([1, 2, 3]);
        Colours::default().convert_to_srgb(&mut picture, b"not a profile");
        assert_eq!(picture.data, [1, 2, 3]);
    }
}
