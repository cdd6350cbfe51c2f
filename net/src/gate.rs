//! Politeness towards one host, within one process: requests at once, of all
//! and of those that share a bound, least interval, the rest a host asked for,
//! and slowing down when it struggles.
//!
//! Politeness across the fleet comes from the queue's message groups, not from
//! here; the pace of one crawl is `pace`'s, and then slowing down is as well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bounds per host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostLimits {
    /// Requests to one host at once.
    pub concurrency: u32,
    /// Least time between the starts of two requests to one host.
    pub interval_ms: u64,
    /// Hosts remembered; those that are idle make room first.
    pub hosts_max: u32,
    /// A request that would have to wait longer than this for the host's rest
    /// to end is given back, so that the job can be parked.
    pub rest_in_place_ms_max: u64,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            concurrency: 8,
            interval_ms: 0,
            hosts_max: 10_000,
            rest_in_place_ms_max: 30_000,
        }
    }
}

/// Share of troubled requests, in thousandths, up to which a host is left at
/// full speed: single failures are the image's fault more often than the host's.
const STRAIN_BORNE: u32 = 200;
const STRAIN_MAX: u32 = 1000;
/// Weight of the latest request in the moving share: one in this many.
const STRAIN_MEMORY: u32 = 10;
/// Interval towards a host that answers nothing but errors.
const PENALTY_MAX: Duration = Duration::from_secs(4);

/// How a request went, as far as the host's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The host answered.
    Fine,
    /// 5xx, a broken connection or a time-out.
    Trouble,
    /// 429 without a word of how long.
    TooMany,
    /// The host asked for a rest.
    Rest(Duration),
}

/// Who slows down towards a host that struggles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slowing {
    /// The gate.
    Here,
    /// The pace of the crawl that asks.
    ByPace,
}

/// A bound that some requests have together: a pipe's, whichever of its jobs
/// they are of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    pub(crate) name: String,
    /// Requests at once to one host.
    pub(crate) at_once: u32,
}

/// Shares that a host keeps beside those in use.
const SHARES_KEPT: usize = 64;

/// The timetable of one host. Pure: time comes in.
#[derive(Debug, Clone, Copy)]
struct Pace {
    next: Instant,
    rests_until: Instant,
    strain: u32,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            next: now,
            rests_until: now,
            strain: 0,
        }
    }

    /// When the next request may start; the following one is booked behind it.
    /// `Err` is the rest of the host if that is beyond what is waited for.
    /// Asked by one place alone, which adds the penalty where it is due.
    fn book(
        &mut self,
        now: Instant,
        interval: Duration,
        rest_max: Duration,
    ) -> Result<Instant, Duration> {
        let rest = self.rests_until.saturating_duration_since(now);
        if rest > rest_max {
            return Err(rest);
        }
        let start = self.next.max(self.rests_until).max(now);
        self.next = start + interval;
        Ok(start)
    }

    fn note(&mut self, now: Instant, signal: Signal) {
        match signal {
            Signal::Fine => self.strain -= self.strain.div_ceil(STRAIN_MEMORY),
            Signal::Trouble | Signal::TooMany => {
                self.strain += (STRAIN_MAX - self.strain) / STRAIN_MEMORY
            }
            Signal::Rest(wait) => {
                self.strain += (STRAIN_MAX - self.strain) / STRAIN_MEMORY;
                self.rests_until = self.rests_until.max(now + wait);
            }
        }
    }

    /// Nothing while the strain is borne, then growing evenly to the maximum.
    fn penalty(&self) -> Duration {
        let over = self.strain.saturating_sub(STRAIN_BORNE);
        PENALTY_MAX * over / (STRAIN_MAX - STRAIN_BORNE)
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.next <= now && self.rests_until <= now && self.strain <= STRAIN_BORNE
    }
}

struct Host {
    slots: Arc<Semaphore>,
    shares: Mutex<HashMap<Share, Arc<Semaphore>>>,
    pace: Mutex<Pace>,
}

impl Host {
    fn share(&self, share: &Share) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slots) = shares.get(share) {
            return Arc::clone(slots);
        }
        if shares.len() >= SHARES_KEPT {
            // Whoever waits or is at it holds one more.
            shares.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        let slots = usize::try_from(share.at_once.max(1)).unwrap_or(1);
        let slots = Arc::new(Semaphore::new(slots));
        shares.insert(share.clone(), Arc::clone(&slots));
        slots
    }

    fn pace<T>(&self, act: impl FnOnce(&mut Pace) -> T) -> T {
        act(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All hosts of this process.
pub(crate) struct HostGate {
    limits: HostLimits,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// The right to talk to a host until dropped.
pub(crate) struct Turn {
    host: Arc<Host>,
    _share: Option<OwnedSemaphorePermit>,
    /// None where the pace of a crawl has its own.
    _slot: Option<OwnedSemaphorePermit>,
}

impl HostGate {
    pub(crate) fn new(limits: HostLimits) -> Self {
        Self {
            limits,
            hosts: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for the host's turn. `Err` is how long the host wants to rest,
    /// when that is too long to wait here. Cancel-safe: a turn that was booked
    /// and not taken costs the host one interval of silence.
    pub(crate) async fn turn(
        &self,
        host: &str,
        interval_min: Duration,
        slowing: Slowing,
        share: Option<&Share>,
    ) -> Result<Turn, Duration> {
        let host = self.host(host);
        // Before the host's own slot, which others need while this one waits.
        let own = match share {
            Some(share) => {
                let slot = host.share(share).acquire_owned().await;
                Some(slot.expect("the semaphore is never closed"))
            }
            None => None,
        };
        let slot = match slowing {
            Slowing::Here => {
                let slot = Arc::clone(&host.slots).acquire_owned().await;
                Some(slot.expect("the semaphore is never closed"))
            }
            // So many at once as the pipe says, which may be more.
            Slowing::ByPace => None,
        };
        let interval = Duration::from_millis(self.limits.interval_ms).max(interval_min);
        let rest_max = Duration::from_millis(self.limits.rest_in_place_ms_max);
        let start = host.pace(|pace| {
            let interval = match slowing {
                Slowing::Here => interval.max(pace.penalty()),
                Slowing::ByPace => interval,
            };
            pace.book(Instant::now(), interval, rest_max)
        })?;
        // The timer ticks in milliseconds; a turn that is due does not wait for it.
        if start > Instant::now() {
            tokio::time::sleep_until(start).await;
        }
        Ok(Turn {
            host,
            _share: own,
            _slot: slot,
        })
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return Arc::clone(host);
        }
        let max = usize::try_from(self.limits.hosts_max).unwrap_or(usize::MAX);
        if hosts.len() >= max {
            make_room(&mut hosts, max);
        }
        let slots = usize::try_from(self.limits.concurrency.max(1)).unwrap_or(1);
        let host = Arc::new(Host {
            slots: Arc::new(Semaphore::new(slots)),
            shares: Mutex::default(),
            pace: Mutex::new(Pace::new(Instant::now())),
        });
        hosts.insert(name.to_owned(), Arc::clone(&host));
        host
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.hosts
            .lock()
            .expect("no test panics while holding it")
            .len()
    }
}

/// Forgets idle hosts first, then any that nobody is talking to. Hosts in use
/// stay: there are never more of them than tasks.
fn make_room(hosts: &mut HashMap<String, Arc<Host>>, max: usize) {
    let now = Instant::now();
    let in_use = |host: &Arc<Host>| Arc::strong_count(host) > 1;
    hosts.retain(|_, host| in_use(host) || !host.pace(|pace| pace.is_idle(now)));
    if hosts.len() >= max {
        hosts.retain(|_, host| in_use(host));
    }
}

impl Turn {
    /// Tells the host's timetable how it went.
    pub(crate) fn note(&self, signal: Signal) {
        self.host.pace(|pace| pace.note(Instant::now(), signal));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn starts_are_spaced_by_the_interval() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for n in 0..4 {
            assert_eq!(pace.book(now, SECOND, SECOND), Ok(now + SECOND * n));
        }
        let later = now + SECOND * 60;
        assert_eq!(pace.book(later, SECOND, SECOND), Ok(later));
    }

    #[test]
    fn a_rest_is_kept_by_every_request() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.note(now, Signal::Rest(SECOND * 20));
        assert_eq!(pace.book(now, SECOND, SECOND * 30), Ok(now + SECOND * 20));
        pace.note(now, Signal::Rest(SECOND * 100));
        assert_eq!(pace.book(now, SECOND, SECOND * 30), Err(SECOND * 100));
        // A shorter rest does not shorten the one that was asked for.
        pace.note(now, Signal::Rest(SECOND));
        assert_eq!(pace.book(now, SECOND, SECOND * 30), Err(SECOND * 100));
    }

    #[test]
    fn trouble_slows_down_and_success_speeds_up() {
        let now = Instant::now();
        let check = |troubles: u32, expected_ms: std::ops::RangeInclusive<u128>| {
            let mut pace = Pace::new(now);
            for _ in 0..troubles {
                pace.note(now, Signal::Trouble);
            }
            let penalty = pace.penalty().as_millis();
            assert!(expected_ms.contains(&penalty), "{troubles}: {penalty}");
            for _ in 0..30 {
                pace.note(now, Signal::Fine);
            }
            assert!(pace.is_idle(now));
        };
        check(0, 0..=0);
        check(2, 0..=0);
        check(3, 200..=500);
        check(8, 1_500..=2_000);
        check(1_000, 3_900..=4_000);
    }

    #[tokio::test]
    async fn hosts_are_bounded_and_those_in_use_stay() {
        let gate = HostGate::new(HostLimits {
            hosts_max: 10,
            ..HostLimits::default()
        });
        let held = gate
            .turn("held.test", Duration::ZERO, Slowing::Here, None)
            .await
            .ok()
            .unwrap();
        held.note(Signal::Rest(SECOND * 1000));
        for n in 0..100 {
            let turn = gate
                .turn(&format!("h{n}.test"), Duration::ZERO, Slowing::Here, None)
                .await;
            turn.ok().unwrap().note(Signal::Trouble);
            assert!(gate.len() <= 10);
        }
        let rest = gate
            .turn("held.test", Duration::ZERO, Slowing::Here, None)
            .await
            .err()
            .unwrap();
        assert!(rest > SECOND * 900);
    }

    #[tokio::test]
    async fn a_host_is_asked_by_so_many_at_once() {
        let gate = HostGate::new(HostLimits {
            concurrency: 1,
            ..HostLimits::default()
        });
        let first = gate
            .turn("a.test", Duration::ZERO, Slowing::Here, None)
            .await
            .ok()
            .unwrap();
        let second = gate.turn("a.test", Duration::ZERO, Slowing::Here, None);
        tokio::pin!(second);
        assert!(futures_poll_once(second.as_mut()).await.is_none());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn what_shares_a_bound_keeps_it_together_and_holds_up_nobody_else() {
        let gate = HostGate::new(HostLimits {
            concurrency: 2,
            ..HostLimits::default()
        });
        let share = |name: &str| Share {
            name: name.to_owned(),
            at_once: 1,
        };
        let (one, other) = (share("one"), share("other"));
        let turn = |share| gate.turn("a.test", Duration::ZERO, Slowing::Here, Some(share));
        let first = turn(&one).await.ok().unwrap();
        let second = turn(&one);
        tokio::pin!(second);
        assert!(futures_poll_once(second.as_mut()).await.is_none());
        // Who waits for its own bound holds none of the host's slots.
        let stranger = turn(&other).await.ok().unwrap();
        drop(stranger);
        drop(first);
        assert!(second.await.is_ok());
        // Forgotten when nobody has them.
        for n in 0..10 * SHARES_KEPT {
            let own = share(&n.to_string());
            let turn = gate.turn("a.test", Duration::ZERO, Slowing::Here, Some(&own));
            drop(turn.await.ok().unwrap());
        }
        let shares = gate.host("a.test").shares.lock().unwrap().len();
        assert!(shares <= SHARES_KEPT, "{shares}");
    }

    /// Polls once; `None` while pending.
    async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut future).poll(context);
            std::task::Poll::Ready(match polled {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
