//! The way of a URL, told hop by hop: what the address policy says of every
//! address, and what the host answers, to the last answer or a refusal.
//!
//! It goes the way of a fetch, through the same judge, gate and clients, so that
//! nothing is reached that a fetch would not reach. Of an answer nothing but its
//! head is taken, and nothing is tried again.

use std::time::Duration;

use http::header;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::error::{Fault, FetchClass, FetchError, Phase};
use crate::fault::judge_fault;
use crate::fetcher::{Fetcher, millis};
use crate::judge::Judged;
use crate::redirect::Trail;
use crate::request::Request;
use crate::stats::Counters;
use crate::target::Target;

/// One URL of the way.
#[derive(Debug)]
pub struct TracedHop {
    /// What was to be asked.
    pub url: Url,
    /// The addresses of its host and what was said of them; none where the port
    /// was refused before, or the name has none.
    pub judged: Vec<Judged>,
    /// The status of its answer, if one came.
    pub status: Option<u16>,
    /// Where a redirect led, as the host wrote it.
    pub location: Option<String>,
}

/// The way of a URL and how it ended.
#[derive(Debug)]
pub struct Trace {
    /// In order; the first is the URL itself.
    pub hops: Vec<TracedHop>,
    /// The status of the last answer, whichever it is, or why none came.
    pub end: Result<u16, FetchError>,
}

impl Fetcher {
    /// Goes the way of a request without taking a body. Bounded by the
    /// request's limits on hops and time.
    pub async fn trace(&self, request: &Request) -> Trace {
        let limits = &request.limits;
        let start = request.target.clone();
        let mut trail = Trail::new(start, limits.redirects_max, request.downgrade);
        let mut hops = Vec::new();
        let cancelled = request.cancel.cancelled();
        let end = tokio::select! {
            biased;
            () = cancelled => Err(Fault::Cancelled),
            end = self.follow(request, &mut trail, &mut hops) => end,
        };
        let at = |fault| {
            Counters::add(&self.inner.counters.failed, 1);
            FetchError::new(&request.target, trail.current(), 1, fault)
        };
        Trace {
            end: end.map_err(at),
            hops,
        }
    }

    async fn follow(
        &self,
        request: &Request,
        trail: &mut Trail,
        hops: &mut Vec<TracedHop>,
    ) -> Result<u16, Fault> {
        let mut left = Duration::from_millis(request.limits.timeouts.whole_ms);
        loop {
            let target = trail.current();
            hops.push(TracedHop {
                url: target.url().clone(),
                judged: Vec::new(),
                status: None,
                location: None,
            });
            let hop = hops.last_mut().expect("it was just pushed");
            hop.judged = self.judged(target).await?;
            if hop.judged.is_empty() {
                let host = target.host().to_owned();
                return Err(Fault::Dns { host, source: None });
            }
            let refused = hop.judged.iter().all(|judged| judged.verdict.is_err());
            if let (true, Some(Err(refusal))) = (refused, hop.judged.first().map(|j| &j.verdict)) {
                return Err(self.refused(Fault::Refused(refusal.clone())));
            }
            let turn = self.turn(request, target).await?;
            let begun = Instant::now();
            // The connection is judged once more, by whoever makes it.
            let answer = self.ask(request, trail, turn, begun + left).await?;
            hop.status = Some(answer.status);
            if !Trail::is_redirect(answer.status) {
                return Ok(answer.status);
            }
            let location = answer.headers.get(header::LOCATION).cloned();
            let location = location.as_ref().map(|value| value.as_bytes());
            hop.location = location.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            trail.follow(answer.status, location)?;
            Counters::add(&self.inner.counters.redirects, 1);
            left = left.saturating_sub(begun.elapsed());
        }
    }

    /// Every address of the host with what the policy says of it.
    async fn judged(&self, target: &Target) -> Result<Vec<Judged>, Fault> {
        let connect = self.inner.connect;
        let judged = self.inner.judge.verdicts(target.host(), target.port());
        match timeout(connect, judged).await {
            Ok(Ok(judged)) => Ok(judged),
            Ok(Err(fault)) => Err(self.refused(judge_fault(&fault))),
            Err(_) => Err(Fault::Timeout {
                phase: Phase::Connect,
                after_ms: millis(connect),
            }),
        }
    }
}

impl Trace {
    /// Whether the address policy ended it.
    pub fn is_refused(&self) -> bool {
        let end = self.end.as_ref();
        end.is_err_and(|error| error.class() == FetchClass::RefusedAddress)
    }
}
