//! The browsers as one crawl has them: its way to the network, its rules.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use trawler_net::{
    CookieJar, Fetcher, Pace, Ruling as TunnelRuling, Secret, Tunnel, TunnelAsk, TunnelFigures,
    TunnelRules, TunnelSettings,
};
use url::Url;

use super::page::Building;
use super::settings::BrowserSettings;
use super::turns::Turns;
use super::{Browsers, Document, RenderError, Rendered};

/// Yes, or why not.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<(), MayNot>> + Send + 'a>>;

/// Why something is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MayNot {
    /// It is forbidden, and will be the next time.
    Forbidden(String),
    /// Nobody knows at the moment.
    Unknown(String),
}

impl MayNot {
    pub fn why(&self) -> &str {
        match self {
            Self::Forbidden(why) | Self::Unknown(why) => why,
        }
    }
}

/// What the scripts of a shop's pages may ask for, besides the address policy.
pub trait PageRules: Send + Sync {
    /// Whether `url` may be asked for: what robots.txt of its host says. Must
    /// be cancel-safe.
    fn may_ask<'a>(&'a self, url: &'a Url) -> Asked<'a>;
}

/// A crawl's way to the network: its tunnel, as browsers are told of it.
pub(super) struct Way {
    pub(super) address: SocketAddr,
    pub(super) user: &'static str,
    pub(super) password: Secret,
    pub(super) rules: Arc<dyn PageRules>,
    pub(super) fetcher: Fetcher,
    pub(super) pace: Arc<Pace>,
    pub(super) cookies: Option<Arc<CookieJar>>,
}

/// Builds the pages of one crawl. What browsers kept for it goes with it.
pub struct Session {
    browsers: Arc<Browsers>,
    tunnel: Tunnel,
    way: Arc<Way>,
}

/// What a crawl has for its pages.
pub struct SessionOptions {
    pub rules: Arc<dyn PageRules>,
    /// In which the requests of pages take their turns.
    pub pace: Arc<Pace>,
    /// Lent to every page and taken back; `None` is no cookies from one page to
    /// the next.
    pub cookies: Option<Arc<CookieJar>>,
    /// Pages in all: bounds the bytes of the tunnel.
    pub pages_max: u64,
}

/// The same rules for what passes the tunnel in the open. What is encrypted is
/// judged in the browser, before it is sent.
struct Open(Arc<dyn PageRules>);

impl TunnelRules for Open {
    fn judge<'a>(&'a self, ask: &'a TunnelAsk) -> TunnelRuling<'a> {
        match ask {
            TunnelAsk::Plain { url, .. } => Box::pin(async move {
                let asked = self.0.may_ask(url).await;
                asked.map_err(|may_not| may_not.why().to_owned())
            }),
            TunnelAsk::Connect { .. } => Box::pin(async { Ok(()) }),
        }
    }
}

impl Session {
    pub(super) async fn open(
        browsers: Arc<Browsers>,
        fetcher: &Fetcher,
        options: SessionOptions,
    ) -> Result<Self, RenderError> {
        let settings = tunnel_settings(browsers.settings(), options.pages_max);
        let open = Arc::new(Open(Arc::clone(&options.rules)));
        let tunnel = fetcher.tunnel(settings, Some(open)).await;
        let tunnel = tunnel.map_err(RenderError::Tunnel)?;
        let way = Arc::new(Way {
            address: tunnel.address(),
            user: tunnel.user(),
            password: tunnel.password().clone(),
            rules: options.rules,
            fetcher: fetcher.clone(),
            pace: options.pace,
            cookies: options.cookies,
        });
        Ok(Self {
            browsers,
            tunnel,
            way,
        })
    }

    /// Builds a page: runs its scripts until nothing more is on its way.
    /// Waits for a browser first. Dropped half-way, the browser is ended.
    pub async fn render(&self, document: &Document) -> Result<Rendered, RenderError> {
        let mut lease = self.browsers.lease(&self.way).await?;
        let settings = self.browsers.settings();
        let opened = lease.browser().page(&self.way).await?;
        let building = Building {
            page: &opened.page,
            document,
            way: &self.way,
            settings,
            tunnel: &self.tunnel,
            turns: Turns::new(&self.way, &opened.cached),
        };
        let browser = lease.browser();
        let built = match building.build(&mut browser.process).await {
            Ok(rendered) => {
                let put_away = browser.put_away(&opened, &self.way).await;
                put_away.map(|()| rendered)
            }
            Err(error) => Err(error),
        };
        match built {
            Ok(rendered) => {
                lease.give_back();
                Ok(rendered)
            }
            // What is left of a page that failed is not known.
            Err(error) => {
                lease.end().await;
                Err(error)
            }
        }
    }

    /// What the browsers have asked the network for.
    pub fn figures(&self) -> TunnelFigures {
        self.tunnel.figures()
    }

    /// What was refused lately, with reasons.
    pub fn refused(&self) -> Vec<String> {
        let entries = self.tunnel.log().into_iter();
        let refused = entries.filter_map(|entry| {
            let why = entry.refused?;
            Some(format!("{}: {why}", entry.asked))
        });
        refused.collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.browsers.one_less();
    }
}

fn tunnel_settings(settings: &BrowserSettings, pages_max: u64) -> TunnelSettings {
    TunnelSettings {
        bytes_max: settings.page_traffic_max.saturating_mul(pages_max),
        // Kept open over many pages.
        connection_bytes_max: settings.page_traffic_max.saturating_mul(16),
        ..TunnelSettings::default()
    }
}
