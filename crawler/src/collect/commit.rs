//! What was read becomes one commit: diff, judge, files, log entry.

use trawler_catalogue::{
    CommitError, CommitOutcome, Diff, Fence, Mode, PreparedCommit, Snapshot, Staged, Staging, Txn,
};
use trawler_core::RunId;
use trawler_core::book::BookRef;
use trawler_core::feed::FeedMode;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::judge::Deletes;
use trawler_core::ports::Metric;
use trawler_core::run::{RunCounts, RunPhase};
use trawler_core::verdict::{Ending, Failure};

use super::judged::Judged;
use super::withheld::Decisions;
use super::{Collect, Landed};
use crate::failure::{catalogue_failure, commit_failure};
use crate::parse::Parsed;
use crate::scratch::Scratch;

/// Rows that wait to be compared and judged, with what came with them.
pub(super) struct Collected<'a> {
    pub(super) parsed: Parsed,
    pub(super) bytes_down: u64,
    pub(super) learned: Option<Learned>,
    /// The run that a person accepted, if these are its rows.
    pub(super) accepts: Option<&'a RunId>,
}

/// Times that a run compares and writes again because somebody decided what is
/// withheld meanwhile: more is no coincidence.
const DISTURBED_MAX: u32 = 8;

/// What a run learned of its source. Only a complete one vouches for it.
#[derive(Clone)]
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
    ) -> Result<Landed, Ending> {
        let live = snapshot.live_rows(&self.pipe.id);
        let landed = self.landed(snapshot).await?;
        let compare_with = landed.and_then(|run| run.comparable());
        self.document()
            .update(|run| {
                run.phase = RunPhase::Committing;
                run.counts.bytes_down = bytes_down;
                run.counts.unchanged = live;
                run.compare_with = compare_with;
                run.remarks = vec!["the feed is the one of the last complete run".to_owned()];
            })
            .await?;
        let staging =
            Staging::new(scratch.path(), self.crawler.options.sort).map_err(catalogue_failure)?;
        let nothing = staging.finish().map_err(catalogue_failure)?;
        let catalogue = &self.crawler.catalogue;
        let mut snapshot = snapshot.clone();
        for _ in 0..DISTURBED_MAX {
            let diff = catalogue
                .diff(&snapshot, &self.pipe.id, &nothing, Mode::Summary)
                .await
                .map_err(catalogue_failure)?;
            let prepared = catalogue
                .write(&diff, &self.stamp(), Deletes::Apply)
                .await
                .map_err(catalogue_failure)?;
            if let Some(landed) = self.commit(prepared).await? {
                return Ok(landed);
            }
            snapshot = self.new_snapshot().await?;
        }
        Err(self.disturbed())
    }

    pub(super) async fn commit_rows(
        &self,
        mut snapshot: Snapshot,
        collected: Collected<'_>,
    ) -> Result<Landed, Ending> {
        let report = self.put_rejected_report(&collected.parsed).await?;
        let metrics = &self.crawler.ports.metrics;
        let rows = collected.parsed.staged.rows();
        metrics.record(Metric::ProductsRead { rows });
        for _ in 0..DISTURBED_MAX {
            let landed = self.commit_once(&snapshot, &collected, report.clone());
            if let Some(landed) = landed.await? {
                return Ok(landed);
            }
            snapshot = self.new_snapshot().await?;
        }
        Err(self.disturbed())
    }

    /// `None` when somebody else changed what the rows were compared with: a
    /// decision about what is withheld, which no lease holds off.
    async fn commit_once(
        &self,
        snapshot: &Snapshot,
        collected: &Collected<'_>,
        report: Option<String>,
    ) -> Result<Option<Landed>, Ending> {
        let parsed = &collected.parsed;
        let diff = self.diff(snapshot, &parsed.staged).await?;
        let mut judged = self.judge(snapshot, collected, &diff).await?;
        let counts = RunCounts {
            rows: parsed.staged.rows(),
            rejected: parsed.rejected + diff.refused,
            stale: diff.stale,
            duplicates: parsed.staged.duplicates(),
            bytes_down: collected.bytes_down,
            ..RunCounts::default()
        };
        let remarks = [&*judged.remarks, &*parsed.remarks, &*passed_over(&diff)].concat();
        if !judged.quarantine.is_empty() {
            let landed = self.quarantine(judged, counts, &remarks, report).await?;
            return Ok(Some(landed));
        }
        self.ctx.step().await?;
        let stamp = self.stamp();
        let Decisions {
            not_shown,
            blocked_images,
        } = self.decisions().await?;
        let catalogue = &self.crawler.catalogue;
        let written = catalogue.write_withholding(&diff, &stamp, judged.deletes, not_shown);
        let prepared = self.ctx.unless_told(written).await?;
        let prepared = prepared.map_err(catalogue_failure)?;
        self.judge_prices(&mut judged, collected, &diff, &prepared);
        if !judged.quarantine.is_empty() {
            self.discard(prepared).await;
            let landed = self.quarantine(judged, counts, &remarks, report).await?;
            return Ok(Some(landed));
        }
        let held = match judged.deletes {
            Deletes::Hold => diff.deletes,
            Deletes::Apply => 0,
        };
        let counts = RunCounts {
            inserts: diff.inserts,
            updates: diff.updates,
            deletes: diff.deletes - held,
            held_deletes: held,
            unchanged: diff.unchanged,
            rewritten: prepared.rows_written(),
            ..counts
        };
        // Also of an accepted run only what was read whole is vouched for.
        let is_whole = judged.incomplete.is_empty() && parsed.incomplete.is_empty();
        let learned = collected.learned.clone().filter(|_| is_whole);
        self.will_commit(&judged, learned, counts, &remarks, report, blocked_images)
            .await?;
        self.ctx.step().await?;
        let landed = self.commit(prepared).await?;
        if matches!(landed, Some(Landed::InCatalogue)) {
            let metrics = &self.crawler.ports.metrics;
            let rows = counts.changes();
            metrics.record(Metric::ProductsChanged { rows });
            let rows = counts.rewritten;
            metrics.record(Metric::RowsRewritten { rows });
        }
        Ok(landed)
    }

    /// The run is judged and its counts are final.
    async fn will_commit(
        &self,
        judged: &Judged,
        learned: Option<Learned>,
        counts: RunCounts,
        remarks: &[String],
        report: Option<String>,
        blocked_images: i64,
    ) -> Result<(), Ending> {
        let (validators, book) = match learned {
            Some(Learned::Feed(validators)) => (Some(validators), None),
            Some(Learned::Site(book)) => (None, Some(book)),
            None => (None, None),
        };
        self.document()
            .update(|run| {
                run.phase = RunPhase::Committing;
                run.validators.clone_from(&validators);
                run.book.clone_from(&book);
                run.incomplete.clone_from(&judged.incomplete);
                run.drop_held = judged.drop_held;
                run.compare_with = judged.facts.before.as_ref().map(|before| before.run);
                run.facts = Some(Box::new(judged.facts.clone()));
                run.remarks = remarks.to_vec();
                run.rejected_report.clone_from(&report);
                run.blocked_images = Some(blocked_images);
                run.counts = counts;
            })
            .await?;
        Ok(())
    }

    /// Removes what was written for nothing; what cannot be removed now is an
    /// orphan like what a crash leaves.
    async fn discard(&self, prepared: PreparedCommit) {
        if let Err(error) = self.crawler.catalogue.discard(prepared).await {
            let run = &self.run;
            tracing::debug!(%run, %error, "files of {run} are not removed: {error}");
        }
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

    async fn new_snapshot(&self) -> Result<Snapshot, Ending> {
        self.ctx.step().await?;
        let snapshot = self.crawler.catalogue.snapshot().await;
        snapshot.map_err(catalogue_failure)
    }

    fn disturbed(&self) -> Ending {
        let pipe = &self.pipe.id;
        Ending::Failed(Failure::transient(format!(
            "pipe {pipe} was changed {DISTURBED_MAX} times while run {} was to be committed",
            self.run
        )))
    }

    /// Commits under the run's sequence, unless a later run has settled. `None`
    /// when the pipe was changed since the snapshot.
    async fn commit(&self, prepared: PreparedCommit) -> Result<Option<Landed>, Ending> {
        let txn = Txn {
            app_id: self.pipe.id.to_string(),
            version: self.run.seq.0,
        };
        let fence = Fence::new(|| self.ctx.still_mine());
        match self.crawler.catalogue.land(prepared, &txn, &fence).await {
            Ok(CommitOutcome::Committed { version, .. }) => {
                self.crawler.ports.metrics.record(Metric::CommitLanded);
                self.document()
                    .update(|run| run.version = Some(version))
                    .await?;
                Ok(Some(Landed::InCatalogue))
            }
            Ok(CommitOutcome::AlreadyCommitted) => {
                // What another delivery knew of blocked pictures is not known.
                self.document()
                    .update(|run| run.blocked_images = None)
                    .await?;
                Ok(Some(Landed::InCatalogue))
            }
            Ok(CommitOutcome::Superseded { stored }) => Ok(Some(Landed::Overtaken(stored))),
            Err(CommitError::Conflict { .. }) => Ok(None),
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
