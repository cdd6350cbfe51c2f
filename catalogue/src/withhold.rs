//! Rows that nobody is shown: the column `withheld` says why. They stay where
//! they are, with `first_seen` and image state, so that they can be let out
//! again without a crawl.
//!
//! To readers of the change feed a row that is withheld is deleted, and one
//! that is let out is inserted; what becomes of it in between they do not hear
//! (`rewrite` keeps it for those who look for what went).
//! Whoever reads the table with other tools asks for rows where `withheld` is
//! null. Who decides is in `trawler_core::withheld`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;
use serde_json::json;
use trawler_core::judge::Deletes;
use trawler_core::withheld::{Policy, Withheld, Withholding};

use crate::catalogue::{Catalogue, Snapshot};
use crate::commit::Txn;
use crate::diff::{PreparedCommit, Work, WriteId, Writer, total};
use crate::error::{CatalogueError, Result};
use crate::merge::{Aligned, Changed, Op, Rule, push_keep};
use crate::plan::Plan;
use crate::schema::{ID, WITHHELD, table_schema};
use crate::sort::SortLimits;
use crate::sorted::ids;
use crate::staging::Staging;

/// The reasons in a batch; `None` where it was read without them.
pub(crate) fn reasons(batch: &RecordBatch) -> Option<&StringArray> {
    batch.column_by_name(WITHHELD)?.as_string_opt()
}

/// Whether the row of a batch is shown.
pub(crate) fn is_shown(reasons: Option<&StringArray>, row: usize) -> bool {
    reasons.is_none_or(|reasons| reasons.is_null(row))
}

/// The rows of a batch that are shown.
pub(crate) fn shown(batch: RecordBatch) -> Result<RecordBatch> {
    let Some(reasons) = reasons(&batch) else {
        return Ok(batch);
    };
    if reasons.null_count() == reasons.len() {
        return Ok(batch);
    }
    let is_shown = arrow_array::BooleanArray::from_iter(
        (0..reasons.len()).map(|row| Some(reasons.is_null(row))),
    );
    filter_record_batch(&batch, &is_shown).map_err(CatalogueError::arrow("leave out withheld rows"))
}

/// Why each of the ids is withheld.
pub(crate) fn column(policy: &Policy, ids: &StringArray) -> ArrayRef {
    let reason = |id: Option<&str>| policy.of(id?).map(Withheld::as_str);
    Arc::new(ids.iter().map(reason).collect::<StringArray>())
}

/// Brings the column of stored rows to what is decided; no incoming row counts.
struct WithholdRule {
    policy: Policy,
}

impl WithholdRule {
    fn of_row(&self, ids: &StringArray, row: usize) -> Option<&'static str> {
        self.policy.of(ids.value(row)).map(Withheld::as_str)
    }
}

impl Rule for WithholdRule {
    fn stored_columns(&self) -> &[&'static str] {
        &[ID, WITHHELD]
    }

    fn incoming_columns(&self) -> Option<&[&'static str]> {
        Some(&[ID])
    }

    fn absence_matters(&self) -> bool {
        true
    }

    fn decide(
        &self,
        stored: &RecordBatch,
        _: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<Vec<Op>> {
        let (ids, reasons) = (ids(stored), reasons(stored));
        let mut ops = Vec::with_capacity(aligned.len());
        for aligned in aligned {
            let Aligned::Stored { from, len } = *aligned else {
                unreachable!("nothing comes in where rows are withheld");
            };
            for row in from..from + len {
                let known = reasons.filter(|known| known.is_valid(row));
                if known.map(|known| known.value(row)) == self.of_row(ids, row) {
                    push_keep(&mut ops, row, 1);
                } else {
                    // There is no incoming row, and none is looked at.
                    let (stored, incoming) = (row, 0);
                    ops.push(Op::Update { stored, incoming });
                }
            }
        }
        Ok(ops)
    }

    fn build(
        &self,
        stored: &RecordBatch,
        _: &RecordBatch,
        changed: &[Changed],
    ) -> Result<RecordBatch> {
        let rows = changed.iter().map(|row| {
            let row = row.stored.expect("only stored rows are withheld");
            row as u32
        });
        let from = UInt32Array::from_iter_values(rows);
        let taken = |name: &str| {
            let column = stored
                .column_by_name(name)
                .expect("rows are built of all columns of the table");
            take(column, &from, None).map_err(CatalogueError::arrow("build withheld rows"))
        };
        let ids = taken(ID)?;
        let columns: Result<Vec<ArrayRef>> = table_schema()
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                WITHHELD => Ok(column(&self.policy, ids.as_string())),
                name => taken(name),
            })
            .collect();
        RecordBatch::try_new(table_schema(), columns?)
            .map_err(CatalogueError::arrow("build withheld rows"))
    }

    fn withholds(&self) -> bool {
        true
    }

    fn replaces_pictures(&self) -> bool {
        false
    }
}

/// What a commit of withheld rows is made of.
pub struct Withholds {
    pub prepared: PreparedCommit,
    pub txn: Txn,
    /// Rows whose reason changes.
    pub rows: u64,
}

impl Catalogue {
    /// Writes the files that bring the pipe's rows to what the document says.
    /// Without such a row there is no file, and the commit only notes the
    /// document's number. The document has to be read after the snapshot was
    /// taken: so a run that does not know it meets this commit, or the other
    /// way round.
    pub async fn withhold(&self, base: &Snapshot, document: &Withholding) -> Result<Withholds> {
        let pipe = &document.pipe;
        let scratch = tempfile::tempdir().map_err(CatalogueError::scratch(
            "create a folder",
            &std::env::temp_dir(),
        ))?;
        let nothing = Staging::new(scratch.path(), SortLimits::default())?.finish()?;
        let rule: Arc<dyn Rule> = Arc::new(WithholdRule {
            policy: document.policy(),
        });
        let Plan { segments, .. } = self
            .plan(base, pipe, &nothing.rows, Arc::clone(&rule))
            .await?;
        let rows = total(&segments).updates;
        let segments = Arc::new(segments);
        let write_id = WriteId::once(&format!("w{}", document.revision))?;
        let work = Work {
            base,
            pipe,
            incoming: &nothing.rows,
            segments: &segments,
            rule,
            deletes: Deletes::Hold,
        };
        let files = self.rewrite(work, "withhold", &write_id).await?;
        let app_id = Withholding::app_id(pipe);
        let writer = Writer {
            pipe,
            kind: "withhold",
            operation: "UPDATE",
            written_by: app_id.clone(),
            write_id: &write_id,
        };
        let metrics = json!({ "numUpdatedRows": rows.to_string() });
        Ok(Withholds {
            prepared: writer.prepared(base, files, metrics),
            txn: Txn {
                app_id,
                version: document.revision,
            },
            rows,
        })
    }
}

/// The columns to be read so that withheld rows can be left out.
pub(crate) fn with_reasons(schema: &SchemaRef) -> SchemaRef {
    if schema.column_with_name(WITHHELD).is_some() {
        return Arc::clone(schema);
    }
    let mut names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    names.push(WITHHELD);
    crate::schema::project(&table_schema(), &names)
}
