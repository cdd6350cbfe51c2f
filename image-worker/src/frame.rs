//! A picture as JPEG holds it: luma, and two chroma planes of half its size.

use crate::orient::{Orientation, upright_samples};
use crate::picture::Picture;

/// Samples of one kind, rows without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Samples {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) data: Vec<u8>,
}

/// Luma and chroma (4:2:0, T.871). Where chroma has less than half of a side
/// that is odd, its last sample goes on.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) luma: Samples,
    /// None of a grey picture.
    pub(crate) chroma: Option<[Samples; 2]>,
}

/// Chroma samples of a side.
pub(crate) fn halved(side: u32) -> u32 {
    (side / 2).max(1)
}

impl Frame {
    pub(crate) fn upright(self, orientation: Orientation) -> Self {
        let turn = |samples| upright_samples(samples, orientation);
        Self {
            luma: turn(self.luma),
            chroma: self.chroma.map(|planes| planes.map(turn)),
        }
    }
}

/// The frame of an opaque picture in sRGB; chroma is the mean of each four
/// pixels.
pub(crate) fn frame_of(picture: &Picture) -> Frame {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let (across, down) = (width.div_ceil(2), height.div_ceil(2));
    let mut luma = vec![0; width * height];
    let mut chroma = [vec![0; across * down], vec![0; across * down]];
    for (out, pixel) in luma.iter_mut().zip(picture.data.chunks_exact(3)) {
        let [red, green, blue] = [0, 1, 2].map(|channel| i32::from(pixel[channel]));
        *out = byte(19_595 * red + 38_470 * green + 7_471 * blue, 16);
    }
    for y in 0..down {
        let rows = [2 * y, (2 * y + 1).min(height - 1)];
        for x in 0..across {
            let mut sums = [0; 3];
            for row in rows {
                for column in [2 * x, (2 * x + 1).min(width - 1)] {
                    let pixel = &picture.data[(row * width + column) * 3..][..3];
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(*value);
                    }
                }
            }
            let [red, green, blue] = sums;
            let middle = 128 << 18;
            let at = y * across + x;
            chroma[0][at] = byte(middle - 11_059 * red - 21_709 * green + 32_768 * blue, 18);
            chroma[1][at] = byte(middle + 32_768 * red - 27_439 * green - 5_329 * blue, 18);
        }
    }
    let side = |samples: usize| u32::try_from(samples).expect("no larger than the picture");
    Frame {
        luma: Samples {
            width: picture.width,
            height: picture.height,
            data: luma,
        },
        chroma: Some(chroma.map(|data| Samples {
            width: side(across),
            height: side(down),
            data,
        })),
    }
}

/// A value with `bits` of fraction to the nearest byte.
fn byte(value: i32, bits: u32) -> u8 {
    ((value + (1 << (bits - 1))) >> bits).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Layout;

    #[test]
    fn colours_become_luma_and_chroma_as_jfif_says() {
        let check = |rgb: [u8; 3], expected: [u8; 3]| {
            let picture = Picture {
                width: 3,
                height: 1,
                layout: Layout::Rgb,
                data: rgb.repeat(3),
            };
            let frame = frame_of(&picture);
            let [blue, red] = frame.chroma.expect("it has colours");
            assert_eq!((blue.width, blue.height), (2, 1));
            let found = [frame.luma.data[2], blue.data[1], red.data[1]];
            assert_eq!(found, expected, "{rgb:?}");
        };
        check([0, 0, 0], [0, 128, 128]);
        check([255, 255, 255], [255, 128, 128]);
        check([255, 0, 0], [76, 85, 255]);
        check([0, 255, 0], [150, 44, 21]);
        check([0, 0, 255], [29, 255, 107]);
    }
}
