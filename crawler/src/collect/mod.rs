//! One run: what the source has -> rows -> staged -> diff -> judge -> one
//! commit -> image jobs. Whatever an earlier delivery finished is found and not
//! done twice.
//!
//! How a feed becomes rows is in `feed`, how a site does in `site`, and how
//! the kept input of a run that a person accepted, or has read once more, does
//! in `again`; what all end in is in `commit`, how it is judged in `judged`, and
//! which rows nobody is shown in `withheld`.

mod again;
mod commit;
mod feed;
mod judged;
mod site;
mod withheld;

use chrono::{DateTime, Utc};
use trawler_catalogue::{RunStamp, Snapshot, WriteId};
use trawler_core::RunId;
use trawler_core::pipe::{Pipe, Source};
use trawler_core::ports::Metric;
use trawler_core::run::{Run, RunPhase, SUPERSEDED_BY};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{JobContext, PipeSet, TakenJob, chain};

use crate::crawler::Crawler;
use crate::failure::catalogue_failure;
use crate::mappings::{self, PipeMappings};
use crate::plan_images::{DueAt, Pick, PlanImages};
use crate::run_document::RunDocument;
use crate::scratch::Scratch;
use crate::{kept_book, validators};

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

/// What became of the rows.
enum Landed {
    InCatalogue,
    /// A later run settled meanwhile.
    Overtaken(i64),
    /// Nothing of them is seen until a person decides.
    Quarantined,
}

impl Collect<'_> {
    pub(crate) async fn run(self) -> Result<Ending, Ending> {
        self.ctx.step().await?;
        let run = self.document().load().await?;
        if let Some(ending) = run.settled_ending() {
            return Ok(ending);
        }
        self.settle_withheld().await?;
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
                        run.book = None;
                        run.started.get_or_insert(now);
                    })
                    .await?;
                match self.collect(snapshot, &run).await? {
                    Landed::InCatalogue => {}
                    Landed::Overtaken(by) => return self.superseded(by).await,
                    Landed::Quarantined => return Ok(Ending::Done),
                }
            }
        }
        // Before the job may be parked for as long as a pause lasts.
        self.withdraw_blocked().await?;
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

    /// Collects and commits, if the rows are believed.
    async fn collect(&self, snapshot: Snapshot, run: &Run) -> Result<Landed, Ending> {
        if let Some(accepted) = &run.accepts {
            return self.collect_accepted(accepted, snapshot).await;
        }
        if let Some(reread) = &run.rereads {
            return self.collect_reread(reread, snapshot).await;
        }
        match &self.pipe.source {
            Source::Site(source) => self.collect_site(source, snapshot).await,
            Source::Http(_) | Source::File(_) | Source::Inbox(_) | Source::Sftp(_) => {
                self.collect_feed(snapshot).await
            }
        }
    }

    /// Image jobs, then the end of the run.
    async fn finish(&self) -> Result<(), Ending> {
        let run = self
            .document()
            .update(|run| run.phase = RunPhase::Committed)
            .await?;
        if let Some(learned) = &run.validators {
            validators::keep(&self.crawler.documents, &self.pipe.id, learned).await?;
        } else if !run.is_complete() && run.counts.changes() > 0 {
            validators::forget(&self.crawler.documents, &self.run).await?;
        }
        if let Some(book) = &run.book {
            kept_book::keep(&self.crawler.ports, &self.pipe.id, book).await?;
        }
        let plan = PlanImages {
            crawler: self.crawler,
            pipe: self.pipe,
            run: &self.run,
            pick: Pick::Due(DueAt::of(self.pipe, &self.run)),
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
                run.book = None;
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
                run.reason = format!("{SUPERSEDED_BY}{by}");
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
            collects_images: self.pipe.images.collect,
        }
    }
}
