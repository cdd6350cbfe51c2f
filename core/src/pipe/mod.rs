//! A pipe: one partner shop and how it is collected. The fields of this file
//! are the keys of a pipe file, each documented here, next to its default and
//! its bound; [`Pipe::problems`] is the check of the bounds.

mod fetch;
mod images;
mod problems;
mod source;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::PipeId;
use crate::feed::{FeedFormat, FeedMode, FeedOptions};
use crate::maintenance::{PIPE_WINDOWS_MAX, Window, WindowText};
use crate::problem::Problem;
use crate::schedule::{CRON_RULE, Schedule, ScheduleError, ScheduleText, ZONE_RULE};

use problems::Problems;

pub use fetch::{FeedAuth, FetchOptions, HEADER_BYTES_MAX, HEADERS_MAX};
pub use images::ImageOptions;
pub use source::{FileSource, HttpSource, Source};

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
    pub source: Source,
    /// How the feed is read; has to be said, and only for a pipe that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedOptions>,
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
}

fn unnamed() -> PipeId {
    PipeId::parse("unnamed").expect("a constant that follows the rule")
}

/// When a run is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeOptions {
    /// Share of the live rows that one run may delist; default 0.3, bound 0
    /// to 1. More are held and the run says so. Not judged below 100 rows.
    pub max_drop: f64,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self { max_drop: 0.3 }
    }
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
            None => Cow::Owned(FeedOptions::new(FeedFormat::Jsonl, FeedMode::Full)),
        }
    }

    /// The partner's maintenance windows; those that [`Pipe::problems`] tells
    /// of are none.
    pub fn windows(&self) -> Vec<Window> {
        let Ok(schedule) = self.schedule() else {
            return Vec::new();
        };
        self.maintenance
            .iter()
            .filter_map(|text| Window::parse(text, schedule.zone()).ok())
            .collect()
    }

    /// Every value outside its bound, in the order of the file.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Problems::default();
        if let Source::Http(source) = &self.source {
            source.problems(&mut found);
        }
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
        self.fetch.problems(&mut found);
        let drop = self.judge.max_drop;
        found.unless(
            (0.0..=1.0).contains(&drop),
            "judge.max_drop",
            &drop,
            "a share from 0 to 1",
        );
        self.images.problems(&mut found);
        self.window_problems(&mut found);
        self.feed_problems(&mut found);
        found.0
    }
}

impl Pipe {
    fn feed_problems(&self, found: &mut Problems) {
        match &self.feed {
            Some(feed) => {
                for problem in feed.problems() {
                    found.0.push(Problem {
                        key: format!("feed.{}", problem.key),
                        ..problem
                    });
                }
            }
            None => found.push("feed", &"nothing", "a table with at least format and mode"),
        }
    }

    fn window_problems(&self, found: &mut Problems) {
        let count = self.maintenance.len() as u64;
        found.within("maintenance", count, 0, PIPE_WINDOWS_MAX as u64);
        // A zone that is not known has been told of.
        let zone = self
            .schedule()
            .map_or(chrono_tz::UTC, |schedule| schedule.zone());
        for text in &self.maintenance {
            if let Err(error) = Window::parse(text, zone) {
                let key = format!("maintenance.{}", error.key);
                found.push(&key, &format!("{:?}", error.found), error.allowed);
            }
        }
    }
}
