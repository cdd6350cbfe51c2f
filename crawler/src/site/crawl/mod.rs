//! The crawl of a partner's site: from where it begins to the rows of the run.
//!
//! The frontier says what is asked for next (`driver`), a visit asks for it and
//! reads the answer (`visitor`, `page`, `sitemap`, `list`), and what was
//! settled is put where another machine finds it (`checkpoint`). Once nothing
//! is left, `harvest` makes the rows of it and says whether it is complete.
//!
//! What a page says is `page`'s and `document`'s business, one floor up the
//! tree; what becomes of the rows is that of a feed's.

mod checkpoint;
mod driver;
mod facts;
mod harvest;
mod kind;
mod known_pages;
mod left_urls;
mod list;
mod lists;
mod new_book;
mod page;
mod permission;
mod rendering;
mod rows;
mod site_rules;
mod sitemap;
mod start;
mod visit;
mod visitor;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trawler_core::RunId;
use trawler_core::book::BookRef;
use trawler_core::pipe::{Pipe, SiteSource, Source};
use trawler_core::site::SiteOptions;
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{JobContext, chain};
use trawler_net::{CookieJar, HostBudget, Pace, PaceSettings, Request, Timeouts};
use url::Url;

use super::book::Book;
use super::frontier::{Frontier, FrontierError, FrontierLimits, HashKey};
use super::links::Traps;
use crate::crawler::Crawler;
use crate::credentials::Credentials;
use crate::kept_book;

use checkpoint::SiteCheckpoint;
use driver::{Crawl, CrawlBounds, Ended, broken};
use harvest::{Field, NoHarvest};
use known_pages::KnownPages;
use new_book::NewBook;
use permission::Permissions;
use site_rules::SiteRules;
use visitor::Visitor;

/// Visits under way at most, whatever the pipe says: each holds a page.
const VISITS_MAX: usize = 128;

/// A crawl of one run, by one delivery.
pub(crate) struct SiteCrawl<'a> {
    pub(crate) crawler: &'a Crawler,
    pub(crate) pipe: &'a Pipe,
    pub(crate) home: &'a Url,
    pub(crate) run: &'a RunId,
    pub(crate) fingerprint: &'a str,
    pub(crate) scratch: &'a Path,
    pub(crate) ctx: &'a JobContext,
}

/// What a crawl gave.
pub(crate) struct Crawled {
    /// One line of JSON a row.
    pub(crate) rows: PathBuf,
    /// Why not everything was seen.
    pub(crate) incomplete: Vec<String>,
    pub(crate) remarks: Vec<String>,
    pub(crate) pages: u64,
    pub(crate) bytes_down: u64,
    /// For the next run, if this one proves complete.
    pub(crate) book: Option<BookRef>,
    pub(crate) book_dir: PathBuf,
}

impl SiteCrawl<'_> {
    pub(crate) async fn run(&self) -> Result<Crawled, Ending> {
        let site = self.pipe.site.clone().unwrap_or_default();
        let found = SiteCheckpoint::find(self.ctx, self.fingerprint).await?;
        let visitor = Arc::new(self.visitor(&site, found.as_ref()).await?);
        let (frontier, checkpoint) = self.frontier(&site, &visitor, found).await?;
        let fetch = &self.pipe.fetch;
        let crawl = Crawl {
            ctx: self.ctx,
            ports: &self.crawler.ports,
            run: self.run,
            // Offered again by every delivery: what is known is not asked twice.
            later: start::others(&visitor.rules, &site),
            visitor,
            frontier,
            traps: Traps::of(site.limits.urls_per_path_max, &checkpoint.paths),
            checkpoint,
            not_put: VecDeque::new(),
            bounds: CrawlBounds {
                visits_at_once: (fetch.concurrency as usize * 2).clamp(2, VISITS_MAX),
                pages_max: site.limits.pages_max,
                sitemaps_max: site.limits.sitemap_files_max,
                put_every: self.crawler.options.checkpoint_every,
                whole: Duration::from_secs(site.limits.whole_s),
            },
        };
        let ended = crawl.run().await?;
        self.bring_in(&site, ended).await
    }

    async fn visitor(
        &self,
        site: &SiteOptions,
        found: Option<&SiteCheckpoint>,
    ) -> Result<Visitor, Ending> {
        let (crawler, fetch) = (self.crawler, &self.pipe.fetch);
        let rules = SiteRules::new(site, self.home).map_err(Ending::Failed)?;
        let credentials = Credentials::of(fetch, &*crawler.secrets)
            .await
            .map_err(Ending::Failed)?;
        self.try_out(&credentials).map_err(Ending::Failed)?;
        let budget = HostBudget {
            requests_max: site
                .limits
                .pages_max
                .saturating_mul(rendering::requests_a_page(site.render)),
            ..HostBudget::default()
        };
        let pace = Pace::new(PaceSettings {
            rate_per_s: fetch.rate_per_s,
            concurrency: fetch.concurrency,
            budget,
            ..PaceSettings::default()
        });
        let fetcher = credentials
            .fetcher(&crawler.fetcher)
            .map_err(Ending::Failed)?;
        let user_agent = crawler.options.user_agent.clone();
        let clock = Arc::clone(&crawler.ports.clock);
        let permissions = Arc::new(Permissions {
            rule: site.robots,
            files: Arc::clone(&crawler.robots),
            fetcher: fetcher.clone(),
            clock: Arc::clone(&clock),
            user_agent: user_agent.clone(),
            pace: Arc::clone(&pace),
            hosts: Mutex::new(HashMap::new()),
        });
        let cookies = fetch.cookies.then(|| jar(found));
        let session =
            rendering::session(crawler, site, &fetcher, &permissions, cookies.as_ref()).await?;
        Ok(Visitor {
            permissions,
            session,
            fetcher,
            pace,
            clock,
            rules: Arc::new(rules),
            known: self.known_pages().await?,
            credentials,
            cookies,
            user_agent,
            limits: site.limits.clone(),
            timeouts: Timeouts {
                first_byte_ms: crawler.options.first_byte_ms,
                idle_ms: crawler.options.idle_ms,
                ..Timeouts::default()
            },
            scratch: self.scratch.to_owned(),
        })
    }

    /// What cannot be sent is told before anybody is asked.
    fn try_out(&self, credentials: &Credentials) -> Result<(), Failure> {
        let request =
            Request::get_url(self.home).map_err(|error| Failure::permanent(chain(&error)))?;
        credentials
            .on(request)?
            .user_agent(&self.crawler.options.user_agent)
            .map_err(|error| Failure::permanent(error.to_string()))?;
        Ok(())
    }

    /// That of an earlier delivery, or a new one with everything to begin with.
    async fn frontier(
        &self,
        site: &SiteOptions,
        visitor: &Visitor,
        found: Option<SiteCheckpoint>,
    ) -> Result<(Frontier, SiteCheckpoint), Ending> {
        let limits = frontier_limits(site);
        let going_on = found.as_ref().filter(|found| found.has_segments());
        if let Some(checkpoint) = going_on {
            match self.replayed(checkpoint, limits).await? {
                Ok(frontier) => return Ok((frontier, checkpoint.clone())),
                Err(reason) => {
                    self.ctx.note(&format!("the crawl begins anew: {reason}"));
                    tracing::warn!(run = %self.run, %reason, "the crawl of {} begins anew, since what was put away cannot be used: {reason}", self.run);
                }
            }
        }
        let dir = self.scratch.join("frontier");
        let mut frontier = Frontier::create(&dir, HashKey::random(), limits).map_err(broken)?;
        let starts = start::sitemaps(visitor, site, &visitor.rules.home).await?;
        driver::take_in(&mut frontier, &starts)?;
        let checkpoint = match found {
            Some(found) => found.anew(),
            None => SiteCheckpoint::new(self.fingerprint),
        };
        Ok((frontier, checkpoint))
    }

    /// The frontier as an earlier delivery left it. `Err` says why that cannot
    /// be had.
    async fn replayed(
        &self,
        checkpoint: &SiteCheckpoint,
        limits: FrontierLimits,
    ) -> Result<Result<Frontier, String>, Ending> {
        let blobs = &*self.crawler.ports.blobs;
        let paths = match checkpoint.fetch(blobs, self.ctx, self.scratch).await? {
            Ok(paths) => paths,
            Err(reason) => return Ok(Err(reason)),
        };
        let dir = self.scratch.join("replayed");
        let (frontier, replayed) = match Frontier::replay(&dir, limits, paths.into_iter().map(Ok)) {
            Ok(replayed) => replayed,
            Err(error @ FrontierError::Disk(_)) => return Err(broken(error)),
            Err(error) => return Ok(Err(chain(&error))),
        };
        if let Some(torn) = replayed.torn {
            self.ctx.note(&format!(
                "segment {} of the crawl's journal ends at byte {}: {}; what follows is done again",
                torn.segment, torn.offset, torn.what
            ));
        }
        self.ctx
            .note("the crawl goes on where an earlier delivery left it");
        Ok(Ok(frontier))
    }

    /// The page book of the last complete run, if it is of this very crawl.
    async fn known_pages(&self) -> Result<KnownPages, Ending> {
        let documents = &self.crawler.documents;
        let known = kept_book::known(documents, &self.pipe.id, self.fingerprint).await?;
        let Some(book) = known else {
            return Ok(KnownPages::default());
        };
        let dir = self.scratch.join("known");
        let blobs = &*self.crawler.ports.blobs;
        let opened = match kept_book::fetch(blobs, self.ctx, &book, &dir).await? {
            Ok(()) => {
                let parts = book.parts.iter().map(|part| Ok(dir.join(part)));
                Book::open(&dir.join("index"), parts).map_err(|error| chain(&error))
            }
            Err(reason) => Err(reason),
        };
        match opened {
            Ok(book) => Ok(KnownPages::of(book)),
            Err(reason) => {
                tracing::warn!(run = %self.run, %reason, "run {} reads every page, since the page book cannot be used: {reason}", self.run);
                Ok(KnownPages::default())
            }
        }
    }

    async fn bring_in(&self, site: &SiteOptions, ended: Ended) -> Result<Crawled, Ending> {
        let (ctx, dir, limits) = (
            self.ctx.clone(),
            self.scratch.to_owned(),
            site.limits.clone(),
        );
        let pages = driver::asked(&ended.frontier);
        let bytes_down = ended.tally.bytes_down;
        let work = tokio::task::spawn_blocking(move || {
            let field = Field {
                frontier: &ended.frontier,
                cut: ended.cut,
                tally: ended.tally,
                limits: &limits,
                dir: &dir,
                ctx: &ctx,
            };
            let mut book = NewBook::create(&dir.join("book"));
            let harvest = field.bring_in(|facts, outcome, rows| book.put(facts, outcome, rows))?;
            Ok((harvest, book.finish()))
        });
        let brought = self.ctx.unless_told(work).await?.map_err(|error| {
            Ending::Failed(Failure::transient(format!("bring the crawl in: {error}")))
        })?;
        let (harvest, book) = brought.map_err(|error| match error {
            NoHarvest::Told(interrupt) => interrupt.ending(),
            NoHarvest::Frontier(error) => broken(error),
            NoHarvest::Disk(error) => Ending::Failed(Failure::transient(chain(&error))),
        })?;
        Ok(Crawled {
            rows: harvest.path,
            incomplete: harvest.incomplete,
            remarks: harvest.remarks,
            pages,
            bytes_down,
            book: book.map(|written| BookRef {
                seq: self.run.seq,
                fingerprint: self.fingerprint.to_owned(),
                prefix: BookRef::prefix_of(self.run, self.ctx.epoch()),
                parts: written.parts,
                pages: written.pages,
            }),
            book_dir: self.scratch.join("book"),
        })
    }
}

/// The cookies of an earlier delivery, or none yet.
fn jar(found: Option<&SiteCheckpoint>) -> Arc<CookieJar> {
    match found.and_then(SiteCheckpoint::cookies) {
        Some(saved) => CookieJar::of(saved),
        None => CookieJar::new(),
    }
}

/// What is wrong with the rules of a pipe's site that only compiling them
/// tells: selectors, patterns, templates.
pub fn check_site(pipe: &Pipe) -> Result<(), String> {
    let Source::Site(SiteSource { url }) = &pipe.source else {
        return Ok(());
    };
    let site = pipe.site.clone().unwrap_or_default();
    SiteRules::new(&site, url)
        .map(|_| ())
        .map_err(|failure| failure.reason)
}

/// Every page that may be asked for is an entry, and so is every page of a
/// list; links that are met once more than that are remembered, and not asked
/// for.
fn frontier_limits(site: &SiteOptions) -> FrontierLimits {
    FrontierLimits {
        entries_max: site.limits.pages_max.saturating_mul(4).max(100_000),
        url_bytes_max: super::url::URL_BYTES_MAX,
        ..FrontierLimits::default()
    }
}
