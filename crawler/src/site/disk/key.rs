//! The keyed hash by which a URL is known.
//!
//! SipHash-1-3 with a key of 128 bits that no partner knows: links that are
//! made to collide, or to crowd one place of a table, cannot be made.
//! Reference: Aumasson, Bernstein, "SipHash: a fast short-input PRF".
//!
//! 64 bits: among n URLs the probability that any two share a hash is about
//! n^2 / 2^65, which is 1 in 37 million for a million URLs and 1 in 370,000
//! for ten million. What it costs is one URL that is taken for another.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use siphasher::sip::SipHasher13;

/// The key of the hash. Kept in the files that depend on it.
#[derive(Clone, Copy)]
pub struct HashKey(SipHasher13);

impl HashKey {
    /// This key.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&bytes))
    }

    /// A key of this process's own randomness.
    pub fn random() -> Self {
        let halves = [(); 2].map(|()| RandomState::new().hash_one(0u64));
        let number = u128::from(halves[0]) << 64 | u128::from(halves[1]);
        Self::new(number.to_le_bytes())
    }

    /// The key's own bytes.
    pub fn bytes(&self) -> [u8; 16] {
        self.0.key()
    }

    /// The hash of `key`; never 0, which means an empty slot in a table.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.0.hash(key).max(1)
    }
}

impl PartialEq for HashKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for HashKey {}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}
