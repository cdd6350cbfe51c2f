//! Generated images of each format and coding come out as the picture that
//! went in.
#![allow(clippy::unwrap_used)]

mod support;

use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use jpeg_encoder::{ColorType, SamplingFactor};
use support::*;
use trawler_core::image::{Fit, OutputFormat};
use trawler_image_worker::{Limits, Orientation, SourceFormat, Workbench, check_variants};

const SIZE: (u32, u32) = (90, 61);

fn bench() -> Workbench {
    Workbench::new(Limits::default())
}

fn whole() -> trawler_core::image::Variant {
    let mut whole = variant("whole", 200, Fit::Contain, OutputFormat::Jpeg);
    whole.quality = 98;
    whole
}

#[test]
fn every_format_and_coding_shows_what_went_in() {
    let (width, height) = SIZE;
    let pixels = corners(width, height);
    let size = (width as u16, height as u16);
    let check = |name: &str, source: Vec<u8>, format: SourceFormat, at_most: f64| {
        let rendition = bench().render(&source, &[whole()]).unwrap();
        assert_eq!(rendition.facts.format, format, "{name}");
        assert_eq!(
            (rendition.facts.width, rendition.facts.height),
            SIZE,
            "{name}"
        );
        let (out_width, out_height, shown) = pixels_of(&rendition);
        assert_eq!((out_width, out_height), SIZE, "{name}");
        let difference = difference(&pixels, &shown);
        println!("{name}: {difference:.2}");
        assert!(difference <= at_most, "{name}: {difference}");
    };
    let jpeg = |name: &str, change: &dyn Fn(&mut jpeg_encoder::Encoder<&mut Vec<u8>>)| {
        check(name, jpeg(size.0, size.1, change), SourceFormat::Jpeg, 3.0);
    };
    jpeg("4:2:0", &|_| {});
    jpeg("4:2:0, restarts", &|e| e.set_restart_interval(3));
    jpeg("4:2:0, a restart each unit", &|e| e.set_restart_interval(1));
    jpeg("progressive", &|e| e.set_progressive(true));
    jpeg("progressive, restarts", &|e| {
        e.set_progressive(true);
        e.set_restart_interval(5);
    });
    // This encoder writes a scan a component where it optimises its tables.
    jpeg("a scan a component", &|e| {
        e.set_optimized_huffman_tables(true)
    });
    for (across, down) in [(1, 1), (2, 1), (1, 2), (4, 1), (4, 2), (1, 4), (2, 4)] {
        let factor = SamplingFactor::from_factors(across, down).unwrap();
        jpeg(&format!("{across}x{down}"), &|e| {
            e.set_sampling_factor(factor)
        });
        jpeg(&format!("{across}x{down} progressive"), &|e| {
            e.set_sampling_factor(factor);
            e.set_progressive(true);
        });
        jpeg(&format!("{across}x{down}, a scan a component"), &|e| {
            e.set_sampling_factor(factor);
            e.set_optimized_huffman_tables(true);
        });
    }
    // Adobe stores inks inverted.
    let inks: Vec<u8> = pixels
        .chunks_exact(3)
        .flat_map(|p| [p[0], p[1], p[2], 255])
        .collect();
    let real_inks: Vec<u8> = inks.iter().map(|ink| 255 - ink).collect();
    let cmyk = jpeg_of(&real_inks, size, ColorType::Cmyk, |e| {
        e.set_sampling_factor(SamplingFactor::F_1_1);
    });
    check("cmyk", cmyk, SourceFormat::Jpeg, 3.0);
    // This encoder halves the first three inks, so that the first component
    // is not the widest.
    let cmyk = jpeg_of(&real_inks, size, ColorType::Cmyk, |_| {});
    check("cmyk 4:2:0", cmyk, SourceFormat::Jpeg, 3.0);
    for progressive in [false, true] {
        let ycck = jpeg_of(&real_inks, size, ColorType::CmykAsYcck, |e| {
            e.set_progressive(progressive);
        });
        check("ycck 4:2:0", ycck, SourceFormat::Jpeg, 3.0);
    }
    let separate = jpeg_of(&real_inks, size, ColorType::Cmyk, |e| {
        e.set_optimized_huffman_tables(true);
    });
    check(
        "cmyk 4:2:0, a scan a component",
        separate,
        SourceFormat::Jpeg,
        3.0,
    );

    check("png", png(width, height), SourceFormat::Png, 2.0);
    let deep: Vec<u8> = pixels.iter().flat_map(|&value| [value, value]).collect();
    let deep = png_of(&deep, SIZE, ExtendedColorType::Rgb16);
    check("png, 16 bit", deep, SourceFormat::Png, 2.0);
    check("bmp", bmp_of(&pixels, SIZE), SourceFormat::Bmp, 2.0);
    check(
        "tiff",
        tiff_of(&pixels, SIZE, ExtendedColorType::Rgb8),
        SourceFormat::Tiff,
        2.0,
    );
    let deep: Vec<u8> = pixels.iter().flat_map(|&value| [value, value]).collect();
    let deep = tiff_of(&deep, SIZE, ExtendedColorType::Rgb16);
    check("tiff, 16 bit", deep, SourceFormat::Tiff, 2.0);
    check("webp", webp(width, height, false), SourceFormat::Webp, 4.0);
    check(
        "webp, lossless",
        webp(width, height, true),
        SourceFormat::Webp,
        2.0,
    );
}

#[test]
fn grey_stays_grey() {
    let (width, height) = SIZE;
    let grey: Vec<u8> = (0..width * height)
        .map(|at| (at % width * 2) as u8)
        .collect();
    let expected: Vec<u8> = grey.iter().flat_map(|&value| [value; 3]).collect();
    let size = (width as u16, height as u16);
    let check = |name: &str, source: Vec<u8>| {
        let (.., found) = shown(&mut bench(), &source, &whole());
        assert!(difference(&expected, &found) < 3.0, "{name}");
        let coloured = found.chunks_exact(3).any(|p| p[0].abs_diff(p[2]) > 3);
        assert!(!coloured, "{name}");
    };
    check("jpeg", jpeg_of(&grey, size, ColorType::Luma, |_| {}));
    check(
        "jpeg, progressive",
        jpeg_of(&grey, size, ColorType::Luma, |e| e.set_progressive(true)),
    );
    check("png", png_of(&grey, SIZE, ExtendedColorType::L8));
    let twice = |grey: &[u8]| {
        grey.iter()
            .flat_map(|&value| [value; 2])
            .collect::<Vec<u8>>()
    };
    let deep = twice(&grey);
    check("png, 16 bit", png_of(&deep, SIZE, ExtendedColorType::L16));
    check("tiff", tiff_of(&grey, SIZE, ExtendedColorType::L8));
    let opaque: Vec<u8> = grey.iter().flat_map(|&value| [value, 255]).collect();
    check("png, alpha", png_of(&opaque, SIZE, ExtendedColorType::La8));
    let deep = twice(&opaque);
    check(
        "png, alpha, 16 bit",
        png_of(&deep, SIZE, ExtendedColorType::La16),
    );
}

#[test]
fn transparent_pixels_are_white_in_jpeg_and_stay_in_webp() {
    // Left half opaque red; right half invisible, with a colour that must not
    // be seen anywhere, also not along the edge.
    let pixels: Vec<u8> = (0..64 * 64)
        .flat_map(|at| {
            if at % 64 < 32 {
                [200, 0, 0, 255]
            } else {
                [0, 255, 0, 0]
            }
        })
        .collect();
    let source = png_of(&pixels, (64, 64), ExtendedColorType::Rgba8);
    let mut jpeg = variant("j", 32, Fit::Cover, OutputFormat::Jpeg);
    jpeg.quality = 98;
    let webp = variant("w", 32, Fit::Cover, OutputFormat::Webp);
    let rendition = bench().render(&source, &[jpeg, webp]).unwrap();
    assert!(rendition.facts.has_alpha);
    let (.., shown) = pixels_of(&rendition);
    let pixel = |x: usize| &shown[(16 * 32 + x) * 3..][..3];
    assert!(pixel(4)[0] > 190 && pixel(4)[1] < 12, "{:?}", pixel(4));
    assert!(
        pixel(28).iter().all(|&value| value > 248),
        "{:?}",
        pixel(28)
    );
    for x in 0..32 {
        let green = pixel(x)[1].saturating_sub(pixel(x)[0]);
        assert!(green < 12, "green shines through at {x}: {:?}", pixel(x));
    }
    let image = webp::Decoder::new(&rendition.variants[1].data)
        .decode()
        .unwrap();
    assert!(image.is_alpha());
    let alpha = |x: usize| image[(16 * 32 + x) * 4 + 3];
    assert_eq!((alpha(4), alpha(28)), (255, 0));
}

#[test]
fn an_alpha_channel_that_hides_nothing_is_dropped() {
    let pixels: Vec<u8> = corners(8, 8)
        .chunks_exact(3)
        .flat_map(|p| [p[0], p[1], p[2], 255])
        .collect();
    let source = png_of(&pixels, (8, 8), ExtendedColorType::Rgba8);
    assert!(!bench().render(&source, &[]).unwrap().facts.has_alpha);
}

#[test]
fn the_first_frame_lies_on_its_canvas() {
    let source = gif((40, 20), &[(20, 0, 20, 20, 1), (0, 0, 40, 20, 3)]);
    let rendition = bench().render(&source, &[whole()]).unwrap();
    assert_eq!(rendition.facts.frames, Some(2));
    assert!(rendition.facts.has_alpha);
    let (width, _, shown) = pixels_of(&rendition);
    let pixel = |x: usize| &shown[(10 * width as usize + x) * 3..][..3];
    assert!(pixel(4).iter().all(|&value| value > 245), "{:?}", pixel(4));
    assert!(pixel(35)[0] > 185 && pixel(35)[1] < 15, "{:?}", pixel(35));
    // A frame that sticks out is cut at the canvas.
    let source = gif((10, 10), &[(5, 5, 20, 20, 2)]);
    let rendition = bench().render(&source, &[whole()]).unwrap();
    assert_eq!((rendition.facts.width, rendition.facts.height), (10, 10));
    // A canvas that was left empty is as large as the frame.
    let source = gif((0, 0), &[(0, 0, 12, 7, 1)]);
    let rendition = bench().render(&source, &[whole()]).unwrap();
    assert_eq!((rendition.facts.width, rendition.facts.height), (12, 7));
    assert!(!rendition.facts.has_alpha);
}

#[test]
fn orientation_is_applied_whatever_the_container() {
    let exif = |value: u8| {
        [
            b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
            &[value, 0, 0],
        ]
        .concat()
    };
    let check = |source: Vec<u8>| {
        let facts = bench().render(&source, &[]).unwrap().facts;
        assert_eq!((facts.width, facts.height), (20, 40));
        assert_eq!(facts.orientation, Orientation::Rotate90);
    };
    check(jpeg(40, 20, |e| e.add_exif_metadata(&exif(6)).unwrap()));
    let (pixels, colour) = (corners(40, 20), ExtendedColorType::Rgb8);
    let mut out = Vec::new();
    let mut encoder = PngEncoder::new(&mut out);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(&pixels, 40, 20, colour).unwrap();
    check(out);
    let mut out = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut out);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(&pixels, 40, 20, colour).unwrap();
    check(out);
}

#[test]
fn an_embedded_profile_is_converted() {
    let profile = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    let pixels: Vec<u8> = (0..32 * 32).flat_map(|_| [100, 150, 100]).collect();
    let source = jpeg_of(&pixels, (32, 32), ColorType::Rgb, |e| {
        e.add_icc_profile(&profile).unwrap()
    });
    let (.., found) = shown(&mut bench(), &source, &whole());
    for (found, expected) in found[..3].iter().zip([65_u8, 151, 98]) {
        assert!(found.abs_diff(expected) <= 5, "{:?}", &found);
    }
}

#[test]
fn sizes_are_those_of_the_fit() {
    let check = |source: (u16, u16), fit: Fit, side: u32, expected: (u32, u32)| {
        let source = jpeg(source.0, source.1, |_| {});
        let variant = variant("v", side, fit, OutputFormat::Jpeg);
        let (width, height, _) = shown(&mut bench(), &source, &variant);
        assert_eq!((width, height), expected);
    };
    check((300, 200), Fit::Contain, 100, (100, 67));
    check((300, 200), Fit::Cover, 100, (100, 100));
    check((30, 20), Fit::Contain, 100, (30, 20));
    check((30, 20), Fit::Cover, 100, (100, 100));
    check((1000, 3), Fit::Contain, 100, (100, 1));
    check((1, 1), Fit::Cover, 100, (100, 100));
}

#[test]
fn cover_cuts_the_middle_out() {
    // Three stripes; the middle one fills the square.
    let pixels: Vec<u8> = (0..40 * 120)
        .flat_map(|at| [[250, 0, 0], [0, 250, 0], [0, 0, 250]][at % 120 / 40])
        .collect();
    let source = png_of(&pixels, (120, 40), ExtendedColorType::Rgb8);
    let mut square = variant("v", 20, Fit::Cover, OutputFormat::Webp);
    square.quality = 95;
    let (.., found) = shown(&mut bench(), &source, &square);
    let mean: u32 = found.chunks_exact(3).map(|p| u32::from(p[1])).sum::<u32>() / 400;
    assert!(mean > 225, "{mean}");
}

#[test]
fn the_same_bytes_and_recipe_give_the_same_bytes_whatever_was_done_before() {
    let variants = [
        variant("thumb", 64, Fit::Cover, OutputFormat::Jpeg),
        variant("page", 180, Fit::Contain, OutputFormat::Jpeg),
        variant("small", 64, Fit::Contain, OutputFormat::Webp),
        variant("padded", 64, Fit::Pad, OutputFormat::Jpeg),
        variant("middle", 64, Fit::Crop, OutputFormat::Png),
        variant("content", 64, Fit::Content, OutputFormat::Jpeg),
    ];
    check_variants(&variants).unwrap();
    let sources = [jpeg(400, 300, |_| {}), png(333, 77), webp(64, 500, false)];
    let fresh: Vec<_> = sources
        .iter()
        .map(|source| bench().render(source, &variants).unwrap())
        .collect();
    let mut used = bench();
    for (source, expected) in sources
        .iter()
        .zip(&fresh)
        .chain(sources.iter().zip(&fresh).rev())
    {
        assert_eq!(&used.render(source, &variants).unwrap(), expected);
        // Alone, a variant is what it is among others.
        for (index, variant) in variants.iter().enumerate() {
            let alone = used.render(source, std::slice::from_ref(variant)).unwrap();
            assert_eq!(alone.variants[0], expected.variants[index]);
        }
    }
    let key = &fresh[0].variants[0].key;
    let sha256 = &fresh[0].facts.sha256;
    assert!(
        key.starts_with(&format!("images/{}/{sha256}/thumb-", &sha256[..2])),
        "{key}"
    );
}
