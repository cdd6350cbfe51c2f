//! Pages of products in order of id, and single products. The log says which
//! file, the footer which row group, the id column which rows; only their
//! pages are decoded.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use futures::stream::StreamExt;
use object_store::ObjectStore;
use parquet::file::statistics::Statistics;
use trawler_core::PipeId;

use crate::catalogue::{Catalogue, Snapshot};
use crate::error::{CatalogueError, Result};
use crate::log::state::DataFile;
use crate::schema::{ID, project, table_schema};
use crate::sorted::ids;
use crate::table::reader::{OpenFile, Pages};
use crate::withhold::{is_shown, reasons, shown, with_reasons};
use crate::work::{Cancelled, off_reactor};

/// Most rows of one page; 10,000 rows of a kilobyte are 10 MiB.
pub const PAGE_ROWS_MAX: usize = 10_000;

/// A page of products.
#[derive(Debug, Clone)]
pub struct ProductPage {
    pub rows: RecordBatch,
    /// Id to go on after; `None` at the end of the pipe.
    pub next: Option<String>,
}

impl Catalogue {
    /// Products of a pipe after an id, in order of id, at most `limit` (and
    /// [`PAGE_ROWS_MAX`]), without those that are withheld. `columns` of `None`
    /// is all; the id always comes.
    pub async fn products(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        after: Option<&str>,
        limit: usize,
        columns: Option<&[&str]>,
    ) -> Result<ProductPage> {
        let schema = wanted(columns)?;
        let reading = Reading {
            read: with_reasons(&schema),
            schema,
            shown: Shown::Public,
            limit: limit.clamp(1, PAGE_ROWS_MAX),
        };
        self.page(snapshot, pipe, after, reading).await
    }

    /// As [`Catalogue::products`] with all columns, and with rows that are
    /// withheld.
    pub async fn stored_products(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ProductPage> {
        let reading = Reading {
            read: table_schema(),
            schema: table_schema(),
            shown: Shown::All,
            limit: limit.clamp(1, PAGE_ROWS_MAX),
        };
        self.page(snapshot, pipe, after, reading).await
    }

    async fn page(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        after: Option<&str>,
        reading: Reading,
    ) -> Result<ProductPage> {
        let files = snapshot.files(pipe)?;
        let after = after.map(str::to_owned);
        let store = Arc::clone(&self.store);
        off_reactor(&self.threads, move |cancelled| async move {
            page(&store, &files, after.as_deref(), &reading, &cancelled).await
        })
        .await
    }

    /// One product with all columns; no row when there is none, or when it is
    /// withheld.
    pub async fn product(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        id: &str,
    ) -> Result<Option<RecordBatch>> {
        let found = self.stored_product(snapshot, pipe, id).await?;
        Ok(found.filter(|row| is_shown(reasons(row), 0)))
    }

    /// As [`Catalogue::product`], also when it is withheld.
    pub async fn stored_product(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        id: &str,
    ) -> Result<Option<RecordBatch>> {
        let files = snapshot.files(pipe)?;
        let at = files.partition_point(|file| file.max_id.as_str() < id);
        let Some(file) = files.get(at).filter(|file| file.min_id.as_str() <= id) else {
            return Ok(None);
        };
        let file = Arc::clone(file);
        let store = Arc::clone(&self.store);
        let id = id.to_owned();
        off_reactor(&self.threads, move |_| async move {
            find(&store, &file, &id).await
        })
        .await
    }
}

/// Which rows are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Public,
    All,
}

/// How a page is read.
struct Reading {
    /// Columns that are given, and those that are read for it.
    schema: SchemaRef,
    read: SchemaRef,
    shown: Shown,
    limit: usize,
}

/// Rows that are read at a time where many are withheld.
const PASSED_AT_A_TIME: u64 = 8_192;

impl Reading {
    /// What is given of the rows read, at most `left`; and how many of the
    /// batch's rows that takes in.
    fn given(&self, batch: &RecordBatch, left: usize) -> Result<(RecordBatch, usize)> {
        let read = batch.num_rows();
        let (batch, taken) = match self.shown {
            Shown::All => (batch.slice(0, left.min(read)), left.min(read)),
            Shown::Public => {
                let known = reasons(batch);
                let mut rows = (0..read).filter(|row| is_shown(known, *row));
                let taken = rows.nth(left).unwrap_or(read);
                (shown(batch.slice(0, taken))?, taken)
            }
        };
        let fields = self.schema.fields().iter();
        let places: Vec<usize> = fields
            .filter_map(|field| self.read.index_of(field.name()).ok())
            .collect();
        let given = batch.project(&places);
        let given = given.map_err(CatalogueError::arrow("read a page of products"))?;
        Ok((given, taken))
    }
}

/// The schema of the wanted columns.
fn wanted(columns: Option<&[&str]>) -> Result<SchemaRef> {
    let schema = table_schema();
    let Some(columns) = columns else {
        return Ok(schema);
    };
    if let Some(unknown) = columns
        .iter()
        .find(|name| schema.column_with_name(name).is_none())
    {
        return Err(CatalogueError::NoSuchColumn((*unknown).to_owned()));
    }
    let mut names = vec![ID];
    names.extend(columns);
    Ok(project(&schema, &names))
}

async fn page(
    store: &Arc<dyn ObjectStore>,
    files: &[Arc<DataFile>],
    after: Option<&str>,
    reading: &Reading,
    cancelled: &Cancelled,
) -> Result<ProductPage> {
    let limit = reading.limit;
    let first = after.map_or(0, |after| {
        files.partition_point(|file| file.max_id.as_str() <= after)
    });
    let mut batches = Vec::new();
    let mut rows = 0;
    let mut is_last = true;
    for (at, file) in files.iter().enumerate().skip(first) {
        let open = OpenFile::open(store, &file.file, Pages::Located).await?;
        let from = match after {
            Some(after) if file.min_id.as_str() <= after => {
                first_row_above(&open, after).await?.unwrap_or(file.rows)
            }
            Some(_) | None => 0,
        };
        let mut next = from;
        let mut at_a_time = (limit - rows) as u64;
        while rows < limit && next < file.rows {
            let mut stream = open.scan(&reading.read, Some(open.rows(next, at_a_time)))?;
            while rows < limit
                && let Some(batch) = stream.next().await
            {
                cancelled.check()?;
                let (given, taken) = reading.given(&batch?, limit - rows)?;
                rows += given.num_rows();
                next += taken as u64;
                batches.push(given);
            }
            at_a_time = PASSED_AT_A_TIME;
        }
        if rows == limit {
            is_last = at + 1 == files.len() && next >= file.rows;
            break;
        }
    }
    let rows = concat_batches(&reading.schema, &batches)
        .map_err(CatalogueError::arrow("put a page of products together"))?;
    let last = rows.num_rows().checked_sub(1);
    let next = last
        .filter(|_| !is_last)
        .map(|last| ids(&rows).value(last).to_owned());
    Ok(ProductPage { rows, next })
}

/// Position in the file of the first row whose id is above `after`.
async fn first_row_above(open: &OpenFile, after: &str) -> Result<Option<u64>> {
    let mut start = 0;
    for group in open.parquet().row_groups() {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let may_hold = id_bounds(group).is_none_or(|(_, max)| max > after.as_bytes());
        if may_hold && let Some(row) = first_in(open, start, rows, |id| id > after).await? {
            return Ok(Some(row));
        }
        start += rows;
    }
    Ok(None)
}

/// Position of the first id of some rows for which `is_there` holds; it must
/// hold for all that follow.
async fn first_in(
    open: &OpenFile,
    start: u64,
    rows: u64,
    is_there: impl Fn(&str) -> bool,
) -> Result<Option<u64>> {
    let schema = project(&table_schema(), &[ID]);
    let mut stream = open.scan(&schema, Some(open.rows(start, rows)))?;
    let mut row = start;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let ids = ids(&batch);
        for at in 0..ids.len() {
            if is_there(ids.value(at)) {
                return Ok(Some(row + at as u64));
            }
        }
        row += ids.len() as u64;
    }
    Ok(None)
}

/// Smallest and largest id of a row group, from its statistics.
fn id_bounds(group: &parquet::file::metadata::RowGroupMetaData) -> Option<(&[u8], &[u8])> {
    let at = id_column(group)?;
    match group.column(at).statistics()? {
        Statistics::ByteArray(ids) => Some((ids.min_bytes_opt()?, ids.max_bytes_opt()?)),
        _ => None,
    }
}

fn id_column(group: &parquet::file::metadata::RowGroupMetaData) -> Option<usize> {
    let columns = group.columns().iter();
    let mut paths = columns.map(|column| column.column_path().parts());
    paths.position(|path| path == [ID])
}

async fn find(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    id: &str,
) -> Result<Option<RecordBatch>> {
    let open = OpenFile::open(store, &file.file, Pages::Located).await?;
    let mut start = 0;
    for (at, group) in open.parquet().row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let in_bounds =
            id_bounds(group).is_none_or(|(min, max)| (min..=max).contains(&id.as_bytes()));
        if in_bounds {
            if let Some(column) = id_column(group)
                && !open.may_hold(at, column, id).await?
            {
                return Ok(None);
            }
            return row_of(&open, start, rows, id).await;
        }
        start += rows;
    }
    Ok(None)
}

async fn row_of(open: &OpenFile, start: u64, rows: u64, id: &str) -> Result<Option<RecordBatch>> {
    let Some(row) = first_in(open, start, rows, |found| found >= id).await? else {
        return Ok(None);
    };
    let mut stream = open.scan(&table_schema(), Some(open.rows(row, 1)))?;
    match stream.next().await {
        Some(batch) => Ok(Some(batch?).filter(|batch| ids(batch).value(0) == id)),
        None => Ok(None),
    }
}
