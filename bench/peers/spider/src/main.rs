//! The peer `spider` (crates.io): crawls a site from its home page as fast as it can and prints what
//! it took as one line of JSON. `spider-peer URL books|shop crawl|extract`.
//!
//! `spider` extracts nothing, so with `crawl` pages are fetched, their links followed and the pages
//! counted; with `extract` the eight fields of each product page are read by `scraper` besides.

use std::time::Instant;

use scraper::{Html, Selector};
use spider::page::Page;
use spider::tokio;
use spider::website::Website;

/// As many as Scrapy and Trawler are given.
const CONCURRENCY: usize = 64;
/// Pages that may wait for the reader; none may be dropped.
const PAGES_WAITING_MAX: usize = 65_536;

/// Selector, and the attribute meant in place of the text.
type Field = (&'static str, Option<&'static str>);

const BOOKS: [Field; 8] = [
    (".product_main h1", None),
    (".product_main .price_color", None),
    (".table tr:nth-child(3) td", None),
    (".product_main .availability", None),
    (".table tr:nth-child(1) td", None),
    (".breadcrumb li:nth-child(3) a", None),
    ("#product_description + p", None),
    ("#product_gallery img", Some("src")),
];

const SHOP: [Field; 8] = [
    (".goods-code b", None),
    ("h1.goods-name", None),
    (".goods-price strong", None),
    (".goods-price del", None),
    (".goods-stock", None),
    (".goods-brand a", None),
    (".goods-path a", None),
    (".goods-photos img", Some("src")),
];

struct Fields {
    wanted: Vec<(Selector, Option<&'static str>)>,
    is_product: fn(&str) -> bool,
}

impl Fields {
    fn of(site: &str) -> Fields {
        let fields = if site == "shop" { SHOP } else { BOOKS };
        Fields {
            wanted: fields
                .map(|(css, attribute)| (Selector::parse(css).expect("selectors above hold"), attribute))
                .into(),
            is_product: match site {
                "shop" => |url| url.contains("/product/"),
                _ => |url| url.contains("/catalogue/book-"),
            },
        }
    }

    /// How many of the fields the page has.
    fn read(&self, html: &str) -> usize {
        let document = Html::parse_document(html);
        let mut found = 0;
        for (selector, attribute) in &self.wanted {
            let element = document.select(selector).next();
            let text = element.map(|element| match attribute {
                Some(name) => element.value().attr(name).unwrap_or_default().to_owned(),
                None => element.text().collect::<String>().trim().to_owned(),
            });
            found += usize::from(text.is_some_and(|text| !text.is_empty()));
        }
        found
    }
}

#[derive(Default)]
struct Counts {
    pages: u64,
    rows: u64,
}

fn count(counts: &mut Counts, page: &Page, fields: &Fields, extract: bool) {
    if !page.status_code.is_success() {
        return;
    }
    counts.pages += 1;
    if extract && (fields.is_product)(page.get_url()) {
        let html = page.get_html();
        // A book without description and a product without discount have seven.
        counts.rows += u64::from(fields.read(&html) >= 7);
    }
}

async fn crawl(url: &str, fields: Fields, extract: bool) -> Counts {
    let mut website = Website::new(url);
    website
        .with_respect_robots_txt(false)
        .with_delay(0)
        .with_subdomains(false)
        .with_retry(0)
        .with_depth(0)
        .with_concurrency_limit(Some(CONCURRENCY));
    let mut pages = website.subscribe(PAGES_WAITING_MAX);
    let reader = tokio::spawn(async move {
        let mut counts = Counts::default();
        while let Ok(page) = pages.recv().await {
            count(&mut counts, &page, &fields, extract);
        }
        counts
    });
    website.crawl().await;
    website.unsubscribe();
    drop(website);
    reader.await.expect("the reader does not panic")
}

/// CPU time of all threads so far, in seconds: `utime` and `stime` of Linux' `/proc/self/stat`.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    // The kernel counts a hundred ticks a second for programs on every architecture.
    ticks as f64 / 100.0
}

fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, site, mode] = &arguments[..] else {
        eprintln!("usage: spider-peer URL books|shop crawl|extract");
        std::process::exit(2);
    };
    let fields = Fields::of(site);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("start the runtime");
    let (cpu, wall) = (cpu_s(), Instant::now());
    let counts = runtime.block_on(crawl(url, fields, mode == "extract"));
    println!(
        "{}",
        serde_json::json!({
            "pages": counts.pages,
            "rows": counts.rows,
            "took": { "cpu_s": cpu_s() - cpu, "wall_s": wall.elapsed().as_secs_f64() },
            "peak_bytes": peak_bytes(),
        })
    );
}
