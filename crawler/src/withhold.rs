//! Takes decisions about what is withheld and brings the catalogue to them.
//!
//! A decision is three writes: the pipe's document by compare-and-swap, the
//! record of the audit trail, the commit. Whoever dies after the first has
//! decided; what is missing is done by whoever comes next, which is the same
//! command, a run, a fold, or the tick, which plans a fold for a document that
//! is behind. Each write is idempotent, and the commit carries the document's
//! number, so that an older decision never lands after a newer one.
//!
//! No lease is needed for it, only for the work of runs: a run that meets the
//! commit compares once more.

use chrono::{DateTime, Utc};
use trawler_catalogue::{Catalogue, CatalogueError, CommitError, CommitOutcome, Fence};
use trawler_core::PipeId;
use trawler_core::verdict::{Ending, Failure};
use trawler_core::withheld::{Act, Decided, FileState, Note, WithholdError, Withholding};
use trawler_fleet::{DocumentError, Documents, JobContext, UpdateError};

use crate::crawler::Crawler;
use crate::failure::{catalogue_failure, commit_failure, documents_failure};

/// Times that a decision is carried out anew because a run of the pipe was
/// committed meanwhile: more is no coincidence.
const DISTURBED_MAX: u32 = 16;

/// Rounds of writing down a decision beside others who decide.
pub(crate) const DECIDE_ROUNDS: u32 = 64;

/// Who a pipe file is in the audit trail.
const FILE: &str = "the pipe file";

#[derive(Debug, thiserror::Error)]
pub enum WithholdFailure {
    #[error(transparent)]
    Refused(#[from] WithholdError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(
        "it is decided and not carried out: pipe {pipe} was changed {DISTURBED_MAX} times meanwhile; the next run or tick does it, or the same command again"
    )]
    Disturbed { pipe: PipeId },
    #[error(
        "it is decided, and products of pipe {pipe} may still show it: the pipe was changed {} times meanwhile",
        crate::withdraw::DISTURBED_MAX
    )]
    StillShown { pipe: PipeId },
    #[error("others decided about pipe {pipe} {DECIDE_ROUNDS} times meanwhile; try again")]
    Contended { pipe: PipeId },
    #[error("others decided about images {DECIDE_ROUNDS} times meanwhile; try again")]
    ImagesContended,
}

impl WithholdFailure {
    /// Whether another pipe may fare better: it is neither refused nor is it the
    /// store that does not answer.
    pub fn is_of_one_pipe(&self) -> bool {
        match self {
            Self::StillShown { .. }
            | Self::Disturbed { .. }
            | Self::Contended { .. }
            | Self::Commit(CommitError::Conflict { .. } | CommitError::Contended { .. }) => true,
            Self::Catalogue(error) | Self::Commit(CommitError::Catalogue(error)) => {
                !error.is_transient()
            }
            Self::Document(error) => !error.is_transient(),
            Self::Refused(_)
            | Self::Commit(CommitError::FencedOff { .. })
            | Self::ImagesContended => false,
        }
    }
}

/// What settling brought about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// The commit, if one was needed.
    pub version: Option<i64>,
    /// Rows that were withheld or let out by it.
    pub rows: u64,
}

/// What decisions are taken with.
#[derive(Clone, Copy)]
pub struct Withholder<'a> {
    pub documents: &'a Documents,
    pub catalogue: &'a Catalogue,
}

impl Withholder<'_> {
    /// Writes a decision down; [`Withholder::settle`] carries it out.
    pub async fn decide(
        &self,
        pipe: &PipeId,
        act: &Act,
        note: &Note,
    ) -> Result<Decided, WithholdFailure> {
        self.write_down(pipe, |document| document.decide(act, note))
            .await
    }

    async fn write_down(
        &self,
        pipe: &PipeId,
        take: impl Fn(&mut Withholding) -> Result<Decided, WithholdError>,
    ) -> Result<Decided, WithholdFailure> {
        let key = Withholding::key(pipe);
        for _ in 0..DECIDE_ROUNDS {
            let known: Option<Withholding> = self.documents.get(&key).await?;
            let Some(known) = known else {
                let none = Withholding::none(pipe.clone());
                self.documents.create(&key, &none).await?;
                continue;
            };
            // The decision before stands by itself before it is written over.
            self.record(&known).await?;
            let mut decided = Decided::Already;
            let change = |document: &mut Withholding| {
                if document.revision != known.revision {
                    return Err(Meanwhile::Another);
                }
                decided = take(document).map_err(Meanwhile::Refused)?;
                Ok(())
            };
            match self.documents.update(&key, change).await {
                Ok(Some(document)) => {
                    self.record(&document).await?;
                    return Ok(decided);
                }
                Ok(None) | Err(UpdateError::Change(Meanwhile::Another)) => {}
                Err(UpdateError::Change(Meanwhile::Refused(error))) => return Err(error.into()),
                Err(UpdateError::Document(error)) => return Err(error.into()),
            }
        }
        let pipe = pipe.clone();
        Err(WithholdFailure::Contended { pipe })
    }

    /// Writes the last decision into the audit trail, unless it is there.
    async fn record(&self, document: &Withholding) -> Result<(), DocumentError> {
        if let Some(last) = &document.last {
            self.documents.create(&last.key(), last).await?;
        }
        Ok(())
    }

    /// Takes over what the pipe file says, if that is new and no later reading of
    /// it is known; `now` dates it.
    pub async fn follow_file(
        &self,
        pipe: &PipeId,
        file: FileState,
        now: DateTime<Utc>,
    ) -> Result<(), WithholdFailure> {
        let key = Withholding::key(pipe);
        let known: Option<Withholding> = self.documents.get(&key).await?;
        let known = known.unwrap_or_else(|| Withholding::none(pipe.clone()));
        if known.is_new_state(file, now) {
            let note = Note {
                by: FILE.to_owned(),
                at: now,
                why: String::new(),
            };
            self.write_down(pipe, |document| document.follow(file, &note))
                .await?;
        }
        Ok(())
    }

    /// Brings the catalogue to what is decided. Where nothing was ever decided,
    /// or everything is carried out, this is one read.
    pub async fn settle(
        &self,
        pipe: &PipeId,
        fence: &Fence<'_>,
    ) -> Result<Settled, WithholdFailure> {
        let key = Withholding::key(pipe);
        let mut settled = Settled::default();
        for _ in 0..DISTURBED_MAX {
            let snapshot = self.catalogue.snapshot().await?;
            // After the snapshot: see `Catalogue::withhold`.
            let document: Option<Withholding> = self.documents.get(&key).await?;
            let Some(document) = document.filter(|document| document.revision > 0) else {
                return Ok(settled);
            };
            if snapshot.txn(&Withholding::app_id(pipe)) >= Some(document.revision) {
                self.note(&document).await?;
                return Ok(settled);
            }
            self.record(&document).await?;
            let made = self.catalogue.withhold(&snapshot, &document).await?;
            let landed = self.catalogue.land(made.prepared, &made.txn, fence);
            match landed.await {
                Ok(CommitOutcome::Committed { version, .. }) => {
                    self.note(&document).await?;
                    settled = Settled {
                        version: Some(version),
                        rows: settled.rows + made.rows,
                    };
                    return Ok(settled);
                }
                // Somebody else carried it out, or decided anew.
                Ok(CommitOutcome::AlreadyCommitted | CommitOutcome::Superseded { .. })
                | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let pipe = pipe.clone();
        Err(WithholdFailure::Disturbed { pipe })
    }

    /// So that nobody looks again.
    async fn note(&self, document: &Withholding) -> Result<(), DocumentError> {
        if document.is_behind() {
            let applied = document.revision;
            let note = |stored: &mut Withholding| stored.applied = stored.applied.max(applied);
            self.documents
                .change(&Withholding::key(&document.pipe), note)
                .await?;
        }
        Ok(())
    }
}

/// Why a decision was not written in this round.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Meanwhile {
    #[error("another decision came before")]
    Another,
    #[error(transparent)]
    Refused(WithholdError),
}

/// In a job of the pipe: takes over what its file says, and carries out what is
/// decided.
pub(crate) async fn settle(
    crawler: &Crawler,
    pipe: &PipeId,
    ctx: &JobContext,
) -> Result<(), Ending> {
    let withholder = Withholder {
        documents: &crawler.documents,
        catalogue: &crawler.catalogue,
    };
    if let Some(file) = state_of(crawler, pipe).await? {
        let now = crawler.ports.clock.now();
        let followed = withholder.follow_file(pipe, file, now).await;
        followed.map_err(ending)?;
    }
    let fence = Fence::new(|| ctx.still_mine());
    // A large pipe is rewritten meanwhile; a drop is a death between two writes.
    let settled = ctx.unless_told(withholder.settle(pipe, &fence)).await?;
    let settled = settled.map_err(ending)?;
    if let Some(version) = settled.version {
        let rows = settled.rows;
        tracing::info!(%pipe, version, rows, "{rows} product(s) of pipe {pipe} are withheld or let out");
    }
    Ok(())
}

/// What the pipe's file says now; of a pipe that is gone what was said last
/// counts.
async fn state_of(crawler: &Crawler, pipe: &PipeId) -> Result<Option<FileState>, Ending> {
    match crawler.pipes.current_set().await {
        Ok(current) => Ok(current.state_of(pipe)),
        Err(error) if error.is_transient() => Err(Ending::Failed(error.into())),
        Err(_) => Ok(None),
    }
}

pub(crate) fn ending(error: WithholdFailure) -> Ending {
    match error {
        WithholdFailure::Refused(error) => Ending::Failed(Failure::permanent(error.to_string())),
        WithholdFailure::Document(error) => documents_failure(error),
        WithholdFailure::Catalogue(error) => catalogue_failure(error),
        WithholdFailure::Commit(error) => commit_failure(error),
        WithholdFailure::Disturbed { .. }
        | WithholdFailure::StillShown { .. }
        | WithholdFailure::Contended { .. }
        | WithholdFailure::ImagesContended => Ending::Failed(Failure::transient(error.to_string())),
    }
}
