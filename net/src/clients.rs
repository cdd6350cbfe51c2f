//! The HTTP clients of direct requests (`reqwest`), one for each destination port.
//!
//! `reqwest` asks its resolver hook for a name alone, but the address policy
//! judges address *and* port: an allowance for one port of a host opens no
//! other. So each client serves one port, which its resolver knows, and gets
//! judged addresses only. A literal address never reaches a resolver; `attempt`
//! judges it before every request. Redirects, proxies of the environment,
//! cookies, referers, decompression and retries of the library are off: they
//! are ours. The one exception is a request that a pooled connection refused
//! before a byte of it was written, because the server had just closed it: that
//! is sent again on another connection. Test: `invariant_8_no_private_address`.
//!
//! A pool is keyed by scheme, host and port, so that a connection is only ever
//! used for the name that it was judged for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect, retry};
use rustls::ClientConfig;

use crate::fetcher::HEAD_BYTES_MAX;
use crate::judge::Judge;
use crate::target::Target;
use crate::tls::{Tls, TlsFault};
use crate::transport::{HEADERS_MAX, IDLE_KEPT, IDLE_PER_HOST_MAX};

/// Clients kept. Nearly all requests go to two ports; partners with ports of
/// their own are few, and a client made anew costs a connection.
const CLIENTS_MAX: usize = 32;

/// What one client serves. Encrypted and plain are apart, so that the
/// certificates of the machine are read only when https is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Destination {
    encrypted: bool,
    port: u16,
}

/// The clients used last.
pub(crate) struct Clients {
    judge: Arc<Judge>,
    tls: Arc<Tls>,
    connect: Duration,
    shelf: Mutex<Shelf<Client>>,
}

impl Clients {
    pub(crate) fn new(judge: Arc<Judge>, tls: Arc<Tls>, connect: Duration) -> Self {
        Self {
            judge,
            tls,
            connect,
            shelf: Mutex::new(Shelf(Vec::new())),
        }
    }

    /// The client for the port of a target. Clones share its connections.
    pub(crate) async fn of(&self, target: &Target) -> Result<Client, TlsFault> {
        let destination = Destination {
            encrypted: target.url().scheme() == "https",
            port: target.port(),
        };
        let tls = if destination.encrypted {
            self.tls.config().await?
        } else {
            self.tls.trusting_nobody()?
        };
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        // Made under the lock, which is quick, so that a port never has two.
        shelf.take(destination, || self.client(destination.port, &tls))
    }

    fn client(&self, port: u16, tls: &ClientConfig) -> Result<Client, TlsFault> {
        let resolver = PortResolver {
            judge: Arc::clone(&self.judge),
            port,
        };
        Client::builder()
            .dns_resolver(resolver)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .tls_backend_preconfigured(tls.clone())
            // Of the name look-up, TCP and TLS together; each address of a
            // name gets an equal share, so that a dead one does not eat it all.
            .connect_timeout(self.connect)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .pool_idle_timeout(IDLE_KEPT)
            .http1_max_headers(HEADERS_MAX)
            // Shops' servers write what browsers forgive.
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http2_max_header_list_size(u32::try_from(HEAD_BYTES_MAX).expect("a small constant"))
            .http2_adaptive_window(true)
            .build()
            .map_err(|error| TlsFault::Setup {
                why: error.to_string(),
            })
    }
}

/// Gives a client of one port its judged addresses.
struct PortResolver {
    judge: Arc<Judge>,
    port: u16,
}

impl Resolve for PortResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (judge, port) = (Arc::clone(&self.judge), self.port);
        Box::pin(async move {
            let judged = judge.addresses(name.as_str(), port).await?;
            let addresses: Addrs = Box::new(judged.into_iter());
            Ok(addresses)
        })
    }
}

/// The [`CLIENTS_MAX`] used last, the latest at the end. One that is pushed out
/// lives on until the last request that uses it has ended.
struct Shelf<C>(Vec<(Destination, C)>);

impl<C: Clone> Shelf<C> {
    fn take<E>(
        &mut self,
        destination: Destination,
        make: impl FnOnce() -> Result<C, E>,
    ) -> Result<C, E> {
        let known = self.0.iter().position(|(of, _)| *of == destination);
        let kept = match known {
            Some(index) => self.0.remove(index),
            None => (destination, make()?),
        };
        if self.0.len() >= CLIENTS_MAX {
            self.0.remove(0);
        }
        let client = kept.1.clone();
        self.0.push(kept);
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plain(port: u16) -> Destination {
        Destination {
            encrypted: false,
            port,
        }
    }

    #[test]
    fn the_client_unused_for_longest_makes_room() {
        let mut shelf = Shelf(Vec::new());
        let mut made = 0;
        let mut take = |destination| {
            let taken: Result<u32, ()> = shelf.take(destination, || {
                made += 1;
                Ok(made)
            });
            taken.unwrap()
        };
        let room = u16::try_from(CLIENTS_MAX).unwrap();
        assert_eq!(take(plain(1)), 1);
        assert_eq!(take(plain(1)), 1, "the same again");
        for port in 2..=room {
            assert_eq!(take(plain(port)), u32::from(port));
        }
        assert_eq!(take(plain(1)), 1, "nobody has left yet");
        assert_eq!(take(plain(room + 1)), u32::from(room) + 1);
        assert_eq!(take(plain(1)), 1, "used lately");
        assert_eq!(take(plain(2)), u32::from(room) + 2, "had to leave");
        let encrypted = Destination {
            encrypted: true,
            port: 1,
        };
        assert_ne!(take(encrypted), 1, "https has a client of its own");
        assert_eq!(shelf.0.len(), CLIENTS_MAX);
    }

    #[test]
    fn a_client_that_cannot_be_made_is_not_kept() {
        let mut shelf: Shelf<u32> = Shelf(Vec::new());
        assert_eq!(shelf.take(plain(80), || Err("no")), Err("no"));
        assert_eq!(shelf.take(plain(80), || Ok::<_, ()>(7)), Ok(7));
    }
}
