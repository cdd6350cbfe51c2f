//! The change feed: what happened since a watermark, row by row and exactly
//! once, with place inside a commit.
//!
//! A commit with change files is read from them alone. One without gives the
//! rows of added files as inserts and those of removed files as deletes.
//! Commits that only move data about (`dataChange` false) give nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use futures::stream::StreamExt;
use object_store::ObjectStore;
use trawler_core::PipeId;

use crate::catalogue::{Catalogue, Snapshot};
use crate::error::{CatalogueError, Result};
use crate::log::action::{ROWS_TAG, Texts, file_ref, pipe_of};
use crate::log::entry::{self, Entry};
use crate::read::products::PAGE_ROWS_MAX;
use crate::rewrite::{DELETE, INSERT};
use crate::schema::{
    CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION, PIPE, change_schema, instant, project,
    table_schema,
};
use crate::table::reader::{FileRef, OpenFile, Pages};
use crate::work::{Cancelled, off_reactor};

/// Log entries looked at by one call; a call over a long quiet time returns
/// no rows and a later watermark.
const COMMITS_A_CALL: i64 = 1_000;

/// Entries read at a time.
const COMMITS_A_READ: i64 = 32;

/// The next change to read: commit version and row inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Watermark {
    pub version: i64,
    pub offset: u64,
}

impl Watermark {
    /// The very first change.
    pub const START: Self = Self {
        version: 0,
        offset: 0,
    };

    /// What follows a snapshot: whoever has read its rows goes on from here.
    pub fn after(snapshot: &Snapshot) -> Self {
        Self {
            version: snapshot.version() + 1,
            offset: 0,
        }
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.version, self.offset)
    }
}

impl FromStr for Watermark {
    type Err = CatalogueError;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (version, offset) = text.split_once(':')?;
            let version = version.parse().ok().filter(|version: &i64| *version >= 0)?;
            Some(Self {
                version,
                offset: offset.parse().ok()?,
            })
        };
        parse().ok_or_else(|| CatalogueError::BadWatermark(text.to_owned()))
    }
}

/// Some changes and where to go on.
#[derive(Debug, Clone)]
pub struct ChangePage {
    /// `pipe`, the columns of the table, then `_change_type`,
    /// `_commit_version` and `_commit_timestamp`.
    pub rows: RecordBatch,
    pub next: Watermark,
    /// Whether `next` is the end of the log as of this call.
    pub is_end: bool,
}

impl Catalogue {
    /// Changes from a watermark on, of one pipe or of all, at most `limit`
    /// rows (and [`PAGE_ROWS_MAX`]). An update is two rows.
    pub async fn changes(
        &self,
        since: Watermark,
        pipe: Option<&PipeId>,
        limit: usize,
    ) -> Result<ChangePage> {
        let newest = self.refresh().await?.version;
        let end = Watermark {
            version: newest + 1,
            offset: 0,
        };
        if since > end {
            return Err(CatalogueError::Resync {
                reason: format!("the newest change lies before {end}, and {since} was asked for"),
            });
        }
        let feed = Feed {
            store: Arc::clone(&self.store),
            pipe: pipe.map(ToString::to_string),
            limit: limit.clamp(1, PAGE_ROWS_MAX),
        };
        off_reactor(&self.threads, move |cancelled| async move {
            feed.read(since, end, &cancelled).await
        })
        .await
    }
}

/// The columns of a page of changes.
fn feed_schema() -> SchemaRef {
    let mut fields = vec![Arc::new(Field::new(PIPE, DataType::Utf8, true))];
    fields.extend(change_schema().fields().iter().cloned());
    fields.push(Arc::new(Field::new(COMMIT_VERSION, DataType::Int64, true)));
    fields.push(Arc::new(Field::new(COMMIT_TIMESTAMP, instant(), true)));
    Arc::new(Schema::new(fields))
}

struct Feed {
    store: Arc<dyn ObjectStore>,
    pipe: Option<String>,
    limit: usize,
}

/// A file whose rows are changes.
struct Source {
    pipe: String,
    file: FileRef,
    /// The kind of all its rows; in a change file each row says its own.
    kind: Option<&'static str>,
    rows: Option<u64>,
}

impl Feed {
    async fn read(
        &self,
        since: Watermark,
        end: Watermark,
        cancelled: &Cancelled,
    ) -> Result<ChangePage> {
        let stop = end.version.min(since.version + COMMITS_A_CALL);
        let mut batches = Vec::new();
        let mut next = since;
        let mut rows = 0;
        'reading: while next.version < stop {
            let last = (next.version + COMMITS_A_READ).min(stop) - 1;
            let entries = entry::read_range(&self.store, next.version..=last).await?;
            for entry in &entries {
                cancelled.check()?;
                let left = self.limit - rows;
                let taken = self.commit(entry, next.offset, left, &mut batches).await?;
                rows += taken.rows;
                if !taken.is_whole {
                    next.offset += taken.rows as u64 + taken.passed_over;
                    break 'reading;
                }
                next = Watermark {
                    version: entry.version + 1,
                    offset: 0,
                };
                if rows == self.limit {
                    break 'reading;
                }
            }
        }
        let rows = concat_batches(&feed_schema(), &batches)
            .map_err(CatalogueError::arrow("put changes together"))?;
        Ok(ChangePage {
            rows,
            next,
            is_end: next == end,
        })
    }

    /// Reads rows of one commit from an offset on.
    async fn commit(
        &self,
        entry: &Entry,
        offset: u64,
        limit: usize,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<Taken> {
        let mut taken = Taken {
            rows: 0,
            passed_over: 0,
            is_whole: false,
        };
        // First row of the file at hand, counted from the start of the commit.
        let mut start = 0;
        for source in sources(entry)? {
            let open = match source.rows {
                Some(_) => None,
                None => Some(self.open(&source).await?),
            };
            let rows = source.rows.or_else(|| {
                let metadata = open.as_ref()?.parquet().file_metadata();
                u64::try_from(metadata.num_rows()).ok()
            });
            let rows = rows.unwrap_or(0);
            let from = offset.saturating_sub(start).min(rows);
            start += rows;
            if from == rows {
                continue;
            }
            if self.pipe.as_ref().is_some_and(|pipe| *pipe != source.pipe) {
                taken.passed_over += rows - from;
                continue;
            }
            let left = limit - taken.rows;
            if left == 0 {
                return Ok(taken);
            }
            let open = match open {
                Some(open) => open,
                None => self.open(&source).await?,
            };
            let mut stream = open.scan(
                &self.file_schema(&source),
                Some(open.rows(from, left as u64)),
            )?;
            let mut read = 0;
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(gone)?;
                read += batch.num_rows();
                batches.push(dress(&batch, &source, entry)?);
            }
            taken.rows += read;
            if from + (read as u64) < rows {
                return Ok(taken);
            }
        }
        if offset > start {
            return Err(CatalogueError::Resync {
                reason: format!("commit {} has only {start} changes", entry.version),
            });
        }
        taken.is_whole = true;
        Ok(taken)
    }

    fn file_schema(&self, source: &Source) -> SchemaRef {
        match source.kind {
            Some(_) => table_schema(),
            None => change_schema(),
        }
    }

    async fn open(&self, source: &Source) -> Result<OpenFile> {
        OpenFile::open(&self.store, &source.file, Pages::Located)
            .await
            .map_err(gone)
    }
}

/// What was read of one commit.
struct Taken {
    rows: usize,
    /// Rows of other pipes between the rows read.
    passed_over: u64,
    is_whole: bool,
}

/// A file that the feed needs and that is no longer there.
fn gone(error: CatalogueError) -> CatalogueError {
    match error {
        CatalogueError::Store {
            path,
            source: object_store::Error::NotFound { .. },
            ..
        } => CatalogueError::Resync {
            reason: format!("file {path} is gone"),
        },
        other => other,
    }
}

/// The files whose rows are the changes of a commit, in order.
fn sources(entry: &Entry) -> Result<Vec<Source>> {
    let version = entry.version;
    let pipe = |values: &Texts| pipe_of(values).unwrap_or_default().to_owned();
    let mut changes = Vec::new();
    let mut files = Vec::new();
    for line in &entry.lines {
        if let Some(cdc) = &line.cdc {
            let tags = cdc.tags.as_ref();
            let rows = tags.and_then(|tags| tags.get(ROWS_TAG)?.as_deref()?.parse().ok());
            changes.push(Source {
                pipe: pipe(&cdc.partition_values),
                file: file_ref(&cdc.path, Some(cdc.size), version)?,
                kind: None,
                rows,
            });
        }
        if let Some(add) = line.add.as_ref().filter(|add| add.data_change) {
            files.push(Source {
                pipe: pipe(&add.partition_values),
                file: file_ref(&add.path, Some(add.size), version)?,
                kind: Some(INSERT),
                rows: None,
            });
        }
        if let Some(remove) = line.remove.as_ref().filter(|remove| remove.data_change) {
            files.push(Source {
                pipe: remove
                    .partition_values
                    .as_ref()
                    .map(pipe)
                    .unwrap_or_default(),
                file: file_ref(&remove.path, remove.size, version)?,
                kind: Some(DELETE),
                rows: None,
            });
        }
    }
    Ok(if changes.is_empty() { files } else { changes })
}

/// The files in which the rows stand that a commit took away or changed, as
/// they were: its change files, and where it has none the files it removed; and
/// those of rows that nobody was shown.
pub(crate) fn gone_sources(entry: &Entry) -> Result<Vec<FileRef>> {
    let sources = sources(entry)?.into_iter();
    let gone = sources.filter(|source| source.kind != Some(INSERT));
    let gone = gone.map(|source| source.file).chain(entry.untold()?);
    Ok(gone.collect())
}

/// One column of the table, which change files have as well.
pub(crate) fn stored_rows(column: &str) -> SchemaRef {
    project(&table_schema(), &[column])
}

/// Adds what a change says besides the row.
fn dress(batch: &RecordBatch, source: &Source, entry: &Entry) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let text = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            value, rows,
        )))
    };
    let schema = feed_schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match (field.name().as_str(), source.kind) {
            (PIPE, _) => text(&source.pipe),
            (CHANGE_TYPE, Some(kind)) => text(kind),
            (COMMIT_VERSION, _) => Arc::new(Int64Array::from_value(entry.version, rows)),
            (COMMIT_TIMESTAMP, _) => {
                let micros = entry.timestamp().saturating_mul(1_000);
                let instants = TimestampMicrosecondArray::from_value(micros, rows);
                Arc::new(instants.with_timezone("UTC"))
            }
            (name, _) => match batch.column_by_name(name) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), rows),
            },
        })
        .collect();
    RecordBatch::try_new(schema, columns).map_err(CatalogueError::arrow("read changes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn watermarks_survive_writing_and_reading() {
        let watermark: Watermark = "12:345".parse().unwrap();
        assert_eq!(watermark.to_string(), "12:345");
        for text in ["", "1", "1:", ":1", "-1:0", "1:-1", "a:b"] {
            assert!(text.parse::<Watermark>().is_err(), "{text}");
        }
    }
}
