//! Bounds of one fetch (invariant 7): bytes, hops, times.

use serde::{Deserialize, Serialize};

/// Time bounds of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// From the connection to the head of the answer.
    pub first_byte_ms: u64,
    /// Between two pieces of the body.
    pub idle_ms: u64,
    /// Everything, redirects included, waiting for the host's turn excluded.
    pub whole_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_byte_ms: 30_000,
            idle_ms: 20_000,
            // A page or image of the largest size at 100 KB/s.
            whole_ms: 5 * 60 * 1000,
        }
    }
}

/// Byte and hop bounds of one fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The body as served.
    pub raw_bytes_max: u64,
    /// The body after Content-Encoding was removed.
    pub decoded_bytes_max: u64,
    /// Hops after the first URL.
    pub redirects_max: u32,
    /// Time bounds.
    pub timeouts: Timeouts,
}

impl Default for Limits {
    /// For pages and images.
    fn default() -> Self {
        Self {
            raw_bytes_max: 32 * 1024 * 1024,
            decoded_bytes_max: 32 * 1024 * 1024,
            redirects_max: 5,
            timeouts: Timeouts::default(),
        }
    }
}

impl Limits {
    /// For feeds, which are large, and slow to be generated.
    pub fn feed() -> Self {
        Self {
            raw_bytes_max: 8 * 1024 * 1024 * 1024,
            decoded_bytes_max: 32 * 1024 * 1024 * 1024,
            redirects_max: 5,
            timeouts: Timeouts {
                first_byte_ms: 120_000,
                idle_ms: 60_000,
                whole_ms: 2 * 3600 * 1000,
            },
        }
    }
}
