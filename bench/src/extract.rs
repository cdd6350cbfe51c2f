//! Extraction alone: from the bytes of a page to the fields of its product, without any network.
//!
//! Three ways are measured: a document by the fast builder and eight fields of it by CSS, the same
//! with the full tree, and the whole extraction, which decodes the page and reads every source.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use trawler_crawler::document::{Document, Selector};
use trawler_crawler::page;
use trawler_shop::{Model, PLAIN_SELECTORS, PageMarkup, ShopSpec, SiteSpec, render_page};
use url::Url;

use crate::images::in_order;
use crate::measure::{Memory, Took, Watch, fastest, median};

/// To reach on a core on large pages: without a tree, and with one.
const FAST_PAGES_S: f64 = 250.0;
const TREE_PAGES_S: f64 = 70.0;
/// Size of large pages, as those of big shops with their menus, reviews and scripts.
const LARGE_PAGE_BYTES: u32 = 500_000;
/// Different large pages; what repeats more often would sit in the caches.
const LARGE_PAGES: u32 = 20;
/// Bytes of a run: enough for the clock, and little enough for small machines.
const RUN_BYTES: usize = 20_000_000;
/// Characters of a field that are read.
const FIELD_CHARS_MAX: usize = 10_000;
/// A book without description and a product without discount have one field less than eight.
const FIELDS_MIN: usize = 7;

/// The fields of the book pages, as `peers/scrapy/crawl.py` reads them. `@` starts an attribute.
pub(crate) const BOOK_SELECTORS: [(&str, &str); 8] = [
    ("title", ".product_main h1"),
    ("price", ".product_main .price_color"),
    ("price_excl_tax", ".table tr:nth-child(3) td"),
    ("availability", ".product_main .availability"),
    ("upc", ".table tr:nth-child(1) td"),
    ("category", ".breadcrumb li:nth-child(3) a"),
    ("description", "#product_description + p"),
    ("image", "#product_gallery img@src"),
];

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExtractMeasured {
    pub(crate) lines: Vec<ExtractLine>,
    pub(crate) peak_bytes: Option<u64>,
}

/// One kind of page, read in one way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExtractLine {
    pub(crate) name: String,
    /// Pages a second of CPU time to reach.
    pub(crate) target_pages_s: Option<f64>,
    /// Pages of a run.
    pub(crate) pages: u64,
    pub(crate) page_bytes_mean: u64,
    /// Median of the runs.
    pub(crate) took: Took,
    pub(crate) fastest: Took,
}

/// Reads every kind of page once to warm up and `runs` times by the watch.
pub(crate) fn measure(books: Option<&Path>, runs: u32) -> Result<ExtractMeasured> {
    let memory = Memory::start();
    let mut lines = Vec::new();
    if let Some(folder) = books {
        let pages = book_pages(folder)?;
        let fields = Fields::parse(&BOOK_SELECTORS)?;
        lines.push(line("books: fast, 8 fields", None, &pages, runs, |page| {
            fields.read(&Document::parse(text(page)))
        })?);
        lines.push(line("books: tree, 8 fields", None, &pages, runs, |page| {
            fields.read(&Document::parse_full(text(page)))
        })?);
        lines.push(line("books: every source", None, &pages, runs, whole)?);
    }
    let pages = large_pages(PageMarkup::Plain)?;
    let fields = Fields::parse(&PLAIN_SELECTORS)?;
    let fast = Some(FAST_PAGES_S);
    lines.push(line(
        "500 KB: fast, 8 fields",
        fast,
        &pages,
        runs,
        |page| fields.read(&Document::parse(text(page))),
    )?);
    let tree = Some(TREE_PAGES_S);
    lines.push(line(
        "500 KB: tree, 8 fields",
        tree,
        &pages,
        runs,
        |page| fields.read(&Document::parse_full(text(page))),
    )?);
    let pages = large_pages(PageMarkup::JsonLd)?;
    lines.push(line("500 KB: JSON-LD", fast, &pages, runs, whole)?);
    Ok(ExtractMeasured {
        lines,
        peak_bytes: memory.peak_bytes(),
    })
}

/// The pages measured are UTF-8.
fn text(page: &[u8]) -> String {
    String::from_utf8_lossy(page).into_owned()
}

/// The whole extraction; a page without product has no fields.
fn whole(page: &[u8]) -> usize {
    let url = Url::parse("https://shop.example/product/1").expect("the address above holds");
    let report = page::extract(page, Some("utf-8"), &url);
    if report.product.is_some() {
        FIELDS_MIN
    } else {
        0
    }
}

/// Selectors, each with the attribute meant in place of the text.
struct Fields(Vec<(Selector, Option<&'static str>)>);

impl Fields {
    fn parse(fields: &[(&'static str, &'static str)]) -> Result<Fields> {
        let parsed = fields.iter().map(|(name, css)| {
            let (css, attribute) = match css.split_once('@') {
                Some((css, attribute)) => (css, Some(attribute)),
                None => (*css, None),
            };
            let selector = Selector::parse(css).with_context(|| format!("selector of {name}"))?;
            Ok((selector, attribute))
        });
        parsed.collect::<Result<_>>().map(Fields)
    }

    /// How many of the fields the page has.
    fn read(&self, document: &Document) -> usize {
        let texts = self.0.iter().filter_map(|(selector, attribute)| {
            let element = document.select(selector).next()?;
            Some(match attribute {
                Some(name) => element.attribute(name)?.to_owned(),
                None => element.text(FIELD_CHARS_MAX),
            })
        });
        texts.filter(|text| !text.is_empty()).count()
    }
}

fn line(
    name: &str,
    target_pages_s: Option<f64>,
    pages: &[Vec<u8>],
    runs: u32,
    read: impl Fn(&[u8]) -> usize,
) -> Result<ExtractLine> {
    let bytes: usize = pages.iter().map(Vec::len).sum();
    let rounds = RUN_BYTES.div_ceil(bytes.max(1));
    let mut took = Vec::new();
    for run in 0..=runs {
        let watch = Watch::start();
        for page in pages.iter().cycle().take(rounds * pages.len()) {
            let fields = read(page);
            ensure!(
                fields >= FIELDS_MIN,
                "{name}: a page has {fields} fields of at least {FIELDS_MIN}"
            );
        }
        if run > 0 {
            took.push(watch.took());
        }
    }
    Ok(ExtractLine {
        name: name.to_owned(),
        target_pages_s,
        pages: (rounds * pages.len()) as u64,
        page_bytes_mean: (bytes / pages.len().max(1)) as u64,
        took: median(&took),
        fastest: fastest(&took),
    })
}

fn book_pages(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let pages = in_order(folder)?
        .iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "html")
        })
        .map(|path| std::fs::read(path).with_context(|| format!("read {}", path.display())))
        .collect::<Result<Vec<_>>>()?;
    ensure!(!pages.is_empty(), "no pages in {}", folder.display());
    Ok(pages)
}

fn large_pages(page_markup: PageMarkup) -> Result<Vec<Vec<u8>>> {
    let spec = ShopSpec {
        page_markup,
        site: SiteSpec {
            padding_bytes: LARGE_PAGE_BYTES,
            ..SiteSpec::PLAIN
        },
        ..ShopSpec::new("Bench", 1, LARGE_PAGES)
    };
    let model = Model::new(&spec, "https://shop.example").context("make the shop")?;
    (0..LARGE_PAGES)
        .map(|slot| render_page(&model, slot, 0).context("every slot has a page"))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn large_pages_give_their_fields_in_every_way() {
        let page = &large_pages(PageMarkup::Plain).unwrap()[0];
        assert!(page.len() >= LARGE_PAGE_BYTES as usize);
        let fields = Fields::parse(&PLAIN_SELECTORS).unwrap();
        assert!(fields.read(&Document::parse(text(page))) >= FIELDS_MIN);
        assert!(fields.read(&Document::parse_full(text(page))) >= FIELDS_MIN);
        let page = &large_pages(PageMarkup::JsonLd).unwrap()[0];
        assert_eq!(whole(page), FIELDS_MIN);
    }
}
