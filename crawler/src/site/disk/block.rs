//! Blocks: what a file of the frontier or of the book is made of. A header of
//! [`BLOCK_HEADER_BYTES`], then bytes, compressed with zstd where that makes
//! them fewer. Header and bytes are under one checksum (XXH3), salted with
//! where the block stands, so that a block at the wrong place is as bad as a
//! damaged one.
//!
//! ```text
//! 0 kind u8 | 1 codec u8 | 2 zero u16 | 4 stored u32 | 8 raw u32 | 12 items u32 | 16 check u64
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use twox_hash::XxHash3_128;
use zstd::bulk::{Compressor, Decompressor};

/// The length of a block's header.
pub(crate) const BLOCK_HEADER_BYTES: usize = 24;

/// No block is larger when unpacked: looked at before memory is taken for it.
pub(crate) const BLOCK_RAW_MAX: usize = 64 << 20;

/// The fastest regular level. By the examples `frontier` and `book`, level 3
/// takes a third more time and makes the same bytes.
const LEVEL: i32 = 1;

/// Fewer bytes are stored as they are: there is nothing to gain, and a block
/// of a fixed length can be found from the end of a file.
pub(crate) const PLAIN_BELOW: usize = 128;

const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// Why a block cannot be used.
#[derive(Debug)]
pub(crate) enum Bad {
    /// The file could not be read.
    Disk(io::Error),
    /// What was read is not what was written, or ends too early.
    Damaged(&'static str),
}

/// A block's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockHeader {
    pub(crate) kind: u8,
    pub(crate) items: u32,
    codec: u8,
    stored: u32,
    raw: u32,
    check: u64,
}

impl BlockHeader {
    /// What the block takes in its file.
    pub(crate) fn length(&self) -> u64 {
        BLOCK_HEADER_BYTES as u64 + u64::from(self.stored)
    }

    /// The checksum, which names the block.
    pub(crate) fn check(&self) -> u64 {
        self.check
    }

    fn plain(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0] = self.kind;
        bytes[1] = self.codec;
        bytes[4..8].copy_from_slice(&self.stored.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.raw.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.items.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            u32::from_le_bytes(
                bytes[at..at + 4]
                    .try_into()
                    .expect("four bytes of a fixed array"),
            )
        };
        let header = Self {
            kind: bytes[0],
            codec: bytes[1],
            stored: number(4),
            raw: number(8),
            items: number(12),
            check: u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes")),
        };
        let sound = header.codec <= ZSTD
            && header.raw as usize <= BLOCK_RAW_MAX
            && header.stored <= header.raw
            && bytes[2..4] == [0, 0];
        sound.then_some(header)
    }

    fn check_of(&self, stored: &[u8], salt: u64) -> u64 {
        digest(digest(salt, stored), &self.plain())
    }
}

/// The checksum of everything here: the low half of XXH3-128.
pub(crate) fn digest(seed: u64, bytes: &[u8]) -> u64 {
    XxHash3_128::oneshot_with_seed(seed, bytes) as u64
}

/// Makes blocks.
pub(crate) struct Packer {
    zstd: Compressor<'static>,
    stored: Vec<u8>,
    block: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            zstd: Compressor::new(LEVEL)?,
            stored: Vec::new(),
            block: Vec::new(),
        })
    }

    /// The block of `raw`, at most [`BLOCK_RAW_MAX`] bytes, and its header.
    pub(crate) fn pack(
        &mut self,
        kind: u8,
        items: u32,
        raw: &[u8],
        salt: u64,
    ) -> io::Result<(BlockHeader, &[u8])> {
        let (codec, stored) = if raw.len() < PLAIN_BELOW {
            (RAW, raw)
        } else {
            self.stored.clear();
            self.stored
                .reserve(zstd::zstd_safe::compress_bound(raw.len()));
            self.zstd.compress_to_buffer(raw, &mut self.stored)?;
            if self.stored.len() < raw.len() {
                (ZSTD, &self.stored[..])
            } else {
                (RAW, raw)
            }
        };
        let length = |bytes: &[u8]| {
            u32::try_from(bytes.len()).expect("a block is at most 64 MiB, and stored not longer")
        };
        let mut header = BlockHeader {
            kind,
            items,
            codec,
            stored: length(stored),
            raw: length(raw),
            check: 0,
        };
        header.check = header.check_of(stored, salt);
        self.block.clear();
        self.block.extend_from_slice(&header.plain());
        self.block.extend_from_slice(&header.check.to_le_bytes());
        self.block.extend_from_slice(stored);
        Ok((header, &self.block))
    }
}

/// The header of the block at `offset` of a file whose sound part is `end`
/// bytes; `None` at its end. The checksum is not looked at.
pub(crate) fn read_header(file: &File, offset: u64, end: u64) -> Result<Option<BlockHeader>, Bad> {
    if offset == end {
        return Ok(None);
    }
    if end.saturating_sub(offset) < BLOCK_HEADER_BYTES as u64 {
        return Err(Bad::Damaged("it ends within the header of a block"));
    }
    let mut bytes = [0; BLOCK_HEADER_BYTES];
    file.read_exact_at(&mut bytes, offset).map_err(Bad::Disk)?;
    let header = BlockHeader::parse(&bytes).ok_or(Bad::Damaged("this is no header of a block"))?;
    if header.length() > end - offset {
        return Err(Bad::Damaged("it ends within a block"));
    }
    Ok(Some(header))
}

/// Opens blocks.
pub(crate) struct Unpacker {
    zstd: Decompressor<'static>,
    stored: Vec<u8>,
}

impl Unpacker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            zstd: Decompressor::new()?,
            stored: Vec::new(),
        })
    }

    /// The bytes of the block at `offset`, whose header was read there.
    pub(crate) fn unpack(
        &mut self,
        file: &File,
        offset: u64,
        header: &BlockHeader,
        salt: u64,
        raw: &mut Vec<u8>,
    ) -> Result<(), Bad> {
        self.stored.resize(header.stored as usize, 0);
        file.read_exact_at(&mut self.stored, offset + BLOCK_HEADER_BYTES as u64)
            .map_err(Bad::Disk)?;
        if header.check_of(&self.stored, salt) != header.check {
            return Err(Bad::Damaged("the checksum of a block is wrong"));
        }
        raw.clear();
        if header.codec == RAW {
            raw.extend_from_slice(&self.stored);
        } else {
            raw.reserve(header.raw as usize);
            self.zstd
                .decompress_to_buffer(&self.stored, raw)
                .map_err(|_| Bad::Damaged("a block cannot be decompressed"))?;
        }
        if raw.len() != header.raw as usize {
            return Err(Bad::Damaged("a block has not the length that it names"));
        }
        Ok(())
    }
}
