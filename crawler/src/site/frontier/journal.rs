//! The journal: segment files of blocks, the last of them open.
//!
//! A segment begins with a [`Head`] and ends, when it is closed, with an `End`
//! block. By the chain in the head, a segment of another crawl, or of a worker
//! that had lost its lease, is not taken for the next one, and what counts of
//! a torn segment is exactly what the next one stands on.
//!
//! Nothing is synced: what counts are the segments that were uploaded.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::disk::{DiskError, HEAD_BYTES, HashKey, Head, PLAIN_BELOW, Packer, extend, salt};
use super::counters::End;
use super::entry::Lane;
use super::error::FrontierError;

/// What a segment begins with; the last digit is the version of the format.
pub(super) const MAGIC: [u8; 8] = *b"TRWLFRN1";

/// Kinds of blocks: those of a lane have its number.
pub(super) const RESULTS: u8 = 2;
pub(super) const END: u8 = 3;

/// So it has a fixed length, and is found from the end of the file.
const _: () = assert!(End::BYTES < PLAIN_BELOW);

pub(super) fn kind_of(lane: Lane) -> u8 {
    lane.index() as u8
}

/// A closed segment, to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its number, counted from 1 without gaps.
    pub number: u32,
    /// Where it lies, until the frontier's folder is removed.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
}

impl Segment {
    /// The name of a segment's file in the folder of a frontier. A file that
    /// is there under this name is replayed without being moved.
    pub fn file_name(number: u32) -> String {
        format!("segment-{number:06}")
    }
}

/// The journal.
pub(super) struct Journal {
    dir: PathBuf,
    key: HashKey,
    packer: Packer,
    /// How much of each closed segment is sound, by number.
    closed: Vec<u64>,
    closed_bytes: u64,
    file: File,
    written: u64,
    chain: u64,
}

impl Journal {
    /// Goes on behind the segments in `closed`, at `chain`.
    pub(super) fn open(
        dir: &Path,
        key: HashKey,
        closed: Vec<u64>,
        chain: u64,
    ) -> Result<Self, FrontierError> {
        let closed_bytes = closed.iter().sum();
        let number = number_after(&closed);
        let (file, chain) = begin_segment(dir, key, number, chain)?;
        let packer = Packer::new().map_err(DiskError::of("begin to compress to", dir))?;
        let written = HEAD_BYTES;
        Ok(Self {
            dir: dir.to_owned(),
            key,
            packer,
            closed,
            closed_bytes,
            file,
            written,
            chain,
        })
    }

    /// The key of the hashes.
    pub(super) fn key(&self) -> HashKey {
        self.key
    }

    /// The number of the open segment.
    pub(super) fn number(&self) -> u32 {
        number_after(&self.closed)
    }

    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.dir.join(Segment::file_name(number))
    }

    /// Where the open segment ends.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How much of a segment can be read.
    pub(super) fn sound_bytes(&self, number: u32) -> u64 {
        self.closed
            .get(number as usize - 1)
            .copied()
            .unwrap_or(self.written)
    }

    /// What all segments take on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.closed_bytes + self.written
    }

    /// Appends a block. After an error nothing counts as written.
    pub(super) fn append(&mut self, kind: u8, items: u32, raw: &[u8]) -> Result<(), FrontierError> {
        let path = self.path(self.number());
        let salt = salt(self.number(), self.written);
        let (header, block) = self
            .packer
            .pack(kind, items, raw, salt)
            .map_err(DiskError::of("compress a block of", &path))?;
        self.file
            .write_all_at(block, self.written)
            .map_err(DiskError::of("write the frontier's journal", &path))?;
        self.written += header.length();
        self.chain = extend(self.chain, header.check());
        Ok(())
    }

    /// Closes the open segment and opens the next one.
    pub(super) fn close(&mut self, end: End) -> Result<Segment, FrontierError> {
        self.append(END, 0, &end.to_bytes())?;
        let number = self.number();
        let segment = Segment {
            number,
            path: self.path(number),
            bytes: self.written,
        };
        let (file, chain) = begin_segment(&self.dir, self.key, number + 1, self.chain)?;
        self.closed.push(self.written);
        self.closed_bytes += self.written;
        self.file = file;
        self.chain = chain;
        self.written = HEAD_BYTES;
        Ok(segment)
    }
}

fn number_after(closed: &[u64]) -> u32 {
    u32::try_from(closed.len() + 1).expect("at a segment a second, four billion last a century")
}

fn begin_segment(
    dir: &Path,
    key: HashKey,
    number: u32,
    chain: u64,
) -> Result<(File, u64), FrontierError> {
    let path = dir.join(Segment::file_name(number));
    let create = || -> io::Result<(File, u64)> {
        let file = File::create(&path)?;
        let chain = Head::write(&file, MAGIC, number, key, chain)?;
        Ok((file, chain))
    };
    let begun = create().map_err(DiskError::of(
        "begin a segment of the frontier's journal",
        &path,
    ))?;
    Ok(begun)
}

/// Puts a segment's file to its own place in the frontier's folder.
pub(super) fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    if from == to {
        return Ok(());
    }
    // Another file system is no reason to fail.
    fs::rename(from, to).or_else(|_| {
        fs::copy(from, to)?;
        fs::remove_file(from)
    })
}
