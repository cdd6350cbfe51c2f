//! Trawler: a run of a pipe as the fleet works it, from the job in the queue to the commit.
//!
//! Everything a production run has is in it: ledger and lease, robots.txt, address policy (the server's
//! address is let in by name, as in tests), pace, frontier with its journal and checkpoints, extraction
//! by the pipe's selectors, rows, validation, staging, comparison and the commit, on local disk.
//! Images are not collected, which the peers do not do either.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use trawler_catalogue::{Catalogue, CatalogueOptions, SortLimits, local_store};
use trawler_core::ports::{Clock, SecretError, Secrets};
use trawler_core::run::{Run, RunPhase};
use trawler_core::secret::{SecretRef, SecretValue};
use trawler_core::{PipeId, QueueName, pipe::Pipe};
use trawler_crawler::{Crawler, CrawlerOptions, KEEP_INPUT_AFTER};
use trawler_fleet::{Drain, Pauses, Ports, Worker, WorkerOptions};
use trawler_local::{CountingMetrics, LocalStore, QueueOptions, SystemClock};
use trawler_net::{Fetcher, HostLimits, NetConfig};
use trawler_scheduler::{Scheduler, SchedulerOptions};
use url::Url;

use super::{CrawlMeasured, Pages};
use crate::extract::BOOK_SELECTORS;
use crate::measure::{Watch, peak_bytes};

/// As many as the peers are given.
const CONCURRENCY: u32 = 64;
/// The largest that a pipe may set: the server stands it.
const RATE_PER_S: f64 = 100_000.0;
const AGENT: &str = "Trawler-Bench/0.1 (+https://shop.example/bot)";
/// Of the crawl queue, as the fleet has it.
const VISIBILITY: Duration = Duration::from_secs(300);
const RECEIVES_MAX: u32 = 100;
/// How often the run is looked at, which counts as the crawl's own time; the end is noticed so much
/// later.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// No run of a bench takes longer.
const RUN_WAIT: Duration = Duration::from_secs(1_800);

/// Crawls the site in this process.
pub(crate) fn crawl(url: &str, pages: Pages, scratch: &Path) -> Result<CrawlMeasured> {
    // As many workers as the process has cores, which is one.
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(crawl_in(url, pages, scratch))
}

async fn crawl_in(url: &str, pages: Pages, scratch: &Path) -> Result<CrawlMeasured> {
    let folder = tempfile::tempdir_in(scratch).context("make a folder for the run")?;
    let pipe = pipe(url, pages)?;
    let ports = ports(folder.path()).await?;
    let crawler = crawler(url, &pipe, &ports, folder.path()).await?;
    let scheduler = Scheduler::new(
        ports.clone(),
        vec![pipe.clone()].into(),
        SchedulerOptions::default(),
    );
    let watch = Watch::start();
    let id = scheduler.run_now(&pipe.id).await.context("plan the run")?;
    let drain = Drain::new();
    let worker = Worker::new(
        &ports,
        Arc::new(crawler),
        WorkerOptions::default(),
        Pauses::new(&ports),
        drain.clone(),
    );
    let over = async {
        let documents = ports.documents();
        loop {
            let run: Option<Run> = documents.get(&Run::key(&id)).await?;
            if let Some(run) = run.filter(|run| run.phase.is_over()) {
                let took = watch.took();
                drain.finish();
                return anyhow::Ok((run, took));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let both = async { tokio::join!(over, worker.run()).0 };
    let ended = tokio::time::timeout(RUN_WAIT, both).await;
    let (run, took) = ended.context("the run does not end")??;
    ensure!(
        run.phase == RunPhase::Finished && run.incomplete.is_empty(),
        "the run is {}: {} {:?}",
        run.phase.as_str(),
        run.reason,
        run.incomplete
    );
    Ok(CrawlMeasured {
        // One a product; lists are not told apart in the run, and the server counts its products.
        pages: run.counts.rows + run.counts.duplicates,
        rows: run.counts.rows,
        took,
        peak_bytes: peak_bytes(),
    })
}

fn pipe(url: &str, pages: Pages) -> Result<Pipe> {
    let (allow, products, fields) = match pages {
        Pages::Books => (
            "[\"/list/\", \"/catalogue/book-\"]",
            "/catalogue/book-",
            BOOKS
                .iter()
                .map(|(field, name)| (*field, selector(&BOOK_SELECTORS, name)))
                .collect::<Vec<_>>(),
        ),
        Pages::Shop => (
            "[\"/category/\", \"/product/\"]",
            "/product/",
            SHOP.iter()
                .map(|(field, name)| (*field, selector(&trawler_shop::PLAIN_SELECTORS, name)))
                .collect(),
        ),
    };
    let currency = match pages {
        Pages::Books => "GBP",
        Pages::Shop => "KRW",
    };
    let mut text = format!(
        "source = {{ kind = \"site\", url = \"{url}/\" }}\n\
         schedule = {{ cron = \"0 3 * * *\" }}\n\
         fetch = {{ rate_per_s = {RATE_PER_S:.1}, concurrency = {CONCURRENCY} }}\n\
         images = {{ collect = false }}\n\
         [site]\n\
         sitemaps = \"none\"\n\
         currency = \"{currency}\"\n\
         links = {{ follow = true, allow = {allow}, products = [\"{products}\"] }}\n\
         limits = {{ pages_max = 2000000 }}\n\
         [site.extract.fields]\n"
    );
    for (field, selector) in fields {
        text.push_str(&format!("{field} = '{selector}'\n"));
    }
    let pipe: Pipe = toml::from_str(&text).context("read the pipe")?;
    let pipe = pipe.named(PipeId::parse("bench").context("name the pipe")?);
    let problems = pipe.problems();
    ensure!(problems.is_empty(), "the pipe has problems: {problems:?}");
    Ok(pipe)
}

/// Fields of the pipe and the names of their selectors.
const BOOKS: [(&str, &str); 8] = [
    ("id", "upc"),
    ("title", "title"),
    ("price", "price"),
    ("price_excl_tax", "price_excl_tax"),
    ("availability", "availability"),
    ("category", "category"),
    ("description", "description"),
    ("image", "image"),
];
const SHOP: [(&str, &str); 8] = [
    ("id", "id"),
    ("title", "title"),
    ("price", "price"),
    ("list_price", "list_price"),
    ("availability", "availability"),
    ("brand", "brand"),
    ("category", "category"),
    ("image", "images"),
];

fn selector(table: &[(&str, &'static str)], name: &str) -> &'static str {
    let found = table.iter().find(|(own, _)| *own == name);
    found.expect("the tables above name each other's entries").1
}

async fn ports(folder: &Path) -> Result<Ports> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = LocalStore::open(folder.join("state"), Arc::clone(&clock))
        .await
        .context("open the local store")?;
    let options = QueueOptions {
        visibility: VISIBILITY,
        receive_count_max: RECEIVES_MAX,
    };
    let queue = |name| store.queue(name, options);
    Ok(Ports {
        state: Arc::new(store.state()),
        blobs: Arc::new(store.blobs()),
        crawl: Arc::new(queue(QueueName::Crawl)?),
        image: Arc::new(queue(QueueName::Image)?),
        clock,
        metrics: Arc::new(CountingMetrics::new()),
    })
}

async fn crawler(url: &str, pipe: &Pipe, ports: &Ports, folder: &Path) -> Result<Crawler> {
    let address = Url::parse(url).context("parse the server's address")?;
    let host = address.authority().parse().context("let the server in")?;
    let config = NetConfig {
        allow: vec![host],
        hosts: HostLimits {
            concurrency: CONCURRENCY,
            ..HostLimits::default()
        },
        ..NetConfig::of(AGENT)
    };
    let table = folder.join("catalogue");
    std::fs::create_dir(&table).context("make a folder for the catalogue")?;
    let options = CatalogueOptions::default();
    let clock = Arc::clone(&ports.clock);
    let catalogue = Catalogue::open_or_create(local_store(&table)?, options, clock).await?;
    Ok(Crawler {
        ports: ports.clone(),
        documents: ports.documents(),
        jobs: ports.jobs(),
        pipes: vec![pipe.clone()].into(),
        secrets: Arc::new(NoSecrets),
        catalogue: Arc::new(catalogue),
        fetcher: Fetcher::new(&config).context("make the fetcher")?,
        robots: Arc::default(),
        browsers: trawler_crawler::render::Browsers::new(
            trawler_crawler::render::BrowserSettings::new(
                folder.join(".browsers"),
                AGENT.to_owned(),
            ),
        ),
        options: CrawlerOptions {
            scratch: folder.join("scratch"),
            base: folder.to_owned(),
            sort: SortLimits::default(),
            user_agent: AGENT.to_owned(),
            redirects_max: 5,
            first_byte_ms: 30_000,
            idle_ms: 20_000,
            keep_input_after: KEEP_INPUT_AFTER,
            checkpoint_every: Duration::from_secs(30),
            remaking: None,
        },
    })
}

struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn resolve(&self, reference: &SecretRef) -> Result<SecretValue, SecretError> {
        Err(SecretError::Missing {
            reference: reference.clone(),
            reason: "the pipe names none".to_owned(),
        })
    }
}
