//! Reads the journal while it is written: the blocks of one kind, one at a time.

use std::fs::File;
use std::path::Path;

use super::super::disk::{BlockHeader, DiskError, HEAD_BYTES, Unpacker, read_header, salt};
use super::error::FrontierError;
use super::journal::Journal;

/// Reads the blocks of one kind, from the first segment to the end of what is
/// written, and later what is written then.
pub(super) struct Cursor {
    kind: u8,
    segment: u32,
    offset: u64,
    file: Option<File>,
    unpacker: Unpacker,
    /// The frames of the block that was read last.
    pub(super) raw: Vec<u8>,
}

impl Cursor {
    pub(super) fn new(kind: u8) -> Result<Self, FrontierError> {
        let unpacker = Unpacker::new().map_err(DiskError::of(
            "begin to decompress",
            Path::new("the journal"),
        ))?;
        Ok(Self {
            kind,
            segment: 1,
            offset: HEAD_BYTES,
            file: None,
            unpacker,
            raw: Vec::new(),
        })
    }

    /// Puts the cursor behind all that is written.
    pub(super) fn skip_all(&mut self, journal: &Journal) {
        if self.segment != journal.number() {
            self.segment = journal.number();
            self.file = None;
        }
        self.offset = journal.written();
    }

    /// Where it reads, for errors.
    pub(super) fn damaged(&self, what: &'static str) -> FrontierError {
        FrontierError::Damaged {
            segment: self.segment,
            offset: self.offset,
            what,
        }
    }

    /// Reads the next block that is `wanted`; `false` if none is written yet.
    pub(super) fn next(
        &mut self,
        journal: &Journal,
        mut wanted: impl FnMut(&BlockHeader) -> bool,
    ) -> Result<bool, FrontierError> {
        loop {
            let end = journal.sound_bytes(self.segment);
            if self.offset >= end {
                if self.segment == journal.number() {
                    return Ok(false);
                }
                self.segment += 1;
                self.offset = HEAD_BYTES;
                self.file = None;
                continue;
            }
            let path = journal.path(self.segment);
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(
                    File::open(&path)
                        .map_err(DiskError::of("read the frontier's journal", &path))?,
                ),
            };
            let offset = self.offset;
            let bad = |bad| FrontierError::of_block(bad, self.segment, offset, &path);
            let Some(header) = read_header(file, offset, end).map_err(bad)? else {
                continue;
            };
            self.offset += header.length();
            if header.kind == self.kind && wanted(&header) {
                self.unpacker
                    .unpack(
                        file,
                        offset,
                        &header,
                        salt(self.segment, offset),
                        &mut self.raw,
                    )
                    .map_err(bad)?;
                return Ok(true);
            }
        }
    }
}
