//! The eight orientations of EXIF: read from the tag, applied to pixels.
//!
//! Of an EXIF block nothing else is read.

use image::{DynamicImage, ImageBuffer};

pub use image::metadata::Orientation;

use crate::frame::Samples;
use crate::picture::{Layout, Picture};

/// Reads the orientation from a TIFF block, with or without the `Exif\0\0`
/// that JPEG puts before it. A block that is missing or cannot be read says
/// nothing about the picture: it is upright.
pub(crate) fn of_exif(block: Option<&[u8]>) -> Orientation {
    block
        .map(|block| block.strip_prefix(b"Exif\0\0").unwrap_or(block))
        .and_then(Orientation::from_exif_chunk)
        .unwrap_or(Orientation::NoTransforms)
}

/// Swaps the sides where standing upright means a quarter turn.
pub(crate) fn swap_if_turned<T>(orientation: Orientation, (width, height): (T, T)) -> (T, T) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
    }
}

/// Turns a picture upright. Called on the resized picture, which is smaller
/// than the source.
pub(crate) fn upright(picture: Picture, orientation: Orientation) -> Picture {
    let Picture {
        width,
        height,
        layout,
        data,
    } = picture;
    let image = match layout {
        Layout::Rgb => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgb8),
        Layout::Rgba => ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgba8),
    };
    let mut image = image.expect("a picture holds exactly its pixels");
    image.apply_orientation(orientation);
    Picture {
        width: image.width(),
        height: image.height(),
        layout,
        data: image.into_bytes(),
    }
}

/// The same for samples of one kind.
pub(crate) fn upright_samples(samples: Samples, orientation: Orientation) -> Samples {
    if orientation == Orientation::NoTransforms {
        return samples;
    }
    let image = ImageBuffer::from_raw(samples.width, samples.height, samples.data);
    let image = image.expect("a plane holds exactly its samples");
    let mut image = DynamicImage::ImageLuma8(image);
    image.apply_orientation(orientation);
    Samples {
        width: image.width(),
        height: image.height(),
        data: image.into_bytes(),
    }
}

/// Whether the upright picture's last column or row is the stored one's
/// first: for the stored columns and rows.
pub(crate) fn ends_first(orientation: Orientation) -> (bool, bool) {
    match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => (false, false),
        Orientation::FlipHorizontal | Orientation::Rotate270 => (true, false),
        Orientation::FlipVertical | Orientation::Rotate90 => (false, true),
        Orientation::Rotate180 | Orientation::Rotate270FlipH => (true, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_orientation_brings_the_stored_pixels_upright() {
        // The upright picture is A B / C D / E F; the stored rows are those of
        // the EXIF specification's table of row 0 and column 0.
        let check = |exif: u8, stored: &[&str]| {
            let letters: Vec<u8> = stored.concat().bytes().collect();
            let picture = Picture {
                width: stored[0].len() as u32,
                height: stored.len() as u32,
                layout: Layout::Rgb,
                data: letters.iter().flat_map(|&byte| [byte; 3]).collect(),
            };
            let orientation = Orientation::from_exif(exif).expect("1 to 8");
            let planned = swap_if_turned(orientation, (picture.width, picture.height));
            let turned = upright(picture, orientation);
            let seen: Vec<u8> = turned.data.iter().step_by(3).copied().collect();
            assert_eq!((turned.width, turned.height), (2, 3), "{exif}");
            assert_eq!(planned, (2, 3), "{exif}");
            assert_eq!(String::from_utf8_lossy(&seen), "ABCDEF", "{exif}");
            let samples = upright_samples(
                Samples {
                    width: stored[0].len() as u32,
                    height: stored.len() as u32,
                    data: letters,
                },
                orientation,
            );
            assert_eq!((samples.width, samples.height), (2, 3), "{exif}");
            assert_eq!(samples.data, seen, "{exif}");
            // F stands last; where its column and row are the first stored
            // ones, ends come first.
            let row = stored.iter().position(|row| row.contains('F'));
            let column = stored.iter().find_map(|row| row.find('F'));
            let first = (column == Some(0), row == Some(0));
            assert_eq!(ends_first(orientation), first, "{exif}");
        };
        check(1, &["AB", "CD", "EF"]);
        check(2, &["BA", "DC", "FE"]);
        check(3, &["FE", "DC", "BA"]);
        check(4, &["EF", "CD", "AB"]);
        check(5, &["ACE", "BDF"]);
        check(6, &["BDF", "ACE"]);
        check(7, &["FDB", "ECA"]);
        check(8, &["ECA", "FDB"]);
    }

    #[test]
    fn orientation_is_read_in_both_byte_orders_and_never_guessed() {
        let check = |block: &[u8], expected: u8| {
            assert_eq!(of_exif(Some(block)).to_exif(), expected, "{block:?}");
        };
        let little = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        check(little, 6);
        check(big, 8);
        check(&little[..20], 1);
        check(b"", 1);
        check(b"II*\0\xff\xff\xff\xff", 1);
        check(
            b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",
            1,
        );
        assert_eq!(of_exif(None), Orientation::NoTransforms);
    }
}
