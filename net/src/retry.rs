//! When to try again: pure decisions, by class.
//!
//! Only short waits are decided here. A wait over `wait_in_place_ms_max` is
//! given back to the caller, because a job that has to wait is parked and does
//! not hold a slot.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use crate::error::FetchClass;

/// A host cannot silence us for longer than this by one header.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// Bounds of the retries within one fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. 1 turns retries off.
    pub attempts_max: u32,
    /// The first wait; it doubles with every attempt.
    pub base_ms: u64,
    /// The longest wait of the doubling.
    pub backoff_ms_max: u64,
    /// The longest wait that is sat out here, Retry-After included.
    pub wait_in_place_ms_max: u64,
    /// No attempt starts later than this after the first.
    pub budget_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            base_ms: 500,
            backoff_ms_max: 15_000,
            // Over this the job is better parked than holding its slot.
            wait_in_place_ms_max: 30_000,
            budget_ms: 120_000,
        }
    }
}

/// What is known when an attempt has failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// What kind of failure.
    pub class: FetchClass,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// What the host asked for.
    pub retry_after: Option<Duration>,
    /// Time since the first attempt began.
    pub elapsed: Duration,
    /// From the URL, so that jitter differs between URLs and repeats in tests.
    pub seed: u64,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Wait this long, then try again.
    After(Duration),
    /// Hand the error to the caller.
    GiveUp,
}

impl RetryPolicy {
    /// No retry at all: for callers that do their own.
    pub fn never() -> Self {
        Self {
            attempts_max: 1,
            ..Self::default()
        }
    }

    /// Decides on one failed attempt.
    pub fn decide(&self, failed: Failed) -> Retry {
        if !failed.class.is_transient() || failed.attempt >= self.attempts_max {
            return Retry::GiveUp;
        }
        let backoff = self.backoff(failed.attempt, failed.seed);
        let wait = failed
            .retry_after
            .map_or(backoff, |asked| asked.max(backoff));
        let too_long = wait > Duration::from_millis(self.wait_in_place_ms_max);
        let too_late = failed.elapsed.saturating_add(wait) > Duration::from_millis(self.budget_ms);
        if too_long || too_late {
            return Retry::GiveUp;
        }
        Retry::After(wait)
    }

    /// Doubling with jitter between half and the whole of the step.
    fn backoff(&self, attempt: u32, seed: u64) -> Duration {
        let doubled = 1_u64
            .checked_shl(attempt.saturating_sub(1))
            .and_then(|factor| self.base_ms.checked_mul(factor))
            .unwrap_or(u64::MAX);
        let step = doubled.min(self.backoff_ms_max);
        let half = step / 2;
        let jitter = mix(seed ^ u64::from(attempt)) % (step - half + 1);
        Duration::from_millis(half + jitter)
    }
}

/// A stable hash of a text (FNV-1a), for seeds.
pub fn seed_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64: spreads neighbouring seeds.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Reads Retry-After: seconds or an HTTP date, bounded by [`RETRY_AFTER_MAX`].
/// A date in the past is a wait of nothing; what cannot be read is no header.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let wait = date.duration_since(now).unwrap_or_default();
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::StatusClass;

    fn failed(class: FetchClass, attempt: u32) -> Failed {
        Failed {
            class,
            attempt,
            retry_after: None,
            elapsed: Duration::ZERO,
            seed: 7,
        }
    }

    #[test]
    fn classes_are_retried_or_not() {
        let policy = RetryPolicy::default();
        let check = |class: FetchClass, retried: bool| {
            let found = policy.decide(failed(class, 1));
            assert_eq!(found != Retry::GiveUp, retried, "{class:?}");
        };
        check(FetchClass::Connect, true);
        check(FetchClass::Dns, true);
        check(FetchClass::Timeout, true);
        check(FetchClass::Truncated, true);
        check(FetchClass::Status(StatusClass::Server), true);
        check(FetchClass::Status(StatusClass::TooManyRequests), true);
        check(FetchClass::Status(StatusClass::NotFound), false);
        check(FetchClass::Status(StatusClass::Forbidden), false);
        check(FetchClass::RefusedAddress, false);
        check(FetchClass::Tls, false);
        check(FetchClass::TooLarge, false);
        check(FetchClass::Cancelled, false);
        check(FetchClass::Disk, false);
    }

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        let policy = RetryPolicy {
            attempts_max: 100,
            budget_ms: u64::MAX,
            ..RetryPolicy::default()
        };
        for attempt in 1..99 {
            for seed in 0..20 {
                let Retry::After(wait) = policy.decide(Failed {
                    seed,
                    ..failed(FetchClass::Connect, attempt)
                }) else {
                    panic!("attempt {attempt} given up");
                };
                let exponent = (attempt - 1).min(20);
                let step = (500_u64 << exponent).min(15_000);
                let wait = u64::try_from(wait.as_millis()).unwrap();
                assert!(
                    (step / 2..=step).contains(&wait),
                    "{attempt}: {wait} of {step}"
                );
            }
        }
    }

    #[test]
    fn the_host_is_obeyed_within_the_bounds() {
        let policy = RetryPolicy::default();
        let class = FetchClass::Status(StatusClass::TooManyRequests);
        let check = |attempt, retry_after: u64, elapsed: u64, expected: Option<u64>| {
            let found = policy.decide(Failed {
                retry_after: Some(Duration::from_secs(retry_after)),
                elapsed: Duration::from_secs(elapsed),
                ..failed(class, attempt)
            });
            let expected = expected.map_or(Retry::GiveUp, |s| Retry::After(Duration::from_secs(s)));
            assert_eq!(found, expected);
        };
        check(1, 7, 0, Some(7));
        check(1, 30, 0, Some(30));
        check(1, 31, 0, None);
        check(1, 7, 114, None);
        check(3, 7, 0, None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let check = |text: &str, expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            assert_eq!(
                retry_after(&headers, now),
                expected.map(Duration::from_secs),
                "{text}"
            );
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999", Some(24 * 3600));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("Fri, 31 Dec 2100 23:59:59 GMT", Some(24 * 3600));
        check("-5", None);
        check("soon", None);
        check("", None);
    }
}
