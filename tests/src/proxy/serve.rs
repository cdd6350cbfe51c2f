//! The proxy's thread: connections, and each request's way through.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self as upstream, SendRequest};
use hyper::header::{CONNECTION, EXPECT, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Bytewise};
use super::faults::{Call, Fault};
use super::{Reach, Shared};

/// A body is held whole; the largest part of an upload is well below.
const BODY_BYTES_MAX: usize = 64 << 20;

/// A connection to the upstream is used again within this time. Servers close
/// idle ones after some seconds, and a request must not meet that moment.
const UPSTREAM_IDLE_MAX: Duration = Duration::from_secs(1);

/// Pause after a failed accept, which otherwise repeats at once (no file
/// handles left).
const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(50);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves until told to stop; tells its address first.
pub(super) fn run(
    shared: &Arc<Shared>,
    stopping: &CancellationToken,
    told: oneshot::Sender<SocketAddr>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("127.0.0.1 has a free port");
        let addr = listener.local_addr().expect("it is bound");
        // Whoever asked may be gone; then nobody connects either.
        let _ = told.send(addr);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(shared);
                        connections.spawn(async move { connection(stream, shared).await });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_RETRY_WAIT).await,
                },
            }
        }
    });
}

/// One connection of a client, to its end or its reset.
async fn connection(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    // The same socket once more: hyper owns the first, and what closes it last
    // decides whether the peer sees an end or a reset.
    let socket = TcpStream::from_std(stream.try_clone()?)?;
    let mut reach = shared.reach.subscribe();
    let upstream = Arc::new(Upstream {
        shared: Arc::clone(&shared),
        idle: Mutex::new(None),
    });
    let service = service_fn(|request| handle(Arc::clone(&upstream), request));
    let served =
        http1::Builder::new().serve_connection(TokioIo::new(TcpStream::from_std(stream)?), service);
    tokio::select! {
        biased;
        () = becomes(&mut reach, Reach::Cut) => {
            shared.plan().counts.cut += 1;
            socket.set_zero_linger()
        }
        served = served => match served {
            Err(error) if error.is_user() && !is_truncation(&error) => socket.set_zero_linger(),
            _ => Ok(()),
        },
    }
}

/// A body that broke off ends the connection as a server's death does; every
/// other failure of ours is a reset.
fn is_truncation(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<io::Error>())
}

/// Returns once the cloud is as asked for; never when the proxy is gone.
async fn becomes(reach: &mut watch::Receiver<Reach>, wanted: Reach) {
    if reach.wait_for(|reach| *reach == wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An error ends the connection without an answer.
async fn handle(
    upstream: Arc<Upstream>,
    request: Request<Incoming>,
) -> Result<Response<Bytewise>, Failure> {
    let shared = &upstream.shared;
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await?;
    let body = body.to_bytes();
    let call = Call::of(&head.method, &head.uri, &head.headers, &body);
    upstream.unless_silent().await;
    let (latency, fault) = shared.plan().judge(&call);
    tokio::time::sleep(latency).await;
    let _held_back = HeldBack::count(shared, fault);
    if let Some(Fault::Late(by)) = fault {
        tokio::time::sleep(by).await;
    }
    match fault {
        Some(Fault::Busy) => return Ok(answer::busy(&call)),
        Some(Fault::Denied) => return Ok(answer::denied(&call)),
        Some(Fault::Reset) => return Err("reset before the effect".into()),
        Some(Fault::Late(_) | Fault::Lost | Fault::Truncated) | None => {}
    }
    let mut request = Request::from_parts(head, Full::new(body));
    // The body is here and whole, so these do not hold any more.
    for name in [EXPECT, TRANSFER_ENCODING, CONNECTION] {
        request.headers_mut().remove(name);
    }
    let answer = upstream.ask(request).await?;
    shared.plan().puts.note(&call, answer.status());
    upstream.unless_silent().await;
    match fault {
        Some(Fault::Lost) => Err("the answer is lost".into()),
        Some(Fault::Truncated) => {
            answer::truncated(answer).ok_or_else(|| "an empty answer is lost".into())
        }
        Some(Fault::Busy | Fault::Denied | Fault::Reset | Fault::Late(_)) | None => {
            Ok(answer.map(Bytewise::whole))
        }
    }
}

/// Counts a request that is late for as long as it lives.
struct HeldBack<'a>(Option<&'a Shared>);

impl<'a> HeldBack<'a> {
    fn count(shared: &'a Shared, fault: Option<Fault>) -> Self {
        if !matches!(fault, Some(Fault::Late(_))) {
            return Self(None);
        }
        shared.held_back.fetch_add(1, Ordering::SeqCst);
        Self(Some(shared))
    }
}

impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.held_back.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// The way to the emulator, of one connection.
struct Upstream {
    shared: Arc<Shared>,
    idle: Mutex<Option<(Sender, JoinSet<()>, Instant)>>,
}

impl Upstream {
    async fn unless_silent(&self) {
        let mut reach = self.shared.reach.subscribe();
        // The sender is in the same value and cannot be gone.
        let _ = reach.wait_for(|reach| *reach != Reach::Silent).await;
    }

    /// Forwards a request and takes the whole answer.
    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failure> {
        // A cancelled request leaves no connection that it might have begun on.
        let kept = self.idle.lock().await.take();
        let (mut sender, driving) = match kept {
            Some((sender, driving, since))
                if since.elapsed() < UPSTREAM_IDLE_MAX && sender.is_ready() =>
            {
                (sender, driving)
            }
            _ => self.connect().await?,
        };
        let (mut head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        for name in [TRANSFER_ENCODING, CONNECTION] {
            head.headers.remove(name);
        }
        *self.idle.lock().await = Some((sender, driving, Instant::now()));
        Ok(Response::from_parts(head, body))
    }

    async fn connect(&self) -> Result<(Sender, JoinSet<()>), Failure> {
        let upstream = self.shared.upstream();
        let stream = TcpStream::connect(upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = upstream::handshake(TokioIo::new(stream)).await?;
        let mut driving = JoinSet::new();
        // Its end is seen by whoever asks.
        driving.spawn(async move { drop(connection.await) });
        Ok((sender, driving))
    }
}
