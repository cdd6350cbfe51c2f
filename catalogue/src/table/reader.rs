//! Reads Parquet files of the table from an object store.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt};
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector,
};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::error::{CatalogueError, Result};

/// Read with the first request, so that a usual footer needs no second one.
const FOOTER_GUESS_BYTES: usize = 64 << 10;

/// Rows decoded at a time; 4,096 rows of a kilobyte are 4 MiB.
const BATCH_ROWS: usize = 4_096;

/// Where a file is. The size comes from the log and saves a request.
#[derive(Debug, Clone)]
pub(crate) struct FileRef {
    pub(crate) path: String,
    pub(crate) size: u64,
}

#[derive(Debug, Clone)]
struct ObjectReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for ObjectReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let store = Arc::clone(&self.store);
        let path = self.path.clone();
        async move { store.get_range(&path, range).map_err(external).await }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let store = Arc::clone(&self.store);
        let path = self.path.clone();
        async move { store.get_ranges(&path, &ranges).map_err(external).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let offset_index = options.map_or(PageIndexPolicy::Skip, |o| o.offset_index_policy());
        async move {
            let size = self.size;
            let metadata = ParquetMetaDataReader::new()
                .with_prefetch_hint(Some(FOOTER_GUESS_BYTES))
                .with_offset_index_policy(offset_index)
                .load_and_finish(self, size)
                .await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

/// An opened file: its footer is read.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    reader: ObjectReader,
    metadata: ArrowReaderMetadata,
}

/// Whether page positions are read, which reading few rows of a file needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    Located,
    Skipped,
}

impl OpenFile {
    pub(crate) async fn open(
        store: &Arc<dyn ObjectStore>,
        file: &FileRef,
        pages: Pages,
    ) -> Result<Self> {
        let mut reader = ObjectReader {
            store: Arc::clone(store),
            path: Path::from(file.path.as_str()),
            size: file.size,
        };
        let policy = match pages {
            Pages::Located => PageIndexPolicy::Optional,
            Pages::Skipped => PageIndexPolicy::Skip,
        };
        let options = ArrowReaderOptions::new().with_offset_index_policy(policy);
        let metadata = ArrowReaderMetadata::load_async(&mut reader, options)
            .await
            .map_err(CatalogueError::parquet("read", &file.path))?;
        Ok(Self { reader, metadata })
    }

    pub(crate) fn parquet(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    fn path(&self) -> &str {
        self.reader.path.as_ref()
    }

    fn builder(&self) -> ParquetRecordBatchStreamBuilder<ObjectReader> {
        ParquetRecordBatchStreamBuilder::new_with_metadata(
            self.reader.clone(),
            self.metadata.clone(),
        )
    }

    /// Rows with the columns of `schema`; a column that the file does not
    /// have yet reads as null.
    pub(crate) fn scan(
        &self,
        schema: &SchemaRef,
        rows: Option<Rows>,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + Unpin + use<>> {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let schema = Arc::clone(schema);
        let stream = self.scan_as_is(&names, rows)?;
        Ok(stream.map(move |batch| conform(&batch?, &schema)))
    }

    /// Rows with those of the named columns that the file has, as it has them.
    pub(crate) fn scan_as_is(
        &self,
        names: &[&str],
        rows: Option<Rows>,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + Unpin + use<>> {
        let roots = names
            .iter()
            .filter_map(|name| self.metadata.schema().index_of(name).ok());
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let mut builder = self
            .builder()
            .with_batch_size(BATCH_ROWS)
            .with_projection(mask);
        if let Some(rows) = rows {
            builder = builder
                .with_row_groups(rows.groups)
                .with_row_selection(rows.selection);
        }
        let path = self.path().to_owned();
        let stream = builder
            .build()
            .map_err(CatalogueError::parquet("read", &path))?;
        Ok(stream.map(move |batch| batch.map_err(CatalogueError::parquet("read", &path))))
    }

    /// Rows `[from, from + count)` of the file, as far as it goes.
    pub(crate) fn rows(&self, from: u64, count: u64) -> Rows {
        let mut groups = Vec::new();
        let mut first = None;
        let mut start = 0_u64;
        let end = from.saturating_add(count);
        for (at, group) in self.parquet().row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            if start < end && from < start + rows {
                first.get_or_insert(start);
                groups.push(at);
            }
            start += rows;
        }
        let skip = from - first.unwrap_or(from);
        // Counts of rows in one file stay far below the address space.
        let selection = RowSelection::from(vec![
            RowSelector::skip(skip as usize),
            RowSelector::select(count as usize),
        ]);
        Rows { groups, selection }
    }

    /// Whether the row group may hold the value, by its bloom filter.
    pub(crate) async fn may_hold(&self, group: usize, column: usize, value: &str) -> Result<bool> {
        let mut builder = self.builder();
        let filter = builder
            .get_row_group_column_bloom_filter(group, column)
            .await
            .map_err(CatalogueError::parquet("read", self.path()))?;
        Ok(filter.is_none_or(|filter| filter.check(value)))
    }
}

/// Some rows of a file.
pub(crate) struct Rows {
    groups: Vec<usize>,
    selection: RowSelection,
}

/// Brings a batch to the schema: order of columns, and nulls for what an older
/// file does not have.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), batch.num_rows()),
        })
        .collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(CatalogueError::arrow("read stored rows"))
}
