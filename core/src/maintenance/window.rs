//! Windows as a pipe file writes them, and as instants.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Most windows in one pipe file.
pub const PIPE_WINDOWS_MAX: usize = 32;

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

    /// When the window opens next; `None` for one that is over.
    pub fn opens_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.times {
            Times::Once { from, .. } => (now < *from).then_some(*from),
            Times::Weekly {
                days, from, zone, ..
            } => {
                let today = now.with_timezone(zone).date_naive();
                // Of a week and a day one at least is a day of the window.
                let starts = (0..=7).filter_map(|ahead| {
                    let day = today.checked_add_days(Days::new(ahead))?;
                    let begin = resolve(*zone, day, *from, Twice::First)?;
                    (days.contains(&day.weekday()) && now < begin).then_some(begin)
                });
                starts.min()
            }
        }
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
