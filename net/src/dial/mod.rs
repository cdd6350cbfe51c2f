//! Connections, made to judged addresses only (invariant 8).
//!
//! For what `reqwest` cannot connect (`transport`): requests through a pipe's
//! proxy, and the connections of a tunnel's user, direct ones too. The host is
//! resolved and judged here, and the socket is opened to the address that was
//! judged, never to a name. Through a proxy the address is what stands in CONNECT,
//! so that the proxy resolves nothing, and the proxy's own address is judged as
//! well, unless the operator of this process names it (`Proxy::of_the_operator`).
//! TLS is the caller's (`connector`), against the name.
//!
//! Rebinding. There is no second look-up between judging and connecting, and a
//! connection that stands cannot change its other end: a pooled one may be used
//! for its name as long as it lives, whatever the name says meanwhile. Cached
//! look-ups (`resolve`) are kept unjudged and judged at every connection.

mod proxy;
mod race;
mod socks;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::judge::{Judge, JudgeFault};
use crate::tls::{Tls, TlsFault};

pub use proxy::{Proxy, ProxyFault};
pub(crate) use stream::Stream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialFault {
    /// No address that may be connected to.
    #[error(transparent)]
    Judge(#[from] JudgeFault),
    /// TCP.
    #[error("no connection to {to}")]
    Tcp { to: String, source: io::Error },
    /// The handshake broke off: the network, not the certificate.
    #[error("the TLS handshake broke off")]
    Handshake(#[source] io::Error),
    /// The certificate or the protocol of TLS.
    #[error("TLS failed")]
    Tls(#[source] rustls::Error),
    /// TLS cannot work on this machine.
    #[error(transparent)]
    TlsSetup(#[from] TlsFault),
    /// The proxy that the way leads through.
    #[error("the proxy {proxy} {what}; check {named_in}")]
    Proxy {
        proxy: String,
        what: String,
        named_in: &'static str,
        source: Option<Box<DialFault>>,
    },
    /// All of it together took too long.
    #[error("no connection in time")]
    Timeout,
}

/// The way to a host.
#[derive(Clone)]
pub(crate) enum Route {
    Direct,
    Through(Arc<Proxy>),
}

/// Opens connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) judge: Arc<Judge>,
    pub(crate) tls: Arc<Tls>,
    pub(crate) route: Route,
}

impl Dialer {
    /// A connection to a host that passes the policy. Bounded by the caller.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<Stream, DialFault> {
        let judged = self.judge.addresses(host, port).await?;
        self.dial_judged(&judged, host, port).await
    }

    /// A connection to one of the addresses of a host, which were judged.
    pub(crate) async fn dial_judged(
        &self,
        judged: &[SocketAddr],
        host: &str,
        port: u16,
    ) -> Result<Stream, DialFault> {
        match &self.route {
            Route::Direct => Ok(Stream::Tcp(tcp(judged, host, port).await?)),
            Route::Through(proxy) => proxy.dial(self, judged).await,
        }
    }

    /// The same way for others.
    pub(crate) fn through(&self, proxy: Arc<Proxy>) -> Self {
        Self {
            route: Route::Through(proxy),
            ..self.clone()
        }
    }
}

/// TCP to the first of the judged addresses that answers.
async fn tcp(
    judged: &[SocketAddr],
    host: &str,
    port: u16,
) -> Result<tokio::net::TcpStream, DialFault> {
    let connected = race::connect_any(judged).await;
    connected.map_err(|source| DialFault::Tcp {
        to: format!("{host}:{port}"),
        source,
    })
}
