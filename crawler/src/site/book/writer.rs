//! Writes a book: pages in the order in which they come, in parts that can be
//! uploaded while the next one is written.
//!
//! In memory are one block of pages and the index of one part. The same pages
//! in the same order give the same bytes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::disk::{
    BLOCK_RAW_MAX, DiskError, HEAD_BYTES, HashKey, Head, PLAIN_BELOW, Packer, extend, put_u64, salt,
};
use super::error::BookError;
use super::part::{
    BLOCK_PAGES_MAX, END, End, INDEX, INDEX_BLOCK_PAGES, MAGIC, PAGES, PARTS_MAX, Part, Place,
};

use super::page::Page;

/// So it has a fixed length, and is found from the end of the file.
const _: () = assert!(End::BYTES < PLAIN_BELOW);

/// The bounds of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookLimits {
    /// Pages in a book: as many as a frontier has entries.
    pub pages_max: u64,
    /// Bytes of a page, rows included: a larger one is not worth keeping, and
    /// is crawled anew.
    pub page_bytes_max: usize,
    /// About how many bytes a part has: few enough to be sent again without
    /// regret, and enough that a million pages are 15 parts.
    pub part_bytes: u64,
    /// Pages in a part: their index is held in memory, 4 MiB of it.
    pub part_pages_max: usize,
    /// Bytes of pages that are compressed together; a page that is looked up
    /// alone costs the decompression of so many.
    pub block_bytes: usize,
}

impl Default for BookLimits {
    fn default() -> Self {
        Self {
            pages_max: 10_000_000,
            page_bytes_max: 1 << 20,
            part_bytes: 8 << 20,
            part_pages_max: 1 << 18,
            block_bytes: 64 << 10,
        }
    }
}

/// Writes a book.
pub struct BookWriter {
    dir: PathBuf,
    key: HashKey,
    limits: BookLimits,
    packer: Packer,
    /// The part that is being written.
    number: u32,
    file: File,
    written: u64,
    chain: u64,
    /// Pages that wait to be a block, and how many.
    block: Vec<u8>,
    block_pages: u32,
    /// Hash and place of each page of the part.
    index: Vec<[u64; 2]>,
    page: Vec<u8>,
    pages: u64,
    refused: u64,
}

/// A book that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The last part; those before were given by [`BookWriter::put`].
    pub part: Part,
    /// Pages in the whole book.
    pub pages: u64,
    /// Pages that were above a bound and are not in it.
    pub refused: u64,
}

impl BookWriter {
    /// A new book in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// A failing disk.
    pub fn create(dir: &Path, key: HashKey, limits: BookLimits) -> Result<Self, BookError> {
        fs::create_dir_all(dir).map_err(DiskError::of("make the folder", dir))?;
        let limits = BookLimits {
            page_bytes_max: limits.page_bytes_max.min(BLOCK_RAW_MAX / 4),
            block_bytes: limits.block_bytes.clamp(1, BLOCK_RAW_MAX / 4),
            // An offset within a part has 32 bits.
            part_bytes: limits.part_bytes.min(1 << 31),
            ..limits
        };
        let packer = Packer::new().map_err(DiskError::of("begin to compress to", dir))?;
        let (file, chain) = begin_part(dir, key, 1, 0)?;
        Ok(Self {
            dir: dir.to_owned(),
            key,
            limits,
            packer,
            number: 1,
            file,
            written: HEAD_BYTES,
            chain,
            block: Vec::new(),
            block_pages: 0,
            index: Vec::new(),
            page: Vec::new(),
            pages: 0,
            refused: 0,
        })
    }

    /// Adds a page, and gives a part if it has become full. Of pages with the
    /// same URL the last one counts.
    ///
    /// # Errors
    /// A failing disk; more parts than can be numbered.
    pub fn put(&mut self, page: &Page) -> Result<Option<Part>, BookError> {
        self.page.clear();
        page.encode(&mut self.page);
        if self.page.len() > self.limits.page_bytes_max || self.pages >= self.limits.pages_max {
            self.refused += 1;
            return Ok(None);
        }
        if self.block.len() + self.page.len() > self.limits.block_bytes
            || self.block_pages == BLOCK_PAGES_MAX
        {
            self.flush()?;
        }
        let full = self.written >= self.limits.part_bytes
            || self.index.len() >= self.limits.part_pages_max;
        let part = if full {
            Some(self.close_part(false)?)
        } else {
            None
        };
        let place = Place {
            part: (self.number - 1) as u16,
            offset: self.written as u32,
            page: self.block_pages as u16,
        };
        self.index
            .push([self.key.hash(page.url.as_bytes()), place.to_word()]);
        put_u64(&mut self.block, self.page.len() as u64);
        self.block.extend_from_slice(&self.page);
        self.block_pages += 1;
        self.pages += 1;
        Ok(part)
    }

    /// Ends the book.
    ///
    /// # Errors
    /// A failing disk.
    pub fn finish(mut self) -> Result<Finished, BookError> {
        let part = self.close_part(true)?;
        Ok(Finished {
            part,
            pages: self.pages,
            refused: self.refused,
        })
    }

    fn flush(&mut self) -> Result<(), BookError> {
        if self.block_pages > 0 {
            let block = std::mem::take(&mut self.block);
            self.append(PAGES, self.block_pages, &block)?;
            self.block = block;
            self.block.clear();
            self.block_pages = 0;
        }
        Ok(())
    }

    fn append(&mut self, kind: u8, items: u32, raw: &[u8]) -> Result<(), BookError> {
        let path = self.dir.join(Part::file_name(self.number));
        let (header, block) = self
            .packer
            .pack(kind, items, raw, salt(self.number, self.written))
            .map_err(DiskError::of("compress a block of", &path))?;
        self.file
            .write_all_at(block, self.written)
            .map_err(DiskError::of("write the page book", &path))?;
        self.written += header.length();
        self.chain = extend(self.chain, header.check());
        Ok(())
    }

    fn close_part(&mut self, last: bool) -> Result<Part, BookError> {
        self.flush()?;
        let mut index = std::mem::take(&mut self.index);
        index.sort_unstable();
        let end = End {
            index: self.written,
            pages: index.len() as u64,
            last,
        };
        for pages in index.chunks(INDEX_BLOCK_PAGES) {
            let raw: Vec<u8> = pages
                .as_flattened()
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            self.append(INDEX, pages.len() as u32, &raw)?;
        }
        self.append(END, 0, &end.to_bytes())?;
        let number = self.number;
        let path = self.dir.join(Part::file_name(number));
        let part = Part {
            number,
            path,
            bytes: self.written,
            pages: end.pages,
        };
        index.clear();
        self.index = index;
        if !last {
            if number == PARTS_MAX {
                return Err(BookError::TooManyParts {
                    parts_max: PARTS_MAX,
                });
            }
            (self.file, self.chain) = begin_part(&self.dir, self.key, number + 1, self.chain)?;
            self.number += 1;
            self.written = HEAD_BYTES;
        }
        Ok(part)
    }
}

fn begin_part(
    dir: &Path,
    key: HashKey,
    number: u32,
    before: u64,
) -> Result<(File, u64), DiskError> {
    let path = dir.join(Part::file_name(number));
    let create = || -> io::Result<(File, u64)> {
        let file = File::create(&path)?;
        let chain = Head::write(&file, MAGIC, number, key, before)?;
        Ok((file, chain))
    };
    create().map_err(DiskError::of("begin a part of the page book", &path))
}
