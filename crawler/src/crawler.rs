//! What every crawl job of this process shares; what is done with it is in
//! `handler` and the modules under it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use trawler_catalogue::{Catalogue, SortLimits};
use trawler_core::ports::Secrets;
use trawler_core::recheck::Remaking;
use trawler_fleet::{Documents, Jobs, Pipes, Ports};
use trawler_net::Fetcher;

use crate::render::Browsers;
use crate::site::robots_files::RobotsFiles;

/// Ports, configuration and tools of the crawl jobs.
pub struct Crawler {
    pub ports: Ports,
    pub documents: Documents,
    pub jobs: Jobs,
    pub pipes: Pipes,
    pub secrets: Arc<dyn Secrets>,
    pub catalogue: Arc<Catalogue>,
    pub fetcher: Fetcher,
    /// Of the hosts whose sites are crawled.
    pub robots: Arc<RobotsFiles>,
    /// For pipes whose pages build themselves; none runs before one is needed.
    pub browsers: Arc<Browsers>,
    pub options: CrawlerOptions,
}

/// Settings of the crawler.
#[derive(Debug, Clone)]
pub struct CrawlerOptions {
    /// Folder for downloads and sorting; one folder a delivery below it.
    pub scratch: PathBuf,
    /// What relative paths of file sources are relative to.
    pub base: PathBuf,
    pub sort: SortLimits,
    pub user_agent: String,
    /// Redirects and patience of every fetch; the pipe sets sizes and the whole
    /// time.
    pub redirects_max: u32,
    pub first_byte_ms: u64,
    pub idle_ms: u64,
    /// A download that took so long is kept for the next delivery.
    pub keep_input_after: Duration,
    /// What a crawl of a site has settled is put away so often: a killed worker
    /// does so much again.
    pub checkpoint_every: Duration,
    /// What pictures are made by, and how soon those of an earlier recipe are
    /// made anew; none where it is not known.
    pub remaking: Option<Remaking>,
}

/// Less work than this is done again rather than kept.
pub const KEEP_INPUT_AFTER: Duration = Duration::from_secs(60);
