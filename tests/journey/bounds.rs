//! Invariant 7: memory does not grow with the feed.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use trawler_shop::FeedFormat;

use crate::look::{NO_IMAGES, feed_table};
use crate::server::{Answer, Server};
use crate::support::{Folder, pipe};

/// What the program may take at its peak. The parser has 64 MiB, the sort of
/// this configuration 8 MiB and then 32 MiB for a merge, a row group in the
/// making 32 MiB, an upload 24 MiB, the kept input 4 MiB; the rest is the program
/// itself and what its allocator keeps.
const PEAK_BYTES_MAX: u64 = 208 << 20;

/// Bytes of the feed after decompression: more than the whole program may take.
const FEED_BYTES: usize = 224 << 20;

/// Bytes of a product's description.
const TEXT_BYTES: usize = 6_000;

/// A gzip file of products; gives the number of rows.
fn feed(bytes: usize) -> (Vec<u8>, u64) {
    // Words in a row that does not repeat soon, so that it compresses as text
    // does and not as a bomb.
    let mut state = 1_u64;
    let mut word = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 40
    };
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let (mut rows, mut written) = (0_u64, 0_usize);
    while written < bytes {
        let mut text = String::with_capacity(TEXT_BYTES + 16);
        while text.len() < TEXT_BYTES {
            text.push_str(&format!("{:x} of the house ", word()));
        }
        let row = format!(
            "{{\"id\":\"p{rows:07}\",\"name\":\"Product {rows}\",\"price\":{rows},\"url\":\"https://shop.example/{rows}\",\"description\":\"{text}\"}}\n"
        );
        packer.write_all(row.as_bytes()).unwrap();
        written += row.len();
        rows += 1;
    }
    (packer.finish().unwrap(), rows)
}

/// The largest resident size of a process so far, or nothing when it is gone.
fn peak_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

#[test]
fn invariant_07_a_large_feed_takes_no_more_memory_than_its_bounds() {
    if !fs::exists("/proc/self/status").unwrap_or(false) {
        println!("skipped: this system does not tell the peak memory of a process");
        return;
    }
    let (packed, rows) = feed(FEED_BYTES);
    let server = Server::start(move |_| Answer::of(packed.clone()));
    let folder = Folder::new(&[server.host()], "[catalogue]\nsort_mib = 8\n");
    let feed = feed_table(FeedFormat::JsonLines);
    folder.pipe(
        "large",
        &pipe(&server.url("/feed.jsonl.gz"), &feed, NO_IMAGES),
    );
    let mut running = folder
        .command(&["run", "--once", "--pipe", "large"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_bytes(running.id()).unwrap_or(0));
        match running.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{status}");
    println!(
        "{rows} rows, {} MiB decoded, peak {} MiB",
        FEED_BYTES >> 20,
        peak >> 20
    );
    assert_eq!(folder.last_run("large")["counts"]["rows"], rows);
    assert!(
        peak > 0 && peak <= PEAK_BYTES_MAX,
        "peak {} MiB",
        peak >> 20
    );
}
