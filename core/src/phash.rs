//! A perceptual hash as it is written, read and compared. How it is made of a
//! picture is the image worker's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bits that are set at least in the hash of a picture that can be known by it.
/// Of photographs it is about 30.
pub const PLAIN_BITS: u32 = 12;

/// 64 bits that stay nearly the same when a picture is scaled or recompressed;
/// written as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phash(pub u64);

impl Phash {
    /// Of a picture of one colour, which has nothing to be compared by. No other
    /// picture has it.
    pub const ONE_COLOUR: Self = Self(0);

    /// Whether the picture has so little in it that others with as little are
    /// near: gradients, blurs, a spot on a ground.
    pub fn is_plain(self) -> bool {
        self.0.count_ones() < PLAIN_BITS
    }

    /// Bits in which two hashes differ, of 64.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

/// A text that is no perceptual hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a perceptual hash is 16 hex digits, such as \"e1b0c3d49a5f2786\"")]
pub struct NoPhash;

impl fmt::Display for Phash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Phash {
    type Err = NoPhash;

    fn from_str(text: &str) -> Result<Self, NoPhash> {
        let plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = u64::from_str_radix(text, 16).map_err(|_| NoPhash)?;
        plain.then_some(Self(hash)).ok_or(NoPhash)
    }
}

impl TryFrom<String> for Phash {
    type Error = NoPhash;

    fn try_from(text: String) -> Result<Self, NoPhash> {
        text.parse()
    }
}

impl From<Phash> for String {
    fn from(hash: Phash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_as_they_are_read() {
        let check = |text: &str, expected: Option<u64>| {
            let found = text.parse::<Phash>().ok();
            assert_eq!(found, expected.map(Phash), "{text}");
            if let Some(hash) = found {
                assert_eq!(hash.to_string(), text.to_lowercase());
            }
        };
        check("0000000000000000", Some(0));
        check("00000000000000ff", Some(255));
        check("FEDCBA9876543210", Some(0xfedc_ba98_7654_3210));
        check("ff", None);
        check("+123456789abcdef", None);
        check("00000000000000fg", None);
        check("00000000000000ff0", None);
        assert_eq!(Phash(0b1011).distance(Phash(0b0110)), 3);
    }
}
