//! What a run on paper shows: gathered from its document, from what it wrote on
//! paper, and from the rows before and after.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use trawler_catalogue::{
    FIRST_SEEN, IMAGE_COLUMNS, ROW_HASH, RUN, Snapshot, UPDATED, rows_as_json,
};
use trawler_core::judge::{FACTORS, Facts, Filled, PriceMove, Unruled};
use trawler_core::ledger::JobStatus;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{PipeId, RunId};

use super::Ended;
use crate::compose::Machine;
use crate::output::{self, Row};

/// Reasons of rejected rows that are told apart, and rows shown of each.
const REASONS_MAX: usize = 20;
const ROWS_A_REASON: usize = 3;

/// Bytes of the report of rejected rows that are looked at.
const REJECTED_BYTES_MAX: u64 = 8 << 20;

/// What would become of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Applied,
    /// Nothing new to read.
    Unchanged,
    DeletesHeld,
    /// Applied, though not everything was read.
    Incomplete,
    Quarantined,
    /// Parked, for a window or to try again later.
    Waits,
    Failed,
}

/// Everything that is shown, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) pipe: PipeId,
    pub(super) dry_run: bool,
    pub(super) outcome: Outcome,
    /// Why it would not be applied as it is.
    pub(super) reasons: Vec<String>,
    pub(super) remarks: Vec<String>,
    pub(super) reads_input_of: Option<RunId>,
    pub(super) counts: Counts,
    pub(super) prices: Prices,
    pub(super) fill: Vec<ColumnFill>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) unmapped: Unruled,
    pub(super) inserts: Vec<Row>,
    pub(super) updates: Vec<Update>,
    pub(super) deletes: Vec<Row>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) stored: u64,
    pub(super) rows: u64,
    pub(super) rejected: u64,
    pub(super) duplicates: u64,
    pub(super) stale: u64,
    pub(super) inserts: u64,
    pub(super) updates: u64,
    pub(super) deletes: u64,
    /// Of the deletes.
    pub(super) held_deletes: u64,
    pub(super) unchanged: u64,
    /// That would be fetched.
    pub(super) images: u64,
}

/// The histogram of price shifts.
#[derive(Debug, Default, Serialize)]
pub(super) struct Prices {
    pub(super) compared: u64,
    /// Moved by no more than the least factor.
    pub(super) still: u64,
    pub(super) steps: Vec<PriceStep>,
    pub(super) examples: Vec<PriceMove>,
}

#[derive(Debug, Serialize)]
pub(super) struct PriceStep {
    /// Moved by more than this, and not by more than the next one.
    pub(super) factor: f64,
    pub(super) fell: u64,
    pub(super) rose: u64,
}

/// Shares of rows that have a value in a column.
#[derive(Debug, Serialize)]
pub(super) struct ColumnFill {
    pub(super) column: String,
    /// None of a pipe that has no rows.
    pub(super) stored: Option<f64>,
    /// None of a run that read nothing.
    pub(super) now: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Rejected {
    pub(super) reason: String,
    pub(super) column: Option<String>,
    pub(super) rows: u64,
    pub(super) examples: Vec<Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Update {
    pub(super) id: String,
    pub(super) columns: BTreeMap<String, Change>,
}

#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) before: Value,
    pub(super) after: Value,
}

/// Where all of it is.
pub(super) struct Evidence<'a> {
    pub(super) paper: &'a Machine,
    pub(super) pipe: &'a PipeId,
    /// The catalogue before the run.
    pub(super) before: Snapshot,
    pub(super) ended: &'a Ended,
}

impl Evidence<'_> {
    pub(super) async fn report(&self) -> anyhow::Result<Report> {
        let run = &self.ended.run;
        let facts = run.facts.as_deref().cloned().unwrap_or_default();
        let outcome = self.outcome();
        let (inserts, updates, deletes) = self.examples(&facts).await?;
        Ok(Report {
            pipe: self.pipe.clone(),
            dry_run: true,
            outcome,
            reasons: self.reasons(outcome),
            remarks: run.remarks.clone(),
            reads_input_of: run.rereads.as_ref().map(|reread| reread.run.clone()),
            counts: self.counts(&facts),
            prices: prices(&facts),
            fill: self.fill(&facts).await?,
            rejected: self.rejected().await?,
            unmapped: facts.unmapped,
            inserts,
            updates,
            deletes,
        })
    }

    fn outcome(&self) -> Outcome {
        let run = &self.ended.run;
        let status = self.ended.record.as_ref().map(|record| record.status);
        match run.phase {
            RunPhase::Quarantined => Outcome::Quarantined,
            RunPhase::Finished if run.counts.held_deletes > 0 => Outcome::DeletesHeld,
            RunPhase::Finished if !run.is_complete() => Outcome::Incomplete,
            RunPhase::Finished if run.facts.is_none() => Outcome::Unchanged,
            RunPhase::Finished => Outcome::Applied,
            _ if status == Some(JobStatus::Parked) => Outcome::Waits,
            RunPhase::Planned
            | RunPhase::Collecting
            | RunPhase::Committing
            | RunPhase::Committed
            | RunPhase::Failed
            | RunPhase::Superseded => Outcome::Failed,
        }
    }

    fn reasons(&self, outcome: Outcome) -> Vec<String> {
        let run = &self.ended.run;
        let mut reasons = [&*run.quarantine, &*run.incomplete].concat();
        if matches!(outcome, Outcome::Failed | Outcome::Waits) {
            let of_job = self.ended.record.iter().map(|record| record.reason.clone());
            reasons.extend(of_job.filter(|reason| !reason.is_empty()));
            if reasons.is_empty() {
                reasons.push(run.reason.clone());
            }
        }
        reasons
    }

    fn counts(&self, facts: &Facts) -> Counts {
        let Run { phase, counts, .. } = &self.ended.run;
        let stored = self.before.live_rows(self.pipe);
        let mut told = Counts {
            stored,
            rows: counts.rows,
            rejected: counts.rejected,
            duplicates: counts.duplicates,
            stale: counts.stale,
            inserts: counts.inserts,
            updates: counts.updates,
            deletes: counts.deletes + counts.held_deletes,
            held_deletes: counts.held_deletes,
            unchanged: counts.unchanged,
            images: counts.images,
        };
        if *phase == RunPhase::Quarantined {
            told.inserts = facts.inserts;
            told.updates = facts.updates;
            told.deletes = facts.deletes;
            told.unchanged = stored.saturating_sub(facts.updates + facts.deletes);
        }
        told
    }

    /// Each column that stored or new rows have values in.
    async fn fill(&self, facts: &Facts) -> anyhow::Result<Vec<ColumnFill>> {
        let stored = self.paper.catalogue().await?;
        let stored = stored.fill(&self.before, self.pipe).await?;
        let names: BTreeSet<&String> = stored
            .columns
            .keys()
            .chain(facts.filled.columns.keys())
            .collect();
        let share = |filled: &Filled, name: &str| (filled.read > 0).then(|| filled.share(name));
        let of_column = |name: &String| ColumnFill {
            column: name.clone(),
            stored: share(&stored, name),
            now: share(&facts.filled, name),
        };
        Ok(names.into_iter().map(of_column).collect())
    }

    async fn rejected(&self) -> anyhow::Result<Vec<Rejected>> {
        let Some(key) = &self.ended.run.rejected_report else {
            return Ok(Vec::new());
        };
        let range = Some(0..REJECTED_BYTES_MAX);
        let lines = self.paper.ports.blobs.get(key, range).await?;
        let mut found: Vec<Rejected> = Vec::new();
        for line in lines.split(|byte| *byte == b'\n') {
            // The last line may be cut off by the bound.
            let Ok(row) = serde_json::from_slice::<Value>(line) else {
                continue;
            };
            let reason = row["reason"].as_str().unwrap_or_default();
            let column = row["column"].as_str();
            let is_same = |one: &Rejected| one.reason == reason && one.column.as_deref() == column;
            match found.iter().position(is_same) {
                Some(at) => {
                    let known = &mut found[at];
                    known.rows += 1;
                    if known.examples.len() < ROWS_A_REASON {
                        known.examples.push(row);
                    }
                }
                None if found.len() < REASONS_MAX => found.push(Rejected {
                    reason: reason.to_owned(),
                    column: column.map(str::to_owned),
                    rows: 1,
                    examples: vec![row],
                }),
                None => {}
            }
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.rows));
        Ok(found)
    }

    /// The rows of the ids that the run names, before and after it.
    async fn examples(&self, facts: &Facts) -> anyhow::Result<(Vec<Row>, Vec<Update>, Vec<Row>)> {
        let after = self.paper.catalogue().await?.snapshot().await?;
        let mut inserts = Vec::new();
        for id in &facts.examples.inserts {
            inserts.push(self.row(&after, id).await?);
        }
        let mut updates = Vec::new();
        for id in &facts.examples.updates {
            let (before, after) = (
                self.row(&self.before, id).await?,
                self.row(&after, id).await?,
            );
            updates.push(Update {
                id: id.clone(),
                columns: changed(&before, &after),
            });
        }
        let mut deletes = Vec::new();
        for id in &facts.examples.deletes {
            deletes.push(self.row(&self.before, id).await?);
        }
        Ok((inserts, updates, deletes))
    }

    /// The row without what it has no value for, also one that nobody is shown
    /// yet; its id alone if it is not there.
    async fn row(&self, snapshot: &Snapshot, id: &str) -> anyhow::Result<Row> {
        let catalogue = self.paper.catalogue().await?;
        let found = catalogue.stored_product(snapshot, self.pipe, id).await?;
        let rows = found.map(|batch| rows_as_json(&batch)).unwrap_or_default();
        Ok(match rows.first() {
            Some(row) => output::without_nulls(row),
            None => [("id".to_owned(), json!(id))].into_iter().collect(),
        })
    }
}

/// Columns that differ, but for those that every change writes.
fn changed(before: &Row, after: &Row) -> BTreeMap<String, Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let is_content = |name: &str| {
        ![ROW_HASH, UPDATED, RUN, FIRST_SEEN].contains(&name) && !IMAGE_COLUMNS.contains(&name)
    };
    let value = |row: &Row, name: &str| row.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .filter(|name| is_content(name))
        .map(|name| {
            let (before, after) = (value(before, name), value(after, name));
            (name.clone(), Change { before, after })
        })
        .filter(|(_, change)| change.before != change.after)
        .collect()
}

fn prices(facts: &Facts) -> Prices {
    let moves = &facts.prices;
    let steps = FACTORS.iter().zip(moves.fell.iter().zip(&moves.rose));
    Prices {
        compared: moves.compared,
        still: moves.still(),
        steps: steps
            .map(|((factor, ..), (fell, rose))| PriceStep {
                factor: *factor,
                fell: *fell,
                rose: *rose,
            })
            .collect(),
        examples: moves.examples.clone(),
    }
}
