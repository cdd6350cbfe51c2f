//! A part that is read: whether it is whole and continues the one before it,
//! its index, and its blocks.

use std::fs::File;
use std::path::PathBuf;

use super::super::disk::{
    BLOCK_HEADER_BYTES, BlockHeader, DiskError, HEAD_BYTES, Head, Unpacker, extend, read_header,
    salt,
};
use super::error::BookError;
use super::part::{END, End, INDEX, MAGIC, PAGES, PARTS_MAX, Place};

/// A part that is read.
pub(super) struct PartFile {
    path: PathBuf,
    file: File,
    pub(super) number: u32,
    bytes: u64,
    pub(super) head: Head,
    pub(super) end: End,
    /// The digest of all up to its end, which the head of the next part names.
    chain: u64,
    /// Where the next block of its index is.
    pub(super) index_at: u64,
    index: Vec<u8>,
}

impl PartFile {
    pub(super) fn open(
        path: PathBuf,
        number: u32,
        before: Option<&Self>,
        unpacker: &mut Unpacker,
    ) -> Result<Self, BookError> {
        if number > PARTS_MAX {
            return Err(BookError::TooManyParts {
                parts_max: PARTS_MAX,
            });
        }
        let damaged = |offset, what| BookError::Damaged {
            part: number,
            offset,
            what,
        };
        let what = "read the page book";
        let file = File::open(&path).map_err(DiskError::of(what, &path))?;
        let bytes = file.metadata().map_err(DiskError::of(what, &path))?.len();
        let head = Head::read(&file, bytes, MAGIC)
            .map_err(DiskError::of(what, &path))?
            .ok_or_else(|| damaged(0, "it does not begin as a part does"))?;
        if head.number != number {
            return Err(BookError::Gap {
                expected: number,
                found: head.number,
            });
        }
        let (chain_before, key) = before.map_or((0, head.key), |part| (part.chain, part.head.key));
        if head.before != chain_before || head.key != key {
            return Err(BookError::Unrelated { part: number });
        }
        let no_end = "its end is missing";
        let end_at = bytes
            .checked_sub((BLOCK_HEADER_BYTES + End::BYTES) as u64)
            .filter(|&at| at >= HEAD_BYTES)
            .ok_or_else(|| damaged(bytes, no_end))?;
        let end = End {
            index: end_at,
            pages: 0,
            last: false,
        };
        let mut part = Self {
            path,
            file,
            number,
            bytes,
            head,
            end,
            chain: head.chain,
            index_at: 0,
            index: Vec::new(),
        };
        let mut raw = Vec::new();
        let header = part.header(end_at)?.filter(|header| header.kind == END);
        let header = header.ok_or_else(|| damaged(end_at, no_end))?;
        part.unpack(end_at, &header, unpacker, &mut raw)?;
        part.end = End::from_bytes(&raw)
            .filter(|end| (HEAD_BYTES..=end_at).contains(&end.index))
            .ok_or_else(|| damaged(end_at, "its end cannot be read"))?;
        part.index_at = part.end.index;
        part.walk(end_at)?;
        Ok(part)
    }

    /// Follows the headers of all blocks, whose checks make the chain.
    fn walk(&mut self, end_at: u64) -> Result<(), BookError> {
        let mut offset = HEAD_BYTES;
        let mut pages = [0u64; 2];
        while let Some(header) = self.header(offset)? {
            let expected = match offset {
                _ if offset == end_at => END,
                _ if offset >= self.end.index => INDEX,
                _ => PAGES,
            };
            if header.kind != expected {
                return Err(self.damaged(offset, "a block is of another kind than belongs there"));
            }
            if let Some(pages) = pages.get_mut(usize::from(header.kind)) {
                *pages += u64::from(header.items);
            }
            self.chain = extend(self.chain, header.check());
            offset += header.length();
        }
        if pages != [self.end.pages; 2] {
            return Err(self.damaged(end_at, "its blocks have not the pages that its end counts"));
        }
        Ok(())
    }

    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> BookError {
        BookError::Damaged {
            part: self.number,
            offset,
            what,
        }
    }

    pub(super) fn header(&self, offset: u64) -> Result<Option<BlockHeader>, BookError> {
        read_header(&self.file, offset, self.bytes)
            .map_err(|bad| BookError::of_block(bad, self.number, offset, &self.path))
    }

    pub(super) fn unpack(
        &self,
        offset: u64,
        header: &BlockHeader,
        unpacker: &mut Unpacker,
        raw: &mut Vec<u8>,
    ) -> Result<(), BookError> {
        unpacker
            .unpack(&self.file, offset, header, salt(self.number, offset), raw)
            .map_err(|bad| BookError::of_block(bad, self.number, offset, &self.path))
    }

    /// The next page of the index: its hash and place.
    pub(super) fn next_of_index(
        &mut self,
        at: &mut usize,
        unpacker: &mut Unpacker,
    ) -> Result<Option<[u64; 2]>, BookError> {
        if *at >= self.index.len() {
            let offset = self.index_at;
            let Some(header) = self.header(offset)?.filter(|header| header.kind == INDEX) else {
                self.index = Vec::new();
                return Ok(None);
            };
            let mut raw = std::mem::take(&mut self.index);
            self.unpack(offset, &header, unpacker, &mut raw)?;
            self.index = raw;
            self.index_at += header.length();
            *at = 0;
        }
        let words = self.index[*at..].first_chunk::<16>().map(|bytes| {
            let (words, _) = bytes.as_chunks::<8>();
            [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]
        });
        *at += 16;
        match words {
            Some(words) if Place::from_word(words[1]).part == (self.number - 1) as u16 => {
                Ok(Some(words))
            }
            _ => Err(self.damaged(self.index_at, "its index cannot be read")),
        }
    }
}
