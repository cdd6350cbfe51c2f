//! One attempt: the chain of hops from the first URL to a body, a 304 or an
//! error. Decides nothing about trying again.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};
use tokio::time::{Instant, timeout_at};

use crate::body::{self, Cut, Reading, Remains};
use crate::error::{Fault, FetchClass, Phase, StatusClass};
use crate::fault::head_too_large;
use crate::fetcher::{Fetcher, HEAD_BYTES_MAX, millis};
use crate::gate::{self, Signal, Slowing};
use crate::pace::PaceTurn;
use crate::redirect::Trail;
use crate::request::Request;
use crate::response::{Fetched, NotModified, Response};
use crate::retry::retry_after;
use crate::sink::{Counted, Sink};
use crate::stats::Counters;
use crate::target::Target;
use crate::validators::Validators;

/// A failed attempt: what, at which hop, and what had come of the body.
pub(crate) struct Failure<S> {
    pub(crate) hop: Target,
    pub(crate) fault: Fault,
    kept: Option<Box<Kept<S>>>,
}

/// A cut body with the head that it came under.
struct Kept<S> {
    remains: Box<Remains<S>>,
    trail: Trail,
    status: u16,
    headers: HeaderMap,
}

impl<S: Sink> Failure<S> {
    pub(crate) fn new(hop: &Target, fault: Fault) -> Self {
        Self {
            hop: hop.clone(),
            fault,
            kept: None,
        }
    }

    /// What came of the body as the result of the fetch, if it is to be kept.
    pub(crate) async fn into_kept(self) -> Result<Fetched<S::Body>, Self> {
        let Self { hop, fault, kept } = self;
        let Some(kept) = kept else {
            return Err(Self::new(&hop, fault));
        };
        let Kept {
            remains,
            trail,
            status,
            headers,
        } = *kept;
        match remains.finish().await {
            Ok((body, counted)) => Ok(response(status, headers, trail, body, counted)),
            Err(fault) => Err(Self::new(&hop, fault)),
        }
    }
}

/// The right to one request: of the crawl's pace, if it has one, and of the
/// process's gate.
pub(crate) struct Turn {
    gate: gate::Turn,
    pace: Option<PaceTurn>,
}

impl Turn {
    fn note(&self, signal: Signal) {
        self.gate.note(signal);
        if let Some(pace) = &self.pace {
            pace.note(signal);
        }
    }

    /// The same of a request that somebody else sent and timed.
    pub(crate) fn note_after(&self, signal: Signal, took: Duration) {
        self.gate.note(signal);
        if let Some(pace) = &self.pace {
            pace.note_after(signal, took);
        }
    }
}

/// The head of an answer, with the turn that is held while its body is read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: reqwest::Response,
    turn: Turn,
    asked_conditionally: bool,
}

impl Fetcher {
    pub(crate) async fn attempt<S, M>(
        &self,
        request: &Request,
        make: M,
    ) -> Result<Fetched<S::Body>, Failure<S>>
    where
        S: Sink,
        M: Fn() -> Result<S, Fault> + Send + 'static,
    {
        let limits = &request.limits;
        let mut trail = Trail::new(
            request.target.clone(),
            limits.redirects_max,
            request.downgrade,
        );
        let mut left = Duration::from_millis(limits.timeouts.whole_ms);
        loop {
            let at = |fault| Failure::new(trail.current(), fault);
            let turn = self.turn(request, trail.current()).await.map_err(at)?;
            let begun = Instant::now();
            let deadline = begun + left;
            let answer = self
                .ask(request, &trail, turn, deadline)
                .await
                .map_err(at)?;
            let status = answer.status;
            if !Trail::is_redirect(status) {
                return self.take(request, trail, answer, deadline, make).await;
            }
            let location = answer.headers.get(header::LOCATION).cloned();
            body::drain(answer.body).await;
            let from = trail.current().clone();
            let location = location.as_ref().map(HeaderValue::as_bytes);
            let followed = trail.follow(status, location);
            followed.map_err(|fault| Failure::new(&from, fault))?;
            Counters::add(&self.inner.counters.redirects, 1);
            left = left.saturating_sub(begun.elapsed());
        }
    }

    /// Judges what can be judged before a name is resolved, and waits for the
    /// host's turn.
    pub(crate) async fn turn(&self, request: &Request, target: &Target) -> Result<Turn, Fault> {
        let judged = self.inner.judge.beforehand(target);
        judged.map_err(|refusal| self.refused(Fault::Refused(refusal)))?;
        let key = target.host_key();
        let (mut pace, slowing) = match &request.pace {
            Some(pace) => {
                let turn = pace.turn(&key).await;
                let turn = turn.map_err(|why| {
                    let host = key.to_string();
                    Fault::HostGivenUp { host, why }
                })?;
                (Some(turn), Slowing::ByPace)
            }
            None => (None, Slowing::Here),
        };
        let gate = &self.inner.gate;
        let turn = gate.turn(&key, request.interval_min, slowing, request.share.as_ref());
        let gate = turn.await.map_err(|wait| {
            let host = key.into_owned();
            Fault::HostResting { host, wait }
        })?;
        if let Some(pace) = &mut pace {
            pace.begin();
        }
        Ok(Turn { gate, pace })
    }

    pub(crate) fn refused(&self, fault: Fault) -> Fault {
        if fault.class() == FetchClass::RefusedAddress {
            Counters::add(&self.inner.counters.refused, 1);
        }
        fault
    }

    /// Sends one hop and waits for the head of its answer.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        trail: &Trail,
        turn: Turn,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        let counters = &self.inner.counters;
        let (headers, asked_conditionally) = self.headers(request, trail);
        Counters::add(&counters.requests, 1);
        if asked_conditionally {
            Counters::add(&counters.conditional_requests, 1);
        }
        let timeouts = &request.limits.timeouts;
        // The client bounds its connecting itself, so the head has both to come.
        let patience = Duration::from_millis(timeouts.first_byte_ms) + self.inner.connect;
        let first_byte = Instant::now() + patience;
        let (until, phase, after_ms) = if first_byte < deadline {
            (first_byte, Phase::FirstByte, millis(patience))
        } else {
            (deadline, Phase::Whole, timeouts.whole_ms)
        };
        let transport = &self.inner.transport;
        let answer = transport.send(headers, trail.current(), self.inner.connect);
        let answer = timeout_at(until, answer).await;
        let answer = answer.unwrap_or(Err(Fault::Timeout { phase, after_ms }));
        match answer {
            Ok(mut body) => {
                let status = body.status().as_u16();
                let headers = std::mem::take(body.headers_mut());
                if let Some(jar) = &request.cookies {
                    jar.take(trail.current().url(), &headers, (self.inner.wall)());
                }
                turn.note(signal(status, &headers, (self.inner.wall)()));
                if head_bytes(&headers) > HEAD_BYTES_MAX {
                    return Err(head_too_large());
                }
                Ok(Answer {
                    status,
                    headers,
                    body,
                    turn,
                    asked_conditionally,
                })
            }
            Err(fault) => {
                if fault.class().is_transient() {
                    turn.note(Signal::Trouble);
                }
                Err(self.refused(fault))
            }
        }
    }

    /// What is sent with the next hop, and whether it asks conditionally.
    fn headers(&self, request: &Request, trail: &Trail) -> (HeaderMap, bool) {
        let target = trail.current();
        let mut headers = request.headers.clone();
        if trail.is_trusted() {
            for (name, value) in &request.secrets {
                headers.insert(name, value.clone());
            }
        }
        if let Some(jar) = &request.cookies {
            let given = headers.get(header::COOKIE);
            let cookies = jar.header(target.url(), (self.inner.wall)(), given);
            if let Some(cookies) = cookies {
                headers.insert(header::COOKIE, cookies);
            }
        }
        let own = request.user_agent.as_ref();
        let user_agent = own.unwrap_or(&self.inner.user_agent).clone();
        headers.insert(header::USER_AGENT, user_agent);
        headers.insert(header::ACCEPT_ENCODING, request.codings.header());
        if let Some(value) = request.referer.as_ref().and_then(|r| referer(r, target)) {
            headers.insert(header::REFERER, value);
        }
        let asked_conditionally = request.validators.put_into(&mut headers);
        (headers, asked_conditionally)
    }

    /// Takes the final answer: body, 304 or error.
    async fn take<S, M>(
        &self,
        request: &Request,
        trail: Trail,
        answer: Answer,
        deadline: Instant,
        make: M,
    ) -> Result<Fetched<S::Body>, Failure<S>>
    where
        S: Sink,
        M: FnOnce() -> Result<S, Fault> + Send + 'static,
    {
        let taken = match answer.status {
            200 | 203 => {
                self.read(request, &answer.headers, answer.body, deadline, make)
                    .await
            }
            304 if answer.asked_conditionally => {
                Counters::add(&self.inner.counters.not_modified, 1);
                let mut validators = Validators::of(&answer.headers);
                let asked = request.validators.clone();
                validators.etag = validators.etag.or(asked.etag);
                validators.last_modified = validators.last_modified.or(asked.last_modified);
                let (url, hops, moved_to) = trail.ended();
                return Ok(Fetched::NotModified(NotModified {
                    url,
                    hops,
                    moved_to,
                    validators,
                }));
            }
            _ => {
                body::drain(answer.body).await;
                Err(self.unwanted(answer.status, &answer.headers).into())
            }
        };
        let (status, headers) = (answer.status, answer.headers);
        match taken {
            Ok((body, counted)) => Ok(response(status, headers, trail, body, counted)),
            Err(Cut { fault, remains }) => {
                // An error status was noted when its head came.
                let told = matches!(fault, Fault::Status { .. });
                if fault.class().is_transient() && !told {
                    answer.turn.note(Signal::Trouble);
                }
                let hop = trail.current().clone();
                let keep = |remains| {
                    Box::new(Kept {
                        remains,
                        trail,
                        status,
                        headers,
                    })
                };
                let kept = remains.map(keep);
                Err(Failure { hop, fault, kept })
            }
        }
    }

    async fn read<S, M>(
        &self,
        request: &Request,
        headers: &HeaderMap,
        body: reqwest::Response,
        deadline: Instant,
        make: M,
    ) -> Result<(S::Body, Counted), Cut<S>>
    where
        S: Sink,
        M: FnOnce() -> Result<S, Fault> + Send + 'static,
    {
        let sink = if S::BLOCKS {
            body::off_reactor(make).await?
        } else {
            make()?
        };
        let reading = Reading {
            limits: request.limits,
            deadline,
            keep_truncated: request.keep_truncated && S::TELLS_TRUNCATION,
            prefix: S::IS_PREFIX,
            observer: request.observer.as_ref(),
            counters: &self.inner.counters,
        };
        body::read(headers, body, sink, &reading).await
    }

    fn unwanted(&self, status: u16, headers: &HeaderMap) -> Fault {
        if status >= 400 {
            let retry_after = retry_after(headers, (self.inner.wall)());
            return Fault::Status {
                status,
                retry_after,
            };
        }
        let why = match status {
            304 => "status 304 although nothing was asked conditionally".to_owned(),
            206 => "status 206 although no part was asked for".to_owned(),
            _ => format!("status {status} is no answer to a plain GET"),
        };
        Fault::Unexpected { status, why }
    }
}

/// The result of a fetch with a body.
fn response<B>(
    status: u16,
    headers: HeaderMap,
    trail: Trail,
    body: B,
    counted: Counted,
) -> Fetched<B> {
    let (url, hops, moved_to) = trail.ended();
    // They stand for the whole body: who asked with those of a cut one would be
    // told that nothing has changed since.
    let validators = match counted.truncated {
        None => Validators::of(&headers),
        Some(_) => Validators::default(),
    };
    Fetched::Body(Response {
        status,
        url,
        hops,
        moved_to,
        validators,
        headers,
        raw_bytes: counted.raw_bytes,
        decoded_bytes: counted.decoded_bytes,
        body,
    })
}

/// The headers as HTTP/1 writes them, with colon, space and line end.
fn head_bytes(headers: &HeaderMap) -> u64 {
    let line = |(name, value): (&http::HeaderName, &HeaderValue)| {
        u64::try_from(name.as_str().len() + value.len() + 4).unwrap_or(u64::MAX)
    };
    headers.iter().map(line).sum()
}

/// What an answer says about the health of its host.
pub(crate) fn signal(status: u16, headers: &HeaderMap, now: SystemTime) -> Signal {
    if status < 400 {
        return Signal::Fine;
    }
    match StatusClass::of(status) {
        StatusClass::TooManyRequests => {
            retry_after(headers, now).map_or(Signal::TooMany, Signal::Rest)
        }
        StatusClass::Server if status == 503 => {
            retry_after(headers, now).map_or(Signal::Trouble, Signal::Rest)
        }
        StatusClass::Server => Signal::Trouble,
        StatusClass::NotFound
        | StatusClass::Gone
        | StatusClass::Forbidden
        | StatusClass::Unauthorized
        | StatusClass::Client => Signal::Fine,
    }
}

/// The page for its own host, its origin for others, nothing from https to http.
fn referer(page: &Target, to: &Target) -> Option<HeaderValue> {
    if page.downgrades_to(to) {
        return None;
    }
    let text = if page.trusts(to) {
        page.url().to_string()
    } else {
        format!("{}/", page.url().origin().ascii_serialization())
    };
    HeaderValue::from_str(&text).ok()
}
