//! Requests that another program sends by itself, a browser's, in their turn:
//! at the pace of the crawl that they belong to, and within the rests that
//! hosts ask for.
//!
//! What it does not: send anything, or judge where a name leads to. That is
//! done where the request passes, by the tunnel.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use url::Url;

use crate::attempt::{Turn, signal};
use crate::error::FetchError;
use crate::fetcher::Fetcher;
use crate::gate::Signal;
use crate::pace::Pace;
use crate::request::Request;
use crate::stats::Counters;

/// The right to one request that somebody else sends. Held while it is under
/// way; dropped without a word it says nothing about the host.
pub struct GuestTurn {
    turn: Turn,
    fetcher: Fetcher,
}

impl std::fmt::Debug for GuestTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuestTurn")
    }
}

impl Fetcher {
    /// Waits for the turn of a request to `url` that somebody else sends.
    /// Cancel-safe. `Err` where the host is given up by this crawl or rests, or
    /// where the address is one that is refused as it stands.
    pub async fn guest_turn(&self, url: &Url, pace: &Arc<Pace>) -> Result<GuestTurn, FetchError> {
        let request = Request::get_url(url)?.pace(Arc::clone(pace));
        let target = &request.target;
        let turn = self.turn(&request, target).await;
        let turn = turn.map_err(|fault| FetchError::new(target, target, 0, fault))?;
        Counters::add(&self.inner.counters.requests, 1);
        Ok(GuestTurn {
            turn,
            fetcher: self.clone(),
        })
    }
}

impl GuestTurn {
    /// The head of an answer came `took` after the request was sent; with its
    /// `Retry-After`.
    pub fn answered(&self, status: u16, retry_after: Option<&str>, took: Duration) {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        let now = (self.fetcher.inner.wall)();
        self.turn.note_after(signal(status, &headers, now), took);
    }

    /// No answer came, by the host's fault, for so long.
    pub fn broke(&self, took: Duration) {
        self.turn.note_after(Signal::Trouble, took);
    }
}
