//! Broken, cut, lying and mutated input: a clear refusal, never a panic and
//! never a picture with made-up pixels.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use image::ExtendedColorType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::*;
use trawler_core::image::ImageStatus;
use trawler_core::image_policy::{ImagePolicy, OnBlank, OnDamaged};
use trawler_image_worker::{ImageError, Limits, Workbench, try_image};

fn bench() -> Workbench {
    Workbench::new(Limits::default())
}

fn status(source: &[u8]) -> ImageStatus {
    try_image(
        source,
        &[thumb()],
        Limits::default(),
        &ImagePolicy::default(),
    )
    .unwrap()
    .report
    .status
}

#[test]
fn what_is_no_image_says_so() {
    let check = |source: &[u8], expected: ImageStatus| assert_eq!(status(source), expected);
    check(b"", ImageStatus::NotAnImage);
    check(
        b"<!doctype html><html><body>Not found",
        ImageStatus::NotAnImage,
    );
    check(b"{\"message\": \"forbidden\"}", ImageStatus::NotAnImage);
    check(
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        ImageStatus::UnsupportedFormat,
    );
    check(b"\xff\xd8\xff", ImageStatus::Truncated);
    check(b"\xff\xd8\xff\xd9", ImageStatus::Corrupt);
    check(b"\x89PNG\r\n\x1a\n", ImageStatus::Truncated);
    check(b"GIF89a", ImageStatus::Truncated);
    check(b"RIFF\x04\0\0\0WEBP", ImageStatus::Corrupt);
}

#[test]
fn limits_refuse_before_memory_is_taken() {
    // A hundred bytes that claim ten thousand million pixels.
    let mut bomb = png(4, 4);
    bomb[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
    let mut giant_gif = gif((4, 4), &[(0, 0, 4, 4, 1)]);
    giant_gif[6..10].fill(0xff);
    let mut giant_jpeg = jpeg(16, 16, |_| {});
    let frame = giant_jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    giant_jpeg[frame + 5..frame + 9].fill(0xff);
    let check = |source: &[u8], limits: Limits, what: &str| match Workbench::new(limits)
        .render(source, &[thumb()])
        .unwrap_err()
    {
        ImageError::TooLarge { what: found, .. } => assert_eq!(found, what),
        other => panic!("{other}"),
    };
    let limits = Limits::default();
    check(&bomb, limits, "longer side (pixels)");
    check(&giant_gif, limits, "longer side (pixels)");
    check(&giant_jpeg, limits, "longer side (pixels)");
    let pixels = Limits {
        pixels_max: 999,
        ..limits
    };
    for source in [
        jpeg(50, 20, |_| {}),
        png(50, 20),
        webp(50, 20, false),
        webp(50, 20, true),
        gif((50, 20), &[(0, 0, 1, 1, 1)]),
    ] {
        check(&source, pixels, "image (pixels)");
    }
    let decoded = Limits {
        decoded_bytes_max: 1000,
        ..limits
    };
    check(&png(50, 20), decoded, "decoded image (bytes)");
    let source = Limits {
        source_bytes_max: 99,
        ..limits
    };
    check(&png(50, 20), source, "source file (bytes)");
}

#[test]
fn a_cut_jpeg_is_never_stored_also_with_a_forged_end() {
    let mut bench = bench();
    // Noise, so that every byte of data matters.
    let mut random = SmallRng::seed_from_u64(1);
    let pixels: Vec<u8> = (0..96 * 80 * 3).map(|_| random.random()).collect();
    for (progressive, restarts, separate) in [
        (false, 0, false),
        (false, 4, false),
        (false, 0, true),
        (true, 0, false),
        (true, 7, false),
    ] {
        let size = (96, 80);
        let source = jpeg_of(&pixels, size, jpeg_encoder::ColorType::Rgb, |encoder| {
            encoder.set_progressive(progressive);
            encoder.set_restart_interval(restarts);
            encoder.set_optimized_huffman_tables(separate);
        });
        bench.render(&source, &[thumb()]).unwrap();
        let data = source
            .windows(2)
            .position(|pair| pair == [0xff, 0xda])
            .unwrap()
            + 14;
        for cut in 2..source.len() {
            let error = bench.render(&source[..cut], &[thumb()]).unwrap_err();
            let expected = if cut == 2 {
                ImageStatus::NotAnImage
            } else {
                ImageStatus::Truncated
            };
            assert_eq!(
                error.status(),
                Some(expected),
                "{progressive} {restarts} {cut}: {error}"
            );
        }
        if progressive {
            // The end of a scan is a valid end of a progressive file.
            continue;
        }
        let mut passed = 0;
        for cut in data..source.len() - 2 {
            let forged = [&source[..cut], &[0xff, 0xd9]].concat();
            match bench.render(&forged, &[thumb()]) {
                Ok(_) => passed += 1,
                Err(error) => assert!(
                    matches!(
                        error.status(),
                        Some(ImageStatus::Truncated | ImageStatus::Corrupt)
                    ),
                    "{cut}: {error}"
                ),
            }
        }
        // Only a cut within the very last coefficients leaves every block
        // decodable.
        println!("restarts {restarts}, separate {separate}: {passed} forged ends passed");
        assert!(
            passed <= 2,
            "{passed} cut files with a forged end were stored"
        );
    }
}

#[test]
fn a_progressive_jpeg_that_ends_between_scans_is_a_coarser_whole() {
    let source = jpeg(96, 80, |encoder| encoder.set_progressive(true));
    let scans: Vec<usize> = memchr::memmem::find_iter(&source, &[0xff, 0xda]).collect();
    assert!(scans.len() > 2, "{} scans", scans.len());
    let (.., whole) = shown(&mut bench(), &source, &thumb());
    let (mut refused, mut stored) = (0, Vec::new());
    for &scan in &scans[1..] {
        let cut = [&source[..scan], &[0xff, 0xd9]].concat();
        match bench().render(&cut, &[thumb()]) {
            Ok(rendition) => stored.push(difference(&whole, &pixels_of(&rendition).2)),
            // Before each of the three components had a scan.
            Err(error) => {
                assert_eq!(error.status(), Some(ImageStatus::Truncated), "{error}");
                assert!(stored.is_empty(), "{error}");
                refused += 1;
            }
        }
    }
    println!("{refused} refused, then {stored:.2?} from the whole");
    assert!(refused <= 2 && !stored.is_empty());
    assert!(stored.iter().all(|difference| *difference < 12.0));
    // Without the end marker it is cut like any other.
    assert_eq!(status(&source[..scans[1]]), ImageStatus::Truncated);
}

#[test]
fn a_cut_bmp_or_tiff_is_never_stored() {
    let pixels = corners(30, 20);
    let check = |name: &str, source: Vec<u8>, pixel_bytes: usize| {
        assert_eq!(status(&source), ImageStatus::Stored, "{name}");
        for cut in 20..source.len() {
            let found = status(&source[..cut]);
            assert_ne!(found, ImageStatus::Stored, "{name} {cut}");
            let in_pixels = name == "bmp" && cut >= source.len() - pixel_bytes;
            if in_pixels {
                assert_eq!(found, ImageStatus::Truncated, "{name} {cut}");
            }
        }
    };
    check("bmp", bmp_of(&pixels, (30, 20)), 30 * 20 * 3);
    let tiff = tiff_of(&pixels, (30, 20), ExtendedColorType::Rgb8);
    check("tiff", tiff, 30 * 20 * 3);
}

#[test]
fn a_png_without_its_end_chunk_is_cut() {
    let source = png(40, 30);
    for cut in [source.len() - 12, source.len() - 5, source.len() - 1] {
        assert_eq!(status(&source[..cut]), ImageStatus::Truncated, "{cut}");
    }
}

#[test]
fn a_scan_that_lost_its_middle_is_refused() {
    let mut random = SmallRng::seed_from_u64(2);
    let pixels: Vec<u8> = (0..128 * 128 * 3).map(|_| random.random()).collect();
    for progressive in [false, true] {
        let size = (128, 128);
        let source = jpeg_of(&pixels, size, jpeg_encoder::ColorType::Rgb, |encoder| {
            encoder.set_progressive(progressive);
        });
        let scans: Vec<usize> = memchr::memmem::find_iter(&source, &[0xff, 0xda]).collect();
        for scan in scans.into_iter().skip(usize::from(progressive)) {
            let end = (scan + 14..source.len() - 1)
                .find(|&at| source[at] == 0xff && source[at + 1] != 0)
                .unwrap();
            let half = scan + (end - scan) / 2;
            // Cut on a byte that is not stuffed.
            let half = (half..end).find(|&at| source[at - 1] != 0xff).unwrap();
            let cut = [&source[..half], &source[end..]].concat();
            let error = bench().render(&cut, &[thumb()]).unwrap_err();
            assert_eq!(
                error.status(),
                Some(ImageStatus::Corrupt),
                "scan at {scan}: {error}"
            );
        }
    }
}

#[test]
fn a_flipped_bit_in_png_data_is_seen() {
    let source = png(60, 60);
    let data = source.windows(4).position(|four| four == b"IDAT").unwrap() + 4;
    for at in (data..source.len() - 16).step_by(7) {
        let mut flipped = source.clone();
        flipped[at] ^= 4;
        assert_eq!(status(&flipped), ImageStatus::Corrupt, "byte {at}");
    }
}

#[test]
fn jpeg_codings_that_are_not_decoded_are_named() {
    let plain = jpeg(32, 32, |_| {});
    let frame = plain
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut source = plain.clone();
        change(&mut source);
        let error = bench().render(&source, &[thumb()]).unwrap_err();
        assert_eq!(
            error.status(),
            Some(ImageStatus::UnsupportedFormat),
            "{error}"
        );
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    check(&|s| s[frame + 1] = 0xc9, "jpeg with arithmetic coding");
    check(&|s| s[frame + 1] = 0xc3, "jpeg, lossless");
    check(&|s| s[frame + 1] = 0xc5, "jpeg, hierarchical");
    check(&|s| s[frame + 4] = 12, "jpeg with 12 bits a sample");
    check(
        &|s| s[frame + 5..frame + 7].fill(0),
        "jpeg with its height after the data",
    );
}

#[test]
fn two_thousand_mutations_never_panic() {
    const SEED: u64 = 20_260_101;
    println!("seed {SEED}");
    let mut random = SmallRng::seed_from_u64(SEED);
    let alpha: Vec<u8> = corners(40, 30)
        .chunks_exact(3)
        .flat_map(|p| [p[0], p[1], p[2], p[0]])
        .collect();
    let sources = [
        jpeg(40, 30, |_| {}),
        jpeg(40, 30, |e| e.set_restart_interval(2)),
        jpeg(40, 30, |e| e.set_progressive(true)),
        jpeg(40, 30, |e| e.set_optimized_huffman_tables(true)),
        jpeg_of(
            &alpha,
            (40, 30),
            jpeg_encoder::ColorType::CmykAsYcck,
            |_| {},
        ),
        png(40, 30),
        png_of(&alpha, (40, 30), image::ExtendedColorType::Rgba8),
        gif((40, 30), &[(2, 3, 20, 20, 1), (0, 0, 40, 30, 2)]),
        webp(40, 30, false),
        webp(40, 30, true),
        bmp_of(&corners(40, 30), (40, 30)),
        tiff_of(&corners(40, 30), (40, 30), ExtendedColorType::Rgb8),
        webp::Encoder::from_rgba(&alpha, 40, 30)
            .encode(80.0)
            .to_vec(),
    ];
    let mut bench = Workbench::new(Limits {
        pixels_max: 1_000_000,
        ..Limits::default()
    });
    let policy = ImagePolicy {
        blank: OnBlank::Store,
        damaged: OnDamaged::Store,
        ..ImagePolicy::default()
    };
    let mut stored = 0;
    let mut caught = 0;
    let (mut parts, mut slowest) = (0, Duration::ZERO);
    for round in 0..2000 {
        let mut source = sources[round % sources.len()].clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(4..source.len());
            match random.random_range(0..4) {
                0 => source[at] = random.random(),
                1 => source[at] ^= 1 << random.random_range(0..8),
                2 => drop(source.splice(at..at, [random.random(), random.random()])),
                _ => drop(source.drain(at..(at + 3).min(source.len()))),
            }
        }
        let strict = bench.render(&source, &[thumb()]);
        match &strict {
            Ok(_) => stored += 1,
            Err(error) => {
                assert!(error.status().is_some(), "round {round}: {error}");
                caught += usize::from(error.to_string().contains("gave up"));
            }
        }
        // Leniently nothing is refused that was stored, and what is sound is
        // the same.
        let began = Instant::now();
        let by_policy = bench.render_by(&policy, &source, &[thumb()]);
        slowest = slowest.max(began.elapsed());
        match (strict, by_policy) {
            (Ok(strict), Ok(found)) => assert_eq!(strict, found, "round {round}"),
            (Ok(_), Err(error)) => panic!("round {round}: {error}"),
            (Err(error), Ok(found)) => {
                let damaged = found.facts.damaged.unwrap();
                assert_eq!(error.status(), Some(damaged.kind.status()), "round {round}");
                assert!((50..=100).contains(&damaged.decoded_percent));
                parts += 1;
            }
            (Err(strict), Err(refused)) => assert_eq!(strict, refused.error, "round {round}"),
        }
    }
    println!(
        "{stored} of 2000 stored, {parts} more in part, {caught} panics of decoders caught, \
         {slowest:?} at most"
    );
    assert!(stored < 1500, "{stored}");
    assert!(parts > 200, "{parts}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
