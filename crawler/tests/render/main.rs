//! Pages that build themselves, in a real Chromium: what is built, what is
//! never reached, and what a page that behaves badly costs.

#![allow(clippy::unwrap_used)]

mod ends;
mod hostile;
mod pages;
mod shop;

use std::sync::Arc;
use std::time::Duration;

use trawler_crawler::render::{
    Asked, BrowserSettings, Browsers, Built, Document, PageRules, Rendered, Session, SessionBounds,
};
use url::Url;

/// robots.txt of every shop here: `Disallow: /private`.
struct Robots;

impl PageRules for Robots {
    fn may_ask<'a>(&'a self, url: &'a Url) -> Asked<'a> {
        Box::pin(async move {
            match url.path().starts_with("/private") {
                true => Err("robots.txt, line 2: Disallow: /private".to_owned()),
                false => Ok(()),
            }
        })
    }
}

/// Browsers that end with the test, in a folder that does.
struct Yard {
    browsers: Arc<Browsers>,
    _folder: tempfile::TempDir,
}

impl Yard {
    fn new(change: impl FnOnce(&mut BrowserSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let agent = "Trawler/0.1 (+https://trawler.test)".to_owned();
        let mut settings = BrowserSettings::new(folder.path().join("browsers"), agent);
        // Machines that run all tests at once are slow.
        settings.page_wait = Duration::from_secs(60);
        change(&mut settings);
        Self {
            browsers: Browsers::new(settings),
            _folder: folder,
        }
    }

    async fn session(&self, shop: &shop::Shop) -> Session {
        let bounds = SessionBounds {
            pages_max: 1_000,
            keeps_cookies: true,
        };
        let rules = Arc::new(Robots);
        let session = self.browsers.session(&shop.fetcher(), rules, bounds).await;
        session.unwrap()
    }
}

fn document(url: &str, html: &str) -> Document {
    Document {
        url: Url::parse(url).unwrap(),
        content_type: Some("text/html; charset=utf-8".to_owned()),
        set_cookies: Vec::new(),
        body: html.as_bytes().to_vec().into(),
    }
}

fn built(rendered: Rendered) -> Built {
    match rendered {
        Rendered::Built(built) => built,
        Rendered::Moved(url) => panic!("moved to {url}"),
    }
}
