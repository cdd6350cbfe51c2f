//! A page that may be a product: asked for, or known to be unchanged, and what
//! it leads to.

use std::sync::Arc;

use trawler_core::site::{LastmodTrust, UnchangedOptions};
use trawler_fleet::chain;

use super::super::frontier::Entry;
use super::super::links::LinkVerdict;
use super::super::url::CanonicalUrl;
use super::facts::{Facts, PageFacts};
use super::kind::{Kind, Outcome};
use super::known_pages::KnownPage;
use super::site_rules::PageRead;
use super::visit::{Done, Find, Visit};
use super::visitor::{Answer, Meaning, Reached, Visitor, Wants, why};

const DAY_S: i64 = 86_400;

impl Visitor {
    pub(super) async fn visit_page(&self, entry: &Entry, url: &CanonicalUrl) -> Visit {
        let known = self.known.get(url.as_str());
        let due = known.as_ref().is_none_or(|known| self.is_due(url, known));
        if let Some(known) = &known
            && !due
            && self.is_unchanged(entry, known)
        {
            return Visit::done(self.as_known(entry, known.clone(), Outcome::Skipped));
        }
        let held = known.as_ref().filter(|_| !due);
        let held = held.map(|known| known.as_held(url));
        let facts = || Facts::of(url.as_str());
        match self.reach(url, held, Wants::Page).await {
            Reached::Answer { at, answer } => self.read_page(entry, url, at, answer).await,
            Reached::NotModified => match known {
                Some(known) => Visit::done(self.as_known(entry, known, Outcome::NotModified)),
                None => self.broken_page(entry, "it answered 304 to a plain request"),
            },
            Reached::Forbidden(outcome, why) => {
                Visit::done(Done::of(outcome, facts().because(&why)))
            }
            // A shop that sends visitors to a login, a notice or another
            // country has not thereby given up its products.
            Reached::Away(why) => {
                let facts = facts().because(&why);
                Visit::done(self.failed_page(entry, facts, Outcome::MovedAway))
            }
            Reached::Lost(why) => self.broken_page(entry, &why),
            Reached::Failed(error) => self.page_error(entry, &Meaning::of(&error), &why(&error)),
            Reached::Unbuilt(error) => {
                let meaning = match error.is_of_page() {
                    true => Meaning::Failed,
                    false => Meaning::Again,
                };
                self.page_error(entry, &meaning, &chain(&error))
            }
        }
    }

    fn page_error(&self, entry: &Entry, meaning: &Meaning, why: &str) -> Visit {
        let facts = || Facts::of(&entry.url).because(why);
        match meaning {
            Meaning::Gone => Visit::done(Done::of(Outcome::Gone, facts())),
            Meaning::Blocked => Visit::done(self.failed_page(entry, facts(), Outcome::Blocked)),
            Meaning::Failed => self.broken_page(entry, why),
            Meaning::Again => Visit::Again {
                why: why.to_owned(),
            },
            Meaning::Resting(wait) => Visit::Resting {
                wait: *wait,
                why: why.to_owned(),
            },
        }
    }

    fn broken_page(&self, entry: &Entry, why: &str) -> Visit {
        let facts = Facts::of(&entry.url).because(why);
        Visit::done(self.failed_page(entry, facts, Outcome::Failed))
    }

    /// Reads a page on a thread of its own.
    async fn read_page(
        &self,
        entry: &Entry,
        url: &CanonicalUrl,
        at: CanonicalUrl,
        answer: Answer,
    ) -> Visit {
        let (rules, depth) = (Arc::clone(&self.rules), entry.depth);
        let (validators, bytes_down) = (answer.validators.clone(), answer.bytes_down);
        let doubt = answer.doubt.clone();
        let also = (at != *url).then(|| at.clone());
        let reading = tokio::task::spawn_blocking(move || rules.read_page(&answer, &at, depth));
        let read = match reading.await {
            Ok(read) => read,
            Err(error) => {
                return self.broken_page(entry, &format!("reading the page failed: {error}"));
            }
        };
        if let Some(doubt) =
            doubt.filter(|doubt| doubt.counts(read.outcome, || self.had_products(url)))
        {
            return Visit::Again { why: doubt.why };
        }
        let PageRead {
            outcome,
            why,
            rows,
            finds,
        } = read;
        let mut facts = Facts::of(url.as_str());
        if let Some(why) = &why {
            facts = facts.because(why);
        }
        let mut done = match outcome {
            Outcome::Blocked => self.failed_page(entry, facts, outcome),
            _ => {
                facts.page = (outcome != Outcome::SoftGone).then(|| PageFacts {
                    lastmod: entry.lastmod,
                    etag: validators.etag,
                    last_modified: validators.last_modified,
                    from: also.as_ref().map(CanonicalUrl::to_string),
                    read_at: self.clock.now().timestamp(),
                    links: finds.iter().map(|find| find.url.clone()).collect(),
                });
                let mut done = Done::of(outcome, facts);
                done.rows = rows;
                done.finds = finds;
                done
            }
        };
        done.bytes_down = bytes_down;
        done.also = also;
        Visit::done(done)
    }

    /// Whether the last complete run saw a product there.
    fn had_products(&self, url: &CanonicalUrl) -> bool {
        let known = self.known.get(url.as_str());
        known.is_some_and(|known| !known.rows.is_empty())
    }

    /// Whether the page has to be read, whatever it says of itself.
    fn is_due(&self, url: &CanonicalUrl, known: &KnownPage) -> bool {
        let now = self.clock.now().timestamp();
        is_due(
            &self.rules.unchanged,
            url.as_str(),
            known.facts.read_at,
            now,
        )
    }

    fn is_unchanged(&self, entry: &Entry, known: &KnownPage) -> bool {
        let trusted = self.rules.unchanged.lastmod == LastmodTrust::Trust;
        trusted && entry.lastmod.is_some() && entry.lastmod == known.facts.lastmod
    }

    /// The page as the last complete run saw it, with all that it led to.
    fn as_known(&self, entry: &Entry, known: KnownPage, outcome: Outcome) -> Done {
        let finds = self.led_to(entry, &known);
        let also = known.came_from();
        let mut page = known.facts;
        page.lastmod = entry.lastmod;
        let mut done = Done::of(
            outcome,
            Facts {
                page: Some(page),
                ..Facts::of(&entry.url)
            },
        );
        done.rows = known.rows;
        done.finds = finds;
        done.also = also;
        done
    }

    /// What a page led to when it was read last, as far as it is followed now.
    pub(super) fn led_to(&self, entry: &Entry, known: &KnownPage) -> Vec<Find> {
        let depth = entry.depth.saturating_add(1);
        let links = known.facts.links.iter().filter_map(|link| {
            let url = CanonicalUrl::stored(link)?;
            let is_counted = match self.rules.links.decide(&url, u32::from(depth)) {
                LinkVerdict::Product => false,
                LinkVerdict::Follow => true,
                LinkVerdict::Leave(_) => return None,
            };
            Some(Find {
                kind: Kind::Page,
                url: url.into(),
                depth,
                source: 0,
                page: 0,
                lastmod: None,
                is_counted,
            })
        });
        links.collect()
    }
}

/// By its age, and once in between on a day that its URL decides, so that the
/// pages of a shop do not come due together.
fn is_due(options: &UnchangedOptions, url: &str, read_at: i64, now: i64) -> bool {
    let days = i64::from(options.recheck_days);
    if days == 0 {
        return true;
    }
    let (today, read) = (now.div_euclid(DAY_S), read_at.div_euclid(DAY_S));
    let own = (super::super::disk::digest(0, url.as_bytes()) % days.unsigned_abs()) as i64;
    let is_own_day = today.rem_euclid(days) == own;
    today - read >= days || (is_own_day && read < today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_read_once_in_so_many_days_and_not_all_on_one() {
        let options = UnchangedOptions {
            recheck_days: 7,
            ..UnchangedOptions::default()
        };
        let mut due_on = [0_u32; 7];
        for page in 0..700 {
            let url = format!("https://shop.example/p/{page}");
            let mut read_at = 0;
            let mut longest = 0;
            for day in 1..29 {
                let now = day * DAY_S + 3_600;
                if is_due(&options, &url, read_at, now) {
                    longest = longest.max(now - read_at);
                    read_at = now;
                    due_on[usize::try_from(day % 7).expect("a day")] += 1;
                }
            }
            assert!(longest <= 7 * DAY_S + 3_600, "{url}: {longest}");
        }
        assert!(
            due_on.iter().all(|due| (250..600).contains(due)),
            "{due_on:?}"
        );
    }

    #[test]
    fn without_days_every_run_reads_every_page() {
        let options = UnchangedOptions {
            recheck_days: 0,
            ..UnchangedOptions::default()
        };
        assert!(is_due(&options, "https://shop.example/", 10, 11));
    }
}
