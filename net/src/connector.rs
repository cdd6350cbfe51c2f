//! What the clients of proxied requests and of a tunnel connect with: a judged
//! connection (`dial`), TLS against the name where the scheme says so, HTTP/2
//! where the server offers it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::dial::{DialFault, Dialer, Stream};
use crate::policy::plain_host;

/// The connector of one client.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) dialer: Dialer,
    /// For the look-up, TCP, the proxy and TLS together.
    pub(crate) patience: Duration,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = DialFault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialFault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let wire = tokio::time::timeout(this.patience, this.connect(&uri)).await;
            wire.unwrap_or(Err(DialFault::Timeout)).map(TokioIo::new)
        })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Wire, DialFault> {
        let encrypted = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        if !encrypted {
            return Ok(Wire::Plain(self.dialer.dial(host, port).await?));
        }
        // Before anything is connected to: without certificates there is no use.
        let settings = self.dialer.tls.config().await?;
        let stream = self.dialer.dial(host, port).await?;
        let stream = handshake(settings, host, stream).await?;
        Ok(Wire::Encrypted(Box::new(stream)))
    }
}

/// TLS as a client of `host`.
pub(crate) async fn handshake<T>(
    settings: Arc<ClientConfig>,
    host: &str,
    stream: T,
) -> Result<TlsStream<T>, DialFault>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(plain_host(host))
        .map_err(|_| DialFault::Tls(rustls::Error::General("the host is no TLS name".into())))?;
    let shaken = TlsConnector::from(settings).connect(name, stream).await;
    shaken.map_err(|error| match crate::fault::find::<rustls::Error>(&error) {
        Some(tls) => DialFault::Tls(tls.clone()),
        None => DialFault::Handshake(error),
    })
}

/// A connection that HTTP is spoken on.
pub(crate) enum Wire {
    Plain(Stream),
    Encrypted(Box<TlsStream<Stream>>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        match self {
            Self::Encrypted(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            Self::Encrypted(_) | Self::Plain(_) => connected,
        }
    }
}

/// Calls the same method of whichever stream it is.
macro_rules! either {
    ($this:expr, $stream:ident => $call:expr) => {
        match $this.get_mut() {
            Wire::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Wire::Encrypted($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(context))
    }
}
