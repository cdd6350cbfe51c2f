//! What the tests of the pipeline share: variants, made-up pictures in every
//! format, and the folder of real images.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use image::codecs::bmp::BmpEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use trawler_core::image::{Fit, OutputFormat, Variant};
use trawler_image_worker::{Rendition, Workbench};

pub fn variant(name: &str, side: u32, fit: Fit, format: OutputFormat) -> Variant {
    Variant {
        name: name.to_owned(),
        width: side,
        height: side,
        fit,
        format,
        quality: 80,
        background: None,
        transparent: None,
        trim: false,
    }
}

pub fn thumb() -> Variant {
    variant("thumb", 64, Fit::Contain, OutputFormat::Jpeg)
}

/// Real images, or `None` (with a line saying so) where there are none.
pub fn real_images() -> Option<PathBuf> {
    let root = std::env::var_os("TRAWLER_REAL").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/real"),
        PathBuf::from,
    );
    let images = root.join("images");
    if images.is_dir() {
        return Some(images);
    }
    let is_required = std::env::var("TRAWLER_REAL_REQUIRED").is_ok_and(|word| word == "1");
    assert!(!is_required, "there is no {}", images.display());
    // Past the test's captured output, which nobody reads of a test that passes.
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    drop(writeln!(
        std::io::stderr(),
        "SKIPPED {test}: there is no {}; TRAWLER_REAL says where real input lies",
        images.display()
    ));
    None
}

/// A colourful picture without sharp edges: four corners of different
/// colours, blended.
pub fn corners(width: u32, height: u32) -> Vec<u8> {
    let corner = [[220, 30, 40], [40, 190, 60], [30, 60, 210], [230, 220, 60]];
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let fx = f64::from(x) / f64::from(width.max(2) - 1);
            let fy = f64::from(y) / f64::from(height.max(2) - 1);
            for channel in 0..3 {
                let [a, b, c, d] = corner.map(|colour: [u8; 3]| f64::from(colour[channel]));
                let upper = a * (1.0 - fx) + b * fx;
                let lower = c * (1.0 - fx) + d * fx;
                pixels.push((upper * (1.0 - fy) + lower * fy) as u8);
            }
        }
    }
    pixels
}

pub fn jpeg(width: u16, height: u16, change: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    jpeg_of(
        &corners(width.into(), height.into()),
        (width, height),
        ColorType::Rgb,
        change,
    )
}

pub fn jpeg_of(
    pixels: &[u8],
    (width, height): (u16, u16),
    colour: ColorType,
    change: impl Fn(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 92);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    change(&mut encoder);
    encoder.encode(pixels, width, height, colour).unwrap();
    out
}

pub fn png_of(pixels: &[u8], (width, height): (u32, u32), colour: ExtendedColorType) -> Vec<u8> {
    let mut out = Vec::new();
    PngEncoder::new(&mut out)
        .write_image(pixels, width, height, colour)
        .unwrap();
    out
}

pub fn bmp_of(pixels: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    let mut out = Vec::new();
    BmpEncoder::new(&mut out)
        .encode(pixels, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    out
}

pub fn tiff_of(pixels: &[u8], (width, height): (u32, u32), colour: ExtendedColorType) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    TiffEncoder::new(&mut out)
        .write_image(pixels, width, height, colour)
        .unwrap();
    out.into_inner()
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(
        &corners(width, height),
        (width, height),
        ExtendedColorType::Rgb8,
    )
}

pub fn webp(width: u32, height: u32, lossless: bool) -> Vec<u8> {
    let pixels = corners(width, height);
    let encoder = webp::Encoder::from_rgb(&pixels, width, height);
    encoder.encode_simple(lossless, 90.0).unwrap().to_vec()
}

/// Frames of (left, top, width, height, palette index) on a canvas; index 0
/// is transparent, 1 red, 2 green, 3 blue.
pub fn gif(canvas: (u16, u16), frames: &[(u16, u16, u16, u16, u8)]) -> Vec<u8> {
    let palette = [9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200];
    let mut out = Vec::new();
    let mut encoder = gif::Encoder::new(&mut out, canvas.0, canvas.1, &palette).unwrap();
    for &(left, top, width, height, index) in frames {
        let pixels = vec![index; usize::from(width) * usize::from(height)];
        let mut frame = gif::Frame::from_indexed_pixels(width, height, pixels, Some(0));
        (frame.left, frame.top) = (left, top);
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    out
}

/// Renders one variant and decodes it again, to RGB.
pub fn shown(bench: &mut Workbench, source: &[u8], variant: &Variant) -> (u32, u32, Vec<u8>) {
    let rendition = bench.render(source, std::slice::from_ref(variant)).unwrap();
    pixels_of(&rendition)
}

pub fn pixels_of(rendition: &Rendition) -> (u32, u32, Vec<u8>) {
    let variant = &rendition.variants[0];
    let data = &variant.data;
    let pixels = match variant.format {
        OutputFormat::Jpeg => {
            let cursor = zune_core::bytestream::ZCursor::new(data);
            zune_jpeg::JpegDecoder::new(cursor).decode().unwrap()
        }
        OutputFormat::Webp => {
            let image = webp::Decoder::new(data).decode().unwrap();
            let bytes = if image.is_alpha() { 4 } else { 3 };
            image
                .chunks_exact(bytes)
                .flat_map(|p| p[..3].to_vec())
                .collect()
        }
        OutputFormat::Png => {
            let image = image::load_from_memory(data).unwrap();
            image.to_rgb8().into_raw()
        }
    };
    assert_eq!(
        pixels.len(),
        variant.width as usize * variant.height as usize * 3
    );
    (variant.width, variant.height, pixels)
}

/// Mean difference a channel.
pub fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.len() as f64
}
