//! The turns of a page's requests: each waits for its host's, as every request
//! of the crawl does, and holds it while it is under way.
//!
//! What the browser has in its cache needs none: an address that was answered
//! out of it is not waited for until it is fetched again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::network::{EventResponseReceived, RequestId, Response};
use tokio::time::Instant;
use trawler_net::GuestTurn;
use url::Url;

use super::session::Way;

/// A request that takes longer gives its place to others: it may stay open for
/// ever, as those that wait for news do.
const HELD_MAX: Duration = Duration::from_secs(10);

/// Addresses of a crawl that are known to be in a browser's cache.
const CACHED_MAX: usize = 4_096;

/// What a crawl's browsers have in their caches.
#[derive(Default)]
pub(super) struct Cached(Mutex<HashSet<String>>);

/// The turns of one page.
pub(super) struct Turns<'a> {
    way: &'a Way,
    held: Mutex<HashMap<RequestId, Held>>,
    waiting: AtomicU32,
}

struct Held {
    turn: GuestTurn,
    since: Instant,
}

/// One that waits, as long as it does.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Turns<'a> {
    pub(super) fn new(way: &'a Way) -> Self {
        Self {
            way,
            held: Mutex::default(),
            waiting: AtomicU32::new(0),
        }
    }

    /// Whether a request waits for its turn.
    pub(super) fn are_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits for the turn of a request, and keeps it.
    pub(super) async fn wait(&self, id: Option<RequestId>, url: &Url) -> Result<(), String> {
        if self.way.cached.has(url.as_str()) {
            return Ok(());
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        let turn = self.way.fetcher.guest_turn(url, &self.way.pace).await;
        drop(waiting);
        let turn = turn.map_err(|error| trawler_fleet::chain(&error))?;
        if let Some(id) = id {
            let since = Instant::now();
            self.held().insert(id, Held { turn, since });
        }
        Ok(())
    }

    /// The head of an answer came.
    pub(super) fn answered(&self, event: &EventResponseReceived) {
        let response = &event.response;
        if response.from_disk_cache == Some(true) {
            self.way.cached.note(&response.url);
            return;
        }
        self.way.cached.forget(&response.url);
        if let Some(held) = self.held().get(&event.request_id) {
            let status = u16::try_from(response.status).unwrap_or_default();
            let took = took(response).unwrap_or_else(|| held.since.elapsed());
            held.turn
                .answered(status, header(response, "retry-after"), took);
        }
    }

    /// It ended without an answer, by the host's fault.
    pub(super) fn broke(&self, id: &RequestId) {
        if let Some(held) = self.held().remove(id) {
            held.turn.broke(held.since.elapsed());
        }
    }

    /// It ended.
    pub(super) fn ended(&self, id: &RequestId) {
        self.held().remove(id);
    }

    /// Lets go of what is held for too long.
    pub(super) fn let_go(&self) {
        self.held()
            .retain(|_, held| held.since.elapsed() < HELD_MAX);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RequestId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cached {
    fn set(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, url: &str) -> bool {
        self.set().contains(url)
    }

    fn note(&self, url: &str) {
        let mut known = self.set();
        if known.len() >= CACHED_MAX {
            known.clear();
        }
        known.insert(url.to_owned());
    }

    fn forget(&self, url: &str) {
        self.set().remove(url);
    }
}

/// From the request to the head of its answer, by the browser's own clock: a
/// browser that has much to do tells of it late.
fn took(response: &Response) -> Option<Duration> {
    let timing = response.timing.as_ref()?;
    let ms = timing.receive_headers_end - timing.send_start;
    Duration::try_from_secs_f64(ms / 1e3).ok()
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    let headers = response.headers.inner().as_object()?;
    let found = headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found?.1.as_str()
}
