//! A fold: brings all image results of a pipe into the catalogue, in one
//! commit. Results that change nothing cause no commit at all.

use trawler_catalogue::{
    CommitOutcome, Fence, FoldStamp, ImageStaging, PreparedCommit, Snapshot, Txn, WriteId,
};
use trawler_core::manifest::ImageResult;
use trawler_core::ports::Metric;
use trawler_core::verdict::{Ending, Failure};
use trawler_core::{PipeId, RunId};
use trawler_fleet::manifests;
use trawler_fleet::{JobContext, TakenJob};

use crate::crawler::Crawler;
use crate::failure::{catalogue_failure, commit_failure, documents_failure, manifest_failure};
use crate::scratch::Scratch;

/// Results read between two looks at the flags.
const RESULTS_A_STEP: usize = 10;

/// One delivery of one fold.
pub(crate) struct Fold<'a> {
    pub(crate) crawler: &'a Crawler,
    pub(crate) pipe: &'a PipeId,
    pub(crate) fold: i64,
    pub(crate) job: &'a TakenJob,
    pub(crate) ctx: &'a JobContext,
}

/// How many results of a run the fold holds.
struct Counted {
    run: RunId,
    results: u64,
}

impl Fold<'_> {
    pub(crate) async fn run(self) -> Result<Ending, Ending> {
        self.ctx.step().await?;
        let snapshot = self
            .crawler
            .catalogue
            .snapshot()
            .await
            .map_err(catalogue_failure)?;
        if snapshot
            .txn(&self.app_id())
            .is_some_and(|version| version >= self.fold)
        {
            // An earlier delivery committed this fold and died before it noted
            // so. What it held is not known any more; the next tick sees
            // unsettled manifests and plans a fold that finds nothing to do.
            return Ok(Ending::Done);
        }
        let counted = self.fold(&snapshot).await?;
        let now = self.crawler.ports.clock.now();
        for Counted { run, results } in counted {
            manifests::note_fold(&self.crawler.documents, &run, results, now)
                .await
                .map_err(documents_failure)?;
        }
        Ok(Ending::Done)
    }

    async fn fold(&self, snapshot: &Snapshot) -> Result<Vec<Counted>, Ending> {
        let delivery = format!("fold{}-{}", self.fold, self.job.epoch);
        let scratch = Scratch::new(&self.crawler.options.scratch, self.pipe, &delivery)
            .map_err(Ending::Failed)?;
        let mut staging = ImageStaging::new(scratch.path(), self.crawler.options.sort)
            .map_err(catalogue_failure)?;
        let mut counted = Vec::new();
        let unsettled = manifests::unsettled_of(&self.crawler.documents, self.pipe)
            .await
            .map_err(documents_failure)?;
        // The oldest first: of two results of one product the later run's wins.
        for manifest in unsettled {
            let keys = manifests::result_keys(&self.crawler.ports, &manifest.run, None, usize::MAX)
                .await
                .map_err(manifest_failure)?;
            for (at, key) in keys.iter().enumerate() {
                if at % RESULTS_A_STEP == 0 {
                    self.ctx.step().await?;
                    self.ctx
                        .progress("fold", at as u64, Some(keys.len() as u64));
                }
                let result = manifests::read_result(&self.crawler.ports, key)
                    .await
                    .map_err(manifest_failure)?;
                staging = push(staging, result).await?;
            }
            counted.push(Counted {
                run: manifest.run.clone(),
                results: keys.len() as u64,
            });
        }
        let staged = off_reactor(move || staging.finish().map_err(catalogue_failure)).await?;
        self.ctx.step().await?;
        let write_id = WriteId::parse(&delivery).map_err(catalogue_failure)?;
        // The instant the fold was planned, so that a replay writes the same.
        let stamp = FoldStamp {
            at: self.job.record.planned,
            write_id,
        };
        let folded = self
            .crawler
            .catalogue
            .fold_images(snapshot, self.pipe, &staged, &stamp);
        let folded = self.ctx.unless_told(folded).await?;
        if let Some(prepared) = folded.map_err(catalogue_failure)? {
            self.commit(&prepared).await?;
        }
        Ok(counted)
    }

    async fn commit(&self, prepared: &PreparedCommit) -> Result<(), Ending> {
        let txn = Txn {
            app_id: self.app_id(),
            version: self.fold,
        };
        let fence = Fence::new(|| self.ctx.still_mine());
        match self.crawler.catalogue.commit(prepared, &txn, &fence).await {
            Ok(CommitOutcome::Committed { .. }) => {
                self.crawler.ports.metrics.record(Metric::CommitLanded);
                Ok(())
            }
            // Another delivery's commit of this fold: what it held is not known.
            Ok(CommitOutcome::AlreadyCommitted | CommitOutcome::Superseded { .. }) => {
                Err(Ending::Done)
            }
            Err(error) => Err(commit_failure(error)),
        }
    }

    fn app_id(&self) -> String {
        format!("{}#images", self.pipe)
    }
}

async fn push(mut staging: ImageStaging, result: ImageResult) -> Result<ImageStaging, Ending> {
    off_reactor(move || {
        staging.push(&result.outcomes).map_err(catalogue_failure)?;
        Ok(staging)
    })
    .await
}

/// Sorting and spilling block.
async fn off_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Ending> + Send + 'static,
) -> Result<T, Ending> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|error| {
        Err(Ending::Failed(Failure::transient(format!(
            "stage image results: {error}"
        ))))
    })
}
