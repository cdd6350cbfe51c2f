//! Maintenance windows: times in which a partner or a target is not to be
//! touched. Jobs that would touch it are parked until the end, which is no
//! attempt, and go on afterwards, spread over a short time.
//!
//! A partner's windows stand in its pipe file; those of the fleet, of the
//! catalogue, of a pipe or of a host are declared while the fleet runs. When
//! they are looked up is the fleet's matter.
//!
//! Daylight saving: a local time that is skipped is the first instant after
//! the gap; of one that happens twice a window begins at the first and ends at
//! the second. Held by `weekly_windows_follow_the_zone`.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::job::{CrawlJob, ImageJob};
use crate::pipe::{Pipe, Source};
use crate::{PipeId, QueueName};

/// Most windows in one pipe file.
pub const PIPE_WINDOWS_MAX: usize = 32;

/// Most declared windows: they are one small document, which every worker
/// reads again and again.
pub const DECLARED_MAX: usize = 1_000;

/// How long a declared window is kept for people to look at after its end.
pub const DECLARED_KEPT: chrono::Duration = chrono::Duration::days(7);

/// Jobs go on within this time after the end of a window, so that the target
/// is not met by all of them at once.
pub const SPREAD_MAX: chrono::Duration = chrono::Duration::minutes(5);

/// Windows that follow one another are one as far as waiting is concerned; so
/// many of them are looked at.
const CHAIN_MAX: usize = 16;

/// How a window is written in a pipe file: two instants, or days and local
/// times in the zone of the pipe's schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowText {
    /// `mon` to `sun`; none, the default, for a window between two instants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// `"02:00"`, or `"2026-12-24T18:00:00+09:00"`.
    pub from: String,
    /// Not within the window any more. With days, a time that is not after
    /// `from` is one of the next day.
    pub until: String,
    /// Why, for people; default none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is wrong with a window of a pipe file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {found:?}: write {allowed}")]
pub struct WindowError {
    pub key: &'static str,
    pub found: String,
    pub allowed: &'static str,
}

/// A window, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    times: Times,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Times {
    Once {
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    },
    Weekly {
        days: Vec<Weekday>,
        from: NaiveTime,
        until: NaiveTime,
        zone: Tz,
    },
}

impl Window {
    pub fn parse(text: &WindowText, zone: Tz) -> Result<Self, WindowError> {
        let times = if text.days.is_empty() {
            let (from, until) = (instant("from", &text.from)?, instant("until", &text.until)?);
            if until <= from {
                return Err(WindowError {
                    key: "until",
                    found: text.until.clone(),
                    allowed: "an instant after `from`",
                });
            }
            Times::Once { from, until }
        } else {
            let days: Result<Vec<Weekday>, WindowError> =
                text.days.iter().map(|day| weekday(day)).collect();
            let (from, until) = (
                local_time("from", &text.from)?,
                local_time("until", &text.until)?,
            );
            if from == until {
                return Err(WindowError {
                    key: "until",
                    found: text.until.clone(),
                    allowed: "another time than `from`; a whole day is 00:00 to 23:59",
                });
            }
            Times::Weekly {
                days: days?,
                from,
                until,
                zone,
            }
        };
        Ok(Self {
            times,
            reason: text.reason.clone(),
        })
    }

    /// The end of the window if `now` is within it.
    pub fn open_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.times {
            Times::Once { from, until } => (*from <= now && now < *until).then_some(*until),
            Times::Weekly {
                days,
                from,
                until,
                zone,
            } => {
                let today = now.with_timezone(zone).date_naive();
                // One that began yesterday may go on past midnight.
                let starts = [today.checked_sub_days(Days::new(1)), Some(today)];
                let ends = starts.into_iter().flatten().filter_map(|day| {
                    if !days.contains(&day.weekday()) {
                        return None;
                    }
                    let last = if until > from {
                        day
                    } else {
                        day.checked_add_days(Days::new(1))?
                    };
                    let begin = resolve(*zone, day, *from, Twice::First)?;
                    let end = resolve(*zone, last, *until, Twice::Second)?;
                    (begin <= now && now < end).then_some(end)
                });
                ends.max()
            }
        }
    }
}

fn instant(key: &'static str, text: &str) -> Result<DateTime<Utc>, WindowError> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.with_timezone(&Utc))
        .map_err(|_| WindowError {
            key,
            found: text.to_owned(),
            allowed: "an instant such as \"2026-12-24T18:00:00+09:00\", or name `days` and write a local time such as \"02:00\"",
        })
}

fn local_time(key: &'static str, text: &str) -> Result<NaiveTime, WindowError> {
    if text == "24:00" {
        return Ok(NaiveTime::MIN);
    }
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| WindowError {
        key,
        found: text.to_owned(),
        allowed: "a local time such as \"02:00\"",
    })
}

fn weekday(text: &str) -> Result<Weekday, WindowError> {
    let days = [
        ("mon", Weekday::Mon),
        ("tue", Weekday::Tue),
        ("wed", Weekday::Wed),
        ("thu", Weekday::Thu),
        ("fri", Weekday::Fri),
        ("sat", Weekday::Sat),
        ("sun", Weekday::Sun),
    ];
    let found = days.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, day)| day).ok_or_else(|| WindowError {
        key: "days",
        found: text.to_owned(),
        allowed: "mon, tue, wed, thu, fri, sat or sun",
    })
}

/// Which of two instants that have the same local time is meant.
#[derive(Clone, Copy)]
enum Twice {
    First,
    Second,
}

fn resolve(zone: Tz, day: NaiveDate, time: NaiveTime, twice: Twice) -> Option<DateTime<Utc>> {
    /// No zone skips more than a day.
    const GAP_MINUTES_MAX: i64 = 24 * 60;
    let local = day.and_time(time);
    for minute in 0..=GAP_MINUTES_MAX {
        let local = local.checked_add_signed(chrono::Duration::minutes(minute))?;
        let found = match (zone.from_local_datetime(&local), twice) {
            (LocalResult::None, _) => continue,
            (LocalResult::Single(found), _) => found,
            (LocalResult::Ambiguous(first, _), Twice::First) => first,
            (LocalResult::Ambiguous(_, second), Twice::Second) => second,
        };
        return Some(found.with_timezone(&Utc));
    }
    None
}

/// What a declared window is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Target {
    /// Every job.
    Fleet,
    /// Jobs that write the catalogue: those of the crawl queue.
    Catalogue,
    /// Jobs that reach the partner's servers.
    Pipe(PipeId),
    /// Jobs that fetch from this host.
    Host(String),
}

impl Target {
    /// A host as it stands in URLs, without scheme, port and path.
    pub fn host(text: &str) -> Option<Self> {
        let host = Url::parse(&format!("http://{text}/")).ok()?;
        let plain = host.port().is_none() && host.path() == "/" && host.username().is_empty();
        plain
            .then(|| host.host_str().map(str::to_owned))?
            .map(Self::Host)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("the fleet"),
            Self::Catalogue => f.write_str("the catalogue"),
            Self::Pipe(pipe) => write!(f, "pipe {pipe}"),
            Self::Host(host) => write!(f, "host {host}"),
        }
    }
}

/// A window that somebody declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Hash of target and times: declaring the same again changes nothing.
    pub id: String,
    pub target: Target,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    #[serde(default)]
    pub reason: String,
    pub declared: DateTime<Utc>,
}

impl Declared {
    pub fn new(
        target: Target,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(target.to_string());
        hash.update(from.timestamp_millis().to_be_bytes());
        hash.update(until.timestamp_millis().to_be_bytes());
        Self {
            id: hex::encode(hash.finalize())[..12].to_owned(),
            target,
            from,
            until,
            reason: reason.to_owned(),
            declared: now,
        }
    }

    fn open_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (self.from <= now && now < self.until).then_some(self.until)
    }
}

/// The document at [`Declarations::KEY`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declarations {
    pub windows: Vec<Declared>,
}

impl Declarations {
    /// One document for all: a worker that is at work looks it up every few
    /// seconds, and one small read is all that this may cost.
    pub const KEY: &str = "maintenance/declared";
}

/// What a job reaches out to, as far as windows are concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touches {
    /// The partner, with the windows of its pipe file.
    pub partner: Option<Vec<Window>>,
    pub hosts: BTreeSet<String>,
    pub catalogue: bool,
}

impl Touches {
    /// Of a message body. One that cannot be read touches nothing: it is
    /// buried without a request.
    pub fn of(queue: QueueName, body: &str, pipe: &Pipe) -> Self {
        let host_of = |url: &str| Some(Url::parse(url).ok()?.host_str()?.to_owned());
        match queue {
            QueueName::Crawl => match CrawlJob::decode(body) {
                Ok(CrawlJob::Collect { .. }) => Self {
                    partner: Some(pipe.windows()),
                    hosts: match &pipe.source {
                        Source::Http(source) => host_of(source.url.as_str()).into_iter().collect(),
                        Source::File(_) => BTreeSet::new(),
                    },
                    catalogue: true,
                },
                Ok(CrawlJob::Fold { .. }) => Self {
                    catalogue: true,
                    ..Self::default()
                },
                Err(_) => Self::default(),
            },
            QueueName::Image => match ImageJob::decode(body) {
                Ok(job) => Self {
                    partner: Some(pipe.windows()),
                    hosts: job
                        .images
                        .iter()
                        .filter_map(|image| host_of(&image.url))
                        .collect(),
                    catalogue: false,
                },
                Err(_) => Self::default(),
            },
        }
    }

    fn is_target(&self, target: &Target, pipe: &PipeId) -> bool {
        match target {
            Target::Fleet => true,
            Target::Catalogue => self.catalogue,
            Target::Pipe(id) => self.partner.is_some() && id == pipe,
            Target::Host(host) => self.hosts.contains(host),
        }
    }
}

/// A job may not go on before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub until: DateTime<Utc>,
    pub reason: String,
}

/// Whether a job of this pipe that touches these things has to wait, and until
/// when: the end of the last of the windows that follow one another.
pub fn closed(
    touches: &Touches,
    pipe: &PipeId,
    declared: &Declarations,
    now: DateTime<Utc>,
) -> Option<Closed> {
    let (mut until, reason) = latest(touches, pipe, declared, now)?;
    for _ in 0..CHAIN_MAX {
        match latest(touches, pipe, declared, until) {
            Some((later, _)) => until = later,
            None => break,
        }
    }
    Some(Closed { until, reason })
}

fn latest(
    touches: &Touches,
    pipe: &PipeId,
    declared: &Declarations,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, String)> {
    let of_partner =
        touches.partner.iter().flatten().filter_map(|window| {
            Some((window.open_until(now)?, pipe_reason(pipe, &window.reason)))
        });
    let of_targets = declared
        .windows
        .iter()
        .filter(|window| touches.is_target(&window.target, pipe))
        .filter_map(|window| {
            let until = window.open_until(now)?;
            Some((
                until,
                parked_reason(&window.target.to_string(), &window.reason),
            ))
        });
    of_partner.chain(of_targets).max_by_key(|(until, _)| *until)
}

/// How the reason of a job that waits for the end of a window begins.
pub const MAINTENANCE: &str = "maintenance of ";

fn pipe_reason(pipe: &PipeId, reason: &str) -> String {
    parked_reason(&format!("the partner of pipe {pipe}"), reason)
}

fn parked_reason(target: &str, reason: &str) -> String {
    if reason.is_empty() {
        format!("{MAINTENANCE}{target}")
    } else {
        format!("{MAINTENANCE}{target}: {reason}")
    }
}

/// When a job that waits for the end of a window goes on: after it, by a share
/// of the wait that depends on its group alone, so that the jobs of one group
/// keep their order and those of many do not come at once.
pub fn after_window(until: DateTime<Utc>, group: &str, now: DateTime<Utc>) -> DateTime<Utc> {
    let spread = SPREAD_MAX.min((until - now) / 4);
    let digest = Sha256::digest(group);
    let share = i64::from(u16::from_be_bytes([digest[0], digest[1]]));
    let wait_ms = spread.num_milliseconds().max(0) * share / i64::from(u16::MAX);
    until + chrono::Duration::milliseconds(wait_ms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text)
            .unwrap()
            .with_timezone(&Utc)
    }

    fn weekly(days: &[&str], from: &str, until: &str, zone: Tz) -> Result<Window, WindowError> {
        let text = WindowText {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            from: from.to_owned(),
            until: until.to_owned(),
            reason: String::new(),
        };
        Window::parse(&text, zone)
    }

    #[test]
    fn weekly_windows_follow_the_zone() {
        let check = |days: &[&str], from, until, zone, now, expected: Option<&str>| {
            let window = weekly(days, from, until, zone).unwrap();
            assert_eq!(window.open_until(at(now)), expected.map(at), "{now}");
        };
        let (seoul, berlin) = (Tz::Asia__Seoul, Tz::Europe__Berlin);
        // Sunday 02:00 in Seoul is Saturday 17:00 UTC.
        let sun = &["sun"][..];
        check(sun, "02:00", "04:00", seoul, "2026-11-21T16:59:59Z", None);
        check(
            sun,
            "02:00",
            "04:00",
            seoul,
            "2026-11-21T17:00:00Z",
            Some("2026-11-21T19:00:00Z"),
        );
        check(sun, "02:00", "04:00", seoul, "2026-11-21T19:00:00Z", None);
        check(sun, "02:00", "04:00", seoul, "2026-11-22T17:30:00Z", None);
        // Past midnight, and up to it.
        check(
            &["sat"],
            "23:00",
            "01:00",
            Tz::UTC,
            "2026-11-22T00:30:00Z",
            Some("2026-11-22T01:00:00Z"),
        );
        check(
            &["sun"],
            "23:00",
            "01:00",
            Tz::UTC,
            "2026-11-22T00:30:00Z",
            None,
        );
        check(
            sun,
            "22:00",
            "24:00",
            Tz::UTC,
            "2026-11-22T23:59:00Z",
            Some("2026-11-23T00:00:00Z"),
        );
        // Berlin leaps from 02:00 to 03:00 on 2026-03-29 ...
        check(
            sun,
            "02:30",
            "04:00",
            berlin,
            "2026-03-29T01:00:00Z",
            Some("2026-03-29T02:00:00Z"),
        );
        check(sun, "02:30", "04:00", berlin, "2026-03-29T00:59:00Z", None);
        // ... and lives 02:00 to 03:00 twice on 2026-10-25.
        check(
            sun,
            "02:00",
            "02:30",
            berlin,
            "2026-10-25T01:15:00Z",
            Some("2026-10-25T01:30:00Z"),
        );
        check(
            sun,
            "02:00",
            "02:30",
            berlin,
            "2026-10-25T00:00:00Z",
            Some("2026-10-25T01:30:00Z"),
        );
    }

    #[test]
    fn what_is_no_window_is_told() {
        let check = |days: &[&str], from: &str, until: &str, expected: &str| {
            let error = weekly(days, from, until, Tz::UTC).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&["sunday"], "02:00", "04:00", "mon, tue");
        check(&["sun"], "2", "04:00", "from \"2\"");
        check(&["sun"], "02:00", "02:00", "another time");
        check(&[], "02:00", "04:00", "name `days`");
        check(
            &[],
            "2026-11-21T03:00:00Z",
            "2026-11-21T02:00:00Z",
            "after `from`",
        );
    }

    #[test]
    fn a_job_waits_for_all_windows_that_touch_it_and_for_no_other() {
        let now = at("2026-11-21T03:00:00Z");
        let hours = chrono::Duration::hours;
        let pipe = PipeId::parse("shop").unwrap();
        let declare = |target, from, until| Declared::new(target, now + from, now + until, "", now);
        let declared = Declarations {
            windows: vec![
                declare(Target::Host("img.test".to_owned()), hours(-1), hours(1)),
                declare(Target::Catalogue, hours(1), hours(2)),
                declare(Target::Pipe(pipe.clone()), hours(-2), hours(-1)),
            ],
        };
        let touches = |hosts: &[&str], catalogue| Touches {
            partner: Some(Vec::new()),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            catalogue,
        };
        let check = |touches: &Touches, expected: Option<chrono::Duration>| {
            let found = closed(touches, &pipe, &declared, now);
            assert_eq!(
                found.map(|closed| closed.until),
                expected.map(|span| now + span)
            );
        };
        check(&touches(&[], true), None);
        check(&touches(&["img.test"], false), Some(hours(1)));
        // The next window begins where the first one ends.
        check(&touches(&["img.test"], true), Some(hours(2)));
        check(&Touches::default(), None);
        let elsewhere = PipeId::parse("elsewhere").unwrap();
        let all = Declarations {
            windows: vec![declare(Target::Fleet, hours(0), hours(1))],
        };
        assert!(closed(&Touches::default(), &elsewhere, &all, now).is_some());
    }

    #[test]
    fn jobs_go_on_spread_and_those_of_one_group_together() {
        let now = at("2026-11-21T03:00:00Z");
        let until = now + chrono::Duration::hours(1);
        let mut seen = BTreeSet::new();
        for n in 0..50 {
            let due = after_window(until, &format!("pipe-{n}"), now);
            assert!((until..=until + SPREAD_MAX).contains(&due));
            seen.insert(due);
        }
        assert!(seen.len() > 40, "{}", seen.len());
        assert_eq!(after_window(until, "a", now), after_window(until, "a", now));
        let soon = now + chrono::Duration::seconds(4);
        assert!(after_window(soon, "a", now) <= soon + chrono::Duration::seconds(1));
    }

    #[test]
    fn hosts_are_hosts() {
        let host = |text: &str| Some(Target::Host(text.to_owned()));
        assert_eq!(Target::host("IMG.Shop.test"), host("img.shop.test"));
        assert_eq!(Target::host("127.0.0.1"), host("127.0.0.1"));
        for wrong in ["https://a.test", "a.test:99", "a.test/x", "me@a.test", ""] {
            assert_eq!(Target::host(wrong), None, "{wrong}");
        }
    }
}
