//! Takes pictures that are blocked out of the rows that show them, and says
//! which rows may fetch one again.
//!
//! A decision is written first; workers, runs and folds keep to it from their
//! next job on. Then each pipe that shows the picture has one commit, as if a
//! fold had brought the news. Whoever dies between gives the command again: it
//! goes on where rows still show it; no tick does. A pipe that could not be done
//! keeps no other one waiting. Whoever wrote rows and finds that pictures were
//! blocked meanwhile looks through them after the commit.

use std::collections::BTreeSet;
use std::path::Path;

use trawler_catalogue::{
    Catalogue, CommitError, CommitOutcome, Fence, FoldStamp, ImageStaging, PreparedCommit,
    STORED_ROWS_MAX, Snapshot, SortLimits, StoredRow, Txn, WriteId,
};
use trawler_core::PipeId;
use trawler_core::blocked_images::{BlockedImages, ImageAct, withdrawn_from};
use trawler_core::image::ImageStatus;
use trawler_core::ports::Clock;
use trawler_core::withheld::{Decided, Note};
use trawler_fleet::{DocumentError, Documents, UpdateError};

use crate::crawler::Crawler;
use crate::withhold::{DECIDE_ROUNDS, Meanwhile, WithholdFailure};

/// Rows of one commit, and of one look: at some 200 bytes each 10 MB. As many
/// as a refetch lists.
pub const SHOWN_AT_ONCE: usize = trawler_core::refetch::LISTED_MAX;

/// Times that one pipe is done anew because it was committed meanwhile.
pub(crate) const DISTURBED_MAX: u32 = 16;

/// What pictures are withdrawn with.
pub struct Withdrawer<'a> {
    pub documents: &'a Documents,
    pub catalogue: &'a Catalogue,
    pub clock: &'a dyn Clock,
    pub scratch: &'a Path,
}

/// Rows that show a picture, or did until it was blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showing {
    Now,
    Blocked,
}

impl Showing {
    /// A row whose picture failed lately shows the last good one.
    fn takes(self, row: &StoredRow) -> bool {
        let shows = row.status == Some(ImageStatus::Stored) || !row.variants.is_empty();
        shows == (self == Self::Now)
    }
}

/// A row with a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub id: String,
    pub url: String,
    pub sha256: String,
}

impl Shown {
    fn of(row: StoredRow) -> Option<Self> {
        Some(Self {
            id: row.id,
            url: row.image_link?,
            sha256: row.sha256?,
        })
    }
}

/// What became of the rows of several pipes.
#[derive(Debug, Default)]
pub struct Withdrawn {
    /// That showed a picture and do not now.
    pub rows: u64,
    /// Pipes whose rows may still show one, and why.
    pub left: Vec<(PipeId, WithholdFailure)>,
}

impl<'a> Withdrawer<'a> {
    /// In a job.
    pub(crate) fn of(crawler: &'a Crawler, scratch: &'a Path) -> Self {
        Self {
            documents: &crawler.documents,
            catalogue: &crawler.catalogue,
            clock: &*crawler.ports.clock,
            scratch,
        }
    }

    /// Writes the decision down, with its record in the audit trail.
    pub async fn decide(
        &self,
        act: ImageAct,
        sha256: &str,
        note: &Note,
    ) -> Result<Decided, WithholdFailure> {
        let key = BlockedImages::KEY;
        for _ in 0..DECIDE_ROUNDS {
            let known: Option<BlockedImages> = self.documents.get(key).await?;
            let Some(known) = known else {
                self.documents
                    .create(key, &BlockedImages::default())
                    .await?;
                continue;
            };
            self.record(&known).await?;
            let mut decided = Decided::Already;
            let change = |blocked: &mut BlockedImages| {
                if blocked.revision != known.revision {
                    return Err(Meanwhile::Another);
                }
                decided = blocked
                    .decide(act, sha256, note)
                    .map_err(Meanwhile::Refused)?;
                Ok(())
            };
            match self.documents.update(key, change).await {
                Ok(Some(blocked)) => {
                    self.record(&blocked).await?;
                    return Ok(decided);
                }
                Ok(None) | Err(UpdateError::Change(Meanwhile::Another)) => {}
                Err(UpdateError::Change(Meanwhile::Refused(error))) => return Err(error.into()),
                Err(UpdateError::Document(error)) => return Err(error.into()),
            }
        }
        Err(WithholdFailure::ImagesContended)
    }

    async fn record(&self, blocked: &BlockedImages) -> Result<(), DocumentError> {
        if let Some(last) = &blocked.last {
            self.documents.create(&last.key(), last).await?;
        }
        Ok(())
    }

    /// Rows of the pipe with one of the pictures, some [`SHOWN_AT_ONCE`] at most.
    pub async fn showing(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        pictures: &BTreeSet<String>,
        which: Showing,
    ) -> Result<Vec<Shown>, WithholdFailure> {
        let (mut found, mut at) = (Vec::new(), 0);
        loop {
            let rows = self
                .catalogue
                .stored_images(snapshot, pipe, at, STORED_ROWS_MAX)
                .await?;
            if rows.is_empty() {
                return Ok(found);
            }
            at += rows.len() as u64;
            let rows = rows.into_iter().filter(|row| which.takes(row));
            let shown = rows.filter_map(Shown::of);
            found.extend(shown.filter(|shown| pictures.contains(&shown.sha256)));
            if found.len() >= SHOWN_AT_ONCE {
                found.truncate(SHOWN_AT_ONCE);
                return Ok(found);
            }
        }
    }

    /// Takes the pictures out of the pipe's rows; gives how many showed one.
    pub async fn withdraw(
        &self,
        pipe: &PipeId,
        pictures: &BTreeSet<String>,
        fence: &Fence<'_>,
    ) -> Result<u64, WithholdFailure> {
        let (mut withdrawn, mut disturbed) = (0, 0);
        while disturbed < DISTURBED_MAX {
            let snapshot = self.catalogue.snapshot().await?;
            let rows = self.showing(&snapshot, pipe, pictures, Showing::Now);
            let rows = rows.await?;
            let count = rows.len() as u64;
            let Some((prepared, txn)) = self.prepare(&snapshot, pipe, rows).await? else {
                return Ok(withdrawn);
            };
            match self.catalogue.land(prepared, &txn, fence).await {
                Ok(CommitOutcome::Committed { .. }) => withdrawn += count,
                // Somebody else withdrew at the same time, or changed the pipe.
                Ok(CommitOutcome::AlreadyCommitted | CommitOutcome::Superseded { .. })
                | Err(CommitError::Conflict { .. }) => disturbed += 1,
                Err(error) => return Err(error.into()),
            }
        }
        let pipe = pipe.clone();
        Err(WithholdFailure::StillShown { pipe })
    }

    /// As [`Withdrawer::withdraw`], of one pipe after another. What is wrong with
    /// one of them keeps no other one waiting; where the store does not answer
    /// it ends.
    pub async fn withdraw_from(
        &self,
        pipes: Vec<PipeId>,
        pictures: &BTreeSet<String>,
        fence: &Fence<'_>,
    ) -> Result<Withdrawn, WithholdFailure> {
        let mut done = Withdrawn::default();
        for pipe in pipes {
            match self.withdraw(&pipe, pictures, fence).await {
                Ok(rows) => done.rows += rows,
                Err(error) if error.is_of_one_pipe() => done.left.push((pipe, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Takes out whatever is blocked, unless the rows keep to it already, which
    /// were written by `known`; then, and where nothing is blocked, this is one
    /// read. Gives the revision that they keep to now.
    pub async fn withdraw_blocked(
        &self,
        pipe: &PipeId,
        known: Option<i64>,
        fence: &Fence<'_>,
    ) -> Result<i64, WithholdFailure> {
        let blocked: Option<BlockedImages> = self.documents.get(BlockedImages::KEY).await?;
        let blocked = blocked.unwrap_or_default();
        if known != Some(blocked.revision) && !blocked.images.is_empty() {
            let withdrawn = self.withdraw(pipe, &blocked.hashes(), fence).await?;
            if withdrawn > 0 {
                tracing::info!(%pipe, withdrawn, "{withdrawn} product(s) of pipe {pipe} showed a blocked picture and do not now");
            }
        }
        Ok(blocked.revision)
    }

    /// The files of one commit; `None` where it would change nothing.
    async fn prepare(
        &self,
        snapshot: &Snapshot,
        pipe: &PipeId,
        rows: Vec<Shown>,
    ) -> Result<Option<(PreparedCommit, Txn)>, WithholdFailure> {
        if rows.is_empty() {
            return Ok(None);
        }
        let mut staging = ImageStaging::new(self.scratch, SortLimits::default())?;
        let outcomes = rows.into_iter();
        let outcomes: Vec<_> = outcomes
            .map(|row| withdrawn_from(row.id, row.url, &row.sha256))
            .collect();
        staging.push(&outcomes)?;
        let staged = staging.finish()?;
        let at = self.clock.now();
        let app_id = format!("{pipe}#withdrawn");
        // Above the last one also by a clock that is behind.
        let last = snapshot.txn(&app_id).unwrap_or(0);
        let version = at.timestamp_millis().max(last + 1);
        let stamp = FoldStamp {
            at,
            write_id: WriteId::once(&format!("b{version}"))?,
        };
        let folded = self.catalogue.fold_images(snapshot, pipe, &staged, &stamp);
        let prepared = folded.await?;
        Ok(prepared.map(|prepared| (prepared, Txn { app_id, version })))
    }
}
