//! Reads a generated 52-column Naver EP feed and prints rows per second:
//! `cargo run --release -p trawler-crawler --example feed_speed -- [rows]`.

use std::io::Write;

use flate2::Compression as Level;
use trawler_core::feed::{FeedFormat, FeedMode, FeedOptions};
use trawler_crawler::feed::{encoding_for, sample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = match std::env::args().nth(1) {
        Some(rows) => rows.parse()?,
        None => 200_000,
    };
    let text = sample::naver_ep(0..rows, true).replace("Fjällräven", "Fjallraven");
    let korean = encoding_for("cp949").ok_or("no such charset")?;
    let cp949 = korean.encode(&text).0.into_owned();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), Level::default());
    packed.write_all(&cp949)?;
    let packed = packed.finish()?;
    let options = FeedOptions::new(FeedFormat::NaverEp, FeedMode::Full);
    for (name, input) in [
        ("utf-8", text.as_bytes()),
        ("cp949", &cp949),
        ("cp949 gzip", &packed),
    ] {
        let found = sample::measure(input, &options)?;
        println!(
            "{name}: {:.0} rows/s ({} rows, {} bytes each, largest batch {} KiB)",
            found.rows_per_s(),
            found.outcome.rows,
            found.outcome.bytes_decoded / found.outcome.rows.max(1),
            found.batch_bytes_max >> 10,
        );
    }
    Ok(())
}
