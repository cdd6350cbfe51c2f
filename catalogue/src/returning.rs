//! Ids that come back: what was known of a product when it went.
//!
//! The change files of a pipe hold the rows that its runs deleted, and its untold
//! files those that nobody was shown by then. An id that a later run inserts
//! again takes its `first_seen` from there, and its image
//! state while the stored image cannot have been removed yet. What is older
//! than that is fetched anew: a row must not name an image that is gone.
//!
//! Looked for are the inserts of runs after the first, in a bounded number of
//! change files. A file whose commit was refused does no harm: its rows were
//! live when it was written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use chrono::{DateTime, Duration, Utc};
use futures::stream::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use trawler_core::PipeId;
use trawler_core::id::RunSeq;
use trawler_core::removal::REST;

use crate::catalogue::Catalogue;
use crate::error::{CatalogueError, Result};
use crate::rewrite::{DELETE, UNTOLD_NAME};
use crate::schema::{
    CHANGE_TYPE, FIRST_SEEN, ID, IMAGE_COLUMNS, IMAGE_LINK, change_schema, project,
};
use crate::sorted::ids;
use crate::table::reader::{FileRef, OpenFile, Pages};
use crate::work::{Cancelled, off_reactor};

/// Inserts of one run that are looked for. More than these are a new shop, or
/// one that has numbered its products anew.
pub(crate) const RETURNING_IDS_MAX: usize = 100_000;

/// How long an id may be away.
const AWAY_MAX: Duration = Duration::days(90);

/// Newest change files that are looked at, and untold ones: two requests each,
/// once a run.
const FILES_MAX: usize = 90;

/// An image is removed [`REST`] after it was last referred to at the earliest;
/// half of that leaves a run the time to commit.
const IMAGE_AWAY_MAX: Duration = Duration::milliseconds(REST.num_milliseconds() / 2);

/// Rows that were deleted and come back.
pub(crate) struct Returning {
    rows: RecordBatch,
    /// Row and whether its image is still stored, by id.
    places: HashMap<String, (usize, bool)>,
}

fn known_columns() -> SchemaRef {
    let mut names = vec![ID, FIRST_SEEN, IMAGE_LINK];
    names.extend(IMAGE_COLUMNS);
    project(&change_schema(), &names)
}

impl Returning {
    pub(crate) fn nothing() -> Self {
        Self {
            rows: RecordBatch::new_empty(known_columns()),
            places: HashMap::new(),
        }
    }

    /// What is known of a column, to be picked from by row.
    pub(crate) fn column(&self, name: &str) -> &ArrayRef {
        self.rows
            .column_by_name(name)
            .expect("first_seen and the image columns are read of rows that come back")
    }

    pub(crate) fn row(&self, id: &str) -> Option<usize> {
        self.places.get(id).map(|(row, _)| *row)
    }

    /// The row whose image state an inserted row takes up.
    pub(crate) fn row_with_image(&self, id: &str, link: Option<&str>) -> Option<usize> {
        let (row, is_stored) = *self.places.get(id)?;
        let links: &StringArray = self.column(IMAGE_LINK).as_string();
        let same = link.is_some_and(|link| links.is_valid(row) && links.value(row) == link);
        (is_stored && same).then_some(row)
    }
}

/// A change file, with the instant at which it was written.
struct Deletions {
    seq: i64,
    is_untold: bool,
    file: FileRef,
    written: DateTime<Utc>,
}

impl Catalogue {
    /// Looks for inserted ids among the rows that earlier runs deleted.
    pub(crate) async fn returning(
        &self,
        pipe: &PipeId,
        before: RunSeq,
        inserted: &[String],
    ) -> Result<Returning> {
        if inserted.is_empty() {
            return Ok(Returning::nothing());
        }
        let files = self.deletions(pipe, before).await?;
        let store = Arc::clone(&self.store);
        let wanted: HashSet<String> = inserted.iter().cloned().collect();
        let images_since = self.clock.now() - IMAGE_AWAY_MAX;
        off_reactor(&self.threads, move |cancelled| async move {
            let search = Search {
                store,
                images_since,
                cancelled,
            };
            search.run(&files, wanted).await
        })
        .await
    }

    /// Change files of earlier runs, the newest first.
    async fn deletions(&self, pipe: &PipeId, before: RunSeq) -> Result<Vec<Deletions>> {
        let folder = Path::from(format!("_change_data/pipe={pipe}"));
        let first = before.0.saturating_sub(AWAY_MAX.num_milliseconds());
        let listed = self.store.list(Some(&folder)).map_ok(|object| Deletions {
            seq: run_of(&object.location).unwrap_or(i64::MAX),
            is_untold: is_untold(&object.location),
            file: FileRef {
                path: object.location.to_string(),
                size: object.size,
            },
            written: object.last_modified,
        });
        let mut files: Vec<Deletions> = listed
            .try_filter(|file| std::future::ready((first..before.0).contains(&file.seq)))
            .try_collect()
            .await
            .map_err(CatalogueError::store("list", &folder))?;
        files.sort_unstable_by(|a, b| (b.seq, &b.file.path).cmp(&(a.seq, &a.file.path)));
        // A run of a hidden pipe has one of each, and the told one is empty.
        let mut left = [FILES_MAX; 2];
        files.retain(|file| {
            let left = &mut left[usize::from(file.is_untold)];
            let is_one = *left > 0;
            *left = left.saturating_sub(1);
            is_one
        });
        Ok(files)
    }
}

fn is_missing(error: &CatalogueError) -> bool {
    matches!(
        error,
        CatalogueError::Store {
            source: object_store::Error::NotFound { .. },
            ..
        }
    )
}

/// The run of a change file, `run-{seq}-...`; folds delete nothing.
fn run_of(path: &Path) -> Option<i64> {
    let name = path.filename()?.strip_prefix("run-")?;
    name.split('-').next()?.parse().ok()
}

fn is_untold(path: &Path) -> bool {
    path.filename()
        .is_some_and(|name| name.contains(UNTOLD_NAME))
}

struct Search {
    store: Arc<dyn ObjectStore>,
    images_since: DateTime<Utc>,
    cancelled: Cancelled,
}

impl Search {
    async fn run(&self, files: &[Deletions], mut wanted: HashSet<String>) -> Result<Returning> {
        let mut found = Vec::new();
        let mut places = HashMap::new();
        let mut rows = 0;
        for file in files {
            if wanted.is_empty() {
                break;
            }
            let open = match OpenFile::open(&self.store, &file.file, Pages::Skipped).await {
                Ok(open) => open,
                // Somebody removes old change files: then there is less to know.
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(error),
            };
            if !self.names_any(&open, &wanted).await? {
                continue;
            }
            let is_stored = file.written > self.images_since;
            let mut batches = open.scan(&change_schema(), None)?;
            while let Some(batch) = batches.next().await {
                self.cancelled.check()?;
                let batch = batch?;
                let picked = deleted(&batch, |id| wanted.remove(id));
                if picked.is_empty() {
                    continue;
                }
                for row in &picked {
                    let id = ids(&batch).value(*row as usize).to_owned();
                    places.insert(id, (rows, is_stored));
                    rows += 1;
                }
                found.push(pick(&batch, picked)?);
            }
        }
        let rows = concat_batches(&known_columns(), &found)
            .map_err(CatalogueError::arrow("put deleted rows together"))?;
        Ok(Returning { rows, places })
    }

    /// Whether the file deletes one of the ids; two narrow columns say so.
    async fn names_any(&self, open: &OpenFile, wanted: &HashSet<String>) -> Result<bool> {
        let columns = project(&change_schema(), &[ID, CHANGE_TYPE]);
        let mut batches = open.scan(&columns, None)?;
        while let Some(batch) = batches.next().await {
            self.cancelled.check()?;
            if !deleted(&batch?, |id| wanted.contains(id)).is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Deleted rows of a batch of changes whose id is asked for.
fn deleted(batch: &RecordBatch, mut is_wanted: impl FnMut(&str) -> bool) -> Vec<u32> {
    let kinds: &StringArray = batch
        .column_by_name(CHANGE_TYPE)
        .expect("change files are read with the kind of change")
        .as_string();
    let rows = ids(batch).iter().zip(kinds.iter()).enumerate();
    rows.filter(|(_, (id, kind))| *kind == Some(DELETE) && id.is_some_and(&mut is_wanted))
        .map(|(row, _)| row as u32)
        .collect()
}

fn pick(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch> {
    let known = known_columns();
    let places: Result<Vec<usize>> = known
        .fields()
        .iter()
        .map(|field| {
            let place = batch.schema().index_of(field.name());
            place.map_err(CatalogueError::arrow("read deleted rows"))
        })
        .collect();
    let narrow = batch
        .project(&places?)
        .map_err(CatalogueError::arrow("read deleted rows"))?;
    take_record_batch(&narrow, &UInt32Array::from(rows))
        .map_err(CatalogueError::arrow("read deleted rows"))
}
