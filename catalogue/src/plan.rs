//! What a write has to do: which parts of a pipe change, and which files are
//! rewritten for it. Only the columns that decide are read.
//!
//! The files of a pipe are one sorted run without overlaps. They and the gaps
//! between them are the segments; an incoming row belongs to exactly one.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use object_store::ObjectStore;
use trawler_core::judge::{Deletes, EXAMPLES_MAX, Examples};

use crate::error::Result;
use crate::log::state::DataFile;
use crate::merge::{Aligned, Op, Rule, Sink, merge};
use crate::returning::RETURNING_IDS_MAX;
use crate::schema::{project, table_schema};
use crate::sorted::{SortedReader, SortedRows, ids};
use crate::table::reader::{OpenFile, Pages};
use crate::work::Cancelled;

/// Rows by what happens to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    /// Stored rows that an incoming row names, changed or not.
    pub(crate) met: u64,
}

/// A stored file, or a gap into which rows are inserted, with the incoming
/// rows that belong there.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) file: Option<Arc<DataFile>>,
    pub(crate) incoming: Range<u64>,
    pub(crate) counts: Counts,
}

impl Segment {
    fn is_touched(&self, deletes: Deletes) -> bool {
        let Counts {
            inserts,
            updates,
            deletes: gone,
            met: _,
        } = self.counts;
        inserts + updates > 0 || (deletes == Deletes::Apply && gone > 0)
    }

    fn stored_rows(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.rows)
    }

    /// Rows that it has afterwards.
    fn rows_after(&self, deletes: Deletes) -> u64 {
        let gone = match deletes {
            Deletes::Apply => self.counts.deletes,
            Deletes::Hold => 0,
        };
        self.stored_rows() + self.counts.inserts - gone
    }
}

/// What is known of incoming rows beside their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) stale: u64,
    pub(crate) refused: u64,
    /// The first refused ids.
    pub(crate) refused_ids: Vec<String>,
    /// Inserted ids, to be looked for among those that went; none of them
    /// where there are too many.
    pub(crate) inserted: Vec<String>,
    /// A few ids of each kind of change.
    pub(crate) examples: Examples,
}

/// Refused ids that are named.
const REFUSED_IDS_MAX: usize = 3;

impl Passed {
    fn insert(&mut self, id: &str) {
        if self.inserted.len() <= RETURNING_IDS_MAX {
            self.inserted.push(id.to_owned());
        }
    }

    /// The inserted ids, unless there are too many of them.
    pub(crate) fn few_inserted(&mut self) -> Vec<String> {
        let inserted = std::mem::take(&mut self.inserted);
        match inserted.len() > RETURNING_IDS_MAX {
            true => Vec::new(),
            false => inserted,
        }
    }

    fn refuse(&mut self, id: &str) {
        self.refused += 1;
        if self.refused_ids.len() < REFUSED_IDS_MAX {
            self.refused_ids.push(id.to_owned());
        }
    }
}

/// What a write has to do, and what it passes over.
pub(crate) struct Plan {
    pub(crate) segments: Vec<Segment>,
    pub(crate) passed: Passed,
}

/// The id in a row, for showing.
fn show(examples: &mut Vec<String>, batch: &RecordBatch, row: usize) {
    if examples.len() < EXAMPLES_MAX {
        examples.push(ids(batch).value(row).to_owned());
    }
}

struct Counting<'a> {
    rule: &'a dyn Rule,
    counts: Counts,
    passed: &'a mut Passed,
}

impl Sink for Counting<'_> {
    async fn take(
        &mut self,
        stored: &RecordBatch,
        incoming: &RecordBatch,
        aligned: &[Aligned],
    ) -> Result<()> {
        let is_met = |aligned: &&Aligned| matches!(aligned, Aligned::Both { .. });
        self.counts.met += aligned.iter().filter(is_met).count() as u64;
        for op in self.rule.decide(stored, incoming, aligned)? {
            let examples = &mut self.passed.examples;
            match op {
                Op::Keep { .. } => {}
                Op::Insert { incoming: at } => {
                    self.counts.inserts += 1;
                    show(&mut examples.inserts, incoming, at);
                    self.passed.insert(ids(incoming).value(at));
                }
                Op::Update { stored: at, .. } => {
                    self.counts.updates += 1;
                    show(&mut examples.updates, stored, at);
                }
                Op::Delete { from, len } => {
                    self.counts.deletes += len as u64;
                    for at in (from..from + len).take(EXAMPLES_MAX) {
                        show(&mut examples.deletes, stored, at);
                    }
                }
                Op::Stale { .. } => self.passed.stale += 1,
                Op::Refuse { incoming: at } => self.passed.refuse(ids(incoming).value(at)),
            }
        }
        Ok(())
    }
}

/// Compares incoming rows with the stored ones of a pipe.
pub(crate) async fn plan(
    store: &Arc<dyn ObjectStore>,
    files: &[Arc<DataFile>],
    rows: &SortedRows,
    rule: &dyn Rule,
    cancelled: &Cancelled,
) -> Result<Plan> {
    let mut planner = Planner {
        store,
        rule,
        cancelled,
        incoming: rows.read(0..rows.rows(), rule.incoming_columns())?,
        segments: Vec::new(),
        passed: Passed::default(),
    };
    for (at, file) in files.iter().enumerate() {
        if at == 0 {
            planner.gap(Some(&file.min_id)).await?;
        }
        planner.file(file).await?;
        let next = files.get(at + 1).map(|next| next.min_id.as_str());
        planner.gap(next).await?;
    }
    if files.is_empty() {
        planner.gap(None).await?;
    }
    Ok(Plan {
        segments: planner.segments,
        passed: planner.passed,
    })
}

struct Planner<'a> {
    store: &'a Arc<dyn ObjectStore>,
    rule: &'a dyn Rule,
    cancelled: &'a Cancelled,
    incoming: SortedReader,
    segments: Vec<Segment>,
    passed: Passed,
}

impl Planner<'_> {
    /// Rows up to `upper` that no file spans.
    async fn gap(&mut self, upper: Option<&str>) -> Result<()> {
        let segment = self.segment(None, upper).await?;
        if segment.counts.inserts > 0 {
            self.segments.push(segment);
        }
        Ok(())
    }

    async fn file(&mut self, file: &Arc<DataFile>) -> Result<()> {
        // The smallest text above the largest id.
        let upper = format!("{}\0", file.max_id);
        let segment = self.segment(Some(file), Some(&upper)).await?;
        self.segments.push(segment);
        Ok(())
    }

    async fn segment(
        &mut self,
        file: Option<&Arc<DataFile>>,
        upper: Option<&str>,
    ) -> Result<Segment> {
        let first = self.incoming.position();
        let named = match (self.incoming.current()?, upper) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some((batch, row)), Some(upper)) => ids(batch).value(row) < upper,
        };
        let mut sink = Counting {
            rule: self.rule,
            counts: Counts::default(),
            passed: &mut self.passed,
        };
        let read = file.filter(|_| named || self.rule.absence_matters());
        if named || read.is_some() {
            let open = match read {
                Some(file) => Some(OpenFile::open(self.store, &file.file, Pages::Skipped).await?),
                None => None,
            };
            let columns = project(&table_schema(), self.rule.stored_columns());
            let incoming = &mut self.incoming;
            merge(
                open.as_ref(),
                &columns,
                incoming,
                upper,
                self.cancelled,
                &mut sink,
            )
            .await?;
        }
        Ok(Segment {
            file: file.cloned(),
            incoming: first..self.incoming.position(),
            counts: sink.counts,
        })
    }
}

/// Neighbouring segments that are written anew together.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) segments: Range<usize>,
    /// Rows that the group has afterwards.
    pub(crate) rows: u64,
}

impl Group {
    /// Rows of each file but the last: even shares of near `file_rows`.
    pub(crate) fn rows_per_file(&self, file_rows: u64) -> u64 {
        let files = ((self.rows + file_rows / 2) / file_rows).max(1);
        self.rows.div_ceil(files).max(1)
    }
}

/// Says which segments are rewritten. A group that would leave a small file
/// takes in an untouched neighbour when the two fit in one file.
pub(crate) fn groups(segments: &[Segment], deletes: Deletes, file_rows: u64) -> Vec<Group> {
    let mut touched: Vec<bool> = segments.iter().map(|s| s.is_touched(deletes)).collect();
    for group in runs(segments, &touched, deletes) {
        if group.rows == 0 || group.rows >= file_rows / 4 {
            continue;
        }
        let before = group.segments.start.checked_sub(1);
        let after = Some(group.segments.end).filter(|at| *at < segments.len());
        let neighbour = [before, after]
            .into_iter()
            .flatten()
            .filter(|at| !touched[*at])
            .min_by_key(|at| segments[*at].stored_rows());
        if let Some(at) = neighbour
            && segments[at].stored_rows() + group.rows <= file_rows + file_rows / 2
        {
            touched[at] = true;
        }
    }
    runs(segments, &touched, deletes)
}

fn runs(segments: &[Segment], touched: &[bool], deletes: Deletes) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        if !touched[at] {
            continue;
        }
        let rows = segment.rows_after(deletes);
        match groups.last_mut() {
            Some(group) if group.segments.end == at => {
                group.segments.end = at + 1;
                group.rows += rows;
            }
            _ => groups.push(Group {
                segments: at..at + 1,
                rows,
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::action::{Add, Texts};
    use crate::table::reader::FileRef;

    /// A segment in writing: stored rows (`-` for a gap), then `+inserts`,
    /// `~updates` and `-deletes`.
    fn segment(text: &str) -> Segment {
        let mut parts = text.split(' ');
        let file = parts.next().and_then(|rows| rows.parse().ok()).map(|rows| {
            Arc::new(DataFile {
                add: Add {
                    path: String::new(),
                    partition_values: Texts::new(),
                    size: 0,
                    modification_time: 0,
                    data_change: true,
                    stats: None,
                    deletion_vector: None,
                },
                file: FileRef {
                    path: String::new(),
                    size: 0,
                },
                rows,
                min_id: String::new(),
                max_id: String::new(),
            })
        });
        let mut counts = Counts::default();
        for part in parts {
            let number = part[1..].parse().expect("a number");
            match &part[..1] {
                "+" => counts.inserts = number,
                "~" => counts.updates = number,
                _ => counts.deletes = number,
            }
        }
        Segment {
            file,
            incoming: 0..0,
            counts,
        }
    }

    #[test]
    fn only_what_changes_is_rewritten_and_small_files_join_a_neighbour() {
        let check = |texts: &[&str], deletes: Deletes, expected: &str| {
            let segments: Vec<Segment> = texts.iter().map(|text| segment(text)).collect();
            let shown: Vec<String> = groups(&segments, deletes, 100)
                .iter()
                .map(|group| {
                    let range = &group.segments;
                    format!(
                        "{}..{}:{}/{}",
                        range.start,
                        range.end,
                        group.rows,
                        group.rows_per_file(100)
                    )
                })
                .collect();
            assert_eq!(shown.join(" "), expected, "{texts:?}");
        };
        check(&["100", "100"], Deletes::Apply, "");
        check(&["100", "100 ~1", "100"], Deletes::Apply, "1..2:100/100");
        check(&["100 ~1", "100 -5", "100"], Deletes::Apply, "0..2:195/98");
        check(&["100 ~1", "100 -5", "100"], Deletes::Hold, "0..1:100/100");
        check(&["100", "- +90"], Deletes::Apply, "1..2:90/90");
        check(&["100", "- +10"], Deletes::Apply, "0..2:110/110");
        check(&["149", "- +10"], Deletes::Apply, "1..2:10/10");
        check(&["100", "100 -90", "60"], Deletes::Apply, "1..3:70/70");
        check(&["100 -100", "100"], Deletes::Apply, "0..1:0/1");
        check(&["- +1000"], Deletes::Apply, "0..1:1000/100");
        check(&["- +149"], Deletes::Apply, "0..1:149/149");
        check(&["- +150"], Deletes::Apply, "0..1:150/75");
    }
}
