//! The seeds of the fuzz target and what it once found, as they are and changed
//! at random by a fixed seed: no panic of ours, each soon, all in little memory.
//!
//! One test, so that it has a process of its own: what that takes at most is what
//! rendering took.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::*;
use trawler_image_worker::{Limits, Workbench};

const SEED: u64 = 20_261_122;

const ROUNDS: usize = 20_000;

/// As those of the fuzz target.
const LIMITS: Limits = Limits {
    source_bytes_max: 1024 * 1024,
    edge_px_max: 4_096,
    pixels_max: 1_000_000,
    decoded_bytes_max: 16 * 1024 * 1024,
    together_bytes_max: 32 * 1024 * 1024,
};

/// Unoptimised, of a million pixels, on a machine with other work.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What decoding may take, what a workbench keeps from one picture to the next,
/// and what a decoder takes for its tables.
const MEMORY_MAX: u64 = 2 * 16 * 1024 * 1024 + 16 * 1024 * 1024;

fn inputs(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // The order of a folder is anybody's guess, and the seed has to be enough.
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// The most that was resident so far.
fn resident_most() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

fn mutated(source: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = source.to_vec();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(4..bytes.len().max(5));
        let end = (at + random.random_range(1..64)).min(bytes.len());
        if at >= end {
            break;
        }
        match random.random_range(0..6) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            // Lengths and sides are read from such bytes.
            2 => bytes[at..end.min(at + 4)].fill([0, 0x7f, 0xff][random.random_range(0..3)]),
            3 => drop(bytes.splice(at..at, [random.random(), random.random()])),
            4 => drop(bytes.drain(at..end)),
            _ => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
    bytes
}

#[test]
fn seeds_findings_and_twenty_thousand_mutations_stay_within_their_bounds() {
    println!("seed {SEED}");
    let mut random = SmallRng::seed_from_u64(SEED);
    let (seeds, findings) = (inputs("seeds"), inputs("regressions"));
    assert!(seeds.len() >= 20);
    let mut bench = Workbench::new(LIMITS);
    let before = resident_most();
    let (mut stored, mut caught, mut slowest) = (0, 0, Duration::ZERO);
    let mut look = |name: &str, bytes: &[u8]| {
        let started = Instant::now();
        match bench.render(bytes, &[thumb()]) {
            Ok(_) => stored += 1,
            Err(error) => {
                assert!(error.status().is_some(), "{name}: {error}");
                caught += usize::from(error.to_string().contains("gave up"));
            }
        }
        let took = started.elapsed();
        assert!(took < TIME_MAX, "{name}: {took:?}");
        slowest = slowest.max(took);
    };
    for (path, bytes) in seeds.iter().chain(&findings) {
        look(&path.display().to_string(), bytes);
    }
    let sources: Vec<_> = seeds.iter().chain(&findings).collect();
    for round in 0..ROUNDS {
        let (path, source) = sources[round % sources.len()];
        let name = format!("round {round} of {}", path.display());
        look(&name, &mutated(source, &mut random));
    }
    let more = resident_most() - before;
    println!(
        "{stored} of {} stored, {caught} panics of decoders caught, the slowest after {slowest:?}, \
         {} KiB more",
        sources.len() + ROUNDS,
        more >> 10
    );
    assert!(more < MEMORY_MAX, "{more} bytes more");
    assert!(stored > ROUNDS / 20 && stored < ROUNDS, "{stored} stored");
}
