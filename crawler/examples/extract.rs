//! Measures reading pages, without any network: `cargo run --release -p
//! trawler-crawler --example extract -- DIR...` reads the `.html` files of
//! the folders again and again and prints, in CPU time of one thread, pages a
//! second for each step, beside `scraper`'s tree in the same run; then the
//! same for pages of 500 KB made of their bodies. `--only TEXT` before the
//! folders measures the steps with that text in "pages: step" alone, for a
//! profiler.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use trawler_crawler::document::{Builder, Document, Selector};
use trawler_crawler::page;
use url::Url;

/// What a page is made longer to.
const LARGE_PAGE_BYTES: usize = 500_000;

/// How long each step is measured.
const MEASURED: Duration = Duration::from_millis(1500);

/// Eight fields of a book page, as a pipe would name them.
const FIELDS: &[&str] = &[
    ".product_main h1",
    ".product_main .price_color",
    ".product_main .availability",
    "table.table-striped tr:nth-child(1) td",
    "table.table-striped tr:nth-child(6) td",
    "#product_gallery img",
    ".breadcrumb li:nth-child(3) a",
    "#product_description + p",
];

fn main() -> Result<()> {
    let mut folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut only = String::new();
    if folders.len() > 1 && folders[0].as_os_str() == "--only" {
        only = folders[1].display().to_string();
        folders.drain(..2);
    }
    let only = only.as_str();
    ensure!(
        !folders.is_empty(),
        "usage: extract [--only TEXT] DIR..., folders with .html files"
    );
    let mut pages = Vec::new();
    for folder in &folders {
        read_pages(folder, &mut pages)?;
    }
    ensure!(!pages.is_empty(), "no .html files in {folders:?}");
    measure("pages as they are", &pages, only)?;
    let large = large_pages(&pages);
    measure("pages of 500 KB", &large, only)?;
    // A template makes the fast builder decline and changes nothing else.
    let declined: Vec<String> = large
        .iter()
        .map(|page| format!("{page}<template></template>"))
        .collect();
    measure(
        "pages of 500 KB that need the full builder",
        &declined,
        only,
    )
}

fn read_pages(folder: &Path, pages: &mut Vec<String>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read_pages(&path, pages)?;
        } else if path.extension().is_some_and(|kind| kind == "html") {
            let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            pages.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(())
}

/// Pages that begin as the given ones do and go on with the others' bodies.
fn large_pages(pages: &[String]) -> Vec<String> {
    const COUNT: usize = 8;
    (0..COUNT)
        .map(|first| {
            let mut page = String::new();
            for other in pages.iter().cycle().skip(first * pages.len() / COUNT) {
                let body = other.find("<body").unwrap_or(0);
                let end = other.rfind("</body").unwrap_or(other.len()).max(body);
                let start = if page.is_empty() { 0 } else { body };
                page.push_str(&other[start..end]);
                if page.len() >= LARGE_PAGE_BYTES {
                    break;
                }
            }
            page
        })
        .collect()
}

fn measure(what: &str, pages: &[String], only: &str) -> Result<()> {
    let run = |step: &str, read: &dyn Fn(&str) -> usize| {
        if format!("{what}: {step}").contains(only) {
            run(step, pages, read);
        }
    };
    let bytes: usize = pages.iter().map(String::len).sum();
    let is_fast = |page: &&String| Document::parse(page.as_str()).builder() == Builder::Fast;
    let fast = pages.iter().filter(is_fast).count();
    println!(
        "{what}: {} of {} bytes on average, {fast} read by the fast builder",
        pages.len(),
        bytes / pages.len()
    );
    let url = Url::parse("https://shop.example/catalogue/a-book_1/index.html")?;
    let selectors = FIELDS
        .iter()
        .map(|field| Selector::parse(field))
        .collect::<Result<Vec<_>, _>>()?;
    let theirs: Vec<scraper::Selector> = FIELDS
        .iter()
        .map(|field| scraper::Selector::parse(field).map_err(|error| anyhow::anyhow!("{error}")))
        .collect::<Result<_>>()?;
    run("document", &|page| Document::parse(page).node_count());
    run("document, full builder", &|page| {
        Document::parse_full(page).node_count()
    });
    run("document and eight fields by CSS", &|page| {
        let document = Document::parse(page);
        let texts = selectors
            .iter()
            .filter_map(|selector| document.select(selector).next())
            .map(|element| element.text(1000).len());
        texts.sum()
    });
    run("document and links", &|page| {
        Document::parse(page).links().count()
    });
    run("extraction (decode, document, all sources)", &|page| {
        page::extract(page.as_bytes(), Some("utf-8"), &url)
            .remarks
            .len()
    });
    run("scraper: tree", &|page| {
        scraper::Html::parse_document(page).tree.values().len()
    });
    run("scraper: tree and eight fields by CSS", &|page| {
        let html = scraper::Html::parse_document(page);
        let texts = theirs
            .iter()
            .filter_map(|selector| html.select(selector).next())
            .map(|element| element.text().map(str::len).sum::<usize>());
        texts.sum()
    });
    println!();
    Ok(())
}

fn run(what: &str, pages: &[String], read: &dyn Fn(&str) -> usize) {
    let start = cpu_time();
    let mut count = 0_u32;
    let mut kept = 0_usize;
    let spent = loop {
        for page in pages {
            kept = kept.wrapping_add(std::hint::black_box(read(page)));
            count += 1;
        }
        let spent = cpu_time().saturating_sub(start);
        if spent >= MEASURED {
            break spent;
        }
    };
    std::hint::black_box(kept);
    let a_page = spent / count;
    println!(
        "  {:9.0} pages/s/core {:9.1} us a page  {what}",
        1.0 / a_page.as_secs_f64(),
        a_page.as_secs_f64() * 1e6
    );
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}
