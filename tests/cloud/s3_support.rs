//! What the tests of the S3 adapter share: places in the emulator, and a
//! server that answers as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use trawler_aws::{Cloud, S3Blobs, S3Location, S3OpenError, S3Options, S3State};
use trawler_core::Environment;
use trawler_tests::emulator::{Ministack, REGION};
use trawler_tests::make_bucket;

pub(crate) const BUCKET: &str = "trawler-cloud";

/// The address of the emulator, with the bucket made.
pub(crate) async fn emulator() -> String {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    let start = || {
        let endpoint = Ministack::shared().endpoint();
        make_bucket(&endpoint, BUCKET);
        endpoint
    };
    let started = tokio::task::spawn_blocking(move || ENDPOINT.get_or_init(start).clone());
    started.await.unwrap()
}

/// A place of one test.
pub(crate) fn fresh_location() -> S3Location {
    static PLACES: AtomicU32 = AtomicU32::new(0);
    let number = PLACES.fetch_add(1, Ordering::Relaxed);
    S3Location::parse(&format!("s3://{BUCKET}/test-{number}")).unwrap()
}

pub(crate) fn options() -> S3Options {
    S3Options::new(Environment::parse("cloud").unwrap())
}

pub(crate) async fn state_at(endpoint: &str, at: &S3Location) -> Result<S3State, S3OpenError> {
    let cloud = Cloud::at(endpoint, REGION).await;
    S3State::open(&cloud, at.clone(), options()).await
}

pub(crate) async fn blobs_at(endpoint: &str, at: &S3Location) -> Result<S3Blobs, S3OpenError> {
    let cloud = Cloud::at(endpoint, REGION).await;
    S3Blobs::open(&cloud, at.clone(), options()).await
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) head: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) type Answer = Response<Full<Bytes>>;

/// A server on 127.0.0.1 that a function answers for. Ends with its value.
pub(crate) struct Scripted {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let serve = service_fn(move |request: Request<Incoming>| {
                    let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                    async move {
                        let (head, body) = request.into_parts();
                        let seen = Seen {
                            method: head.method,
                            path: head.uri.to_string(),
                            head: head.headers,
                            body: body.collect().await?.to_bytes(),
                        };
                        let answered = answer(&seen);
                        log.lock().unwrap().push(seen);
                        Ok::<_, hyper::Error>(answered)
                    }
                });
                connections.spawn(async move {
                    // A client that goes away is no failure of the test.
                    let io = TokioIo::new(stream);
                    let _ = http1::Builder::new().serve_connection(io, serve).await;
                });
            }
        });
        Self {
            addr,
            seen,
            _serving: serving,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub(crate) fn plain(status: u16, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into());
    Response::builder().status(status).body(body).unwrap()
}

/// An error as S3 words it.
pub(crate) fn error(status: u16, code: &str, more: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>as told</Message>{more}<RequestId>R1</RequestId></Error>"
    );
    plain(status, body)
}

/// What a location holds whose store has been proven to keep conditions.
pub(crate) fn proven() -> Answer {
    let mut answer = plain(200, "conditional writes: proven\n");
    let etag = "\"0f\"".parse().unwrap();
    answer.headers_mut().insert("etag", etag);
    answer
}

pub(crate) fn is_probe(seen: &Seen) -> bool {
    seen.path.contains("probe")
}

/// The whole answer to a request that is not signed; emulators do not look.
pub(crate) async fn raw(endpoint: &str, method: &str, path: &str, body: &str) -> String {
    let host = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
