//! A perceptual hash: 64 bits that stay nearly the same when a picture is
//! scaled, recompressed or made lighter, so that near-duplicates are found by
//! the bits in which two hashes differ (up to about 10 of 64).
//!
//! Luma of 32 x 32 means, its discrete cosine transform, the 8 x 8 lowest
//! frequencies without the mean: a bit is set where one is above their median.
//! That is the pHash of C. Zauner's thesis (2010) as most libraries have it.

use crate::picture::{Layout, Picture};

const SIDE: usize = 32;
const LOW: usize = 8;

/// The hash of a picture, whose colours are not multiplied with alpha. What
/// cannot be seen is white.
pub(crate) fn phash(picture: &Picture) -> u64 {
    let luma = means(picture);
    let waves = waves();
    // Rows first, the low frequencies alone.
    let mut rows = [[0.0_f32; LOW]; SIDE];
    for (row, luma) in rows.iter_mut().zip(&luma) {
        for (value, wave) in row.iter_mut().zip(&waves) {
            *value = luma.iter().zip(wave).map(|(luma, wave)| luma * wave).sum();
        }
    }
    let mut low = [0.0_f32; LOW * LOW];
    for (at, value) in low.iter_mut().enumerate() {
        let (across, down) = (at % LOW, at / LOW);
        let column = rows.iter().zip(&waves[down]);
        *value = column.map(|(row, wave)| row[across] * wave).sum();
    }
    let mut sorted = low[1..].to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let bit = |value: &f32| u64::from(*value > median);
    low.iter().fold(0, |hash, value| hash << 1 | bit(value))
}

/// As 16 hex digits.
pub(crate) fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// The means of 32 x 32 cells, and of small pictures the pixels nearest to
/// their middles.
fn means(picture: &Picture) -> [[f32; SIDE]; SIDE] {
    let mut means = [[0.0; SIDE]; SIDE];
    for (down, row) in means.iter_mut().enumerate() {
        let rows = cell(down, picture.height as usize);
        for (across, mean) in row.iter_mut().enumerate() {
            let columns = cell(across, picture.width as usize);
            let pixels = (rows.len() * columns.len()) as f32;
            let sum: u64 = rows
                .clone()
                .map(|y| columns.clone().map(|x| luma(picture, x, y)).sum::<u64>())
                .sum();
            *mean = sum as f32 / pixels / 256.0;
        }
    }
    means
}

fn cell(at: usize, side: usize) -> std::ops::Range<usize> {
    let from = at * side / SIDE;
    from..((at + 1) * side / SIDE).max(from + 1)
}

/// Rec. 601, in 256ths.
fn luma(picture: &Picture, x: usize, y: usize) -> u64 {
    let channels = picture.layout.channels();
    let at = (y * picture.width as usize + x) * channels;
    let [r, g, b] = [0, 1, 2].map(|channel| u64::from(picture.data[at + channel]));
    let luma = 77 * r + 150 * g + 29 * b;
    match picture.layout {
        Layout::Rgb => luma,
        Layout::Rgba => {
            let alpha = u64::from(picture.data[at + 3]);
            (luma * alpha + 255 * 256 * (255 - alpha)) / 255
        }
    }
}

/// The eight slowest cosines of the transform.
fn waves() -> [[f32; SIDE]; LOW] {
    std::array::from_fn(|frequency| {
        std::array::from_fn(|at| {
            let angle = (2 * at + 1) as f32 * frequency as f32 * std::f32::consts::PI;
            (angle / (2 * SIDE) as f32).cos()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blobs of light that differ with the seed.
    fn picture(width: u32, height: u32, seed: u32, lighter: u8) -> Picture {
        let mut picture = Picture::in_buffer(width, height, Layout::Rgb, Vec::new());
        for (at, pixel) in picture.data.chunks_exact_mut(3).enumerate() {
            let x = (at as u32 % width) as f32 / width as f32;
            let y = (at as u32 / width) as f32 / height as f32;
            let seed = seed as f32;
            let wave = (x * (5.0 + seed)).sin() + (y * (3.0 + 2.0 * seed)).cos() + (x * y * seed * 7.0).sin();
            let value = (wave * 35.0 + 110.0) as u8;
            pixel.fill(value.saturating_add(lighter));
        }
        picture
    }

    fn apart(one: &Picture, other: &Picture) -> u32 {
        (phash(one) ^ phash(other)).count_ones()
    }

    #[test]
    fn the_same_picture_in_other_sizes_and_lights_hashes_alike() {
        for seed in 1..8 {
            let source = picture(400, 300, seed, 0);
            assert!(apart(&source, &picture(131, 97, seed, 0)) <= 4, "{seed}");
            assert!(apart(&source, &picture(400, 300, seed, 20)) <= 4, "{seed}");
            let other = apart(&source, &picture(400, 300, seed + 1, 0));
            assert!(other >= 12, "{seed}: {other}");
        }
    }

    #[test]
    fn tiny_and_uniform_pictures_have_a_hash() {
        for (width, height) in [(1, 1), (2, 40), (31, 33)] {
            let white = Picture {
                data: vec![255; width as usize * height as usize * 3],
                ..Picture::in_buffer(width, height, Layout::Rgb, Vec::new())
            };
            assert_eq!(hex(phash(&white)).len(), 16);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_white() {
        let mut clear = Picture::in_buffer(40, 40, Layout::Rgba, Vec::new());
        let mut white = Picture::in_buffer(40, 40, Layout::Rgb, Vec::new());
        for (at, pixel) in clear.data.chunks_exact_mut(4).enumerate() {
            let shown = at % 40 > 11 && at / 40 < 29;
            pixel.copy_from_slice(&[30, 60, 90, if shown { 255 } else { 0 }]);
        }
        for (at, pixel) in white.data.chunks_exact_mut(3).enumerate() {
            let shown = at % 40 > 11 && at / 40 < 29;
            pixel.copy_from_slice(&if shown { [30, 60, 90] } else { [255; 3] });
        }
        assert_eq!(phash(&clear), phash(&white));
    }
}
