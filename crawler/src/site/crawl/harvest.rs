//! What a crawl brought, once it is over: the rows of the run, whether it is
//! complete, and what people should know. Synchronous; run off the reactor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trawler_core::site::SiteLimits;
use trawler_fleet::{Interrupt, JobContext};

use super::super::disk::DiskError;
use super::super::frontier::{Bound, Frontier, FrontierError, Lane};
use super::checkpoint::Tally;
use super::driver::Cut;
use super::facts::Facts;
use super::kind::Outcome;
use super::rows::{Speakers, Told};

/// Entries of one outcome that are named.
const EXAMPLES_MAX: usize = 3;

/// Share of the rows that may be at odds with another of the same id: a few
/// products are renamed while a shop is crawled.
const AT_ODDS_SHARE_MAX: f64 = 0.01;

/// Entries between two looks at whether the job may go on.
const LOOK_EVERY: u64 = 1_000;

/// What a crawl brought.
#[derive(Debug)]
pub(super) struct Harvest {
    /// One line of JSON a row.
    pub(super) path: PathBuf,
    /// Why not everything was seen; empty for a complete crawl.
    pub(super) incomplete: Vec<String>,
    pub(super) remarks: Vec<String>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NoHarvest {
    Told(Interrupt),
    Frontier(FrontierError),
    Disk(DiskError),
}

impl From<FrontierError> for NoHarvest {
    fn from(error: FrontierError) -> Self {
        Self::Frontier(error)
    }
}

impl From<DiskError> for NoHarvest {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// A crawl that is over, to be brought in.
pub(super) struct Field<'a> {
    pub(super) frontier: &'a Frontier,
    pub(super) cut: Option<Cut>,
    pub(super) tally: Tally,
    pub(super) limits: &'a SiteLimits,
    pub(super) dir: &'a Path,
    pub(super) ctx: &'a JobContext,
}

impl Field<'_> {
    pub(super) fn bring_in(
        &self,
        mut page: impl FnMut(&Facts, Outcome, &[u8]),
    ) -> Result<Harvest, NoHarvest> {
        let mut speakers = Speakers::new(self.dir)?;
        let mut examples = Examples::default();
        self.each(|outcome, facts, rows| {
            speakers.hear(rows)?;
            examples.note(outcome, &facts);
            page(&facts, outcome, rows);
            Ok(())
        })?;
        let path = self.dir.join("rows.jsonl");
        let (told, mut file) = speakers.file(&path)?;
        self.each(|_, _, rows| file.write(rows))?;
        let rows = file.finish()?;
        Ok(Harvest {
            incomplete: self.incomplete(&examples, &told, rows),
            remarks: self.remarks(&examples, &told),
            path,
        })
    }

    /// Every settled entry, in the order of settling.
    fn each(
        &self,
        mut take: impl FnMut(Outcome, Facts, &[u8]) -> Result<(), DiskError>,
    ) -> Result<(), NoHarvest> {
        let mut seen = 0_u64;
        for settlement in self.frontier.payloads()? {
            let settlement = settlement?;
            seen += 1;
            if seen.is_multiple_of(LOOK_EVERY)
                && let Some(interrupt) = self.ctx.interrupted()
            {
                return Err(NoHarvest::Told(interrupt));
            }
            let Some(outcome) = Outcome::of_code(settlement.outcome) else {
                continue;
            };
            let facts = Facts::of_bytes(&settlement.facts).unwrap_or_default();
            take(outcome, facts, &settlement.payload)?;
        }
        Ok(())
    }

    fn count(&self, outcome: Outcome) -> u64 {
        let settled = &self.frontier.counters().settled;
        settled.get(&outcome.code()).copied().unwrap_or(0)
    }

    fn incomplete(&self, examples: &Examples, told: &Told, rows: u64) -> Vec<String> {
        let mut reasons = Vec::new();
        let counters = self.frontier.counters();
        let broken = self.count(Outcome::ListBroken);
        if broken > 0 {
            reasons.push(examples.sentence(broken, Outcome::ListBroken));
        }
        for (left, what, bound) in [
            (
                self.tally.sitemaps_left,
                "sitemap(s) were not read",
                format!("sitemap_files_max = {}", self.limits.sitemap_files_max),
            ),
            (
                self.tally.urls_left,
                "URL(s) were not followed",
                format!("urls_per_path_max = {}", self.limits.urls_per_path_max),
            ),
        ] {
            if left > 0 {
                reasons.push(format!("{left} {what} at site.limits.{bound}"));
            }
        }
        let pending: u64 = Lane::ALL.iter().map(|lane| counters.pending(*lane)).sum();
        if pending > 0 || self.cut.is_some() {
            let bound = match self.cut {
                Some(Cut::Pages) => format!("site.limits.pages_max = {}", self.limits.pages_max),
                Some(Cut::Time) | None => {
                    format!("site.limits.whole_s = {}", self.limits.whole_s)
                }
            };
            reasons.push(format!("{pending} page(s) were left unasked at {bound}"));
        }
        for (bound, words) in [
            (Bound::Entries, "the number of URLs that a crawl remembers"),
            (Bound::UrlBytes, "the length of a URL"),
            (Bound::JournalBytes, "the disk that a crawl may take"),
            (Bound::SettledBytes, "the rows of one page"),
        ] {
            let refused = counters.refused(bound);
            // A URL that is too long is the page's fault, as a broken link is.
            if refused > 0 && bound != Bound::UrlBytes {
                reasons.push(format!("{refused} time(s) the bound of {words} was met"));
            }
        }
        let unknown = self.count(Outcome::DeniedUnknown);
        if unknown > 0 {
            reasons.push(examples.sentence(unknown, Outcome::DeniedUnknown));
        }
        reasons.extend(self.too_many_errors(examples));
        if told.at_odds as f64 > rows as f64 * AT_ODDS_SHARE_MAX {
            reasons.push(format!(
                "{} row(s) have the id of another product, such as {}; say in \
                 site.extract.fields.id where the id stands",
                told.at_odds,
                told.examples.join(", ")
            ));
        }
        if rows == 0 {
            reasons.push("no product was found".to_owned());
        }
        reasons
    }

    fn too_many_errors(&self, examples: &Examples) -> Option<String> {
        let sum = |wanted: fn(Outcome) -> bool| -> u64 {
            let settled = self.frontier.counters().settled.iter();
            let counted = settled
                .filter(|(code, _)| Outcome::of_code(**code).is_some_and(wanted))
                .map(|(_, count)| count);
            counted.sum()
        };
        let (asked, errors) = (sum(Outcome::was_asked), sum(Outcome::is_error));
        let max = self.limits.max_error_share;
        if errors == 0 || errors as f64 <= asked as f64 * max {
            return None;
        }
        let share = errors as f64 / asked as f64;
        let example = examples
            .first(Outcome::Failed)
            .or_else(|| examples.first(Outcome::Blocked))
            .or_else(|| examples.first(Outcome::MovedAway))
            .map_or(String::new(), |example| format!(", such as {example}"));
        Some(format!(
            "{errors} of {asked} page(s) failed ({:.1} %, more than site.limits.max_error_share = {max}){example}",
            share * 100.0
        ))
    }

    fn remarks(&self, examples: &Examples, told: &Told) -> Vec<String> {
        let settled = &self.frontier.counters().settled;
        let mut counts: Vec<String> = Vec::new();
        for (code, count) in settled {
            if let Some(outcome) = Outcome::of_code(*code) {
                counts.push(format!("{count} {}", outcome.words()));
            }
        }
        let mut remarks = Vec::new();
        if !counts.is_empty() {
            remarks.push(format!("pages: {}", counts.join(", ")));
        }
        remarks.extend(examples.notes.iter().cloned());
        for outcome in [
            Outcome::Failed,
            Outcome::Blocked,
            Outcome::SoftGone,
            Outcome::Denied,
            Outcome::MovedAway,
        ] {
            if self.count(outcome) > 0 {
                remarks.push(examples.sentence(self.count(outcome), outcome));
            }
        }
        let same = told.repeated - told.at_odds;
        if same > 0 {
            remarks.push(format!(
                "{same} row(s) were the same product at another URL"
            ));
        }
        remarks
    }
}

/// Some entries of each outcome, with why they ended so.
#[derive(Debug, Default)]
struct Examples {
    named: BTreeMap<Outcome, Vec<String>>,
    notes: Vec<String>,
}

impl Examples {
    fn note(&mut self, outcome: Outcome, facts: &Facts) {
        if let Some(note) = &facts.note
            && self.notes.len() < EXAMPLES_MAX
        {
            self.notes.push(format!("{} {note}", facts.url));
        }
        let known = self.named.entry(outcome).or_default();
        if known.len() < EXAMPLES_MAX {
            known.push(match &facts.why {
                Some(why) => format!("{} ({why})", facts.url),
                None => facts.url.clone(),
            });
        }
    }

    fn first(&self, outcome: Outcome) -> Option<&str> {
        self.named.get(&outcome)?.first().map(String::as_str)
    }

    fn sentence(&self, count: u64, outcome: Outcome) -> String {
        let named = self
            .named
            .get(&outcome)
            .map_or(String::new(), |named| named.join(", "));
        format!("{count} {}: {named}", outcome.words())
    }
}
