//! The catalogue: one Delta table in an object store, opened, created and kept
//! up with. What is done with it lies in the modules beside this one.

use std::collections::VecDeque;
use std::path::Path as FsPath;
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};
use trawler_core::PipeId;
use trawler_core::ports::Clock;
use twox_hash::XxHash3_128;

use crate::commit::STORE_FAILURES_MAX;
use crate::error::{CatalogueError, Result};
use crate::log::action::{Format, Line, Metadata, Protocol, Texts};
use crate::log::checkpoint;
use crate::log::delta_schema::{self, SchemaFit};
use crate::log::entry::{self, Entry, Summary};
use crate::log::state::{PipeFiles, TableState, Tombstones};
use crate::schema::{PIPE, STATS_COLUMNS};
use crate::table::writer::FileShape;

/// Commits remembered for the conflict check; older ones are read again.
const RECENT_COMMITS: usize = 1_024;

/// Attempts to create or extend the table when others do so too.
const CREATE_ATTEMPTS: u32 = 10;

/// What can be set of a catalogue.
#[derive(Debug, Clone)]
pub struct CatalogueOptions {
    /// Rows that a data file aims at; files hold up to one and a half times
    /// as many. At a kilobyte a row a file then has some tens of megabytes.
    pub file_rows: u64,
    /// Rows of a row group, the unit that is held while writing.
    pub row_group_rows: usize,
    /// A checkpoint is written every so many commits.
    pub checkpoint_every: i64,
    /// Puts of one log entry before giving up. The last of 64 writers that
    /// start together loses 63 times; four times that leaves room.
    pub commit_attempts: u32,
    /// First wait after a lost put; it doubles up to `backoff_max`.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// Blocking threads that compare, sort and encode at a time.
    pub threads: usize,
}

impl Default for CatalogueOptions {
    fn default() -> Self {
        Self {
            file_rows: 200_000,
            row_group_rows: 20_000,
            checkpoint_every: 100,
            commit_attempts: 256,
            backoff: Duration::from_millis(5),
            backoff_max: Duration::from_millis(640),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// What is known of the table and is renewed by reading on in the log.
struct Known {
    state: Arc<TableState>,
    tombstones: Tombstones,
    recent: VecDeque<Summary>,
}

impl Known {
    /// Takes up the next entry of the log.
    fn apply(&mut self, entry: Entry) -> Result<()> {
        if self.recent.len() == RECENT_COMMITS {
            self.recent.pop_front();
        }
        let summary = entry.summary();
        // A snapshot in use keeps its state: then this is a copy.
        Arc::make_mut(&mut self.state).apply(entry, &mut self.tombstones)?;
        self.recent.push_back(summary);
        Ok(())
    }
}

/// A handle on the table; share it in an `Arc`. It holds the state of the
/// newest version seen, so that looking again costs one small request.
pub struct Catalogue {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) options: CatalogueOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) threads: Arc<Semaphore>,
    /// Puts of log entries take turns within one process.
    pub(crate) turn: Mutex<()>,
    known: Mutex<Known>,
}

/// The table as of one version; cheap to clone, never changes.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) state: Arc<TableState>,
}

/// Size of one pipe's part of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipeStats {
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
}

impl Snapshot {
    pub fn version(&self) -> i64 {
        self.state.version
    }

    /// Pipes with live rows, in order.
    pub fn pipes(&self) -> impl Iterator<Item = (&str, PipeStats)> {
        let pipes = self.state.pipes.iter();
        pipes.map(|(pipe, files)| (pipe.as_ref(), stats_of(files)))
    }

    pub fn stats(&self, pipe: &PipeId) -> PipeStats {
        let files = self.state.pipes.get(pipe.as_str());
        files.map_or_else(PipeStats::default, stats_of)
    }

    pub fn live_rows(&self, pipe: &PipeId) -> u64 {
        self.stats(pipe).rows
    }

    /// Version that an application wrote last (`txn`).
    pub fn txn(&self, app_id: &str) -> Option<i64> {
        self.state.txns.get(app_id).copied()
    }

    pub(crate) fn files(&self, pipe: &PipeId) -> Result<PipeFiles> {
        self.state.files(pipe.as_str())
    }
}

fn stats_of(files: &PipeFiles) -> PipeStats {
    files
        .iter()
        .fold(PipeStats::default(), |sum, file| PipeStats {
            rows: sum.rows + file.rows,
            files: sum.files + 1,
            bytes: sum.bytes + file.file.size,
        })
}

/// A folder as object store, whose writes are on disk when they return.
pub fn local_store(folder: &FsPath) -> Result<Arc<dyn ObjectStore>> {
    std::fs::create_dir_all(folder).map_err(CatalogueError::scratch("create a folder", folder))?;
    let store = LocalFileSystem::new_with_prefix(folder)
        .map_err(CatalogueError::store("open", folder.display()))?;
    Ok(Arc::new(store.with_fsync(true)))
}

impl Catalogue {
    /// Opens the table at the root of the store; [`CatalogueError::NoTable`]
    /// when there is none.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        options: CatalogueOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let (catalogue, state) = Self::load(store, options, clock).await?;
        if state.version < 0 {
            return Err(CatalogueError::NoTable);
        }
        Ok(catalogue)
    }

    /// Opens the table, creates it where there is none, and adds the columns
    /// that this program has and the table has not.
    pub async fn open_or_create(
        store: Arc<dyn ObjectStore>,
        options: CatalogueOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let (catalogue, mut state) = Self::load(store, options, clock).await?;
        let mut failures = 0;
        for attempt in 0..CREATE_ATTEMPTS {
            let Some(entry) = catalogue.wanted_entry(&state)? else {
                return Ok(catalogue);
            };
            match put_entry(&catalogue.store, &entry).await {
                Ok(()) | Err(object_store::Error::AlreadyExists { .. }) => {}
                // The answer alone may have been lost: the log tells.
                Err(error) => {
                    failures += 1;
                    let path = entry::entry_path(entry.version);
                    let error = CatalogueError::store("write", path)(error);
                    if failures == STORE_FAILURES_MAX || !error.is_transient() {
                        return Err(error);
                    }
                    let wait = catalogue.wait("create", attempt);
                    catalogue.clock.sleep(wait).await;
                }
            }
            state = catalogue.refresh().await?;
        }
        Err(CatalogueError::UnsupportedTable {
            reason: "other programs keep changing its schema".to_owned(),
        })
    }

    async fn load(
        store: Arc<dyn ObjectStore>,
        options: CatalogueOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Arc<TableState>)> {
        let (state, tombstones) = checkpoint::read(&store, i64::MAX).await?;
        let catalogue = Self {
            threads: Arc::new(Semaphore::new(options.threads.max(1))),
            known: Mutex::new(Known {
                state: Arc::new(state),
                tombstones,
                recent: VecDeque::new(),
            }),
            turn: Mutex::new(()),
            store,
            options,
            clock,
        };
        let state = catalogue.refresh().await?;
        Ok((catalogue, state))
    }

    /// The entry that creates the table or extends its schema, if one is due.
    fn wanted_entry(&self, state: &TableState) -> Result<Option<Entry>> {
        let now_ms = self.clock.now().timestamp_millis();
        let (operation, protocol, metadata) = match &state.metadata {
            None => {
                let protocol = Protocol {
                    min_reader_version: 1,
                    min_writer_version: 4,
                };
                ("CREATE TABLE", Some(protocol), new_metadata(now_ms))
            }
            Some(metadata) => match delta_schema::compare(&metadata.schema_string)? {
                SchemaFit::Same => return Ok(None),
                SchemaFit::Grown => {
                    let mut metadata = Metadata::clone(metadata);
                    metadata.schema_string = delta_schema::schema_string();
                    ("ADD COLUMNS", None, metadata)
                }
            },
        };
        let info = json!({
            "timestamp": now_ms, "operation": operation, "operationParameters": {},
            "engineInfo": engine_info(),
        });
        let mut lines = vec![Line {
            commit_info: info.as_object().cloned(),
            ..Line::default()
        }];
        lines.extend(protocol.map(|protocol| Line {
            protocol: Some(protocol),
            ..Line::default()
        }));
        lines.push(Line {
            meta_data: Some(metadata),
            ..Line::default()
        });
        Ok(Some(Entry {
            version: state.version + 1,
            lines,
        }))
    }

    /// The newest version, after a look at the log.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let state = self.refresh().await?;
        Ok(Snapshot { state })
    }

    /// An older version.
    pub async fn snapshot_at(&self, version: i64) -> Result<Snapshot> {
        let newest = self.refresh().await?.version;
        if !(0..=newest).contains(&version) {
            return Err(CatalogueError::NoSuchVersion {
                asked: version,
                newest,
            });
        }
        let (mut state, mut tombstones) = checkpoint::read(&self.store, version).await?;
        for entry in entry::read_range(&self.store, state.version + 1..=version).await? {
            state.apply(entry, &mut tombstones)?;
        }
        Ok(Snapshot {
            state: Arc::new(state),
        })
    }

    pub(crate) async fn refresh(&self) -> Result<Arc<TableState>> {
        let mut known = self.known.lock().await;
        let next = known.state.version + 1;
        let known = &mut *known;
        entry::read_on(&self.store, next, |entry| known.apply(entry)).await?;
        Ok(Arc::clone(&known.state))
    }

    /// Takes up an entry that this very handle has put, without reading it.
    pub(crate) async fn take_up(&self, entry: Entry) -> Result<()> {
        let mut known = self.known.lock().await;
        // A reader of this handle may have come upon it already.
        if entry.version == known.state.version + 1 {
            known.apply(entry)?;
        }
        Ok(())
    }

    /// The newest state and what was committed after `base`.
    pub(crate) async fn commits_since(&self, base: i64) -> Result<(Arc<TableState>, Vec<Summary>)> {
        let state = self.refresh().await?;
        let known = self.known.lock().await;
        let remembered = known.recent.front().map_or(i64::MAX, |first| first.version);
        let mut summaries = Vec::new();
        if base < state.version && remembered > base + 1 {
            let last = state.version.min(remembered - 1);
            let entries = entry::read_range(&self.store, base + 1..=last).await?;
            summaries.extend(entries.iter().map(Entry::summary));
        }
        let newer = known.recent.iter().filter(|summary| summary.version > base);
        summaries.extend(
            newer
                .filter(|summary| summary.version <= state.version)
                .cloned(),
        );
        Ok((state, summaries))
    }

    /// Writes a checkpoint of the newest version.
    pub async fn checkpoint(&self) -> Result<i64> {
        self.refresh().await?;
        let mut known = self.known.lock().await;
        checkpoint::expire(&mut known.tombstones, self.clock.now().timestamp_millis());
        let state = Arc::clone(&known.state);
        let tombstones = known.tombstones.clone();
        drop(known);
        let store = Arc::clone(&self.store);
        crate::work::off_reactor(&self.threads, move |_| async move {
            checkpoint::write(&store, &state, &tombstones).await?;
            Ok(state.version)
        })
        .await
    }

    pub(crate) fn shape(&self) -> FileShape {
        FileShape {
            row_group_rows: self.options.row_group_rows,
        }
    }
}

pub(crate) fn engine_info() -> String {
    format!("trawler/{}", env!("CARGO_PKG_VERSION"))
}

/// Writes a log entry unless its version is taken.
pub(crate) async fn put_entry(
    store: &Arc<dyn ObjectStore>,
    entry: &Entry,
) -> object_store::Result<()> {
    let path = entry::entry_path(entry.version);
    let options = PutOptions::from(PutMode::Create);
    let payload = PutPayload::from(entry.write());
    store.put_opts(&path, payload, options).await.map(|_| ())
}

fn new_metadata(now_ms: i64) -> Metadata {
    let setting = |key: &str, value: String| (key.to_owned(), Some(value));
    Metadata {
        id: table_id(now_ms),
        name: Some("products".to_owned()),
        format: Format {
            provider: "parquet".to_owned(),
            options: Texts::new(),
        },
        schema_string: delta_schema::schema_string(),
        partition_columns: vec![PIPE.to_owned()],
        configuration: Texts::from([
            setting("delta.enableChangeDataFeed", "true".to_owned()),
            setting("delta.dataSkippingStatsColumns", STATS_COLUMNS.join(",")),
            // The change feed is read from the log: nobody may shorten it.
            setting("delta.enableExpiredLogCleanup", "false".to_owned()),
        ]),
        created_time: Some(now_ms),
    }
}

/// A name for the table in the form of a UUID. Of two creators one entry wins,
/// so it need not be random.
fn table_id(now_ms: i64) -> String {
    let hex = hex::encode(XxHash3_128::oneshot(&now_ms.to_be_bytes()).to_be_bytes());
    let part = |from: usize, to: usize| &hex[from..to];
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
