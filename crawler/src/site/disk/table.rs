//! A hash table in a file: open addressing, linear probing, slots of `WORDS`
//! 8-byte words. The first word is the hash (0: empty), the others belong to
//! it. At most [`PAGES_HELD`] pages of it are held in memory, and written back
//! when others need their place, so that a small table costs no system calls.
//!
//! The home of a hash is given by its top bits and probing never wraps: a few
//! spare slots follow the last home. So the slots of a table, taken cluster by
//! cluster, are in the order of their hashes, and a larger table, or one of
//! many sorted lists, is written from front to back in one pass.
//!
//! It is derived from other files and never synced.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::DiskError;

/// Slots read and written at once: at the load limit the place of a new hash
/// is 6 slots from its home on average, so that one page holds nearly all.
const PAGE_SLOTS: usize = 128;

/// Pages in memory, of 1 KiB a word: half a megabyte for hashes alone.
const PAGES_HELD: usize = 512;

/// A whole number of pages, so that none ends behind the file.
const _: () = assert!(
    SPARE.is_multiple_of(PAGE_SLOTS as u64)
        && (1_u64 << BITS_MIN).is_multiple_of(PAGE_SLOTS as u64)
);

/// Slots behind the last home, and the longest way from a home. Far beyond
/// what random hashes reach; where it is not enough the table grows.
const SPARE: u64 = 2048;

/// The smallest table has 2^12 homes.
const BITS_MIN: u32 = 12;

/// Above seven tenths probing gets long.
const LOAD_MAX: (u64, u64) = (7, 10);

/// A table with more homes for each hash than this does not grow: its hashes
/// crowd one place, which keyed ones never do.
const HOMES_MAX: u64 = 64;

/// Where a hash is, or would be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Probe<const WORDS: usize> {
    /// It is there, with these words.
    Found([u64; WORDS]),
    /// It is not there, and this slot is free for it.
    Free(u64),
    /// It is not there, and there is no room near its home.
    Crowded,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Table<const WORDS: usize> {
    file: File,
    path: PathBuf,
    bits: u32,
    used: u64,
    /// By their number, each in the one place that it may have.
    held: Vec<Option<Page<WORDS>>>,
}

/// A run of slots.
#[derive(Debug)]
struct Page<const WORDS: usize> {
    number: u64,
    slots: Box<[[u64; WORDS]]>,
    /// What is in the file is older.
    is_newer: bool,
}

impl<const WORDS: usize> Page<WORDS> {
    const BYTES: u64 = (PAGE_SLOTS * WORDS * 8) as u64;

    fn read(&mut self, file: &File, number: u64) -> io::Result<()> {
        let mut bytes = [[[0; 8]; WORDS]; PAGE_SLOTS];
        file.read_exact_at(
            bytes.as_flattened_mut().as_flattened_mut(),
            number * Self::BYTES,
        )?;
        for (slot, bytes) in self.slots.iter_mut().zip(bytes) {
            *slot = bytes.map(u64::from_le_bytes);
        }
        self.number = number;
        self.is_newer = false;
        Ok(())
    }

    fn write_back(&mut self, file: &File) -> io::Result<()> {
        if !self.is_newer {
            return Ok(());
        }
        let mut bytes = [[[0; 8]; WORDS]; PAGE_SLOTS];
        for (bytes, slot) in bytes.iter_mut().zip(&self.slots) {
            *bytes = slot.map(u64::to_le_bytes);
        }
        file.write_all_at(
            bytes.as_flattened().as_flattened(),
            self.number * Self::BYTES,
        )?;
        self.is_newer = false;
        Ok(())
    }
}

impl<const WORDS: usize> Table<WORDS> {
    const SLOT_BYTES: u64 = WORDS as u64 * 8;

    /// An empty table in a new file at `path`.
    pub(crate) fn create(path: &Path) -> Result<Self, DiskError> {
        SortedTable::create(path, 0)?.finish()
    }

    /// How many hashes it holds.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// The length of its file.
    pub(crate) fn bytes(&self) -> u64 {
        slots(self.bits) * Self::SLOT_BYTES
    }

    /// Looks for `hash`, which is not 0.
    pub(crate) fn probe(&mut self, hash: u64) -> Result<Probe<WORDS>, DiskError> {
        Ok(self.look(hash)?.1)
    }

    /// As [`probe`](Self::probe), with the slot.
    fn look(&mut self, hash: u64) -> Result<(u64, Probe<WORDS>), DiskError> {
        let home = home(hash, self.bits);
        let last = (home + SPARE).min(slots(self.bits));
        let mut at = home;
        while at < last {
            let first = (at % PAGE_SLOTS as u64) as usize;
            let page = self.page(at / PAGE_SLOTS as u64)?;
            for words in &page.slots[first..] {
                if words[0] == hash {
                    return Ok((at, Probe::Found(*words)));
                }
                if words[0] == 0 {
                    return Ok((at, Probe::Free(at)));
                }
                at += 1;
            }
        }
        Ok((last, Probe::Crowded))
    }

    /// A page of the table, from memory or from the file.
    fn page(&mut self, number: u64) -> Result<&mut Page<WORDS>, DiskError> {
        let Self {
            file, path, held, ..
        } = self;
        if held.is_empty() {
            held.resize_with(PAGES_HELD, || None);
        }
        let place = &mut held[(number % PAGES_HELD as u64) as usize];
        let page = place.get_or_insert_with(|| Page {
            number: u64::MAX,
            slots: vec![[0; WORDS]; PAGE_SLOTS].into_boxed_slice(),
            is_newer: false,
        });
        if page.number != number {
            page.write_back(file)
                .map_err(DiskError::of("write the hash table", path))?;
            // Should reading fail, it is no page.
            page.number = u64::MAX;
            page.read(file, number)
                .map_err(DiskError::of("read the hash table", path))?;
        }
        Ok(page)
    }

    /// The words of `hash`, if it is there.
    pub(crate) fn get(&mut self, hash: u64) -> Result<Option<[u64; WORDS]>, DiskError> {
        Ok(match self.probe(hash)? {
            Probe::Found(words) => Some(words),
            Probe::Free(_) | Probe::Crowded => None,
        })
    }

    /// Puts `words` in, in the place of those that their hash had before.
    pub(crate) fn put(&mut self, words: [u64; WORDS]) -> Result<(), DiskError> {
        if self.is_full() {
            self.grow()?;
        }
        loop {
            match self.look(words[0])? {
                (slot, Probe::Found(_)) => return self.write(slot, words),
                (_, Probe::Free(slot)) => return self.fill(slot, words),
                (_, Probe::Crowded) => self.grow()?,
            }
        }
    }

    /// Puts `words` into the slot that a probe for their hash found free.
    pub(crate) fn fill(&mut self, slot: u64, words: [u64; WORDS]) -> Result<(), DiskError> {
        self.write(slot, words)?;
        self.used += 1;
        Ok(())
    }

    fn write(&mut self, slot: u64, words: [u64; WORDS]) -> Result<(), DiskError> {
        let page = self.page(slot / PAGE_SLOTS as u64)?;
        page.slots[(slot % PAGE_SLOTS as u64) as usize] = words;
        page.is_newer = true;
        Ok(())
    }

    /// Whether one more would be too many for its size.
    pub(crate) fn is_full(&self) -> bool {
        self.used * LOAD_MAX.1 >= (1 << self.bits) * LOAD_MAX.0
    }

    /// Twice the homes, in a new file that takes the place of the old one.
    pub(crate) fn grow(&mut self) -> Result<(), DiskError> {
        if 1 << self.bits > self.used * HOMES_MAX {
            let crowd = io::Error::other("too many hashes share one place");
            return Err(DiskError::of("enlarge the hash table", &self.path)(crowd));
        }
        for page in self.held.iter_mut().flatten() {
            page.write_back(&self.file)
                .map_err(DiskError::of("write the hash table", &self.path))?;
        }
        let next = self.path.with_extension("grown");
        let mut grown = SortedTable::with_bits(&next, self.bits + 1)?;
        let mut cluster: Vec<[u64; WORDS]> = Vec::new();
        // 64 KiB at a time.
        let mut bytes = vec![[[0u8; 8]; WORDS]; 8192 / WORDS];
        let mut at = 0;
        while at < slots(self.bits) {
            let count = bytes.len().min((slots(self.bits) - at) as usize);
            self.file
                .read_exact_at(
                    bytes[..count].as_flattened_mut().as_flattened_mut(),
                    at * Self::SLOT_BYTES,
                )
                .map_err(DiskError::of("read the hash table", &self.path))?;
            for slot in &bytes[..count] {
                let words = slot.map(u64::from_le_bytes);
                if words[0] != 0 {
                    cluster.push(words);
                } else if !cluster.is_empty() {
                    drain_sorted(&mut cluster, &mut grown)?;
                }
            }
            at += count as u64;
        }
        drain_sorted(&mut cluster, &mut grown)?;
        let mut grown = grown.finish()?;
        fs::rename(&next, &self.path)
            .map_err(DiskError::of("put the larger hash table at", &self.path))?;
        grown.path.clone_from(&self.path);
        *self = grown;
        Ok(())
    }
}

fn drain_sorted<const WORDS: usize>(
    cluster: &mut Vec<[u64; WORDS]>,
    into: &mut SortedTable<WORDS>,
) -> Result<(), DiskError> {
    cluster.sort_unstable();
    cluster.drain(..).try_for_each(|words| into.push(words))
}

fn slots(bits: u32) -> u64 {
    (1 << bits) + SPARE
}

fn home(hash: u64, bits: u32) -> u64 {
    hash >> (64 - bits)
}

/// A table that is written from front to back, of hashes in ascending order.
#[derive(Debug)]
pub(crate) struct SortedTable<const WORDS: usize> {
    out: BufWriter<File>,
    path: PathBuf,
    bits: u32,
    used: u64,
    /// The first slot that is not written yet.
    at: u64,
}

impl<const WORDS: usize> SortedTable<WORDS> {
    /// A new file at `path` with room for `expected` hashes.
    pub(crate) fn create(path: &Path, expected: u64) -> Result<Self, DiskError> {
        let homes = expected.saturating_mul(LOAD_MAX.1) / LOAD_MAX.0 + 1;
        Self::with_bits(path, homes.next_power_of_two().ilog2().max(BITS_MIN))
    }

    fn with_bits(path: &Path, bits: u32) -> Result<Self, DiskError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(DiskError::of("make the hash table", path))?;
        let out = BufWriter::with_capacity(64 << 10, file);
        Ok(Self {
            out,
            path: path.to_owned(),
            bits,
            used: 0,
            at: 0,
        })
    }

    /// The next hash and its words. Of equal hashes the first one counts.
    pub(crate) fn push(&mut self, words: [u64; WORDS]) -> Result<(), DiskError> {
        let home = home(words[0], self.bits);
        let place = home.max(self.at);
        let empty = [[0u8; 8]; WORDS];
        let mut write = || {
            if place - home >= SPARE || place >= slots(self.bits) {
                return Err(io::Error::other("too many hashes share one place"));
            }
            for _ in self.at..place {
                self.out.write_all(empty.as_flattened())?;
            }
            self.out
                .write_all(words.map(u64::to_le_bytes).as_flattened())
        };
        write().map_err(DiskError::of("write the hash table", &self.path))?;
        self.at = place + 1;
        self.used += 1;
        Ok(())
    }

    /// The table.
    pub(crate) fn finish(self) -> Result<Table<WORDS>, DiskError> {
        let Self {
            out,
            path,
            bits,
            used,
            at: _,
        } = self;
        let end = || -> io::Result<File> {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.set_len(slots(bits) * Table::<WORDS>::SLOT_BYTES)?;
            Ok(file)
        };
        let file = end().map_err(DiskError::of("write the hash table", &path))?;
        Ok(Table {
            file,
            path,
            bits,
            used,
            held: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn a_table_holds_what_was_put_in_while_it_grows() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::<2>::create(&dir.path().join("t")).unwrap();
        let mut rng = SmallRng::seed_from_u64(1);
        let mut model = HashMap::new();
        for value in 0..20_000u64 {
            // A tenth of them crowd one place, as random hashes never do.
            let hash = if value % 10 == 0 {
                rng.random_range(1..1 << 52)
            } else {
                rng.random::<u64>().max(1)
            };
            if table.is_full() {
                table.grow().unwrap();
            }
            match table.probe(hash).unwrap() {
                Probe::Free(slot) => table.fill(slot, [hash, value]).unwrap(),
                Probe::Crowded => continue,
                Probe::Found(_) => panic!("{hash} twice"),
            }
            model.insert(hash, value);
        }
        assert_eq!(table.used(), model.len() as u64);
        for (&hash, &value) in &model {
            assert_eq!(table.probe(hash).unwrap(), Probe::Found([hash, value]));
        }
        for _ in 0..1000 {
            let hash = rng.random::<u64>().max(1);
            assert!(!matches!(table.probe(hash).unwrap(), Probe::Found(_)));
        }
    }

    #[test]
    fn put_replaces_and_hashes_that_were_made_to_crowd_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::<2>::create(&dir.path().join("t")).unwrap();
        let mut put = 0;
        let told = loop {
            // All have one home at any size.
            put += 1;
            if let Err(error) = table.put([put, put]) {
                break error;
            }
            table.put([put, put + 1]).unwrap();
            assert_eq!(table.get(put).unwrap(), Some([put, put + 1]));
        };
        assert_eq!(told.source.to_string(), "too many hashes share one place");
        assert_eq!((table.used(), put), (SPARE, SPARE + 1));
        assert!(table.bytes() < 8 << 20);
    }

    #[test]
    fn a_sorted_list_becomes_a_table_in_one_pass() {
        let dir = tempfile::tempdir().unwrap();
        let mut hashes: Vec<u64> = {
            let mut rng = SmallRng::seed_from_u64(2);
            (0..10_000).map(|_| rng.random::<u64>().max(1)).collect()
        };
        hashes.extend([1, 2, u64::MAX, u64::MAX - 1, u64::MAX - 2]);
        hashes.sort_unstable();
        let mut sorted =
            SortedTable::<1>::create(&dir.path().join("t"), hashes.len() as u64).unwrap();
        for &hash in &hashes {
            sorted.push([hash]).unwrap();
        }
        let mut table = sorted.finish().unwrap();
        for &hash in &hashes {
            assert_eq!(table.probe(hash).unwrap(), Probe::Found([hash]));
        }
    }
}
