//! The figures of this process as Prometheus text, on a port of this machine.
//!
//! Text format 0.0.4, at `/metrics`. The names are those of
//! [`trawler_core::figures::FIGURES`]; each series has the label
//! `environment`, and `queue` and `verdict` where they apply. Figures of this
//! process alone: whoever scrapes adds them up. It listens on the loopback
//! address only, without a password, for an agent on the same machine.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trawler_core::Environment;
use trawler_core::figures::{BUCKETS, FIGURES, Figures, Kind, Series, Spread, Value};
use trawler_core::ports::{Clock, KeptMetrics};

const PATH: &str = "/metrics";

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An agent and a person or two; who comes above it waits.
const CONNECTIONS_MAX: usize = 8;

/// One connection asks once and is closed; this ends those that do not ask.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Wait after a connection that could not be accepted, as without free files.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// A page that shows figures.
pub struct MetricsPage {
    listener: TcpListener,
    page: Arc<Page>,
    clock: Arc<dyn Clock>,
}

struct Page {
    metrics: Arc<dyn KeptMetrics>,
    environment: Environment,
}

impl MetricsPage {
    /// Listens on 127.0.0.1; port 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(
        port: u16,
        metrics: Arc<dyn KeptMetrics>,
        environment: Environment,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let page = Page {
            metrics,
            environment,
        };
        Ok(Self {
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?,
            page: Arc::new(page),
            clock,
        })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`. Its owner joins it.
    pub async fn run(self, stop: CancellationToken) {
        let mut connections: JoinSet<()> = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= CONNECTIONS_MAX {
                tokio::select! {
                    _ = connections.join_next() => continue,
                    () = stop.cancelled() => break,
                }
            }
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (page, clock) = (Arc::clone(&self.page), Arc::clone(&self.clock));
                    connections.spawn(async move {
                        tokio::select! {
                            () = answer(stream, page) => {}
                            () = clock.sleep(CONNECTION_MAX) => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "accept on the metrics page failed");
                    self.clock.sleep(ACCEPT_WAIT).await;
                }
            }
        }
        connections.shutdown().await;
    }
}

async fn answer(stream: TcpStream, page: Arc<Page>) {
    let service = service_fn(move |request| {
        let response = page.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the metrics page ended early");
    }
}

impl Page {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
        let (status, body) = if request.uri().path() != PATH {
            (
                StatusCode::NOT_FOUND,
                format!("the figures are at {PATH}\n"),
            )
        } else if is_look {
            let figures = self.metrics.figures();
            (StatusCode::OK, text(&figures, &self.environment))
        } else {
            (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned())
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, TEXT.parse().expect("it is plain ASCII"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, "GET, HEAD".parse().expect("it is plain ASCII"));
        }
        response
    }
}

/// The figures in the text format. Counters that did not count are 0, so that
/// a first rise is seen; gauges and distributions that nothing was recorded of
/// are left out.
pub fn text(figures: &Figures, environment: &Environment) -> String {
    let all = Series::all();
    let mut text = String::new();
    for about in &FIGURES {
        let mut lines = String::new();
        for series in all.iter().filter(|series| series.figure == about.figure) {
            let labels = labels(series, environment);
            let name = about.prometheus;
            match (figures.get(*series), about.kind) {
                (Some(Value::Count(count)), _) => line(&mut lines, name, &labels, count),
                (Some(Value::Level(level)), _) => line(&mut lines, name, &labels, level),
                (Some(Value::Spread(spread)), _) => histogram(&mut lines, name, &labels, &spread),
                (None, Kind::Counter) => line(&mut lines, name, &labels, 0),
                (None, Kind::Gauge | Kind::Distribution) => {}
            }
        }
        if !lines.is_empty() {
            let kind = match about.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Distribution => "histogram",
            };
            let (name, help) = (about.prometheus, about.help);
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        }
    }
    text
}

/// Buckets of the text format count what is within their bound, also within
/// those before.
fn histogram(lines: &mut String, name: &str, labels: &str, spread: &Spread) {
    let mut within = 0;
    for (bound, count) in BUCKETS.iter().zip(spread.buckets) {
        within += count;
        let labels = format!("{labels},le=\"{bound}\"");
        line(lines, &format!("{name}_bucket"), &labels, within);
    }
    let every = format!("{labels},le=\"+Inf\"");
    line(lines, &format!("{name}_bucket"), &every, spread.count);
    line(lines, &format!("{name}_sum"), labels, spread.sum);
    line(lines, &format!("{name}_count"), labels, spread.count);
}

fn line(lines: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    // Writing into a string does not fail.
    let _ = writeln!(lines, "{name}{{{labels}}} {value}");
}

/// None of the values has a character that the format escapes.
fn labels(series: &Series, environment: &Environment) -> String {
    let mut labels = format!("environment=\"{environment}\"");
    if let Some(queue) = series.queue {
        let _ = write!(labels, ",queue=\"{queue}\"");
    }
    if let Some(verdict) = series.verdict {
        let _ = write!(labels, ",verdict=\"{verdict}\"");
    }
    labels
}
