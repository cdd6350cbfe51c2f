//! What fits, backgrounds and transparency make of a picture.
#![allow(clippy::unwrap_used)]

mod support;

use image::ExtendedColorType;
use support::*;
use trawler_core::image::{Colour, Fit, OutputFormat, Variant};
use trawler_image_worker::{Limits, Workbench};

fn bench() -> Workbench {
    Workbench::new(Limits::default())
}

/// The picture within a border of one colour.
fn bordered(picture: &[u8], size: (u32, u32), border: [u32; 4], colour: [u8; 3]) -> Vec<u8> {
    let [left, top, right, bottom] = border;
    let (width, height) = (size.0 + left + right, size.1 + top + bottom);
    let mut out = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let inside = x >= left && x < left + size.0 && y >= top && y < top + size.1;
            let at = inside.then(|| ((y - top) * size.0 + x - left) as usize * 3);
            out.extend_from_slice(at.map_or(&colour, |at| picture[at..at + 3].try_into().unwrap()));
        }
    }
    out
}

fn pixel(pixels: &[u8], width: u32, (x, y): (u32, u32)) -> [u8; 3] {
    let at = (y * width + x) as usize * 3;
    pixels[at..at + 3].try_into().unwrap()
}

#[test]
fn content_is_what_lies_within_a_border_of_one_colour() {
    let (size, border) = ((80, 60), [50, 30, 70, 14]);
    let inner = corners(size.0, size.1);
    let mut variant = variant("v", 200, Fit::Content, OutputFormat::Png);
    variant.quality = 98;
    let check = |name: &str, source: Vec<u8>, at_most: f64| {
        let (width, height, found) = shown(&mut bench(), &source, &variant);
        assert_eq!((width, height), size, "{name}");
        let difference = difference(&inner, &found);
        assert!(difference <= at_most, "{name}: {difference}");
    };
    for colour in [[255; 3], [0; 3], [10, 120, 200]] {
        let pixels = bordered(&inner, size, border, colour);
        let png = png_of(&pixels, (200, 104), ExtendedColorType::Rgb8);
        check("png", png, 0.0);
        // Aligned to blocks, so that none holds both.
        let border = [48, 32, 72, 12];
        let pixels = bordered(&inner, size, border, colour);
        let jpeg = jpeg_of(&pixels, (200, 104), jpeg_encoder::ColorType::Rgb, |e| {
            e.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
        });
        check("jpeg", jpeg, 4.0);
    }
}

#[test]
fn a_picture_of_one_colour_or_without_a_border_is_all_content() {
    let variant = variant("v", 200, Fit::Content, OutputFormat::Png);
    let check = |source: Vec<u8>, expected: (u32, u32)| {
        let (width, height, _) = shown(&mut bench(), &source, &variant);
        assert_eq!((width, height), expected);
    };
    let white = vec![255; 40 * 30 * 3];
    check(png_of(&white, (40, 30), ExtendedColorType::Rgb8), (40, 30));
    check(png(90, 61), (90, 61));
    check(jpeg(90, 61, |_| {}), (90, 61));
}

#[test]
fn a_padded_picture_stands_in_the_middle_of_its_background() {
    let check =
        |source: Vec<u8>, background: Option<Colour>, format: OutputFormat, ground: [u8; 3]| {
            let mut variant = variant("v", 64, Fit::Pad, format);
            (variant.quality, variant.background) = (98, background);
            let (width, height, found) = shown(&mut bench(), &source, &variant);
            assert_eq!((width, height), (64, 64));
            let near = |at: (u32, u32), expected: [u8; 3]| {
                let found = pixel(&found, 64, at);
                let apart = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
                assert!(
                    apart.unwrap() <= 14,
                    "{format:?} at {at:?}: {found:?}, not {expected:?}"
                );
            };
            for corner in [(0, 0), (63, 0), (0, 63), (63, 63), (32, 10), (32, 54)] {
                near(corner, ground);
            }
            let picture = corners(64, 32);
            for at in [(1, 2), (62, 29), (30, 15)] {
                near((at.0, at.1 + 16), pixel(&picture, 64, at));
            }
        };
    let grey = Some(Colour([200, 201, 202]));
    for format in [OutputFormat::Jpeg, OutputFormat::Webp, OutputFormat::Png] {
        for source in [png(128, 64), jpeg(128, 64, |_| {})] {
            check(source.clone(), None, format, [255; 3]);
            check(source, grey, format, [200, 201, 202]);
        }
    }
}

#[test]
fn the_middle_is_cropped_at_its_own_size() {
    let (width, height) = (101, 80);
    let pixels = corners(width, height);
    let source = png_of(&pixels, (width, height), ExtendedColorType::Rgb8);
    let (out_width, out_height, found) = shown(
        &mut bench(),
        &source,
        &Variant {
            height: 200,
            ..variant("v", 41, Fit::Crop, OutputFormat::Png)
        },
    );
    assert_eq!((out_width, out_height), (41, 80));
    for y in [0, 40, 79] {
        for x in [0, 20, 40] {
            assert_eq!(
                pixel(&found, 41, (x, y)),
                pixel(&pixels, width, (x + 30, y))
            );
        }
    }
}

#[test]
fn transparency_stays_where_a_format_is_named_for_it() {
    let half_clear: Vec<u8> = corners(40, 40)
        .chunks_exact(3)
        .enumerate()
        .flat_map(|(at, p)| [p[0], p[1], p[2], if at % 40 < 20 { 255 } else { 0 }])
        .collect();
    let clear = png_of(&half_clear, (40, 40), ExtendedColorType::Rgba8);
    let kept = Variant {
        transparent: Some(OutputFormat::Png),
        ..variant("v", 20, Fit::Pad, OutputFormat::Jpeg)
    };
    let rendition = bench().render(&clear, std::slice::from_ref(&kept)).unwrap();
    let stored = &rendition.variants[0];
    assert_eq!(stored.format, OutputFormat::Png);
    assert!(stored.key.ends_with(".png"), "{}", stored.key);
    let image = image::load_from_memory(&stored.data).unwrap().to_rgba8();
    assert_eq!(
        (image.get_pixel(4, 9)[3], image.get_pixel(15, 9)[3]),
        (255, 0)
    );
    // What is opaque is a JPEG as before.
    let opaque = bench().render(&png(40, 40), &[kept]).unwrap();
    assert_eq!(opaque.variants[0].format, OutputFormat::Jpeg);
    assert!(opaque.variants[0].key.ends_with(".jpg"));

    let black = Variant {
        background: Some(Colour([0; 3])),
        ..variant("v", 20, Fit::Cover, OutputFormat::Jpeg)
    };
    let (.., found) = shown(&mut bench(), &clear, &black);
    assert!(pixel(&found, 20, (16, 9)).iter().all(|value| *value < 16));
}

#[test]
fn a_trimmed_variant_fits_what_lies_within_the_border() {
    // A border of white round a picture of 80 x 40, which no fit of 40 x 40
    // shows any more.
    let (size, border) = ((80, 40), [60, 20, 60, 60]);
    let inner = corners(size.0, size.1);
    let pixels = bordered(&inner, size, border, [255; 3]);
    let source = png_of(&pixels, (200, 120), ExtendedColorType::Rgb8);
    let alone = png_of(&inner, size, ExtendedColorType::Rgb8);
    for fit in [Fit::Cover, Fit::Contain, Fit::Pad, Fit::Crop, Fit::Content] {
        let plain = variant("v", 40, fit, OutputFormat::Png);
        let trimmed = Variant {
            trim: true,
            ..plain.clone()
        };
        let found = shown(&mut bench(), &source, &trimmed);
        let expected = shown(&mut bench(), &alone, &plain);
        assert_eq!((found.0, found.1), (expected.0, expected.1), "{fit:?}");
        // Resizing looks a little beyond the edge.
        let off = difference(&found.2, &expected.2);
        assert!(off < 4.0, "{fit:?}: {off}");
        if fit != Fit::Content {
            assert_ne!(found, shown(&mut bench(), &source, &plain), "{fit:?}");
        }
        // A JPEG takes another way, to the same size.
        let jpeg = jpeg_of(
            &pixels,
            (200, 120),
            jpeg_encoder::ColorType::Rgb,
            |encoder| encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1),
        );
        let (width, height, _) = shown(&mut bench(), &jpeg, &trimmed);
        let near = |one: u32, other: u32| one.abs_diff(other) <= 4;
        assert!(near(width, found.0) && near(height, found.1), "{fit:?}");
    }
}
