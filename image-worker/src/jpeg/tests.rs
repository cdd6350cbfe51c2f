//! The decoder beside another one, at every size, and on damaged files.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use super::*;
use crate::error::ImageError;

const REFINED: &[u8] = include_bytes!("../../tests/data/refined.jpg");
const REFINED_RESTARTS: &[u8] = include_bytes!("../../tests/data/refined-restarts.jpg");
const PIXELS_MAX: u64 = 1_000_000;

/// All components at all scales.
fn planes(bytes: &[u8], scratch: &mut Scratch) -> Result<Vec<Vec<Plane>>, ImageError> {
    let structure = Structure::read(bytes, |file| {
        let pixels = u64::from(file.width) * u64::from(file.height);
        if pixels > PIXELS_MAX {
            return Err(ImageError::TooLarge {
                what: "image (pixels)",
                found: pixels,
                max: PIXELS_MAX,
            });
        }
        Ok(())
    })?;
    let wanted = vec![Scale::ALL.to_vec(); structure.components.len()];
    decode(&structure, &wanted, scratch)
}

/// What zune-jpeg makes of a file.
fn other(bytes: &[u8], colours: ColorSpace) -> Vec<u8> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(colours);
    zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options)
        .decode()
        .unwrap()
}

fn assert_near(found: &[u8], expected: impl Iterator<Item = u8>, name: &str) {
    let mut count = 0;
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.abs_diff(expected) <= 2,
            "{name}: {found} is not {expected}"
        );
        count += 1;
    }
    assert_eq!(count, found.len(), "{name}");
}

fn assert_like_the_other(bytes: &[u8], name: &str) {
    let found = planes(bytes, &mut Scratch::default()).unwrap();
    assert_near(
        &found[0][0].data,
        other(bytes, ColorSpace::Luma).into_iter(),
        name,
    );
    let same_size = found.iter().all(|part| part[0].width == found[0][0].width);
    let same_size = same_size
        && found
            .iter()
            .all(|part| part[0].height == found[0][0].height);
    if found.len() == 3 && same_size {
        let pixels = other(bytes, ColorSpace::YCbCr);
        for (part, planes) in found.iter().enumerate() {
            let samples = pixels.iter().skip(part).step_by(3).copied();
            assert_near(&planes[0].data, samples, name);
        }
    }
}

/// Waves of colour with some noise.
fn made(width: u16, height: u16, change: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut random = SmallRng::seed_from_u64(u64::from(width) << 16 | u64::from(height));
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (f32::from(x), f32::from(y));
            for phase in [3.0_f32, 5.0, 11.0] {
                let wave = (x / phase).sin() + (y / (phase + 2.0)).cos();
                pixels.push((128.0 + 50.0 * wave + random.random_range(-9.0..9.0)) as u8);
            }
        }
    }
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 88);
    change(&mut encoder);
    encoder
        .encode(&pixels, width, height, ColorType::Rgb)
        .unwrap();
    out
}

#[test]
fn every_sampling_restart_and_size_decodes_like_the_other() {
    for (across, down) in [
        (1, 1),
        (2, 1),
        (1, 2),
        (2, 2),
        (4, 1),
        (4, 2),
        (1, 4),
        (2, 4),
    ] {
        let factor = SamplingFactor::from_factors(across, down).unwrap();
        for restarts in [0, 1, 3] {
            let file = |progressive| {
                made(75, 53, |encoder| {
                    encoder.set_sampling_factor(factor);
                    encoder.set_progressive(progressive);
                    encoder.set_restart_interval(restarts);
                })
            };
            let name = format!("{across}x{down} {restarts}");
            // The other decoder wants components in one scan, and does not
            // show all progressive samplings rightly.
            if across < 4 && down < 4 {
                assert_like_the_other(&file(false), &name);
            }
            // The same coefficients in another order.
            let samples = |file: &[u8]| -> Vec<Vec<u8>> {
                let parts = planes(file, &mut Scratch::default()).unwrap();
                parts
                    .into_iter()
                    .flatten()
                    .map(|plane| plane.data)
                    .collect()
            };
            assert_eq!(samples(&file(true)), samples(&file(false)), "{name}");
        }
    }
    for side in 1..=40 {
        let other_side = 41 - side;
        for factor in [SamplingFactor::F_1_1, SamplingFactor::F_2_2] {
            let file = made(side, other_side, |e| e.set_sampling_factor(factor));
            assert_like_the_other(&file, &format!("{side} x {other_side} {factor:?}"));
            let square = made(side, side, |e| e.set_sampling_factor(factor));
            assert_like_the_other(&square, &format!("{side} x {side} {factor:?}"));
        }
    }
    assert_like_the_other(REFINED, "refined");
    assert_like_the_other(REFINED_RESTARTS, "refined, restarts");
}

#[test]
fn real_photographs_decode_like_the_other() {
    let root = std::env::var_os("TRAWLER_REAL").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real"),
        Into::into,
    );
    let photos = root.join("images/photos");
    if !photos.is_dir() {
        println!("skipped: no real images at {}", photos.display());
        return;
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(photos).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let pixels = |file: &Structure<'_>| u64::from(file.width) * u64::from(file.height);
        // One of them is lossless; the largest would take long without
        // optimisation.
        match Structure::read(&bytes, |_| Ok(())) {
            Ok(structure) if pixels(&structure) <= PIXELS_MAX => {
                assert_like_the_other(&bytes, &path.display().to_string());
                seen += 1;
            }
            _ => {}
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn smaller_scales_show_the_same_picture() {
    let smooth = made(160, 120, |encoder| encoder.set_quality(60));
    for file in [&smooth[..], REFINED] {
        for part in planes(file, &mut Scratch::default()).unwrap() {
            let whole = &part[0];
            for plane in &part[1..] {
                let side = 1 << plane.scale.halvings();
                assert_eq!(plane.width, whole.width.div_ceil(side));
                assert_eq!(plane.height, whole.height.div_ceil(side));
                let mut sum = 0.0;
                let (across, down) = (whole.width / side, whole.height / side);
                for y in 0..down {
                    for x in 0..across {
                        let rows = (0..side).map(|row| (y * side + row) * whole.width + x * side);
                        let samples = rows.flat_map(|at| &whole.data[at..at + side]);
                        let total: u32 = samples.map(|sample| u32::from(*sample)).sum();
                        let mean = f64::from(total) / (side * side) as f64;
                        sum += (mean - f64::from(plane.data[y * plane.width + x])).powi(2);
                    }
                }
                // What the mean lets through and the transform does not: in
                // textures some steps, never a shift or another brightness.
                let error = (sum / (across * down) as f64).sqrt();
                assert!(error < 8.0, "{:?}: {error}", plane.scale);
            }
        }
    }
}

#[test]
fn what_is_encoded_decodes_to_what_went_in() {
    for (width, height) in [(1, 1), (2, 3), (8, 8), (16, 17), (33, 31), (64, 48)] {
        let wave =
            |x: usize, y: usize| (128.0 + 70.0 * (x as f64 / 9.0 + y as f64 / 7.0).sin()) as u8;
        let plane = |width: usize, height: usize| -> Vec<u8> {
            (0..width * height)
                .map(|at| wave(at % width, at / width))
                .collect()
        };
        let luma = plane(width, height);
        let (across, down) = ((width / 2).max(1), (height / 2).max(1));
        let chroma = plane(across, down);
        let rows = |width, height, data| Rows {
            width,
            height,
            data,
        };
        let small = rows(across, down, &chroma[..]);
        for chroma_of in [Some([small; 2]), None] {
            let size = (width as u16, height as u16);
            let file = encode(size, rows(width, height, &luma[..]), chroma_of, 95);
            let found = planes(&file, &mut Scratch::default()).unwrap();
            assert_eq!(found.len(), 3);
            let near = |found: &[u8], expected: &[u8]| {
                found.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 6)
            };
            assert!(near(&found[0][0].data, &luma), "{width} x {height}");
            let plane = &found[1][0];
            assert_eq!(plane.width, width.div_ceil(2));
            for (y, row) in plane.data.chunks_exact(plane.width).enumerate() {
                for (x, found) in row.iter().enumerate() {
                    let at = y.min(down - 1) * across + x.min(across - 1);
                    let expected = chroma_of.map_or(128, |_| chroma[at]);
                    assert!(found.abs_diff(expected) <= 6, "{width} x {height}");
                }
            }
            assert_eq!(other(&file, ColorSpace::Luma).len(), width * height);
        }
    }
}

#[test]
fn six_thousand_damaged_files_are_refused_or_decoded_in_bounded_time() {
    const SEED: u64 = 20_261_122;
    const ROUNDS: usize = 6000;
    /// Hundreds of times what such a file takes.
    const EACH_MAX: Duration = Duration::from_secs(5);
    println!("seed {SEED}");
    let mut random = SmallRng::seed_from_u64(SEED);
    let sources = [
        made(50, 40, |_| {}),
        made(50, 40, |e| e.set_restart_interval(2)),
        made(50, 40, |e| e.set_progressive(true)),
        made(50, 40, |e| e.set_optimized_huffman_tables(true)),
        made(50, 40, |e| e.set_sampling_factor(SamplingFactor::F_4_2)),
        REFINED.to_vec(),
        REFINED_RESTARTS.to_vec(),
    ];
    let mut scratch = Scratch::default();
    let mut decoded = 0;
    for round in 0..ROUNDS {
        let mut file = sources[round % sources.len()].clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(2..file.len());
            match random.random_range(0..4) {
                0 => file[at] = random.random(),
                1 => file[at] ^= 1 << random.random_range(0..8),
                2 => drop(file.splice(at..at, [random.random(), random.random()])),
                _ => drop(file.drain(at..(at + 3).min(file.len()))),
            }
        }
        let start = Instant::now();
        if let Ok(parts) = planes(&file, &mut scratch) {
            decoded += 1;
            parts.into_iter().for_each(|part| scratch.give_back(part));
        }
        assert!(start.elapsed() < EACH_MAX, "round {round}");
    }
    println!("{decoded} of {ROUNDS} decoded");
    assert!(decoded > 100 && decoded < ROUNDS * 3 / 4, "{decoded}");
}
