//! Pages that build themselves by script, where the pipe asks for a browser:
//! what came is given to one, and what it makes of it is read instead.
//!
//! How a browser is held is `render`'s business; here are the rules of the
//! crawl for what a page's scripts ask for.

use std::sync::Arc;

use trawler_core::site::{Render, SiteOptions};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::chain;
use trawler_net::{CookieJar, Fetcher, Validators};
use url::Url;

use super::super::url::CanonicalUrl;
use super::kind::Outcome;
use super::permission::{Permission, Permissions};
use super::visitor::{Answer, Visitor};
use crate::crawler::Crawler;
use crate::render::{
    Asked, BUILT_TYPE, Built as BuiltPage, Document, MayNot, PageRules, RenderError, Rendered,
    Session, SessionOptions,
};

/// What building a page gave.
pub(super) enum Built {
    Answer(Answer),
    /// A script wants to be elsewhere; judged as any redirect.
    Moved(Url),
}

/// Why a page that a browser has built may show less than it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) why: String,
    /// Whether the shop itself is in the way, and not one of the others whom
    /// its pages ask, most of which have nothing to do with its products.
    pub(super) is_of_shop: bool,
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
            let url = url.ok_or_else(|| {
                MayNot::Forbidden("it is no URL that can be asked for".to_owned())
            })?;
            match self.0.of(&url).await {
                Permission::Granted => Ok(()),
                Permission::Denied(why) => Err(MayNot::Forbidden(why)),
                Permission::Unknown(why) => Err(MayNot::Unknown(why)),
            }
        })
    }
}

/// Requests that a page may cost a host over a whole crawl, for the budget:
/// with its redirects and retries, or with all that its scripts ask for.
pub(super) fn requests_a_page(render: Render) -> u64 {
    match render {
        Render::None => 2,
        // A shop's page makes 20 to 200, most of which a browser keeps.
        Render::Chromium => 100,
    }
}

/// The browsers for a crawl whose pipe asks for them.
pub(super) async fn session(
    crawler: &Crawler,
    site: &SiteOptions,
    fetcher: &Fetcher,
    permissions: &Arc<Permissions>,
    cookies: Option<&Arc<CookieJar>>,
) -> Result<Option<Session>, Ending> {
    match site.render {
        Render::None => Ok(None),
        Render::Chromium => {
            let options = SessionOptions {
                rules: Arc::new(ScriptRules(Arc::clone(permissions))),
                pace: Arc::clone(&permissions.pace),
                cookies: cookies.cloned(),
                pages_max: site.limits.pages_max,
            };
            let opened = crawler.browsers.session(fetcher, options).await;
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
                doubt: Doubt::of(&built, |host| self.rules.links.is_host(host)),
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

impl Doubt {
    /// Of a page, if there is any; `is_shop` says whose hosts are the shop's.
    fn of(built: &BuiltPage, is_shop: impl Fn(&str) -> bool) -> Option<Self> {
        if !built.is_settled {
            return Some(Self {
                why: "its scripts had not come to rest when its time was up".to_owned(),
                is_of_shop: true,
            });
        }
        let is_shop = |url: &Url| url.host_str().is_some_and(&is_shop);
        let own = built.broken.iter().find(|broken| is_shop(&broken.url));
        let told = own.or(built.broken.first())?;
        let (count, url) = (built.broken.len(), trawler_net::shown(&told.url));
        Some(Self {
            why: format!(
                "{count} request(s) of its scripts failed, such as {url}: {}",
                told.why
            ),
            is_of_shop: own.is_some(),
        })
    }

    /// Whether a page is not believed to have no product: where the shop itself
    /// was in the way, or the last complete run saw one there.
    pub(super) fn counts(&self, outcome: Outcome, had_products: impl FnOnce() -> bool) -> bool {
        let shows_none = matches!(outcome, Outcome::NoProduct | Outcome::SoftGone);
        shows_none && (self.is_of_shop || had_products())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::render::Broken;

    fn built(is_settled: bool, broken: &[&str]) -> BuiltPage {
        let broken = broken.iter().map(|url| Broken {
            url: Url::parse(url).unwrap(),
            why: "status 503".to_owned(),
        });
        BuiltPage {
            html: String::new(),
            requests: 1,
            refused: 0,
            is_settled,
            broken: broken.collect(),
        }
    }

    /// A page without a product: whether it counts as one, if it was none
    /// before, and if it was one.
    #[test]
    fn a_page_that_may_show_less_than_it_has_is_not_taken_for_one_without_a_product() {
        let check = |built: BuiltPage, expected: [bool; 2]| {
            let doubt = Doubt::of(&built, |host| host == "shop.test");
            let counts = [false, true].map(|had| {
                let doubt = doubt.as_ref();
                doubt.is_some_and(|doubt| doubt.counts(Outcome::NoProduct, || had))
            });
            assert_eq!(counts, expected, "{built:?}");
            let with_one = doubt.is_some_and(|doubt| doubt.counts(Outcome::Product, || true));
            assert!(!with_one, "{built:?}");
        };
        let (shop, other) = ("https://shop.test/api", "https://tracker.test/x");
        check(built(true, &[]), [false, false]);
        check(built(false, &[]), [true, true]);
        check(built(true, &[other, shop]), [true, true]);
        check(built(true, &[other]), [false, true]);
        let doubt = Doubt::of(&built(true, &[other, shop]), |host| host == "shop.test");
        assert_eq!(
            doubt.unwrap().why,
            "2 request(s) of its scripts failed, such as https://shop.test/api: status 503"
        );
    }
}
