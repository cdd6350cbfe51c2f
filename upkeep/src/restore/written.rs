//! What a restore writes down: its run, the decision, and validators that vouch
//! for nothing.

use trawler_catalogue::Restoring;
use trawler_core::book::BookRef;
use trawler_core::decision::{Decided, Decision};
use trawler_core::feed::FeedMode;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::open_runs::OpenRuns;
use trawler_core::run::{Run, RunCounts, RunPhase, SUPERSEDED_BY};
use trawler_core::{PipeId, RunId, RunSeq};
use trawler_fleet::{Created, DocumentError, Documents};

use super::{RestoreError, RestoreOptions};
use crate::Upkeep;

/// Fingerprint of validators that vouch for nothing: no run has it.
const NOTHING: &str = "restored";

/// Restores that somebody began.
#[derive(Default)]
pub(super) struct Earlier {
    /// That did not come to their end.
    pub(super) left: Vec<Run>,
    over: Vec<RunSeq>,
}

impl Upkeep {
    /// Restores that were begun before this one. The schedule knows their
    /// numbers, so that nobody looks for them among all runs.
    pub(super) async fn begun_before(&self, pipe: &PipeId) -> Result<Earlier, RestoreError> {
        let documents = self.ports.documents();
        let known: Option<OpenRuns> = documents.get(&OpenRuns::key(pipe)).await?;
        let mut earlier = Earlier::default();
        for seq in known.map(|known| known.restoring).unwrap_or_default() {
            let pipe = pipe.clone();
            let run: Option<Run> = documents.get(&Run::key(&RunId { pipe, seq })).await?;
            match run.filter(|run| !run.phase.is_over()) {
                Some(run) => earlier.left.push(run),
                None => earlier.over.push(seq),
            }
        }
        Ok(earlier)
    }

    /// Writes the number of the restore into the schedule, then its run down;
    /// gives its id.
    pub(super) async fn begin(
        &self,
        options: &RestoreOptions,
        landed: Option<RunSeq>,
        target: &Run,
        earlier: &Earlier,
    ) -> Result<RunId, RestoreError> {
        let documents = self.ports.documents();
        let now = self.ports.clock.now();
        let pipe = &options.to.pipe;
        // Never below a run that landed by a clock that is ahead.
        let mut seq = RunSeq::from_due(now).max(RunSeq(landed.map_or(0, |landed| landed.0 + 1)));
        let schedule = OpenRuns::key(pipe);
        let none = OpenRuns::none(pipe.clone());
        documents.create(&schedule, &none).await?;
        loop {
            let id = RunId {
                pipe: pipe.clone(),
                seq,
            };
            let begins = |runs: &mut OpenRuns| runs.restores(seq, &earlier.over);
            documents.change(&schedule, begins).await?;
            let document = Run {
                phase: RunPhase::Committing,
                started: Some(now),
                restores: Some(options.to.clone()),
                compare_with: target.comparable(),
                remarks: vec![format!("brings back what run {} left", options.to)],
                // It is no full read of the source: a gap stays one.
                ..Run::plan(id.clone(), FeedMode::Summary, now)
            };
            if documents.create(&Run::key(&id), &document).await? == Created::New {
                for stale in &earlier.left {
                    self.give_up(&stale.id, &id).await?;
                }
                return Ok(id);
            }
            seq = RunSeq(seq.0 + 1);
        }
    }

    pub(super) async fn decide(
        &self,
        options: &RestoreOptions,
        restore: &RunId,
    ) -> Result<(), RestoreError> {
        let why = match options.why.as_str() {
            "" => format!("to run {}", options.to),
            why => format!("to run {}: {why}", options.to),
        };
        let decision = Decision {
            run: restore.clone(),
            verdict: Decided::Restored,
            by: options.by.clone(),
            at: self.ports.clock.now(),
            why,
        };
        let documents = self.ports.documents();
        documents.create(&Decision::key(restore), &decision).await?;
        let decided = |run: &mut Run| run.decided = Some(Decided::Restored);
        documents.change(&Run::key(restore), decided).await?;
        Ok(())
    }

    pub(super) async fn give_up(&self, restore: &RunId, by: &RunId) -> Result<(), RestoreError> {
        let now = self.ports.clock.now();
        let end = |run: &mut Run| {
            run.phase = RunPhase::Superseded;
            run.finished = Some(now);
            run.reason = format!("{SUPERSEDED_BY}{by}");
        };
        self.ports
            .documents()
            .change(&Run::key(restore), end)
            .await?;
        Ok(())
    }

    /// Counts what is about to be committed; of what is committed already
    /// nothing differs any more, and the counts of then stand.
    pub(super) async fn will_commit(
        &self,
        restore: &RunId,
        restoring: &Restoring,
    ) -> Result<(), RestoreError> {
        if restoring.is_unchanged() {
            return Ok(());
        }
        let counts = RunCounts {
            rows: restoring.then_rows,
            inserts: restoring.inserts,
            updates: restoring.updates,
            deletes: restoring.deletes,
            ..RunCounts::default()
        };
        let count = |run: &mut Run| run.counts = counts;
        self.ports
            .documents()
            .change(&Run::key(restore), count)
            .await?;
        Ok(())
    }

    pub(super) async fn finish(
        &self,
        restore: &RunId,
        version: Option<i64>,
    ) -> Result<RunCounts, RestoreError> {
        let now = self.ports.clock.now();
        let end = |run: &mut Run| {
            run.phase = RunPhase::Finished;
            run.finished = Some(now);
            run.version = run.version.or(version);
        };
        let documents = self.ports.documents();
        let run = documents.change(&Run::key(restore), end).await?;
        tracing::info!(run = %restore, "pipe {} is restored by run {restore}", restore.pipe);
        Ok(run.map(|run| run.counts).unwrap_or_default())
    }
}

/// The next run reads the feed whatever the partner says of it.
pub(super) async fn forget_feed(
    documents: &Documents,
    restore: &RunId,
) -> Result<(), DocumentError> {
    let key = FeedValidators::key(&restore.pipe);
    let none = FeedValidators {
        seq: restore.seq,
        fingerprint: NOTHING.to_owned(),
        etag: None,
        last_modified: None,
        sha256: String::new(),
    };
    if documents.create(&key, &none).await? == Created::New {
        return Ok(());
    }
    let forget = |stored: &mut FeedValidators| {
        if stored.seq <= none.seq {
            stored.clone_from(&none);
        }
    };
    documents.change(&key, forget).await.map(|_| ())
}

/// The next crawl asks for every page; the parts of the old book go with the
/// next one.
pub(super) async fn forget_book(
    documents: &Documents,
    restore: &RunId,
) -> Result<(), DocumentError> {
    let key = BookRef::key(&restore.pipe);
    let none = BookRef {
        seq: restore.seq,
        fingerprint: NOTHING.to_owned(),
        prefix: BookRef::prefix_of(restore, 0),
        parts: Vec::new(),
        pages: 0,
    };
    if documents.create(&key, &none).await? == Created::New {
        return Ok(());
    }
    let forget = |stored: &mut BookRef| {
        if stored.seq <= none.seq {
            stored.clone_from(&none);
        }
    };
    documents.change(&key, forget).await.map(|_| ())
}
