//! The pace of one crawl of one pipe, handed in with its requests
//! ([`Request::pace`](crate::Request::pace)).
//!
//! Per host: rate, requests at once, Crawl-delay, slowing down when the host
//! struggles (`adapt`), and a budget after which the host is given up
//! (`budget`). Of the process-wide gate (`gate`) the rests that hosts ask for
//! hold besides, which every pipe keeps.
//!
//! What it does not: off-peak windows and robots rules, which are the crawl's,
//! and politeness across the fleet: one pipe is worked on by one worker.

mod adapt;
mod budget;
mod settings;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

pub use adapt::Why;
pub use budget::GivenUp;
pub use settings::{HostBudget, PaceSettings};

use adapt::{Adapt, Changed, Outcome, Started};
use budget::Spent;

use crate::fetcher::millis;
use crate::gate::Signal;
use crate::target::Target;

/// The pace of one crawl. Made once a crawl, shared by its requests.
#[derive(Debug)]
pub struct Pace {
    settings: PaceSettings,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

#[derive(Debug)]
struct Host {
    state: Mutex<State>,
    /// Told when a request has ended, or more may run at once than before.
    freed: Notify,
}

#[derive(Debug)]
struct State {
    adapt: Adapt,
    spent: Spent,
    running: u32,
}

/// How one host is asked at the moment: for progress and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostPace {
    /// The host, with its port where that is not the usual one.
    pub host: String,
    /// Least time between the starts of two requests.
    pub interval_ms: u64,
    /// Requests at once at most.
    pub concurrency: u32,
    /// Requests under way.
    pub running: u32,
    /// Steps below full speed.
    pub steps_slower: u32,
    /// Why not faster.
    pub why: Why,
    /// The host's latency of late, and its usual one.
    pub latency_ms: Option<u64>,
    /// What the latency is compared with.
    pub baseline_ms: Option<u64>,
    /// Requests so far.
    pub requests: u64,
    /// Of these, attempts after the first.
    pub retries: u64,
    /// Of these, what came to nothing by the host's fault.
    pub troubled: u64,
    /// Time spent on those.
    pub error_ms: u64,
    /// Set once the host is not asked any more.
    pub given_up: Option<GivenUp>,
}

impl Pace {
    /// A pace that has met no host yet.
    pub fn new(settings: PaceSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            hosts: Mutex::new(HashMap::new()),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &PaceSettings {
        &self.settings
    }

    /// The Crawl-delay of the URL's host, from its robots.txt; replaces an
    /// earlier one. The caller bounds it.
    pub fn set_crawl_delay(&self, url: &Url, delay: Duration) {
        let Ok(target) = Target::checked(url.clone()) else {
            return;
        };
        if let Ok(host) = self.host(&target.host_key()) {
            host.state(|state| state.adapt.set_crawl_delay(delay));
        }
    }

    /// How each host is asked, by name.
    pub fn hosts(&self) -> Vec<HostPace> {
        let hosts: Vec<(String, Arc<Host>)> = {
            let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let pairs = hosts.iter();
            pairs
                .map(|(name, host)| (name.clone(), Arc::clone(host)))
                .collect()
        };
        let mut figures: Vec<HostPace> = hosts
            .into_iter()
            .map(|(name, host)| host.state(|state| figures(name, state, &self.settings)))
            .collect();
        figures.sort_by(|a, b| a.host.cmp(&b.host));
        figures
    }

    /// Whether the URL's host is given up, and why.
    pub fn given_up(&self, url: &Url) -> Option<GivenUp> {
        let target = Target::checked(url.clone()).ok()?;
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.get(target.host_key().as_ref())?;
        host.state(|state| state.spent.given_up())
    }

    /// Waits for the crawl's turn at a host. Cancel-safe: a turn that was
    /// booked and not taken costs the host one interval of silence.
    pub(crate) async fn turn(&self, key: &str) -> Result<PaceTurn, GivenUp> {
        let host = self.host(key)?;
        let slot = Slot::of(host, &self.settings).await;
        let booked = slot.host.state(|state| {
            state.spent.request(&self.settings.budget)?;
            Ok(state.adapt.book(Instant::now(), &self.settings))
        });
        let (start, started) = booked?;
        // The timer ticks in milliseconds; a turn that is due does not wait.
        if start > Instant::now() {
            tokio::time::sleep_until(start).await;
        }
        Ok(PaceTurn {
            slot,
            started,
            begun: Instant::now(),
            settings: self.settings,
        })
    }

    /// Counts a retry, if the host is granted one more.
    pub(crate) fn retry(&self, key: &str) -> Result<(), GivenUp> {
        let host = self.host(key)?;
        host.state(|state| state.spent.retry(&self.settings.budget))
    }

    fn host(&self, key: &str) -> Result<Arc<Host>, GivenUp> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(key) {
            return Ok(Arc::clone(host));
        }
        // None is forgotten: with it would go what it has cost.
        if hosts.len() >= usize::try_from(self.settings.hosts_max).unwrap_or(usize::MAX) {
            return Err(GivenUp::Hosts(self.settings.hosts_max));
        }
        let host = Arc::new(Host {
            state: Mutex::new(State {
                adapt: Adapt::new(Instant::now(), &self.settings),
                spent: Spent::default(),
                running: 0,
            }),
            freed: Notify::new(),
        });
        hosts.insert(key.to_owned(), Arc::clone(&host));
        Ok(host)
    }
}

fn figures(host: String, state: &State, settings: &PaceSettings) -> HostPace {
    let (recent, baseline) = state.adapt.latencies();
    HostPace {
        host,
        interval_ms: millis(state.adapt.interval(settings)),
        concurrency: state.adapt.concurrency(settings),
        running: state.running,
        steps_slower: state.adapt.level(),
        why: state.adapt.why(settings),
        latency_ms: recent.map(millis),
        baseline_ms: baseline.map(millis),
        requests: state.spent.requests,
        retries: state.spent.retries,
        troubled: state.spent.troubled,
        error_ms: state.spent.error_ms(),
        given_up: state.spent.given_up(),
    }
}

impl Host {
    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One of the requests that run at once; ends when dropped.
struct Slot {
    host: Arc<Host>,
}

impl Slot {
    async fn of(host: Arc<Host>, settings: &PaceSettings) -> Self {
        let take = |host: &Host| {
            host.state(|state| {
                let free = state.running < state.adapt.concurrency(settings);
                if free {
                    state.running += 1;
                }
                free
            })
        };
        while !take(&host) {
            let mut freed = std::pin::pin!(host.freed.notified());
            // In the queue before looking again, so that no call is missed.
            freed.as_mut().enable();
            if take(&host) {
                break;
            }
            freed.await;
        }
        Self { host }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.host.state(|state| state.running -= 1);
        self.host.freed.notify_one();
    }
}

/// The right to one request of a crawl; held until its body is read.
pub(crate) struct PaceTurn {
    slot: Slot,
    started: Started,
    begun: Instant,
    settings: PaceSettings,
}

impl PaceTurn {
    /// Latency counts from now: until here the turn may have waited for others.
    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// Tells how it went: once for the head, and again if the body broke off.
    pub(crate) fn note(&self, signal: Signal) {
        self.note_after(signal, self.begun.elapsed());
    }

    /// The same of a request that took so long.
    pub(crate) fn note_after(&self, signal: Signal, took: Duration) {
        let outcome = match signal {
            Signal::Fine => Outcome::Answered(took),
            Signal::Trouble => Outcome::Troubled,
            Signal::TooMany | Signal::Rest(_) => Outcome::TooMany,
        };
        let changed = self.slot.host.state(|state| {
            if !matches!(outcome, Outcome::Answered(_)) {
                state.spent.trouble(took, &self.settings.budget);
            }
            state.adapt.note(self.started, outcome)
        });
        if changed == Changed::Yes {
            // More may run at once than wait for a call each.
            self.slot.host.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pace(settings: PaceSettings) -> Arc<Pace> {
        Pace::new(settings)
    }

    #[tokio::test(start_paused = true)]
    async fn turns_keep_rate_and_concurrency_of_each_host() {
        let pace = pace(PaceSettings {
            rate_per_s: 10.0,
            concurrency: 1,
            ..PaceSettings::default()
        });
        let begun = Instant::now();
        for n in 0..20 {
            let turn = pace.turn("a.test").await.unwrap();
            // Time is virtual, so that this is the rate to the millisecond.
            let due = Duration::from_millis(100) * n;
            let late = begun.elapsed().checked_sub(due).expect("none comes early");
            assert!(
                late <= Duration::from_millis(2),
                "turn {n} is {late:?} late"
            );
            turn.note(Signal::Fine);
        }
        let held = pace.turn("a.test").await.unwrap();
        let other = tokio::time::timeout(Duration::from_secs(60), pace.turn("a.test")).await;
        assert!(other.is_err(), "one at a time");
        assert!(pace.turn("b.test").await.is_ok(), "another host");
        drop(held);
        assert!(pace.turn("a.test").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_called_when_more_may_run() {
        let pace = pace(PaceSettings {
            rate_per_s: f64::INFINITY,
            concurrency: 4,
            ..PaceSettings::default()
        });
        for _ in 0..20 {
            pace.turn("a.test").await.unwrap().note(Signal::Fine);
        }
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let pace = Arc::clone(&pace);
            tasks.spawn(async move {
                let turn = pace.turn("a.test").await.unwrap();
                let running = pace.hosts()[0].running;
                tokio::time::sleep(Duration::from_millis(5)).await;
                turn.note(Signal::Fine);
                running
            });
        }
        let running = tasks.join_all().await;
        assert_eq!(running.iter().max(), Some(&4));
        let [host] = &pace.hosts()[..] else {
            panic!("one host")
        };
        assert_eq!((host.running, host.requests), (0, 70));
        assert_eq!((host.why, host.concurrency), (Why::Full, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_gives_the_host_up_and_no_other() {
        let pace = pace(PaceSettings {
            hosts_max: 2,
            budget: HostBudget {
                requests_max: 3,
                ..HostBudget::default()
            },
            ..PaceSettings::default()
        });
        for _ in 0..3 {
            pace.turn("a.test").await.unwrap().note(Signal::Fine);
        }
        let given_up = pace.turn("a.test").await.err();
        assert_eq!(given_up, Some(GivenUp::Requests(3)));
        let url = Url::parse("https://a.test/x").unwrap();
        assert_eq!(pace.given_up(&url), Some(GivenUp::Requests(3)));
        assert!(pace.turn("b.test").await.is_ok());
        assert_eq!(pace.turn("c.test").await.err(), Some(GivenUp::Hosts(2)));
        assert_eq!(pace.hosts()[0].running, 0, "the slot is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn error_time_gives_a_host_up() {
        let pace = pace(PaceSettings {
            budget: HostBudget {
                error_ms_max: 60_000,
                ..HostBudget::default()
            },
            ..PaceSettings::default()
        });
        let mut asked = 0;
        let given_up = loop {
            match pace.turn("dead.test").await {
                Ok(turn) => {
                    tokio::time::sleep(Duration::from_secs(25)).await;
                    turn.note(Signal::Trouble);
                    asked += 1;
                }
                Err(given_up) => break given_up,
            }
        };
        assert_eq!((asked, given_up), (3, GivenUp::ErrorMs(60_000)));
    }
}
