//! Bringing a pipe back to what an earlier run left: one commit with the
//! compensating changes, and a pause, so that the next run does not repeat the
//! damage.
//!
//! The order, each step of which may be done twice:
//!
//! 1. A run of its own number, above every landed one, is written down.
//! 2. The pipe is paused until a person resumes it, and the pause says that the
//!    restore is under way. A run at work parks at its next step; when it goes
//!    on it finds that a later run has settled. Then the decision is written,
//!    for the audit trail.
//! 3. Validators and page book give way to ones that vouch for nothing, under
//!    the number of the restore: what a run before it learned is not kept over
//!    them.
//! 4. The rows are compared and committed under the number. The catalogue
//!    refuses a number that is not above the pipe's last, and a commit of the
//!    pipe that came in between has the rows compared anew.
//! 5. The pause says that the rows are back, and the run is finished.
//!
//! Killed in between, the same call goes on with the same number; until it is
//! called the pipe stays paused, and its pause says why. No lease is held: what keeps two commits of a
//! pipe apart is the catalogue.

mod written;

use std::time::Duration;

use serde::Serialize;
use trawler_catalogue::{
    CatalogueError, CommitError, CommitOutcome, Fence, NotShown, Restoring, SortLimits, Txn,
};
use trawler_core::blocked_images::BlockedImages;
use trawler_core::judge::Examples;
use trawler_core::pause::PauseScope;
use trawler_core::restore::{CannotRestore, landed, replaced_by};
use trawler_core::run::Run;
use trawler_core::withheld::{Policy, Withholding};
use trawler_core::{PipeId, RunId, RunSeq};
use trawler_fleet::{DocumentError, Pauses};

use crate::Upkeep;
use written::{forget_book, forget_feed};

/// Commits of the pipe by others that are given way to: once it is paused there
/// is one run at its commit, and folds of images, at the most.
const CONFLICTS_MAX: u32 = 10;

/// Between two of them.
const CONFLICT_WAIT: Duration = Duration::from_millis(500);

/// Why a pipe was not brought back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Cannot(Box<CannotRestore>),
    #[error(
        "the catalogue has no version that run {run} left, though its document says that it landed"
    )]
    NoVersion { run: RunId },
    #[error(
        "run {by} landed before the restore {restore} could, and the pipe is paused; look at it, then restore again or `trawler resume --pipe {}`",
        by.pipe
    )]
    Overtaken { restore: RunId, by: RunId },
    #[error(
        "the restore {restore} is begun and not done, and pipe {} is paused until it is; the same command goes on",
        restore.pipe
    )]
    Begun {
        restore: RunId,
        #[source]
        source: Box<RestoreError>,
    },
    #[error("other commits of pipe {pipe} came first {CONFLICTS_MAX} times")]
    Contended { pipe: PipeId },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("commit the restored rows of pipe {pipe}")]
    Commit {
        pipe: PipeId,
        #[source]
        source: Box<CommitError>,
    },
    #[error("make the scratch folder {path}")]
    Scratch {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl From<CannotRestore> for RestoreError {
    fn from(error: CannotRestore) -> Self {
        Self::Cannot(Box::new(error))
    }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The run whose rows come back.
    pub to: RunId,
    pub by: String,
    pub why: String,
    /// How long a state that was replaced can be brought back.
    pub kept: chrono::Duration,
    pub sort: SortLimits,
}

/// What was brought back, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    pub to: RunId,
    /// The run that replaced what is brought back.
    pub replaced_by: RunId,
    /// The restore itself; none of one that was only looked at, or where
    /// nothing differs.
    pub run: Option<RunId>,
    /// Version of the catalogue that the rows come from.
    pub from_version: i64,
    /// Version that has them again.
    pub version: Option<i64>,
    /// Rows that come back, become what they were, and go.
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    /// Rows of the pipe before and after.
    pub rows_before: u64,
    pub rows_after: u64,
    pub examples: Examples,
    /// Revision of the blocked pictures that the rows came back without, where
    /// that is known: what is blocked later is to be taken out of them.
    #[serde(skip)]
    pub blocked_images: Option<i64>,
}

/// A commit of this call, or of an earlier one, of which nothing is known.
#[derive(Default)]
struct Landed {
    version: Option<i64>,
    blocked_images: Option<i64>,
}

impl Upkeep {
    /// What a restore would change; does nothing.
    pub async fn look_at_restore(
        &self,
        options: &RestoreOptions,
    ) -> Result<Restored, RestoreError> {
        self.target(options).await?;
        let next = self.replaced_by(options, None).await?;
        let restoring = self.compare(options, &next).await?;
        Ok(told(options, &next, &restoring))
    }

    /// Brings the rows back and pauses the pipe. Where no row differs nothing
    /// is done.
    pub async fn restore(
        &self,
        options: &RestoreOptions,
        pauses: &Pauses,
    ) -> Result<Restored, RestoreError> {
        let pipe = &options.to.pipe;
        let target = self.target(options).await?;
        let earlier = self.begun_before(pipe).await?;
        let landed = self.landed(pipe).await?;
        let begun = unfinished(&options.to, &earlier.left, landed);
        let next = self.replaced_by(options, begun.map(|run| &run.id)).await?;
        let restoring = self.compare(options, &next).await?;
        if begun.is_none() && restoring.is_unchanged() {
            return Ok(told(options, &next, &restoring));
        }
        let restore = match begun {
            Some(begun) => begun.id.clone(),
            None => self.begin(options, landed, &target, &earlier).await?,
        };
        let gone_on = self.go_on(options, pauses, &restore, &next, restoring);
        gone_on.await.map_err(|source| match source {
            overtaken @ RestoreError::Overtaken { .. } => overtaken,
            source => RestoreError::Begun {
                restore,
                source: Box::new(source),
            },
        })
    }

    /// From the pause to the end, all of which may be done twice.
    async fn go_on(
        &self,
        options: &RestoreOptions,
        pauses: &Pauses,
        restore: &RunId,
        next: &Run,
        mut restoring: Restoring,
    ) -> Result<Restored, RestoreError> {
        let pause = PauseScope::Pipe(restore.pipe.clone());
        pauses.pause(&pause, &under_way(options)).await?;
        self.decide(options, restore).await?;
        let documents = self.ports.documents();
        forget_feed(&documents, restore).await?;
        forget_book(&documents, restore).await?;
        for _ in 0..CONFLICTS_MAX {
            self.will_commit(restore, &restoring).await?;
            match self.commit(restore, &restoring).await? {
                Landing::Landed(Landed {
                    version,
                    blocked_images,
                }) => {
                    pauses.pause(&pause, &done(options)).await?;
                    let counts = self.finish(restore, version).await?;
                    return Ok(Restored {
                        run: Some(restore.clone()),
                        version,
                        blocked_images,
                        inserts: counts.inserts,
                        updates: counts.updates,
                        deletes: counts.deletes,
                        ..told(options, next, &restoring)
                    });
                }
                Landing::CameBefore => {
                    self.ports.clock.sleep(CONFLICT_WAIT).await;
                    restoring = self.compare(options, next).await?;
                }
                Landing::Overtaken(by) => {
                    pauses.pause(&pause, &too_late(options, &by)).await?;
                    self.give_up(restore, &by).await?;
                    let restore = restore.clone();
                    return Err(RestoreError::Overtaken { restore, by });
                }
            }
        }
        let pipe = restore.pipe.clone();
        Err(RestoreError::Contended { pipe })
    }

    /// The run that is gone back to.
    async fn target(&self, options: &RestoreOptions) -> Result<Run, RestoreError> {
        let to = &options.to;
        let found = self.ports.documents().get(&Run::key(to)).await?;
        Ok(landed(to, found)?)
    }

    /// The first run that landed after it. What `begun`, a restore to it, may
    /// have committed does not count.
    async fn replaced_by(
        &self,
        options: &RestoreOptions,
        begun: Option<&RunId>,
    ) -> Result<Run, RestoreError> {
        let is_next = |run: &Run| run.has_landed() && Some(&run.id) != begun;
        let documents = self.ports.documents();
        let next = documents.first_run_after(&options.to, is_next).await?;
        let now = self.ports.clock.now();
        Ok(replaced_by(&options.to, next, now, options.kept)?)
    }

    /// The last run of the pipe in the catalogue.
    async fn landed(&self, pipe: &PipeId) -> Result<Option<RunSeq>, RestoreError> {
        let snapshot = self.catalogue.snapshot().await?;
        Ok(snapshot.txn(pipe.as_str()).map(RunSeq))
    }

    async fn compare(
        &self,
        options: &RestoreOptions,
        next: &Run,
    ) -> Result<Restoring, RestoreError> {
        let run = &options.to;
        let then = self.catalogue.as_left_by(run, next.version).await?;
        let then = then.ok_or_else(|| RestoreError::NoVersion { run: run.clone() })?;
        let base = self.catalogue.snapshot().await?;
        std::fs::create_dir_all(&self.scratch).map_err(|source| RestoreError::Scratch {
            path: self.scratch.display().to_string(),
            source,
        })?;
        let compared = self
            .catalogue
            .compare(&base, &then, &run.pipe, &self.scratch, options.sort);
        Ok(compared.await?)
    }

    async fn commit(
        &self,
        restore: &RunId,
        restoring: &Restoring,
    ) -> Result<Landing, RestoreError> {
        let pipe = &restore.pipe;
        // Asked after the rows were compared: what is decided later meets the
        // commit.
        let documents = self.ports.documents();
        let withheld: Option<Withholding> = documents.get(&Withholding::key(pipe)).await?;
        let blocked: Option<BlockedImages> = documents.get(BlockedImages::KEY).await?;
        let blocked = blocked.unwrap_or_default();
        let not_shown = NotShown {
            products: withheld.map_or_else(Policy::default, |document| document.policy()),
            pictures: blocked.hashes(),
        };
        let prepared = self
            .catalogue
            .bring_back(restoring, restore, not_shown)
            .await?;
        let txn = Txn {
            app_id: pipe.to_string(),
            version: restore.seq.0,
        };
        match self.catalogue.land(prepared, &txn, &Fence::open()).await {
            Ok(CommitOutcome::Committed { version, .. }) => Ok(Landing::Landed(Landed {
                version: Some(version),
                blocked_images: Some(blocked.revision),
            })),
            Ok(CommitOutcome::AlreadyCommitted) => Ok(Landing::Landed(Landed::default())),
            Ok(CommitOutcome::Superseded { stored }) => Ok(Landing::Overtaken(RunId {
                pipe: pipe.clone(),
                seq: RunSeq(stored),
            })),
            Err(CommitError::Conflict { .. }) => Ok(Landing::CameBefore),
            Err(source) => Err(RestoreError::Commit {
                pipe: pipe.clone(),
                source: Box::new(source),
            }),
        }
    }
}

/// How a commit of the restored rows ended.
enum Landing {
    Landed(Landed),
    /// Another commit of the pipe, so that rows are compared anew.
    CameBefore,
    /// A run with a higher number.
    Overtaken(RunId),
}

/// What the pause says until the rows are back.
fn under_way(options: &RestoreOptions) -> String {
    let RestoreOptions { to, by, .. } = options;
    let pipe = &to.pipe;
    format!(
        "the restore to run {to} is under way, by {by}; should it have died, give the same command again: `trawler restore --pipe {pipe} --to {to}`"
    )
}

fn done(options: &RestoreOptions) -> String {
    let RestoreOptions { to, by, .. } = options;
    let pipe = &to.pipe;
    format!("restored to run {to} by {by}; `trawler resume --pipe {pipe}` lets it run again")
}

fn too_late(options: &RestoreOptions, run: &RunId) -> String {
    let RestoreOptions { to, by, .. } = options;
    let pipe = &to.pipe;
    format!(
        "the restore to run {to} by {by} came too late for run {run}; restore again, or `trawler resume --pipe {pipe}`"
    )
}

fn told(options: &RestoreOptions, next: &Run, restoring: &Restoring) -> Restored {
    Restored {
        to: options.to.clone(),
        replaced_by: next.id.clone(),
        run: None,
        from_version: restoring.then_version(),
        version: None,
        blocked_images: None,
        inserts: restoring.inserts,
        updates: restoring.updates,
        deletes: restoring.deletes,
        rows_before: restoring.live_rows,
        rows_after: restoring.then_rows,
        examples: restoring.examples.clone(),
    }
}

/// A restore to this run that somebody began and did not finish, unless a later
/// run has landed since.
fn unfinished<'a>(to: &RunId, runs: &'a [Run], landed: Option<RunSeq>) -> Option<&'a Run> {
    runs.iter()
        .filter(|run| run.restores.as_ref() == Some(to) && !run.phase.is_over())
        .filter(|run| landed.is_none_or(|landed| landed <= run.id.seq))
        .max_by_key(|run| run.id.seq)
}
