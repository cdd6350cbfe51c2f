//! Where an SSH server may be reached: the address policy for what does not
//! speak HTTP.
//!
//! Connects to nothing; whoever does connects to the addresses that come from
//! here alone (invariant 8).

use std::io;
use std::net::SocketAddr;

use crate::fetcher::{Fetcher, millis};
use crate::judge::literal;
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

impl Fetcher {
    /// The addresses of an SSH server that may be connected to now, or why there
    /// is none.
    pub async fn judge_ssh(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NoAddress> {
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
            (false, _) => Ok(allowed),
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
            let found = match fetcher.judge_ssh(host, port).await {
                Ok(addresses) => format!("{addresses:?}"),
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
