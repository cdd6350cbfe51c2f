//! Bringing a pipe's rows back to what they were at an earlier version: the
//! compensating changes, as one commit like any other.
//!
//! Rows whose content is as it was then are not touched. The others come back
//! whole, with `first_seen`, `updated` and `run` as they were. Where a row
//! still has the image link that it had then, what is known of the image by now
//! stays with it; else the image state of then comes back, and whoever restores
//! sees to it that the stored images of that time are still there.
//!
//! Rows and pictures that nobody is shown today are not shown when they come
//! back, whatever was decided then.
//!
//! Which version that is, and what becomes of validators, is not decided here.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray, UInt32Array};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use futures::stream::StreamExt;
use serde_json::json;
use trawler_core::judge::{Deletes, Examples};
use trawler_core::withheld::Policy;
use trawler_core::{PipeId, RunId, RunSeq};

use crate::catalogue::{Catalogue, Snapshot};
use crate::diff::{PreparedCommit, Work, WriteId, Writer, total};
use crate::error::{CatalogueError, Result};
use crate::log::entry;
use crate::merge::{Aligned, Changed, Op, Rule, push_delete, push_keep};
use crate::not_shown::{NotShown, Withdrawal};
use crate::plan::{Plan, Segment};
use crate::schema::{ID, IMAGE_COLUMNS, IMAGE_LINK, ROW_HASH, WITHHELD, table_schema};
use crate::sort::{SortLimits, Sorter};
use crate::sorted::SortedRows;
use crate::table::reader::{OpenFile, Pages};
use crate::withhold;
use crate::work::off_reactor;

/// Log entries read at a time on the way back.
const ENTRIES_A_READ: i64 = 256;

/// What bringing the rows back changes, before anything is written.
pub struct Restoring {
    /// Rows that come back.
    pub inserts: u64,
    /// Rows that become what they were.
    pub updates: u64,
    /// Rows that were not there then.
    pub deletes: u64,
    /// Rows of the pipe now, and then.
    pub live_rows: u64,
    pub then_rows: u64,
    /// A few ids of each kind of change.
    pub examples: Examples,
    base: Snapshot,
    then: Snapshot,
    pipe: PipeId,
    rows: Arc<SortedRows>,
    segments: Arc<Vec<Segment>>,
}

impl Restoring {
    pub fn is_unchanged(&self) -> bool {
        self.inserts + self.updates + self.deletes == 0
    }

    /// The version that the rows are compared with, and brought back from.
    pub fn then_version(&self) -> i64 {
        self.then.version()
    }
}

impl Catalogue {
    /// The table as it was when `run` was the last run of its pipe that had
    /// landed: its content is what the run left, and its images are what was
    /// known of them by the end. `next` is the version of the run after it,
    /// where that is known; else the log is gone back through.
    pub async fn as_left_by(&self, run: &RunId, next: Option<i64>) -> Result<Option<Snapshot>> {
        let app = run.pipe.as_str();
        let is_it = |snapshot: &Snapshot| snapshot.txn(app) == Some(run.seq.0);
        if let Some(next) = next.filter(|next| *next > 0) {
            let before = self.snapshot_at(next - 1).await?;
            if is_it(&before) {
                return Ok(Some(before));
            }
        }
        match self.last_of(run).await? {
            Some(version) => Ok(Some(self.snapshot_at(version).await?).filter(is_it)),
            None => Ok(None),
        }
    }

    /// The last version before a later run of the pipe landed.
    async fn last_of(&self, run: &RunId) -> Result<Option<i64>> {
        let mut last = self.refresh().await?.version;
        let mut to = last;
        while to >= 0 {
            let from = (to - ENTRIES_A_READ + 1).max(0);
            let entries = entry::read_range(&self.store, from..=to).await?;
            for entry in entries.iter().rev() {
                let txns = entry.summary().txns.into_iter();
                for (_, seq) in txns.filter(|(app, _)| app == run.pipe.as_str()) {
                    match RunSeq(seq).cmp(&run.seq) {
                        std::cmp::Ordering::Greater => last = entry.version - 1,
                        std::cmp::Ordering::Equal => return Ok(Some(last)),
                        std::cmp::Ordering::Less => return Ok(None),
                    }
                }
            }
            to = from - 1;
        }
        Ok(None)
    }

    /// Compares the pipe's rows of `base` with those of `then`, which are
    /// copied to a folder of their own within `scratch`. Memory does not grow
    /// with the pipe.
    pub async fn compare(
        &self,
        base: &Snapshot,
        then: &Snapshot,
        pipe: &PipeId,
        scratch: &Path,
        limits: SortLimits,
    ) -> Result<Restoring> {
        let rows = Arc::new(self.rows_of(then, pipe, scratch, limits).await?);
        let rule: Arc<dyn Rule> = Arc::new(RestoreRule::default());
        let Plan { segments, passed } = self.plan(base, pipe, &rows, rule).await?;
        let counts = total(&segments);
        Ok(Restoring {
            inserts: counts.inserts,
            updates: counts.updates,
            deletes: counts.deletes,
            live_rows: base.live_rows(pipe),
            then_rows: then.live_rows(pipe),
            examples: passed.examples,
            base: base.clone(),
            then: then.clone(),
            pipe: pipe.clone(),
            rows,
            segments: Arc::new(segments),
        })
    }

    async fn rows_of(
        &self,
        then: &Snapshot,
        pipe: &PipeId,
        scratch: &Path,
        limits: SortLimits,
    ) -> Result<SortedRows> {
        let files = then.files(pipe)?;
        let store = Arc::clone(&self.store);
        let mut sorter = Sorter::new(table_schema(), scratch, limits)?;
        off_reactor(&self.threads, move |cancelled| async move {
            for file in files.iter() {
                let open = OpenFile::open(&store, &file.file, Pages::Skipped).await?;
                let mut batches = open.scan(&table_schema(), None)?;
                while let Some(rows) = batches.next().await {
                    cancelled.check()?;
                    sorter.push(rows?)?;
                }
            }
            sorter.finish(table_schema(), Ok)
        })
        .await
    }

    /// Writes the files of a restore; `run` is its own id. What is withheld has
    /// to be asked after the rows were compared.
    pub async fn bring_back(
        &self,
        restoring: &Restoring,
        run: &RunId,
        not_shown: NotShown,
    ) -> Result<PreparedCommit> {
        let write_id = &WriteId::once(&run.seq.to_string())?;
        let rule = RestoreRule {
            withheld: not_shown.products,
            withdrawal: Withdrawal {
                pictures: not_shown.pictures,
                at: self.clock.now(),
            },
        };
        let work = Work {
            base: &restoring.base,
            pipe: &restoring.pipe,
            incoming: &restoring.rows,
            segments: &restoring.segments,
            rule: Arc::new(rule),
            deletes: Deletes::Apply,
        };
        // Named as a run: ids that it deletes are looked for when they return.
        let files = self.rewrite(work, "run", write_id).await?;
        let metrics = json!({
            "numInsertedRows": restoring.inserts.to_string(),
            "numUpdatedRows": restoring.updates.to_string(),
            "numDeletedRows": restoring.deletes.to_string(),
            "restoredVersion": restoring.then.version().to_string(),
        });
        let writer = Writer {
            pipe: &restoring.pipe,
            kind: "run",
            operation: "RESTORE",
            written_by: run.to_string(),
            write_id,
        };
        Ok(writer.prepared(&restoring.base, files, metrics))
    }
}

/// Rows of then against rows of now.
#[derive(Default)]
struct RestoreRule {
    withheld: Policy,
    withdrawal: Withdrawal,
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch
        .column_by_name(name)
        .expect("batches are read with the columns that the rule names")
}

/// Of the two batches that image columns are picked from.
const NOW: usize = 0;
const THEN: usize = 1;

/// Where the image state of each row comes from.
fn image_sources(
    stored: &RecordBatch,
    incoming: &RecordBatch,
    changed: &[Changed],
) -> Vec<(usize, usize)> {
    let now: &StringArray = column(stored, IMAGE_LINK).as_string();
    let then: &StringArray = column(incoming, IMAGE_LINK).as_string();
    let link =
        |links: &StringArray, row: usize| links.is_valid(row).then(|| links.value(row).to_owned());
    let source = |row: &Changed| match row.stored {
        Some(at) if link(now, at) == link(then, row.incoming) => (NOW, at),
        Some(_) | None => (THEN, row.incoming),
    };
    changed.iter().map(source).collect()
}

impl Rule for RestoreRule {
    fn stored_columns(&self) -> &[&'static str] {
        &[ID, ROW_HASH]
    }

    fn incoming_columns(&self) -> Option<&[&'static str]> {
        Some(&[ID, ROW_HASH])
    }

    fn absence_matters(&self) -> bool {
        true
    }

    fn decide(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<Vec<Op>> {
        let now: &BinaryArray = column(stored, ROW_HASH).as_binary();
        let then: &BinaryArray = column(incoming, ROW_HASH).as_binary();
        let mut ops = Vec::with_capacity(aligned.len());
        for aligned in aligned {
            match *aligned {
                Aligned::Stored { from, len } => push_delete(&mut ops, from, len),
                Aligned::Incoming { at } => ops.push(Op::Insert { incoming: at }),
                Aligned::Both { stored, incoming } => {
                    match now.value(stored) == then.value(incoming) {
                        true => push_keep(&mut ops, stored, 1),
                        false => ops.push(Op::Update { stored, incoming }),
                    }
                }
            }
        }
        Ok(ops)
    }

    fn build(
        &self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        changed: &[Changed],
    ) -> Result<RecordBatch> {
        let images = image_sources(stored, incoming, changed);
        let rows: UInt32Array = changed.iter().map(|row| row.incoming as u32).collect();
        let built = CatalogueError::arrow("build restored rows");
        let ids = take(column(incoming, ID), &rows, None).map_err(built)?;
        let columns: Result<Vec<ArrayRef>> = table_schema()
            .fields()
            .iter()
            .map(|field| {
                let name = field.name().as_str();
                if name == WITHHELD {
                    return Ok(withhold::column(&self.withheld, ids.as_string()));
                }
                let built = match IMAGE_COLUMNS.contains(&name) {
                    true => {
                        let sources = [
                            column(stored, name).as_ref(),
                            column(incoming, name).as_ref(),
                        ];
                        interleave(&sources, &images)
                    }
                    false => take(column(incoming, name), &rows, None),
                };
                built.map_err(CatalogueError::arrow("build restored rows"))
            })
            .collect();
        let rows = RecordBatch::try_new(table_schema(), columns?)
            .map_err(CatalogueError::arrow("build restored rows"))?;
        self.withdrawal.take_out(rows)
    }

    fn withholds(&self) -> bool {
        self.withheld.withholds_any()
    }
}
