//! Which part of a source becomes which size of a variant. Pure arithmetic.
//!
//! Nothing here depends on which other variants are configured: a key names a
//! source and one variant's recipe, so one recipe must always give one
//! picture.

use trawler_core::image::{Fit, Variant};

use crate::orient::{Orientation, swap_if_turned};

/// A part of a source, in stored pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Region {
    pub(crate) fn whole((width, height): (u32, u32)) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }
}

/// Crop and output size in the source's stored (not yet upright) pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) crop_width: f64,
    pub(crate) crop_height: f64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Times that the source is halved before the final resize.
    pub(crate) halvings: u32,
}

/// Plans `variant` for a region of a source.
///
/// `cover` fills the box exactly, also from a smaller source. The other fits
/// never enlarge: what is within the box keeps its size. What is around it in a
/// padded box comes after turning upright and is not planned here.
pub(crate) fn plan(region: Region, orientation: Orientation, variant: &Variant) -> Plan {
    // All fits are centred, so that turning the box instead of the picture
    // gives the same crop.
    let (box_width, box_height) = swap_if_turned(orientation, (variant.width, variant.height));
    let (source_width, source_height) = (f64::from(region.width), f64::from(region.height));
    let x_scale = f64::from(box_width) / source_width;
    let y_scale = f64::from(box_height) / source_height;
    let (crop_width, crop_height, width, height) = match variant.fit {
        Fit::Cover => {
            let scale = x_scale.max(y_scale);
            let crop_width = (f64::from(box_width) / scale).min(source_width);
            let crop_height = (f64::from(box_height) / scale).min(source_height);
            (crop_width, crop_height, box_width, box_height)
        }
        Fit::Crop => {
            let (width, height) = (region.width.min(box_width), region.height.min(box_height));
            (f64::from(width), f64::from(height), width, height)
        }
        Fit::Contain | Fit::Pad | Fit::Content => {
            let scale = x_scale.min(y_scale).min(1.0);
            let width = scaled(source_width, scale, box_width);
            let height = scaled(source_height, scale, box_height);
            (source_width, source_height, width, height)
        }
    };
    let shrink = (crop_width / f64::from(width)).min(crop_height / f64::from(height));
    Plan {
        left: f64::from(region.left) + (source_width - crop_width) / 2.0,
        top: f64::from(region.top) + (source_height - crop_height) / 2.0,
        crop_width,
        crop_height,
        width,
        height,
        halvings: halvings(shrink),
    }
}

/// The whole source at its own size.
pub(crate) fn identity((width, height): (u32, u32)) -> Plan {
    Plan {
        left: 0.0,
        top: 0.0,
        crop_width: f64::from(width),
        crop_height: f64::from(height),
        width,
        height,
        halvings: 0,
    }
}

fn scaled(side: f64, scale: f64, side_max: u32) -> u32 {
    // The value lies between 0 and `side_max`, so the cast only rounds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let side = (side * scale).round() as u32;
    side.clamp(1, side_max)
}

/// Halving is cheap and, while the final filter still shrinks by 2 or more,
/// not visible. A JPEG is decoded at the halved size, as far as its transform
/// goes.
pub(crate) fn halvings(shrink: f64) -> u32 {
    let mut left = shrink;
    let mut count = 0;
    while left >= 4.0 {
        left /= 2.0;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use trawler_core::image::OutputFormat;

    fn variant(width: u32, height: u32, fit: Fit) -> Variant {
        Variant {
            name: "v".to_owned(),
            width,
            height,
            fit,
            format: OutputFormat::Jpeg,
            quality: 80,
            background: None,
            transparent: None,
            trim: false,
        }
    }

    #[test]
    fn fits_are_planned_as_documented() {
        let check = |stored, variant: Variant, expected: (f64, f64, u32, u32, u32)| {
            let plan = plan(Region::whole(stored), Orientation::NoTransforms, &variant);
            let found = (
                plan.crop_width,
                plan.crop_height,
                plan.width,
                plan.height,
                plan.halvings,
            );
            assert_eq!(found, expected, "{stored:?} {variant:?}");
        };
        let cover = |w, h| variant(w, h, Fit::Cover);
        let contain = |w, h| variant(w, h, Fit::Contain);
        check((1200, 1200), cover(256, 256), (1200., 1200., 256, 256, 1));
        check((1200, 1200), contain(720, 720), (1200., 1200., 720, 720, 0));
        check((1200, 600), cover(300, 300), (600., 600., 300, 300, 0));
        check((1200, 600), contain(300, 300), (1200., 600., 300, 150, 1));
        check((100, 50), contain(300, 300), (100., 50., 100, 50, 0));
        check((100, 50), cover(300, 300), (50., 50., 300, 300, 0));
        check((10_000, 1), contain(100, 100), (10_000., 1., 100, 1, 0));
        check((8000, 8000), cover(100, 100), (8000., 8000., 100, 100, 5));
        let pad = |w, h| variant(w, h, Fit::Pad);
        check((1200, 600), pad(300, 300), (1200., 600., 300, 150, 1));
        let crop = |w, h| variant(w, h, Fit::Crop);
        check((1200, 600), crop(300, 700), (300., 600., 300, 600, 0));
    }

    #[test]
    fn what_is_planned_lies_in_its_region() {
        let region = Region {
            left: 100,
            top: 40,
            width: 300,
            height: 200,
        };
        let check = |fit, expected: (f64, f64, f64, f64)| {
            let plan = plan(region, Orientation::NoTransforms, &variant(50, 50, fit));
            let found = (plan.left, plan.top, plan.crop_width, plan.crop_height);
            assert_eq!(found, expected, "{fit:?}");
        };
        check(Fit::Content, (100., 40., 300., 200.));
        check(Fit::Cover, (150., 40., 200., 200.));
        check(Fit::Crop, (225., 115., 50., 50.));
    }

    #[test]
    fn a_turned_source_is_planned_in_its_stored_sides() {
        let plan = plan(
            Region::whole((600, 1200)),
            Orientation::Rotate90,
            &variant(400, 100, Fit::Cover),
        );
        assert_eq!((plan.width, plan.height), (100, 400));
        assert_eq!((plan.crop_width, plan.crop_height), (300.0, 1200.0));
    }
}
