//! Segments that are not what was written are errors that say where.

use std::fs;
use std::io;
use std::path::Path;

use super::super::*;
use super::{downloaded, key, scratch, settled, small_blocks};

/// Three segments of a few blocks each.
fn three_segments(dir: &Path, first_url: &str) -> Frontier {
    let mut frontier = Frontier::create(dir, key(), small_blocks()).unwrap();
    frontier
        .add(first_url, &Entry::new(Lane::Source, first_url))
        .unwrap();
    for number in 0..3 {
        for page in 0..4 {
            let url = format!("https://shop.example/{number}/{page}");
            frontier.add(&url, &Entry::new(Lane::Page, &url)).unwrap();
        }
        let claimed = frontier.claim().unwrap().unwrap();
        frontier
            .settle(claimed, &settled(1, b"{\"name\":\"a product\"}\n"))
            .unwrap();
        frontier.cut().unwrap().unwrap();
    }
    frontier
}

#[test]
fn every_flipped_byte_is_found_and_its_place_named() {
    let root = scratch();
    let made = root.path().join("made");
    drop(three_segments(&made, "https://shop.example/"));
    for number in 1..=3 {
        let sound = fs::read(made.join(Segment::file_name(number))).unwrap();
        for at in 0..sound.len() {
            let folder = root.path().join("replayed");
            drop(fs::remove_dir_all(&folder));
            let segments = downloaded(&made, 3, &folder);
            let mut damaged = sound.clone();
            damaged[at] ^= 0x20;
            fs::write(folder.join(Segment::file_name(number)), damaged).unwrap();
            match Frontier::replay(&folder, small_blocks(), segments) {
                Err(FrontierError::Damaged {
                    segment, offset, ..
                }) => {
                    assert_eq!(segment, number, "byte {at}");
                    assert!(offset <= at as u64, "byte {at} is before {offset}");
                }
                // Where its header or its end is damaged, the last one passes for torn.
                Ok((
                    _,
                    Replayed {
                        torn: Some(torn), ..
                    },
                )) if number == 3 => {
                    assert_eq!(torn.segment, 3);
                    assert!(torn.offset <= at as u64);
                    assert!(at < 44 || at >= sound.len() - 104, "byte {at}");
                }
                Ok(_) => panic!("byte {at} of segment {number} passed"),
                Err(error) => panic!("byte {at} of segment {number}: {error}"),
            }
        }
    }
}

#[test]
fn missing_doubled_and_foreign_segments_are_told() {
    let root = scratch();
    let ours = root.path().join("ours");
    drop(three_segments(&ours, "https://shop.example/"));
    let theirs = root.path().join("theirs");
    drop(three_segments(&theirs, "https://other.example/"));
    let check = |segments: &[(&Path, u32)], expected: &str| {
        let folder = root.path().join("replayed");
        drop(fs::remove_dir_all(&folder));
        let paths = segments.iter().enumerate().map(|(at, (from, number))| {
            let to = root.path().join(format!("downloaded-{at}"));
            fs::copy(from.join(Segment::file_name(*number)), &to).map(|_| to)
        });
        let told = match Frontier::replay(&folder, small_blocks(), paths) {
            Ok((_, replayed)) => format!("{replayed:?}"),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(expected), "{told}");
    };
    check(
        &[(&ours, 1), (&ours, 2), (&ours, 3)],
        "segments: 3, torn: None",
    );
    check(
        &[(&ours, 1), (&ours, 3)],
        "goes on with segment 3 where segment 2 belongs",
    );
    check(
        &[(&ours, 2), (&ours, 3)],
        "goes on with segment 2 where segment 1 belongs",
    );
    check(
        &[(&ours, 1), (&ours, 1)],
        "goes on with segment 1 where segment 2 belongs",
    );
    check(
        &[(&ours, 1), (&theirs, 2)],
        "segment 2 of the frontier's journal does not continue",
    );
    check(&[], "no segment to replay");
    check(
        &[(&ours, 1), (&root.path().join("nowhere"), 2)],
        "get segment 2",
    );
}

#[test]
fn a_segment_that_was_cut_short_and_gone_on_from_is_damage() {
    let root = scratch();
    let made = root.path().join("made");
    drop(three_segments(&made, "https://shop.example/"));
    let length = fs::metadata(made.join(Segment::file_name(2)))
        .unwrap()
        .len();
    for short in 0..length {
        let folder = root.path().join("replayed");
        drop(fs::remove_dir_all(&folder));
        let segments: Vec<io::Result<_>> = downloaded(&made, 3, &folder);
        let file = fs::File::options()
            .write(true)
            .open(folder.join(Segment::file_name(2)))
            .unwrap();
        file.set_len(short).unwrap();
        let told = Frontier::replay(&folder, small_blocks(), segments).err();
        assert!(
            matches!(told, Some(FrontierError::Damaged { segment: 2, offset, .. }) if offset <= short),
            "{short} of {length}: {told:?}"
        );
    }
}
