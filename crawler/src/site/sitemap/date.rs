//! When a page changed, as a sitemap says it.
//!
//! W3C dates (<https://www.w3.org/TR/NOTE-datetime>) of every precision, with
//! what shops make of them: a blank for the `T`, no zone (UTC is taken), a zone
//! without colon; and the dates of RSS (RFC 822 with years of two or four
//! digits).

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// When a page changed: the first second that the date can mean, of the Unix
/// epoch. Two are compared for being the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lastmod(i64);

impl Lastmod {
    pub fn unix_s(self) -> i64 {
        self.0
    }

    pub fn from_unix_s(seconds: i64) -> Self {
        Self(seconds)
    }

    pub fn instant(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0, 0)
    }
}

impl fmt::Display for Lastmod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instant() {
            Some(instant) => write!(f, "{}", instant.format("%Y-%m-%dT%H:%M:%SZ")),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `2026`, `2026-11`, `2026-11-22`, `2026-11-22T07:20+09:00`,
/// `2026-11-22T07:20:30.45Z`.
pub(super) fn w3c(text: &str) -> Option<Lastmod> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.number(4)?;
    let mut parts = [1, 1];
    for part in &mut parts {
        if rest.take(b"-") {
            *part = rest.number(2)?;
        } else {
            break;
        }
    }
    let day = NaiveDate::from_ymd_opt(year.try_into().ok()?, parts[0], parts[1])?;
    let midnight = day.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
    if rest.0.is_empty() {
        return Some(Lastmod(midnight));
    }
    if !rest.take(b"Tt ") {
        return None;
    }
    let (hour, minute) = (rest.number(2)?, rest.take(b":").then(|| rest.number(2))??);
    let second = match rest.take(b":") {
        true => rest.number(2)?,
        false => 0,
    };
    if rest.take(b".,") {
        let digits = rest.0.iter().take_while(|byte| byte.is_ascii_digit());
        rest.0 = &rest.0[digits.count()..];
    }
    // A leap second is the one before it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second.min(59));
    Some(Lastmod(midnight + seconds - rest.zone_s()?))
}

/// `Sun, 22 Nov 2026 07:20:30 +0900`, with or without day of the week and
/// seconds; zones also by the names of RFC 822.
pub(super) fn rfc_822(text: &str) -> Option<Lastmod> {
    let instant = DateTime::parse_from_rfc2822(text).ok()?;
    Some(Lastmod(instant.timestamp()))
}

struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(
            number
                .iter()
                .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')),
        )
    }

    fn take(&mut self, any: &[u8]) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if any.contains(first) => {
                self.0 = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    /// East of Greenwich; to the end of the text.
    fn zone_s(&mut self) -> Option<i64> {
        while self.take(b" ") {}
        if self.0.is_empty() || matches!(self.0, b"Z" | b"z" | b"UTC" | b"GMT") {
            return Some(0);
        }
        let east = match self.0.first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.0 = &self.0[1..];
        let hours = i64::from(self.number(2)?);
        let minutes = match self.take(b":") || !self.0.is_empty() {
            true => i64::from(self.number(2)?),
            false => 0,
        };
        let fits = self.0.is_empty() && hours <= 23 && minutes <= 59;
        fits.then_some(east * (hours * 3600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_of_every_precision() {
        let check = |text: &str, expected: &str| {
            let found = w3c(text).map(|date| date.to_string());
            assert_eq!(found.unwrap_or_default(), expected, "{text}");
        };
        check("2026", "2026-01-01T00:00:00Z");
        check("2026-11", "2026-11-01T00:00:00Z");
        check("2026-11-22", "2026-11-22T00:00:00Z");
        check("2026-11-22T07:20Z", "2026-11-22T07:20:00Z");
        check("2026-11-22T07:20+09:00", "2026-11-21T22:20:00Z");
        check("2026-11-22T07:20:30-05:30", "2026-11-22T12:50:30Z");
        check("2026-11-22T07:20:30.123456+00:00", "2026-11-22T07:20:30Z");
        check("2026-11-22T23:59:60Z", "2026-11-22T23:59:59Z");
        check("2026-11-22 07:20:30", "2026-11-22T07:20:30Z");
        check("2026-11-22 07:20:30 +0900", "2026-11-21T22:20:30Z");
        check("2026-11-22T07:20:30+09", "2026-11-21T22:20:30Z");
        check("2026-11-22T07:20:30 UTC", "2026-11-22T07:20:30Z");
        check("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z");
        for wrong in [
            "",
            "26",
            "2026-13",
            "2026-02-30",
            "2026-1-1",
            "22.11.2026",
            "2026-11-22T",
            "now",
            "2026-11-22T7:20Z",
            "2026-11-22T24:00Z",
            "2026-11-22T07:20:30X",
            "2026-11-22x",
            "2026-11-22T07:20+9",
            "2026-11-22T07:20+09:00:00",
            "２０２６",
        ] {
            assert_eq!(w3c(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_of_rss() {
        let check = |text: &str, expected: &str| {
            let found = rfc_822(text).map(|date| date.to_string());
            assert_eq!(found.unwrap_or_default(), expected, "{text}");
        };
        check("Sun, 22 Nov 2026 07:20:30 +0900", "2026-11-21T22:20:30Z");
        check("Sun, 22 Nov 2026 07:20:30 GMT", "2026-11-22T07:20:30Z");
        check("22 Nov 2026 07:20 EST", "2026-11-22T12:20:00Z");
        check("22 Nov 26 07:20:30 Z", "2026-11-22T07:20:30Z");
        check("Mon, 22 Nov 2026 07:20:30 GMT", "");
        check("yesterday", "");
    }
}
