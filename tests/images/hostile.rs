//! Files that mean harm: each is refused, or shown for what it is, with the
//! right status, soon, and in little memory. By `trawler try image`, since what a
//! process takes is only known of a process. The files are in `bombs`, what
//! partners do on the wire in `wire`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bombs::{Bomb, MEGAPIXELS, SOURCE_MIB, bombs};
use crate::crafted::png;
use crate::look::{SMALL_VARIANT, text};
use crate::support::Folder;

/// Above what the program takes for a picture of a few pixels, besides the file
/// itself: colour profiles, a row, the decoder's tables.
pub(crate) const MEMORY_MAX: u64 = 24 << 20;

/// What decoding takes of a file whose pixels are let in, at most: three
/// pictures of four channels, or one of 16 bits a sample and what becomes of it.
pub(crate) const PIXEL_BYTES_MAX: u64 = 12;

/// A file is read into memory that grows by doubling.
const COPIES_MAX: u64 = 3;

/// Unoptimised, and on a machine with other work.
const TIME_MAX: Duration = Duration::from_secs(20);

/// What came of one file.
struct Tried {
    report: Value,
    took: Duration,
    /// The most that was resident.
    peak: u64,
}

fn try_image(folder: &Folder, file: &Path) -> Tried {
    let status = folder.path().join("status");
    let started = Instant::now();
    let output = folder
        .command(&["try", "image", file.to_str().unwrap(), "--json"])
        .env("TRAWLER_UNDER_TEST_STATUS", &status)
        .output()
        .expect("start the program");
    let took = started.elapsed();
    let (told, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_slice(&told)
        .unwrap_or_else(|error| panic!("{}: {error}: {errors}", file.display()));
    assert!(!errors.contains("panicked"), "{}: {errors}", file.display());
    Tried {
        report,
        took,
        peak: peak(&fs::read_to_string(status).unwrap()),
    }
}

fn peak(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[test]
fn every_bomb_gets_its_status_soon_and_in_little_memory() {
    let limits = format!(
        "[images]\nsource_mib_max = {SOURCE_MIB}\nmegapixels_max = {MEGAPIXELS}\n\n{SMALL_VARIANT}"
    );
    let folder = Folder::new(&[], &limits);
    let file = folder.path().join("image");
    fs::write(&file, png(8, &[])).unwrap();
    let least = try_image(&folder, &file);
    assert_eq!(least.report["status"], "stored");
    println!("a small picture takes {} MiB", least.peak >> 20);

    let mut problems = Vec::new();
    for Bomb {
        name,
        file: bytes,
        status,
        pixels,
    } in bombs()
    {
        fs::write(&file, &bytes).unwrap();
        let Tried { report, took, peak } = try_image(&folder, &file);
        let (found, more) = (text(&report, "status"), peak.saturating_sub(least.peak));
        let line = format!(
            "{name} ({} KiB): {found} after {took:?} and {} KiB more: {}",
            bytes.len() >> 10,
            more >> 10,
            text(&report, "reason"),
        );
        println!("{line}");
        let more_max = MEMORY_MAX + COPIES_MAX * bytes.len() as u64 + PIXEL_BYTES_MAX * pixels;
        if found != status || took > TIME_MAX || more > more_max {
            problems.push(format!(
                "{line}; expected {status}, {TIME_MAX:?}, {more_max} bytes"
            ));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
