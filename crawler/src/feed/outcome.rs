//! What reading a feed came to, and who takes its rows.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use serde::Serialize;
use trawler_catalogue::Deleted;
use trawler_core::feed::{Compression, FeedFormat, FeedMode};

use super::error::Incomplete;
use super::rejected::Reason;

/// Takes the rows of a feed. Calls come in the order of the feed as far as
/// the same id is concerned; an id may come several times, and the last wins,
/// or is laid over the ones before where rows hold only what changed.
pub trait RowSink {
    /// Rows of [`super::schema`], or of [`super::partial_schema`].
    fn upsert(&mut self, rows: RecordBatch) -> Result<(), SinkError>;

    /// Ids that the feed deletes, class D.
    fn delete(&mut self, deleted: Vec<Deleted>) -> Result<(), SinkError>;
}

pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Wrong optional values of one column; each became null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BadValues {
    pub count: u64,
    pub examples: Vec<BadValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadValue {
    pub line: u64,
    pub found: String,
    pub reason: &'static str,
}

/// What reading a feed came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedOutcome {
    /// Rows handed on, repeated ids counted each time.
    pub rows: u64,
    /// Deletions handed on.
    pub deletes: u64,
    pub rejected: u64,
    pub rejected_by_reason: BTreeMap<Reason, u64>,
    /// Whether the feed was read to its end and is believed; if not, what it
    /// does not list must not be delisted.
    pub complete: bool,
    pub incomplete_reason: Option<Incomplete>,
    pub format: FeedFormat,
    pub mode: FeedMode,
    pub compression: Compression,
    /// Lower-case name; `euc-kr` is CP949.
    pub charset: String,
    pub malformed_sequences: u64,
    pub bytes_read: u64,
    pub bytes_decoded: u64,
    /// Columns with at least one value.
    pub columns_seen: Vec<&'static str>,
    /// Fields that went to `extra`.
    pub unmapped_fields: Vec<String>,
    /// Fields with personal data of sellers, which were dropped.
    pub personal_fields: Vec<String>,
    /// Unmapped values beyond the bounds of `extra`.
    pub extra_dropped: u64,
    pub bad_values: BTreeMap<&'static str, BadValues>,
}
