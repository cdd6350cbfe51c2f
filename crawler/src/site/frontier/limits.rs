//! The bounds of a frontier, with their defaults and reasons.

use super::super::disk::BLOCK_RAW_MAX;

/// The bounds. Those of another delivery may differ: what is in the journal
/// stays, and what comes is judged by the new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontierLimits {
    /// Keys in the seen-set. 10 million are 128 MiB of table on disk, and more
    /// pages than any shop has.
    pub entries_max: u64,
    /// Bytes of a URL. 2,048 is what browsers and caches agree on and what a
    /// sitemap may hold.
    pub url_bytes_max: usize,
    /// Bytes of the journal on disk, compressed: at the hundred bytes a page,
    /// URL and rows, that the example `frontier` comes to, 16 GiB are more
    /// than `entries_max` can fill.
    pub journal_bytes_max: u64,
    /// Bytes of payload and facts of one settled entry: 8 MiB are a thousand
    /// times the rows of a usual page.
    pub settled_bytes_max: usize,
    /// Entries that are claimed at a time: above any concurrency, and low
    /// enough that what a kill repeats is little.
    pub claims_max: usize,
    /// Bytes of frames that are compressed together. Up to three blocks wait
    /// in memory to be full, and each lane reads one.
    pub block_bytes: usize,
}

impl Default for FrontierLimits {
    fn default() -> Self {
        Self {
            entries_max: 10_000_000,
            url_bytes_max: 2048,
            journal_bytes_max: 16 << 30,
            settled_bytes_max: 8 << 20,
            claims_max: 4096,
            block_bytes: 256 << 10,
        }
    }
}

impl FrontierLimits {
    /// The same, within what the format can hold.
    pub(super) fn within_format(self) -> Self {
        Self {
            url_bytes_max: self.url_bytes_max.min(1 << 20),
            settled_bytes_max: self.settled_bytes_max.min(BLOCK_RAW_MAX / 4),
            block_bytes: self.block_bytes.clamp(1, BLOCK_RAW_MAX / 4),
            ..self
        }
    }
}
