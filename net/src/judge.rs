//! Hosts judged before anything connects to them (invariant 8): the address
//! policy and the resolver together.
//!
//! Connects to nothing. That a connection goes to the addresses that come from
//! here, and to no others, is the part of `clients` and `dial`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::policy::{AddressPolicy, Refusal, plain_host};
use crate::resolve::Resolver;
use crate::target::Target;

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JudgeFault {
    #[error("refused")]
    Refused(Refusal),
    #[error("the name has no address")]
    Dns {
        host: String,
        source: Option<io::Error>,
    },
}

/// An address of a host, and what the policy says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The address and the port that the URL names.
    pub address: SocketAddr,
    /// Whether it may be connected to.
    pub verdict: Result<(), Refusal>,
}

pub(crate) struct Judge {
    pub(crate) policy: AddressPolicy,
    pub(crate) resolver: Resolver,
}

impl Judge {
    pub(crate) fn new(policy: AddressPolicy, resolver: Resolver) -> Self {
        Self { policy, resolver }
    }

    /// What can be said before a name is looked up. For literal addresses this
    /// is everything.
    pub(crate) fn beforehand(&self, target: &Target) -> Result<(), Refusal> {
        let (host, port) = (target.host(), target.port());
        match target.literal().or_else(|| literal(host)) {
            Some(address) => self.policy.judge(host, (address, port).into()),
            None => self.policy.judge_name(host, port),
        }
    }

    /// The addresses of a host that may be connected to, each judged with the
    /// port.
    pub(crate) async fn addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, JudgeFault> {
        let judged = self.verdicts(host, port).await?;
        let mut allowed = Vec::with_capacity(judged.len());
        let mut refusal = None;
        for Judged { address, verdict } in judged {
            match verdict {
                Ok(()) => allowed.push(address),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        match (allowed.is_empty(), refusal) {
            (false, _) => Ok(allowed),
            (true, Some(refusal)) => Err(JudgeFault::Refused(refusal)),
            (true, None) => Err(JudgeFault::Dns {
                host: host.to_owned(),
                source: None,
            }),
        }
    }

    /// The addresses of a host that the operator of this process names, which
    /// are not judged: the word is the operator's, as an entry of `net.allow` is.
    /// For no host that a pipe or a partner names.
    pub(crate) async fn unjudged(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, JudgeFault> {
        let found = match literal(host) {
            Some(address) => vec![address],
            None => {
                let found = self.resolver.addresses(host).await;
                found.map_err(|source| JudgeFault::Dns {
                    host: host.to_owned(),
                    source: Some(source),
                })?
            }
        };
        let found = found.into_iter();
        Ok(found.map(|address| (address, port).into()).collect())
    }

    /// All addresses of a host, each with what is said of it and the port. A
    /// port of another protocol is refused before a name is looked up.
    pub(crate) async fn verdicts(&self, host: &str, port: u16) -> Result<Vec<Judged>, JudgeFault> {
        let found = match literal(host) {
            Some(address) => vec![address],
            None => {
                let judged = self.policy.judge_name(host, port);
                judged.map_err(JudgeFault::Refused)?;
                let found = self.resolver.addresses(host).await;
                found.map_err(|source| JudgeFault::Dns {
                    host: host.to_owned(),
                    source: Some(source),
                })?
            }
        };
        let judged = found.into_iter().map(|address| {
            let address = SocketAddr::new(address, port);
            let verdict = self.policy.judge(host, address);
            Judged { address, verdict }
        });
        Ok(judged.collect())
    }
}

pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    plain_host(host).parse().ok()
}
