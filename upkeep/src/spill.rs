//! Records of one size, parted by the first byte of what they are about: any
//! number goes in, a 256th of them comes out at a time.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use trawler_core::removal::shard_of;
use trawler_fleet::HeldFolder;

/// Parts, one for each byte.
pub(crate) const PARTS: usize = 256;

/// Buffered of each part while it is written: 4 MiB in all.
const BUFFER_BYTES: usize = 16 << 10;

/// The part of an image's key.
pub(crate) fn part_of(key: &str) -> Option<u8> {
    u8::from_str_radix(shard_of(key)?, 16).ok()
}

pub(crate) struct Spill<const N: usize> {
    folder: TempDir,
    held: HeldFolder,
    parts: Vec<Option<BufWriter<File>>>,
}

impl<const N: usize> Spill<N> {
    /// In a folder of its own; those that a killed process left are removed.
    pub(crate) fn new(scratch: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(scratch)?;
        HeldFolder::sweep(scratch);
        let folder = tempfile::Builder::new()
            .prefix("upkeep-")
            .tempdir_in(scratch)?;
        Ok(Self {
            held: HeldFolder::make(folder.path().to_owned())?,
            folder,
            parts: (0..PARTS).map(|_| None).collect(),
        })
    }

    pub(crate) fn push(&mut self, part: u8, record: &[u8; N]) -> io::Result<()> {
        let writer = match &mut self.parts[usize::from(part)] {
            Some(writer) => writer,
            none => {
                let file = File::create(path_of(&self.folder, part))?;
                none.insert(BufWriter::with_capacity(BUFFER_BYTES, file))
            }
        };
        writer.write_all(record)
    }

    pub(crate) fn finish(mut self) -> io::Result<Spilled<N>> {
        let mut parts = self.parts.iter_mut().flatten();
        parts.try_for_each(Write::flush)?;
        Ok(Spilled {
            folder: self.folder,
            _held: self.held,
        })
    }
}

fn path_of(folder: &TempDir, part: u8) -> PathBuf {
    folder.path().join(format!("{part:02x}"))
}

/// Everything that was spilled; gone when dropped.
pub(crate) struct Spilled<const N: usize> {
    folder: TempDir,
    _held: HeldFolder,
}

impl<const N: usize> Spilled<N> {
    /// A name that was drawn at random.
    pub(crate) fn name(&self) -> String {
        let name = self.folder.path().file_name();
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Gives every record of the part to `take`, in the order of arrival.
    pub(crate) fn read(&self, part: u8, mut take: impl FnMut(&[u8; N])) -> io::Result<()> {
        let file = match File::open(path_of(&self.folder, part)) {
            Ok(file) => file,
            // Nothing is about it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut records = BufReader::with_capacity(1 << 20, file);
        let mut record = [0; N];
        loop {
            match records.read_exact(&mut record) {
                Ok(()) => take(&record),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Values of which each is kept once, in as much memory as the distinct ones
/// take and a bound.
#[derive(Default)]
pub(crate) struct Distinct<T> {
    values: Vec<T>,
    sorted: usize,
}

/// Values that are added before they are sorted in.
const UNSORTED_MAX: usize = 4 << 20;

impl<T: Ord> Distinct<T> {
    pub(crate) fn push(&mut self, value: T) {
        self.values.push(value);
        if self.values.len() >= self.sorted + UNSORTED_MAX {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.values.sort_unstable();
        self.values.dedup();
        self.sorted = self.values.len();
    }

    /// In order.
    pub(crate) fn finish(mut self) -> Vec<T> {
        self.sort();
        self.values
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_by_the_next() {
        let scratch = tempfile::tempdir().unwrap();
        let left = scratch.path().join("upkeep-killed");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("0a"), [0; 8]).unwrap();
        let first = Spill::<8>::new(scratch.path()).unwrap();
        let second = Spill::<8>::new(scratch.path()).unwrap();
        assert!(!left.exists());
        assert!(first.held.path().exists() && second.held.path().exists());
        drop((first, second));
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn records_come_back_by_part_and_once() {
        let scratch = tempfile::tempdir().unwrap();
        let mut spill = Spill::<8>::new(scratch.path()).unwrap();
        for n in 0_u64..10_000 {
            let value = n % 1_000;
            spill.push((value % 3) as u8, &value.to_be_bytes()).unwrap();
        }
        let spilled = spill.finish().unwrap();
        for part in 0..4 {
            let mut distinct = Distinct::default();
            spilled
                .read(part, |record| distinct.push(u64::from_be_bytes(*record)))
                .unwrap();
            let expected: Vec<u64> = (0..1_000)
                .filter(|value| value % 3 == u64::from(part))
                .collect();
            assert_eq!(distinct.finish(), expected);
        }
        drop(spilled);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn keys_of_images_have_a_part() {
        assert_eq!(part_of("images/ff/ffab/t-1.jpg"), Some(255));
        assert_eq!(part_of("results/ff/x"), None);
    }
}
