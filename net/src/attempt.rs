//! One attempt: the chain of hops from the first URL to a body, a 304 or an
//! error. Decides nothing about trying again.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::body::{self, Reading};
use crate::error::{Fault, FetchClass, Phase, StatusClass};
use crate::fault::no_answer;
use crate::fetcher::{Fetcher, HEAD_BYTES_MAX, millis};
use crate::gate::{Signal, Turn};
use crate::policy::plain_host;
use crate::redirect::Trail;
use crate::request::Request;
use crate::response::{Fetched, NotModified, Response};
use crate::retry::retry_after;
use crate::sink::{Counted, Sink};
use crate::stats::Counters;
use crate::target::{Target, UrlFault};
use crate::validators::Validators;

/// A failed attempt: what, and at which hop.
pub(crate) struct Failure {
    pub(crate) hop: Target,
    pub(crate) fault: Fault,
}

/// The head of an answer, with the turn that is held while its body is read.
struct Answer {
    head: http::response::Parts,
    body: Incoming,
    turn: Turn,
    asked_conditionally: bool,
}

impl Fetcher {
    pub(crate) async fn attempt<S, M>(
        &self,
        request: &Request,
        make: M,
    ) -> Result<Fetched<S::Body>, Failure>
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
            let at = |fault| Failure {
                hop: trail.current().clone(),
                fault,
            };
            let turn = self.turn(request, trail.current()).await.map_err(at)?;
            let begun = Instant::now();
            let deadline = begun + left;
            let answer = self
                .ask(request, &trail, turn, deadline)
                .await
                .map_err(at)?;
            let status = answer.head.status.as_u16();
            if !Trail::is_redirect(status) {
                return self.take(request, trail, answer, deadline, make).await;
            }
            let location = answer.head.headers.get(header::LOCATION).cloned();
            body::drain(answer.body).await;
            let from = trail.current().clone();
            let location = location.as_ref().map(HeaderValue::as_bytes);
            let followed = trail.follow(status, location);
            followed.map_err(|fault| Failure { hop: from, fault })?;
            Counters::add(&self.inner.counters.redirects, 1);
            left = left.saturating_sub(begun.elapsed());
        }
    }

    /// Judges what can be judged before a name is resolved, and waits for the
    /// host's turn.
    async fn turn(&self, request: &Request, target: &Target) -> Result<Turn, Fault> {
        let policy = self.inner.connector.policy();
        let (host, port) = (target.host(), target.port());
        let judged = match target.literal() {
            Some(address) => policy.judge(host, (address, port).into()),
            None => policy.judge_name(host, port),
        };
        judged.map_err(|refusal| self.refused(Fault::Refused(refusal)))?;
        let key = match port {
            80 | 443 => plain_host(host),
            _ => format!("{}:{port}", plain_host(host)),
        };
        let turn = self.inner.gate.turn(&key, request.interval_min).await;
        turn.map_err(|wait| Fault::HostResting { host: key, wait })
    }

    fn refused(&self, fault: Fault) -> Fault {
        if fault.class() == FetchClass::RefusedAddress {
            Counters::add(&self.inner.counters.refused, 1);
        }
        fault
    }

    /// Sends one hop and waits for the head of its answer.
    async fn ask(
        &self,
        request: &Request,
        trail: &Trail,
        turn: Turn,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        let counters = &self.inner.counters;
        let (message, asked_conditionally) = self.message(request, trail)?;
        Counters::add(&counters.requests, 1);
        if asked_conditionally {
            Counters::add(&counters.conditional_requests, 1);
        }
        let timeouts = &request.limits.timeouts;
        // The connector bounds its own part, so the head has both to come.
        let patience = Duration::from_millis(timeouts.first_byte_ms) + self.inner.connect;
        let first_byte = Instant::now() + patience;
        let (until, phase, after_ms) = if first_byte < deadline {
            (first_byte, Phase::FirstByte, millis(patience))
        } else {
            (deadline, Phase::Whole, timeouts.whole_ms)
        };
        let answer = timeout_at(until, self.inner.client.request(message)).await;
        let answer = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.refused(no_answer(error, HEAD_BYTES_MAX))),
            Err(_) => Err(Fault::Timeout { phase, after_ms }),
        };
        match answer {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                turn.note(signal(&head, (self.inner.wall)()));
                Ok(Answer {
                    head,
                    body,
                    turn,
                    asked_conditionally,
                })
            }
            Err(fault) => {
                if fault.class().is_transient() {
                    turn.note(Signal::Trouble);
                }
                Err(fault)
            }
        }
    }

    fn message(
        &self,
        request: &Request,
        trail: &Trail,
    ) -> Result<(http::Request<Empty<Bytes>>, bool), Fault> {
        let target = trail.current();
        let uri: http::Uri = target.url().as_str().parse().map_err(|error| {
            let why = http::uri::InvalidUri::to_string(&error);
            Fault::BadUrl(UrlFault::Syntax { why })
        })?;
        let mut message = http::Request::new(Empty::new());
        *message.uri_mut() = uri;
        let headers = message.headers_mut();
        headers.extend(request.headers.clone());
        if trail.is_trusted() {
            headers.extend(request.secrets.clone());
        }
        let own = request.user_agent.as_ref();
        let user_agent = own.unwrap_or(&self.inner.user_agent).clone();
        headers.insert(header::USER_AGENT, user_agent);
        headers.insert(header::ACCEPT_ENCODING, request.codings.header());
        if let Some(value) = request.referer.as_ref().and_then(|r| referer(r, target)) {
            headers.insert(header::REFERER, value);
        }
        let asked_conditionally = request.validators.put_into(headers);
        Ok((message, asked_conditionally))
    }

    /// Takes the final answer: body, 304 or error.
    async fn take<S, M>(
        &self,
        request: &Request,
        trail: Trail,
        answer: Answer,
        deadline: Instant,
        make: M,
    ) -> Result<Fetched<S::Body>, Failure>
    where
        S: Sink,
        M: FnOnce() -> Result<S, Fault> + Send + 'static,
    {
        let status = answer.head.status.as_u16();
        let taken = match status {
            200 | 203 => {
                self.read(request, &answer.head.headers, answer.body, deadline, make)
                    .await
            }
            304 if answer.asked_conditionally => {
                Counters::add(&self.inner.counters.not_modified, 1);
                let mut validators = Validators::of(&answer.head.headers);
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
                Err(self.unwanted(status, &answer.head.headers))
            }
        };
        let (body, counted) = taken.map_err(|fault| {
            if fault.class().is_transient() {
                answer.turn.note(Signal::Trouble);
            }
            let hop = trail.current().clone();
            Failure { hop, fault }
        })?;
        let (url, hops, moved_to) = trail.ended();
        Ok(Fetched::Body(Response {
            status,
            url,
            hops,
            moved_to,
            validators: Validators::of(&answer.head.headers),
            headers: answer.head.headers,
            raw_bytes: counted.raw_bytes,
            decoded_bytes: counted.decoded_bytes,
            body,
        }))
    }

    async fn read<S, M>(
        &self,
        request: &Request,
        headers: &HeaderMap,
        body: Incoming,
        deadline: Instant,
        make: M,
    ) -> Result<(S::Body, Counted), Fault>
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
        Fault::Protocol { why, source: None }
    }
}

/// What an answer says about the health of its host.
fn signal(head: &http::response::Parts, now: SystemTime) -> Signal {
    let status = head.status.as_u16();
    if status < 400 {
        return Signal::Fine;
    }
    match StatusClass::of(status) {
        StatusClass::TooManyRequests => {
            retry_after(&head.headers, now).map_or(Signal::Trouble, Signal::Rest)
        }
        StatusClass::Server if status == 503 => {
            retry_after(&head.headers, now).map_or(Signal::Trouble, Signal::Rest)
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
