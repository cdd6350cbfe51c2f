//! Reads a book: pages by URL.
//!
//! Opening merges the sorted indexes of the parts into one hash table on
//! scratch disk, so that memory does not grow with the book. A look-up reads
//! the table once and a block, which stays in memory for the next ones: a
//! crawl meets pages in nearly the order of the last one, and finds most of
//! them in a block that it has.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::disk::{
    BlockHeader, DiskError, HEAD_BYTES, HashKey, Probe, SortedTable, Table, Unpacker, Wire,
};
use super::error::BookError;
use super::page::Page;
use super::part::{PAGES, Place};
use super::part_file::PartFile;

/// Blocks in memory: at 64 KiB and nearly a hundred pages each, pages that were
/// written within a thousand of each other do not drive out each other's.
const BLOCKS_CACHED: usize = 16;

/// A book.
pub struct Book {
    key: HashKey,
    parts: Vec<PartFile>,
    table: Table<2>,
    unpacker: Unpacker,
    blocks: Vec<CachedBlock>,
    /// Counts look-ups, to know which block was used last.
    now: u64,
}

impl Book {
    /// Opens the book whose parts are these files, in order; they stay where
    /// they are. What is derived from them is put into `dir`, which is made if
    /// it is not there.
    ///
    /// # Errors
    /// Parts that are damaged, missing, or of different books; a failing disk.
    pub fn open(
        dir: &Path,
        parts: impl IntoIterator<Item = io::Result<PathBuf>>,
    ) -> Result<Self, BookError> {
        std::fs::create_dir_all(dir).map_err(DiskError::of("make the folder", dir))?;
        let mut unpacker = Unpacker::new().map_err(DiskError::of("begin to decompress in", dir))?;
        let mut files: Vec<PartFile> = Vec::new();
        for (path, number) in parts.into_iter().zip(1..) {
            let path = path.map_err(|source| BookError::NotGot {
                part: number,
                source,
            })?;
            let file = PartFile::open(path, number, files.last(), &mut unpacker)?;
            files.push(file);
        }
        let Some(last) = files.last_mut().filter(|part| part.end.last) else {
            return Err(BookError::NoEnd {
                parts: files.len() as u32,
            });
        };
        let key = last.head.key;
        let table = merge(&dir.join("book"), &mut files, &mut unpacker)?;
        Ok(Self {
            key,
            parts: files,
            table,
            unpacker,
            blocks: Vec::new(),
            now: 0,
        })
    }

    /// How many pages are in it.
    pub fn len(&self) -> u64 {
        self.table.used()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The page of a canonical URL.
    ///
    /// # Errors
    /// A part that is damaged where the page is; a failing disk.
    pub fn get(&mut self, url: &str) -> Result<Option<Page>, BookError> {
        let Probe::Found([_, word]) = self.table.probe(self.key.hash(url.as_bytes()))? else {
            return Ok(None);
        };
        let place = Place::from_word(word);
        let Some(part) = self.parts.get(usize::from(place.part)) else {
            return Err(BookError::NoEnd {
                parts: self.parts.len() as u32,
            });
        };
        let damaged = || BookError::Damaged {
            part: part.number,
            offset: place.offset.into(),
            what: "a page is not where the index has it",
        };
        self.now += 1;
        let at = cached(&mut self.blocks, part, place, self.now, &mut self.unpacker)?;
        let bytes = self.blocks[at].page(place.page).ok_or_else(damaged)?;
        if Page::url_of(bytes) != Some(url.as_bytes()) {
            // Another URL with the same hash.
            return Ok(None);
        }
        Page::decode(bytes).map(Some).ok_or_else(damaged)
    }

    /// All pages in the order in which they were written.
    ///
    /// # Errors
    /// A failing disk.
    pub fn pages(&mut self) -> Result<Pages<'_>, BookError> {
        let unpacker =
            Unpacker::new().map_err(DiskError::of("begin to decompress", Path::new("the book")))?;
        Ok(Pages {
            book: self,
            unpacker,
            part: 0,
            offset: HEAD_BYTES,
            block: CachedBlock::default(),
            next: 0,
        })
    }
}

/// One table of the sorted indexes of all parts.
fn merge(
    path: &Path,
    parts: &mut [PartFile],
    unpacker: &mut Unpacker,
) -> Result<Table<2>, BookError> {
    let pages = parts.iter().map(|part| part.end.pages).sum();
    let mut table = SortedTable::create(path, pages)?;
    let mut at = vec![0; parts.len()];
    let mut heads = BinaryHeap::new();
    for part in 0..parts.len() {
        if let Some(words) = parts[part].next_of_index(&mut at[part], unpacker)? {
            heads.push(Reverse((words, part)));
        }
    }
    let mut newest: Option<[u64; 2]> = None;
    while let Some(Reverse((words, part))) = heads.pop() {
        if let Some(next) = parts[part].next_of_index(&mut at[part], unpacker)? {
            if next < words {
                return Err(parts[part].damaged(parts[part].index_at, "its index is not sorted"));
            }
            heads.push(Reverse((next, part)));
        }
        // Of equal hashes the last place is that of the last page put.
        if let Some(before) = newest.replace(words)
            && before[0] != words[0]
        {
            table.push(before)?;
        }
    }
    if let Some(last) = newest {
        table.push(last)?;
    }
    Ok(table.finish()?)
}

/// A block in memory.
#[derive(Default)]
struct CachedBlock {
    part: u32,
    offset: u64,
    raw: Vec<u8>,
    /// Where in `raw` each page begins and ends.
    pages: Vec<(u32, u32)>,
    used: u64,
}

impl CachedBlock {
    fn page(&self, number: u16) -> Option<&[u8]> {
        let &(begin, end) = self.pages.get(usize::from(number))?;
        self.raw.get(begin as usize..end as usize)
    }

    /// Reads the block at `offset`.
    fn fill(
        &mut self,
        part: &PartFile,
        offset: u64,
        header: &BlockHeader,
        unpacker: &mut Unpacker,
    ) -> Result<(), BookError> {
        // Until it is filled it is no block of any part.
        self.part = 0;
        part.unpack(offset, header, unpacker, &mut self.raw)?;
        self.pages.clear();
        let mut wire = Wire::new(&self.raw);
        while !wire.is_empty() {
            let Some(page) = wire.counted() else {
                return Err(part.damaged(offset, "a page in it cannot be read"));
            };
            let end = self.raw.len() - wire.len();
            self.pages.push(((end - page.len()) as u32, end as u32));
        }
        self.part = part.number;
        self.offset = offset;
        Ok(())
    }
}

/// The place in `blocks` of the block that a page is in.
fn cached(
    blocks: &mut Vec<CachedBlock>,
    part: &PartFile,
    place: Place,
    now: u64,
    unpacker: &mut Unpacker,
) -> Result<usize, BookError> {
    let offset = u64::from(place.offset);
    let there = blocks
        .iter()
        .position(|block| block.part == part.number && block.offset == offset);
    let at = match there {
        Some(at) => at,
        None => {
            let header = part.header(offset)?.filter(|header| header.kind == PAGES);
            let header =
                header.ok_or_else(|| part.damaged(offset, "there is no block of pages"))?;
            let at = match (0..blocks.len()).min_by_key(|&at| blocks[at].used) {
                Some(oldest) if blocks.len() == BLOCKS_CACHED => oldest,
                _ => {
                    blocks.push(CachedBlock::default());
                    blocks.len() - 1
                }
            };
            blocks[at].fill(part, offset, &header, unpacker)?;
            at
        }
    };
    blocks[at].used = now;
    Ok(at)
}

/// All pages of a book in the order in which they were written.
pub struct Pages<'a> {
    book: &'a mut Book,
    unpacker: Unpacker,
    part: usize,
    offset: u64,
    block: CachedBlock,
    next: usize,
}

impl Pages<'_> {
    fn read(&mut self) -> Result<Option<Page>, BookError> {
        loop {
            let Some(part) = self.book.parts.get(self.part) else {
                return Ok(None);
            };
            while self.next < self.block.pages.len() {
                let place = Place {
                    part: self.part as u16,
                    offset: self.block.offset as u32,
                    page: self.next as u16,
                };
                self.next += 1;
                let page = self.block.page(place.page).and_then(Page::decode);
                let page =
                    page.ok_or_else(|| part.damaged(self.block.offset, "a page cannot be read"))?;
                // One that was put again later is not the one that counts.
                let hash = self.book.key.hash(page.url.as_bytes());
                if self.book.table.probe(hash)? == Probe::Found([hash, place.to_word()]) {
                    return Ok(Some(page));
                }
            }
            match part
                .header(self.offset)?
                .filter(|header| header.kind == PAGES)
            {
                Some(header) => {
                    self.block
                        .fill(part, self.offset, &header, &mut self.unpacker)?;
                    self.offset += header.length();
                }
                None => {
                    self.part += 1;
                    self.offset = HEAD_BYTES;
                    self.block.pages.clear();
                }
            }
            self.next = 0;
        }
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Page, BookError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
