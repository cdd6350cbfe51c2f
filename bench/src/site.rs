//! Crawling a site: Trawler and its peers, one after the other, on the same pages.
//!
//! A server in a process of its own, bound to another core, serves the pages on loopback; each client
//! is a process bound to one core. Clients start at the home page, follow its lists and read eight
//! fields of each product page by CSS, except where a line says that nothing is extracted.

mod books;
mod peers;
mod served;
mod trawler;

use std::path::Path;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

pub(crate) use self::served::{serve_books, serve_shop};
pub(crate) use self::trawler::crawl;

use self::peers::{Client, Peers};
use crate::case;
use crate::measure::{Took, median};
use crate::server::Server;

/// A run of Scrapy over 20,000 pages takes over a minute, and rates of crawls vary little.
pub(crate) const RUNS_MAX: u32 = 3;
/// Bytes of a generated product page beside the product: with it, pages have the size of the books'.
const SHOP_PADDING_BYTES: u32 = 18_000;

/// Which pages are crawled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pages {
    /// Real ones: 200 pages of a shop for books, each under many addresses with an article number of
    /// its own.
    Books,
    /// Those of the synthetic shop.
    Shop,
}

impl Pages {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Pages::Books => "books",
            Pages::Shop => "shop",
        }
    }
}

/// What one client did in one run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct CrawlMeasured {
    /// Pages fetched with success, lists included.
    pub(crate) pages: u64,
    /// Product pages with all their fields; 0 where nothing is extracted.
    pub(crate) rows: u64,
    pub(crate) took: Took,
    /// Of the whole process.
    pub(crate) peak_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SiteMeasured {
    pub(crate) pages: Pages,
    pub(crate) products: u32,
    pub(crate) page_bytes_mean: u64,
    pub(crate) clients: Vec<ClientMeasured>,
    /// Clients that could not be measured, and why.
    pub(crate) missing: Vec<(&'static str, String)>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ClientMeasured {
    pub(crate) client: &'static str,
    pub(crate) extracts: bool,
    /// Medians of the runs.
    #[serde(flatten)]
    pub(crate) measured: CrawlMeasured,
}

/// What the site part is measured with.
pub(crate) struct SitePlan<'a> {
    pub(crate) products: u32,
    pub(crate) runs: u32,
    /// Folder with the book pages.
    pub(crate) books: &'a Path,
    pub(crate) scratch: &'a Path,
}

/// Crawls both kinds of pages with every client there is.
pub(crate) fn measure_sites(plan: &SitePlan<'_>) -> Result<Vec<SiteMeasured>> {
    let peers = Peers::prepare();
    let mut sites = Vec::new();
    for pages in [Pages::Books, Pages::Shop] {
        if pages == Pages::Books && !plan.books.is_dir() {
            eprintln!(
                "site, books: left out, since there is no folder {}; --books names another one",
                plan.books.display()
            );
            continue;
        }
        sites.push(measure_site(plan, pages, &peers)?);
    }
    Ok(sites)
}

fn measure_site(plan: &SitePlan<'_>, pages: Pages, peers: &Peers) -> Result<SiteMeasured> {
    let server = Server::start(case::serving(pages, plan)?)?;
    let mut site = SiteMeasured {
        pages,
        products: plan.products,
        page_bytes_mean: 0,
        clients: Vec::new(),
        missing: Vec::new(),
    };
    for client in Client::ALL {
        eprintln!("site, {}, {}", pages.word(), client.name());
        let runs: Result<Vec<CrawlMeasured>> = (0..plan.runs.min(RUNS_MAX))
            .map(|_| one_run(&server, plan, pages, peers, client))
            .collect();
        match runs {
            Ok(runs) => site.clients.push(ClientMeasured {
                client: client.name(),
                extracts: client.extracts(),
                measured: of_runs(&runs),
            }),
            Err(error) => {
                eprintln!("{error:#}");
                site.missing.push((client.name(), format!("{error:#}")));
            }
        }
    }
    site.page_bytes_mean = server.stats()?.bytes_mean();
    Ok(site)
}

fn one_run(
    server: &Server,
    plan: &SitePlan<'_>,
    pages: Pages,
    peers: &Peers,
    client: Client,
) -> Result<CrawlMeasured> {
    let before = server.stats()?;
    let measured = peers.crawl(client, server.url(), pages, plan)?;
    let served = server.stats()?.things - before.things;
    let products = u64::from(plan.products);
    ensure!(
        measured.pages >= products && served >= products,
        "{} fetched {} pages and the server gave out {served} of {products} products",
        client.name(),
        measured.pages
    );
    ensure!(
        !client.extracts() || measured.rows == products,
        "{} read {} of {products} products",
        client.name(),
        measured.rows
    );
    Ok(measured)
}

fn of_runs(runs: &[CrawlMeasured]) -> CrawlMeasured {
    let took: Vec<Took> = runs.iter().map(|run| run.took).collect();
    let last = runs.last().expect("there is at least one run");
    CrawlMeasured {
        took: median(&took),
        peak_bytes: runs.iter().filter_map(|run| run.peak_bytes).max(),
        ..*last
    }
}
