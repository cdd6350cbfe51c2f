//! Product feeds: bytes of any supported format, compression and charset to
//! rows of the catalogue's schema, in bounded memory.
//!
//! ```text
//! bytes ─ archive ─ text ─┬ lines ─ tsv, json lines ┐
//!  (decompress, caps)     ├ csv, tagged             ├ mapper ─ batches ─ RowSink
//!        (charset, UTF-8) ├ xml                     │   └ rejected rows
//!                         └ json                    ┘
//! ```
//!
//! Everything here is synchronous over `impl Read` and belongs on a blocking
//! thread. Downloading, storing and judging the rows is not done here.

mod archive;
mod batch;
mod charset;
mod control;
mod convert;
mod converter;
mod dates;
mod delimited;
mod error;
mod fields;
mod fill;
mod inflate;
mod json;
mod judge;
mod lines;
mod mapper;
mod outcome;
mod partial;
mod peek;
mod read;
mod rejected;
#[cfg(test)]
mod sample;
mod tagged;
mod tags;
mod text;
mod try_feed;
mod tsv;
mod words;
mod xml;

#[cfg(test)]
mod tests;

pub use batch::{partial_schema, schema};
pub use charset::encoding_for;
pub use control::{Progress, Step};
pub use error::{FeedError, Incomplete};
pub use outcome::{BadValue, BadValues, FeedOutcome, RowSink, SinkError};
pub use peek::{Peeked, columns_of, peek};
pub use read::{FeedTakers, check_options, read_feed};
pub use rejected::{Reason, RejectedRow, RejectedRows};
pub use try_feed::{SampleProduct, TryFeedReport, try_feed};
