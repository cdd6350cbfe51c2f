//! Sorted rows on scratch disk: Arrow files with compressed batches, written
//! in order and read by range. How they come to be sorted is the business of
//! [`crate::sort`].

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{RecordBatch, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::{Schema, SchemaRef};
use tempfile::TempDir;

use crate::error::{CatalogueError, Result};
use crate::schema::ID;

pub(crate) fn ids(batch: &RecordBatch) -> &StringArray {
    batch
        .column_by_name(ID)
        .expect("every sorted batch has an id column")
        .as_string()
}

/// Writes a sorted file.
pub(crate) struct SortedWriter {
    path: PathBuf,
    writer: FileWriter<BufWriter<File>>,
}

impl SortedWriter {
    pub(crate) fn create(path: &Path, schema: &Schema) -> Result<Self> {
        let file = File::create(path).map_err(CatalogueError::scratch("create a file", path))?;
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::ZSTD))
            .map_err(CatalogueError::arrow("set up scratch compression"))?;
        let writer = FileWriter::try_new_with_options(BufWriter::new(file), schema, options)
            .map_err(CatalogueError::arrow("start a scratch file"))?;
        Ok(Self {
            path: path.to_owned(),
            writer,
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer
            .write(batch)
            .map_err(CatalogueError::arrow("write a scratch file"))
    }

    pub(crate) fn close(mut self) -> Result<()> {
        self.writer
            .finish()
            .map_err(CatalogueError::arrow("end a scratch file"))?;
        let mut file = self
            .writer
            .into_inner()
            .map_err(CatalogueError::arrow("end a scratch file"))?;
        file.flush()
            .map_err(CatalogueError::scratch("write a file", &self.path))
    }
}

pub(crate) fn open_reader(
    path: &Path,
    columns: Option<Vec<usize>>,
) -> Result<FileReader<BufReader<File>>> {
    let file = File::open(path).map_err(CatalogueError::scratch("open a file", path))?;
    FileReader::try_new(BufReader::new(file), columns)
        .map_err(CatalogueError::arrow("open a scratch file"))
}

pub(crate) fn next_batch(reader: &mut FileReader<BufReader<File>>) -> Result<Option<RecordBatch>> {
    loop {
        match reader.next() {
            None => return Ok(None),
            Some(Err(error)) => return Err(CatalogueError::arrow("read a scratch file")(error)),
            Some(Ok(batch)) if batch.num_rows() == 0 => {}
            Some(Ok(batch)) => return Ok(Some(batch)),
        }
    }
}

/// Sorted rows on disk, one an id; removed with the last handle.
#[derive(Debug)]
pub(crate) struct SortedRows {
    path: PathBuf,
    schema: SchemaRef,
    /// First row of each batch, then the number of rows.
    starts: Vec<u64>,
    pub(crate) duplicates: u64,
    _scratch: TempDir,
}

impl SortedRows {
    pub(crate) fn open(
        path: PathBuf,
        schema: SchemaRef,
        duplicates: u64,
        scratch: TempDir,
    ) -> Result<Self> {
        let reader = open_reader(&path, Some(vec![0]))?;
        let mut starts = vec![0];
        let mut rows = 0;
        for batch in reader {
            let batch = batch.map_err(CatalogueError::arrow("read a scratch file"))?;
            rows += batch.num_rows() as u64;
            starts.push(rows);
        }
        Ok(Self {
            path,
            schema,
            starts,
            duplicates,
            _scratch: scratch,
        })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Reads rows of the range; `columns` names those wanted, id always is.
    pub(crate) fn read(&self, range: Range<u64>, columns: Option<&[&str]>) -> Result<SortedReader> {
        let projection = columns.map(|names| {
            let fields = self.schema.fields().iter().enumerate();
            fields
                .filter(|(_, field)| field.name() == ID || names.contains(&field.name().as_str()))
                .map(|(at, _)| at)
                .collect()
        });
        let mut reader = open_reader(&self.path, projection)?;
        let first = self.starts.partition_point(|start| *start <= range.start) - 1;
        if first < reader.num_batches() {
            reader
                .set_index(first)
                .map_err(CatalogueError::arrow("read a scratch file"))?;
        }
        let schema = reader.schema();
        Ok(SortedReader {
            reader,
            batch: RecordBatch::new_empty(schema),
            row: 0,
            at: range.start,
            skip: range.start - self.starts[first],
            end: range.end.min(self.rows()),
        })
    }
}

/// Reads sorted rows in order, a batch at a time, with a place inside it.
pub(crate) struct SortedReader {
    reader: FileReader<BufReader<File>>,
    batch: RecordBatch,
    row: usize,
    /// Absolute number of the row at `row`.
    at: u64,
    skip: u64,
    end: u64,
}

impl SortedReader {
    /// The batch in hand and the place in it; `None` at the end of the range.
    pub(crate) fn current(&mut self) -> Result<Option<(&RecordBatch, usize)>> {
        if self.at >= self.end {
            return Ok(None);
        }
        while self.row >= self.batch.num_rows() {
            let Some(batch) = next_batch(&mut self.reader)? else {
                return Ok(None);
            };
            let skip = usize::try_from(self.skip).expect("a skip stays within one batch");
            self.skip = 0;
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let rows = (batch.num_rows() - skip).min(left);
            self.batch = batch.slice(skip, rows);
            self.row = 0;
        }
        Ok(Some((&self.batch, self.row)))
    }

    pub(crate) fn advance(&mut self, rows: usize) {
        self.row += rows;
        self.at += rows as u64;
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }

    /// Absolute number of the row that comes next.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }
}
