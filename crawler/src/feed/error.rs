//! Why a feed cannot be read, and why a feed was not read to its end.

use std::io;

use serde::{Serialize, Serializer};

/// The feed cannot be used at all, or its declaration is wrong. Nothing of
/// the run may be committed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("feed option {key} = {found} is not usable; allowed: {allowed}")]
    Options {
        key: String,
        found: String,
        allowed: String,
    },
    #[error("the {archive} data is corrupt at byte {offset}: {why}")]
    Corrupt {
        archive: &'static str,
        offset: u64,
        why: String,
    },
    #[error("the zip archive is not usable: {why}; send an archive with exactly one file")]
    Zip { why: String },
    #[error("the feed is larger than limits.decoded_bytes_max = {max} bytes after decompression")]
    TooLarge { max: u64 },
    #[error(
        "{decoded} bytes came out of {read} compressed ones, above \
         limits.compression_ratio_max = {max}"
    )]
    Bomb { decoded: u64, read: u64, max: u32 },
    #[error(
        "the feed is not {used}: {malformed} malformed sequences; declare charset = \"{better}\""
    )]
    WrongCharset {
        used: String,
        better: String,
        malformed: u64,
    },
    #[error("the header has no field for column `{column}`; it has: {header}")]
    MissingColumn {
        column: &'static str,
        header: String,
    },
    #[error("the header names field {field:?} twice, at positions {first} and {second}")]
    DuplicateField {
        field: String,
        first: usize,
        second: usize,
    },
    #[error("the feed has more than limits.fields_max = {max} different fields")]
    TooManyFields { max: usize },
    #[error(
        "row {row} is longer than limits.row_bytes_max, or a quote, element or string in it is \
         never closed"
    )]
    RowTooLong { row: u64 },
    #[error("the {format} is malformed at byte {offset}: {why}")]
    Malformed {
        format: &'static str,
        offset: u64,
        why: String,
    },
    #[error("the XML declares entities in its document type; they are never expanded")]
    EntityDeclaration,
    #[error("the root element is <{found}>; a feed is <rss> or <feed>")]
    NotAFeed { found: String },
    #[error("there is no array at {path:?}; {found}")]
    NoItems { path: String, found: String },
    #[error("reading the feed failed at byte {offset}")]
    Io {
        offset: u64,
        #[source]
        source: io::Error,
    },
    #[error("writing the rejected-rows report failed")]
    Report(#[source] io::Error),
    #[error("taking the rows failed")]
    Sink(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The feed ended before its end, or too much of it is wrong. The rows seen
/// count; what was not seen must not be delisted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Incomplete {
    #[error("the {what} is cut off after {offset} bytes")]
    Truncated { what: &'static str, offset: u64 },
    #[error("the last row, at line {line}, is cut off")]
    CutOffRow { line: u64 },
    #[error("{rejected} of {rows} rows are rejected, more than max_bad_share = {max}")]
    TooManyRejected { rejected: u64, rows: u64, max: f64 },
    #[error("the feed is empty: not even a header row")]
    Empty,
    #[error(
        "the feed says that it has {declared} products and has {found}; ignore = [\"tocnt\"] if \
         its number is of no use"
    )]
    FewerThanDeclared { declared: u64, found: u64 },
    #[error("a full feed without a single row")]
    NoRows,
    #[error("stopped between two steps")]
    Stopped,
}

impl Serialize for Incomplete {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
