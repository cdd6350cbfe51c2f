//! Writes data files and change files.
//!
//! Files go to the store while they grow: what is held is the row group in
//! the making and one part of an upload. Names and bytes follow from the input
//! alone, so that work done twice overwrites itself.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::async_writer::{AsyncArrowWriter, AsyncFileWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tokio::io::AsyncWriteExt;

use crate::error::{CatalogueError, Result};
use crate::schema::{ID, STATS_COLUMNS};
use crate::table::stats::{Stats, StatsBuilder};

/// Below this a file is put with one request; parts have this size above it.
const UPLOAD_PART_BYTES: usize = 8 << 20;
/// Parts under way at a time: 2 x 8 MiB held besides the one that fills.
const UPLOAD_PARTS_MAX: usize = 2;

/// Rows a page; a reader of few rows decodes at most this many too many.
const PAGE_ROWS: usize = 4_096;

/// Encoded bytes of a row group, which is held until it is whole. 20,000 rows
/// of 1.6 KB, four times the usual; rows may be as large as 1 MiB.
const ROW_GROUP_BYTES_MAX: usize = 32 << 20;

/// Share of bloom filter answers that are wrong; 1 % takes 10 bits an id.
const BLOOM_FALSE_SHARE: f64 = 0.01;

/// Shape of the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileShape {
    pub(crate) row_group_rows: usize,
}

/// A file that is in the store.
#[derive(Debug, Clone)]
pub(crate) struct WrittenFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) stats: Stats,
}

struct Upload {
    writer: BufWriter,
    bytes: u64,
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, ParquetResult<()>> {
        async move {
            self.bytes += bytes.len() as u64;
            self.writer
                .put(bytes)
                .await
                .map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, ParquetResult<()>> {
        async move {
            self.writer
                .shutdown()
                .await
                .map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }
}

/// One file being written; rows come sorted by id.
pub(crate) struct TableFile {
    path: String,
    writer: AsyncArrowWriter<Upload>,
    stats: StatsBuilder,
    rows: u64,
}

impl TableFile {
    pub(crate) fn create(
        store: &Arc<dyn ObjectStore>,
        path: String,
        schema: &SchemaRef,
        shape: FileShape,
    ) -> Result<Self> {
        let location = Path::from(path.as_str());
        let writer = BufWriter::with_capacity(Arc::clone(store), location, UPLOAD_PART_BYTES)
            .with_max_concurrency(UPLOAD_PARTS_MAX);
        // The Arrow schema is not embedded: the Parquet types say it all.
        let options = ArrowWriterOptions::new()
            .with_properties(properties(schema, shape))
            .with_skip_arrow_metadata(true);
        let upload = Upload { writer, bytes: 0 };
        let writer = AsyncArrowWriter::try_new_with_options(upload, Arc::clone(schema), options)
            .map_err(CatalogueError::parquet("start", &path))?;
        Ok(Self {
            path,
            writer,
            stats: StatsBuilder::default(),
            rows: 0,
        })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.stats.add(batch);
        self.writer
            .write(batch)
            .await
            .map_err(CatalogueError::parquet("write", &self.path))
    }

    pub(crate) async fn close(mut self) -> Result<WrittenFile> {
        self.writer
            .finish()
            .await
            .map_err(CatalogueError::parquet("write", &self.path))?;
        Ok(WrittenFile {
            path: self.path,
            size: self.writer.into_inner().bytes,
            stats: self.stats.finish(),
        })
    }
}

fn properties(schema: &SchemaRef, shape: FileShape) -> WriterProperties {
    let id = ColumnPath::from(ID);
    let mut builder = WriterProperties::builder()
        .set_created_by("trawler".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(shape.row_group_rows))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_data_page_row_count_limit(PAGE_ROWS)
        // Bounds of a hundred columns in every row group would make footers
        // larger than the rows that a page of products reads.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_statistics_truncate_length(None)
        .set_column_index_truncate_length(None)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]))
        .set_column_bloom_filter_enabled(id.clone(), true)
        .set_column_bloom_filter_fpp(id.clone(), BLOOM_FALSE_SHARE)
        .set_column_bloom_filter_max_ndv(id.clone(), shape.row_group_rows as u64)
        // Ids are distinct: a dictionary of them is built only to be dropped.
        .set_column_dictionary_enabled(id, false)
        .set_column_dictionary_enabled(ColumnPath::from(crate::schema::ROW_HASH), false);
    for name in STATS_COLUMNS {
        if schema.column_with_name(name).is_some() {
            builder = builder
                .set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::Page);
        }
    }
    builder.build()
}
