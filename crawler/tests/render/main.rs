//! Pages that build themselves, in a real Chromium: what is built, what is
//! never reached, and what a page that behaves badly costs.

#![allow(clippy::unwrap_used)]

mod crawl;
mod ends;
mod hostile;
mod pages;
mod proxied;
mod shop;

use std::sync::Arc;
use std::time::Duration;

use trawler_crawler::render::{
    Asked, BrowserSettings, Browsers, Built, Document, MayNot, PageRules, Rendered, Session,
    SessionOptions,
};
use trawler_net::{CookieJar, Fetcher, Pace, PaceSettings};
use url::Url;

/// robots.txt of every shop here: `Disallow: /private`.
struct Robots;

impl PageRules for Robots {
    fn may_ask<'a>(&'a self, url: &'a Url) -> Asked<'a> {
        Box::pin(async move {
            match url.path().starts_with("/private") {
                true => Err(MayNot::Forbidden(
                    "robots.txt, line 2: Disallow: /private".to_owned(),
                )),
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
        self.session_with(&shop.fetcher(), |_| {}).await
    }

    async fn session_with(
        &self,
        fetcher: &Fetcher,
        change: impl FnOnce(&mut SessionOptions),
    ) -> Session {
        let mut options = options();
        change(&mut options);
        let session = self.browsers.session(fetcher, options).await;
        // These tests need a Chromium, and say how to get one.
        session.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn options() -> SessionOptions {
    SessionOptions {
        rules: Arc::new(Robots),
        pace: pace(f64::INFINITY, 64),
        cookies: Some(CookieJar::new()),
        pages_max: 1_000,
    }
}

fn pace(rate_per_s: f64, concurrency: u32) -> Arc<Pace> {
    Pace::new(PaceSettings {
        rate_per_s,
        concurrency,
        ..PaceSettings::default()
    })
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
