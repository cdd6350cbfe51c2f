//! What was read becomes one commit: diff, judge, files, log entry.

use trawler_catalogue::{
    CommitOutcome, Diff, Fence, Mode, PreparedCommit, Snapshot, Staged, Staging, Txn,
};
use trawler_core::book::BookRef;
use trawler_core::feed::FeedMode;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::judge::{ByAbsence, Deletes, Drop, judge_deletes};
use trawler_core::ports::Metric;
use trawler_core::run::{RunCounts, RunPhase};
use trawler_core::verdict::Ending;

use super::Collect;
use crate::failure::{catalogue_failure, commit_failure};
use crate::parse::Parsed;
use crate::scratch::Scratch;

/// What a run learned of its source. Only a complete one vouches for it.
pub(super) enum Learned {
    Feed(FeedValidators),
    Site(BookRef),
}

impl Collect<'_> {
    /// Settles the run in the catalogue without a row: one small log entry.
    pub(super) async fn commit_unchanged(
        &self,
        snapshot: &Snapshot,
        scratch: &Scratch,
        bytes_down: u64,
    ) -> Result<Option<i64>, Ending> {
        let live = snapshot.live_rows(&self.pipe.id);
        self.document()
            .update(|run| {
                run.phase = RunPhase::Committing;
                run.counts.bytes_down = bytes_down;
                run.counts.unchanged = live;
                run.remarks = vec!["the feed is the one of the last complete run".to_owned()];
            })
            .await?;
        let staging =
            Staging::new(scratch.path(), self.crawler.options.sort).map_err(catalogue_failure)?;
        let nothing = staging.finish().map_err(catalogue_failure)?;
        let catalogue = &self.crawler.catalogue;
        let diff = catalogue
            .diff(snapshot, &self.pipe.id, &nothing, Mode::Summary)
            .await
            .map_err(catalogue_failure)?;
        let prepared = catalogue
            .write(&diff, &self.stamp(), Deletes::Apply)
            .await
            .map_err(catalogue_failure)?;
        self.commit(&prepared).await
    }

    pub(super) async fn commit_rows(
        &self,
        snapshot: Snapshot,
        parsed: Parsed,
        bytes_down: u64,
        learned: Option<Learned>,
    ) -> Result<Option<i64>, Ending> {
        let report = self.put_rejected_report(&parsed).await?;
        let diff = self.diff(&snapshot, &parsed.staged).await?;
        let (deletes, incomplete) = judge_deletes(
            &parsed.incomplete,
            by_absence(self.pipe.reading().mode),
            Drop {
                live: diff.live_rows,
                deletes: diff.deletes,
            },
            self.pipe.judge.max_drop,
        );
        self.ctx.step().await?;
        let stamp = self.stamp();
        let written = self.crawler.catalogue.write(&diff, &stamp, deletes);
        let prepared = self.ctx.unless_told(written).await?;
        let prepared = prepared.map_err(catalogue_failure)?;
        let held = match deletes {
            Deletes::Hold => diff.deletes,
            Deletes::Apply => 0,
        };
        let deleted = diff.deletes - held;
        let counts = RunCounts {
            rows: parsed.staged.rows(),
            rejected: parsed.rejected + diff.refused,
            stale: diff.stale,
            duplicates: parsed.staged.duplicates(),
            bytes_down,
            inserts: diff.inserts,
            updates: diff.updates,
            deletes: deleted,
            held_deletes: held,
            unchanged: diff.unchanged,
            rewritten: prepared.rows_written(),
            ..RunCounts::default()
        };
        let (validators, book) = match learned.filter(|_| incomplete.is_empty()) {
            Some(Learned::Feed(validators)) => (Some(validators), None),
            Some(Learned::Site(book)) => (None, Some(book)),
            None => (None, None),
        };
        let metrics = &self.crawler.ports.metrics;
        metrics.record(Metric::ProductsRead {
            rows: parsed.staged.rows(),
        });
        let mut remarks = parsed.remarks;
        remarks.extend(passed_over(&diff));
        self.document()
            .update(|run| {
                run.phase = RunPhase::Committing;
                run.validators.clone_from(&validators);
                run.book.clone_from(&book);
                run.incomplete.clone_from(&incomplete);
                run.remarks.clone_from(&remarks);
                run.rejected_report.clone_from(&report);
                run.counts = counts;
            })
            .await?;
        self.ctx.step().await?;
        if let Some(overtaken) = self.commit(&prepared).await? {
            return Ok(Some(overtaken));
        }
        metrics.record(Metric::ProductsChanged {
            rows: diff.inserts + diff.updates + deleted,
        });
        metrics.record(Metric::RowsRewritten {
            rows: prepared.rows_written(),
        });
        Ok(None)
    }

    async fn diff(&self, snapshot: &Snapshot, staged: &Staged) -> Result<Diff, Ending> {
        let mode = match self.pipe.reading().mode {
            FeedMode::Full => Mode::Full,
            FeedMode::Summary => Mode::Summary,
        };
        let catalogue = &self.crawler.catalogue;
        let diff = catalogue.diff(snapshot, &self.pipe.id, staged, mode);
        self.ctx.unless_told(diff).await?.map_err(catalogue_failure)
    }

    /// Commits under the run's sequence. `Some` when a later run has settled.
    async fn commit(&self, prepared: &PreparedCommit) -> Result<Option<i64>, Ending> {
        let txn = Txn {
            app_id: self.pipe.id.to_string(),
            version: self.run.seq.0,
        };
        let fence = Fence::new(|| self.ctx.still_mine());
        match self.crawler.catalogue.commit(prepared, &txn, &fence).await {
            Ok(CommitOutcome::Committed { version, .. }) => {
                self.crawler.ports.metrics.record(Metric::CommitLanded);
                self.document()
                    .update(|run| run.version = Some(version))
                    .await?;
                Ok(None)
            }
            Ok(CommitOutcome::AlreadyCommitted) => Ok(None),
            Ok(CommitOutcome::Superseded { stored }) => Ok(Some(stored)),
            Err(error) => Err(commit_failure(error)),
        }
    }

    async fn put_rejected_report(&self, parsed: &Parsed) -> Result<Option<String>, Ending> {
        let Some(report) = &parsed.rejected_report else {
            return Ok(None);
        };
        let key = format!(
            "reports/{}/{}-{}-rejected.jsonl",
            self.pipe.id, self.run.seq, self.job.epoch
        );
        crate::report::put(&*self.crawler.ports.blobs, &key, report)
            .await
            .map_err(Ending::Failed)?;
        Ok(Some(key))
    }
}

/// Rows that differ from what is stored and change nothing.
fn passed_over(diff: &Diff) -> Vec<String> {
    let mut remarks = Vec::new();
    if diff.refused > 0 {
        remarks.push(format!(
            "{} row(s) rejected: not stored yet, and without title or link, such as {:?}",
            diff.refused, diff.refused_ids
        ));
    }
    if diff.stale > 0 {
        remarks.push(format!(
            "{} row(s) ignored: older than the stored ones by their update_time",
            diff.stale
        ));
    }
    remarks
}

fn by_absence(mode: FeedMode) -> ByAbsence {
    match mode {
        FeedMode::Full => ByAbsence::Yes,
        FeedMode::Summary => ByAbsence::No,
    }
}
