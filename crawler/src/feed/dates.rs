//! Dates of feeds: ISO 8601 in its usual spellings, with or without zone.

use chrono::{LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

use super::convert::Bad;

const NOT_A_DATE: Bad = "is not an ISO 8601 date";

/// Microseconds since 1970. A date without time is its midnight, and what
/// names no zone is read in `zone`.
pub(super) fn instant(found: &str, zone: Tz) -> Result<i64, Bad> {
    let (date, rest) = read_date(found).ok_or(NOT_A_DATE)?;
    let rest = rest.strip_prefix(['T', 't', ' ']).unwrap_or(rest);
    let (time, rest) = match rest.trim_start() {
        "" => (NaiveTime::MIN, ""),
        rest => read_time(rest).ok_or(NOT_A_DATE)?,
    };
    let local = NaiveDateTime::new(date, time);
    match rest.trim() {
        "" => in_zone(local, zone),
        "Z" | "z" => Ok(local.and_utc().timestamp_micros()),
        offset => {
            let seconds = read_offset(offset).ok_or(NOT_A_DATE)?;
            Ok(local.and_utc().timestamp_micros() - seconds * 1_000_000)
        }
    }
}

fn in_zone(local: NaiveDateTime, zone: Tz) -> Result<i64, Bad> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(at.timestamp_micros()),
        LocalResult::None => Err("falls into the hour that the clock change skips"),
    }
}

/// Start and end of `start/end`.
pub(super) fn interval(found: &str, zone: Tz) -> Result<(i64, i64), Bad> {
    const NOT_AN_INTERVAL: Bad = "is not an interval start/end of ISO 8601 dates";
    let (start, end) = found.split_once('/').ok_or(NOT_AN_INTERVAL)?;
    let (start, end) = (instant(start.trim(), zone)?, instant(end.trim(), zone)?);
    if start > end {
        return Err("ends before it starts");
    }
    Ok((start, end))
}

fn digits(text: &str, count: usize) -> Option<(u32, &str)> {
    let head = text.get(..count)?;
    if !head.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((head.parse().ok()?, &text[count..]))
}

/// `2026-05-01`, `2026/05/01`, `2026.05.01` or `20260501`.
fn read_date(text: &str) -> Option<(NaiveDate, &str)> {
    let (year, rest) = digits(text, 4)?;
    let separator = rest.chars().next().filter(|c| matches!(c, '-' | '/' | '.'));
    let skip = |rest: &'_ str| -> Option<usize> {
        match separator {
            Some(separator) => rest.starts_with(separator).then_some(1),
            None => Some(0),
        }
    };
    let rest = &rest[skip(rest)?..];
    let (month, rest) = digits(rest, 2)?;
    let rest = &rest[skip(rest)?..];
    let (day, rest) = digits(rest, 2)?;
    let year = i32::try_from(year).ok()?;
    Some((NaiveDate::from_ymd_opt(year, month, day)?, rest))
}

/// `23:59`, `23:59:59`, `23:59:59.123`, `2359` or `235959`.
fn read_time(text: &str) -> Option<(NaiveTime, &str)> {
    let (hour, rest) = digits(text, 2)?;
    let compact = !rest.starts_with(':');
    let (minute, rest) = digits(rest.strip_prefix(':').unwrap_or(rest), 2)?;
    let seconds = match compact {
        true => digits(rest, 2),
        false => rest.strip_prefix(':').and_then(|rest| digits(rest, 2)),
    };
    let Some((second, rest)) = seconds else {
        return Some((NaiveTime::from_hms_opt(hour, minute, 0)?, rest));
    };
    let (mut micros, mut rest) = (0, rest);
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(fraction.len());
        for at in 0..6 {
            let digit = fraction.as_bytes()[..end].get(at).map_or(0, |b| b - b'0');
            micros = micros * 10 + u32::from(digit);
        }
        rest = &fraction[end..];
    }
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micros)?;
    Some((time, rest))
}

/// Seconds east of UTC of `+09:00`, `+0900` or `+09`.
fn read_offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() {
        (0, rest)
    } else {
        digits(rest, 2)?
    };
    let usable = rest.is_empty() && hours <= 14 && minutes < 60;
    usable.then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_instant() {
        let check = |found: &str, expected: Option<&str>| {
            let micros = instant(found, chrono_tz::Asia::Seoul).ok();
            let shown = micros
                .and_then(chrono::DateTime::from_timestamp_micros)
                .map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string());
            let expected = expected.map(|expected| format!("{expected:0<26}"));
            assert_eq!(shown, expected, "{found:?}");
        };
        check("2026-05-01T09:30:00Z", Some("2026-05-01T09:30:00."));
        check("2026-05-01T09:30:00+09:00", Some("2026-05-01T00:30:00."));
        check("2026-05-01T09:30+0900", Some("2026-05-01T00:30:00."));
        check("2026-05-01T09:30-08", Some("2026-05-01T17:30:00."));
        check("2026-05-01 09:30:00", Some("2026-05-01T00:30:00."));
        check("2026-05-01", Some("2026-04-30T15:00:00."));
        check("20260501", Some("2026-04-30T15:00:00."));
        check("20260501093000", Some("2026-05-01T00:30:00."));
        check("20260501 0930", Some("2026-05-01T00:30:00."));
        check("202605010930", Some("2026-05-01T00:30:00."));
        check("2026050109300", None);
        check("09:30:00", None);
        check("2026/05/01 09:30:00.25", Some("2026-05-01T00:30:00.25"));
        check("2026-13-01", None);
        check("2026-05-01T25:00:00Z", None);
        check("2026-05-01T09:30:00 KST", None);
        check("tomorrow", None);
        check("", None);
        check("2026-5-1", None);
        check("상품-01-01", None);
    }

    #[test]
    fn intervals_have_two_ends() {
        let seoul = chrono_tz::Asia::Seoul;
        assert!(interval("2026-05-01T00:00Z/2026-05-02T00:00Z", seoul).is_ok());
        assert!(interval("2026-05-02/2026-05-01", seoul).is_err());
        assert!(interval("2026-05-02", seoul).is_err());
    }
}
