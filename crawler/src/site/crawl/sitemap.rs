//! A sitemap: asked for, and read from disk while its entries go to the
//! frontier in batches.

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use trawler_fleet::chain;
use trawler_net::{Fetched, Limits};

use super::super::frontier::Entry;
use super::super::links::LinkVerdict;
use super::super::sitemap::{self, SitemapError, SitemapLimits, Summary};
use super::super::url::CanonicalUrl;
use super::facts::Facts;
use super::kind::{Kind, Outcome};
use super::left_urls::LeftUrls;
use super::site_rules::SiteRules;
use super::start::{GUESSED, NAMED, PART};
use super::visit::{Done, Find, Visit};
use super::visitor::{Meaning, Visitor, told};

/// Entries that are handed over at once.
const BATCH: usize = 1_000;

/// Redirects of one sitemap.
const HOPS_MAX: u32 = 5;

impl Visitor {
    pub(super) async fn visit_sitemap(
        &self,
        entry: &Entry,
        url: &CanonicalUrl,
        finds: &mpsc::Sender<Vec<Find>>,
    ) -> Visit {
        let facts = || Facts::of(url.as_str());
        // The question also tells the pace of the host. A sitemap that the
        // partner or the pipe names is there to be read, whatever the answer.
        if let Some((outcome, why)) = self.forbidden(url).await
            && entry.source != NAMED
        {
            let outcome = match (outcome, entry.source) {
                (Outcome::DeniedUnknown, _) => Outcome::DeniedUnknown,
                (_, GUESSED) => Outcome::ListAbsent,
                (_, _) => Outcome::ListBroken,
            };
            return Visit::done(Done::of(outcome, facts().because(&why)));
        }
        let path = self.scratch.join(file_name(url));
        let bytes_down = match self.download(url, &path).await {
            Ok(bytes_down) => bytes_down,
            Err(error) => {
                let why = told(&error, "limits.sitemap_bytes_max");
                return match Meaning::of(&error) {
                    Meaning::Gone | Meaning::Blocked if entry.source == GUESSED => {
                        Visit::done(Done::of(Outcome::ListAbsent, facts().because(&why)))
                    }
                    Meaning::Gone | Meaning::Blocked | Meaning::Failed => {
                        Visit::done(Done::of(Outcome::ListBroken, facts().because(&why)))
                    }
                    Meaning::Again => Visit::Again { why },
                    Meaning::Resting(wait) => Visit::Resting { wait, why },
                };
            }
        };
        let read = self.read_sitemap(entry, &path, finds).await;
        if let Err(error) = tokio::fs::remove_file(&path).await {
            tracing::debug!(%error, "a sitemap that was read stays at {}", path.display());
        }
        let visit = match read {
            Ok((summary, left)) => {
                let facts = match left.words() {
                    Some(words) => facts().noting(&words),
                    None => facts(),
                };
                Visit::done(self.summed_up(facts, &summary))
            }
            Err(Unread::Sitemap(error)) => {
                let why = chain(&error);
                match &error {
                    SitemapError::Html | SitemapError::NotASitemap { .. }
                        if entry.source == GUESSED =>
                    {
                        Visit::done(Done::of(Outcome::ListAbsent, facts().because(&why)))
                    }
                    _ if error.is_transient() => Visit::Again { why },
                    _ => Visit::done(Done::of(Outcome::ListBroken, facts().because(&why))),
                }
            }
            Err(Unread::Here(why)) => Visit::Again { why },
        };
        match visit {
            Visit::Done(mut done) => {
                done.bytes_down = bytes_down;
                Visit::Done(done)
            }
            other => other,
        }
    }

    async fn download(
        &self,
        url: &CanonicalUrl,
        path: &Path,
    ) -> Result<u64, trawler_net::FetchError> {
        let limits = Limits {
            raw_bytes_max: self.limits.sitemap_bytes_max,
            decoded_bytes_max: self.limits.sitemap_bytes_max,
            redirects_max: HOPS_MAX,
            timeouts: self.timeouts,
        };
        let request = self.request(&url.to_url())?.limits(limits);
        match self.fetcher.fetch_to_file(&request, path).await? {
            Fetched::Body(response) => Ok(response.raw_bytes),
            Fetched::NotModified(_) => Ok(0),
        }
    }

    /// On a thread of its own.
    async fn read_sitemap(
        &self,
        entry: &Entry,
        path: &Path,
        finds: &mpsc::Sender<Vec<Find>>,
    ) -> Result<(Summary, LeftUrls), Unread> {
        let reading = Reading {
            rules: Arc::clone(&self.rules),
            home: self.rules.home.clone(),
            above: u32::from(entry.depth),
            finds: finds.clone(),
            batch: Vec::new(),
            left: LeftUrls::default(),
        };
        let (path, limits) = (path.to_owned(), SitemapLimits::from(&self.limits));
        let work = tokio::task::spawn_blocking(move || reading.read(&path, &limits)).await;
        work.unwrap_or_else(|error| Err(Unread::Here(format!("read a sitemap: {error}"))))
    }

    /// Entries that name nothing may be products; a few are the partner's
    /// slips, as pages that fail are.
    fn summed_up(&self, facts: Facts, summary: &Summary) -> Done {
        if summary.bad == 0 {
            return Done::of(Outcome::ListRead, facts);
        }
        let all = summary.pages + summary.parts + summary.bad;
        let example = summary.bad_entries.first().map_or(String::new(), |bad| {
            format!(", such as at byte {}: {}", bad.offset, bad.why)
        });
        let why = format!("{} of {all} entries name nothing{example}", summary.bad);
        let outcome = match summary.bad as f64 <= all as f64 * self.limits.max_error_share {
            true => Outcome::ListRead,
            false => Outcome::ListBroken,
        };
        Done::of(outcome, facts.because(&why))
    }
}

/// Why a sitemap was not read to its end.
enum Unread {
    Sitemap(SitemapError),
    /// Our own disk or thread.
    Here(String),
}

struct Reading {
    rules: Arc<SiteRules>,
    home: CanonicalUrl,
    above: u32,
    finds: mpsc::Sender<Vec<Find>>,
    batch: Vec<Find>,
    left: LeftUrls,
}

impl Reading {
    fn read(mut self, path: &Path, limits: &SitemapLimits) -> Result<(Summary, LeftUrls), Unread> {
        let open = |error| Unread::Here(format!("open {}: {error}", path.display()));
        let file = BufReader::new(File::open(path).map_err(open)?);
        let rules = Arc::clone(&self.rules);
        let home = self.home.to_url();
        let mut names = rules.canonical.resolver(&home, None);
        let above = self.above;
        let read = sitemap::read(file, limits, above, |entry| {
            let (loc, lastmod, is_page) = match entry {
                sitemap::Entry::Page { loc, lastmod } => (loc, lastmod, true),
                sitemap::Entry::Part { loc, lastmod } => (loc, lastmod, false),
            };
            let Ok(url) = names.resolve(loc) else {
                return ControlFlow::Continue(());
            };
            let verdict = match is_page {
                true => rules.links.decide_listed(&url),
                false if rules.wants_part(&url) => LinkVerdict::Follow,
                false => return ControlFlow::Continue(()),
            };
            if let LinkVerdict::Leave(why) = verdict {
                self.left.note(why, &url);
                return ControlFlow::Continue(());
            }
            self.batch.push(Find {
                kind: if is_page { Kind::Page } else { Kind::Sitemap },
                url: url.into(),
                // Of a sitemap: the indexes above it.
                depth: if is_page { 0 } else { depth_below(above) },
                source: if is_page { 0 } else { PART },
                page: 0,
                lastmod: lastmod.map(|lastmod| lastmod.unix_s()),
                is_counted: false,
            });
            match self.batch.len() >= BATCH && !self.hand_over() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        // What was named before an error is right.
        let is_wanted = self.hand_over();
        match read {
            Ok(_) if !is_wanted => Err(Unread::Here("nobody waits for it any more".to_owned())),
            Ok(summary) => Ok((summary, self.left)),
            Err(error) => Err(Unread::Sitemap(error)),
        }
    }

    /// `false` when nobody wants more.
    fn hand_over(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        batch.is_empty() || self.finds.blocking_send(batch).is_ok()
    }
}

fn depth_below(above: u32) -> u16 {
    u16::try_from(above + 1).unwrap_or(u16::MAX)
}

fn file_name(url: &CanonicalUrl) -> String {
    let hash = super::super::disk::digest(0, url.as_str().as_bytes());
    format!("sitemap-{hash:016x}")
}
