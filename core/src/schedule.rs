//! When a pipe is due: a cron expression in a time zone.
//!
//! Daylight saving: a local time that is skipped is due at the first instant
//! after the gap; one that happens twice is due once, the first time. Held by
//! `dst_gaps_and_overlaps_are_due_once`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};

/// How far back a due instant is looked for: an hour, a day, 32 days, a year,
/// five years (29 February).
const LOOK_BACK_HOURS: [i64; 5] = [1, 24, 32 * 24, 366 * 24, 5 * 366 * 24];

/// What may stand for `cron`.
pub const CRON_RULE: &str = "five fields, minute hour day month weekday, such as \"15 3 * * *\"";

/// What may stand for `zone`.
pub const ZONE_RULE: &str = "an IANA name such as \"Asia/Seoul\" or \"UTC\"";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("cron {found:?} is not valid ({reason}); write {}", CRON_RULE)]
    Cron { found: String, reason: String },
    #[error("time zone {0:?} is not known; write {rule}", rule = ZONE_RULE)]
    Zone(String),
}

/// Cron expression and time zone, parsed.
#[derive(Clone)]
pub struct Schedule {
    cron: Cron,
    text: String,
    zone: Tz,
}

/// How a schedule is written in a pipe file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleText {
    /// Five fields: minute hour day month weekday.
    pub cron: String,
    /// IANA name, such as `Asia/Seoul`; default `UTC`.
    #[serde(default = "utc")]
    pub zone: String,
    /// Seconds after its due instant within which a run is to be over: so many
    /// machines are asked for. Default `plan.finish_within_s` of
    /// `trawler.toml`; bound 60 to 604800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_within_s: Option<u32>,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Schedule {
    pub fn parse(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        let parsed = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(cron)
            .map_err(|error| ScheduleError::Cron {
                found: cron.to_owned(),
                reason: error.to_string(),
            })?;
        let zone = Tz::from_str(zone).map_err(|_| ScheduleError::Zone(zone.to_owned()))?;
        Ok(Self {
            cron: parsed,
            text: cron.to_owned(),
            zone,
        })
    }

    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first due instant after `instant`; `None` when there is none (31
    /// February).
    pub fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = instant.with_timezone(&self.zone);
        // A local time that happens twice could be found again within its own
        // second pass; what is not later is no next occurrence.
        self.cron
            .iter_after(local)
            .map(|found| found.with_timezone(&Utc))
            .take(4)
            .find(|found| *found > instant)
    }

    /// The latest due instant at or before `now`: missed runs are caught up
    /// once, by the newest of them. `None` when there was none for five years.
    pub fn latest_at_or_before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Searching forward keeps one reading of daylight saving; the windows
        // grow, so that neither a minutely nor a yearly pipe takes many steps.
        LOOK_BACK_HOURS
            .iter()
            .find_map(|hours| self.last_between(now - chrono::Duration::hours(*hours), now))
    }

    fn last_between(&self, after: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut latest = None;
        let mut at = after;
        while let Some(due) = self.next_after(at).filter(|due| *due <= now) {
            latest = Some(due);
            at = due;
        }
        latest
    }
}

impl TryFrom<&ScheduleText> for Schedule {
    type Error = ScheduleError;
    fn try_from(text: &ScheduleText) -> Result<Self, ScheduleError> {
        Self::parse(&text.cron, &text.zone)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.zone)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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

    fn occurrences(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(cron, zone).unwrap();
        let mut found = Vec::new();
        let mut instant = at(from);
        while found.len() < count {
            instant = schedule.next_after(instant).unwrap();
            found.push(instant.format("%Y-%m-%dT%H:%MZ").to_string());
        }
        found
    }

    #[test]
    fn due_instants_follow_the_zone() {
        assert_eq!(
            occurrences("15 3 * * *", "Asia/Seoul", "2026-11-21T00:00:00Z", 2),
            ["2026-11-21T18:15Z", "2026-11-22T18:15Z"]
        );
        assert_eq!(
            occurrences("*/30 * * * *", "UTC", "2026-11-21T00:00:00Z", 3),
            [
                "2026-11-21T00:30Z",
                "2026-11-21T01:00Z",
                "2026-11-21T01:30Z"
            ]
        );
    }

    #[test]
    fn dst_gaps_and_overlaps_are_due_once() {
        // Berlin leaps from 02:00 to 03:00 on 2026-03-29 ...
        assert_eq!(
            occurrences("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            [
                "2026-03-28T01:30Z",
                "2026-03-29T01:00Z",
                "2026-03-30T00:30Z"
            ]
        );
        // ... and lives 02:00 to 03:00 twice on 2026-10-25.
        assert_eq!(
            occurrences("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3),
            [
                "2026-10-24T00:30Z",
                "2026-10-25T00:30Z",
                "2026-10-26T01:30Z"
            ]
        );
    }

    #[test]
    fn missed_runs_are_caught_up_by_the_latest() {
        let check = |cron: &str, now: &str, expected: Option<&str>| {
            let schedule = Schedule::parse(cron, "UTC").unwrap();
            assert_eq!(
                schedule.latest_at_or_before(at(now)),
                expected.map(at),
                "{cron} {now}"
            );
        };
        check(
            "0 3 * * *",
            "2026-11-21T12:00:00Z",
            Some("2026-11-21T03:00:00Z"),
        );
        check(
            "0 3 * * *",
            "2026-11-21T03:00:00Z",
            Some("2026-11-21T03:00:00Z"),
        );
        check(
            "0 3 * * *",
            "2026-11-21T02:59:59Z",
            Some("2026-11-20T03:00:00Z"),
        );
        check(
            "* * * * *",
            "2026-11-21T12:00:30Z",
            Some("2026-11-21T12:00:00Z"),
        );
        check(
            "0 0 29 2 *",
            "2026-11-21T12:00:00Z",
            Some("2024-02-29T00:00:00Z"),
        );
    }

    #[test]
    fn bad_schedules_say_what_is_allowed() {
        let shown = |cron: &str, zone: &str| Schedule::parse(cron, zone).unwrap_err().to_string();
        assert!(shown("often", "UTC").contains("five fields"));
        assert!(shown("0 3 * * *", "Mars/Olympus").contains("IANA"));
        assert!(shown("0 0 3 * * *", "UTC").contains("five fields"));
    }

    #[test]
    fn a_day_that_never_comes_is_never_due() {
        let never = Schedule::parse("0 0 31 2 *", "UTC");
        assert!(
            never.is_err()
                || never
                    .unwrap()
                    .next_after(at("2026-01-01T00:00:00Z"))
                    .is_none()
        );
    }
}
