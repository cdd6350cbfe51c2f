//! What can be wrong with a frontier.

use super::super::disk::{Bad, DiskError};
use std::path::Path;

/// Why the frontier cannot go on. The caller gives the crawl up and begins
/// again, from the segments if those are sound, otherwise anew.
#[derive(Debug, thiserror::Error)]
pub enum FrontierError {
    /// The scratch disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A segment is not what was written.
    #[error(
        "segment {segment} of the frontier's journal is damaged at offset {offset}: {what}; \
         upload it again, or drop the checkpoint to crawl from the start"
    )]
    Damaged {
        /// The number of the segment.
        segment: u32,
        /// Where in its file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Segments are missing or in disorder.
    #[error(
        "the frontier's journal goes on with segment {found} where segment {expected} belongs; \
         give all of them, in order"
    )]
    Gap {
        /// The number that has to come.
        expected: u32,
        /// The number that came.
        found: u32,
    },
    /// A segment was written after another past than the one before it.
    #[error(
        "segment {segment} of the frontier's journal does not continue the one before it: they \
         are of different crawls, or of two workers of one crawl"
    )]
    Unrelated {
        /// The number of the segment.
        segment: u32,
    },
    /// There is a journal where a new one was to be made.
    #[error("{folder} holds a frontier already; replay it, or give an empty folder")]
    Exists {
        /// The folder.
        folder: String,
    },
    /// Segments could not be got at.
    #[error("get segment {segment} of the frontier's journal")]
    NotGot {
        /// The number that has to come.
        segment: u32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No segment was given.
    #[error("there is no segment to replay; make a new frontier instead")]
    Empty,
}

impl FrontierError {
    /// A block of a segment cannot be used.
    pub(super) fn of_block(bad: Bad, segment: u32, offset: u64, path: &Path) -> Self {
        match bad {
            Bad::Disk(source) => DiskError::of("read the frontier's journal", path)(source).into(),
            Bad::Damaged(what) => Self::Damaged {
                segment,
                offset,
                what,
            },
        }
    }
}
