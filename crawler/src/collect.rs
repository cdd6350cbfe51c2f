//! One run: feed -> rows -> staged -> diff -> judge -> one commit -> image
//! jobs. Whatever an earlier delivery finished is found and not done twice.

use chrono::{DateTime, Utc};
use trawler_catalogue::{
    CommitOutcome, Diff, Fence, Mode, PreparedCommit, RunStamp, Snapshot, Staged, Staging, Txn,
    WriteId,
};
use trawler_core::RunId;
use trawler_core::feed::FeedMode;
use trawler_core::feed_validators::FeedValidators;
use trawler_core::judge::{ByAbsence, Deletes, Drop, judge_deletes};
use trawler_core::pipe::Pipe;
use trawler_core::ports::Metric;
use trawler_core::run::{RunCounts, RunPhase};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{JobContext, PipeSet, TakenJob, chain};

use crate::crawler::Crawler;
use crate::failure::{catalogue_failure, commit_failure};
use crate::fingerprint::fingerprint;
use crate::input::{Found, Input, Wanted};
use crate::kept_input::KeptInput;
use crate::mappings::{self, PipeMappings};
use crate::parse::{Parse, Parsed};
use crate::plan_images::PlanImages;
use crate::run_document::RunDocument;
use crate::scratch::Scratch;
use crate::validators;

/// One delivery of one run.
pub(crate) struct Collect<'a> {
    pub(crate) crawler: &'a Crawler,
    pub(crate) pipe: &'a Pipe,
    /// That the pipe is of.
    pub(crate) set: &'a PipeSet,
    pub(crate) run: RunId,
    pub(crate) job: &'a TakenJob,
    pub(crate) ctx: &'a JobContext,
}

/// Where the catalogue stands as to this run.
enum Standing {
    Open,
    Committed,
    /// A later run of the pipe has settled.
    Overtaken(i64),
}

impl Collect<'_> {
    pub(crate) async fn run(self) -> Result<Ending, Ending> {
        self.ctx.step().await?;
        let run = self.document().load().await?;
        if run.is_settled() {
            return Ok(Ending::Done);
        }
        let snapshot = self
            .crawler
            .catalogue
            .snapshot()
            .await
            .map_err(catalogue_failure)?;
        match self.standing(&snapshot) {
            Standing::Overtaken(by) => return self.superseded(by).await,
            Standing::Committed => {}
            Standing::Open => {
                let now = self.crawler.ports.clock.now();
                self.document()
                    .update(|run| {
                        run.phase = RunPhase::Collecting;
                        run.finished = None;
                        run.reason.clear();
                        run.validators = None;
                        run.started.get_or_insert(now);
                    })
                    .await?;
                if let Some(by) = self.collect(snapshot).await? {
                    return self.superseded(by).await;
                }
            }
        }
        self.ctx.step().await?;
        self.finish().await?;
        Ok(Ending::Done)
    }

    fn standing(&self, snapshot: &Snapshot) -> Standing {
        match snapshot.txn(self.pipe.id.as_str()) {
            Some(version) if version == self.run.seq.0 => Standing::Committed,
            Some(version) if version > self.run.seq.0 => Standing::Overtaken(version),
            Some(_) | None => Standing::Open,
        }
    }

    /// Collects and commits. `Some` when a later run settled meanwhile.
    async fn collect(&self, snapshot: Snapshot) -> Result<Option<i64>, Ending> {
        let scratch = self.scratch()?;
        let mappings = self.mappings().await?;
        let print = fingerprint(self.pipe, &mappings.digest);
        let known = validators::known(&self.crawler.documents, &self.pipe.id, &print).await?;
        let wanted = Wanted {
            pipe: self.pipe,
            fetcher: &self.crawler.fetcher,
            secrets: &*self.crawler.secrets,
            options: &self.crawler.options,
            scratch: scratch.path(),
            known: known.as_ref(),
            ctx: self.ctx,
        };
        let keeper = KeptInput {
            blobs: &*self.crawler.ports.blobs,
            ctx: self.ctx,
            run: &self.run,
            source: &self.pipe.source,
        };
        if let Some((kept, input)) = keeper.find(&scratch.path().join("feed")).await? {
            let overtaken = self
                .take_in(snapshot, &scratch, &input, mappings, print)
                .await?;
            keeper.forget(&kept).await;
            return Ok(overtaken);
        }
        let clock = &self.crawler.ports.clock;
        let asked = clock.monotonic();
        let found = wanted.get().await;
        let took = clock.monotonic().saturating_sub(asked);
        self.ctx.step().await?;
        match found.map_err(Ending::Failed)? {
            Found::Unchanged { bytes_down } => {
                self.crawler
                    .ports
                    .metrics
                    .record(Metric::FeedBytesDown { bytes: bytes_down });
                self.commit_unchanged(&snapshot, &scratch, bytes_down).await
            }
            Found::Changed(input) => {
                self.crawler.ports.metrics.record(Metric::FeedBytesDown {
                    bytes: input.bytes_down,
                });
                self.ctx.note(&format!("{} bytes came", input.bytes_down));
                let is_dear = input.bytes_down > 0 && took >= self.crawler.options.keep_input_after;
                let kept = match is_dear {
                    true => keeper.keep(&input).await?,
                    false => None,
                };
                let overtaken = self
                    .take_in(snapshot, &scratch, &input, mappings, print)
                    .await?;
                if let Some(kept) = kept {
                    keeper.forget(&kept).await;
                }
                Ok(overtaken)
            }
        }
    }

    /// Reads the feed and commits its rows.
    async fn take_in(
        &self,
        snapshot: Snapshot,
        scratch: &Scratch,
        input: &Input,
        mappings: PipeMappings,
        print: String,
    ) -> Result<Option<i64>, Ending> {
        let parse = Parse {
            crawler: self.crawler,
            pipe: self.pipe,
            ctx: self.ctx,
            scratch: scratch.path(),
        };
        let parsed = parse.run(input, mappings).await?;
        let (rows, rejected) = (parsed.staged.rows(), parsed.rejected);
        self.ctx
            .note(&format!("{rows} row(s) read, {rejected} rejected"));
        self.ctx.step().await?;
        self.commit_rows(snapshot, parsed, input, print).await
    }

    /// Settles the run in the catalogue without a row: one small log entry.
    async fn commit_unchanged(
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

    async fn commit_rows(
        &self,
        snapshot: Snapshot,
        parsed: Parsed,
        input: &Input,
        print: String,
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
            rejected: parsed.rejected,
            duplicates: parsed.staged.duplicates(),
            bytes_down: input.bytes_down,
            inserts: diff.inserts,
            updates: diff.updates,
            deletes: deleted,
            held_deletes: held,
            unchanged: diff.unchanged,
            rewritten: prepared.rows_written(),
            ..RunCounts::default()
        };
        // Only a complete run vouches for its feed.
        let learned = incomplete.is_empty().then(|| FeedValidators {
            seq: self.run.seq,
            fingerprint: print,
            etag: input.validators.etag.clone(),
            last_modified: input.validators.last_modified.clone(),
            sha256: input.sha256.clone(),
        });
        let metrics = &self.crawler.ports.metrics;
        metrics.record(Metric::ProductsRead {
            rows: parsed.staged.rows(),
        });
        self.document()
            .update(|run| {
                run.phase = RunPhase::Committing;
                run.validators.clone_from(&learned);
                run.incomplete.clone_from(&incomplete);
                run.remarks.clone_from(&parsed.remarks);
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

    /// Image jobs, then the end of the run.
    async fn finish(&self) -> Result<(), Ending> {
        let run = self
            .document()
            .update(|run| run.phase = RunPhase::Committed)
            .await?;
        if let Some(learned) = &run.validators {
            validators::keep(&self.crawler.documents, &self.pipe.id, learned).await?;
        }
        let plan = PlanImages {
            crawler: self.crawler,
            pipe: self.pipe,
            run: &self.run,
            job: self.job,
            ctx: self.ctx,
        };
        let planned = plan.run().await?;
        let now = self.crawler.ports.clock.now();
        let finished = self
            .document()
            .update(|run| {
                run.phase = RunPhase::Finished;
                run.validators = None;
                run.finished = Some(now);
                run.counts.image_jobs = planned.jobs;
                run.counts.images = planned.images;
            })
            .await?;
        tracing::info!(run = %self.run, counts = ?finished.counts, "run {} finished", self.run);
        let seconds = |from: DateTime<Utc>| (now - from).as_seconds_f64();
        self.crawler.ports.metrics.record(Metric::RunFinished {
            seconds: run.started.map_or(0.0, seconds),
        });
        Ok(())
    }

    async fn superseded(&self, by: i64) -> Result<Ending, Ending> {
        let by = RunId {
            pipe: self.pipe.id.clone(),
            seq: trawler_core::RunSeq(by),
        }
        .to_string();
        let now = self.crawler.ports.clock.now();
        self.document()
            .update(|run| {
                run.phase = RunPhase::Superseded;
                run.finished = Some(now);
                run.reason = format!("superseded by {by}");
            })
            .await?;
        Ok(Ending::Superseded { by })
    }

    async fn mappings(&self) -> Result<PipeMappings, Ending> {
        let mut tables = Vec::new();
        for name in mappings::table_names(&self.pipe.id) {
            let table = self.crawler.pipes.table(self.set, &name).await;
            if let Some(bytes) = table.map_err(|error| Ending::Failed(error.into()))? {
                tables.push((name, bytes));
            }
        }
        let pipe = self.pipe.id.clone();
        let read = tokio::task::spawn_blocking(move || mappings::read(&pipe, &tables)).await;
        read.map_err(|error| {
            Ending::Failed(Failure::transient(format!("read mapping tables: {error}")))
        })?
        .map_err(|error| Ending::Failed(Failure::permanent(chain(&error))))
    }

    fn document(&self) -> RunDocument<'_> {
        RunDocument {
            documents: &self.crawler.documents,
            run: &self.run,
            epoch: self.job.epoch,
        }
    }

    fn scratch(&self) -> Result<Scratch, Ending> {
        let delivery = format!("{}-{}", self.run.seq, self.job.epoch);
        Scratch::new(&self.crawler.options.scratch, &self.pipe.id, &delivery)
            .map_err(Ending::Failed)
    }

    fn stamp(&self) -> RunStamp {
        RunStamp {
            run: self.run.clone(),
            write_id: WriteId::of_run(&self.run, self.job.epoch),
        }
    }
}

fn by_absence(mode: FeedMode) -> ByAbsence {
    match mode {
        FeedMode::Full => ByAbsence::Yes,
        FeedMode::Summary => ByAbsence::No,
    }
}
