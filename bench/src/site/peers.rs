//! The clients of the site part, and how each is run.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use super::{CrawlMeasured, Pages, SitePlan};
use crate::{case, peers};

/// A crawler that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Trawler,
    Scrapy,
    /// Without extraction, which it does not have.
    Spider,
    /// With the same fields read by `scraper`.
    SpiderExtracting,
}

impl Client {
    pub(super) const ALL: [Client; 4] = [
        Client::Trawler,
        Client::Scrapy,
        Client::Spider,
        Client::SpiderExtracting,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Client::Trawler => "Trawler",
            Client::Scrapy => "Scrapy",
            Client::Spider => "spider",
            Client::SpiderExtracting => "spider + scraper",
        }
    }

    pub(super) fn extracts(self) -> bool {
        self != Client::Spider
    }
}

/// What of the peers could be made ready: the program of each, or why not.
pub(super) struct Peers {
    python: Result<PathBuf, String>,
    spider: Result<PathBuf, String>,
}

impl Peers {
    pub(super) fn prepare() -> Peers {
        let told = |error: anyhow::Error| format!("{error:#}");
        Peers {
            python: peers::python("scrapy").map_err(told),
            spider: peers::cargo("spider", "spider-peer").map_err(told),
        }
    }

    pub(super) fn crawl(
        &self,
        client: Client,
        url: &str,
        pages: Pages,
        plan: &SitePlan<'_>,
    ) -> Result<CrawlMeasured> {
        let ready = |program: &Result<PathBuf, String>| {
            program.clone().map_err(|error| anyhow::anyhow!(error))
        };
        let mut arguments: Vec<OsString> = Vec::new();
        let program = match client {
            Client::Trawler => return case::crawl_site(url, pages, plan.scratch),
            Client::Scrapy => {
                arguments.push(peers::folder("scrapy").join("crawl.py").into());
                ready(&self.python)?
            }
            Client::Spider | Client::SpiderExtracting => ready(&self.spider)?,
        };
        arguments.push(format!("{url}/").into());
        arguments.push(pages.word().into());
        match client {
            Client::Trawler | Client::Scrapy => {}
            Client::Spider => arguments.push("crawl".into()),
            Client::SpiderExtracting => arguments.push("extract".into()),
        }
        peers::asked(client.name(), &program, arguments)
    }
}
