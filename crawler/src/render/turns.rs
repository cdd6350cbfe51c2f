//! The turns of a page's requests: each waits for its host's, as every request
//! of the crawl does, and holds it while it is under way.
//!
//! What the browser has in its cache needs none, for as long as the answer said
//! that it may be kept (RFC 9111, 5.2.2).

use std::collections::HashMap;
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

/// Addresses that are known to be in a browser's cache.
const CACHED_MAX: usize = 4_096;

/// How long an address is believed to be in the cache, whatever the answer said:
/// the browser may have made room.
const CACHED_FOR: Duration = Duration::from_secs(600);

/// The same of one that came out of the cache, and nothing says for how long.
const CACHED_AGAIN: Duration = Duration::from_secs(60);

/// What one browser has in its cache for one crawl, and until when.
#[derive(Default)]
pub(super) struct Cached(Mutex<HashMap<String, Instant>>);

/// The turns of one page.
pub(super) struct Turns<'a> {
    way: &'a Way,
    cached: &'a Cached,
    held: Mutex<HashMap<RequestId, Held>>,
    waiting: AtomicU32,
}

struct Held {
    turn: GuestTurn,
    since: Instant,
    is_answered: bool,
    /// Its end may be heard before its answer, of which the pace learns.
    has_ended: bool,
}

/// One that waits, as long as it does.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Turns<'a> {
    pub(super) fn new(way: &'a Way, cached: &'a Cached) -> Self {
        Self {
            way,
            cached,
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
        if self.cached.has(url.as_str()) {
            return Ok(());
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        let turn = self.way.fetcher.guest_turn(url, &self.way.pace).await;
        drop(waiting);
        let turn = turn.map_err(|error| trawler_fleet::chain(&error))?;
        if let Some(id) = id {
            let held = Held {
                turn,
                since: Instant::now(),
                is_answered: false,
                has_ended: false,
            };
            self.held().insert(id, held);
        }
        Ok(())
    }

    /// The head of an answer came.
    pub(super) fn answered(&self, event: &EventResponseReceived) {
        let response = &event.response;
        let kept_for = header(response, "cache-control").and_then(kept_for);
        if response.from_disk_cache == Some(true) {
            let kept_for = kept_for.unwrap_or(CACHED_AGAIN);
            self.cached.note(&response.url, kept_for);
            return;
        }
        self.cached
            .note(&response.url, kept_for.unwrap_or_default());
        let mut all = self.held();
        if let Some(held) = all.get_mut(&event.request_id) {
            let status = u16::try_from(response.status).unwrap_or_default();
            let took = took(response).unwrap_or_else(|| held.since.elapsed());
            held.turn
                .answered(status, header(response, "retry-after"), took);
            held.is_answered = true;
            if held.has_ended {
                all.remove(&event.request_id);
            }
        }
    }

    /// It ended without an answer, by the host's fault.
    pub(super) fn broke(&self, id: &RequestId) {
        if let Some(held) = self.held().remove(id) {
            held.turn.broke(held.since.elapsed());
        }
    }

    /// It ended with all of its answer.
    pub(super) fn ended(&self, id: &RequestId) {
        let mut all = self.held();
        if let Some(held) = all.get_mut(id) {
            held.has_ended = true;
            if held.is_answered {
                all.remove(id);
            }
        }
    }

    /// It is no longer wanted.
    pub(super) fn given_up(&self, id: &RequestId) {
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
    fn has(&self, url: &str) -> bool {
        let until = self.until();
        until.get(url).is_some_and(|until| *until > Instant::now())
    }

    fn note(&self, url: &str, kept_for: Duration) {
        let mut until = self.until();
        if kept_for.is_zero() {
            until.remove(url);
            return;
        }
        let now = Instant::now();
        if until.len() >= CACHED_MAX {
            until.retain(|_, until| *until > now);
        }
        if until.len() < CACHED_MAX {
            until.insert(url.to_owned(), now + kept_for.min(CACHED_FOR));
        }
    }

    fn until(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long `Cache-Control` lets an answer be kept without asking again.
fn kept_for(header: &str) -> Option<Duration> {
    let mut kept_for = None;
    for directive in header.split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=') {
            Some(("max-age", seconds)) => {
                let seconds = seconds.trim_matches('"').parse().ok()?;
                kept_for = Some(Duration::from_secs(seconds));
            }
            None if matches!(directive.as_str(), "no-store" | "no-cache") => return None,
            _ => {}
        }
    }
    kept_for
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_as_long_as_it_says() {
        let check = |header: &str, expected: Option<u64>| {
            assert_eq!(
                kept_for(header),
                expected.map(Duration::from_secs),
                "{header}"
            );
        };
        check("max-age=600", Some(600));
        check("public, Max-Age=\"60\", immutable", Some(60));
        check("max-age=0", Some(0));
        check("no-cache, max-age=600", None);
        check("max-age=600, no-store", None);
        check("max-age=soon", None);
        check("private", None);
        check("", None);
    }

    #[test]
    fn what_is_known_of_a_cache_is_bounded() {
        let cached = Cached::default();
        for n in 0..2 * CACHED_MAX {
            cached.note(&format!("https://shop.test/{n}"), CACHED_FOR);
        }
        assert_eq!(cached.until().len(), CACHED_MAX);
        assert!(cached.has("https://shop.test/0"));
        cached.note("https://shop.test/0", Duration::ZERO);
        assert!(!cached.has("https://shop.test/0"));
    }
}
