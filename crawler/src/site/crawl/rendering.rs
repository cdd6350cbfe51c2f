//! Pages that build themselves by script, where the pipe asks for a browser:
//! what came is given to one, and what it makes of it is read instead.
//!
//! How a browser is held is `render`'s business; here are the rules of the
//! crawl for what a page's scripts ask for.

use std::sync::Arc;

use trawler_core::site::{Render, SiteOptions};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::chain;
use trawler_net::{Fetcher, Validators};
use url::Url;

use super::super::url::CanonicalUrl;
use super::permission::{Permission, Permissions};
use super::visitor::{Answer, Visitor};
use crate::crawler::Crawler;
use crate::render::{
    Asked, BUILT_TYPE, Document, PageRules, RenderError, Rendered, Session, SessionBounds,
};

/// What building a page gave.
pub(super) enum Built {
    Answer(Answer),
    /// A script wants to be elsewhere; judged as any redirect.
    Moved(Url),
}

/// robots.txt of every host that a script asks.
struct ScriptRules(Arc<Permissions>);

impl PageRules for ScriptRules {
    fn may_ask<'a>(&'a self, url: &'a Url) -> Asked<'a> {
        Box::pin(async move {
            // As it is, not by the pipe's rules for the names of pages.
            let mut plain = url.clone();
            plain.set_fragment(None);
            let url = CanonicalUrl::stored(plain.as_str());
            let url = url.ok_or_else(|| "it is no URL that can be asked for".to_owned())?;
            match self.0.of(&url).await {
                Permission::Granted => Ok(()),
                Permission::Denied(why) | Permission::Unknown(why) => Err(why),
            }
        })
    }
}

/// The browsers for a crawl whose pipe asks for them.
pub(super) async fn session(
    crawler: &Crawler,
    site: &SiteOptions,
    fetcher: &Fetcher,
    permissions: &Arc<Permissions>,
    keeps_cookies: bool,
) -> Result<Option<Session>, Ending> {
    match site.render {
        Render::None => Ok(None),
        Render::Chromium => {
            let rules = Arc::new(ScriptRules(Arc::clone(permissions)));
            let bounds = SessionBounds {
                pages_max: site.limits.pages_max,
                keeps_cookies,
            };
            let opened = crawler.browsers.session(fetcher, rules, bounds).await;
            opened.map(Some).map_err(|error| {
                Ending::Failed(match error {
                    RenderError::NoChromium(error) => Failure::permanent(error.to_string()),
                    error => Failure::transient(chain(&error)),
                })
            })
        }
    }
}

impl Visitor {
    /// The page that a browser makes of an answer; what is no HTML is as it
    /// came.
    pub(super) async fn build(&self, url: &Url, answer: Answer) -> Result<Built, RenderError> {
        let Some(session) = self.session.as_ref().filter(|_| is_html(&answer)) else {
            return Ok(Built::Answer(answer));
        };
        let document = Document {
            url: url.clone(),
            content_type: answer.content_type,
            set_cookies: answer.set_cookies,
            body: answer.body,
        };
        match session.render(&document).await? {
            Rendered::Moved(to) => Ok(Built::Moved(to)),
            Rendered::Built(built) => Ok(Built::Answer(Answer {
                body: built.html.into_bytes().into(),
                content_type: Some(BUILT_TYPE.to_owned()),
                // They are of what came, and say nothing of what was fetched
                // by its scripts.
                validators: Validators::default(),
                set_cookies: Vec::new(),
                bytes_down: answer.bytes_down,
            })),
        }
    }
}

fn is_html(answer: &Answer) -> bool {
    let content_type = answer.content_type.as_deref().unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "" => answer.body.trim_ascii_start().starts_with(b"<"),
        kind => ["text/html", "application/xhtml+xml"]
            .iter()
            .any(|html| kind.eq_ignore_ascii_case(html)),
    }
}
