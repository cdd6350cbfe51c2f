//! The shop's web server: connections, start and stop.
//!
//! One task accepts and owns the connections' tasks; stopping joins all of them. HTTP/1.1 without TLS,
//! meant for loopback.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::address::decoded;
use crate::body::{ShopBody, Source};
use crate::fault::{Fault, Rule};
use crate::model::Model;
use crate::product::ShopProduct;
use crate::request_log::Seen;
use crate::route::{Answer, Ask, State, lock};
use crate::spec::ShopSpec;
use crate::stats::{InFlight, Kind, Stats};

/// Connections beyond this wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 512;
/// A client that does not finish its request's header in this time is cut off.
const HEADER_READ_WAIT: Duration = Duration::from_secs(10);
/// How long answers under way have when the shop stops.
const STOP_WAIT: Duration = Duration::from_secs(1);
/// Pause after a failed accept, which otherwise repeats at once (no file handles left).
const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(50);

/// A running shop. Dropping it ends the server without waiting; [`Shop::stop`] waits.
pub struct Shop {
    state: Arc<State>,
    addr: SocketAddr,
    stopping: CancellationToken,
    accepting: Option<JoinHandle<()>>,
}

impl Shop {
    /// Starts a shop on a free port of loopback.
    ///
    /// # Errors
    /// `InvalidInput` for a specification out of bounds, or what binding says.
    pub async fn start(spec: ShopSpec) -> io::Result<Shop> {
        Shop::start_on(spec, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Starts a shop on an address, for instance one that outlives the process.
    ///
    /// # Errors
    /// As [`Shop::start`].
    pub async fn start_on(spec: ShopSpec, addr: SocketAddr) -> io::Result<Shop> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let base_url = match &spec.public_url {
            Some(url) => url.clone(),
            None => format!("http://{addr}"),
        };
        let state = Arc::new(State::new(Model::new(&spec, &base_url)?));
        let stopping = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state), stopping.clone()));
        Ok(Shop {
            state,
            addr,
            stopping,
            accepting: Some(accepting),
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.state.model.base_url())
    }

    /// The URL of the feed in the specification's format and compression.
    pub fn feed_url(&self) -> String {
        self.url(&self.state.model.spec().feed_path())
    }

    /// The truth behind what is served.
    pub fn model(&self) -> &Model {
        &self.state.model
    }

    /// The products of a day, in feed order.
    pub fn products(&self, day: u32) -> Vec<ShopProduct> {
        self.state.model.products(day).collect()
    }

    pub fn day(&self) -> u32 {
        self.state.day.load(Ordering::Relaxed)
    }

    /// Moves the shop to a day; answers under way stay those of the day they began on.
    pub fn set_day(&self, day: u32) {
        self.state.day.store(day, Ordering::Relaxed);
    }

    /// Makes every request whose path starts with `prefix` meet `fault`.
    pub fn misbehave(&self, prefix: impl Into<String>, fault: Fault) {
        self.misbehave_by(Rule::new(prefix, fault));
    }

    /// Adds a rule; it goes before the older ones.
    pub fn misbehave_by(&self, rule: Rule) {
        lock(&self.state.faults).add(rule);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        lock(&self.state.faults).clear();
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        self.state.counters.stats()
    }

    /// The last requests ([`ShopSpec::seen_max`] at most), in the order in which they were answered.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.counters.log().entries()
    }

    /// Forgets the requests so far, for instance those of an earlier day; counts stay.
    pub fn forget_seen(&self) {
        self.state.counters.log().clear();
    }

    /// Stops accepting, gives answers under way a second, and joins every task.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(accepting) = self.accepting.take() {
            // It ends by itself, and a panic in it has nobody left to serve.
            let _ = accepting.await;
        }
        self.state.tasks.close();
        self.state.tasks.wait().await;
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stopping.cancel();
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stopping: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let slot = tokio::select! {
            () = stopping.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&state), stopping.clone(), slot));
            }
            Err(_) => tokio::time::sleep(ACCEPT_RETRY_WAIT).await,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    state: Arc<State>,
    stopping: CancellationToken,
    _slot: OwnedSemaphorePermit,
) {
    // Small answers go out at once; a failure only costs latency.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(Arc::clone(&state), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_WAIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // Errors here are the client's leaving or our own faults; both are visible in the statistics.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(STOP_WAIT, connection).await;
}

async fn respond(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<ShopBody>> {
    let path = decoded(request.uri().path());
    let ask = Ask {
        method: request.method(),
        path: &path,
        query: request.uri().query(),
        headers: request.headers(),
    };
    let mut in_flight = state.counters.arrive(Kind::of(ask.path));
    let fault = lock(&state.faults).next(ask.path, in_flight.at, in_flight.of_all);
    let answer = match fault {
        None | Some(Fault::Right) => state.answer(&ask).await.map(Some),
        Some(fault) => {
            in_flight.fault();
            state.misbehave(&ask, fault, in_flight.of_all).await
        }
    };
    let answer = answer.unwrap_or_else(|error| Some(failed(&error)));
    let status = answer.as_ref().map(|answer| answer.status);
    if status == Some(StatusCode::NOT_MODIFIED) {
        in_flight.not_modified();
    }
    in_flight.note(seen(&request, &in_flight, status));
    let Some(answer) = answer else {
        let reset = io::ErrorKind::ConnectionReset;
        return Err(io::Error::new(reset, "closed without an answer as told"));
    };
    let mut response = Response::new(ShopBody::new(answer.source, in_flight));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
        .headers_mut()
        .insert(header::SERVER, HeaderValue::from_static("synthetic-shop"));
    Ok(response)
}

fn seen(request: &Request<Incoming>, in_flight: &InFlight, status: Option<StatusCode>) -> Seen {
    let text = |name| {
        let value: Option<&HeaderValue> = request.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let if_none_match = text(header::IF_NONE_MATCH);
    let if_modified_since = text(header::IF_MODIFIED_SINCE);
    Seen {
        at: in_flight.at,
        ended: None,
        method: request.method().to_string(),
        target: request.uri().to_string(),
        host: text(header::HOST),
        user_agent: text(header::USER_AGENT),
        cookie: text(header::COOKIE),
        authorization: text(header::AUTHORIZATION),
        custom: custom(request.headers()),
        referer: text(header::REFERER),
        conditional: if_none_match.is_some() || if_modified_since.is_some(),
        if_none_match,
        if_modified_since,
        status: status.map_or(0, |status| status.as_u16()),
        in_flight: in_flight.of_all,
    }
}

fn custom(headers: &HeaderMap) -> BTreeMap<String, String> {
    let own = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"));
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    own.map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// The shop's own failure, which a test should see rather than take for a fault it asked for.
fn failed(error: &io::Error) -> Answer {
    let text = format!("the synthetic shop itself failed: {error}\n");
    Answer {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        headers: Default::default(),
        source: Source::Whole(text.into()),
    }
}
