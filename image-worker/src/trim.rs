//! Where the content of a picture is, within a border of one colour; and
//! whether there is any. Scanners, cutters and templates leave such borders.

use crate::geometry::Region;
use crate::picture::{Layout, Picture};

/// How far a sample of a border may be from its colour: what JPEG leaves of white.
pub(crate) const CONTENT_TOLERANCE: u8 = 12;

/// Pixels of a line that may differ, in thousandths: dust of a scanner.
const SPECKS_PER_MILLE: usize = 2;

/// The content within a border whose samples differ from its colour by at most
/// `tolerance`. The whole picture where three corners are not of one colour;
/// `None` where all of it is of one colour.
pub(crate) fn content(picture: &Picture, tolerance: u8) -> Option<Region> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let Some(border) = border_colour(picture, tolerance) else {
        return Some(Region::whole((picture.width, picture.height)));
    };
    let view = View {
        picture,
        border,
        tolerance,
    };
    let top = (0..height).find(|y| !view.is_border_row(*y, 0..width))?;
    let bottom = (top..height).rfind(|y| !view.is_border_row(*y, 0..width))?;
    let left = (0..width).find(|x| !view.is_border_column(*x, top..=bottom))?;
    let right = (left..width).rfind(|x| !view.is_border_column(*x, top..=bottom))?;
    let side = |pixels: usize| u32::try_from(pixels).expect("within the picture");
    Some(Region {
        left: side(left),
        top: side(top),
        width: side(right - left + 1),
        height: side(bottom - top + 1),
    })
}

/// The colour of at least three corners.
fn border_colour(picture: &Picture, tolerance: u8) -> Option<[u8; 4]> {
    let (right, bottom) = (picture.width as usize - 1, picture.height as usize - 1);
    let corners = [(0, 0), (right, 0), (0, bottom), (right, bottom)];
    let corners = corners.map(|(x, y)| pixel(picture, x, y));
    corners.into_iter().find(|corner| {
        let alike = corners
            .iter()
            .filter(|other| is_like(*corner, **other, tolerance));
        alike.count() >= 3
    })
}

struct View<'a> {
    picture: &'a Picture,
    border: [u8; 4],
    tolerance: u8,
}

impl View<'_> {
    fn is_border_row(&self, y: usize, mut columns: std::ops::Range<usize>) -> bool {
        let mut specks = columns.len() * SPECKS_PER_MILLE / 1000;
        columns.all(|x| self.passes(x, y, &mut specks))
    }

    fn is_border_column(&self, x: usize, mut rows: std::ops::RangeInclusive<usize>) -> bool {
        let mut specks = (rows.end() - rows.start() + 1) * SPECKS_PER_MILLE / 1000;
        rows.all(|y| self.passes(x, y, &mut specks))
    }

    fn passes(&self, x: usize, y: usize, specks: &mut usize) -> bool {
        if is_like(self.border, pixel(self.picture, x, y), self.tolerance) {
            return true;
        }
        let left = specks.checked_sub(1);
        *specks = left.unwrap_or(0);
        left.is_some()
    }
}

/// Red, green, blue and alpha. What cannot be seen has no colour.
fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 4] {
    let channels = picture.layout.channels();
    let at = (y * picture.width as usize + x) * channels;
    let samples = &picture.data[at..at + channels];
    match picture.layout {
        Layout::Rgb => [samples[0], samples[1], samples[2], u8::MAX],
        Layout::Rgba if samples[3] == 0 => [0; 4],
        Layout::Rgba => [samples[0], samples[1], samples[2], samples[3]],
    }
}

fn is_like(one: [u8; 4], other: [u8; 4], tolerance: u8) -> bool {
    one.iter()
        .zip(other)
        .all(|(one, other)| one.abs_diff(other) <= tolerance)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A picture of one colour with a box of another.
    fn boxed(layout: Layout, border: [u8; 4], inner: [u8; 4], area: Region) -> Picture {
        let (width, height) = (40, 30);
        let mut picture = Picture::in_buffer(width, height, layout, Vec::new());
        let channels = layout.channels();
        for (at, pixel) in picture.data.chunks_exact_mut(channels).enumerate() {
            let (x, y) = (at as u32 % width, at as u32 / width);
            let is_inner = (area.left..area.left + area.width).contains(&x)
                && (area.top..area.top + area.height).contains(&y);
            pixel.copy_from_slice(&if is_inner { inner } else { border }[..channels]);
        }
        picture
    }

    fn area(left: u32, top: u32, width: u32, height: u32) -> Region {
        Region {
            left,
            top,
            width,
            height,
        }
    }

    const WHITE: [u8; 4] = [255; 4];
    const RED: [u8; 4] = [200, 20, 30, 255];

    #[test]
    fn borders_of_one_colour_are_found() {
        let check = |layout, border, inner, within, tolerance, expected| {
            let found = content(&boxed(layout, border, inner, within), tolerance);
            assert_eq!(found, expected, "{border:?} {inner:?} {within:?}");
        };
        let inside = area(5, 7, 20, 11);
        check(Layout::Rgb, WHITE, RED, inside, 10, Some(inside));
        check(Layout::Rgba, [9, 9, 9, 0], RED, inside, 10, Some(inside));
        // Nothing but border.
        check(Layout::Rgb, WHITE, WHITE, inside, 10, None);
        check(Layout::Rgb, WHITE, [250, 251, 252, 255], inside, 10, None);
        check(
            Layout::Rgb,
            WHITE,
            [250, 251, 252, 255],
            inside,
            2,
            Some(inside),
        );
        // It reaches into one corner, and into two.
        let corner = area(0, 0, 20, 11);
        check(Layout::Rgb, WHITE, RED, corner, 10, Some(corner));
        let half = area(0, 0, 40, 11);
        check(Layout::Rgb, WHITE, RED, half, 10, Some(area(0, 0, 40, 30)));
    }

    #[test]
    fn what_cannot_be_seen_is_of_one_colour() {
        let mut picture = boxed(Layout::Rgba, [1, 2, 3, 0], RED, area(3, 3, 4, 4));
        picture.data[4..8].copy_from_slice(&[90, 90, 90, 0]);
        assert_eq!(content(&picture, 0), Some(area(3, 3, 4, 4)));
    }
}
