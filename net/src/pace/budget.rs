//! What a host has cost a crawl, and when it is given up. Pure.

use std::fmt;
use std::time::Duration;

use super::settings::HostBudget;

/// Why a host is not asked any more by this crawl.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "spent", content = "max")]
pub enum GivenUp {
    /// As many requests as it was granted.
    Requests(u64),
    /// As many retries.
    Retries(u64),
    /// As much time on requests that came to nothing, in milliseconds.
    ErrorMs(u64),
    /// The crawl has met as many hosts as it may ask.
    Hosts(u32),
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(max) => write!(f, "it has had the {max} requests that it is granted"),
            Self::Retries(max) => write!(f, "it has had the {max} retries that it is granted"),
            Self::ErrorMs(max) => write!(
                f,
                "requests that came to nothing have taken the {} s that it is granted",
                max / 1000
            ),
            Self::Hosts(max) => write!(f, "the crawl has met the {max} hosts that it may ask"),
        }
    }
}

/// What has been spent on one host.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) troubled: u64,
    error: Duration,
    given_up: Option<GivenUp>,
}

impl Spent {
    /// One more request, if it is granted.
    pub(crate) fn request(&mut self, budget: &HostBudget) -> Result<(), GivenUp> {
        if self.requests >= budget.requests_max {
            self.give_up(GivenUp::Requests(budget.requests_max));
        }
        if let Some(given_up) = self.given_up {
            return Err(given_up);
        }
        self.requests += 1;
        Ok(())
    }

    /// One more retry, if it is granted.
    pub(crate) fn retry(&mut self, budget: &HostBudget) -> Result<(), GivenUp> {
        if self.retries >= budget.retries_max {
            self.give_up(GivenUp::Retries(budget.retries_max));
        }
        if let Some(given_up) = self.given_up {
            return Err(given_up);
        }
        self.retries += 1;
        Ok(())
    }

    /// A request came to nothing after this long.
    pub(crate) fn trouble(&mut self, took: Duration, budget: &HostBudget) {
        self.troubled += 1;
        self.error = self.error.saturating_add(took);
        if self.error >= Duration::from_millis(budget.error_ms_max) {
            self.give_up(GivenUp::ErrorMs(budget.error_ms_max));
        }
    }

    /// The first reason stays.
    fn give_up(&mut self, why: GivenUp) {
        self.given_up = self.given_up.or(Some(why));
    }

    pub(crate) fn given_up(&self) -> Option<GivenUp> {
        self.given_up
    }

    pub(crate) fn error_ms(&self) -> u64 {
        crate::fetcher::millis(self.error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_host_is_given_up_when_a_budget_is_spent_and_stays_so() {
        let budget = HostBudget {
            requests_max: 5,
            retries_max: 2,
            error_ms_max: 10_000,
        };
        let check = |requests: u32, retries: u32, troubles: &[u32], expected: Option<GivenUp>| {
            let mut spent = Spent::default();
            for _ in 0..requests {
                let _ = spent.request(&budget);
            }
            for _ in 0..retries {
                let _ = spent.retry(&budget);
            }
            for seconds in troubles {
                spent.trouble(SECOND * *seconds, &budget);
            }
            assert_eq!(spent.given_up(), expected);
            assert_eq!(
                spent.request(&budget).err(),
                expected.or(match requests {
                    5.. => Some(GivenUp::Requests(5)),
                    _ => None,
                })
            );
        };
        check(0, 0, &[], None);
        check(4, 2, &[4, 5], None);
        check(5, 0, &[], None);
        check(6, 0, &[], Some(GivenUp::Requests(5)));
        check(1, 3, &[], Some(GivenUp::Retries(2)));
        check(1, 0, &[4, 6], Some(GivenUp::ErrorMs(10_000)));
        check(6, 3, &[11], Some(GivenUp::Requests(5)));
    }
}
