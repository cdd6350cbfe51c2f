//! The fetcher: one GET with all bounds, for feeds, pages and images alike.
//!
//! A fetch is up to `attempts_max` attempts; an attempt is a chain of hops; a
//! hop waits for its host's turn, is judged, sent and read. Robots rules are
//! asked by the caller before; a crawl hands in its pace and its cookies with
//! every request, and has a fetcher of its own where it goes through a proxy.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::Instant;

use crate::attempt::Failure;
use crate::client::client;
use crate::clients::Clients;
use crate::config::{FixedEgress, NetConfig, NetConfigFault, NoFixedEgress, Parts};
use crate::dial::{Dialer, Proxy, ProxyFault, Route};
use crate::error::{Fault, FetchError, Phase};
use crate::fault::judge_fault;
use crate::gate::HostGate;
use crate::judge::Judge;
use crate::memory::Memory;
use crate::policy::AddressPolicy;
use crate::request::Request;
use crate::resolve::Resolver;
use crate::response::Fetched;
use crate::retry::{Failed, Retry, RetryPolicy, seed_of};
use crate::sink::{BytesSink, FileBody, FileSink, Prefix, PrefixSink, Sink};
use crate::stats::{Counters, FetchStats};
use crate::target::Target;
use crate::tls::{Tls, TlsFault};
use crate::transport::Transport;

/// The head of an answer. Real ones are below 10 KB. It is counted when it has
/// come; one that does not end is cut off by the HTTP library before 512 KiB.
pub const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// Why there is no fetcher.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] NetConfigFault),
    /// The extra certificates cannot be read.
    #[error("the extra certificates are not PEM")]
    Roots(#[source] rustls::pki_types::pem::Error),
    /// The proxy of the fixed address cannot be used.
    #[error("net.fixed_egress of trawler.toml cannot be used")]
    FixedEgress(#[source] ProxyFault),
}

/// The one fetcher. Cheap to clone; clones share pool, gate and counters.
#[derive(Clone)]
pub struct Fetcher {
    pub(crate) inner: Arc<Inner>,
    /// The same through the operator's proxy, whose connections all pipes share.
    fixed: Result<Arc<Inner>, NoFixedEgress>,
}

pub(crate) struct Inner {
    pub(crate) transport: Transport,
    /// The way of a tunnel.
    pub(crate) dialer: Dialer,
    pub(crate) judge: Arc<Judge>,
    pub(crate) gate: Arc<HostGate>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) user_agent: HeaderValue,
    pub(crate) retry: RetryPolicy,
    pub(crate) connect: Duration,
    pub(crate) wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Fetcher {
    /// A fetcher on the machine's resolver, clock and certificates.
    pub fn new(config: &NetConfig) -> Result<Self, BuildError> {
        Self::with_parts(config, Parts::default())
    }

    /// A fetcher on given parts.
    pub fn with_parts(config: &NetConfig, parts: Parts) -> Result<Self, BuildError> {
        config.validate()?;
        let roots: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&parts.extra_roots_pem).collect();
        let tls = Arc::new(Tls::new(roots.map_err(BuildError::Roots)?));
        let connect = Duration::from_millis(config.connect_ms);
        let policy = AddressPolicy::new(config.allow.clone());
        let judge = Arc::new(Judge::new(policy, Resolver::new(parts.lookup)));
        let clients = Clients::new(Arc::clone(&judge), Arc::clone(&tls), connect);
        let dialer = Dialer {
            judge: Arc::clone(&judge),
            tls,
            route: Route::Direct,
        };
        let user_agent = HeaderValue::from_str(config.user_agent.trim())
            .expect("validated to be printable ASCII");
        let direct = Self {
            inner: Arc::new(Inner {
                transport: Transport::Direct(clients),
                dialer,
                judge,
                gate: Arc::new(HostGate::new(config.hosts)),
                memory: Arc::new(Memory::new(config.memory_bytes)),
                counters: Arc::default(),
                user_agent,
                retry: config.retry,
                connect,
                wall: parts.wall,
            }),
            fixed: Err(NoFixedEgress::NotConfigured),
        };
        let fixed = match &config.fixed_egress {
            FixedEgress::At(url) => {
                let proxy = Proxy::of_the_operator(url).map_err(BuildError::FixedEgress)?;
                Ok(direct.through(proxy).inner)
            }
            FixedEgress::Untold { why } => Err(NoFixedEgress::Untold { why: why.clone() }),
            FixedEgress::None => Err(NoFixedEgress::NotConfigured),
        };
        Ok(Self { fixed, ..direct })
    }

    /// The same fetcher through the operator's proxy (`net.fixed_egress`), for
    /// partners that let in one address: look-ups, gate and counters shared.
    ///
    /// # Errors
    ///
    /// There is none, and what to do; never a direct way in its place.
    pub fn fixed(&self) -> Result<Self, NoFixedEgress> {
        let inner = self.fixed.clone()?;
        Ok(Self {
            inner,
            fixed: self.fixed.clone(),
        })
    }

    /// Which way its requests take, for what is remembered of a host by way:
    /// none, or the proxy.
    pub fn way(&self) -> String {
        match &self.inner.dialer.route {
            Route::Direct => String::new(),
            Route::Through(proxy) => proxy.shown(),
        }
    }

    /// The same fetcher through a pipe's proxy: connections of its own, gate,
    /// look-ups and counters shared. Made once a crawl.
    pub fn through(&self, proxy: Proxy) -> Self {
        let inner = &self.inner;
        let dialer = inner.dialer.through(Arc::new(proxy));
        let client = client(dialer.clone(), inner.connect);
        Self {
            inner: Arc::new(Inner {
                transport: Transport::Proxied(Box::new(client)),
                dialer,
                judge: Arc::clone(&inner.judge),
                gate: Arc::clone(&inner.gate),
                memory: Arc::clone(&inner.memory),
                counters: Arc::clone(&inner.counters),
                user_agent: inner.user_agent.clone(),
                retry: inner.retry,
                connect: inner.connect,
                wall: Arc::clone(&inner.wall),
            }),
            fixed: self.fixed.clone(),
        }
    }

    /// Fetches into memory: pages, images.
    pub async fn fetch_bytes(&self, request: &Request) -> Result<Fetched<Bytes>, FetchError> {
        let max = request.limits.decoded_bytes_max;
        let memory = Arc::clone(&self.inner.memory);
        self.fetch(request, move || Ok(BytesSink::new(max, memory.claim())))
            .await
    }

    /// Fetches the beginning of a body into memory, for who wants to know what it
    /// is: the request's caps say where reading ends, and the rest never comes.
    /// A body that breaks off before is what came of it, if the request says
    /// [`Request::keep_truncated`].
    pub async fn fetch_prefix(&self, request: &Request) -> Result<Fetched<Prefix>, FetchError> {
        let max = request.limits.decoded_bytes_max;
        let memory = Arc::clone(&self.inner.memory);
        let sink = move || Ok(PrefixSink(BytesSink::new(max, memory.claim())));
        self.fetch(request, sink).await
    }

    /// Fetches into a file: feeds. `path` only ever holds a whole body, or what
    /// came of one if the request says [`Request::keep_truncated`]; its folder
    /// must exist.
    pub async fn fetch_to_file(
        &self,
        request: &Request,
        path: &Path,
    ) -> Result<Fetched<FileBody>, FetchError> {
        let path = path.to_owned();
        self.fetch(request, move || FileSink::create(&path)).await
    }

    /// What the address policy says to a URL now: the judged addresses, or the
    /// refusal. Connects to nothing.
    pub async fn judge(&self, url: &str) -> Result<Vec<std::net::SocketAddr>, FetchError> {
        let target = Target::parse(url).map_err(|fault| FetchError::bad_url(url, fault))?;
        let judged = self.inner.judge.addresses(target.host(), target.port());
        let judged = tokio::time::timeout(self.inner.connect, judged).await;
        let fault = match judged {
            Ok(Ok(addresses)) => return Ok(addresses),
            Ok(Err(fault)) => judge_fault(&fault),
            Err(_) => Fault::Timeout {
                phase: Phase::Connect,
                after_ms: millis(self.inner.connect),
            },
        };
        Err(FetchError::new(&target, &target, 1, fault))
    }

    /// Whether https can work here: reads the machine's certificates now
    /// instead of at the first https connection. Blocks.
    pub fn check_tls(&self) -> Result<(), TlsFault> {
        self.inner.dialer.tls.ready().map(|_| ())
    }

    /// The counters so far.
    pub fn stats(&self) -> FetchStats {
        self.inner.counters.read()
    }

    async fn fetch<S, M>(&self, request: &Request, make: M) -> Result<Fetched<S::Body>, FetchError>
    where
        S: Sink,
        M: Fn() -> Result<S, Fault> + Clone + Send + 'static,
    {
        let cancelled = request.cancel.cancelled();
        // Everything under way is owned by the future that is dropped here, and
        // cleans up behind itself: sockets close, parts of files are removed.
        let (attempts, failure) = tokio::select! {
            biased;
            () = cancelled => {
                (1, Failure::new(&request.target, Fault::Cancelled))
            }
            done = self.attempts(request, make) => match done {
                Ok(fetched) => return Ok(fetched),
                Err(failed) => failed,
            },
        };
        Counters::add(&self.inner.counters.failed, 1);
        let Failure { hop, fault, .. } = failure;
        Err(FetchError::new(&request.target, &hop, attempts, fault))
    }

    async fn attempts<S, M>(
        &self,
        request: &Request,
        make: M,
    ) -> Result<Fetched<S::Body>, (u32, Failure<S>)>
    where
        S: Sink,
        M: Fn() -> Result<S, Fault> + Clone + Send + 'static,
    {
        let begun = Instant::now();
        let policy = request.retry.unwrap_or(self.inner.retry);
        let seed = seed_of(request.target.url().as_str());
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(request, make.clone()).await {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => failure,
            };
            let decision = policy.decide(Failed {
                class: failure.fault.class(),
                attempt,
                retry_after: failure.fault.retry_after(),
                elapsed: begun.elapsed(),
                seed,
            });
            let granted = |failure: &Failure<S>| {
                let pace = request.pace.as_ref();
                pace.is_none_or(|pace| pace.retry(&failure.hop.host_key()).is_ok())
            };
            match decision {
                Retry::After(_) if !granted(&failure) => {
                    let kept = failure.into_kept().await;
                    return kept.map_err(|failure| (attempt, failure));
                }
                Retry::GiveUp => {
                    let kept = failure.into_kept().await;
                    return kept.map_err(|failure| (attempt, failure));
                }
                Retry::After(wait) => {
                    let (url, fault) = (&failure.hop, &failure.fault);
                    tracing::debug!(%url, attempt, ?wait, "attempt failed, trying again: {fault}");
                    // The disk is free of its part before the next one begins.
                    drop(failure);
                    tokio::time::sleep(wait).await;
                }
            }
            Counters::add(&self.inner.counters.retries, 1);
            attempt += 1;
        }
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
