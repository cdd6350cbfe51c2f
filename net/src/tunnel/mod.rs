//! A forward proxy of our own on loopback, for programs that do their own
//! networking and have to keep invariant 8 all the same: headless Chromium.
//!
//! It takes CONNECT and plain http, from whoever has its credential, which is
//! made anew for every instance, so that no other process of the machine can use
//! it. Every target is resolved and judged here, and the connection goes to the
//! judged address (`dial`), through the pipe's proxy if the fetcher it was made
//! of goes through one. There is no way round it: a loopback target is judged
//! like any. Everything else is refused with 403, 407 or 502 and a reason.
//!
//! What it does not: look into TLS (of CONNECT it knows host and port), cache,
//! follow redirects, or keep cookies; those are its user's.

mod admit;
mod log;
mod meter;
mod serve;
mod settings;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper_util::client::legacy::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use admit::TunnelAsk;
pub use log::{TunnelEntry, TunnelFigures};
pub use settings::TunnelSettings;

use admit::{Credential, USER};
use log::Log;
use meter::Total;
use serve::Shared;

use crate::connector::Connector;
use crate::fetcher::Fetcher;
use crate::secret::Secret;

/// Allowed, or why not.
pub type Ruling<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Asked before anything is passed on, besides the address policy: robots, link
/// rules, what a browser has no business loading. Must be cancel-safe.
pub trait TunnelRules: Send + Sync {
    /// Whether it may be passed on; the reason is logged and told to the user.
    fn judge<'a>(&'a self, ask: &'a TunnelAsk) -> Ruling<'a>;
}

/// A tunnel that runs. Ends with everything in it when dropped.
pub struct Tunnel {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Fetcher {
    /// Starts a tunnel that goes the way of this fetcher: its address policy,
    /// its look-ups, its proxy.
    pub async fn tunnel(
        &self,
        settings: TunnelSettings,
        rules: Option<Arc<dyn TunnelRules>>,
    ) -> io::Result<Tunnel> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut random = [0; 32];
        let provider = rustls::crypto::ring::default_provider();
        let filled = provider.secure_random.fill(&mut random);
        filled.map_err(|_| io::Error::other("the machine gives no random bytes"))?;
        let connector = Connector {
            dialer: self.inner.dialer.clone(),
            patience: self.inner.connect,
        };
        let shared = Arc::new(Shared {
            settings,
            plain: Builder::new(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(connector.clone()),
            connector,
            credential: Credential::new(random),
            rules,
            log: Log::new(settings.log_max),
            total: Arc::new(Total::new(settings.bytes_max)),
        });
        let mut tasks = JoinSet::new();
        let stop = CancellationToken::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Ok(Tunnel {
            address,
            shared,
            tasks,
            stop,
        })
    }
}

impl Tunnel {
    /// Where it listens, on loopback.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user name of its credential.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password of its credential (Basic, RFC 7617).
    pub fn password(&self) -> &Secret {
        self.shared.credential.password()
    }

    /// Totals so far.
    pub fn figures(&self) -> TunnelFigures {
        let (allowed, refused) = self.shared.log.counts();
        TunnelFigures {
            allowed,
            refused,
            bytes_up: self.shared.total.up.load(Ordering::Relaxed),
            bytes_down: self.shared.total.down.load(Ordering::Relaxed),
        }
    }

    /// What was asked lately, and what came of it.
    pub fn log(&self) -> Vec<TunnelEntry> {
        self.shared.log.entries()
    }

    /// Ends it and waits until nothing of it runs.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Takes connections as long as there is room. Owns them: they end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let room = usize::try_from(shared.settings.connections_max.max(1)).unwrap_or(1);
    let room = Arc::new(Semaphore::new(room));
    let mut connections = JoinSet::new();
    let next = async || {
        let slot = Arc::clone(&room).acquire_owned().await;
        let slot = slot.expect("the semaphore is never closed");
        listener.accept().await.map(|(stream, _)| (stream, slot))
    };
    while let Some(accepted) = stop.run_until_cancelled(next()).await {
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, as a rule; others will be given back.
                tracing::warn!("the tunnel cannot take a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            shared.connection(stream).await;
            drop(slot);
        });
    }
    connections.shutdown().await;
}
