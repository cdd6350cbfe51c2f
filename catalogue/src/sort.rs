//! External sort by id: rows in any order and any number go in, one sorted
//! file with one row an id comes out, in bounded memory.
//!
//! The last row pushed for an id wins, unless all of them are to be kept in
//! order of arrival, for somebody who lays them over one another. Buffered rows are sorted and spilled to
//! scratch files; spills are merged at most `fan_in` at a time, in several
//! rounds when there are more. Everything here blocks: call it from a thread
//! that may.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, StringArray};
use arrow_ipc::reader::FileReader;
use arrow_schema::SchemaRef;
use tempfile::TempDir;

use crate::error::{CatalogueError, Result};
use crate::pick;
use crate::sorted::{SortedRows, SortedWriter, ids, next_batch, open_reader};

/// Longest product id in bytes. Ids are file boundaries and are kept whole in
/// statistics; both feed specifications allow 50 characters.
pub const ID_BYTES_MAX: usize = 512;

/// Size that a sorted batch aims at: with `fan_in` of them open a merge stays
/// at tens of megabytes.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ROWS_MIN: usize = 64;
const BATCH_ROWS_MAX: usize = 8192;

/// Bounds of one sort.
#[derive(Debug, Clone, Copy)]
pub struct SortLimits {
    /// Rows held before they are spilled; the peak is a little over this.
    pub buffer_bytes: usize,
    /// Spills merged at a time, each with a batch of about 1 MiB in memory.
    pub fan_in: usize,
}

impl Default for SortLimits {
    fn default() -> Self {
        Self {
            buffer_bytes: 64 << 20,
            fan_in: 32,
        }
    }
}

/// Adds what the sorted file has beyond the pushed columns.
pub(crate) type Finish = fn(RecordBatch) -> Result<RecordBatch>;

/// What becomes of several rows of one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameId {
    LastWins,
    /// All stay, neighbours in order of arrival.
    AllStay,
}

pub(crate) struct Sorter {
    same_id: SameId,
    schema: SchemaRef,
    scratch: TempDir,
    limits: SortLimits,
    buffer: Vec<RecordBatch>,
    buffered_bytes: usize,
    spills: Vec<PathBuf>,
    files_made: u32,
    rows_in: u64,
    duplicates: u64,
}

impl Sorter {
    pub(crate) fn new(schema: SchemaRef, scratch: &Path, limits: SortLimits) -> Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("staged-")
            .tempdir_in(scratch)
            .map_err(CatalogueError::scratch("create a folder", scratch))?;
        Ok(Self {
            same_id: SameId::LastWins,
            schema,
            scratch,
            limits: SortLimits {
                buffer_bytes: limits.buffer_bytes,
                fan_in: limits.fan_in.max(2),
            },
            buffer: Vec::new(),
            buffered_bytes: 0,
            spills: Vec::new(),
            files_made: 0,
            rows_in: 0,
            duplicates: 0,
        })
    }

    pub(crate) fn keeping_all(mut self) -> Self {
        self.same_id = SameId::AllStay;
        self
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.check_ids(&batch)?;
        self.rows_in += batch.num_rows() as u64;
        self.buffered_bytes += batch.get_array_memory_size();
        self.buffer.push(batch);
        if self.buffered_bytes >= self.limits.buffer_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn check_ids(&self, batch: &RecordBatch) -> Result<()> {
        for (at, id) in ids(batch).iter().enumerate() {
            let reason = match id {
                None => "it is null".to_owned(),
                Some("") => "it is empty".to_owned(),
                Some(id) if id.len() > ID_BYTES_MAX => {
                    format!("it has {} bytes; at most {ID_BYTES_MAX} are kept", id.len())
                }
                Some(_) => continue,
            };
            let row = self.rows_in + at as u64;
            return Err(CatalogueError::BadId { row, reason });
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let path = self.next_path();
        let schema = Arc::clone(&self.schema);
        self.duplicates += self.write_buffer(&path, &schema, Ok)?;
        self.buffer.clear();
        self.buffered_bytes = 0;
        self.spills.push(path);
        Ok(())
    }

    fn next_path(&mut self) -> PathBuf {
        self.files_made += 1;
        self.scratch
            .path()
            .join(format!("{:05}.arrow", self.files_made))
    }

    /// Sorts what is buffered into a file and says how many rows lost to a
    /// later one of the same id.
    fn write_buffer(
        &self,
        path: &Path,
        schema: &SchemaRef,
        finish: impl Fn(RecordBatch) -> Result<RecordBatch>,
    ) -> Result<u64> {
        let order = sorted_order(&self.buffer, self.same_id);
        let rows: usize = self.buffer.iter().map(RecordBatch::num_rows).sum();
        let batches: Vec<&RecordBatch> = self.buffer.iter().collect();
        let mut out = SortedWriter::create(path, schema)?;
        for picks in order.chunks(batch_rows(self.buffered_bytes, rows)) {
            let batch = pick::rows(&batches, picks)?;
            out.write(&finish(batch)?)?;
        }
        out.close()?;
        Ok((rows - order.len()) as u64)
    }

    /// Merges everything into one sorted file of `schema`.
    pub(crate) fn finish(mut self, schema: SchemaRef, finish: Finish) -> Result<SortedRows> {
        let path = self.next_path();
        if self.spills.is_empty() {
            self.duplicates += self.write_buffer(&path, &schema, finish)?;
        } else {
            if !self.buffer.is_empty() {
                self.spill()?;
            }
            while self.spills.len() > self.limits.fan_in {
                self.merge_round()?;
            }
            let spills = std::mem::take(&mut self.spills);
            self.duplicates += merge(&spills, &path, &schema, self.same_id, finish)?;
            remove(&spills)?;
        }
        self.buffer.clear();
        SortedRows::open(path, schema, self.duplicates, self.scratch)
    }

    /// Merges neighbouring spills into fewer; order of arrival is kept.
    fn merge_round(&mut self) -> Result<()> {
        let spills = std::mem::take(&mut self.spills);
        for group in spills.chunks(self.limits.fan_in) {
            let path = self.next_path();
            let schema = Arc::clone(&self.schema);
            self.duplicates += merge(group, &path, &schema, self.same_id, Ok)?;
            remove(group)?;
            self.spills.push(path);
        }
        Ok(())
    }
}

fn remove(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        std::fs::remove_file(path).map_err(CatalogueError::scratch("remove a file", path))?;
    }
    Ok(())
}

fn batch_rows(bytes: usize, rows: usize) -> usize {
    let row_bytes = (bytes / rows.max(1)).max(1);
    (BATCH_BYTES / row_bytes).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX)
}

/// The first eight bytes of an id as a number in the order of the bytes;
/// most comparisons end there.
fn prefix(id: &[u8]) -> u64 {
    let mut head = [0_u8; 8];
    let len = id.len().min(8);
    head[..len].copy_from_slice(&id[..len]);
    u64::from_be_bytes(head)
}

/// Places (batch, row) of the winning rows in order of id.
fn sorted_order(batches: &[RecordBatch], same_id: SameId) -> Vec<(usize, usize)> {
    let columns: Vec<&StringArray> = batches.iter().map(ids).collect();
    let id = |at: &(u64, u32, u32)| columns[at.1 as usize].value(at.2 as usize);
    let mut order: Vec<(u64, u32, u32)> = Vec::new();
    for (batch, column) in columns.iter().enumerate() {
        order.extend((0..column.len()).map(|row| {
            let key = prefix(column.value(row).as_bytes());
            // A buffer holds far fewer than 2^32 batches or rows.
            (key, batch as u32, row as u32)
        }));
    }
    order.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0)
            .then_with(|| id(a).cmp(id(b)))
            .then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
    });
    if same_id == SameId::AllStay {
        let places = order.iter().map(|at| (at.1 as usize, at.2 as usize));
        return places.collect();
    }
    let mut winners = Vec::with_capacity(order.len());
    for (at, place) in order.iter().enumerate() {
        let lost = order
            .get(at + 1)
            .is_some_and(|next| next.0 == place.0 && id(next) == id(place));
        if !lost {
            winners.push((place.1 as usize, place.2 as usize));
        }
    }
    winners
}

/// Where a merge stands in one spill.
struct Spill {
    reader: FileReader<BufReader<File>>,
    batch: RecordBatch,
    row: usize,
    /// Place of `batch` among the batches of the pending output.
    slot: Option<usize>,
}

impl Spill {
    fn open(path: &Path) -> Result<Option<Self>> {
        let mut reader = open_reader(path, None)?;
        let Some(batch) = next_batch(&mut reader)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            reader,
            batch,
            row: 0,
            slot: None,
        }))
    }

    fn id(&self) -> &str {
        ids(&self.batch).value(self.row)
    }

    /// Goes to the next row; false at the end.
    fn advance(&mut self) -> Result<bool> {
        self.row += 1;
        if self.row < self.batch.num_rows() {
            return Ok(true);
        }
        let Some(batch) = next_batch(&mut self.reader)? else {
            return Ok(false);
        };
        self.batch = batch;
        self.row = 0;
        self.slot = None;
        Ok(true)
    }
}

/// Heap entry; the smallest id comes first and of equal ids the highest rank.
#[derive(PartialEq, Eq)]
struct Head {
    prefix: u64,
    id: Box<str>,
    spill: usize,
    rank: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.prefix, &other.id)
            .cmp(&(self.prefix, &self.id))
            .then(self.rank.cmp(&other.rank))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Output of a merge that is not built yet: picks from borrowed batches.
struct Pending<'a> {
    out: SortedWriter,
    finish: &'a dyn Fn(RecordBatch) -> Result<RecordBatch>,
    batches: Vec<RecordBatch>,
    picks: Vec<(usize, usize)>,
    rows: usize,
}

impl Pending<'_> {
    fn pick(&mut self, spill: &mut Spill) {
        let slot = *spill.slot.get_or_insert_with(|| {
            self.batches.push(spill.batch.clone());
            self.batches.len() - 1
        });
        self.picks.push((slot, spill.row));
    }

    fn is_full(&self) -> bool {
        self.picks.len() >= self.rows
    }

    fn flush(&mut self, spills: &mut [Option<Spill>]) -> Result<()> {
        if !self.picks.is_empty() {
            let batches: Vec<&RecordBatch> = self.batches.iter().collect();
            let batch = pick::rows(&batches, &self.picks)?;
            self.out.write(&(self.finish)(batch)?)?;
        }
        self.picks.clear();
        self.batches.clear();
        for spill in spills.iter_mut().flatten() {
            spill.slot = None;
        }
        Ok(())
    }
}

/// Merges sorted files, later ones winning; returns how many rows lost.
fn merge(
    paths: &[PathBuf],
    to: &Path,
    schema: &SchemaRef,
    same_id: SameId,
    finish: impl Fn(RecordBatch) -> Result<RecordBatch>,
) -> Result<u64> {
    let mut spills: Vec<Option<Spill>> = paths
        .iter()
        .map(|path| Spill::open(path))
        .collect::<Result<_>>()?;
    let rows = spills
        .iter()
        .flatten()
        .map(|spill| spill.batch.num_rows())
        .max()
        .unwrap_or(BATCH_ROWS_MAX);
    let mut heap: BinaryHeap<Head> = BinaryHeap::with_capacity(spills.len());
    for (at, spill) in spills.iter().enumerate() {
        if let Some(spill) = spill {
            heap.push(head(spill, at, same_id));
        }
    }
    let mut pending = Pending {
        out: SortedWriter::create(to, schema)?,
        finish: &finish,
        batches: Vec::new(),
        picks: Vec::with_capacity(rows),
        rows,
    };
    let mut duplicates = 0;
    let mut last: Option<Box<str>> = None;
    while let Some(top) = heap.pop() {
        let at = top.spill;
        let mut spill = spills[at].take().expect("a spill in the heap is open");
        if same_id == SameId::LastWins && last.as_deref() == Some(&*top.id) {
            duplicates += 1;
        } else {
            pending.pick(&mut spill);
        }
        last = Some(top.id);
        if spill.advance()? {
            heap.push(head(&spill, at, same_id));
            spills[at] = Some(spill);
        }
        if pending.is_full() {
            pending.flush(&mut spills)?;
        }
    }
    pending.flush(&mut spills)?;
    pending.out.close()?;
    Ok(duplicates)
}

/// The newest spill comes first where one row wins, the oldest where all stay.
fn head(spill: &Spill, at: usize, same_id: SameId) -> Head {
    Head {
        prefix: prefix(spill.id().as_bytes()),
        id: spill.id().into(),
        spill: at,
        rank: match same_id {
            SameId::LastWins => at,
            SameId::AllStay => usize::MAX - at,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use std::ops::Range;

    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_schema::{DataType, Field, Schema};
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::schema::ID;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(ID, DataType::Utf8, false),
            Field::new("value", DataType::Int64, true),
        ]))
    }

    fn batch(rows: &[(String, i64)]) -> RecordBatch {
        let ids = StringArray::from_iter_values(rows.iter().map(|row| &row.0));
        let values = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(values)]).unwrap()
    }

    fn read_all(sorted: &SortedRows, range: Range<u64>) -> Vec<(String, i64)> {
        let mut reader = sorted.read(range, None).unwrap();
        let mut rows = Vec::new();
        while let Some((batch, from)) = reader.current().unwrap() {
            let values = batch
                .column(1)
                .as_primitive::<arrow_array::types::Int64Type>();
            let taken = batch.num_rows() - from;
            for row in from..batch.num_rows() {
                rows.push((ids(batch).value(row).to_owned(), values.value(row)));
            }
            reader.advance(taken);
        }
        rows
    }

    #[test]
    fn any_order_comes_out_sorted_and_the_last_row_of_an_id_wins() {
        let check = |seed: u64, buffer_bytes: usize, fan_in: usize| {
            let scratch = tempfile::tempdir().unwrap();
            let limits = SortLimits {
                buffer_bytes,
                fan_in,
            };
            let mut random = SmallRng::seed_from_u64(seed);
            let mut sorter = Sorter::new(schema(), scratch.path(), limits).unwrap();
            let mut model = BTreeMap::new();
            let mut pushed = 0;
            for _ in 0..60 {
                let rows: Vec<(String, i64)> = (0..random.random_range(1..50))
                    .map(|_| {
                        let id = format!("{}", random.random_range(0..900));
                        (id, random.random())
                    })
                    .collect();
                pushed += rows.len();
                model.extend(rows.iter().cloned());
                sorter.push(batch(&rows)).unwrap();
            }
            let sorted = sorter.finish(schema(), Ok).unwrap();
            let expected: Vec<(String, i64)> = model.into_iter().collect();
            assert_eq!(sorted.rows(), expected.len() as u64, "seed {seed}");
            assert_eq!(sorted.duplicates, (pushed - expected.len()) as u64);
            assert_eq!(read_all(&sorted, 0..u64::MAX), expected, "seed {seed}");
            let middle = expected.len() / 3..expected.len() / 2;
            let range = middle.start as u64..middle.end as u64;
            assert_eq!(read_all(&sorted, range), expected[middle], "seed {seed}");
        };
        check(1, usize::MAX, 2);
        check(2, 2_000, 2);
        check(3, 1, 3);
        check(4, 5_000, 64);
    }

    #[test]
    fn nothing_pushed_is_no_rows() {
        let scratch = tempfile::tempdir().unwrap();
        let sorter = Sorter::new(schema(), scratch.path(), SortLimits::default()).unwrap();
        let sorted = sorter.finish(schema(), Ok).unwrap();
        assert_eq!(sorted.rows(), 0);
        assert_eq!(read_all(&sorted, 0..u64::MAX), []);
    }

    #[test]
    fn scratch_files_leave_with_the_rows() {
        let scratch = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(schema(), scratch.path(), SortLimits::default()).unwrap();
        sorter.push(batch(&[("a".to_owned(), 1)])).unwrap();
        drop(sorter.finish(schema(), Ok).unwrap());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn ids_that_cannot_be_kept_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(schema(), scratch.path(), SortLimits::default()).unwrap();
        let long = "x".repeat(ID_BYTES_MAX + 1);
        for id in ["", long.as_str()] {
            let error = sorter.push(batch(&[("ok".to_owned(), 1), (id.to_owned(), 2)]));
            assert!(matches!(error, Err(CatalogueError::BadId { row: 1, .. })));
        }
    }
}
