//! How near variants are to the picture resized in floating point, without
//! any rounding and at its whole size: no worse than what was rendered before
//! decoding at a smaller scale, resizing planes and encoding were our own.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::*;
use trawler_core::image::{Fit, OutputFormat};
use trawler_image_worker::{Limits, Workbench};
use zune_core::bytestream::ZCursor;

/// Sides that a photograph of 600 x 450 is decoded for at its whole size, at a
/// half and at a quarter, and the decibels of each (PSNR of RGB, quality 100)
/// that the renderer before reached on the worst of these photographs.
const SIDES: [(u32, f64); 3] = [(250, 37.96), (100, 35.29), (50, 34.43)];
const PHOTOGRAPHS: [&str; 4] = [
    "Landscape_2.jpg",
    "Landscape_6.jpg",
    "Portrait_3.jpg",
    "Portrait_8.jpg",
];

/// The filter of Catmull and Rom.
fn weight(distance: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0
    } else if x < 2.0 {
        -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0
    } else {
        0.0
    }
}

/// Resizes the middle part of each line of `length` values to `to`.
fn resized(values: &[f64], length: usize, part: f64, to: usize) -> Vec<f64> {
    let begin = (length as f64 - part) / 2.0;
    let step = part / to as f64;
    let widened = step.max(1.0);
    let lines = values.chunks_exact(length);
    let line = |line: &[f64]| -> Vec<f64> {
        let one = |at: usize| {
            let middle = begin + (at as f64 + 0.5) * step;
            let reach = 2.0 * widened;
            let first = (middle - reach).floor().max(0.0) as usize;
            let last = ((middle + reach).ceil() as usize).min(length);
            let shares = line[first..last].iter().zip(first..).map(|(value, place)| {
                let share = weight((place as f64 + 0.5 - middle) / widened);
                (share, share * value)
            });
            let (sum, total) =
                shares.fold((0.0, 0.0), |seen, new| (seen.0 + new.0, seen.1 + new.1));
            total / sum
        };
        (0..to).map(one).collect()
    };
    lines.flat_map(line).collect()
}

fn turned(values: &[f64], length: usize) -> Vec<f64> {
    (0..length)
        .flat_map(|x| values.iter().skip(x).step_by(length).copied())
        .collect()
}

/// The middle square of a photograph as RGB, by another decoder and in
/// floating point, as it is stored.
fn reference(source: &[u8], side: usize) -> Vec<f64> {
    let mut decoder = zune_jpeg::JpegDecoder::new(ZCursor::new(source));
    let pixels = decoder.decode().unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    let square = width.min(height) as f64;
    let mut out = vec![0.0; side * side * 3];
    for channel in 0..3 {
        let values: Vec<f64> = pixels
            .iter()
            .skip(channel)
            .step_by(3)
            .map(|v| f64::from(*v))
            .collect();
        let narrow = turned(&resized(&values, width, square, side), side);
        let small = turned(&resized(&narrow, height, square, side), side);
        for (out, value) in out.iter_mut().skip(channel).step_by(3).zip(small) {
            *out = value.clamp(0.0, 255.0);
        }
    }
    out
}

/// A photograph whose orientation and profile nobody reads, so that nothing
/// is turned or converted.
fn plain(path: &Path) -> Vec<u8> {
    let mut source = std::fs::read(path).unwrap();
    for name in [b"Exif\0".as_slice(), b"ICC_PROFILE\0"] {
        let found: Vec<usize> = memchr::memmem::find_iter(&source, name).collect();
        for at in found {
            source[at] = b'X';
        }
    }
    source
}

#[test]
fn variants_are_as_near_to_the_exact_picture_as_before() {
    let Some(root) = real_images() else { return };
    let mut bench = Workbench::new(Limits::default());
    for (side, least) in SIDES {
        let mut worst = f64::MAX;
        for name in PHOTOGRAPHS {
            let source = plain(&root.join("photos").join(name));
            let mut square = variant("square", side, Fit::Cover, OutputFormat::Jpeg);
            square.quality = 100;
            let (.., found) = shown(&mut bench, &source, &square);
            let expected = reference(&source, side as usize);
            let squares = found
                .iter()
                .zip(&expected)
                .map(|(a, b)| (f64::from(*a) - b).powi(2));
            let mean = squares.sum::<f64>() / expected.len() as f64;
            let decibels = 10.0 * (255.0_f64.powi(2) / mean).log10();
            println!("{name} to {side}: {decibels:.2} dB");
            worst = worst.min(decibels);
        }
        assert!(worst >= least, "{side}: {worst:.2} dB is below {least}");
    }
}
