//! A fold: brings all image results of a pipe into the catalogue, in one
//! commit. Results that change nothing cause no commit at all. What is decided
//! of withheld products and not carried out yet is carried out first.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use trawler_catalogue::{
    CommitOutcome, Fence, FoldStamp, ImageStaging, PreparedCommit, Snapshot, Txn, WriteId,
};
use trawler_core::blocked_images::{BlockedImages, picture_of};
use trawler_core::image::ImageOutcome;
use trawler_core::manifest::ImageResult;
use trawler_core::ports::Metric;
use trawler_core::verdict::{Ending, Failure};
use trawler_core::{PipeId, RunId};
use trawler_fleet::manifests;
use trawler_fleet::{JobContext, TakenJob};

use crate::crawler::Crawler;
use crate::failure::{catalogue_failure, commit_failure, documents_failure, manifest_failure};
use crate::scratch::Scratch;
use crate::withdraw::Withdrawer;
use crate::withhold::{ending, settle};

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
        settle(self.crawler, self.pipe, self.ctx).await?;
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
        // What was blocked while its job was worked on is not brought in.
        let blocked = self.blocked().await?;
        let mut pictures = Pictures::default();
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
                (staging, pictures) = push(staging, pictures, result, &blocked).await?;
            }
            counted.push(Counted {
                run: manifest.run.clone(),
                results: keys.len() as u64,
            });
        }
        let (staged, pictures) = off_reactor(move || {
            let staged = staging.finish().map_err(catalogue_failure)?;
            Ok((staged, pictures.sorted()))
        })
        .await?;
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
            let brought = Brought { blocked, pictures };
            self.commit(prepared, &brought).await?;
            // What was blocked while the commit was under way.
            let late = brought.late(&*self.blocked().await?);
            if !late.is_empty() {
                let withdrawer = Withdrawer::of(self.crawler, scratch.path());
                let fence = Fence::new(|| self.ctx.still_mine());
                let withdrawn = withdrawer.withdraw(self.pipe, &late, &fence);
                self.ctx.unless_told(withdrawn).await?.map_err(ending)?;
            }
        }
        Ok(counted)
    }

    async fn blocked(&self) -> Result<Arc<BlockedImages>, Ending> {
        let found = self.crawler.documents.get(BlockedImages::KEY).await;
        let found: Option<BlockedImages> = found.map_err(documents_failure)?;
        Ok(Arc::new(found.unwrap_or_default()))
    }

    /// No picture is committed that is blocked by then: the job is handed back
    /// and looks once more.
    async fn commit(&self, prepared: PreparedCommit, brought: &Brought) -> Result<(), Ending> {
        let txn = Txn {
            app_id: self.app_id(),
            version: self.fold,
        };
        let fence = Fence::new(|| async move {
            let blocked = self.blocked().await;
            let is_known = blocked.is_ok_and(|blocked| brought.late(&blocked).is_empty());
            is_known && self.ctx.still_mine().await
        });
        match self.crawler.catalogue.land(prepared, &txn, &fence).await {
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

/// Pictures among results, each by eight bytes: 8 MB of a million. Two of one
/// hash only mean that a fold looks once more.
#[derive(Default)]
struct Pictures(Vec<u64>);

impl Pictures {
    fn hash(sha256: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        sha256.hash(&mut hasher);
        hasher.finish()
    }

    fn note(&mut self, outcome: &ImageOutcome) {
        self.0.extend(picture_of(outcome).map(Self::hash));
    }

    fn sorted(mut self) -> Self {
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    fn has(&self, sha256: &str) -> bool {
        self.0.binary_search(&Self::hash(sha256)).is_ok()
    }
}

/// What a fold brings in, and what it knew to be blocked.
struct Brought {
    blocked: Arc<BlockedImages>,
    pictures: Pictures,
}

impl Brought {
    /// Its pictures that it did not know to be blocked. Nobody else's concern
    /// holds a fold off.
    fn late(&self, now: &BlockedImages) -> BTreeSet<String> {
        let late = now.since(&self.blocked);
        let mine = late.filter(|sha256| self.pictures.has(sha256));
        mine.map(str::to_owned).collect()
    }
}

async fn push(
    mut staging: ImageStaging,
    mut pictures: Pictures,
    result: ImageResult,
    blocked: &Arc<BlockedImages>,
) -> Result<(ImageStaging, Pictures), Ending> {
    let blocked = Arc::clone(blocked);
    off_reactor(move || {
        let outcomes = result.outcomes.into_iter();
        let outcomes: Vec<_> = outcomes.map(|outcome| blocked.judged(outcome)).collect();
        outcomes.iter().for_each(|outcome| pictures.note(outcome));
        staging.push(&outcomes).map_err(catalogue_failure)?;
        Ok((staging, pictures))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::DateTime;
    use trawler_core::blocked_images::{ImageAct, withdrawn_from};
    use trawler_core::image::{ImageStatus, KnownImage};
    use trawler_core::withheld::Note;

    use super::*;

    fn sha(n: usize) -> String {
        format!("{n:064x}")
    }

    fn outcome(status: ImageStatus, n: usize) -> ImageOutcome {
        ImageOutcome {
            status,
            known: KnownImage {
                sha256: Some(sha(n)),
                ..KnownImage::default()
            },
            ..withdrawn_from("p".to_owned(), "http://a/1".to_owned(), &sha(n))
        }
    }

    #[test]
    fn only_a_picture_of_its_own_holds_a_fold_off() {
        let decided = |acts: &[(ImageAct, usize)]| {
            let mut blocked = BlockedImages::default();
            let note = Note {
                by: "ann".to_owned(),
                at: DateTime::UNIX_EPOCH,
                why: String::new(),
            };
            for (act, n) in acts {
                blocked.decide(*act, &sha(*n), &note).unwrap();
            }
            blocked
        };
        use ImageAct::{Block, Unblock};
        let known = decided(&[(Block, 1), (Block, 2)]);
        let mut pictures = Pictures::default();
        for (status, n) in [
            (ImageStatus::Stored, 5),
            (ImageStatus::Unchanged, 4),
            (ImageStatus::Stored, 5),
            (ImageStatus::Stored, 1),
            (ImageStatus::NotFound, 6),
            (ImageStatus::Placeholder, 7),
        ] {
            pictures.note(&known.judged(outcome(status, n)));
        }
        let brought = Brought {
            blocked: Arc::new(known),
            pictures: pictures.sorted(),
        };
        let check = |more: &[(ImageAct, usize)], expected: &[usize]| {
            let before = [(Block, 1), (Block, 2)];
            let late = brought.late(&decided(&[&before, more].concat()));
            let expected: BTreeSet<String> = expected.iter().map(|n| sha(*n)).collect();
            assert_eq!(late, expected, "{more:?}");
        };
        check(&[], &[]);
        check(&[(Block, 3)], &[]);
        check(&[(Unblock, 1)], &[]);
        check(&[(Block, 6), (Block, 7)], &[]);
        check(&[(Block, 3), (Block, 4)], &[4]);
        check(&[(Block, 5), (Block, 4)], &[4, 5]);
        check(&[(Block, 5), (Unblock, 5)], &[]);
    }
}
