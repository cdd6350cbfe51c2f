//! Damaged files, decoded as far as they go where the policy says so.
#![allow(clippy::unwrap_used)]

mod support;

use image::ExtendedColorType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::*;
use trawler_core::image::{Damage, Damaged, Fit, ImageStatus, OutputFormat, Variant};
use trawler_core::image_policy::{ImagePolicy, OnDamaged};
use trawler_image_worker::{Limits, Refused, Rendition, Workbench, try_image};

fn lenient() -> ImagePolicy {
    ImagePolicy {
        damaged: OnDamaged::Store,
        ..ImagePolicy::default()
    }
}

fn bench() -> Workbench {
    Workbench::new(Limits::default())
}

fn stored(source: &[u8], variant: &Variant) -> Result<Rendition, Refused> {
    bench().render_by(&lenient(), source, std::slice::from_ref(variant))
}

fn whole() -> Variant {
    let mut whole = variant("whole", 4000, Fit::Contain, OutputFormat::Png);
    whole.quality = 98;
    whole
}

/// Rows of a picture from the top that are the same, or nearly.
fn rows_alike(one: &[u8], other: &[u8], width: usize) -> usize {
    let rows = one
        .chunks_exact(width * 3)
        .zip(other.chunks_exact(width * 3));
    rows.take_while(|(one, other)| difference(one, other) < 3.0)
        .count()
}

/// A picture in which every block needs its data.
fn noisy(width: u32, height: u32) -> Vec<u8> {
    let mut random = SmallRng::seed_from_u64(5);
    let mut pixels = corners(width, height);
    for sample in &mut pixels {
        *sample = sample.saturating_add(random.random_range(0..40));
    }
    pixels
}

#[test]
fn a_cut_jpeg_is_stored_as_far_as_it_goes_and_says_so() {
    let (width, height) = (320, 240);
    let pixels = noisy(width, height);
    let size = (320, 240);
    for (restarts, separate) in [(0, false), (5, false), (0, true)] {
        let source = jpeg_of(&pixels, size, jpeg_encoder::ColorType::Rgb, |encoder| {
            encoder.set_restart_interval(restarts);
            encoder.set_optimized_huffman_tables(separate);
        });
        let (.., expected) = shown(&mut bench(), &source, &whole());
        let mut seen = Vec::new();
        for kept in (10..=100).step_by(6) {
            let cut = &source[..source.len() * kept / 101];
            let strict = bench().render(cut, &[whole()]).unwrap_err();
            assert_eq!(strict.status(), Some(ImageStatus::Truncated), "{kept}");
            let Ok(found) = stored(cut, &whole()) else {
                assert!(seen.is_empty(), "{kept}: refused, and less was not");
                continue;
            };
            let damaged = found.facts.damaged.unwrap();
            assert_eq!(damaged.kind, Damage::Truncated);
            let (.., pixels) = pixels_of(&found);
            let rows = rows_alike(&expected, &pixels, width as usize);
            let told = usize::from(damaged.decoded_percent) * height as usize / 100;
            // Units are of 16 rows.
            assert!(rows + 16 >= told && rows <= told + 24, "{rows} {told}");
            // What is missing is grey.
            if rows + 40 < height as usize {
                let last = &pixels[pixels.len() - 30..];
                assert!(last.iter().all(|value| value.abs_diff(128) < 4), "{last:?}");
            }
            seen.push(damaged.decoded_percent);
        }
        println!("restarts {restarts}, separate {separate}: {seen:?} %");
        assert!(seen.is_sorted() && seen[0] >= 50);
        let most = if separate { 1 } else { 6 };
        assert!(seen.len() >= most, "{seen:?}");
    }
}

#[test]
fn a_cut_progressive_jpeg_is_what_its_whole_scans_are() {
    let source = jpeg_of(
        &noisy(320, 240),
        (320, 240),
        jpeg_encoder::ColorType::Rgb,
        |encoder| encoder.set_progressive(true),
    );
    let (.., expected) = shown(&mut bench(), &source, &whole());
    let mut last = None;
    for kept in (20..=100).step_by(8) {
        let cut = &source[..source.len() * kept / 101];
        let Ok(found) = stored(cut, &whole()) else {
            assert_eq!(last, None, "{kept}: refused, and less was not");
            continue;
        };
        let percent = found.facts.damaged.unwrap().decoded_percent;
        let off = difference(&expected, &pixels_of(&found).2);
        println!("{kept}: {percent} %, {off:.2} from the whole");
        assert!(percent >= last.unwrap_or(50));
        if percent == 100 {
            assert!(off < 20.0, "{kept}: {off}");
        }
        last = Some(percent);
    }
    assert_eq!(last, Some(100));
}

#[test]
fn a_jpeg_that_lost_a_restart_marker_is_whole_but_for_it() {
    let source = jpeg_of(
        &noisy(320, 240),
        (320, 240),
        jpeg_encoder::ColorType::Rgb,
        |encoder| encoder.set_restart_interval(20),
    );
    let (.., expected) = shown(&mut bench(), &source, &whole());
    let markers: Vec<usize> = (0..source.len() - 1)
        .filter(|at| source[*at] == 0xff && (0xd0..=0xd7).contains(&source[at + 1]))
        .collect();
    assert_eq!(markers.len(), 14);
    // From the middle of an interval behind the marker before, over two
    // markers, to the middle of another.
    let (from, to) = (markers[4] - 9, markers[5] + 9);
    let cut = [&source[..from], &source[to..]].concat();
    let error = bench().render(&cut, &[whole()]).unwrap_err();
    assert_eq!(error.status(), Some(ImageStatus::Corrupt), "{error}");
    let found = stored(&cut, &whole()).unwrap();
    let damaged = found.facts.damaged.unwrap();
    assert_eq!(damaged.kind, Damage::Corrupt);
    assert!((70..100).contains(&damaged.decoded_percent), "{damaged:?}");
    let (.., pixels) = pixels_of(&found);
    // The rows before and those well behind are as they were.
    let row = 320 * 3;
    for rows in [0..64, 128..240] {
        let part = rows.start * row..rows.end * row;
        let off = difference(&expected[part.clone()], &pixels[part]);
        assert!(off < 1.0, "{rows:?}: {off}");
    }
}

#[test]
fn a_png_with_wrong_checksums_or_without_its_end_is_stored() {
    let pixels = noisy(90, 60);
    let source = png_of(&pixels, (90, 60), ExtendedColorType::Rgb8);
    let check = |name: &str, source: &[u8], kind: Damage, percent: std::ops::RangeInclusive<u8>| {
        let strict = bench().render(source, &[whole()]).unwrap_err();
        assert_eq!(strict.status(), Some(kind.status()), "{name}: {strict}");
        let found = stored(source, &whole()).unwrap();
        let damaged = found.facts.damaged.unwrap();
        assert_eq!(damaged.kind, kind, "{name}");
        assert!(
            percent.contains(&damaged.decoded_percent),
            "{name}: {damaged:?}"
        );
        let (.., shown) = pixels_of(&found);
        let rows = rows_alike(&pixels, &shown, 90);
        assert_eq!(
            rows,
            usize::from(damaged.decoded_percent) * 60 / 100,
            "{name}"
        );
    };
    check(
        "no end",
        &source[..source.len() - 12],
        Damage::Truncated,
        100..=100,
    );
    let data = source.windows(4).position(|four| four == b"IDAT").unwrap();
    let length = u32::from_be_bytes(source[data - 4..data].try_into().unwrap()) as usize;
    let mut crc = source.clone();
    crc[data + 4 + length] ^= 1;
    check("CRC", &crc, Damage::Corrupt, 100..=100);
    let mut adler = source.clone();
    adler[data + 4 + length - 1] ^= 1;
    check("Adler", &adler, Damage::Corrupt, 100..=100);
    // Rows at the end are missing.
    let cut = &source[..data + length * 8 / 10];
    let found = stored(cut, &whole()).unwrap();
    let percent = found.facts.damaged.unwrap().decoded_percent;
    assert!((60..=90).contains(&percent), "{percent}");
    let (.., shown) = pixels_of(&found);
    assert_eq!(shown[shown.len() - 3..], [128; 3]);
    // Too many are.
    assert!(stored(&source[..data + length * 3 / 10], &whole()).is_err());
}

#[test]
fn what_is_missing_is_opaque_grey_and_never_of_another_picture() {
    // A workbench that has just held another picture of this size.
    let mut bench = bench();
    let red = [250, 10, 10].repeat(320 * 240);
    let red = jpeg_of(&red, (320, 240), jpeg_encoder::ColorType::Rgb, |_| {});
    bench.render(&red, &[whole()]).unwrap();
    let source = jpeg_of(
        &noisy(320, 240),
        (320, 240),
        jpeg_encoder::ColorType::Rgb,
        |_| {},
    );
    let cut = &source[..source.len() * 7 / 10];
    let found = bench.render_by(&lenient(), cut, &[whole()]).unwrap();
    let (.., pixels) = pixels_of(&found);
    assert!(
        pixels[pixels.len() - 3..]
            .iter()
            .all(|v| v.abs_diff(128) < 4)
    );
    let mut alpha = noisy(40, 30);
    alpha.truncate(40 * 30 * 2);
    alpha.extend(alpha.clone());
    let source = png_of(&alpha, (40, 30), ExtendedColorType::Rgba8);
    let cut = &source[..source.len() * 7 / 10];
    let found = bench.render_by(&lenient(), cut, &[whole()]).unwrap();
    let shown = image::load_from_memory(&found.variants[0].data).unwrap();
    let last = *shown.to_rgba8().get_pixel(39, 29);
    assert_eq!(last.0, [128, 128, 128, 255]);
}

#[test]
fn a_refused_file_says_what_it_would_have_been() {
    let source = png(60, 40);
    let cut = &source[..source.len() - 12];
    let refused = bench()
        .render_by(&ImagePolicy::default(), cut, &[thumb()])
        .unwrap_err();
    assert_eq!(refused.error.status(), Some(ImageStatus::Truncated));
    let facts = refused.facts.unwrap();
    let expected = Damaged {
        kind: Damage::Truncated,
        decoded_percent: 100,
    };
    assert_eq!(facts.damaged, Some(expected));
    assert_eq!((facts.width, facts.height), (60, 40));
    // Of what cannot be decoded at all nothing is said.
    let refused = bench().render_by(&ImagePolicy::default(), &source[..30], &[]);
    assert_eq!(refused.unwrap_err().facts, None);
    let limits = Limits::default();
    let told = |policy: &ImagePolicy| {
        let trial = try_image(cut, &[thumb()], limits, policy).unwrap();
        (trial.report.status, trial.report.to_string())
    };
    let (status, text) = told(&ImagePolicy::default());
    assert_eq!(status, ImageStatus::Truncated);
    let hint = "damaged: 100 % of it can be decoded; images.damaged = \"store\" would store it";
    assert!(text.contains(hint), "{text}");
    let (status, text) = told(&lenient());
    assert_eq!(status, ImageStatus::Stored);
    let hint = "stored: the file is truncated: 100 % of the picture can be decoded\n";
    assert!(text.starts_with(hint), "{text}");
}

#[test]
fn limits_hold_for_damaged_files_too() {
    let source = jpeg(200, 200, |_| {});
    let cut = &source[..source.len() - 40];
    let limits = Limits {
        pixels_max: 39_999,
        ..Limits::default()
    };
    let refused = Workbench::new(limits).render_by(&lenient(), cut, &[thumb()]);
    assert!(refused.is_err());
    // Restart markers without end, of which none more are kept than belong.
    let data = source
        .windows(2)
        .position(|pair| pair == [0xff, 0xda])
        .unwrap()
        + 14;
    let mut markers = source[..data].to_vec();
    for at in 0..2_000_000_u32 {
        markers.extend([0xff, 0xd0 + (at * 5 % 8) as u8]);
    }
    let began = std::time::Instant::now();
    let refused = bench().render_by(&lenient(), &markers, &[thumb()]);
    assert_eq!(refused.unwrap_err().facts, None);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
