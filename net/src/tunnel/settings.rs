//! Bounds of a tunnel.

use serde::{Deserialize, Serialize};

/// Bounds of one tunnel (invariant 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TunnelSettings {
    /// Connections of its user at once; further ones wait to be accepted.
    pub connections_max: u32,
    /// Bytes of one connection, both ways together.
    pub connection_bytes_max: u64,
    /// Bytes of all connections, both ways together, as long as it lives.
    pub bytes_max: u64,
    /// A connection on which nothing has moved for this long is ended.
    pub idle_ms: u64,
    /// A connection is ended after this long.
    pub whole_ms: u64,
    /// Entries of the log that are kept, the latest.
    pub log_max: u32,
}

impl Default for TunnelSettings {
    /// For a browser that renders the pages of one shop.
    fn default() -> Self {
        Self {
            // A browser opens six to a host.
            connections_max: 128,
            connection_bytes_max: 64 * 1024 * 1024,
            bytes_max: 8 * 1024 * 1024 * 1024,
            idle_ms: 60_000,
            whole_ms: 10 * 60_000,
            log_max: 1000,
        }
    }
}
