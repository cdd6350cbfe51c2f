//! What a run is judged by, and what becomes of one that is not believed. The
//! rules are in `trawler_core::judge`.

use trawler_catalogue::{Diff, PreparedCommit, Snapshot};
use trawler_core::RunId;
use trawler_core::RunSeq;
use trawler_core::decision::{Decided, Decision};
use trawler_core::feed::FeedMode;
use trawler_core::judge::{
    Action, Before, Case, Deletes, Facts, LOOK_BACK, Ruling, is_repeated, rule,
};
use trawler_core::run::{Run, RunCounts, RunPhase};
use trawler_core::verdict::Ending;

use super::commit::Collected;
use super::{Collect, Landed};
use crate::failure::documents_failure;

/// A run with everything that is known of it before its commit.
pub(super) struct Judged {
    pub(super) facts: Facts,
    pub(super) deletes: Deletes,
    pub(super) incomplete: Vec<String>,
    pub(super) drop_held: bool,
    pub(super) quarantine: Vec<String>,
    /// What a person should know of the judgement.
    pub(super) remarks: Vec<String>,
}

impl Collect<'_> {
    /// Judges by what is known without writing a row.
    pub(super) async fn judge(
        &self,
        snapshot: &Snapshot,
        collected: &Collected<'_>,
        diff: &Diff,
    ) -> Result<Judged, Ending> {
        let parsed = &collected.parsed;
        let facts = Facts {
            live: diff.live_rows,
            inserts: diff.inserts,
            updates: diff.updates,
            deletes: diff.deletes,
            rows: parsed.staged.rows(),
            duplicates: parsed.staged.duplicates(),
            rejected: parsed.rejected + diff.refused,
            unpriced: match self.pipe.reading().partial {
                // What such a row leaves out stays as it was.
                true => 0,
                false => parsed.fill.unpriced,
            },
            filled: parsed.fill.filled.clone(),
            before: self.before(snapshot).await?.map(Box::new),
            error_text: parsed.error_text.clone(),
            examples: diff.examples.clone(),
            unmapped: parsed.unmapped.clone(),
            ..Facts::default()
        };
        let ruling = self.rule(&facts, &parsed.incomplete);
        if let Some(accepted) = collected.accepts {
            return Ok(self.accepted(accepted, facts, ruling));
        }
        let mut judged = Judged {
            facts,
            deletes: match ruling.action {
                Action::HoldDeletes => Deletes::Hold,
                Action::Apply | Action::Quarantine => Deletes::Apply,
            },
            incomplete: ruling.incomplete,
            drop_held: ruling.by_drop_alone && ruling.quarantine.is_empty(),
            quarantine: ruling.quarantine,
            remarks: Vec::new(),
        };
        if judged.drop_held && self.is_repeated(judged.facts.rows).await? {
            self.apply_held(&mut judged).await?;
        }
        Ok(judged)
    }

    /// Judges once more, by how prices move, which only writing tells.
    pub(super) fn judge_prices(
        &self,
        judged: &mut Judged,
        collected: &Collected<'_>,
        diff: &Diff,
        prepared: &PreparedCommit,
    ) {
        let prices = &mut judged.facts.prices;
        prices.clone_from(prepared.price_moves());
        // A row that came in as it is has the price that it had.
        prices.compared += diff.same;
        if collected.accepts.is_none() {
            let ruling = self.rule(&judged.facts, &collected.parsed.incomplete);
            judged.quarantine = ruling.quarantine;
        }
    }

    fn rule(&self, facts: &Facts, incomplete: &[String]) -> Ruling {
        let case = Case {
            facts,
            mode: self.pipe.reading().mode,
            incomplete,
        };
        rule(&case, &self.pipe.judge)
    }

    /// A person has seen what speaks against it.
    fn accepted(&self, accepted: &RunId, facts: Facts, ruling: Ruling) -> Judged {
        let against = ruling.incomplete.into_iter().chain(ruling.quarantine);
        let mut remarks = vec![format!("brings in run {accepted}, which was accepted")];
        remarks.extend(against.map(|reason| format!("accepted although {reason}")));
        Judged {
            facts,
            deletes: Deletes::Apply,
            incomplete: Vec::new(),
            drop_held: false,
            quarantine: Vec::new(),
            remarks,
        }
    }

    /// The columns of the last complete full run. The catalogue says which run
    /// landed last, and its document which one that leads to.
    async fn before(&self, snapshot: &Snapshot) -> Result<Option<Before>, Ending> {
        let Some(landed) = self.landed(snapshot).await? else {
            return Ok(None);
        };
        let Some(seq) = landed.comparable() else {
            return Ok(None);
        };
        let run = match seq == landed.id.seq {
            true => Some(landed),
            false => self.run_at(seq).await?,
        };
        Ok(run.and_then(|run| run.facts).map(|facts| Before {
            run: seq,
            filled: facts.filled,
        }))
    }

    /// The run of the pipe that landed last.
    pub(super) async fn landed(&self, snapshot: &Snapshot) -> Result<Option<Run>, Ending> {
        match snapshot.txn(self.pipe.id.as_str()) {
            Some(version) => self.run_at(RunSeq(version)).await,
            None => Ok(None),
        }
    }

    async fn run_at(&self, seq: RunSeq) -> Result<Option<Run>, Ending> {
        let pipe = self.pipe.id.clone();
        let key = Run::key(&RunId { pipe, seq });
        let found = self.crawler.documents.get(&key).await;
        found.map_err(documents_failure)
    }

    /// Whether enough runs before this one said the same.
    async fn is_repeated(&self, rows: u64) -> Result<bool, Ending> {
        let wanted = self.pipe.judge.accept_after_equal;
        if wanted == 0 || self.pipe.reading().mode != FeedMode::Full {
            return Ok(false);
        }
        let documents = &self.crawler.documents;
        let mine = Run::key(&self.run);
        let keys = documents.keys(&format!("runs/{}/", self.pipe.id)).await;
        let mut keys = keys.map_err(documents_failure)?;
        keys.retain(|key| *key < mine);
        let mut earlier: Vec<Run> = Vec::new();
        for key in keys.iter().rev().take(LOOK_BACK) {
            let found: Option<Run> = documents.get(key).await.map_err(documents_failure)?;
            let Some(run) = found else { continue };
            let goes_on = run.drop_held || run.phase != RunPhase::Finished;
            earlier.push(run);
            if !goes_on {
                break;
            }
        }
        let mut run = self.document().load().await?;
        run.counts.rows = rows;
        Ok(is_repeated(&run, earlier.iter(), wanted))
    }

    async fn apply_held(&self, judged: &mut Judged) -> Result<(), Ending> {
        let wanted = self.pipe.judge.accept_after_equal;
        let why = judged.incomplete.join("; ");
        let decision = Decision {
            run: self.run.clone(),
            verdict: Decided::AppliedByItself,
            by: format!("judge.accept_after_equal = {wanted}"),
            at: self.crawler.ports.clock.now(),
            why: why.clone(),
        };
        let key = Decision::key(&self.run);
        let created = self.crawler.documents.create(&key, &decision).await;
        created.map_err(documents_failure)?;
        self.document()
            .update(|run| run.decided = Some(decision.verdict))
            .await?;
        judged.deletes = Deletes::Apply;
        judged.incomplete.clear();
        judged.drop_held = false;
        judged.remarks.push(format!(
            "applied because {wanted} equal runs in a row said so (judge.accept_after_equal), although {why}"
        ));
        Ok(())
    }

    /// Ends the run without a trace in the catalogue. What it read, and why it
    /// is not believed, stands in its document.
    pub(super) async fn quarantine(
        &self,
        judged: Judged,
        counts: RunCounts,
        remarks: &[String],
        report: Option<String>,
    ) -> Result<Landed, Ending> {
        let now = self.crawler.ports.clock.now();
        let run = self
            .document()
            .update(|run| {
                run.phase = RunPhase::Quarantined;
                run.finished = Some(now);
                run.quarantine.clone_from(&judged.quarantine);
                run.incomplete.clone_from(&judged.incomplete);
                run.facts = Some(Box::new(judged.facts.clone()));
                run.remarks = remarks.to_vec();
                run.rejected_report.clone_from(&report);
                run.counts = counts;
            })
            .await?;
        let (id, why) = (&run.id, run.quarantine.join("; "));
        tracing::error!(run = %id, "run {id} is quarantined and waits for a person: {why}");
        Ok(Landed::Quarantined)
    }
}
