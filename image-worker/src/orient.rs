//! The eight orientations of EXIF, applied to pixels.

use crate::picture::Picture;

/// How stored pixels are turned to stand upright (EXIF 1 to 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Orientation {
    #[default]
    Upright,
    FlipHorizontal,
    Rotate180,
    FlipVertical,
    Transpose,
    Rotate90,
    Transverse,
    Rotate270,
}

impl Orientation {
    pub(crate) fn from_exif(value: u16) -> Option<Self> {
        Some(match value {
            1 => Self::Upright,
            2 => Self::FlipHorizontal,
            3 => Self::Rotate180,
            4 => Self::FlipVertical,
            5 => Self::Transpose,
            6 => Self::Rotate90,
            7 => Self::Transverse,
            8 => Self::Rotate270,
            _ => return None,
        })
    }

    /// The value of the EXIF tag, 1 to 8.
    pub fn exif(self) -> u8 {
        self as u8 + 1
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Transpose | Self::Rotate90 | Self::Transverse | Self::Rotate270
        )
    }

    pub(crate) fn swap_if_needed<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.swaps_sides() {
            (height, width)
        } else {
            (width, height)
        }
    }
}

/// Turns a picture upright. Called on the resized picture, which is smaller
/// than the source.
pub(crate) fn upright(picture: Picture, orientation: Orientation) -> Picture {
    if orientation == Orientation::Upright {
        return picture;
    }
    let channels = picture.layout.channels();
    let (stored_w, stored_h) = (picture.width as usize, picture.height as usize);
    let (width, height) = orientation.swap_if_needed((picture.width, picture.height));
    let mut turned = Picture::in_buffer(width, height, picture.layout, Vec::new());
    let rows = turned.data.chunks_exact_mut(width as usize * channels);
    for (y, row) in rows.enumerate() {
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let (from_x, from_y) = match orientation {
                Orientation::Upright => (x, y),
                Orientation::FlipHorizontal => (stored_w - 1 - x, y),
                Orientation::Rotate180 => (stored_w - 1 - x, stored_h - 1 - y),
                Orientation::FlipVertical => (x, stored_h - 1 - y),
                Orientation::Transpose => (y, x),
                Orientation::Rotate90 => (y, stored_h - 1 - x),
                Orientation::Transverse => (stored_w - 1 - y, stored_h - 1 - x),
                Orientation::Rotate270 => (stored_w - 1 - y, x),
            };
            let at = (from_y * stored_w + from_x) * channels;
            pixel.copy_from_slice(&picture.data[at..at + channels]);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Layout;

    #[test]
    fn each_orientation_brings_the_stored_pixels_upright() {
        // The upright picture is A B / C D / E F; the stored rows are those of
        // the EXIF specification's table of row 0 and column 0.
        let check = |exif: u16, stored: &[&str]| {
            let letters: Vec<u8> = stored.concat().bytes().collect();
            let picture = Picture {
                width: stored[0].len() as u32,
                height: stored.len() as u32,
                layout: Layout::Rgb,
                data: letters.iter().flat_map(|&byte| [byte; 3]).collect(),
            };
            let orientation = Orientation::from_exif(exif).expect("1 to 8");
            let turned = upright(picture, orientation);
            let seen: Vec<u8> = turned.data.iter().step_by(3).copied().collect();
            assert_eq!((turned.width, turned.height), (2, 3), "{exif}");
            assert_eq!(String::from_utf8_lossy(&seen), "ABCDEF", "{exif}");
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
}
