//! A perceptual hash: 64 bits that stay nearly the same when a picture is
//! scaled, recompressed or made lighter, so that near-duplicates are found by
//! the bits in which two hashes differ.
//!
//! Luma of 32 x 32 means, its discrete cosine transform, the 8 x 8 lowest
//! frequencies without the mean: a bit is set where one is above their median.
//! That is the pHash of C. Zauner's thesis (2010) as most libraries have it, but
//! for one thing: in drawings half of the frequencies are not there at all, and
//! by which side of the median their noise is, the same drawing would differ
//! from itself. They give no bit. Sums are of whole numbers, so that every processor finds the same bits.
//!
//! Not here: where samples come from, and what a picture of one colour is
//! (`look`).

use trawler_core::phash::Phash;

use crate::means::SIDE;
use crate::orient::Orientation;

const LOW: usize = 8;
/// Scale of the cosines.
const ONE: i64 = 4096;
/// What a wave of a quarter of a step of brightness gives: rounding and
/// recompression stay below it.
const NOISE: i64 = 256 / 4 * ONE * ONE * (SIDE as i64 / 2) * (SIDE as i64 / 2);

/// Luma of a picture in a grid of cells, in 256ths of a step.
pub(crate) struct Means(pub(crate) [[i32; SIDE]; SIDE]);

impl Means {
    /// From the lightest to the darkest, in 256ths of a step.
    pub(crate) fn spread(&self) -> i32 {
        let all = || self.0.iter().flatten();
        let (lightest, darkest) = (all().max(), all().min());
        lightest.unwrap_or(&0) - darkest.unwrap_or(&0)
    }

    fn upright(&self, orientation: Orientation) -> [[i32; SIDE]; SIDE] {
        let last = SIDE - 1;
        let stored = |down: usize, across: usize| match orientation {
            Orientation::NoTransforms => (down, across),
            Orientation::FlipHorizontal => (down, last - across),
            Orientation::FlipVertical => (last - down, across),
            Orientation::Rotate180 => (last - down, last - across),
            Orientation::Rotate90 => (last - across, down),
            Orientation::Rotate270 => (across, last - down),
            Orientation::Rotate90FlipH => (across, down),
            Orientation::Rotate270FlipH => (last - across, last - down),
        };
        std::array::from_fn(|down| {
            std::array::from_fn(|across| {
                let (down, across) = stored(down, across);
                self.0[down][across]
            })
        })
    }
}

/// The hash of the upright picture, which is not of one colour.
pub(crate) fn phash(means: &Means, orientation: Orientation) -> Phash {
    let waves = waves();
    // Rows first, the low frequencies alone.
    let mut rows = [[0_i64; LOW]; SIDE];
    for (row, luma) in rows.iter_mut().zip(&means.upright(orientation)) {
        for (value, wave) in row.iter_mut().zip(&waves) {
            let products = luma.iter().zip(wave);
            *value = products
                .map(|(luma, wave)| i64::from(*luma) * i64::from(*wave))
                .sum();
        }
    }
    let mut low = [0_i64; LOW * LOW];
    for (at, value) in low.iter_mut().enumerate() {
        let (across, down) = (at % LOW, at / LOW);
        let column = rows.iter().zip(&waves[down]);
        *value = column
            .map(|(row, wave)| row[across] * i64::from(*wave))
            .sum();
    }
    let mut sorted = low[1..].to_vec();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    let bit = |value: &i64| u64::from(*value > median + NOISE);
    let hash = low.iter().fold(0, |hash, value| hash << 1 | bit(value));
    // The one without any bit has another meaning.
    Phash(hash.max(1))
}

/// The eight slowest cosines of the transform.
fn waves() -> [[i32; SIDE]; LOW] {
    std::array::from_fn(|frequency| {
        std::array::from_fn(|at| {
            let angle = (2 * at + 1) as f64 * frequency as f64 * std::f64::consts::PI;
            // At most 4096 either way; no product is within the last digit
            // of a half.
            (ONE as f64 * (angle / (2 * SIDE) as f64).cos()).round() as i32
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::means::grid;

    fn means(size: (usize, usize), luma: impl Fn(usize, usize) -> u8) -> Means {
        let all = (0..size.0 * size.1).map(|at| luma(at % size.0, at / size.0));
        let grid = grid::<1>(&all.collect::<Vec<u8>>(), size.0, size.1);
        Means(grid.map(|row| row.map(|[luma]| luma)))
    }

    /// Blobs of light that differ with the seed.
    fn blobs(size: (usize, usize), seed: u32, lighter: u8) -> Phash {
        let luma = |x: usize, y: usize| {
            let (x, y) = (x as f32 / size.0 as f32, y as f32 / size.1 as f32);
            let seed = seed as f32;
            let wave = (x * (5.0 + seed)).sin()
                + (y * (3.0 + 2.0 * seed)).cos()
                + (x * y * seed * 7.0).sin();
            (wave * 35.0 + 110.0) as u8 + lighter
        };
        phash(&means(size, luma), Orientation::NoTransforms)
    }

    #[test]
    fn the_same_picture_in_other_sizes_and_lights_hashes_alike() {
        for seed in 1..8 {
            let source = blobs((400, 300), seed, 0);
            let check = |size, lighter| {
                let bits = source.distance(blobs(size, seed, lighter));
                assert!(bits <= 4, "{seed} {size:?} {lighter}: {bits}");
            };
            check((131, 97), 0);
            check((1700, 1301), 0);
            check((400, 300), 20);
            let other = source.distance(blobs((400, 300), seed + 1, 0));
            assert!(other >= 12, "{seed}: {other}");
        }
    }

    #[test]
    fn tiny_pictures_have_a_hash_and_none_without_a_bit() {
        for size in [(1, 1), (2, 40), (31, 33)] {
            for luma in [0, 255] {
                let means = means(size, |_, _| luma);
                assert_eq!(means.spread(), 0);
                let hash = phash(&means, Orientation::NoTransforms);
                assert_ne!(hash, Phash::ONE_COLOUR);
            }
        }
    }

    #[test]
    fn a_drawing_is_the_same_with_and_without_noise() {
        // A ring: half of its waves are not there.
        let ring = |noise: u8| {
            let luma = |x: usize, y: usize| {
                let radius = (x as f32 - 99.5).hypot(y as f32 - 99.5);
                let light: u8 = if (40.0..70.0).contains(&radius) {
                    90
                } else {
                    250
                };
                light + ((x * 7 + y * 13) % 4) as u8 * noise
            };
            phash(&means((200, 200), luma), Orientation::NoTransforms)
        };
        assert_eq!(ring(0), ring(1));
        assert!(ring(0).0.count_ones() > 5);
    }

    #[test]
    fn a_turned_picture_hashes_as_the_upright_one() {
        let luma = |x: usize, y: usize| ((x * 5 + y * y / 9 + x * y / 40) % 256) as u8;
        let expected = phash(&means((96, 64), luma), Orientation::NoTransforms);
        // Stored as the orientation says that it is: by the inverse of what
        // `orient` does to it.
        let stored = |orientation: Orientation| {
            let undo = match orientation {
                Orientation::Rotate90 => Orientation::Rotate270,
                Orientation::Rotate270 => Orientation::Rotate90,
                same => same,
            };
            let upright = crate::frame::Samples {
                width: 96,
                height: 64,
                data: (0..96 * 64).map(|at| luma(at % 96, at / 96)).collect(),
            };
            crate::orient::upright_samples(upright, undo)
        };
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let stored = stored(orientation);
            let size = (stored.width as usize, stored.height as usize);
            let means = means(size, |x, y| stored.data[y * size.0 + x]);
            assert_eq!(phash(&means, orientation), expected, "{exif}");
        }
    }
}
