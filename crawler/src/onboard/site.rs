//! A shop's site, looked at by about ten requests: what robots.txt says, where
//! sitemaps are, and what a few product pages say of what they sell.
//!
//! Nothing that robots.txt forbids is asked for, one request follows the other
//! at [`PACE`] or the file's own delay, and a page is read as a crawl reads it.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;
use trawler_core::product::Currency;
use trawler_net::{FetchClass, Fetched, Fetcher, Prefix, Response};
use url::Url;

use super::error::OnboardError;
use super::feed::Finding;
use super::look::{fetch_of_site, shown};
use super::pages::{PageSeen, is_korean, page_seen, read};
use super::paths::{is_called_after_products, is_of, part_patterns, product_patterns};
use super::shown::plain;
use crate::page::PageKind;
use crate::site::robots::{self, Access, Availability};
use crate::site::sitemap::{self, Entry, SitemapLimits};

/// Between two requests, where robots.txt asks for no longer.
const PACE: Duration = Duration::from_millis(500);

/// A delay that is waited for between two requests; where robots.txt asks for
/// more, one page has to do.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// Sitemaps and parts of sitemaps that are read.
const SITEMAPS_MAX: usize = 4;

/// URLs that are taken of all sitemaps together.
const URLS_MAX: usize = 5_000;

/// Pages that are looked at.
const PAGES_MAX: usize = 4;

/// What a pipe has to say about a site, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteDraft {
    pub home: Url,
    pub findings: Vec<Finding>,
    pub remarks: Vec<String>,
    pub pages: Vec<PageSeen>,
    /// Whether sitemaps lead to pages; else links are followed.
    pub has_sitemaps: bool,
    pub currency: Option<Currency>,
    /// Whether pages seem to be empty until a script has run.
    pub wants_browser: bool,
    /// Paths that the products among the pages have in common, as patterns.
    pub product_patterns: Vec<String>,
    /// Parts of a sitemap index that are called after products, as patterns.
    pub part_patterns: Vec<String>,
    pub is_korean: bool,
}

/// A survey whose robots.txt is known.
pub(super) struct Survey<'f> {
    fetcher: &'f Fetcher,
    user_agent: &'f str,
    access: Access,
    delay: Duration,
    draft: SiteDraft,
}

impl<'f> Survey<'f> {
    /// Asks for robots.txt, and refuses what it forbids.
    pub(super) async fn begin(
        fetcher: &'f Fetcher,
        user_agent: &'f str,
        url: &Url,
    ) -> Result<Self, OnboardError> {
        let (access, why) = robots_of(fetcher, url).await?;
        let decision = access.decide(user_agent, url.as_str());
        let place = shown(url);
        if access.availability() == Availability::Unreachable {
            return Err(OnboardError::RobotsUnreachable { place, why });
        }
        if !decision.allowed {
            let line = decision
                .line
                .map_or(String::new(), |line| format!("line {line}: "));
            let rule = plain(&decision.rule.unwrap_or_default());
            return Err(OnboardError::Denied {
                place,
                rule: format!("{line}{rule}"),
            });
        }
        let mut survey = Self {
            fetcher,
            user_agent,
            delay: decision.crawl_delay.unwrap_or_default(),
            access,
            draft: SiteDraft {
                home: url.clone(),
                findings: Vec::new(),
                remarks: Vec::new(),
                pages: Vec::new(),
                has_sitemaps: false,
                currency: None,
                wants_browser: false,
                product_patterns: Vec::new(),
                part_patterns: Vec::new(),
                is_korean: url.host_str().is_some_and(|host| host.ends_with(".kr")),
            },
        };
        survey.tell_robots();
        Ok(survey)
    }

    /// Looks on from the page that came.
    pub(super) async fn run(
        &mut self,
        asked: &Url,
        home: Response<Prefix>,
    ) -> Result<SiteDraft, OnboardError> {
        let is_shop = |url: &Url| is_of(asked, url);
        if !is_shop(&home.url) {
            self.draft.remarks.push(format!(
                "{} leads to another host, {}, which is taken for the shop's",
                shown(asked),
                shown(&home.url)
            ));
            self.draft.home = home.url.clone();
        }
        let (report, links, is_scripted) = read(&home).await?;
        match report.kind {
            PageKind::Blocked | PageKind::SoftNotFound => {
                return Err(OnboardError::NoSite {
                    place: shown(&home.url),
                    what: report.kind.words(),
                });
            }
            PageKind::Login => self.draft.remarks.push(
                "the page asks for a login; what only customers see is not collected".to_owned(),
            ),
            PageKind::Product | PageKind::Listing | PageKind::Other => {}
        }
        self.draft.is_korean |= is_korean(&home.body.bytes, report.charset);
        self.found(
            "charset",
            format!("{} (told anew of every page)", report.charset),
        );
        let mut urls = self.sitemap_urls().await;
        self.draft.has_sitemaps = !urls.is_empty();
        if urls.is_empty() {
            self.draft.remarks.push(
                "no sitemap leads to pages: links are followed from the home page, which asks for \
                 many pages that sell nothing. Ask the shop for a sitemap, or name its categories \
                 in [[site.categories]]"
                    .to_owned(),
            );
            urls = links;
        }
        let candidates = self.candidates(urls);
        if candidates.is_empty() && is_scripted {
            self.draft.wants_browser = true;
        }
        self.look_at_pages(candidates).await;
        self.conclude();
        Ok(self.draft.clone())
    }

    fn found(&mut self, what: &'static str, found: String) {
        self.draft.findings.push(Finding { what, found });
    }

    fn tell_robots(&mut self) {
        let mut words = match self.access.availability() {
            Availability::Found => "read; it lets us in".to_owned(),
            Availability::Unavailable | Availability::Unreachable => {
                "there is none, which allows everything".to_owned()
            }
        };
        if !self.delay.is_zero() {
            words += &format!(
                "; asks for {} s between two requests",
                self.delay.as_secs_f64()
            );
        }
        self.found("robots.txt", words);
        if self.delay > DELAY_MAX {
            self.draft.remarks.push(format!(
                "robots.txt asks for {} s between two requests: a day has room for {} pages, and \
                 only one was looked at",
                self.delay.as_secs_f64(),
                (86_400.0 / self.delay.as_secs_f64()) as u64
            ));
        }
    }

    fn may(&self, url: &Url) -> bool {
        self.access.decide(self.user_agent, url.as_str()).allowed
    }

    async fn get(&self, url: &Url) -> Result<Response<Prefix>, OnboardError> {
        let interval = self.delay.clamp(PACE, DELAY_MAX);
        fetch_of_site(self.fetcher, url, interval).await
    }

    /// Pages that sitemaps name, up to [`URLS_MAX`].
    async fn sitemap_urls(&mut self) -> Vec<Url> {
        let home = self.draft.home.clone();
        let named = self.access.sitemaps().iter();
        let mut files: Vec<Url> = named
            .filter_map(|named| home.join(named.trim()).ok())
            .collect();
        let is_guessed = files.is_empty();
        if is_guessed {
            files.extend(home.join("/sitemap.xml"));
        }
        let known = files.len();
        let (mut urls, mut parts, mut read, mut at) = (Vec::new(), 0_usize, 0_usize, 0_usize);
        let mut troubles = Vec::new();
        while at < files.len() && read < SITEMAPS_MAX && urls.len() < URLS_MAX {
            let file = files[at].clone();
            at += 1;
            if is_guessed && !self.may(&file) {
                continue;
            }
            read += 1;
            let response = match self.get(&file).await {
                Ok(response) => response,
                Err(_) if is_guessed && at == 1 => break,
                Err(error) => {
                    troubles.push(format!("{}: {}", shown(&file), told(&error)));
                    continue;
                }
            };
            let (pages, mut below, trouble) = entries(response.body, URLS_MAX - urls.len()).await;
            urls.extend(pages);
            troubles.extend(trouble.map(|why| format!("{}: {why}", shown(&file))));
            parts += below.len();
            // Those that are called after products first.
            below.sort_by_key(|url| !is_called_after_products(url));
            self.draft.part_patterns = part_patterns(&below);
            files.extend(below.into_iter().take(SITEMAPS_MAX));
        }
        let words = match (is_guessed, urls.len()) {
            (true, 0) => "robots.txt names none, and /sitemap.xml is none".to_owned(),
            (false, 0) => format!("robots.txt names {known}, which lead to no page"),
            (_, pages) => format!(
                "{known} {}, {parts} part(s); {pages}{} page(s) in the {read} that were read",
                if is_guessed {
                    "at /sitemap.xml"
                } else {
                    "named by robots.txt"
                },
                if pages >= URLS_MAX { " or more" } else { "" },
            ),
        };
        self.found("sitemaps", words);
        for trouble in troubles {
            self.draft.remarks.push(format!("sitemap {trouble}"));
        }
        urls
    }

    /// A few pages of the shop that may be asked for, those that are called
    /// after products before others.
    fn candidates(&mut self, urls: Vec<Url>) -> Vec<Url> {
        let all = urls.len();
        let urls: Vec<Url> = urls
            .into_iter()
            .filter(|url| is_of(&self.draft.home, url))
            .collect();
        let ours = urls.len();
        let mut urls: Vec<Url> = urls.into_iter().filter(|url| self.may(url)).collect();
        if ours < all {
            self.draft.remarks.push(format!(
                "{} of {all} pages are on other hosts and left out; if they are the shop's, name \
                 the hosts in site.hosts",
                all - ours
            ));
        }
        if urls.len() < ours {
            self.draft.remarks.push(format!(
                "robots.txt forbids {} of {ours} pages, which are not collected",
                ours - urls.len()
            ));
        }
        let mut seen = std::collections::HashSet::new();
        urls.retain(|url| url.path() != "/" && seen.insert(url.clone()));
        let likely: Vec<Url> = urls
            .iter()
            .filter(|url| is_called_after_products(url))
            .cloned()
            .collect();
        let from = if likely.is_empty() { urls } else { likely };
        let wanted = if self.delay > DELAY_MAX { 1 } else { PAGES_MAX };
        let step = from.len().div_ceil(wanted).max(1);
        from.into_iter().step_by(step).collect()
    }

    async fn look_at_pages(&mut self, urls: Vec<Url>) {
        let mut products = Vec::new();
        let mut scripted = 0;
        for url in urls {
            let answer = match self.get(&url).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.draft
                        .remarks
                        .push(format!("{}: {}", shown(&url), told(&error)));
                    continue;
                }
            };
            let Ok((report, _, is_scripted)) = read(&answer).await else {
                continue;
            };
            self.draft.is_korean |= is_korean(&answer.body.bytes, report.charset);
            let seen = page_seen(&report);
            scripted += usize::from(seen.products == 0 && is_scripted);
            if seen.products > 0 {
                products.push(url);
                let money = report
                    .product
                    .as_ref()
                    .and_then(|product| product.price.as_ref());
                let currency = money.map(|money| money.value.currency);
                self.draft.currency = self.draft.currency.or(currency);
            }
            self.draft.pages.push(seen);
        }
        self.draft.wants_browser |= products.is_empty() && scripted > 0;
        self.draft.product_patterns = product_patterns(&products);
    }

    fn conclude(&mut self) {
        let draft = &mut self.draft;
        let with = draft.pages.iter().filter(|page| page.products > 0).count();
        let mut rules: Vec<&str> = draft
            .pages
            .iter()
            .flat_map(|page| &page.rules)
            .map(String::as_str)
            .collect();
        rules.sort_unstable();
        rules.dedup();
        let words = match with {
            0 => format!("none on the {} page(s) looked at", draft.pages.len()),
            _ => format!(
                "on {with} of {} page(s), by {}",
                draft.pages.len(),
                rules.join(", ")
            ),
        };
        draft.findings.push(Finding {
            what: "products",
            found: words,
        });
        if draft.wants_browser {
            draft.remarks.push(
                "pages seem to be empty until a script has run; site.render = \"chromium\" builds \
                 them in a browser, which costs far more. Look for a feed or a JSON endpoint first"
                    .to_owned(),
            );
        } else if with == 0 {
            draft.remarks.push(
                "no product was found on the pages looked at; `trawler try page` with the address \
                 of a product shows what is missing, and [site.extract.fields] takes selectors"
                    .to_owned(),
            );
        }
        if with > 0 && rules.iter().all(|rule| matches!(*rule, "html" | "state")) {
            draft.remarks.push(
                "pages have no structured data: fields come from state of scripts or from plain \
                 HTML, and may be wrong. Compare `trawler try page` with the page, and give \
                 selectors in [site.extract.fields]"
                    .to_owned(),
            );
        }
        let mut missing: Vec<&str> = draft
            .pages
            .iter()
            .filter(|page| page.products > 0)
            .flat_map(|page| page.missing.iter().copied())
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            draft.remarks.push(format!(
                "on at least one page of a product nothing says its {}",
                missing.join(", ")
            ));
        }
        if with > 0 && draft.currency.is_none() && draft.is_korean {
            draft.currency = Some(Currency::KRW);
            draft.remarks.push(
                "no page names a currency; KRW is a guess by language and address: look at it"
                    .to_owned(),
            );
        }
    }
}

async fn robots_of(fetcher: &Fetcher, url: &Url) -> Result<(Access, String), OnboardError> {
    let Ok(file) = url.join("/robots.txt") else {
        return Ok((Access::Unreachable, "the address has no host".to_owned()));
    };
    let request = robots::request(&file).map_err(OnboardError::fetch)?;
    match fetcher.fetch_bytes(&request).await {
        Ok(Fetched::Body(response)) => Ok((Access::of(Ok(&response.body)), String::new())),
        Ok(Fetched::NotModified(_)) => Ok((Access::Unreachable, "it answered 304".to_owned())),
        // That we ourselves refuse to ask is no answer of a host.
        Err(error) if error.class() == FetchClass::RefusedAddress => {
            Err(OnboardError::fetch(error))
        }
        Err(error) => Ok((Access::of(Err(error.fault())), trawler_fleet::chain(&error))),
    }
}

/// What an error says, with what is under it.
fn told(error: &OnboardError) -> String {
    plain(&trawler_fleet::chain(error))
}

/// Pages and parts that a sitemap names, and what is wrong with it.
async fn entries(body: Prefix, urls_max: usize) -> (Vec<Url>, Vec<Url>, Option<String>) {
    let reading = tokio::task::spawn_blocking(move || {
        let limits = SitemapLimits {
            bytes_max: 64 << 20,
            urls_max: 1_000_000,
        };
        let (mut pages, mut parts) = (Vec::new(), Vec::new());
        let summary = sitemap::read(&body.bytes[..], &limits, 0, |entry| {
            match entry {
                Entry::Page { loc, .. } => pages.extend(Url::parse(loc)),
                Entry::Part { loc, .. } => parts.extend(Url::parse(loc)),
            }
            match pages.len() + parts.len() >= urls_max {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let trouble = match summary {
            // A part of a file ends in the middle.
            Err(error) if body.is_whole => Some(trawler_fleet::chain(&error)),
            Ok(_) | Err(_) => None,
        };
        (pages, parts, trouble)
    });
    let ended = |_| {
        (
            Vec::new(),
            Vec::new(),
            Some("reading it ended early".to_owned()),
        )
    };
    reading.await.unwrap_or_else(ended)
}
