//! What a decoded picture looks like: its perceptual hash, or that it is of one
//! colour. Taken of the smallest samples that the variants need anyway, so that
//! it costs next to nothing.
//!
//! Profiles are left aside: what they move is less than what the hash bears.

use trawler_core::phash::Phash;

use crate::jpeg::{Coding, Plane};
use crate::means::{Grid, SIDE, grid};
use crate::orient::Orientation;
use crate::phash::{Means, phash};
use crate::picture::{Layout, Picture};
use crate::trim::CONTENT_TOLERANCE;

/// The look of a picture whose colours are multiplied with alpha. What cannot
/// be seen is white.
pub(crate) fn of_picture(picture: &Picture, orientation: Orientation) -> Phash {
    let (data, width, height) = (&picture.data, picture.width, picture.height);
    let (width, height) = (width as usize, height as usize);
    let means = Means(match picture.layout {
        Layout::Rgb => grid::<3>(data, width, height).map(|row| row.map(luma_of)),
        Layout::Rgba => grid::<4>(data, width, height).map(|row| {
            row.map(|[red, green, blue, alpha]| luma_of([red, green, blue]) + FULL - alpha)
        }),
    });
    let channels = picture.layout.channels();
    let one_colour = is_level(&means)
        && (0..channels).all(|channel| is_one_value(data[channel..].iter().step_by(channels)));
    look(one_colour, &means, orientation)
}

/// The look of the components of a file, each at a scale of its own.
pub(crate) fn of_planes(coding: Coding, planes: &[&Plane], orientation: Orientation) -> Phash {
    let part = |at: usize| {
        let plane = planes[at];
        grid::<1>(&plane.data, plane.width, plane.height)
    };
    let means = Means(match coding {
        Coding::Grey | Coding::YCbCr => part(0).map(|row| row.map(|[luma]| luma)),
        Coding::Rgb => joined([part(0), part(1), part(2)], luma_of),
        Coding::Cmyk => joined([part(0), part(1), part(2), part(3)], |[c, m, y, key]| {
            luma_of([c, m, y]) * (key / 256) / 255
        }),
        // What is coded as luma is the amount of ink.
        Coding::Ycck => joined([part(0), part(3)], |[ink, key]| {
            (FULL - ink) * (key / 256) / 255
        }),
    });
    let one_colour = is_level(&means) && planes.iter().all(|plane| is_one_value(&plane.data));
    look(one_colour, &means, orientation)
}

/// The brightest, in 256ths.
const FULL: i32 = 255 * 256;

/// Rec. 601.
fn luma_of([red, green, blue]: [i32; 3]) -> i32 {
    (77 * red + 150 * green + 29 * blue) / 256
}

/// Components of one cell taken together.
fn joined<const N: usize>(
    parts: [Grid<1>; N],
    luma: impl Fn([i32; N]) -> i32,
) -> [[i32; SIDE]; SIDE] {
    std::array::from_fn(|down| {
        std::array::from_fn(|across| luma(parts.each_ref().map(|part| part[down][across][0])))
    })
}

fn look(one_colour: bool, means: &Means, orientation: Orientation) -> Phash {
    match one_colour {
        true => Phash::ONE_COLOUR,
        false => phash(means, orientation),
    }
}

/// Whether every sample has to be looked at: nearly every picture shows by its
/// means that it is not of one colour.
fn is_level(means: &Means) -> bool {
    means.spread() <= i32::from(CONTENT_TOLERANCE) * 256
}

fn is_one_value<'a>(samples: impl IntoIterator<Item = &'a u8>) -> bool {
    let (mut least, mut most) = (u8::MAX, 0);
    for sample in samples {
        (least, most) = (least.min(*sample), most.max(*sample));
    }
    most.saturating_sub(least) <= CONTENT_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(layout: Layout, pixel: impl Fn(usize, usize) -> [u8; 4]) -> Picture {
        let mut picture = Picture::in_buffer(40, 40, layout, Vec::new());
        let channels = layout.channels();
        for (at, out) in picture.data.chunks_exact_mut(channels).enumerate() {
            out.copy_from_slice(&pixel(at % 40, at / 40)[..channels]);
        }
        picture
    }

    #[test]
    fn what_cannot_be_seen_is_white() {
        let is_shown = |x: usize, y: usize| x > 11 && y < 29;
        let clear = filled(Layout::Rgba, |x, y| match is_shown(x, y) {
            true => [30, 60, 90, 255],
            false => [0; 4],
        });
        let white = filled(Layout::Rgb, |x, y| match is_shown(x, y) {
            true => [30, 60, 90, 0],
            false => [255; 4],
        });
        let upright = Orientation::NoTransforms;
        assert_eq!(of_picture(&clear, upright), of_picture(&white, upright));
    }

    #[test]
    fn one_colour_is_told_from_little_colour() {
        let check = |layout, pixel: fn(usize, usize) -> [u8; 4], expected: bool| {
            let found = of_picture(&filled(layout, pixel), Orientation::NoTransforms);
            assert_eq!(found == Phash::ONE_COLOUR, expected, "{found}");
        };
        check(Layout::Rgb, |_, _| [255; 4], true);
        check(Layout::Rgb, |_, _| [9, 120, 33, 0], true);
        check(Layout::Rgba, |_, _| [0; 4], true);
        // What JPEG leaves of white.
        check(Layout::Rgb, |x, y| [243 + ((x + y) % 13) as u8; 4], true);
        check(Layout::Rgb, |x, y| [241 + ((x + y) % 15) as u8; 4], false);
        // One line, and one pixel of another colour.
        check(
            Layout::Rgb,
            |x, _| [if x == 7 { 200 } else { 255 }; 4],
            false,
        );
        check(
            Layout::Rgb,
            |x, y| [255, 255, if x + y == 9 { 0 } else { 255 }, 0],
            false,
        );
        // Of one luma and two colours.
        check(
            Layout::Rgb,
            |x, _| {
                if x < 20 {
                    [100, 100, 100, 0]
                } else {
                    [120, 82, 139, 0]
                }
            },
            false,
        );
        // Seen in part.
        check(
            Layout::Rgba,
            |x, _| [0, 0, 0, if x < 20 { 255 } else { 0 }],
            false,
        );
    }
}
