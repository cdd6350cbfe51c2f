//! Feeds of every text format with bytes changed, cut out, doubled and swapped
//! at random: reading ends, never panics, stays within its bounds, and counts
//! every row once. The seed is printed by a failing case.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use trawler_core::feed::{CsvOptions, FeedLimits};

use super::*;

const CASES: u64 = 400;

/// Pieces that parsers look for.
const PIECES: &[&str] = &[
    "<<<",
    ">>>",
    "<<<begin>>>",
    "<<<ftend>>>",
    "<<<mapid>>>",
    "<<<pid>>>",
    "<<<class>>>D",
    "<<<tocnt>>>99",
    "\n",
    "\r\n",
    "\t",
    "\"",
    "^",
    "|",
    "-",
    "\0",
    "\u{fdd0}",
    "가",
    "\u{feff}",
];

fn feeds() -> Vec<(FeedOptions, String)> {
    let record = |n: u64| {
        format!(
            "<<<begin>>>\n<<<mapid>>>{n}\n<<<pname>>>컵 {n}\n<<<price>>>900\n\
             <<<pgurl>>>http://s.example/{n}\n<<<class>>>U\n<<<note>>>-\n<<<ftend>>>\n"
        )
    };
    let records: String = (0..20).map(record).collect();
    let separated = "id^title^price^link^note\n1^A^900^http://s.example/1^-\n\
        2^B^^http://s.example/2^x\n"
        .to_owned();
    let summary = |options: FeedOptions| FeedOptions {
        mode: FeedMode::Summary,
        partial: true,
        clear: Some("-".to_owned()),
        ..options
    };
    let mut caret = options(FeedFormat::Csv);
    caret.csv = Some(CsvOptions {
        delimiter: '^',
        ..CsvOptions::default()
    });
    vec![
        (options(FeedFormat::Tagged), records.clone()),
        (summary(options(FeedFormat::Tagged)), records),
        (caret.clone(), separated.clone()),
        (summary(caret), separated),
        (ep(), ep_feed(20)),
        (summary(ep()), ep_feed(20)),
    ]
}

fn mutate(random: &mut SmallRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        let to = (at + random.random_range(0..80)).min(bytes.len());
        match random.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let piece = PIECES.choose(random).unwrap();
                bytes.splice(at..at, piece.bytes());
            }
            3 => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => bytes.truncate(bytes.len() - bytes.len().min(random.random_range(0..40))),
        }
    }
}

#[test]
fn no_damage_leads_out_of_bounds() {
    for (number, (mut options, feed)) in feeds().into_iter().enumerate() {
        options.max_bad_share = 1.0;
        options.limits = FeedLimits {
            row_bytes_max: 4 << 10,
            value_bytes_max: 1 << 10,
            ..FeedLimits::default()
        };
        for seed in 0..CASES {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut bytes = feed.clone().into_bytes();
            mutate(&mut random, &mut bytes);
            let result = catch_unwind(AssertUnwindSafe(|| read(&bytes, &options)));
            let result = result.unwrap_or_else(|_| panic!("feed {number}, seed {seed} panicked"));
            let Ok(result) = result else { continue };
            let rows = result.rows();
            assert_eq!(
                rows.len() as u64,
                result.outcome.rows,
                "feed {number}, seed {seed}"
            );
            for row in rows {
                assert!(!row["id"].as_str().unwrap().is_empty());
                assert!(
                    options.partial || row["title"].is_string(),
                    "feed {number}, seed {seed}"
                );
                assert!(
                    row.to_string().len() < 16 << 10,
                    "feed {number}, seed {seed}"
                );
            }
        }
    }
}
