//! Placeholders by their bytes and by their look, and pictures of one colour.
#![allow(clippy::unwrap_used)]

mod support;

use image::ExtendedColorType;
use sha2::{Digest, Sha256};
use support::*;
use trawler_core::image::{Fit, OutputFormat};
use trawler_core::image_policy::{ImagePolicy, OnBlank};
use trawler_core::phash::Phash;
use trawler_core::placeholder::Placeholder;
use trawler_image_worker::{ImageError, Limits, Rendition, Workbench};

fn bench() -> Workbench {
    Workbench::new(Limits::default())
}

fn policy(entries: &[String]) -> ImagePolicy {
    let entries = entries.iter().cloned();
    ImagePolicy {
        placeholders: entries.map(|e| Placeholder::try_from(e).unwrap()).collect(),
        ..ImagePolicy::default()
    }
}

/// A dark box on white, as "no image" pictures are.
fn notice(width: u32, height: u32) -> Vec<u8> {
    let inside = |at: u32, side: u32| at > side / 5 && at < side / 2;
    let pixels = (0..width * height).flat_map(|at| {
        let (x, y) = (at % width, at / width);
        let light = match inside(x, width) && inside(y, height) {
            true => 60 + (x * 90 / width) as u8,
            false => 250 - (y * 70 / height) as u8,
        };
        [light; 3]
    });
    pixels.collect()
}

fn png_notice(side: u32) -> Vec<u8> {
    png_of(&notice(side, side), (side, side), ExtendedColorType::Rgb8)
}

#[test]
fn a_placeholder_gets_no_variants_whatever_its_size_and_format() {
    let source = png_notice(200);
    let plain = bench().render(&source, &[thumb()]).unwrap();
    assert_eq!((plain.variants.len(), plain.placeholder), (1, None));
    let phash = plain.facts.phash.unwrap();
    let by_look = policy(&[format!("phash:{phash}")]);
    let check = |source: &[u8], expected: bool| {
        let found = bench().render_by(&by_look, source, &[thumb()]).unwrap();
        assert_eq!(found.placeholder.is_some(), expected);
        assert_eq!(found.variants.is_empty(), expected);
        let facts = found.facts;
        assert!(facts.width > 0 && facts.phash.is_some());
    };
    check(&source, true);
    check(&png_notice(640), true);
    let grey = jpeg_encoder::ColorType::Rgb;
    check(&jpeg_of(&notice(300, 300), (300, 300), grey, |_| {}), true);
    check(&webp(200, 200, false), false);
    check(&png(200, 200), false);
    check(&jpeg(200, 200, |_| {}), false);
}

#[test]
fn a_listed_file_is_not_decoded() {
    let mut source = png_notice(64);
    // Nothing in it can be decoded any more.
    source.truncate(60);
    let sha256 = hex::encode(Sha256::digest(&source));
    let listed = policy(&[format!("sha256:{sha256}")]);
    let found: Rendition = bench().render_by(&listed, &source, &[thumb()]).unwrap();
    assert!(found.variants.is_empty());
    let reason = found.placeholder.unwrap();
    assert_eq!(
        reason,
        format!("its bytes are those of the placeholder sha256:{sha256}")
    );
    let facts = &found.facts;
    assert_eq!((facts.width, facts.phash, facts.bytes), (0, None, 60));
    let refused = bench().render_by(&policy(&[]), &source, &[thumb()]);
    let error = refused.unwrap_err().error;
    assert!(matches!(error, ImageError::Truncated { .. }), "{error}");
}

#[test]
fn a_picture_of_one_colour_is_told_and_is_a_placeholder_on_demand() {
    let blank = ImagePolicy {
        blank: OnBlank::Placeholder,
        ..ImagePolicy::default()
    };
    let check = |name: &str, source: &[u8], expected: bool| {
        for variants in [vec![], vec![thumb()]] {
            let found = bench().render_by(&blank, source, &variants).unwrap();
            let look = found.facts.phash.unwrap();
            assert_eq!(look == Phash::ONE_COLOUR, expected, "{name}");
            assert_eq!(found.placeholder.is_some(), expected, "{name}");
            // Otherwise it is a picture as any.
            let stored = bench().render(source, &variants).unwrap();
            assert_eq!(stored.facts, found.facts, "{name}");
            assert_eq!(stored.variants.len(), variants.len(), "{name}");
        }
    };
    let of = |colour: [u8; 3]| colour.repeat(300 * 200);
    for colour in [[255; 3], [0; 3], [200, 30, 90]] {
        let png = png_of(&of(colour), (300, 200), ExtendedColorType::Rgb8);
        check("png", &png, true);
        let kinds = jpeg_encoder::ColorType::Rgb;
        check(
            "jpeg",
            &jpeg_of(&of(colour), (300, 200), kinds, |_| {}),
            true,
        );
        check("gif", &gif((30, 20), &[(0, 0, 30, 20, 1)]), true);
    }
    let clear = [9, 9, 9, 0].repeat(40 * 40);
    check(
        "clear",
        &png_of(&clear, (40, 40), ExtendedColorType::Rgba8),
        true,
    );
    // Colours of one luma, which grey does not show.
    let two = |at: usize| {
        if at % 300 < 150 {
            [100, 100, 100]
        } else {
            [120, 82, 139]
        }
    };
    let two: Vec<u8> = (0..300 * 200).flat_map(two).collect();
    check(
        "two",
        &png_of(&two, (300, 200), ExtendedColorType::Rgb8),
        false,
    );
    let kinds = jpeg_encoder::ColorType::Rgb;
    check("two", &jpeg_of(&two, (300, 200), kinds, |_| {}), false);
    // A thin line.
    let line = |at: usize| if at / 300 == 90 { [40; 3] } else { [255; 3] };
    let line: Vec<u8> = (0..300 * 200).flat_map(line).collect();
    check("line", &jpeg_of(&line, (300, 200), kinds, |_| {}), false);
    check("picture", &png(300, 200), false);
}

#[test]
fn the_look_of_a_picture_hardly_depends_on_what_is_wanted_of_it() {
    let sources = [
        jpeg(900, 600, |_| {}),
        png_notice(400),
        webp(320, 240, false),
    ];
    for source in &sources {
        let look = |variants: &[_]| {
            bench()
                .render(source, variants)
                .unwrap()
                .facts
                .phash
                .unwrap()
        };
        let whole = look(&[]);
        for side in [8, 256] {
            for fit in [Fit::Cover, Fit::Contain, Fit::Content] {
                let wanted = variant("v", side, fit, OutputFormat::Jpeg);
                let bits = whole.distance(look(&[wanted, thumb()]));
                assert!(bits <= 4, "{side} {fit:?}: {bits}");
            }
        }
    }
}
