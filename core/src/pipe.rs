//! A pipe: one partner shop and how it is collected. The fields of this file
//! are the keys of a pipe file, each documented here, next to its default and
//! its bound; [`Pipe::problems`] is the check of the bounds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::PipeId;
use crate::feed::FeedOptions;
use crate::image::Recheck;
use crate::maintenance::{PIPE_WINDOWS_MAX, Window, WindowText};
use crate::problem::Problem;
use crate::schedule::{CRON_RULE, Schedule, ScheduleError, ScheduleText, ZONE_RULE};
use crate::secret::{Place, SecretRef, SecretText};

/// Most extra headers that a pipe may send.
pub const HEADERS_MAX: usize = 32;

/// Longest header value, in bytes.
pub const HEADER_BYTES_MAX: usize = 4096;

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
    /// How the feed is read.
    pub feed: FeedOptions,
    pub schedule: ScheduleText,
    #[serde(default)]
    pub fetch: FetchOptions,
    #[serde(default)]
    pub judge: JudgeOptions,
    #[serde(default)]
    pub images: ImageOptions,
    /// Times in which the partner is not to be touched; default none, at most
    /// 32. `days = ["sun"], from = "02:00", until = "04:00"` in the schedule's zone, or
    /// `from` and `until` as instants, `"2026-12-24T18:00:00+09:00"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<WindowText>,
}

fn unnamed() -> PipeId {
    PipeId::parse("unnamed").expect("a constant that follows the rule")
}

/// Where the pipe's products come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A feed over HTTP(S).
    Http(HttpSource),
    /// A feed in a file on this machine.
    File(FileSource),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSource {
    /// `http://` or `https://`, without user and password.
    pub url: Url,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Absolute, or relative to the folder of `trawler.toml`. In a fleet
    /// absolute: the file is looked for on the machine that collects.
    pub path: PathBuf,
}

/// How the partner's servers are treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchOptions {
    /// Requests a second to one host; default 10, bound 0.01 to 1000.
    pub rate_per_s: f64,
    /// Requests at once to one host; default 4, bound 1 to 64.
    pub concurrency: u32,
    /// Sent with every request to the source; at most 32 of 4096 bytes. A
    /// value `env:NAME`, `file:/path` or `ssm:/name` is asked for by the worker
    /// that sends it; a header that carries a credential takes nothing else.
    /// Default none.
    pub headers: BTreeMap<String, SecretText>,
    /// Credentials that the partner wants in the URL of the feed, such as
    /// `{ token = "env:NAME" }`: appended to its query when it is asked for. A
    /// name says that it is one; other parameters belong into `source.url`. At
    /// most 32. Default none.
    pub query: BTreeMap<String, SecretText>,
    /// Credentials of the feed: `{ kind = "basic", user = "ann", password =
    /// "env:NAME" }` or `{ kind = "bearer", token = "ssm:/name" }`. Default
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<FeedAuth>,
    /// Longest whole download of a feed, in seconds; default 3600, bound 1 to
    /// 36000.
    pub timeout_s: u64,
    /// Largest feed as served, in MiB; default 4096, bound 1 to 65536.
    pub feed_mib_max: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            rate_per_s: 10.0,
            concurrency: 4,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            auth: None,
            timeout_s: 3600,
            feed_mib_max: 4096,
        }
    }
}

/// Credentials of a feed, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FeedAuth {
    Basic { user: String, password: SecretText },
    Bearer { token: SecretText },
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

/// What is done with the pipe's images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageOptions {
    /// Whether images are fetched at all; default true.
    pub collect: bool,
    /// When images whose URL did not change are looked at again: `"never"`,
    /// `"every_run"` or `{ every_days = N }`; default every 30 days.
    pub recheck: Recheck,
    /// Hours before a failed image is tried again; default 24, bound 1 to 720.
    pub retry_hours: u32,
    /// Jobs of one image host that may be in flight; default 2, bound 1 to 64.
    pub shards: u32,
    /// Sent as Referer with image requests, for hosts that demand one; default
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<Url>,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            collect: true,
            recheck: Recheck::default(),
            retry_hours: 24,
            shards: 2,
            referer: None,
        }
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
        for problem in self.feed.problems() {
            found.0.push(Problem {
                key: format!("feed.{}", problem.key),
                ..problem
            });
        }
        found.0
    }
}

impl Pipe {
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

impl HttpSource {
    fn problems(&self, found: &mut Problems) {
        let (key, url) = ("source.url", &self.url);
        let has_user = !url.username().is_empty() || url.password().is_some();
        let parameter = url.query_pairs().find(|(name, value)| {
            !value.is_empty() && Place::of_parameter(name) == Place::Credential
        });
        let hides = has_user || parameter.is_some();
        let shown = match hides {
            true => "a URL with credentials (not shown)",
            false => url.as_str(),
        };
        let web = matches!(url.scheme(), "http" | "https");
        found.unless(web, key, &shown, "an http:// or https:// URL");
        let elsewhere = "a URL without them; give them by reference in fetch.auth";
        found.unless(!has_user, key, &shown, elsewhere);
        if let Some((name, _)) = parameter {
            let what = format!("the parameter {name} with a value (not shown)");
            let elsewhere = "a URL without credentials; give them by reference in fetch.query";
            found.push(key, &what, elsewhere);
        }
    }
}

impl FetchOptions {
    fn problems(&self, found: &mut Problems) {
        let rate = self.rate_per_s;
        found.unless(
            (0.01..=1000.0).contains(&rate),
            "fetch.rate_per_s",
            &rate,
            "0.01 to 1000",
        );
        found.within("fetch.concurrency", u64::from(self.concurrency), 1, 64);
        found.within("fetch.timeout_s", self.timeout_s, 1, 36_000);
        found.within("fetch.feed_mib_max", self.feed_mib_max, 1, 65_536);
        found.within(
            "fetch.headers",
            self.headers.len() as u64,
            0,
            HEADERS_MAX as u64,
        );
        for (name, value) in &self.headers {
            let key = format!("fetch.headers.{name}");
            let name_ok = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            found.unless(
                name_ok,
                &key,
                name,
                "a header name of ASCII letters, digits, '-' and '_'",
            );
            let value_ok = match value {
                SecretText::Literal(text) => {
                    text.len() <= HEADER_BYTES_MAX && !text.contains(['\r', '\n', '\0'])
                }
                SecretText::Reference(_) => true,
            };
            found.unless(
                value_ok,
                &key,
                &NOT_SHOWN,
                "at most 4096 bytes without line breaks",
            );
            found.secret(&key, value, Place::of_header(name));
        }
        found.within(
            "fetch.query",
            self.query.len() as u64,
            0,
            HEADERS_MAX as u64,
        );
        for (name, value) in &self.query {
            let key = format!("fetch.query.{name}");
            found.unless(
                Place::of_parameter(name) == Place::Credential,
                &key,
                name,
                "the name of a credential (auth, token, key, secret, pass, pwd, session, cred or sig in it); other parameters belong into source.url",
            );
            found.secret(&key, value, Place::Credential);
        }
        match &self.auth {
            Some(FeedAuth::Basic { user, password }) => {
                let user_ok = !user.is_empty()
                    && user.len() <= HEADER_BYTES_MAX
                    && !user.contains(|c: char| c == ':' || c.is_control());
                let allowed = "a name without ':' and control characters";
                found.unless(user_ok, "fetch.auth.user", &user, allowed);
                found.secret("fetch.auth.password", password, Place::Credential);
            }
            Some(FeedAuth::Bearer { token }) => {
                found.secret("fetch.auth.token", token, Place::Credential);
            }
            None => {}
        }
        if self.auth.is_some() {
            let twice = self
                .headers
                .keys()
                .find(|name| name.eq_ignore_ascii_case("authorization"));
            let allowed = "either fetch.auth or this header, not both";
            found.unless(
                twice.is_none(),
                "fetch.headers.Authorization",
                &"both",
                allowed,
            );
        }
    }

    /// Every secret that fetching the source needs, with its key.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &SecretRef)> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (format!("fetch.headers.{name}"), value));
        let auth = self.auth.as_ref().map(|auth| match auth {
            FeedAuth::Basic { password, .. } => ("fetch.auth.password".to_owned(), password),
            FeedAuth::Bearer { token } => ("fetch.auth.token".to_owned(), token),
        });
        let query = self
            .query
            .iter()
            .map(|(name, value)| (format!("fetch.query.{name}"), value));
        headers
            .chain(query)
            .chain(auth)
            .filter_map(|(key, value)| Some((key, value.reference()?)))
    }
}

impl ImageOptions {
    fn problems(&self, found: &mut Problems) {
        found.within("images.retry_hours", u64::from(self.retry_hours), 1, 720);
        found.within("images.shards", u64::from(self.shards), 1, 64);
        if let Recheck::Days { every_days } = self.recheck {
            found.within("images.recheck.every_days", u64::from(every_days), 1, 3650);
        }
    }
}

/// Stands for a value that may be a secret.
const NOT_SHOWN: &str = "(not shown)";

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn push(&mut self, key: &str, found: &dyn std::fmt::Display, allowed: &str) {
        self.0.push(Problem {
            key: key.to_owned(),
            found: found.to_string(),
            allowed: allowed.to_owned(),
        });
    }

    fn unless(&mut self, ok: bool, key: &str, found: &dyn std::fmt::Display, allowed: &str) {
        if !ok {
            self.push(key, found, allowed);
        }
    }

    fn within(&mut self, key: &str, found: u64, min: u64, max: u64) {
        self.unless(
            (min..=max).contains(&found),
            key,
            &found,
            &format!("{min} to {max}"),
        );
    }

    fn secret(&mut self, key: &str, value: &SecretText, place: Place) {
        if let Some(rule) = value.problem(place) {
            self.push(key, &"a credential written out (not shown)", rule);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn recheck_is_a_word_or_a_number_of_days() {
        let check = |text: &str, expected: Recheck| {
            assert_eq!(
                serde_json::from_str::<Recheck>(text).unwrap(),
                expected,
                "{text}"
            );
        };
        check(r#""never""#, Recheck::Never);
        check(r#""every_run""#, Recheck::EveryRun);
        check(r#"{"every_days": 7}"#, Recheck::Days { every_days: 7 });
        assert!(serde_json::from_str::<Recheck>(r#""sometimes""#).is_err());
    }
}
