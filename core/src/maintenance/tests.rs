//! Windows by the clock and the zone, and what they close.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::*;
use crate::PipeId;

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
        partner: Some(PartnerHours::default()),
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

#[test]
fn outside_off_peak_hours_a_partner_waits_for_the_next_of_them() {
    let pipe = PipeId::parse("shop").unwrap();
    let nights = weekly(
        &["mon", "tue", "wed", "thu", "fri"],
        "22:00",
        "06:00",
        Tz::UTC,
    );
    let weekend = weekly(&["sat", "sun"], "00:00", "23:59", Tz::UTC);
    let hours = PartnerHours {
        maintenance: vec![weekly(&["wed"], "22:00", "23:00", Tz::UTC).unwrap()],
        off_peak: vec![nights.unwrap(), weekend.unwrap()],
    };
    let touches = Touches {
        partner: Some(hours),
        ..Touches::default()
    };
    let check = |now, expected: Option<&str>| {
        let found = closed(&touches, &pipe, &Declarations::default(), at(now));
        assert_eq!(found.map(|closed| closed.until), expected.map(at), "{now}");
    };
    // 2026-11-23 is a Monday.
    check("2026-11-23T12:00:00Z", Some("2026-11-23T22:00:00Z"));
    check("2026-11-23T22:00:00Z", None);
    check("2026-11-24T05:59:59Z", None);
    check("2026-11-24T06:00:00Z", Some("2026-11-24T22:00:00Z"));
    // Maintenance begins when the hours do: the two are one wait.
    check("2026-11-25T12:00:00Z", Some("2026-11-25T23:00:00Z"));
    check("2026-11-28T12:00:00Z", None);
    // The last minute of Sunday is in neither.
    check("2026-11-29T23:59:30Z", Some("2026-11-30T22:00:00Z"));
    let over = PartnerHours {
        maintenance: Vec::new(),
        off_peak: vec![
            Window::parse(
                &WindowText {
                    days: Vec::new(),
                    from: "2026-11-01T00:00:00Z".to_owned(),
                    until: "2026-11-02T00:00:00Z".to_owned(),
                    reason: String::new(),
                },
                Tz::UTC,
            )
            .unwrap(),
        ],
    };
    let touches = Touches {
        partner: Some(over),
        ..Touches::default()
    };
    let found = closed(
        &touches,
        &pipe,
        &Declarations::default(),
        at("2026-11-23T12:00:00Z"),
    );
    assert_eq!(found, None, "hours that never come again are none");
}
