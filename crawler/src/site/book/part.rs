//! The parts of a book: a [`Head`](super::super::disk::Head), blocks of pages,
//! blocks of an index that is sorted by hash, and an `End` block of a fixed
//! length that says where the index begins.

use std::path::PathBuf;

/// What a part begins with; the last digit is the version of the format.
pub(super) const MAGIC: [u8; 8] = *b"TRWLBOK2";

/// Kinds of blocks.
pub(super) const PAGES: u8 = 0;
pub(super) const INDEX: u8 = 1;
pub(super) const END: u8 = 2;

/// Pages in one block of the index: 16 KiB.
pub(super) const INDEX_BLOCK_PAGES: usize = 1024;

/// A [`Place`] has 16 bits for the part.
pub(super) const PARTS_MAX: u32 = 1 << 16;

/// A [`Place`] has 16 bits for the page within its block.
pub(super) const BLOCK_PAGES_MAX: u32 = 1 << 16;

/// A part of a book, to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, counted from 1 without gaps.
    pub number: u32,
    /// Where it lies.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// How many pages are in it.
    pub pages: u64,
}

impl Part {
    /// The name of a part's file in the folder of a writer.
    pub fn file_name(number: u32) -> String {
        format!("part-{number:05}")
    }
}

/// Where a page is: its part counted from 0, the offset of its block, and
/// which page of the block it is. Later places are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) part: u16,
    pub(super) offset: u32,
    pub(super) page: u16,
}

impl Place {
    pub(super) fn to_word(self) -> u64 {
        u64::from(self.part) << 48 | u64::from(self.offset) << 16 | u64::from(self.page)
    }

    pub(super) fn from_word(word: u64) -> Self {
        Self {
            part: (word >> 48) as u16,
            offset: (word >> 16) as u32,
            page: word as u16,
        }
    }
}

/// What the end of a part says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Where the index begins.
    pub(super) index: u64,
    /// Pages in this part.
    pub(super) pages: u64,
    /// Whether no part follows.
    pub(super) last: bool,
}

impl End {
    pub(super) const BYTES: usize = 24;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.index.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.pages.to_le_bytes());
        bytes[16] = u8::from(self.last);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        Some(Self {
            index: u64::from_le_bytes(bytes[..8].try_into().ok()?),
            pages: u64::from_le_bytes(bytes[8..16].try_into().ok()?),
            last: bytes[16] == 1,
        })
    }
}
