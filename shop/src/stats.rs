//! What the shop has been asked for: counts by kind of resource.
//!
//! A request counts as in flight from its arrival until its last body byte has been handed to the
//! connection (or the connection is gone), which is what a partner's server would feel.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::request_log::{RequestLog, Seen};
use crate::route::lock;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Feed,
    /// Home, category and product pages, those that lead to them, and what is linked beside them.
    Page,
    Image,
    Robots,
    Sitemap,
    /// Everything else: the forbidden `/cart` and `/search`, and traps.
    Other,
}

/// What pages other than the home page start with.
const PAGE_PREFIXES: [&str; 16] = [
    "/product/",
    "/goods/view",
    "/p/",
    "/products/",
    "/m/product/",
    "/private/",
    "/category/",
    "/list/",
    "/shelf/",
    "/scroll/",
    "/api/",
    "/old/",
    "/moved/",
    "/enter",
    "/login",
    "/notice/",
];

impl Kind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Kind; 6] = [
        Kind::Feed,
        Kind::Page,
        Kind::Image,
        Kind::Robots,
        Kind::Sitemap,
        Kind::Other,
    ];

    /// The kind of a path (without query).
    pub fn of(path: &str) -> Kind {
        let starts = |prefix: &str| path.starts_with(prefix);
        match path {
            "/robots.txt" => Kind::Robots,
            "/" => Kind::Page,
            _ if starts("/feed/") => Kind::Feed,
            _ if starts("/img/") => Kind::Image,
            _ if starts("/sitemap") => Kind::Sitemap,
            _ if PAGE_PREFIXES.iter().any(|prefix| starts(prefix)) => Kind::Page,
            _ => Kind::Other,
        }
    }
}

/// Counts of one kind since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindStats {
    pub requests: u64,
    /// Answers with status 304.
    pub not_modified: u64,
    /// Requests that met a fault.
    pub faults: u64,
    /// Body bytes handed to the connection.
    pub body_bytes: u64,
    pub in_flight: u64,
    pub in_flight_max: u64,
}

/// Counts of every kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub feed: KindStats,
    pub page: KindStats,
    pub image: KindStats,
    pub robots: KindStats,
    pub sitemap: KindStats,
    pub other: KindStats,
}

impl Stats {
    pub fn of(&self, kind: Kind) -> &KindStats {
        match kind {
            Kind::Feed => &self.feed,
            Kind::Page => &self.page,
            Kind::Image => &self.image,
            Kind::Robots => &self.robots,
            Kind::Sitemap => &self.sitemap,
            Kind::Other => &self.other,
        }
    }

    /// Requests of all kinds.
    pub fn requests(&self) -> u64 {
        Kind::ALL.iter().map(|kind| self.of(*kind).requests).sum()
    }

    /// Body bytes of all kinds.
    pub fn body_bytes(&self) -> u64 {
        Kind::ALL.iter().map(|kind| self.of(*kind).body_bytes).sum()
    }
}

#[derive(Debug, Default)]
struct KindCounters {
    requests: AtomicU64,
    not_modified: AtomicU64,
    faults: AtomicU64,
    body_bytes: AtomicU64,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Counters {
    kinds: [KindCounters; Kind::ALL.len()],
    in_flight: AtomicU64,
    started: Instant,
    log: Mutex<RequestLog>,
}

impl Counters {
    pub(crate) fn new(log_entries_max: usize) -> Self {
        Counters {
            kinds: Default::default(),
            in_flight: AtomicU64::new(0),
            started: Instant::now(),
            log: Mutex::new(RequestLog::new(log_entries_max)),
        }
    }

    pub(crate) fn arrive(self: &Arc<Self>, kind: Kind) -> InFlight {
        let counters = &self.kinds[kind as usize];
        counters.requests.fetch_add(1, Relaxed);
        let now = counters.in_flight.fetch_add(1, Relaxed) + 1;
        counters.in_flight_max.fetch_max(now, Relaxed);
        InFlight {
            at: self.started.elapsed(),
            of_all: self.in_flight.fetch_add(1, Relaxed) + 1,
            counters: Arc::clone(self),
            kind,
            entry: None,
        }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.log)
    }

    pub(crate) fn stats(&self) -> Stats {
        let of = |kind: Kind| {
            let counters = &self.kinds[kind as usize];
            KindStats {
                requests: counters.requests.load(Relaxed),
                not_modified: counters.not_modified.load(Relaxed),
                faults: counters.faults.load(Relaxed),
                body_bytes: counters.body_bytes.load(Relaxed),
                in_flight: counters.in_flight.load(Relaxed),
                in_flight_max: counters.in_flight_max.load(Relaxed),
            }
        };
        Stats {
            feed: of(Kind::Feed),
            page: of(Kind::Page),
            image: of(Kind::Image),
            robots: of(Kind::Robots),
            sitemap: of(Kind::Sitemap),
            other: of(Kind::Other),
        }
    }
}

/// A request that has not ended; dropping it ends it.
#[derive(Debug)]
pub(crate) struct InFlight {
    counters: Arc<Counters>,
    kind: Kind,
    /// Its number in the log.
    entry: Option<u64>,
    /// When it came, since the start.
    pub(crate) at: Duration,
    /// Requests of all kinds under way when it came, itself included.
    pub(crate) of_all: u64,
}

impl InFlight {
    /// Notes the request in the log, where its end will be noted too.
    pub(crate) fn note(&mut self, seen: Seen) {
        self.entry = Some(self.counters.log().push(seen));
    }

    fn own(&self) -> &KindCounters {
        &self.counters.kinds[self.kind as usize]
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.own().body_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn not_modified(&self) {
        self.own().not_modified.fetch_add(1, Relaxed);
    }

    pub(crate) fn fault(&self) {
        self.own().faults.fetch_add(1, Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.own().in_flight.fetch_sub(1, Relaxed);
        self.counters.in_flight.fetch_sub(1, Relaxed);
        if let Some(entry) = self.entry {
            let at = self.counters.started.elapsed();
            self.counters.log().end(entry, at);
        }
    }
}
