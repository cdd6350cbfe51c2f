//! The steps of a run and of a fold up to the commit: compare, then write
//! files. Nothing that is written here is seen before [`crate::commit`] names
//! it in the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use trawler_core::image::ImageStatus;
use trawler_core::{PipeId, RunId};
use twox_hash::XxHash3_128;

use crate::catalogue::{Catalogue, Snapshot};
use crate::content::{ContentRule, Mode, RowStamp};
use crate::error::{CatalogueError, Result};
use crate::images::ImageRule;
use crate::log::state::DataFile;
use crate::merge::Rule;
use crate::not_shown::{NotShown, Withdrawal};
use crate::plan::{Counts, Passed, Plan, Segment, groups, plan};
use crate::returning::Returning;
use crate::rewrite::{Rewrite, Rewritten};
use crate::sorted::SortedRows;
use crate::staging::{RowsHold, Staged, StagedImages};
use crate::table::writer::WrittenFile;
use crate::work::off_reactor;
use trawler_core::judge::{Deletes, Examples, PriceMoves};
use trawler_core::withheld::Policy;

/// Longest write id; with pipe and counter a file name stays below the 255
/// bytes that file systems allow.
const WRITE_ID_CHARS_MAX: usize = 80;

/// Names one delivery of a run or fold: whoever does the same delivery again
/// uses the same id, and nobody else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteId(String);

impl WriteId {
    pub fn parse(text: &str) -> Result<Self> {
        let ok = (1..=WRITE_ID_CHARS_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(CatalogueError::BadWriteId(text.to_owned()))
        }
    }

    /// The write id of one delivery of a run.
    pub fn of_run(run: &RunId, delivery_epoch: u64) -> Self {
        Self(format!("{}-{delivery_epoch}", run.seq))
    }

    /// Of work that no delivery numbers, so that two may do it side by side, by
    /// other settings even: neither writes over a file of the other.
    pub fn once(work: &str) -> Result<Self> {
        // Seeded by the operating system.
        let random = RandomState::new().hash_one(0_u64);
        Self::parse(&format!("{work}-{random:016x}"))
    }
}

/// Who writes, and the instant that new and changed rows carry.
#[derive(Debug, Clone)]
pub struct RunStamp {
    pub run: RunId,
    pub write_id: WriteId,
    /// Whether the pipe's images are collected.
    pub collects_images: bool,
}

/// Who folds, and the instant that changed image state carries.
#[derive(Debug, Clone)]
pub struct FoldStamp {
    pub at: DateTime<Utc>,
    pub write_id: WriteId,
}

/// What a run changes, before anything is written. Hold it against `max_drop`,
/// then [`Catalogue::write`] it.
pub struct Diff {
    pub inserts: u64,
    pub updates: u64,
    /// Stored rows that are gone, by absence or by explicit deletion.
    pub deletes: u64,
    pub unchanged: u64,
    /// Live rows of the base snapshot.
    pub live_rows: u64,
    /// Stored rows that came in again just as they are.
    pub same: u64,
    /// A few ids of each kind of change.
    pub examples: Examples,
    /// Rows of a summary that are older than the stored ones, and ignored.
    pub stale: u64,
    /// Rows of ids that are not stored and that hold too little for a product.
    pub refused: u64,
    /// The first of them.
    pub refused_ids: Vec<String>,
    pub(crate) base: Snapshot,
    pub(crate) pipe: PipeId,
    mode: Mode,
    hold: RowsHold,
    /// Ids that may have been here before; empty where there are too many.
    inserted: Vec<String>,
    incoming: Arc<SortedRows>,
    segments: Arc<Vec<Segment>>,
}

impl Diff {
    pub fn is_unchanged(&self) -> bool {
        self.inserts + self.updates + self.deletes == 0
    }

    pub fn base_version(&self) -> i64 {
        self.base.version()
    }
}

/// Files that are written and wait for [`Catalogue::commit`]. Cheap to keep
/// and to commit again after a conflict of another kind.
#[derive(Debug)]
pub struct PreparedCommit {
    pub(crate) pipe: PipeId,
    pub(crate) base_version: i64,
    /// Known again after a lost response.
    pub(crate) token: String,
    pub(crate) operation: &'static str,
    pub(crate) written_by: String,
    pub(crate) metrics: Map<String, Value>,
    pub(crate) files: Rewritten,
}

impl PreparedCommit {
    /// Whether the commit names any file.
    pub fn writes_data(&self) -> bool {
        !(self.files.added.is_empty() && self.files.removed.is_empty())
    }

    pub fn pipe(&self) -> &PipeId {
        &self.pipe
    }

    pub fn rows_written(&self) -> u64 {
        self.files
            .added
            .iter()
            .map(|file| file.stats.num_records)
            .sum()
    }

    /// How prices move where rows change.
    pub fn price_moves(&self) -> &PriceMoves {
        &self.files.moves
    }

    /// Paths of the files that it would name.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.written().map(|file| file.path.as_str())
    }

    fn written(&self) -> impl Iterator<Item = &WrittenFile> {
        let files = &self.files;
        let files = [&files.added, &files.changes, &files.untold];
        files.into_iter().flatten()
    }

    pub fn bytes_written(&self) -> u64 {
        self.written().map(|file| file.size).sum()
    }
}

impl Catalogue {
    /// Compares staged rows with the stored ones of the pipe. Reads ids and
    /// hashes only, and whole rows where staged ones hold only what changed;
    /// memory does not grow with the pipe.
    pub async fn diff(
        &self,
        base: &Snapshot,
        pipe: &PipeId,
        staged: &Staged,
        mode: Mode,
    ) -> Result<Diff> {
        let rule = Arc::new(ContentRule {
            mode,
            hold: staged.hold,
            stamp: None,
            returning: Returning::nothing(),
            withheld: Policy::default(),
            withdrawal: Withdrawal::default(),
        });
        let incoming = Arc::clone(&staged.rows);
        let Plan {
            segments,
            mut passed,
        } = self.plan(base, pipe, &incoming, rule).await?;
        let inserted = passed.few_inserted();
        let Passed {
            stale,
            refused,
            refused_ids,
            examples,
            ..
        } = passed;
        let counts = total(&segments);
        let live_rows = base.live_rows(pipe);
        let explicit = match mode {
            Mode::Full => 0,
            Mode::Summary => counts.deletes,
        };
        Ok(Diff {
            inserts: counts.inserts,
            updates: counts.updates,
            deletes: counts.deletes,
            unchanged: live_rows - counts.updates - counts.deletes,
            live_rows,
            same: counts.met.saturating_sub(counts.updates + explicit + stale),
            examples,
            stale,
            refused,
            refused_ids,
            base: base.clone(),
            pipe: pipe.clone(),
            mode,
            hold: staged.hold,
            inserted,
            incoming,
            segments: Arc::new(segments),
        })
    }

    pub(crate) async fn plan(
        &self,
        base: &Snapshot,
        pipe: &PipeId,
        incoming: &Arc<SortedRows>,
        rule: Arc<dyn Rule>,
    ) -> Result<Plan> {
        let files = base.files(pipe)?;
        let store = Arc::clone(&self.store);
        let incoming = Arc::clone(incoming);
        off_reactor(&self.threads, move |cancelled| async move {
            plan(&store, &files, &incoming, &*rule, &cancelled).await
        })
        .await
    }

    /// Writes the files of a run. New rows, and rows whose image link changed,
    /// become `pending`, or `not_collected`; the others keep their image state,
    /// and so do ids that come back soon. Held deletes keep their rows.
    pub async fn write(
        &self,
        diff: &Diff,
        stamp: &RunStamp,
        deletes: Deletes,
    ) -> Result<PreparedCommit> {
        self.write_withholding(diff, stamp, deletes, NotShown::default())
            .await
    }

    /// As [`Catalogue::write`], where some rows or pictures are not shown. What is
    /// withheld has to be asked after the snapshot was taken that was compared
    /// with.
    pub async fn write_withholding(
        &self,
        diff: &Diff,
        stamp: &RunStamp,
        deletes: Deletes,
        not_shown: NotShown,
    ) -> Result<PreparedCommit> {
        let run = stamp.run.to_string();
        // A first run has nothing that could come back.
        let returning = match diff.base.txn(diff.pipe.as_str()) {
            Some(_) => {
                let inserted = &diff.inserted;
                self.returning(&diff.pipe, stamp.run.seq, inserted).await?
            }
            None => Returning::nothing(),
        };
        let rule = ContentRule {
            returning,
            withheld: not_shown.products,
            withdrawal: Withdrawal {
                pictures: not_shown.pictures,
                at: self.clock.now(),
            },
            mode: diff.mode,
            hold: diff.hold,
            stamp: Some(RowStamp {
                run: run.clone(),
                due: stamp.run.due(),
                fresh: match stamp.collects_images {
                    true => ImageStatus::Pending,
                    false => ImageStatus::NotCollected,
                },
            }),
        };
        let work = Work {
            base: &diff.base,
            pipe: &diff.pipe,
            incoming: &diff.incoming,
            segments: &diff.segments,
            rule: Arc::new(rule),
            deletes,
        };
        let files = self.rewrite(work, "run", &stamp.write_id).await?;
        let held = match deletes {
            Deletes::Apply => 0,
            Deletes::Hold => diff.deletes,
        };
        let metrics = json!({
            "numInsertedRows": diff.inserts.to_string(),
            "numUpdatedRows": diff.updates.to_string(),
            "numDeletedRows": (diff.deletes - held).to_string(),
            "numHeldRows": held.to_string(),
        });
        let writer = Writer {
            pipe: &diff.pipe,
            kind: "run",
            operation: "MERGE",
            written_by: run,
            write_id: &stamp.write_id,
        };
        Ok(writer.prepared(&diff.base, files, metrics))
    }

    /// Writes the files of a fold; `None` when no row changes.
    pub async fn fold_images(
        &self,
        base: &Snapshot,
        pipe: &PipeId,
        results: &StagedImages,
        stamp: &FoldStamp,
    ) -> Result<Option<PreparedCommit>> {
        let rule: Arc<dyn Rule> = Arc::new(ImageRule { at: stamp.at });
        let Plan { segments, .. } = self
            .plan(base, pipe, &results.rows, Arc::clone(&rule))
            .await?;
        let counts = total(&segments);
        if counts.updates == 0 {
            return Ok(None);
        }
        let segments = Arc::new(segments);
        let work = Work {
            base,
            pipe,
            incoming: &results.rows,
            segments: &segments,
            rule,
            deletes: Deletes::Hold,
        };
        let files = self.rewrite(work, "fold", &stamp.write_id).await?;
        let metrics = json!({ "numUpdatedRows": counts.updates.to_string() });
        let writer = Writer {
            pipe,
            kind: "fold",
            operation: "UPDATE",
            written_by: format!("{pipe}#images"),
            write_id: &stamp.write_id,
        };
        Ok(Some(writer.prepared(base, files, metrics)))
    }

    pub(crate) async fn rewrite(
        &self,
        work: Work<'_>,
        kind: &str,
        write_id: &WriteId,
    ) -> Result<Rewritten> {
        let groups = groups(work.segments, work.deletes, self.options.file_rows);
        if groups.is_empty() {
            return Ok(Rewritten::default());
        }
        let base = fingerprint(&work.base.files(work.pipe)?);
        let rewrite = Rewrite {
            store: Arc::clone(&self.store),
            shape: self.shape(),
            file_rows: self.options.file_rows.max(1),
            rule: work.rule,
            incoming: Arc::clone(work.incoming),
            deletes: work.deletes,
            pipe: work.pipe.to_string(),
            // The base is part of the name: should the same delivery start
            // from newer rows, it must not write over files that an earlier
            // commit of it may have named.
            name: format!("{kind}-{}-{base}", write_id.0),
        };
        let segments = Arc::clone(work.segments);
        off_reactor(&self.threads, move |cancelled| async move {
            rewrite.run(&segments, &groups, &cancelled).await
        })
        .await
    }
}

/// Puts together what the commit needs besides the files.
pub(crate) struct Writer<'a> {
    pub(crate) pipe: &'a PipeId,
    pub(crate) kind: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) written_by: String,
    pub(crate) write_id: &'a WriteId,
}

impl Writer<'_> {
    pub(crate) fn prepared(
        self,
        base: &Snapshot,
        files: Rewritten,
        metrics: Value,
    ) -> PreparedCommit {
        let mut metrics = metrics.as_object().cloned().unwrap_or_default();
        let number = |count: usize| Value::from(count.to_string());
        metrics.insert("numAddedFiles".to_owned(), number(files.added.len()));
        metrics.insert("numRemovedFiles".to_owned(), number(files.removed.len()));
        metrics.insert(
            "numAddedChangeFiles".to_owned(),
            number(files.changes.len()),
        );
        PreparedCommit {
            pipe: self.pipe.clone(),
            base_version: base.version(),
            token: format!("{}/{}/{}", self.pipe, self.kind, self.write_id.0),
            operation: self.operation,
            written_by: self.written_by,
            metrics,
            files,
        }
    }
}

pub(crate) struct Work<'a> {
    pub(crate) base: &'a Snapshot,
    pub(crate) pipe: &'a PipeId,
    pub(crate) incoming: &'a Arc<SortedRows>,
    pub(crate) segments: &'a Arc<Vec<Segment>>,
    pub(crate) rule: Arc<dyn Rule>,
    pub(crate) deletes: Deletes,
}

pub(crate) fn total(segments: &[Segment]) -> Counts {
    segments
        .iter()
        .fold(Counts::default(), |sum, segment| Counts {
            inserts: sum.inserts + segment.counts.inserts,
            updates: sum.updates + segment.counts.updates,
            deletes: sum.deletes + segment.counts.deletes,
            met: sum.met + segment.counts.met,
        })
}

/// Eight hex digits that stand for the live files of a pipe.
fn fingerprint(files: &[Arc<DataFile>]) -> String {
    let mut names = String::new();
    for file in files {
        names.push_str(&file.add.path);
        names.push('\n');
    }
    hex::encode(&XxHash3_128::oneshot(names.as_bytes()).to_be_bytes()[..4])
}
