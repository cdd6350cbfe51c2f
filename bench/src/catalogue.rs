//! The catalogue: days of one pipe staged, compared, written and committed on
//! local disk, then pages of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arrow_array::RecordBatch;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use trawler_catalogue::{
    Catalogue, CatalogueOptions, CommitOutcome, Deletes, Diff, Fence, Mode, RunStamp, SortLimits,
    Staged, Staging, Txn, WriteId, local_store, rows_as_json,
};
use trawler_core::{PipeId, RunId};
use trawler_crawler::feed::{RowSink, SinkError};
use trawler_local::SystemClock;

use crate::feed::read_into;
use crate::measure::{Memory, Took, Watch, median};

/// Rows of a page, as search indexers ask for them.
const PAGE_ROWS: usize = 1_000;
/// Pages timed in a run, spread over the pipe.
const PAGES: usize = 20;
/// 2 March 2026, 00:00 UTC: when the first run is due.
const FIRST_DUE_S: i64 = 1_772_409_600;
const DAY_S: i64 = 86_400;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CatalogueMeasured {
    pub(crate) rows: u64,
    pub(crate) first_load: DayMeasured,
    pub(crate) changed: DayMeasured,
    pub(crate) unchanged: DayMeasured,
    pub(crate) page: PageMeasured,
}

/// A day of the pipe; times are medians of the runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DayMeasured {
    /// Rows of the day that were inserted or updated.
    pub(crate) changes: u64,
    /// Bytes of data and change files.
    pub(crate) bytes_written: u64,
    /// Sorting the rows of the feed by id.
    pub(crate) stage: Took,
    /// Comparing, writing and committing.
    pub(crate) commit: Took,
    /// With the feed parser, which hands the rows over.
    pub(crate) peak_bytes: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PageMeasured {
    pub(crate) rows: u64,
    /// One page with all columns, as Arrow.
    pub(crate) arrow: Took,
    /// The same, made into JSON objects.
    pub(crate) json: Took,
    pub(crate) peak_bytes: Option<u64>,
}

pub(crate) fn measure(
    days: &[PathBuf; 2],
    scratch: &Path,
    rows: u32,
    runs: u32,
) -> Result<CatalogueMeasured> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(measure_days(days, scratch, rows, runs))
}

async fn measure_days(
    days: &[PathBuf; 2],
    scratch: &Path,
    rows: u32,
    runs: u32,
) -> Result<CatalogueMeasured> {
    let memory = Memory::start();
    let mut loads = Vec::new();
    let mut table = Table::create(scratch).await?;
    for run in 0..=runs {
        if run > 0 {
            table = Table::create(scratch).await?;
        }
        loads.push(table.day(&days[0], &memory).await?);
    }
    // Each of the two days differs from the other by the same rows.
    let mut changed = Vec::new();
    let mut day = 0;
    for _ in 0..=runs {
        day = 1 - day;
        changed.push(table.day(&days[day], &memory).await?);
    }
    let mut unchanged = Vec::new();
    for _ in 0..=runs {
        unchanged.push(table.day(&days[day], &memory).await?);
    }
    let measured = CatalogueMeasured {
        rows: u64::from(rows),
        first_load: of_runs(&loads),
        changed: of_runs(&changed),
        unchanged: of_runs(&unchanged),
        page: table.pages(&memory, runs).await?,
    };
    let changes = [&measured.first_load, &measured.changed, &measured.unchanged];
    let found = changes.map(|day| day.changes);
    ensure!(
        found[0] == u64::from(rows) && found[1] > 0 && found[1] < found[0] && found[2] == 0,
        "expected {rows} inserts, some updates and no change, found {found:?}"
    );
    Ok(measured)
}

/// Medians without the first run, which warms up.
fn of_runs(runs: &[DayMeasured]) -> DayMeasured {
    let last = runs.last().expect("there is at least the warm-up");
    let times = |of: fn(&DayMeasured) -> Took| {
        let counted: Vec<Took> = runs.iter().skip(1).map(of).collect();
        median(&counted)
    };
    DayMeasured {
        changes: last.changes,
        bytes_written: last.bytes_written,
        stage: times(|day| day.stage),
        commit: times(|day| day.commit),
        peak_bytes: runs.iter().filter_map(|day| day.peak_bytes).max(),
    }
}

/// A catalogue with one pipe, in a folder of its own.
struct Table {
    _folder: TempDir,
    scratch: PathBuf,
    catalogue: Catalogue,
    pipe: PipeId,
    days: i64,
}

impl Table {
    async fn create(scratch: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(scratch).context("make a folder for the table")?;
        let store = local_store(folder.path())?;
        let clock = Arc::new(SystemClock::new());
        let options = CatalogueOptions::default();
        Ok(Self {
            catalogue: Catalogue::open_or_create(store, options, clock).await?,
            _folder: folder,
            scratch: scratch.to_owned(),
            pipe: PipeId::parse("bench")?,
            days: 0,
        })
    }

    /// Stages a feed and brings it into the catalogue.
    async fn day(&mut self, feed: &Path, memory: &Memory) -> Result<DayMeasured> {
        memory.forget_peak();
        let (staged, stage) = self.stage(feed)?;
        let due = DateTime::from_timestamp(FIRST_DUE_S + self.days * DAY_S, 0);
        let run = RunId::new(self.pipe.clone(), due.context("the day is out of range")?);
        self.days += 1;
        let watch = Watch::start();
        let (diff, bytes_written) = self.commit(&staged, run).await?;
        Ok(DayMeasured {
            changes: diff.inserts + diff.updates,
            bytes_written,
            stage,
            commit: watch.took(),
            peak_bytes: memory.peak_bytes(),
        })
    }

    fn stage(&self, feed: &Path) -> Result<(Staged, Took)> {
        let file = File::open(feed).with_context(|| format!("open {}", feed.display()))?;
        let mut stage = Timed {
            staging: Staging::new(&self.scratch, SortLimits::default())?,
            took: Took::default(),
        };
        let outcome = read_into(&mut stage, file)?;
        ensure!(outcome.complete, "the feed was not read to its end");
        let watch = Watch::start();
        let staged = stage.staging.finish()?;
        stage.took += watch.took();
        Ok((staged, stage.took))
    }

    async fn commit(&self, staged: &Staged, run: RunId) -> Result<(Diff, u64)> {
        let base = self.catalogue.snapshot().await?;
        let diff = self
            .catalogue
            .diff(&base, &self.pipe, staged, Mode::Full)
            .await?;
        let txn = Txn {
            app_id: self.pipe.to_string(),
            version: run.seq.0,
        };
        let write_id = WriteId::of_run(&run, 1);
        let stamp = RunStamp {
            run,
            write_id,
            collects_images: true,
        };
        let prepared = self.catalogue.write(&diff, &stamp, Deletes::Apply).await?;
        let outcome = self
            .catalogue
            .commit(&prepared, &txn, &Fence::open())
            .await?;
        ensure!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            "the commit ended as {outcome:?}"
        );
        Ok((diff, prepared.bytes_written()))
    }

    /// Reads pages from all over the pipe.
    async fn pages(&self, memory: &Memory, runs: u32) -> Result<PageMeasured> {
        let starts = self.starts().await?;
        let (mut arrow, mut json) = (Vec::new(), Vec::new());
        memory.forget_peak();
        let mut rows = 0;
        for run in 0..=runs {
            for after in &starts {
                let (both, only_arrow) = (Watch::start(), Watch::start());
                let snapshot = self.catalogue.snapshot().await?;
                let page = self
                    .catalogue
                    .products(&snapshot, &self.pipe, after.as_deref(), PAGE_ROWS, None)
                    .await?;
                let read = only_arrow.took();
                rows = rows_as_json(&page.rows).len() as u64;
                ensure!(rows == PAGE_ROWS as u64, "a page has {rows} rows");
                if run > 0 {
                    arrow.push(read);
                    json.push(both.took());
                }
            }
        }
        Ok(PageMeasured {
            rows,
            arrow: median(&arrow),
            json: median(&json),
            peak_bytes: memory.peak_bytes(),
        })
    }

    /// Ids to start pages after, the beginning first.
    async fn starts(&self) -> Result<Vec<Option<String>>> {
        let snapshot = self.catalogue.snapshot().await?;
        let pages = usize::try_from(snapshot.live_rows(&self.pipe))? / PAGE_ROWS;
        let mut starts = vec![None];
        let mut after: Option<String> = None;
        // The last page may be short and is left out.
        for page in 1..pages {
            let found = self
                .catalogue
                .products(
                    &snapshot,
                    &self.pipe,
                    after.as_deref(),
                    PAGE_ROWS,
                    Some(&[]),
                )
                .await?;
            after = found.next;
            if page.is_multiple_of(pages.div_ceil(PAGES)) {
                starts.push(after.clone());
            }
        }
        Ok(starts)
    }
}

/// Stages rows and takes the time of that alone.
struct Timed {
    staging: Staging,
    took: Took,
}

impl RowSink for Timed {
    fn upsert(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        let watch = Watch::start();
        self.staging.push(rows)?;
        self.took += watch.took();
        Ok(())
    }

    fn delete(&mut self, _: Vec<trawler_catalogue::Deleted>) -> Result<(), SinkError> {
        Err("a full feed deletes nothing".into())
    }
}
