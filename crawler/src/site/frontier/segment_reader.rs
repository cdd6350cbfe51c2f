//! A segment that is being replayed: all of its blocks from the first on, and
//! whether it has an end.

use std::fs::File;
use std::path::PathBuf;

use super::super::disk::{
    BLOCK_HEADER_BYTES, BlockHeader, DiskError, HEAD_BYTES, Head, Unpacker, extend, read_header,
    salt,
};
use super::counters::End;
use super::error::FrontierError;
use super::journal::{END, MAGIC};

/// A segment that is being replayed.
pub(super) struct SegmentReader {
    path: PathBuf,
    file: File,
    number: u32,
    bytes: u64,
    pub(super) offset: u64,
    pub(super) chain: u64,
    unpacker: Unpacker,
}

impl SegmentReader {
    pub(super) fn open(path: PathBuf, number: u32) -> Result<Self, DiskError> {
        let what = "read the frontier's journal";
        let file = File::open(&path).map_err(DiskError::of(what, &path))?;
        let bytes = file.metadata().map_err(DiskError::of(what, &path))?.len();
        let unpacker = Unpacker::new().map_err(DiskError::of("begin to decompress", &path))?;
        Ok(Self {
            path,
            file,
            number,
            bytes,
            offset: 0,
            chain: 0,
            unpacker,
        })
    }

    /// How many bytes come behind what was read.
    pub(super) fn left(&self) -> u64 {
        self.bytes - self.offset
    }

    /// The head, or `None` if there is no sound one.
    pub(super) fn head(&self) -> Result<Option<Head>, DiskError> {
        Head::read(&self.file, self.bytes, MAGIC)
            .map_err(DiskError::of("read the frontier's journal", &self.path))
    }

    /// Goes to the first block.
    pub(super) fn begin(&mut self, head: &Head) {
        self.offset = HEAD_BYTES;
        self.chain = head.chain;
    }

    /// Whether the segment has an end, so that all of it must be sound.
    pub(super) fn is_closed(&mut self) -> Result<bool, FrontierError> {
        let length = (BLOCK_HEADER_BYTES + End::BYTES) as u64;
        let Some(offset) = self
            .bytes
            .checked_sub(length)
            .filter(|&at| at >= HEAD_BYTES)
        else {
            return Ok(false);
        };
        let mut raw = Vec::new();
        match self.block_at(offset, &mut raw) {
            Ok(Some(header)) => Ok(header.kind == END),
            Ok(None) | Err(FrontierError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next block; `None` at the end of the file.
    pub(super) fn next(&mut self, raw: &mut Vec<u8>) -> Result<Option<BlockHeader>, FrontierError> {
        let header = self.block_at(self.offset, raw)?;
        if let Some(header) = &header {
            self.offset += header.length();
            self.chain = extend(self.chain, header.check());
        }
        Ok(header)
    }

    fn block_at(
        &mut self,
        offset: u64,
        raw: &mut Vec<u8>,
    ) -> Result<Option<BlockHeader>, FrontierError> {
        let mut read = || {
            let header = read_header(&self.file, offset, self.bytes)?;
            if let Some(header) = &header {
                self.unpacker
                    .unpack(&self.file, offset, header, salt(self.number, offset), raw)?;
            }
            Ok(header)
        };
        read().map_err(|bad| FrontierError::of_block(bad, self.number, offset, &self.path))
    }
}
