//! Blocks of IPv4 addresses, as the network is made of them.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: u32,
    pub(crate) prefix: u32,
}

impl Block {
    pub(crate) fn holds(&self, other: &Self) -> bool {
        let bits = 32 - self.prefix;
        let network = |address: u32| u64::from(address) >> bits;
        self.prefix <= other.prefix && network(self.first) == network(other.first)
    }

    /// Of two blocks one holds the other, or they share nothing.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.holds(other) || other.holds(self)
    }
}

impl FromStr for Block {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let no_block = || format!("{written} is no block");
        let (first, prefix) = written.split_once('/').ok_or_else(no_block)?;
        let first: Ipv4Addr = first.parse().map_err(|_| no_block())?;
        let prefix = prefix.parse().map_err(|_| no_block())?;
        Ok(Self {
            first: first.to_bits(),
            prefix,
        })
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.prefix)
    }
}

#[test]
fn blocks_hold_and_overlap() {
    let check = |outer: &str, inner: &str, holds: bool, overlaps: bool| {
        let (outer, inner): (Block, Block) = (outer.parse().unwrap(), inner.parse().unwrap());
        assert_eq!(outer.holds(&inner), holds, "{outer} {inner}");
        assert_eq!(outer.overlaps(&inner), overlaps, "{outer} {inner}");
    };
    check("0.0.0.0/0", "10.0.0.0/8", true, true);
    check("10.0.0.0/8", "10.64.0.0/16", true, true);
    check("10.64.0.0/16", "10.0.0.0/8", false, true);
    check("10.64.0.0/20", "10.64.16.0/20", false, false);
}
