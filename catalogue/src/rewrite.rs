//! Writes the groups of a plan: new data files, and change files that hold
//! every insert, delete, pre- and post-image.
//!
//! Of rows that nobody is shown readers hear nothing. What becomes of them is
//! written down all the same, in untold files: whoever looks for a product that
//! comes back, or for pictures of past days, finds what went there.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use object_store::ObjectStore;

use crate::error::{CatalogueError, Result};
use crate::log::state::DataFile;
use crate::merge::{Aligned, Changed, Op, Rule, Sink, merge};
use crate::pick;
use crate::plan::{Group, Segment};
use crate::schema::{change_schema, table_schema};
use crate::sorted::{SortedRows, ids};
use crate::table::reader::{OpenFile, Pages};
use crate::table::writer::{FileShape, TableFile, WrittenFile};
use crate::withhold::{is_shown, reasons};
use crate::work::Cancelled;
use trawler_core::judge::{Deletes, PriceMoves};

/// Kinds of change, in the words of the Delta change feed.
pub(crate) const INSERT: &str = "insert";
pub(crate) const DELETE: &str = "delete";
pub(crate) const PREIMAGE: &str = "update_preimage";
pub(crate) const POSTIMAGE: &str = "update_postimage";

/// At the end of the names of untold files, before their number.
pub(crate) const UNTOLD_NAME: &str = "-untold";

/// The column that prices are compared in.
const PRICE: &str = "price_minor";

/// Below this many rows a run on average, rows are picked one by one.
const ROWS_A_RUN: usize = 4;

/// Everything that a rewrite needs to know.
pub(crate) struct Rewrite {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) shape: FileShape,
    pub(crate) file_rows: u64,
    pub(crate) rule: Arc<dyn Rule>,
    pub(crate) incoming: Arc<SortedRows>,
    pub(crate) deletes: Deletes,
    pub(crate) pipe: String,
    /// Start of the names of files; the same for the same work.
    pub(crate) name: String,
}

/// What was written and what it takes the place of.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    pub(crate) added: Vec<WrittenFile>,
    pub(crate) changes: Vec<WrittenFile>,
    /// Rows that went or changed and that readers do not hear of, as they were.
    pub(crate) untold: Vec<WrittenFile>,
    pub(crate) removed: Vec<Arc<DataFile>>,
    pub(crate) moves: PriceMoves,
}

impl Rewrite {
    pub(crate) async fn run(
        &self,
        segments: &[Segment],
        groups: &[Group],
        cancelled: &Cancelled,
    ) -> Result<Rewritten> {
        let touched = groups
            .iter()
            .flat_map(|group| &segments[group.segments.clone()]);
        let removed: Vec<Arc<DataFile>> =
            touched.filter_map(|segment| segment.file.clone()).collect();
        // Readers take the rows of added files as inserts where a commit has
        // no change files, and that is all that happens if nothing is removed,
        // and nothing is withheld.
        let says_changes = !removed.is_empty() || self.rule.withholds();
        let name = format!("_change_data/pipe={}/{}", self.pipe, self.name);
        let changes =
            says_changes.then(|| RowsOut::new(self, change_schema(), name.clone(), self.file_rows));
        let untold = self.rule.replaces_pictures().then(|| {
            let name = format!("{name}{UNTOLD_NAME}");
            RowsOut::new(self, change_schema(), name, self.file_rows)
        });
        let name = format!("pipe={}/{}", self.pipe, self.name);
        let mut writing = Writing {
            rule: &*self.rule,
            deletes: self.deletes,
            rows: RowsOut::new(self, table_schema(), name, 0),
            changes,
            untold,
            moves: PriceMoves::default(),
        };
        for group in groups {
            writing.rows.rows_per_file = group.rows_per_file(self.file_rows);
            for segment in &segments[group.segments.clone()] {
                self.segment(segment, &mut writing, cancelled).await?;
            }
            writing.rows.end_file().await?;
        }
        Ok(Rewritten {
            added: writing.rows.written,
            changes: match writing.changes {
                Some(mut changes) => {
                    // One without rows says that nothing is to be heard.
                    changes.end_or_empty_file().await?;
                    changes.written
                }
                None => Vec::new(),
            },
            untold: match writing.untold {
                Some(mut untold) => {
                    untold.end_file().await?;
                    untold.written
                }
                None => Vec::new(),
            },
            removed,
            moves: writing.moves,
        })
    }

    async fn segment(
        &self,
        segment: &Segment,
        writing: &mut Writing<'_>,
        cancelled: &Cancelled,
    ) -> Result<()> {
        let open = match &segment.file {
            Some(file) => Some(OpenFile::open(&self.store, &file.file, Pages::Skipped).await?),
            None => None,
        };
        let mut incoming = self.incoming.read(segment.incoming.clone(), None)?;
        let columns = table_schema();
        merge(
            open.as_ref(),
            &columns,
            &mut incoming,
            None,
            cancelled,
            writing,
        )
        .await
    }
}

struct Writing<'a> {
    rule: &'a dyn Rule,
    deletes: Deletes,
    rows: RowsOut,
    changes: Option<RowsOut>,
    untold: Option<RowsOut>,
    moves: PriceMoves,
}

/// How prices move where rows change.
fn note_prices(
    stored: &RecordBatch,
    changed: &RecordBatch,
    rows: &[Changed],
    moves: &mut PriceMoves,
) {
    fn prices(batch: &RecordBatch) -> Option<&Int64Array> {
        batch.column_by_name(PRICE)?.as_primitive_opt::<Int64Type>()
    }
    let (Some(before), Some(after)) = (prices(stored), prices(changed)) else {
        return;
    };
    for (at, row) in rows.iter().enumerate() {
        if let Some(row) = row.stored
            && before.is_valid(row)
            && after.is_valid(at)
        {
            moves.note(ids(stored).value(row), before.value(row), after.value(at));
        }
    }
}

/// Rows of the two batches that outputs are picked from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Stored,
    Changed,
}

/// A run of rows of one batch.
type Run = (From, Range<usize>);

/// What readers may have to be told of, in the order of the rows.
enum News {
    /// A new or changed row, by its place among those.
    Renewed(usize),
    /// Stored rows that are gone.
    Gone(Range<usize>),
}

#[derive(Default)]
struct Picks {
    rows: Vec<Run>,
    news: Vec<News>,
    changed: Vec<Changed>,
}

/// Rows of a change file, and what each of them says.
#[derive(Default)]
struct Said {
    rows: Vec<Run>,
    kinds: Vec<&'static str>,
}

impl Said {
    fn say(&mut self, from: From, row: usize, kind: &'static str) {
        self.kinds.push(kind);
        self.rows.push((from, row..row + 1));
    }

    async fn write(
        &self,
        stored: &RecordBatch,
        changed: &RecordBatch,
        out: &mut RowsOut,
    ) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = gather(stored, changed, &self.rows)?;
        let mut columns = rows.columns().to_vec();
        let kinds: ArrayRef = Arc::new(StringArray::from_iter_values(&self.kinds));
        columns.push(kinds);
        let rows = RecordBatch::try_new(change_schema(), columns)
            .map_err(CatalogueError::arrow("build change rows"))?;
        out.write(&rows).await
    }
}

/// What there is to say of a piece.
#[derive(Default)]
struct Sayings {
    told: Said,
    untold: Said,
}

impl Picks {
    fn keep(&mut self, from: usize, len: usize) {
        match self.rows.last_mut() {
            Some((From::Stored, run)) if run.end == from => run.end += len,
            _ => self.rows.push((From::Stored, from..from + len)),
        }
    }

    fn renew(&mut self, stored: Option<usize>, incoming: usize) {
        let at = self.changed.len();
        self.changed.push(Changed { incoming, stored });
        match self.rows.last_mut() {
            Some((From::Changed, run)) if run.end == at => run.end += 1,
            _ => self.rows.push((From::Changed, at..at + 1)),
        }
        self.news.push(News::Renewed(at));
    }

    /// What readers hear: a row that nobody was shown is not gone, and one that
    /// nobody is shown has not come. What such a row was is said to nobody.
    fn said(&self, stored: &RecordBatch, changed: &RecordBatch) -> Sayings {
        let (before, after) = (reasons(stored), reasons(changed));
        let Sayings {
            mut told,
            mut untold,
        } = Sayings::default();
        for news in &self.news {
            let at = match news {
                News::Renewed(at) => *at,
                News::Gone(rows) => {
                    for row in rows.clone() {
                        let said = match is_shown(before, row) {
                            true => &mut told,
                            false => &mut untold,
                        };
                        said.say(From::Stored, row, DELETE);
                    }
                    continue;
                }
            };
            let was = self.changed[at].stored;
            let shown = was.filter(|row| is_shown(before, *row));
            if let (Some(row), None) = (was, shown) {
                untold.say(From::Stored, row, PREIMAGE);
            }
            match (shown, is_shown(after, at)) {
                (Some(row), true) => {
                    told.say(From::Stored, row, PREIMAGE);
                    told.say(From::Changed, at, POSTIMAGE);
                }
                (Some(row), false) => told.say(From::Stored, row, DELETE),
                (None, true) => told.say(From::Changed, at, INSERT),
                (None, false) => {}
            }
        }
        Sayings { told, untold }
    }
}

impl Sink for Writing<'_> {
    async fn take(
        &mut self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<()> {
        let mut picks = Picks::default();
        for op in self.rule.decide(stored, incoming, aligned)? {
            match op {
                Op::Keep { from, len } => picks.keep(from, len),
                Op::Stale { stored } => picks.keep(stored, 1),
                Op::Refuse { .. } => {}
                Op::Insert { incoming } => picks.renew(None, incoming),
                Op::Update { stored, incoming } => picks.renew(Some(stored), incoming),
                Op::Delete { from, len } => match self.deletes {
                    Deletes::Hold => picks.keep(from, len),
                    Deletes::Apply => picks.news.push(News::Gone(from..from + len)),
                },
            }
        }
        let changed = if picks.changed.is_empty() {
            RecordBatch::new_empty(table_schema())
        } else {
            self.rule.build(stored, incoming, &picks.changed)?
        };
        note_prices(stored, &changed, &picks.changed, &mut self.moves);
        if !picks.rows.is_empty() {
            let rows = gather(stored, &changed, &picks.rows)?;
            self.rows.write(&rows).await?;
        }
        let Some(changes) = &mut self.changes else {
            return Ok(());
        };
        let said = picks.said(stored, &changed);
        said.told.write(stored, &changed, changes).await?;
        if let Some(untold) = &mut self.untold {
            said.untold.write(stored, &changed, untold).await?;
        }
        Ok(())
    }
}

/// Puts runs of rows of two batches together.
fn gather(stored: &RecordBatch, changed: &RecordBatch, runs: &[Run]) -> Result<RecordBatch> {
    let of = |from: From| match from {
        From::Stored => stored,
        From::Changed => changed,
    };
    if let [(from, run)] = runs {
        return Ok(of(*from).slice(run.start, run.len()));
    }
    let rows: usize = runs.iter().map(|(_, run)| run.len()).sum();
    let batches = [stored, changed];
    let number = |from: &From| usize::from(*from == From::Changed);
    if rows < runs.len() * ROWS_A_RUN {
        let picks: Vec<(usize, usize)> = runs
            .iter()
            .flat_map(|(from, run)| run.clone().map(move |row| (number(from), row)))
            .collect();
        pick::rows(&batches, &picks)
    } else {
        let runs: Vec<(usize, Range<usize>)> = runs
            .iter()
            .map(|(from, run)| (number(from), run.clone()))
            .collect();
        pick::runs(&batches, &runs)
    }
}

/// Rows going to numbered files.
struct RowsOut {
    store: Arc<dyn ObjectStore>,
    shape: FileShape,
    schema: SchemaRef,
    name: String,
    rows_per_file: u64,
    current: Option<TableFile>,
    written: Vec<WrittenFile>,
}

impl RowsOut {
    fn new(rewrite: &Rewrite, schema: SchemaRef, name: String, rows_per_file: u64) -> Self {
        Self {
            store: Arc::clone(&rewrite.store),
            shape: rewrite.shape,
            schema,
            name,
            rows_per_file,
            current: None,
            written: Vec::new(),
        }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            if self.current.is_none() {
                self.begin_file()?;
            }
            let file = self.current.as_mut().expect("begun just now");
            let space = self.rows_per_file.saturating_sub(file.rows());
            let space = usize::try_from(space).unwrap_or(usize::MAX);
            let rows = (batch.num_rows() - from).min(space);
            file.write(&batch.slice(from, rows)).await?;
            from += rows;
            if file.rows() >= self.rows_per_file {
                self.end_file().await?;
            }
        }
        Ok(())
    }

    async fn end_or_empty_file(&mut self) -> Result<()> {
        if self.current.is_none() && self.written.is_empty() {
            self.begin_file()?;
        }
        self.end_file().await
    }

    fn begin_file(&mut self) -> Result<&mut TableFile> {
        let path = format!("{}-{:05}.parquet", self.name, self.written.len());
        let file = TableFile::create(&self.store, path, &self.schema, self.shape)?;
        Ok(self.current.insert(file))
    }

    async fn end_file(&mut self) -> Result<()> {
        if let Some(file) = self.current.take() {
            self.written.push(file.close().await?);
        }
        Ok(())
    }
}
