//! The connector: the one place that opens a socket (invariant 8).
//!
//! It resolves the name, judges every address with the port, and connects to
//! the judged addresses alone, so that nothing can change between judgement and
//! connection. Literal addresses take the same way. No proxy setting of the
//! environment is looked at. Test: `invariant_8_no_private_address`.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::policy::{AddressPolicy, Refusal, plain_host};
use crate::resolve::Resolver;
use crate::tls::{Tls, TlsFault};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectFault {
    #[error("refused")]
    Refused(Refusal),
    #[error("the name has no address")]
    Dns {
        host: String,
        source: Option<io::Error>,
    },
    #[error("cannot connect")]
    Tcp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the TLS handshake failed")]
    Handshake { host: String, source: io::Error },
    #[error("TLS is not set up")]
    Tls(TlsFault),
    #[error("connecting took too long")]
    Timeout { after: Duration },
    #[error("the URI has no host")]
    NoHost,
}

/// Opens connections for the pool.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: Arc<Inner>,
}

struct Inner {
    policy: AddressPolicy,
    resolver: Resolver,
    tls: Arc<Tls>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(
        policy: AddressPolicy,
        resolver: Resolver,
        tls: Arc<Tls>,
        timeout: Duration,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                policy,
                resolver,
                tls,
                timeout,
            }),
        }
    }

    pub(crate) fn policy(&self) -> &AddressPolicy {
        &self.inner.policy
    }

    /// The addresses of a host that may be connected to, each judged.
    pub(crate) async fn judged(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectFault> {
        let inner = &self.inner;
        let literal = plain_host(host).parse::<IpAddr>().ok();
        let found = match literal {
            Some(address) => vec![address],
            None => {
                let judged = inner.policy.judge_name(host, port);
                judged.map_err(ConnectFault::Refused)?;
                let found = inner.resolver.addresses(host).await;
                found.map_err(|source| ConnectFault::Dns {
                    host: host.to_owned(),
                    source: Some(source),
                })?
            }
        };
        let mut allowed = Vec::with_capacity(found.len());
        let mut refusal = None;
        for address in found {
            let socket = SocketAddr::new(address, port);
            match inner.policy.judge(host, socket) {
                Ok(()) => allowed.push(socket),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        match (allowed.is_empty(), refusal) {
            (false, _) => Ok(allowed),
            (true, Some(refusal)) => Err(ConnectFault::Refused(refusal)),
            (true, None) => Err(ConnectFault::Dns {
                host: host.to_owned(),
                source: None,
            }),
        }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, ConnectFault> {
        let after = self.inner.timeout;
        let deadline = Instant::now() + after;
        timeout_at(deadline, self.open(uri, deadline))
            .await
            .unwrap_or(Err(ConnectFault::Timeout { after }))
    }

    async fn open(&self, uri: Uri, deadline: Instant) -> Result<TokioIo<Stream>, ConnectFault> {
        let host = uri.host().ok_or(ConnectFault::NoHost)?;
        let encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let addresses = self.judged(host, port).await?;
        let tcp = first_to_answer(&addresses, deadline).await?;
        if !encrypted {
            return Ok(TokioIo::new(Stream::Plain(tcp)));
        }
        let tls = self.inner.tls.connector().await;
        let tls = tls.map_err(ConnectFault::Tls)?;
        let name =
            ServerName::try_from(plain_host(host)).map_err(|error| ConnectFault::Handshake {
                host: host.to_owned(),
                source: io::Error::new(io::ErrorKind::InvalidInput, error),
            })?;
        let shaken = tls.connect(name, tcp).await;
        let stream = shaken.map_err(|source| ConnectFault::Handshake {
            host: host.to_owned(),
            source,
        })?;
        Ok(TokioIo::new(Stream::Tls(Box::new(stream))))
    }
}

/// Connects to the first address that answers. Each gets a fair share of the
/// time that is left, so that one dead address does not eat it all.
async fn first_to_answer(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, ConnectFault> {
    let mut last = None;
    for (index, &address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = Instant::now() + left / others;
        let source = match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small requests are not to wait for more; failing to say so
                // costs time only.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(source)) => source,
            Err(_) => io::Error::from(io::ErrorKind::TimedOut),
        };
        last = Some(ConnectFault::Tcp { address, source });
    }
    Err(last.unwrap_or(ConnectFault::NoHost))
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectFault;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectFault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(_) => Connected::new(),
            Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Self::Tls(_) => Connected::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
