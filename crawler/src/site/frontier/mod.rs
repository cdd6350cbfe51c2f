//! The frontier of a crawl: what is still to be asked for, what was met, and
//! what came of what was asked for. On disk, in bounded memory, and rebuilt by
//! another machine from what was uploaded.
//!
//! [`Frontier::add`] offers entries, [`Frontier::claim`] takes the next one,
//! [`Frontier::settle`] ends it with its rows, [`Frontier::again`] puts it back.
//! All of that is written to a journal of compressed, checked blocks.
//! [`Frontier::cut`] closes a segment of it for upload, [`Frontier::replay`]
//! rebuilds everything from the segments, and [`Frontier::payloads`] reads the
//! rows back. Nothing but the segments matters: what was not cut when a worker
//! is killed was not done, and an entry whose settling was cut has all that it
//! led to in the same segment or an earlier one.
//!
//! Memory does not grow with what is pending: entries stay in the journal
//! until it is their turn, the seen-set is a table in a file, and what grows is
//! one bit an entry. It is synchronous, and has neither clock nor network: who
//! uploads, and how often, is the crawl's business.

mod bits;
mod counters;
mod cursor;
mod entry;
mod error;
mod frame;
#[expect(
    clippy::module_inception,
    reason = "the frontier itself, beside its parts"
)]
mod frontier;
mod journal;
mod lane;
mod limits;
mod payloads;
mod replay;
mod seen;
mod segment_reader;
#[cfg(test)]
mod tests;

pub use super::disk::{DiskError, HashKey};
pub use counters::Counters;
pub use entry::{Added, Bound, Claimed, Entry, Kept, Lane, Settled, Settlement};
pub use error::FrontierError;
pub use frontier::Frontier;
pub use journal::Segment;
pub use limits::FrontierLimits;
pub use payloads::Payloads;
pub use replay::{Replayed, Torn};
