//! The special-purpose address ranges, and the IPv4 address that an IPv6
//! address may carry inside.
//!
//! Pure tables and bit arithmetic; who may talk to which range is decided in
//! `policy`. The facts are those of the IANA IPv4 and IPv6 Special-Purpose
//! Address Registries, of RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo)
//! and 5214 (ISATAP), plus the few public addresses under which clouds answer
//! for the machine itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The block of `prefix` leading bits of `base`; `None` when the prefix is
    /// longer than the address. Bits below the prefix are cleared.
    pub fn new(base: IpAddr, prefix: u8) -> Option<Self> {
        let base = match base {
            IpAddr::V4(v4) if prefix <= 32 => {
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(prefix)))
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_v6(prefix)))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { base, prefix })
    }

    /// Whether the address lies in the block. IPv4 blocks hold no IPv6 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(v4)) => {
                v4.to_bits() & mask_v4(self.prefix) == base.to_bits()
            }
            (IpAddr::V6(base), IpAddr::V6(v6)) => {
                v6.to_bits() & mask_v6(self.prefix) == base.to_bits()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// How far an allowance has to go to open a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// An allowed name is enough (loopback and company networks).
    ByName,
    /// The address itself or its block has to be named: whoever controls a
    /// name's records must not be able to point it here.
    ByAddress,
}

/// One special-purpose range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialRange {
    /// What the range is for, as it reads in an error.
    pub name: &'static str,
    /// The block in CIDR notation.
    pub block: Cidr,
    /// What it takes to let it in.
    pub reach: Reach,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Cidr {
    Cidr {
        base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        prefix,
    }
}

const fn v6(segments: [u16; 8], prefix: u8) -> Cidr {
    let [a, b, c, d, e, f, g, h] = segments;
    Cidr {
        base: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        prefix,
    }
}

const fn range(name: &'static str, block: Cidr, reach: Reach) -> SpecialRange {
    SpecialRange { name, block, reach }
}

use Reach::{ByAddress, ByName};

/// Every special range, the more specific before the more general.
#[rustfmt::skip]
pub static SPECIAL_RANGES: &[SpecialRange] = &[
    range("instance metadata", v4(169, 254, 169, 254, 32), ByAddress),
    range("instance metadata (container credentials)", v4(169, 254, 170, 0, 24), ByAddress),
    range("instance metadata (cloud platform)", v4(168, 63, 129, 16, 32), ByAddress),
    range("instance metadata", v4(100, 100, 100, 200, 32), ByAddress),
    range("instance metadata (platform services)", v4(192, 0, 0, 192, 32), ByAddress),
    range("limited broadcast", v4(255, 255, 255, 255, 32), ByAddress),
    range("this network", v4(0, 0, 0, 0, 8), ByAddress),
    range("private", v4(10, 0, 0, 0, 8), ByName),
    range("carrier-grade NAT (shared address space)", v4(100, 64, 0, 0, 10), ByName),
    range("loopback", v4(127, 0, 0, 0, 8), ByName),
    range("link-local", v4(169, 254, 0, 0, 16), ByAddress),
    range("private", v4(172, 16, 0, 0, 12), ByName),
    range("IETF protocol assignments", v4(192, 0, 0, 0, 24), ByAddress),
    range("documentation (TEST-NET-1)", v4(192, 0, 2, 0, 24), ByAddress),
    range("AS112", v4(192, 31, 196, 0, 24), ByAddress),
    range("automatic multicast tunnelling", v4(192, 52, 193, 0, 24), ByAddress),
    range("6to4 relay anycast", v4(192, 88, 99, 0, 24), ByAddress),
    range("private", v4(192, 168, 0, 0, 16), ByName),
    range("AS112 direct delegation", v4(192, 175, 48, 0, 24), ByAddress),
    range("benchmarking", v4(198, 18, 0, 0, 15), ByAddress),
    range("documentation (TEST-NET-2)", v4(198, 51, 100, 0, 24), ByAddress),
    range("documentation (TEST-NET-3)", v4(203, 0, 113, 0, 24), ByAddress),
    range("multicast", v4(224, 0, 0, 0, 4), ByAddress),
    range("reserved for future use", v4(240, 0, 0, 0, 4), ByAddress),

    range("unspecified", v6([0; 8], 128), ByAddress),
    range("loopback", v6([0, 0, 0, 0, 0, 0, 0, 1], 128), ByName),
    range("IPv4-mapped", v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), ByAddress),
    range("IPv4-compatible", v6([0; 8], 96), ByAddress),
    range("NAT64", v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), ByAddress),
    range("NAT64 (local use)", v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), ByAddress),
    range("discard-only", v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), ByAddress),
    range("dummy prefix", v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), ByAddress),
    range("Teredo", v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), ByAddress),
    range("benchmarking", v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), ByAddress),
    range("ORCHID (deprecated)", v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28), ByAddress),
    range("ORCHIDv2", v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), ByAddress),
    range("drone remote identification", v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28), ByAddress),
    range("IETF protocol assignments", v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), ByAddress),
    range("documentation", v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), ByAddress),
    range("6to4", v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), ByAddress),
    range("AS112 direct delegation", v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), ByAddress),
    range("6bone (returned)", v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), ByAddress),
    range("documentation", v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), ByAddress),
    range("segment routing (SRv6) identifiers", v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), ByAddress),
    range("instance metadata", v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), ByAddress),
    range("instance metadata", v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), ByAddress),
    range("unique local", v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), ByName),
    range("link-local", v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), ByAddress),
    range("site-local (deprecated)", v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), ByAddress),
    range("multicast", v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), ByAddress),
];

/// Global unicast space is `2000::/3`; all else that no row above names is
/// reserved by the IETF.
static GLOBAL_UNICAST: Cidr = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
static RESERVED_V6: SpecialRange = range(
    "outside global unicast (2000::/3)",
    v6([0; 8], 0),
    ByAddress,
);
static ISATAP: SpecialRange = range("ISATAP interface identifier", v6([0; 8], 0), ByAddress);

/// The special range that an address belongs to; `None` for an ordinary public
/// address.
pub fn special_range(address: IpAddr) -> Option<&'static SpecialRange> {
    let listed = SPECIAL_RANGES
        .iter()
        .find(|range| range.block.contains(address));
    match (listed, address) {
        (Some(range), _) => Some(range),
        (None, IpAddr::V4(_)) => None,
        (None, IpAddr::V6(v6)) if is_isatap(v6) => Some(&ISATAP),
        (None, IpAddr::V6(_)) if !GLOBAL_UNICAST.contains(address) => Some(&RESERVED_V6),
        (None, IpAddr::V6(_)) => None,
    }
}

/// The IPv4 addresses that a translator or tunnel may send the packets of this
/// address to. Where the layout is not known for certain, every candidate is
/// given, and all of them have to be judged.
pub fn embedded_v4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = address.to_bits();
    let low = Ipv4Addr::from_bits(low_32(bits));
    let within = |block: Cidr| block.contains(IpAddr::V6(address));
    if within(v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96))
        || within(v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96))
    {
        return vec![low];
    }
    if within(v6([0; 8], 96)) {
        // `::` and `::1` are addresses of their own and carry nothing.
        return if bits <= 1 { Vec::new() } else { vec![low] };
    }
    if within(v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48)) {
        // RFC 6052: with a /48 prefix the address is split round the octet of
        // bits 64 to 71; with a /96 prefix it is the last four octets.
        let split = (low_32(bits >> 64) << 16) | (low_32(bits >> 40) & 0xffff);
        return vec![low, Ipv4Addr::from_bits(split)];
    }
    if within(v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16)) {
        return vec![Ipv4Addr::from_bits(low_32(bits >> 80))];
    }
    if within(v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32)) {
        // Teredo carries the server plainly and the client inverted.
        let server = Ipv4Addr::from_bits(low_32(bits >> 64));
        return vec![server, Ipv4Addr::from_bits(!low_32(bits))];
    }
    if is_isatap(address) {
        return vec![low];
    }
    Vec::new()
}

fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., e, f, _, _] = address.segments();
    (e == 0 || e == 0x200) && f == 0x5efe
}

fn low_32(bits: u128) -> u32 {
    u32::try_from(bits & u128::from(u32::MAX)).expect("masked to 32 bits")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_range_of_the_table_is_found_under_its_own_name() {
        for range in SPECIAL_RANGES {
            let found = special_range(range.block.base).unwrap();
            // A more specific row may lie at the very start of a general one.
            assert!(
                found == range || found.block.prefix > range.block.prefix,
                "{} found as {}",
                range.block,
                found.name
            );
        }
    }

    #[test]
    fn blocks_end_where_they_should() {
        let check = |address: &str, expected: Option<&str>| {
            let found = special_range(address.parse().unwrap()).map(|range| range.name);
            assert_eq!(found, expected, "{address}");
        };
        check("9.255.255.255", None);
        check("10.0.0.0", Some("private"));
        check("10.255.255.255", Some("private"));
        check("11.0.0.0", None);
        check("100.63.255.255", None);
        check(
            "100.64.0.0",
            Some("carrier-grade NAT (shared address space)"),
        );
        check(
            "100.127.255.255",
            Some("carrier-grade NAT (shared address space)"),
        );
        check("100.128.0.0", None);
        check("126.255.255.255", None);
        check("128.0.0.0", None);
        check("172.15.255.255", None);
        check("172.31.255.255", Some("private"));
        check("172.32.0.0", None);
        check("198.17.255.255", None);
        check("198.19.255.255", Some("benchmarking"));
        check("198.20.0.0", None);
        check("223.255.255.255", None);
        check("224.0.0.1", Some("multicast"));
        check("239.255.255.255", Some("multicast"));
        check("240.0.0.1", Some("reserved for future use"));
        check("255.255.255.255", Some("limited broadcast"));
        check("2606:4700::1111", None);
        check("2001:200::1", None);
        check("2001:1ff:ffff::1", Some("IETF protocol assignments"));
        check("4000::1", Some("outside global unicast (2000::/3)"));
        check(
            "::ffff:0:10.0.0.1",
            Some("outside global unicast (2000::/3)"),
        );
        check(
            "2606:4700::5efe:8.8.8.8",
            Some("ISATAP interface identifier"),
        );
    }

    #[test]
    fn embedded_addresses() {
        let check = |address: &str, expected: &[&str]| {
            let found: Vec<String> = embedded_v4(address.parse().unwrap())
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found, expected, "{address}");
        };
        check("::ffff:127.0.0.1", &["127.0.0.1"]);
        check("::10.1.2.3", &["10.1.2.3"]);
        check("::1", &[]);
        check("64:ff9b::a9fe:a9fe", &["169.254.169.254"]);
        check("64:ff9b:1:7f00:0:100::", &["0.0.0.0", "127.0.0.1"]);
        check("2002:7f00:1::", &["127.0.0.1"]);
        check("2001:0:808:808:0:0:80ff:fffe", &["8.8.8.8", "127.0.0.1"]);
        check("2606:4700::5efe:10.0.0.1", &["10.0.0.1"]);
        check("2606:4700::1111", &[]);
    }
}
