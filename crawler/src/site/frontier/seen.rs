//! The seen-set: which keys were met before, as 64-bit hashes.
//!
//! On disk as a [`Table`] of 8-byte slots, 16 MiB for a million (the example
//! `frontier` prints it). In front of
//! it a direct-mapped cache of the hashes met last: the navigation of a shop
//! is on each of its pages, so that nearly all links of a page are answered
//! without the disk.

use std::path::Path;

use super::super::disk::{DiskError, Probe, Table};

/// 1 MiB of hashes: far more than the navigation of any shop, and little
/// enough to stay in the processor's last cache.
const CACHE_SLOTS: usize = 1 << 17;

/// The set.
pub(super) struct SeenSet {
    table: Table<1>,
    cache: Box<[u64]>,
}

/// The place of a hash that is not in the set. Good until the set changes.
pub(super) struct Vacant {
    hash: u64,
    slot: u64,
}

impl SeenSet {
    /// Its file in the folder of a frontier.
    pub(super) const FILE_NAME: &str = "seen";

    pub(super) fn create(path: &Path) -> Result<Self, DiskError> {
        Ok(Self {
            table: Table::create(path)?,
            cache: vec![0; CACHE_SLOTS].into_boxed_slice(),
        })
    }

    /// How many hashes it holds.
    pub(super) fn len(&self) -> u64 {
        self.table.used()
    }

    /// What it takes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.table.bytes()
    }

    /// The place for `hash`, or `None` if it is in the set.
    pub(super) fn vacancy(&mut self, hash: u64) -> Result<Option<Vacant>, DiskError> {
        if self.cache[hash as usize % CACHE_SLOTS] == hash {
            return Ok(None);
        }
        if self.table.is_full() {
            self.table.grow()?;
        }
        loop {
            match self.table.probe(hash)? {
                Probe::Found(_) => {
                    self.cache[hash as usize % CACHE_SLOTS] = hash;
                    return Ok(None);
                }
                Probe::Free(slot) => return Ok(Some(Vacant { hash, slot })),
                // Ends at once: a crowd that outlives a doubling or two would
                // have to be made, and the hashes are keyed.
                Probe::Crowded => self.table.grow()?,
            }
        }
    }

    /// Puts a hash at the place that was found for it.
    pub(super) fn fill(&mut self, vacant: Vacant) -> Result<(), DiskError> {
        self.table.fill(vacant.slot, [vacant.hash])?;
        self.cache[vacant.hash as usize % CACHE_SLOTS] = vacant.hash;
        Ok(())
    }
}
