//! Every real image gets its status; those that show the same thing give the
//! same picture. Skipped, with a line saying so, where there are none.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use support::*;
use trawler_core::image::{Damage, Fit, ImageStatus, OutputFormat};
use trawler_core::image_policy::{ImagePolicy, OnDamaged};
use trawler_core::phash::Phash;
use trawler_core::placeholder::DISTANCE;
use trawler_image_worker::{Limits, Workbench, try_image};

/// Files that are not stored; every other file is.
const REFUSED: &[(&str, ImageStatus)] = &[
    ("65536-uint32-limit.png", ImageStatus::TooLarge),
    // A kilobyte cut from a file whose first segment is longer.
    ("corrupt-header.jpg", ImageStatus::Truncated),
    ("peacock.default.truncated.jpeg", ImageStatus::Truncated),
    ("peacock.progressive.truncated.jpeg", ImageStatus::Truncated),
    ("pitm.avif", ImageStatus::UnsupportedFormat),
    // Lossless JPEG.
    ("testimgl.jpg", ImageStatus::UnsupportedFormat),
    ("truncated.jpg", ImageStatus::Truncated),
    ("truncated.png", ImageStatus::Truncated),
];

fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    ["formats", "photos"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

/// The picture of a file, on white, within a box that is smaller than all of
/// those that are compared.
fn picture(root: &Path, name: &str) -> (u32, u32, Vec<u8>) {
    picture_of(root, name, 48)
}

fn picture_of(root: &Path, name: &str, side: u32) -> (u32, u32, Vec<u8>) {
    let files = files(root);
    let source = std::fs::read(&files[name]).unwrap();
    let mut best = variant("shown", side, Fit::Contain, OutputFormat::Jpeg);
    best.quality = 98;
    shown(&mut Workbench::new(Limits::default()), &source, &best)
}

#[test]
fn every_real_image_gets_its_status() {
    let Some(root) = real_images() else { return };
    let mut refused = BTreeMap::new();
    let files = files(&root);
    assert_eq!(files.len(), 109);
    for (name, path) in files {
        let source = std::fs::read(path).unwrap();
        let report = try_image(
            &source,
            &[thumb()],
            Limits::default(),
            &ImagePolicy::default(),
        )
        .unwrap()
        .report;
        if report.status == ImageStatus::Stored {
            let thumb = &report.variants[0];
            assert!(
                thumb.width.max(thumb.height) <= 64 && thumb.bytes > 0,
                "{name}: {report:?}"
            );
            assert_eq!(report.reason, None, "{name}");
        } else {
            assert!(
                report.reason.is_some() && report.variants.is_empty(),
                "{name}: {report:?}"
            );
            refused.insert(name, report.status);
        }
    }
    let expected: BTreeMap<String, ImageStatus> = REFUSED
        .iter()
        .map(|(name, status)| ((*name).to_owned(), *status))
        .collect();
    assert_eq!(refused, expected);
}

#[test]
fn all_eight_orientations_show_the_same_picture() {
    let Some(root) = real_images() else { return };
    // Of odd sides, one chroma sample has no second column or row.
    for (kind, side) in [
        ("Landscape", 48),
        ("Portrait", 48),
        ("Landscape", 47),
        ("Portrait", 47),
    ] {
        let first = picture_of(&root, &format!("{kind}_1.jpg"), side);
        for orientation in 2..=8 {
            let other = picture_of(&root, &format!("{kind}_{orientation}.jpg"), side);
            assert_eq!(
                (first.0, first.1),
                (other.0, other.1),
                "{kind} {orientation}"
            );
            let difference = difference(&first.2, &other.2);
            println!("{kind} {orientation}: {difference:.2}");
            assert!(difference < 4.0, "{kind} {orientation}: {difference}");
        }
    }
}

#[test]
fn one_picture_in_many_formats_looks_the_same() {
    let Some(root) = real_images() else { return };
    let check = |reference: &str, name: &str, at_most: f64| {
        let (reference, found) = (picture(&root, reference), picture(&root, name));
        assert_eq!((reference.0, reference.1), (found.0, found.1), "{name}");
        let difference = difference(&reference.2, &found.2);
        println!("{name}: {difference:.2}");
        assert!(difference <= at_most, "{name}: {difference}");
    };
    for stem in [
        "bricks-color",
        "harvesters",
        "hat",
        "hibiscus.regular",
        "hibiscus.primitive",
    ] {
        let png = format!("{stem}.png");
        for (extension, at_most) in [("jpeg", 4.0), ("lossless.webp", 0.0), ("lossy.webp", 4.0)] {
            check(&png, &format!("{stem}.{extension}"), at_most);
        }
    }
    for extension in [
        "gif",
        "jpeg",
        "lossless.webp",
        "lossy.webp",
        "no-ancillary.png",
    ] {
        check("bricks-gray.png", &format!("bricks-gray.{extension}"), 4.0);
    }
    check("bricks-dither.png", "bricks-dither.gif", 0.5);
    check("bricks-dither.png", "bricks-dither.lossless.webp", 0.0);
    check("bricks-nodither.png", "bricks-nodither.gif", 0.5);
    check("animated-loop-3.webp", "animated-loop-3.gif", 4.0);
    for name in [
        "default",
        "optimize",
        "progressive",
        "progressive.scan009",
        "s-very-weird",
        "s-weird",
        "s1x1-444",
        "s1x3",
        "s2x1-422",
        "s2x2-420",
        "q99",
    ] {
        check("peacock.png", &format!("peacock.{name}.jpeg"), 4.0);
    }
    // A progressive file may end after any scan and is a whole, coarser image.
    for scan in 0..9 {
        check(
            "peacock.png",
            &format!("peacock.progressive.scan00{scan}.jpeg"),
            22.0,
        );
    }
}

#[test]
fn inks_become_the_same_colours_with_and_without_their_profile() {
    let Some(root) = real_images() else { return };
    let with = picture(&root, "Channel_digital_image_CMYK_color.jpg");
    let without = picture(&root, "Channel_digital_image_CMYK_color_no_profile.jpg");
    // The profile only dulls the pure inks; a swapped channel or an inversion
    // would move the mean by 80 and more.
    let difference = difference(&with.2, &without.2);
    println!("{difference:.2}");
    assert!(difference < 30.0, "{difference}");
}

#[test]
fn a_real_photograph_that_is_cut_is_never_stored() {
    let Some(root) = real_images() else { return };
    let files = files(&root);
    let mut bench = Workbench::new(Limits::default());
    for name in [
        "Landscape_2.jpg",
        "concert.jpg",
        "peacock.progressive.jpeg",
        "hat.png",
        "hat.gif",
        "hat.lossy.webp",
        "hat.lossless.webp",
        "animated-loop-3.webp",
        "5_webp_a.webp",
    ] {
        let source = std::fs::read(&files[name]).unwrap();
        for step in 0..200 {
            let length = 16 + (source.len() - 17) * step / 199;
            let error = bench.render(&source[..length], &[thumb()]).unwrap_err();
            assert_eq!(
                error.status(),
                Some(ImageStatus::Truncated),
                "{name} at {length}: {error}"
            );
        }
    }
}

/// Different pictures, one each, with something in them: a blurred one and one
/// that is grey from afar have hardly a bit.
const DIFFERENT: &[&str] = &[
    "bricks-color.png",
    "harvesters.png",
    "hat.png",
    "hibiscus.regular.png",
    "peacock.png",
    "swiss.png",
    "embedgravitybird.png",
    "concert.jpg",
    "Landscape_1.jpg",
    "Portrait_1.jpg",
    "2569067123_aca715a2ee_o.jpg",
    "320x240.jpg",
];

fn look(bench: &mut Workbench, source: &[u8], side: u32) -> Phash {
    let small = variant("small", side, Fit::Contain, OutputFormat::Jpeg);
    bench.render(source, &[small]).unwrap().facts.phash.unwrap()
}

#[test]
fn a_photograph_hashes_alike_at_any_size_quality_and_format() {
    let Some(root) = real_images() else { return };
    let files = files(&root);
    let mut bench = Workbench::new(Limits::default());
    let mut hashes = Vec::new();
    let (mut farthest, mut looked) = (0, 0);
    for name in DIFFERENT {
        let source = std::fs::read(&files[*name]).unwrap();
        let hash = look(&mut bench, &source, 256);
        // Whatever size is wanted of it.
        for side in [16, 64, 4000] {
            let bits = hash.distance(look(&mut bench, &source, side));
            farthest = farthest.max(bits);
            assert!(bits <= DISTANCE, "{name} to {side} px: {bits}");
        }
        // And whatever was made of it.
        for (side, quality) in [(500, 40), (240, 75), (120, 60)] {
            for format in [OutputFormat::Jpeg, OutputFormat::Webp] {
                let mut copy = variant("copy", side, Fit::Contain, format);
                copy.quality = quality;
                let copy = bench.render(&source, &[copy]).unwrap();
                let bits = hash.distance(look(&mut bench, &copy.variants[0].data, 64));
                farthest = farthest.max(bits);
                looked += 1;
                assert!(bits <= DISTANCE, "{name} at {side} px, {format:?}: {bits}");
            }
        }
        assert!(!hash.is_plain(), "{name}: {hash}");
        hashes.push((name, hash));
    }
    for name in ["flowers.jpeg", "gamma_dalai_lama_gray.jpg"] {
        let source = std::fs::read(&files[name]).unwrap();
        assert!(look(&mut bench, &source, 64).is_plain(), "{name}");
    }
    let mut nearest = 64;
    for (at, (name, hash)) in hashes.iter().enumerate() {
        for (other, other_hash) in &hashes[..at] {
            let bits = hash.distance(*other_hash);
            nearest = nearest.min(bits);
            assert!(bits > 2 * DISTANCE, "{name} and {other}: {bits}");
        }
    }
    println!("{looked} copies: {farthest} bits at most; different pictures: {nearest} at least");
}

#[test]
fn a_photograph_hashes_alike_however_it_is_turned() {
    let Some(root) = real_images() else { return };
    let files = files(&root);
    let mut bench = Workbench::new(Limits::default());
    for kind in ["Landscape", "Portrait"] {
        let mut of = |orientation: u8| {
            let path = &files[&format!("{kind}_{orientation}.jpg")];
            look(&mut bench, &std::fs::read(path).unwrap(), 256)
        };
        let first = of(1);
        for orientation in 2..=8 {
            let bits = first.distance(of(orientation));
            assert!(bits <= DISTANCE, "{kind} {orientation}: {bits}");
        }
    }
}

#[test]
fn a_real_photograph_that_is_cut_is_decoded_in_part_on_demand() {
    let Some(root) = real_images() else { return };
    let files = files(&root);
    let policy = ImagePolicy {
        damaged: OnDamaged::Store,
        ..ImagePolicy::default()
    };
    let mut bench = Workbench::new(Limits::default());
    let mut check = |name: &str, kept: f64, expected: Option<std::ops::RangeInclusive<u8>>| {
        let source = std::fs::read(&files[name]).unwrap();
        let cut = &source[..(source.len() as f64 * kept) as usize];
        let found = bench.render_by(&policy, cut, &[thumb()]);
        if let Err(refused) = &found {
            println!("{name} to {kept}: {refused}");
        }
        let damaged = found.ok().map(|found| found.facts.damaged.unwrap());
        let percent = damaged.map(|damaged| damaged.decoded_percent);
        println!("{name} to {kept}: {percent:?}");
        assert_eq!(percent.is_some(), expected.is_some(), "{name} {kept}");
        if let (Some(percent), Some(expected)) = (percent, expected) {
            assert!(expected.contains(&percent), "{name} {kept}: {percent}");
            assert_eq!(damaged.unwrap().kind, Damage::Truncated);
        }
    };
    check("concert.jpg", 0.9, Some(70..=99));
    check("concert.jpg", 0.2, None);
    check("peacock.default.jpeg", 0.8, Some(60..=95));
    check("peacock.progressive.jpeg", 0.6, Some(100..=100));
    check("peacock.progressive.jpeg", 0.03, None);
    check("hat.png", 0.9, Some(60..=99));
    check("hat.png", 0.1, None);
    // Less than a half is there.
    check("truncated.jpg", 1.0, None);
    check("truncated.png", 1.0, None);
    check("hat.gif", 0.9, None);
}
