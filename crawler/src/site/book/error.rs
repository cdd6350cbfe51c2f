//! What can be wrong with a page book.

use std::path::Path;

use super::super::disk::{Bad, DiskError};

/// Why a book cannot be written or read. A crawl goes on without it: it asks
/// for every page and the next book is whole again.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The scratch disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A part is not what was written.
    #[error(
        "part {part} of the page book is damaged at offset {offset}: {what}; crawl without the book"
    )]
    Damaged {
        /// The number of the part.
        part: u32,
        /// Where in its file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Parts are missing or in disorder.
    #[error(
        "the page book goes on with part {found} where part {expected} belongs; give all, in order"
    )]
    Gap {
        /// The number that has to come.
        expected: u32,
        /// The number that came.
        found: u32,
    },
    /// A part is of another book.
    #[error(
        "part {part} of the page book does not continue the one before it: they are of different books"
    )]
    Unrelated {
        /// The number of the part.
        part: u32,
    },
    /// The last part is missing.
    #[error("the page book has no end after {parts} parts; the last ones are missing")]
    NoEnd {
        /// How many parts came.
        parts: u32,
    },
    /// A part could not be got at.
    #[error("get part {part} of the page book")]
    NotGot {
        /// The number that has to come.
        part: u32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A book has more parts than can be numbered.
    #[error("the page book needs more than {parts_max} parts; raise part_bytes")]
    TooManyParts {
        /// The bound.
        parts_max: u32,
    },
}

impl BookError {
    /// A block of a part cannot be used.
    pub(super) fn of_block(bad: Bad, part: u32, offset: u64, path: &Path) -> Self {
        match bad {
            Bad::Disk(source) => DiskError::of("read the page book", path)(source).into(),
            Bad::Damaged(what) => Self::Damaged { part, offset, what },
        }
    }
}
