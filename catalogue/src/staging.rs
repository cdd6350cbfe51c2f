//! What a run collected, sorted by id and waiting on scratch disk to be
//! compared with the stored rows: products ([`Staging`]) and results of image
//! work ([`ImageStaging`]).
//!
//! Pushing and finishing block; call them from a thread that may.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use trawler_core::image::ImageOutcome;
use trawler_core::product::PARTNER_UPDATED;

use crate::error::{CatalogueError, Result};
use crate::hash::row_hashes;
use crate::partial::{fold, staged_partial_schema};
use crate::schema::{ID, ROW_HASH, content_schema, partial_schema};
use crate::sort::{SortLimits, Sorter};
use crate::sorted::SortedRows;

/// Marks an explicit deletion among staged rows.
pub(crate) const DELETED: &str = "_deleted";
pub(crate) const OUTCOME: &str = "outcome";

/// An id that the partner deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    pub id: String,
    /// When, as the partner says.
    pub updated: Option<DateTime<Utc>>,
}

impl<S: Into<String>> From<S> for Deleted {
    fn from(id: S) -> Self {
        Self {
            id: id.into(),
            updated: None,
        }
    }
}

/// Rows of one run, in order of arrival. Of several operations on an id the
/// last one counts; rows that hold only what changed are laid over one another.
pub struct Staging {
    sorter: Sorter,
    rows: RowsHold,
    scratch: PathBuf,
}

/// What a row says of columns that it has no value for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowsHold {
    /// They are empty.
    Everything,
    /// They stay as they are stored.
    Changes,
}

impl Staging {
    /// Spills go to a folder of their own within `scratch`, which must exist.
    pub fn new(scratch: &Path, limits: SortLimits) -> Result<Self> {
        Ok(Self {
            sorter: Sorter::new(pushed_schema(), scratch, limits)?,
            rows: RowsHold::Everything,
            scratch: scratch.to_owned(),
        })
    }

    /// For rows that hold only what changed.
    pub fn partial(scratch: &Path, limits: SortLimits) -> Result<Self> {
        Ok(Self {
            sorter: Sorter::new(staged_partial_schema(), scratch, limits)?.keeping_all(),
            rows: RowsHold::Changes,
            scratch: scratch.to_owned(),
        })
    }

    /// Takes rows of [`content_schema`], or of [`partial_schema`] where they
    /// hold only what changed.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let wanted = self.wanted();
        if batch.schema_ref().fields() != wanted.fields() {
            return Err(wrong_columns(batch.schema_ref(), &wanted));
        }
        let rows = batch.num_rows();
        self.push_marked(
            batch.columns().to_vec(),
            BooleanArray::from(vec![false; rows]),
        )
    }

    fn wanted(&self) -> SchemaRef {
        match self.rows {
            RowsHold::Everything => content_schema(),
            RowsHold::Changes => partial_schema(),
        }
    }

    /// Takes explicit deletions, as summary feeds have them.
    pub fn push_deletes<D: Into<Deleted> + Clone>(&mut self, deleted: &[D]) -> Result<()> {
        let deleted: Vec<Deleted> = deleted.iter().cloned().map(Into::into).collect();
        let rows = deleted.len();
        let ids = deleted.iter().map(|deleted| Some(deleted.id.as_str()));
        let ids: ArrayRef = Arc::new(ids.collect::<StringArray>());
        let updated = deleted
            .iter()
            .map(|deleted| deleted.updated.map(|at| at.timestamp_micros()));
        let updated: ArrayRef = Arc::new(
            updated
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        );
        let columns = self
            .wanted()
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                ID => Arc::clone(&ids),
                PARTNER_UPDATED => Arc::clone(&updated),
                _ => new_null_array(field.data_type(), rows),
            })
            .collect();
        self.push_marked(columns, BooleanArray::from(vec![true; rows]))
    }

    fn push_marked(&mut self, mut columns: Vec<ArrayRef>, deleted: BooleanArray) -> Result<()> {
        let rows = deleted.len();
        columns.push(Arc::new(deleted));
        let schema = match self.rows {
            RowsHold::Everything => pushed_schema(),
            RowsHold::Changes => {
                columns.push(Arc::new(BooleanArray::from(vec![false; rows])));
                staged_partial_schema()
            }
        };
        let batch =
            RecordBatch::try_new(schema, columns).map_err(CatalogueError::arrow("stage rows"))?;
        self.sorter.push(batch)
    }

    pub fn finish(self) -> Result<Staged> {
        let rows = match self.rows {
            RowsHold::Everything => self.sorter.finish(staged_schema(), with_row_hash)?,
            // The hash is that of the row it becomes, which is known later.
            RowsHold::Changes => {
                let all = self.sorter.finish(staged_partial_schema(), Ok)?;
                fold(&all, &self.scratch)?
            }
        };
        Ok(Staged {
            rows: Arc::new(rows),
            hold: self.rows,
        })
    }
}

fn wrong_columns(found: &Schema, wanted: &Schema) -> CatalogueError {
    let at = wanted
        .fields()
        .iter()
        .zip(found.fields())
        .position(|(wanted, found)| wanted != found)
        .unwrap_or(wanted.fields().len().min(found.fields().len()));
    let show = |schema: &Schema| {
        schema.fields().get(at).map_or_else(
            || "nothing".to_owned(),
            |field| format!("{} {}", field.name(), field.data_type()),
        )
    };
    CatalogueError::WrongColumns {
        reason: format!(
            "column {at} is {}, and {} is wanted; build batches with content_schema()",
            show(found),
            show(wanted)
        ),
    }
}

fn pushed_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        let mut fields: Vec<Arc<Field>> = content_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(DELETED, DataType::Boolean, false)));
        Arc::new(Schema::new(fields))
    }))
}

fn staged_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        let mut fields: Vec<Arc<Field>> = pushed_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(ROW_HASH, DataType::Binary, true)));
        Arc::new(Schema::new(fields))
    }))
}

fn with_row_hash(batch: RecordBatch) -> Result<RecordBatch> {
    let hashes = row_hashes(&batch);
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(hashes));
    RecordBatch::try_new(staged_schema(), columns).map_err(CatalogueError::arrow("stage rows"))
}

/// Sorted rows of a run; cheap to clone. The scratch files go with the last
/// clone.
#[derive(Debug, Clone)]
pub struct Staged {
    pub(crate) rows: Arc<SortedRows>,
    pub(crate) hold: RowsHold,
}

impl Staged {
    /// Distinct ids, explicit deletions included.
    pub fn rows(&self) -> u64 {
        self.rows.rows()
    }

    /// Rows that lost to a later one of the same id, or became one row with it.
    pub fn duplicates(&self) -> u64 {
        self.rows.duplicates
    }
}

/// Results of image work, any number of them.
pub struct ImageStaging {
    sorter: Sorter,
}

/// Outcomes turned into one batch at a time, so that a large slice does not
/// exist twice in memory.
const OUTCOMES_A_BATCH: usize = 1_000;

impl ImageStaging {
    pub fn new(scratch: &Path, limits: SortLimits) -> Result<Self> {
        let sorter = Sorter::new(outcome_schema(), scratch, limits)?;
        Ok(Self { sorter })
    }

    /// Of several results for a product the last one counts.
    pub fn push(&mut self, outcomes: &[ImageOutcome]) -> Result<()> {
        for outcomes in outcomes.chunks(OUTCOMES_A_BATCH) {
            let ids: StringArray = outcomes
                .iter()
                .map(|outcome| Some(outcome.product_id.as_str()))
                .collect();
            let texts: StringArray = outcomes
                .iter()
                .map(|outcome| {
                    let text = serde_json::to_string(outcome);
                    Some(text.expect("an outcome has text keys and finite numbers"))
                })
                .collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(texts)];
            let batch = RecordBatch::try_new(outcome_schema(), columns)
                .map_err(CatalogueError::arrow("stage image results"))?;
            self.sorter.push(batch)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<StagedImages> {
        let rows = self.sorter.finish(outcome_schema(), Ok)?;
        Ok(StagedImages {
            rows: Arc::new(rows),
        })
    }
}

fn outcome_schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| {
        Arc::new(Schema::new(vec![
            Field::new(ID, DataType::Utf8, false),
            Field::new(OUTCOME, DataType::Utf8, false),
        ]))
    }))
}

/// Sorted image results; cheap to clone.
#[derive(Debug, Clone)]
pub struct StagedImages {
    pub(crate) rows: Arc<SortedRows>,
}

impl StagedImages {
    pub fn rows(&self) -> u64 {
        self.rows.rows()
    }
}
