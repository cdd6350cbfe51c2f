//! What a pipe says about the pace of its crawl, and what it grants a host.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Slower than once an hour is not crawling; the arithmetic stays sound.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// The pace of one crawl towards each of its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaceSettings {
    /// Requests a second to one host at most. Infinite is no bound.
    pub rate_per_s: f64,
    /// Requests at once to one host at most.
    pub concurrency: u32,
    /// The longest interval that a struggling host is slowed to. What the rate
    /// or a Crawl-delay asks for is kept even where it is longer.
    pub interval_ms_max: u64,
    /// Hosts that one crawl may ask. A shop has a handful (www, cdn, api).
    pub hosts_max: u32,
    /// What a host may cost.
    pub budget: HostBudget,
}

impl Default for PaceSettings {
    fn default() -> Self {
        Self {
            rate_per_s: 2.0,
            concurrency: 4,
            interval_ms_max: 30_000,
            hosts_max: 256,
            budget: HostBudget::default(),
        }
    }
}

impl PaceSettings {
    /// Least time between the starts of two requests at full speed.
    pub fn interval(&self) -> Duration {
        // Not above 0, or not a number: as slow as it gets, never without bound.
        let seconds = if self.rate_per_s > 0.0 {
            1.0 / self.rate_per_s
        } else {
            INTERVAL_MAX.as_secs_f64()
        };
        let interval = Duration::try_from_secs_f64(seconds);
        interval.unwrap_or(INTERVAL_MAX).min(INTERVAL_MAX)
    }
}

/// What one host may cost one crawl before it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostBudget {
    /// Requests, redirects and retries included.
    pub requests_max: u64,
    /// Attempts after the first.
    pub retries_max: u64,
    /// Time spent on requests that came to nothing, summed over all of them.
    pub error_ms_max: u64,
}

impl Default for HostBudget {
    fn default() -> Self {
        Self {
            // Twice the frontier of the largest site crawl.
            requests_max: 2_000_000,
            retries_max: 5_000,
            // A hundred and twenty time-outs of half a minute.
            error_ms_max: 60 * 60 * 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_an_interval() {
        let check = |rate_per_s, expected_ms: u128| {
            let settings = PaceSettings {
                rate_per_s,
                ..PaceSettings::default()
            };
            assert_eq!(settings.interval().as_millis(), expected_ms, "{rate_per_s}");
        };
        check(4.0, 250);
        check(0.1, 10_000);
        check(f64::INFINITY, 0);
        check(0.0, 3_600_000);
        check(-1.0, 3_600_000);
        check(f64::NAN, 3_600_000);
        check(f64::MIN_POSITIVE, 3_600_000);
    }
}
