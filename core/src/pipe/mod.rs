//! A pipe: one partner shop and how it is collected. The fields of this file
//! are the keys of a pipe file, each documented here, next to its default and
//! its bound; [`Pipe::problems`] is the check of the bounds.

mod fetch;
mod images;
mod inbox;
mod newest;
mod problems;
mod sftp;
mod source;
mod standing;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::PipeId;
use crate::feed::{FeedFormat, FeedMode, FeedOptions};
pub use crate::judge::JudgeOptions;
use crate::maintenance::{PIPE_WINDOWS_MAX, PartnerHours, Window, WindowText};
use crate::problem::Problem;
use crate::schedule::{CRON_RULE, Schedule, ScheduleError, ScheduleText, ZONE_RULE};
use crate::secret::SecretRef;
use crate::site::SiteOptions;
use crate::upkeep::UPKEEP_PIPE;

use problems::Problems;

pub use fetch::{Egress, FeedAuth, FetchOptions, HEADER_BYTES_MAX, HEADERS_MAX, ProxyOptions};
pub use images::ImageOptions;
pub use inbox::{INBOX, InboxSource};
pub use newest::{Choice, FileRule, Newest, Passed, SeenFile};
pub use sftp::{SSH_PORT, SftpAuth, SftpSource};
pub use source::{FileSource, HttpSource, SiteSource, Source};
pub use standing::{AgeText, PipeState};

/// One pipe, as its file `pipes/{id}.toml` says. The file name is the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipe {
    /// Set from the file name, not from the file.
    #[serde(skip, default = "unnamed")]
    pub id: PipeId,
    /// Name for people; default: the id.
    #[serde(default)]
    pub name: String,
    /// Where the pipe is on its way: `draft` is not collected, only tried;
    /// `shadow` is collected and stored, and not in products and changes;
    /// `live` is; `hidden` is collected and taken out of them; `retired` is
    /// taken out of them and not collected any more. Default `live`.
    #[serde(default)]
    pub state: PipeState,
    /// Who answers for the pipe; default none, at most 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Whom to ask at the partner; default none, at most 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
    /// What people should know; default none, at most 4,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// How long ago the last complete run may be until the pipe counts as
    /// overdue, such as `36h`; in m, h or d, 1m to 366d. Default: it never
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<AgeText>,
    pub source: Source,
    /// How the feed is read; has to be said, and only for a pipe that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedOptions>,
    /// How the site is crawled, and only for a pipe that has `source.kind =
    /// "site"`; default: by the sitemaps that robots.txt names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteOptions>,
    pub schedule: ScheduleText,
    #[serde(default)]
    pub fetch: FetchOptions,
    #[serde(default)]
    pub judge: JudgeOptions,
    #[serde(default)]
    pub images: ImageOptions,
    /// Times in which the partner is not to be touched; default none, at most
    /// 32. `days = ["sun"], from = "02:00", until = "04:00"` in the schedule's
    /// zone, or `from` and `until` as instants, `"2026-12-24T18:00:00+09:00"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<WindowText>,
    /// The only times in which the partner is asked, written as those of
    /// `maintenance`; a run that is not done by their end goes on when they
    /// begin again. Default none, which is any time; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off_peak: Vec<WindowText>,
}

/// Longest time that a run may be given: a week.
const FINISH_WITHIN_S_MAX: u64 = 7 * 24 * 60 * 60;

fn unnamed() -> PipeId {
    PipeId::parse("unnamed").expect("a constant that follows the rule")
}

impl Pipe {
    /// The pipe under the name of its file, which is also what people see if it
    /// has no other.
    #[must_use]
    pub fn named(mut self, id: PipeId) -> Self {
        if self.name.is_empty() {
            self.name = id.to_string();
        }
        self.id = id;
        self
    }

    pub fn schedule(&self) -> Result<Schedule, ScheduleError> {
        Schedule::try_from(&self.schedule)
    }

    /// How the rows are read: those of a feed as the pipe says, those of a
    /// site as its crawl writes them.
    pub fn reading(&self) -> Cow<'_, FeedOptions> {
        match &self.feed {
            Some(feed) => Cow::Borrowed(feed),
            None => Cow::Owned(FeedOptions {
                currency: self.site.as_ref().and_then(|site| site.currency),
                ..FeedOptions::new(FeedFormat::Jsonl, FeedMode::Full)
            }),
        }
    }

    /// When the partner may be asked; windows that [`Pipe::problems`] tells of
    /// are none.
    pub fn hours(&self) -> PartnerHours {
        let Ok(schedule) = self.schedule() else {
            return PartnerHours::default();
        };
        let parsed = |texts: &[WindowText]| {
            let windows = texts.iter();
            windows
                .filter_map(|text| Window::parse(text, schedule.zone()).ok())
                .collect()
        };
        PartnerHours {
            maintenance: parsed(&self.maintenance),
            off_peak: parsed(&self.off_peak),
        }
    }

    /// Every value outside its bound, in the order of the file.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Problems::default();
        found.unless(
            self.id != *UPKEEP_PIPE,
            "the file's name",
            &self.id,
            "any other, since the jobs that look after stored images have this one",
        );
        self.standing_problems(&mut found);
        self.source.problems(&mut found);
        match self.schedule() {
            Ok(_) => {}
            Err(ScheduleError::Cron {
                found: cron,
                reason,
            }) => {
                let allowed = format!("{CRON_RULE} ({reason})");
                found.push("schedule.cron", &format!("{cron:?}"), &allowed);
            }
            Err(ScheduleError::Zone(zone)) => {
                found.push("schedule.zone", &format!("{zone:?}"), ZONE_RULE);
            }
        }
        if let Some(seconds) = self.schedule.finish_within_s {
            let key = "schedule.finish_within_s";
            found.within(key, u64::from(seconds), 60, FINISH_WITHIN_S_MAX);
        }
        self.fetch.problems(&mut found);
        if matches!(self.source, Source::Inbox(_) | Source::Sftp(_)) {
            self.fetch.problems_without_web(&mut found);
        }
        found
            .0
            .extend(self.judge.problems().into_iter().map(|problem| Problem {
                key: format!("judge.{}", problem.key),
                ..problem
            }));
        self.images.problems(&mut found);
        self.window_problems(&mut found);
        self.content_problems(&mut found);
        found.0
    }
}

impl Pipe {
    /// Every secret that getting the source needs, with its key.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &SecretRef)> {
        let of_source = match &self.source {
            Source::Sftp(source) => Some(source.secrets()),
            Source::Http(_) | Source::File(_) | Source::Inbox(_) | Source::Site(_) => None,
        };
        self.fetch.secrets().chain(of_source.into_iter().flatten())
    }

    /// What is collected has to be said in the way of its source, and in no
    /// other.
    fn content_problems(&self, found: &mut Problems) {
        let mut below = |table: &str, problems: Vec<Problem>| {
            found.0.extend(problems.into_iter().map(|problem| Problem {
                key: format!("{table}.{}", problem.key),
                ..problem
            }));
        };
        match (&self.source, &self.feed, &self.site) {
            (Source::Site(_), Some(_), _) => {
                let allowed =
                    "no such table with source.kind = \"site\"; [site] says how it is crawled";
                found.push("feed", &"a table", allowed);
            }
            (Source::Site(SiteSource { url }), None, site) => {
                let site = site.clone().unwrap_or_default();
                below("site", site.problems(url));
                if !self.fetch.query.is_empty() {
                    let allowed = "none with source.kind = \"site\": pages have URLs of their own; give credentials in fetch.auth or fetch.headers";
                    found.push("fetch.query", &"parameters (not shown)", allowed);
                }
            }
            (
                Source::Http(_) | Source::File(_) | Source::Inbox(_) | Source::Sftp(_),
                _,
                Some(_),
            ) => {
                let allowed = "no such table unless source.kind is \"site\"";
                found.push("site", &"a table", allowed);
            }
            (
                Source::Http(_) | Source::File(_) | Source::Inbox(_) | Source::Sftp(_),
                None,
                None,
            ) => {
                found.push("feed", &"nothing", "a table with at least format and mode");
            }
            (
                Source::Http(_) | Source::File(_) | Source::Inbox(_) | Source::Sftp(_),
                Some(feed),
                None,
            ) => {
                below("feed", feed.problems());
            }
        }
    }

    fn window_problems(&self, found: &mut Problems) {
        // A zone that is not known has been told of.
        let zone = self
            .schedule()
            .map_or(chrono_tz::UTC, |schedule| schedule.zone());
        for (table, texts) in [
            ("maintenance", &self.maintenance),
            ("off_peak", &self.off_peak),
        ] {
            found.within(table, texts.len() as u64, 0, PIPE_WINDOWS_MAX as u64);
            for text in texts {
                if let Err(error) = Window::parse(text, zone) {
                    let key = format!("{table}.{}", error.key);
                    found.push(&key, &format!("{:?}", error.found), error.allowed);
                }
            }
        }
    }
}
