//! Connections to SSH servers: the address policy for what does not speak HTTP,
//! and the way of the fetcher, directly or through a proxy.
//!
//! A connection goes to the addresses that were judged here alone, or names one
//! of them to the proxy (invariant 8). SSH itself is the caller's.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dial::{DialFault, Dialer, Stream};
use crate::fetcher::{Fetcher, millis};
use crate::judge::{JudgeFault, literal};
use crate::policy::Refusal;

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum NoAddress {
    /// None of them is let in.
    #[error("refused by the address policy")]
    Refused(#[from] Refusal),
    /// The name has none.
    #[error("the name {host} has no address")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver says, if it failed.
        source: Option<io::Error>,
    },
    /// The look-up took too long.
    #[error("the look-up of {host} took longer than {after_ms} ms")]
    Timeout {
        /// The name.
        host: String,
        /// The limit, `net.connect_ms`.
        after_ms: u64,
    },
}

/// Why there is no connection to a server that may be connected to.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// The address of the pipe's proxy is not let in.
    #[error("refused by the address policy")]
    Refused(#[from] Refusal),
    /// It does not answer, or the proxy does not.
    #[error("cannot connect to {host}:{port}")]
    Failed {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
        /// What failed on the way.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An SSH server whose addresses were judged, and the way to it.
pub struct SshHost {
    dialer: Dialer,
    patience: Duration,
    host: String,
    port: u16,
    judged: Vec<SocketAddr>,
}

impl SshHost {
    /// Those of its addresses that may be connected to; one at least.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.judged
    }

    /// A connection to one of them.
    pub async fn connect(&self) -> Result<SshStream, Unreached> {
        let dialed = self.dialer.dial_judged(&self.judged, &self.host, self.port);
        let dialed = tokio::time::timeout(self.patience, dialed).await;
        let fault = match dialed.unwrap_or(Err(DialFault::Timeout)) {
            Ok(stream) => return Ok(SshStream(stream)),
            Err(fault) => fault,
        };
        Err(match fault {
            DialFault::Proxy {
                source: Some(source),
                proxy,
                what,
                named_in,
            } => match *source {
                DialFault::Judge(JudgeFault::Refused(refusal)) => Unreached::Refused(refusal),
                source => self.failed(DialFault::Proxy {
                    source: Some(Box::new(source)),
                    proxy,
                    what,
                    named_in,
                }),
            },
            fault => self.failed(fault),
        })
    }

    fn failed(&self, fault: DialFault) -> Unreached {
        Unreached::Failed {
            host: self.host.clone(),
            port: self.port,
            source: match fault {
                // It says the same as the error that it would be the source of.
                DialFault::Tcp { source, .. } => source.into(),
                fault => fault.into(),
            },
        }
    }
}

/// The bytes of a connection.
pub struct SshStream(Stream);

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl Fetcher {
    /// An SSH server with the addresses that may be connected to now, or why
    /// there is none.
    pub async fn ssh(&self, host: &str, port: u16) -> Result<SshHost, NoAddress> {
        let judge = &self.inner.judge;
        let found = match literal(host) {
            Some(address) => vec![address],
            None => {
                let looked_up = judge.resolver.addresses(host);
                match tokio::time::timeout(self.inner.connect, looked_up).await {
                    Ok(found) => found.map_err(|source| NoAddress::Dns {
                        host: host.to_owned(),
                        source: Some(source),
                    })?,
                    Err(_) => {
                        return Err(NoAddress::Timeout {
                            host: host.to_owned(),
                            after_ms: millis(self.inner.connect),
                        });
                    }
                }
            }
        };
        let mut refusal = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            let address = SocketAddr::new(address, port);
            match judge.policy.judge_ssh(host, address) {
                Ok(()) => allowed.push(address),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        match (allowed.is_empty(), refusal) {
            (false, _) => Ok(SshHost {
                dialer: self.inner.dialer.clone(),
                patience: self.inner.connect,
                host: host.to_owned(),
                port,
                judged: allowed,
            }),
            (true, Some(refusal)) => Err(refusal.into()),
            (true, None) => Err(NoAddress::Dns {
                host: host.to_owned(),
                source: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{NetConfig, Parts};

    #[tokio::test]
    async fn invariant_8_no_private_address_by_ssh() {
        let check = async |allow: &[&str], host: &str, port: u16, expected: &str| {
            let config = NetConfig {
                allow: allow.iter().map(|entry| entry.parse().unwrap()).collect(),
                ..NetConfig::of("test")
            };
            let fetcher = Fetcher::with_parts(&config, Parts::default()).unwrap();
            let found = match fetcher.ssh(host, port).await {
                Ok(server) => format!("{:?}", server.addresses()),
                Err(NoAddress::Refused(refusal)) => refusal.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expected), "{host}:{port}: {found}");
        };
        check(&[], "93.184.215.14", 22, "[93.184.215.14:22]").await;
        check(&[], "93.184.215.14", 2222, "[93.184.215.14:2222]").await;
        check(&[], "93.184.215.14", 25, "port of another protocol").await;
        check(&[], "127.0.0.1", 22, "add \"127.0.0.1:22\" to net.allow").await;
        check(&[], "::ffff:10.0.0.1", 22, "net.allow").await;
        check(&[], "169.254.169.254", 22, "net.allow").await;
        check(&["127.0.0.1:2222"], "127.0.0.1", 22, "net.allow").await;
        check(&["127.0.0.1:2222"], "127.0.0.1", 2222, "[127.0.0.1:2222]").await;
        check(&[], "localhost", 22, "net.allow").await;
    }
}
