//! Asks for one entry of the frontier: whether it may, how, and what the
//! answer means. Many visits share one visitor.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use trawler_core::ports::Clock;
use trawler_core::site::SiteLimits;
use trawler_fleet::chain;
use trawler_net::{
    CookieJar, Fault, FetchClass, FetchError, Fetched, Fetcher, Limits, Pace, Request, Response,
    StatusClass, Target, Timeouts, Validators,
};

use url::Url;

use super::super::frontier::Entry;
use super::super::url::CanonicalUrl;
use super::facts::Facts;
use super::kind::{Kind, Outcome};
use super::known_pages::{Held, KnownPages};
use super::permission::{Permission, Permissions};
use super::rendering::{Built, Doubt};
use super::site_rules::SiteRules;
use super::visit::{Done, Find, Visit};
use crate::credentials::Credentials;
use crate::render::{RenderError, Session};

/// Redirects from one page to the next.
pub(super) const HOPS_MAX: u32 = 5;

/// What all visits of a crawl share.
pub(super) struct Visitor {
    pub(super) fetcher: Fetcher,
    pub(super) pace: Arc<Pace>,
    pub(super) permissions: Arc<Permissions>,
    /// The browsers, where the pipe asks for them.
    pub(super) session: Option<Session>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rules: Arc<SiteRules>,
    pub(super) known: KnownPages,
    pub(super) credentials: Credentials,
    /// Of this crawl; none where the pipe wants none.
    pub(super) cookies: Option<Arc<CookieJar>>,
    pub(super) user_agent: String,
    pub(super) limits: SiteLimits,
    pub(super) timeouts: Timeouts,
    /// A folder for what does not fit into memory.
    pub(super) scratch: PathBuf,
}

/// An answer with a body.
pub(super) struct Answer {
    pub(super) body: Bytes,
    pub(super) content_type: Option<String>,
    pub(super) validators: Validators,
    /// `Set-Cookie`, for a browser.
    pub(super) set_cookies: Vec<String>,
    /// Of a page that a browser has built.
    pub(super) doubt: Option<Doubt>,
    pub(super) bytes_down: u64,
}

/// What kind of answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Page,
    Json,
}

/// What asking for one URL gave.
enum Asked {
    Answer(Answer),
    NotModified,
    /// As the `Location` says, resolved.
    Moved(Url),
}

/// What asking for a page and following it gave.
pub(super) enum Reached {
    Answer {
        /// Where it came from in the end.
        at: CanonicalUrl,
        answer: Answer,
    },
    NotModified,
    Forbidden(Outcome, String),
    /// It leads to where this crawl does not go.
    Away(String),
    /// It leads on and on.
    Lost(String),
    Failed(FetchError),
    /// It came, and a browser could not build it.
    Unbuilt(RenderError),
}

impl Visitor {
    pub(super) async fn visit(&self, entry: &Entry, finds: &mpsc::Sender<Vec<Find>>) -> Visit {
        let Some(kind) = Kind::of_code(entry.kind) else {
            let facts = Facts::of(&entry.url).because("an entry of a later program");
            return Visit::done(Done::of(Outcome::Failed, facts));
        };
        let Some(url) = CanonicalUrl::stored(&entry.url) else {
            let facts = Facts::of(&entry.url).because("no URL");
            return Visit::done(Done::of(Outcome::Failed, facts));
        };
        match kind {
            Kind::Page => self.visit_page(entry, &url).await,
            Kind::Sitemap => self.visit_sitemap(entry, &url, finds).await,
            Kind::Category | Kind::Json => self.visit_list(entry, &url, kind).await,
        }
    }

    /// Asks for a page of the shop and follows it, within the shop: robots.txt
    /// and the hosts of the pipe are asked about every hop.
    pub(super) async fn reach(
        &self,
        start: &CanonicalUrl,
        held: Option<Held>,
        wants: Wants,
    ) -> Reached {
        let (mut at, mut address) = (start.clone(), start.to_url());
        for _ in 0..=HOPS_MAX {
            if let Some((outcome, why)) = self.forbidden(&at).await {
                return Reached::Forbidden(outcome, why);
            }
            // A page that builds itself may be another though it came the same.
            let held = held
                .as_ref()
                .filter(|held| held.at == at && self.session.is_none());
            let known = held.map(|held| held.validators.clone());
            let to = match self.ask(&address, known.unwrap_or_default(), wants).await {
                Ok(Asked::Answer(answer)) if wants == Wants::Json => {
                    return Reached::Answer { at, answer };
                }
                Ok(Asked::Answer(answer)) => match self.build(&address, answer).await {
                    Ok(Built::Answer(answer)) => return Reached::Answer { at, answer },
                    Ok(Built::Moved(to)) => to,
                    Err(error) => return Reached::Unbuilt(error),
                },
                Ok(Asked::NotModified) => return Reached::NotModified,
                Ok(Asked::Moved(to)) => to,
                Err(error) => return Reached::Failed(error),
            };
            at = match self.rules.canonical.of_url(&to) {
                Ok(name) if self.rules.links.is_site(&name) => name,
                Ok(name) => return Reached::Away(format!("it leads to {name}")),
                Err(refused) => {
                    return Reached::Away(format!("it leads to what is no page: {refused}"));
                }
            };
            // As the server spells it: its own spelling may be one that means
            // the same page here and not there.
            address = to;
        }
        Reached::Lost(format!("more than {HOPS_MAX} redirects, the last to {at}"))
    }

    /// Redirects are told and not followed.
    async fn ask(
        &self,
        address: &Url,
        known: Validators,
        wants: Wants,
    ) -> Result<Asked, FetchError> {
        let limits = Limits {
            raw_bytes_max: self.limits.page_bytes_max,
            decoded_bytes_max: self.limits.page_bytes_max,
            redirects_max: 0,
            timeouts: self.timeouts,
        };
        let mut request = self.request(address)?.limits(limits).validators(known);
        if wants == Wants::Page {
            request = request.accept_pages();
        }
        match self.fetcher.fetch_bytes(&request).await {
            Ok(Fetched::Body(response)) => Ok(Asked::Answer(Answer {
                content_type: response.content_type().map(str::to_owned),
                set_cookies: match self.session {
                    Some(_) => set_cookies(&response),
                    None => Vec::new(),
                },
                doubt: None,
                validators: response.validators,
                bytes_down: response.raw_bytes,
                body: response.body,
            })),
            Ok(Fetched::NotModified(_)) => Ok(Asked::NotModified),
            Err(error) => match error.fault() {
                Fault::TooManyRedirects { to, .. } => Ok(Asked::Moved(to.url().clone())),
                _ => Err(error),
            },
        }
    }

    /// A request with all that the pipe sends.
    pub(super) fn request(&self, address: &Url) -> Result<Request, FetchError> {
        let mut request = Request::get_url(address)?;
        if self.is_home(address) {
            request = self
                .credentials
                .on(request)
                .expect("tried out before the crawl began");
        }
        let request = request
            .user_agent(&self.user_agent)
            .expect("tried out before the crawl began");
        let request = request.pace(Arc::clone(&self.pace));
        Ok(match &self.cookies {
            Some(jar) => request.cookies(Arc::clone(jar)),
            None => request,
        })
    }

    /// Whether it is the place that the pipe's credentials are for: no other of
    /// the shop's hosts and ports gets them, nor anybody who listens on the way.
    fn is_home(&self, address: &Url) -> bool {
        let home = Target::checked(self.rules.home_address.clone());
        let address = Target::checked(address.clone());
        matches!((home, address), (Ok(home), Ok(address)) if home.trusts(&address))
    }

    /// Why a page may not be asked for, if so.
    pub(super) async fn forbidden(&self, url: &CanonicalUrl) -> Option<(Outcome, String)> {
        match self.permissions.of(url).await {
            Permission::Granted => None,
            Permission::Denied(why) => Some((Outcome::Denied, why)),
            Permission::Unknown(why) => Some((Outcome::DeniedUnknown, why)),
        }
    }

    /// What is done about a page or list that failed as often as it may.
    pub(super) fn given_up(&self, entry: &Entry, why: &str) -> Done {
        let facts = Facts::of(&entry.url).because(why);
        match Kind::of_code(entry.kind) {
            Some(Kind::Page) | None => self.failed_page(entry, facts, Outcome::Failed),
            Some(Kind::Sitemap | Kind::Category | Kind::Json) => {
                Done::of(Outcome::ListBroken, facts)
            }
        }
    }

    /// A page that did not come keeps the rows that the last complete run saw,
    /// and what it led to: that it failed says nothing of its products.
    pub(super) fn failed_page(&self, entry: &Entry, mut facts: Facts, outcome: Outcome) -> Done {
        let known = self.known.get(&entry.url);
        let mut done = Done::of(outcome, Facts::default());
        if let Some(known) = known {
            done.finds = self.led_to(entry, &known);
            facts.page = Some(known.facts);
            done.rows = known.rows;
        }
        done.facts = facts;
        done
    }
}

/// Those that a browser can be told of.
fn set_cookies(response: &Response<Bytes>) -> Vec<String> {
    let lines = response.headers.get_all("set-cookie").iter();
    lines
        .filter_map(|line| line.to_str().ok().map(str::to_owned))
        .collect()
}

/// What a failed request means for the entry.
pub(super) enum Meaning {
    Gone,
    Blocked,
    Again,
    Failed,
    Resting(std::time::Duration),
}

impl Meaning {
    pub(super) fn of(error: &FetchError) -> Self {
        if let Fault::HostResting { wait, .. } = error.fault() {
            return Self::Resting(*wait);
        }
        match error.class() {
            FetchClass::Status(StatusClass::NotFound | StatusClass::Gone) => Self::Gone,
            FetchClass::Status(StatusClass::Unauthorized | StatusClass::Forbidden) => Self::Blocked,
            FetchClass::Status(StatusClass::TooManyRequests | StatusClass::Server)
            | FetchClass::Dns
            | FetchClass::Connect
            | FetchClass::Timeout
            | FetchClass::Truncated
            | FetchClass::Proxy
            | FetchClass::Cancelled
            | FetchClass::Disk => Self::Again,
            FetchClass::Status(StatusClass::Client)
            | FetchClass::RefusedAddress
            | FetchClass::BadUrl
            | FetchClass::Tls
            | FetchClass::TooLarge
            | FetchClass::TooManyRedirects
            | FetchClass::RedirectLoop
            | FetchClass::HostGivenUp
            | FetchClass::Decode
            | FetchClass::Protocol => Self::Failed,
        }
    }
}

/// The error of a page or list in one line.
pub(super) fn why(error: &FetchError) -> String {
    told(error, "limits.page_bytes_max")
}

/// The error in one line, with the key of the bound where the body was too long.
pub(super) fn told(error: &FetchError, bytes_key: &str) -> String {
    let words = chain(error);
    match error.class() {
        FetchClass::TooLarge => format!("{words}; {bytes_key} is the bound"),
        _ => words,
    }
}
