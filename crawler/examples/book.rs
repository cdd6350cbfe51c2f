//! What the page book costs: a million pages with 600 bytes of rows, written,
//! opened, and looked up in nearly the same order and in any order.
//!
//! `cargo run --release -p trawler-crawler --example book [PAGES] [FOLDER]`
//!
//! Times are of this process's processor (user and system), in microseconds a
//! page. Memory is the peak of each step (`VmHWM`) where the system lets it be
//! reset.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use trawler_crawler::site::book::{Book, BookLimits, BookWriter, HashKey, Page};

/// Pages that are asked for within this distance of their place, as a crawl
/// with many connections would.
const JITTER: u64 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pages: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("trawler-book-{}", std::process::id()));

    let step = Step::start("make the pages (in what follows, too)", pages);
    let bytes: usize = (0..pages).map(|number| page(number).rows.len()).sum();
    let making = step.end(0.0);
    println!("{:.1} bytes of rows a page", bytes as f64 / pages as f64);

    let step = Step::start("write", pages);
    let mut writer = BookWriter::create(&folder, HashKey::random(), BookLimits::default())?;
    let mut parts = Vec::new();
    for number in 0..pages {
        parts.extend(writer.put(&page(number))?);
    }
    parts.push(writer.finish()?.part);
    step.end(making);
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    println!(
        "{} parts, {:.1} MiB, {:.1} bytes a page",
        parts.len(),
        bytes as f64 / f64::from(1 << 20),
        bytes as f64 / pages as f64
    );

    let step = Step::start("open", pages);
    let mut book = Book::open(&folder, parts.iter().map(|part| Ok(part.path.clone())))?;
    step.end(0.0);
    assert_eq!(book.len(), pages);

    let step = Step::start("get, in nearly the same order", pages);
    for number in 0..pages {
        let near = (number / JITTER * JITTER + number * 31 % JITTER).min(pages - 1);
        let wanted = page(near);
        assert_eq!(book.get(&wanted.url)?.as_ref(), Some(&wanted));
    }
    step.end(making);

    let some = pages / 50;
    let step = Step::start("get, in any order", some);
    for number in 0..some {
        let wanted = page(number * 7_919 % pages);
        assert_eq!(book.get(&wanted.url)?.as_ref(), Some(&wanted));
    }
    step.end(making);

    let step = Step::start("get what is not there", pages);
    for number in pages..2 * pages {
        assert_eq!(book.get(&page(number).url)?, None);
    }
    step.end(making);

    let step = Step::start("read all pages", pages);
    assert_eq!(
        book.pages()?.filter(|page| page.is_ok()).count() as u64,
        pages
    );
    step.end(0.0);
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A page with a row of about 600 bytes.
fn page(number: u64) -> Page {
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
    let name = format!(
        "{}-{}-{}-{}-{:07}",
        word(2),
        word(3),
        word(4),
        word(5),
        number
    );
    let url = format!("https://www.shop.example/catalogue/{}/{name}.html", word(1));
    let rows = format!(
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
    );
    Page {
        url,
        lastmod: Some(1_700_000_000 + number as i64),
        etag: Some(format!("\"{:x}\"", mixed.rotate_left(9))),
        last_modified: Some("Tue, 14 Nov 2023 22:13:20 GMT".to_owned()),
        from: None,
        read_at: 1_700_000_000,
        outcome: 1,
        rows: rows.into_bytes(),
    }
}

/// One measured step.
struct Step {
    name: &'static str,
    pages: u64,
    wall: Instant,
    cpu: f64,
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
        }
    }

    /// Prints the step less `making` microseconds a page; gives the microseconds.
    fn end(self, making: f64) -> f64 {
        let a_page = |seconds: f64| seconds * 1e6 / self.pages as f64;
        let cpu = a_page(cpu_seconds() - self.cpu) - making;
        let wall = a_page(self.wall.elapsed().as_secs_f64());
        println!(
            "{:<40} {cpu:>6.2} us CPU, {wall:>6.2} us wall a page; peak {:>5.1} MiB resident",
            self.name,
            status_mib("VmHWM:"),
        );
        cpu
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
