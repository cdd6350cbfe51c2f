//! What the frontier of a crawl costs: a million pages added, claimed and
//! settled with 600 bytes of rows, cut as a crawl cuts, and replayed.
//!
//! `cargo run --release -p trawler-crawler --example frontier [PAGES] [FOLDER]`
//!
//! Times are of this process's processor (user and system), in microseconds a
//! page. Memory is what the process has above its start: `VmHWM`, reset before
//! each step where the system lets it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use trawler_crawler::site::frontier::{
    Added, Entry, Frontier, FrontierLimits, HashKey, Kept, Lane, Segment, Settled,
};

/// Entries that are claimed at a time, as a crawl with 64 connections would.
const CLAIMED: usize = 64;

/// A cut each 81,000 pages: 30 seconds at 2,700 pages a second.
const PAGES_A_CUT: u64 = 81_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pages: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("trawler-frontier-{}", std::process::id()));
    let first = folder.join("first");
    let second = folder.join("second");

    let key = HashKey::new(*b"a key of 16 byte");
    let mut frontier = Frontier::create(&first, key, FrontierLimits::default())?;
    let mut bytes = 0;
    let step = Step::start("add new", pages);
    for number in 0..pages {
        let url = url(number);
        bytes += url.len();
        let entry = Entry {
            depth: 2,
            source: (number / 50_000) as u32,
            lastmod: Some(1_700_000_000 + number as i64),
            ..Entry::new(Lane::Page, url)
        };
        assert_eq!(frontier.add(&entry.url, &entry)?, Added::New);
    }
    step.end();
    println!(
        "{:.1} bytes a URL; seen-set {:.1} MiB on disk",
        bytes as f64 / pages as f64,
        mib(frontier.seen_bytes())
    );

    let step = Step::start("add again, 100 links of a navigation", pages);
    let links: Vec<Entry> = (0..100)
        .map(|number| Entry::new(Lane::Page, url(number * 1009 % pages)))
        .collect();
    for number in 0..pages {
        let entry = &links[number as usize % links.len()];
        assert_eq!(frontier.add(&entry.url, entry)?, Added::Seen);
    }
    step.end();
    let step = Step::start("add again, any", pages);
    for number in 0..pages {
        let entry = Entry::new(Lane::Page, url(number * 7_919 % pages));
        assert_eq!(frontier.add(&entry.url, &entry)?, Added::Seen);
    }
    step.end();
    let step = Step::start("cut, a million pending", pages);
    report(frontier.cut()?);
    step.end();

    let step = Step::start("claim and settle", pages);
    let mut hands = Vec::new();
    let mut cuts = Vec::new();
    for number in 0..pages {
        while hands.len() < CLAIMED
            && let Some(claimed) = frontier.claim()?
        {
            hands.push(claimed);
        }
        let claimed = hands.swap_remove((number * 31) as usize % hands.len());
        let rows = rows(number, &claimed.entry().url);
        let settled = Settled {
            outcome: 1,
            payload: rows.as_bytes(),
            facts: b"etag and the like, forty bytes of facts",
        };
        assert_eq!(frontier.settle(claimed, &settled)?, Kept::Whole);
        if number % PAGES_A_CUT == PAGES_A_CUT - 1 {
            cuts.extend(frontier.cut()?);
        }
    }
    step.end();
    cuts.extend(frontier.cut()?);
    println!(
        "{} cuts, of {:.1} MiB at most; journal {:.1} MiB",
        cuts.len(),
        cuts.iter().map(|cut| mib(cut.bytes)).fold(0.0, f64::max),
        mib(frontier.journal_bytes())
    );

    let step = Step::start("read the rows back", pages);
    let mut bytes = 0;
    for settlement in frontier.payloads()? {
        bytes += settlement?.payload.len();
    }
    step.end();
    println!("{:.1} bytes of rows a page", bytes as f64 / pages as f64);
    let counters = frontier.counters().clone();
    drop(frontier);

    let step = Step::start("replay, all settled", pages);
    let segments = 1 + cuts.len() as u32;
    let frontier = replay(&first, &second, segments)?;
    step.end();
    assert_eq!(frontier.counters(), &counters);
    drop(frontier);

    let step = Step::start("replay, a million pending", pages);
    let mut frontier = replay(&second, &first, 1)?;
    step.end();
    let step = Step::start("claim", pages);
    let mut number = 0;
    while let Some(claimed) = frontier.claim()? {
        assert_eq!(claimed.entry().url, url(number));
        number += 1;
        frontier.settle(
            claimed,
            &Settled {
                outcome: 1,
                payload: b"",
                facts: b"",
            },
        )?;
    }
    step.end();
    assert_eq!(number, pages);
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A URL of 80 to 120 bytes, as shops have them.
fn url(number: u64) -> String {
    const WORDS: [&str; 8] = [
        "stainless",
        "kitchen",
        "premium",
        "wireless",
        "cotton",
        "garden",
        "portable",
        "classic",
    ];
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = |at: u32| WORDS[(mixed >> (at * 3) & 7) as usize];
    format!(
        "https://www.shop.example/catalogue/{}/{}-{}-{}-{}-{:07}.html",
        word(1),
        word(2),
        word(3),
        word(4),
        word(5),
        number
    )
}

/// A row of about 600 bytes.
fn rows(number: u64, url: &str) -> String {
    let mixed = number.wrapping_mul(0x2545_f491_4f6c_dd1d);
    let name = &url[35..url.len() - 5];
    format!(
        "{{\"id\":\"{number}\",\"url\":\"{url}\",\"name\":\"{name}\",\"price\":\"{}.{:02}\",\"currency\":\"KRW\",\"availability\":\"InStock\",\
         \"sku\":\"{:x}\",\"brand\":\"Brand {}\",\"category\":\"Home > Kitchen > Pots and pans {}\",\"images\":[\"https://img.shop.example/{:x}/{:x}.jpg\"],\
         \"description\":\"A {name} made for every day, with a warranty of {} years; dishwasher safe, {} grams, {} by {} centimetres, delivered by tomorrow.\"}}\n",
        mixed % 1000,
        mixed % 100,
        mixed,
        mixed % 503,
        mixed % 97,
        mixed >> 32,
        mixed.rotate_left(17),
        mixed % 7,
        mixed % 4001,
        mixed % 89,
        mixed % 53
    )
}

fn replay(from: &Path, to: &Path, segments: u32) -> Result<Frontier> {
    let paths = (1..=segments).map(|number| Ok(from.join(Segment::file_name(number))));
    let (frontier, replayed) = Frontier::replay(to, FrontierLimits::default(), paths)?;
    assert_eq!((replayed.segments, replayed.torn), (segments, None));
    Ok(frontier)
}

fn report(segment: Option<Segment>) {
    if let Some(segment) = segment {
        println!("segment {}: {:.1} MiB", segment.number, mib(segment.bytes));
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// One measured step.
struct Step {
    name: &'static str,
    pages: u64,
    wall: Instant,
    cpu: f64,
    resident: f64,
}

impl Step {
    fn start(name: &'static str, pages: u64) -> Self {
        // "5" resets the peak; without the right to, peaks are those since the start.
        drop(fs::write("/proc/self/clear_refs", "5"));
        Self {
            name,
            pages,
            wall: Instant::now(),
            cpu: cpu_seconds(),
            resident: status_mib("VmRSS:"),
        }
    }

    fn end(self) {
        let a_page = |seconds: f64| seconds * 1e6 / self.pages as f64;
        println!(
            "{:<40} {:>6.2} us CPU, {:>6.2} us wall a page; peak {:>5.1} MiB resident ({:>4.1} at its start)",
            self.name,
            a_page(cpu_seconds() - self.cpu),
            a_page(self.wall.elapsed().as_secs_f64()),
            status_mib("VmHWM:"),
            self.resident,
        );
    }
}

/// User and system time of this process, in hundredths of a second.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn status_mib(field: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or_default();
    line.trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap_or_default()
        / 1024.0
}
