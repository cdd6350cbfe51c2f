//! How fast one host is asked: slower when its latency or its errors rise, back
//! when they fall, bounded both ways. Pure: time and outcomes come in.
//!
//! Slowness is a *level*. With every level what runs at once is halved and the
//! interval grows by half; once requests go one at a time, the interval grows
//! from the host's own latency, so that a pipe without a rate is slowed as well.
//! A level is judged by answers to requests that were started on it: what was
//! under way before says nothing about it, and a burst of sixty failures is one
//! step, not thirty.
//!
//! Latency is compared with the host's own: a baseline that follows it down at
//! once and up slowly. A host that is slow by nature is not slowed further, and
//! one that has become slow for good is its own measure after some hundred
//! answers.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::PaceSettings;

/// Slower than this the interval's own bound decides: 1.5^20 is 3325.
const LEVEL_MAX: u32 = 20;
/// A crawl begins this many levels down, where that leaves a request at a time,
/// so that the baseline is learnt before the host is under our load.
const LEVEL_START: u32 = 2;
/// Troubled answers on a level that make it one slower: one alone is the page's
/// fault more often than the host's, and so are two of many.
const TROUBLED_MIN: u32 = 2;
/// Share of troubled answers that is not borne: one in eight.
const TROUBLED_SHARE: u32 = 8;
/// A 429 says in so many words what two broken answers only suggest.
const TOO_MANY_WEIGHT: u32 = 2;
/// Answers after which a level's latency is believed.
const SLOW_AFTER: u32 = 8;
/// Calm answers after which the next faster level is tried.
const CALM_AFTER: u32 = 6;
/// Answers after which a level's count begins anew.
const WINDOW: u32 = 64;
/// Latency above twice the baseline and this is strain. The slack keeps hosts
/// that answer in a millisecond from being slowed for answering in ten.
const LATENCY_SLACK: Duration = Duration::from_millis(100);
/// The interval from which a host is slowed that has never answered.
const LATENCY_UNKNOWN: Duration = Duration::from_millis(250);
/// Weights of the latest answer: one in this many.
const RECENT_MEMORY: u32 = 8;
const BASELINE_DOWN_MEMORY: u32 = 8;
const BASELINE_UP_MEMORY: u32 = 256;

/// How a request went, as far as the host goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered, after this long.
    Answered(Duration),
    /// 5xx, a broken connection, a time-out, a body that broke off.
    Troubled,
    /// 429, or a rest that was asked for.
    TooMany,
}

/// Why a host is asked as fast as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// As fast as the pipe says.
    Full,
    /// The first answers are awaited, or it is being found out whether the host
    /// bears more.
    Rising,
    /// As slow as its robots.txt asks.
    CrawlDelay,
    /// Its latency rose above twice its own.
    Latency,
    /// Too many of its answers were errors.
    Errors,
    /// It said that it is asked too often.
    TooManyRequests,
}

/// The state of one host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adapt {
    level: u32,
    /// Goes up with every change, so that what was started before is known.
    epoch: u32,
    seen: u32,
    troubled: u32,
    recent: Option<Duration>,
    baseline: Option<Duration>,
    why: Why,
    next: Instant,
    crawl_delay: Duration,
}

impl Adapt {
    pub(crate) fn new(now: Instant, settings: &PaceSettings) -> Self {
        let level = LEVEL_START.min(settings.concurrency.max(1).ilog2());
        Self {
            level,
            epoch: 0,
            seen: 0,
            troubled: 0,
            recent: None,
            baseline: None,
            why: if level == 0 { Why::Full } else { Why::Rising },
            next: now,
            crawl_delay: Duration::ZERO,
        }
    }

    /// Sets what the host's robots.txt asks for.
    pub(crate) fn set_crawl_delay(&mut self, delay: Duration) {
        self.crawl_delay = delay;
    }

    /// Requests at once.
    pub(crate) fn concurrency(&self, settings: &PaceSettings) -> u32 {
        (settings.concurrency.max(1) >> self.level.min(31)).max(1)
    }

    /// Least time between the starts of two requests.
    pub(crate) fn interval(&self, settings: &PaceSettings) -> Duration {
        let base = settings.interval();
        let narrowed = settings.concurrency.max(1).ilog2();
        let alone = self.level.saturating_sub(narrowed);
        let own = if alone == 0 {
            Duration::ZERO
        } else {
            stretched(self.recent.unwrap_or(LATENCY_UNKNOWN), alone)
        };
        let slowed = stretched(base, self.level).max(own);
        // The bound is on our own slowing; what the pipe or the host asks for
        // is kept even where it is slower.
        let bound = Duration::from_millis(settings.interval_ms_max);
        slowed.min(bound).max(base).max(self.crawl_delay)
    }

    /// When the next request may start; the following one is booked behind it.
    pub(crate) fn book(&mut self, now: Instant, settings: &PaceSettings) -> (Instant, Started) {
        let start = self.next.max(now);
        self.next = start + self.interval(settings);
        (start, Started(self.epoch))
    }

    /// Takes an outcome in. `true` when the pace has changed.
    pub(crate) fn note(&mut self, started: Started, outcome: Outcome) -> Changed {
        if let Outcome::Answered(latency) = outcome {
            self.learn(latency);
        }
        if started.0 != self.epoch {
            return Changed::No;
        }
        if self.seen >= WINDOW {
            (self.seen, self.troubled) = (0, 0);
        }
        self.seen += 1;
        self.troubled += match outcome {
            Outcome::Answered(_) => 0,
            Outcome::Troubled => 1,
            Outcome::TooMany => TOO_MANY_WEIGHT,
        };
        let strained = self.troubled >= TROUBLED_MIN && self.troubled * TROUBLED_SHARE >= self.seen;
        if strained {
            let asked = outcome == Outcome::TooMany;
            return self.slower(if asked {
                Why::TooManyRequests
            } else {
                Why::Errors
            });
        }
        let slow = self.is_slow();
        if slow && self.seen >= SLOW_AFTER {
            return self.slower(Why::Latency);
        }
        if !slow && self.level > 0 && self.seen >= CALM_AFTER {
            return self.faster();
        }
        Changed::No
    }

    fn learn(&mut self, latency: Duration) {
        self.recent = Some(follow(self.recent, latency, RECENT_MEMORY));
        let down = self.baseline.is_none_or(|baseline| latency < baseline);
        let memory = if down {
            BASELINE_DOWN_MEMORY
        } else {
            BASELINE_UP_MEMORY
        };
        self.baseline = Some(follow(self.baseline, latency, memory));
    }

    fn is_slow(&self) -> bool {
        match (self.recent, self.baseline) {
            (Some(recent), Some(baseline)) => recent > baseline * 2 + LATENCY_SLACK,
            (None, _) | (_, None) => false,
        }
    }

    fn slower(&mut self, why: Why) -> Changed {
        self.turn_to((self.level + 1).min(LEVEL_MAX));
        self.why = why;
        Changed::Yes
    }

    /// The slower, the larger the step: a host at one request in half a minute
    /// would take an hour to come back otherwise.
    fn faster(&mut self) -> Changed {
        self.turn_to(self.level - (1 + self.level / 4).min(self.level));
        if self.level == 0 {
            self.why = Why::Full;
        }
        Changed::Yes
    }

    fn turn_to(&mut self, level: u32) {
        self.level = level;
        self.epoch = self.epoch.wrapping_add(1);
        (self.seen, self.troubled) = (0, 0);
    }

    /// Levels below full speed.
    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    pub(crate) fn why(&self, settings: &PaceSettings) -> Why {
        let own = stretched(settings.interval(), self.level);
        if self.crawl_delay > own && self.crawl_delay == self.interval(settings) {
            return Why::CrawlDelay;
        }
        self.why
    }

    pub(crate) fn latencies(&self) -> (Option<Duration>, Option<Duration>) {
        (self.recent, self.baseline)
    }
}

/// Which state of a host a request was started in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Started(u32);

/// Whether an outcome changed the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Yes,
    No,
}

/// A half more for every level.
fn stretched(interval: Duration, levels: u32) -> Duration {
    (0..levels).fold(interval, |interval, _| {
        interval.saturating_add(interval / 2)
    })
}

fn follow(known: Option<Duration>, latest: Duration, memory: u32) -> Duration {
    match known {
        None => latest,
        Some(known) if latest >= known => known + (latest - known) / memory,
        Some(known) => known - (known - latest) / memory,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn settings(rate_per_s: f64, concurrency: u32) -> PaceSettings {
        PaceSettings {
            rate_per_s,
            concurrency,
            ..PaceSettings::default()
        }
    }

    /// A host on virtual time that is asked as fast as its pace allows.
    struct Crawl {
        settings: PaceSettings,
        adapt: Adapt,
        now: Instant,
    }

    impl Crawl {
        fn new(settings: PaceSettings) -> Self {
            let now = Instant::now();
            let adapt = Adapt::new(now, &settings);
            Self {
                settings,
                adapt,
                now,
            }
        }

        /// One request, answered before the next begins; its start.
        fn ask(&mut self, outcome: Outcome) -> Instant {
            let (start, started) = self.adapt.book(self.now, &self.settings);
            self.now = start;
            if let Outcome::Answered(latency) = outcome {
                self.now += latency;
            }
            self.adapt.note(started, outcome);
            start
        }

        fn ask_often(&mut self, times: u32, outcome: Outcome) {
            for _ in 0..times {
                self.ask(outcome);
            }
        }

        fn interval_ms(&self) -> u128 {
            self.adapt.interval(&self.settings).as_millis()
        }

        fn concurrency(&self) -> u32 {
            self.adapt.concurrency(&self.settings)
        }

        fn why(&self) -> Why {
            self.adapt.why(&self.settings)
        }
    }

    const FINE: Outcome = Outcome::Answered(Duration::from_millis(200));
    const SLOW: Outcome = Outcome::Answered(Duration::from_millis(900));

    #[test]
    fn a_crawl_rises_to_what_the_pipe_says_and_no_further() {
        let check = |rate, concurrency, first: (u32, u128), full: (u32, u128)| {
            let mut crawl = Crawl::new(settings(rate, concurrency));
            assert_eq!((crawl.concurrency(), crawl.interval_ms()), first);
            crawl.ask_often(CALM_AFTER * LEVEL_START, FINE);
            for _ in 0..1000 {
                crawl.ask(FINE);
                assert_eq!((crawl.concurrency(), crawl.interval_ms()), full);
                assert_eq!(crawl.why(), Why::Full);
            }
        };
        check(1.0, 1, (1, 1000), (1, 1000));
        check(10.0, 2, (1, 150), (2, 100));
        check(10.0, 8, (2, 225), (8, 100));
        check(f64::INFINITY, 8, (2, 0), (8, 0));
    }

    #[test]
    fn starts_keep_the_interval() {
        let mut crawl = Crawl::new(settings(2.0, 1));
        let starts: Vec<Instant> = (0..5).map(|_| crawl.ask(FINE)).collect();
        for pair in starts.windows(2) {
            assert_eq!(pair[1] - pair[0], 500 * MS);
        }
    }

    #[test]
    fn errors_slow_a_host_to_the_bound_and_calm_brings_it_back() {
        let mut crawl = Crawl::new(settings(10.0, 4));
        crawl.ask_often(50, FINE);
        let mut before = crawl.interval_ms();
        for _ in 0..200 {
            crawl.ask(Outcome::Troubled);
            assert!(crawl.interval_ms() >= before, "never faster under errors");
            before = crawl.interval_ms();
        }
        assert_eq!(crawl.interval_ms(), 30_000, "the bound");
        assert_eq!((crawl.concurrency(), crawl.why()), (1, Why::Errors));
        let mut asked = 0;
        while crawl.adapt.level() > 0 {
            crawl.ask(FINE);
            asked += 1;
            assert!(asked <= 60, "it does not come back: {:?}", crawl.adapt);
        }
        assert_eq!((crawl.concurrency(), crawl.interval_ms()), (4, 100));
        assert_eq!(crawl.why(), Why::Full);
    }

    #[test]
    fn a_host_without_a_rate_is_slowed_from_its_own_latency() {
        let mut crawl = Crawl::new(settings(f64::INFINITY, 1));
        crawl.ask_often(10, FINE);
        assert_eq!(crawl.interval_ms(), 0);
        crawl.ask_often(2, Outcome::Troubled);
        assert_eq!(crawl.interval_ms(), 300, "1.5 of 200");
        let mut dead = Crawl::new(settings(f64::INFINITY, 1));
        dead.ask_often(2, Outcome::Troubled);
        assert_eq!(dead.interval_ms(), 375, "1.5 of 250");
    }

    #[test]
    fn single_errors_are_borne() {
        let mut crawl = Crawl::new(settings(10.0, 4));
        crawl.ask_often(50, FINE);
        for _ in 0..100 {
            crawl.ask(Outcome::Troubled);
            crawl.ask_often(19, FINE);
            assert_eq!(crawl.why(), Why::Full, "one in twenty is borne");
        }
    }

    #[test]
    fn latency_is_measured_against_the_hosts_own() {
        let check = |usual_ms: u64, then_ms: u64, expected: Why| {
            let mut crawl = Crawl::new(settings(10.0, 4));
            crawl.ask_often(60, Outcome::Answered(Duration::from_millis(usual_ms)));
            crawl.ask_often(20, Outcome::Answered(Duration::from_millis(then_ms)));
            let slowed = crawl.adapt.level() > 0;
            assert_eq!(slowed, expected == Why::Latency, "{usual_ms} -> {then_ms}");
            assert_eq!(crawl.why(), expected, "{usual_ms} -> {then_ms}");
        };
        check(200, 900, Why::Latency);
        check(900, 900, Why::Full);
        check(900, 1500, Why::Full);
        check(2, 60, Why::Full);
        check(2, 400, Why::Latency);
    }

    #[test]
    fn a_host_that_stays_slow_becomes_its_own_measure() {
        let mut crawl = Crawl::new(settings(10.0, 4));
        crawl.ask_often(60, FINE);
        crawl.ask_often(40, SLOW);
        assert_eq!(crawl.why(), Why::Latency);
        crawl.ask_often(1000, SLOW);
        assert_eq!((crawl.why(), crawl.concurrency()), (Why::Full, 4));
    }

    #[test]
    fn what_was_under_way_before_a_step_does_not_count_again() {
        let mut crawl = Crawl::new(settings(10.0, 64));
        crawl.ask_often(50, FINE);
        let burst: Vec<Started> = (0..64)
            .map(|_| crawl.adapt.book(crawl.now, &crawl.settings).1)
            .collect();
        for started in burst {
            crawl.adapt.note(started, Outcome::Troubled);
        }
        assert_eq!(crawl.adapt.level(), 1, "one step for one burst");
        assert_eq!(crawl.concurrency(), 32);
    }

    #[test]
    fn one_429_is_enough() {
        let mut crawl = Crawl::new(settings(10.0, 1));
        crawl.ask_often(10, FINE);
        crawl.ask(Outcome::TooMany);
        assert_eq!(crawl.why(), Why::TooManyRequests);
        assert_eq!(crawl.interval_ms(), 300);
    }

    #[test]
    fn a_crawl_delay_is_kept_whatever_else_is_decided() {
        let mut crawl = Crawl::new(settings(10.0, 4));
        crawl.adapt.set_crawl_delay(45_000 * MS);
        assert_eq!(crawl.interval_ms(), 45_000, "over the bound of our own");
        assert_eq!(crawl.why(), Why::CrawlDelay);
        crawl.ask_often(100, FINE);
        assert_eq!(crawl.interval_ms(), 45_000);
        crawl.adapt.set_crawl_delay(10 * MS);
        assert_eq!((crawl.interval_ms(), crawl.why()), (100, Why::Full));
    }
}
