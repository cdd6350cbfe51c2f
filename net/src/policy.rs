//! Whom a worker may talk to (invariant 8): the address policy.
//!
//! Pure. It judges one address of one host and port; resolving names is
//! `judge`'s part, connecting to the judged address alone that of `clients`. Nothing
//! special-purpose is let in unless the configuration names it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::range::{Cidr, Reach, SpecialRange, embedded_v4, special_range};

/// The configuration key that lets an address in.
pub const ALLOW_KEY: &str = "net.allow";

const SSH_PORT: u16 = 22;

/// One entry of `net.allow`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AllowedHost {
    /// `127.0.0.1:8080` or `[::1]:8080`: this address on this port.
    Socket(SocketAddr),
    /// `shop.internal:8080`: this name on this port may resolve to loopback or
    /// private addresses, never to link-local or metadata ones.
    Name {
        /// Lower case, without a closing dot.
        host: String,
        /// The only port that is opened.
        port: u16,
    },
    /// `10.1.0.0/16`: every port of these addresses.
    Block(Cidr),
}

/// Why an entry of `net.allow` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{ALLOW_KEY}: {found:?} is neither host:port (127.0.0.1:8080, [::1]:8080, shop.internal:8080) nor a block of addresses (10.1.0.0/16)"
)]
pub struct BadAllowedHost {
    found: String,
}

impl FromStr for AllowedHost {
    type Err = BadAllowedHost;

    fn from_str(text: &str) -> Result<Self, BadAllowedHost> {
        let bad = || BadAllowedHost {
            found: text.to_owned(),
        };
        let text = text.trim();
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return if socket.port() == 0 {
                Err(bad())
            } else {
                Ok(Self::Socket(socket))
            };
        }
        if let Some((base, prefix)) = text.split_once('/') {
            let base = base.parse().map_err(|_| bad())?;
            let prefix = prefix.parse().map_err(|_| bad())?;
            return Cidr::new(base, prefix).map(Self::Block).ok_or_else(bad);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port: u16 = port.parse().map_err(|_| bad())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if port == 0 || host.is_empty() || !host.chars().all(plain) {
            return Err(bad());
        }
        Ok(Self::Name {
            host: plain_host(host),
            port,
        })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(socket) => write!(f, "{socket}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Block(block) => write!(f, "{block}"),
        }
    }
}

impl Serialize for AllowedHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AllowedHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What was refused, and what would let it in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The address is special-purpose and not named by the configuration.
    #[error(
        "{host} is at {address}, which is {range} ({block}); if it is meant to be reached, add \"{entry}\" to {ALLOW_KEY}"
    )]
    Special {
        /// The host as the URL names it.
        host: String,
        /// The address that was judged.
        address: IpAddr,
        /// The name of the range.
        range: &'static str,
        /// The range in CIDR notation.
        block: Cidr,
        /// The entry of `net.allow` that would let it in.
        entry: String,
    },
    /// The address carries an IPv4 address that is itself refused.
    #[error(
        "{host} is at {address} ({outer}), which carries {inner}, which is {range}; if it is meant to be reached, add both blocks to {ALLOW_KEY}"
    )]
    Embedded {
        /// The host as the URL names it.
        host: String,
        /// The address that was judged.
        address: IpAddr,
        /// The name of the outer range.
        outer: &'static str,
        /// The IPv4 address inside.
        inner: IpAddr,
        /// The name of the range of the inner address.
        range: &'static str,
    },
    /// The port belongs to another protocol.
    #[error(
        "{host}:{port} is a port of another protocol, where an HTTP request could do harm; if a shop does serve HTTP there, add \"{host}:{port}\" to {ALLOW_KEY}"
    )]
    Port {
        /// The host as the URL names it.
        host: String,
        /// The refused port.
        port: u16,
    },
}

/// Judges addresses. Cheap to share; holds only what the configuration allows.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allow: Vec<AllowedHost>,
}

impl AddressPolicy {
    /// A policy that lets in public addresses and the named exceptions.
    pub fn new(allow: Vec<AllowedHost>) -> Self {
        Self { allow }
    }

    /// Whether this host may be talked to at this address and port.
    pub fn judge(&self, host: &str, address: SocketAddr) -> Result<(), Refusal> {
        self.judge_port(host, address.ip(), address.port())?;
        self.judge_address(host, address)
    }

    /// The same for SSH, whose own port is no foreign one.
    pub(crate) fn judge_ssh(&self, host: &str, address: SocketAddr) -> Result<(), Refusal> {
        if address.port() != SSH_PORT {
            self.judge_port(host, address.ip(), address.port())?;
        }
        self.judge_address(host, address)
    }

    fn judge_address(&self, host: &str, address: SocketAddr) -> Result<(), Refusal> {
        let (ip, port) = (address.ip(), address.port());
        let Some(range) = special_range(ip) else {
            return Ok(());
        };
        if !self.opens(host, address, range) {
            return Err(refused(host, address, range));
        }
        let IpAddr::V6(v6) = ip else { return Ok(()) };
        // A translator's range may be opened as a whole; where its packets end
        // is judged all the same.
        let candidates = embedded_v4(v6);
        let certain = candidates.len() == 1;
        for inner in candidates {
            let inner = IpAddr::V4(inner);
            // The reading of a layout that is not used comes out as zero.
            let padding = inner.is_unspecified() && !certain;
            let Some(inner_range) = special_range(inner).filter(|_| !padding) else {
                continue;
            };
            let exact = self.allow.contains(&AllowedHost::Socket(address));
            if !exact && !self.opens_by_address(SocketAddr::new(inner, port)) {
                return Err(Refusal::Embedded {
                    host: host.to_owned(),
                    address: ip,
                    outer: range.name,
                    inner,
                    range: inner_range.name,
                });
            }
        }
        Ok(())
    }

    /// The ports of other protocols, before a name is resolved.
    pub fn judge_name(&self, host: &str, port: u16) -> Result<(), Refusal> {
        // An entry by address may still open the port: `judge` decides then.
        if self
            .allow
            .iter()
            .any(|entry| entry_port(entry) == Some(port))
        {
            return Ok(());
        }
        port_fault(host, port)
    }

    fn judge_port(&self, host: &str, ip: IpAddr, port: u16) -> Result<(), Refusal> {
        let named = self.allow.iter().any(|entry| match entry {
            AllowedHost::Socket(socket) => *socket == SocketAddr::new(ip, port),
            AllowedHost::Name {
                host: name,
                port: p,
            } => *p == port && *name == plain_host(host),
            AllowedHost::Block(_) => false,
        });
        if named {
            Ok(())
        } else {
            port_fault(host, port)
        }
    }

    fn opens(&self, host: &str, address: SocketAddr, range: &SpecialRange) -> bool {
        let by_name = match range.reach {
            Reach::ByAddress => false,
            Reach::ByName => self.allow.iter().any(|entry| match entry {
                AllowedHost::Name { host: name, port } => {
                    *port == address.port() && *name == plain_host(host)
                }
                AllowedHost::Socket(_) | AllowedHost::Block(_) => false,
            }),
        };
        by_name || self.opens_by_address(address)
    }

    fn opens_by_address(&self, address: SocketAddr) -> bool {
        self.allow.iter().any(|entry| match entry {
            AllowedHost::Socket(socket) => *socket == address,
            AllowedHost::Block(block) => block.contains(address.ip()),
            AllowedHost::Name { .. } => false,
        })
    }
}

fn refused(host: &str, address: SocketAddr, range: &SpecialRange) -> Refusal {
    Refusal::Special {
        host: host.to_owned(),
        address: address.ip(),
        range: range.name,
        block: range.block,
        entry: address.to_string(),
    }
}

fn entry_port(entry: &AllowedHost) -> Option<u16> {
    match entry {
        AllowedHost::Socket(socket) => Some(socket.port()),
        AllowedHost::Name { port, .. } => Some(*port),
        AllowedHost::Block(_) => None,
    }
}

fn port_fault(host: &str, port: u16) -> Result<(), Refusal> {
    if port == 0 || FOREIGN_PORTS.binary_search(&port).is_ok() {
        return Err(Refusal::Port {
            host: host.to_owned(),
            port,
        });
    }
    Ok(())
}

/// A host name as it is compared: lower case, no brackets, no closing dot.
pub(crate) fn plain_host(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

/// The ports that the WHATWG Fetch standard blocks, because a line protocol
/// listens there that could take a request for commands. Sorted.
#[rustfmt::skip]
static FOREIGN_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389,
    427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636,
    989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665,
    6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(entries: &[&str]) -> AddressPolicy {
        AddressPolicy::new(entries.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn allowances_open_exactly_what_they_name() {
        let check = |entries: &[&str], host: &str, address: &str, allowed: bool| {
            let found = policy(entries).judge(host, address.parse().unwrap());
            assert_eq!(
                found.is_ok(),
                allowed,
                "{entries:?} {host} {address}: {found:?}"
            );
        };
        check(&[], "a.test", "93.184.215.14:80", true);
        check(&[], "a.test", "[2606:4700::1111]:443", true);
        check(&["127.0.0.1:8080"], "127.0.0.1", "127.0.0.1:8080", true);
        check(&["127.0.0.1:8080"], "evil.test", "127.0.0.1:8080", true);
        check(&["127.0.0.1:8080"], "127.0.0.1", "127.0.0.1:8081", false);
        check(&["127.0.0.1:8080"], "127.0.0.2", "127.0.0.2:8080", false);
        check(&["127.0.0.1:8080"], "x", "[::ffff:127.0.0.1]:8080", false);
        check(&["[::1]:8080"], "::1", "[::1]:8080", true);
        check(&["10.1.0.0/16"], "a.test", "10.1.2.3:80", true);
        check(&["10.1.0.0/16"], "a.test", "10.2.2.3:80", false);
        check(&["shop.internal:80"], "Shop.Internal.", "10.2.2.3:80", true);
        check(&["shop.internal:80"], "shop.internal", "10.2.2.3:81", false);
        check(
            &["shop.internal:80"],
            "other.internal",
            "10.2.2.3:80",
            false,
        );
        check(
            &["shop.internal:80"],
            "shop.internal",
            "169.254.169.254:80",
            false,
        );
        check(
            &["shop.internal:80"],
            "shop.internal",
            "[fd00:ec2::254]:80",
            false,
        );
        check(&["169.254.169.254:80"], "x", "169.254.169.254:80", true);
        // A NAT64 network may be opened; where its packets end is still judged.
        check(&["64:ff9b::/96"], "a.test", "[64:ff9b::808:808]:80", true);
        check(
            &["64:ff9b::/96"],
            "a.test",
            "[64:ff9b::a9fe:a9fe]:80",
            false,
        );
        check(
            &["64:ff9b::/96", "10.0.0.0/8"],
            "a.test",
            "[64:ff9b::a00:1]:80",
            true,
        );
        check(&[], "a.test", "93.184.215.14:22", false);
        check(&["a.test:22"], "a.test", "93.184.215.14:22", true);
        check(&["10.0.0.0/8"], "a.test", "10.0.0.1:25", false);
    }

    #[test]
    fn entries_are_parsed_or_refused_with_what_is_allowed() {
        let check = |text: &str, expected: Option<&str>| {
            let parsed = text.parse::<AllowedHost>();
            let shown = parsed.as_ref().ok().map(ToString::to_string);
            assert_eq!(shown.as_deref(), expected, "{text}: {parsed:?}");
        };
        check("127.0.0.1:80", Some("127.0.0.1:80"));
        check("[::1]:80", Some("[::1]:80"));
        check("10.1.2.3/8", Some("10.0.0.0/8"));
        check("Shop.Internal.:8080", Some("shop.internal:8080"));
        check("shop.internal", None);
        check("127.0.0.1", None);
        check("127.0.0.1:0", None);
        check("10.0.0.0/33", None);
        check("http://a.test:80", None);
        check("*:80", None);
        check("", None);
    }

    #[test]
    fn a_refusal_names_host_address_range_and_key() {
        let refusal = policy(&[])
            .judge("evil.test", "127.0.0.1:8080".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "evil.test is at 127.0.0.1, which is loopback (127.0.0.0/8); if it is meant to be reached, add \"127.0.0.1:8080\" to net.allow"
        );
    }

    #[test]
    fn foreign_ports_are_sorted_for_the_search() {
        assert!(FOREIGN_PORTS.is_sorted());
    }
}
