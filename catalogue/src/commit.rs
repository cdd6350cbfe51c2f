//! The commit: one log entry, put only if its version is free.
//!
//! Writers of other pipes are rebased over; a writer of the same pipe is a
//! conflict. The writer itself refuses a transaction that is not above the
//! stored one, at every attempt, because Delta does not. A commit whose
//! response was lost is known again by its token.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use trawler_core::withheld::Withholding;
use twox_hash::XxHash3_128;

use crate::catalogue::{Catalogue, engine_info, put_entry};
use crate::diff::PreparedCommit;
use crate::error::CatalogueError;
use crate::log::action::{Add, Cdc, Line, ROWS_TAG, Remove, Texts, TxnAction, pipe_values};
use crate::log::entry::{Entry, Summary, TOKEN, UNTOLD, Untold, entry_path};
use crate::log::state::TableState;

/// Puts in a row that fail for other reasons than a lost race.
pub(crate) const STORE_FAILURES_MAX: u32 = 5;

/// Application and its rising number, by which a commit is made at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    pub app_id: String,
    pub version: i64,
}

/// Says whether the caller still holds what entitles it to commit. Asked
/// before every put of a log entry.
pub struct Fence<'a>(Box<dyn Fn() -> BoxFuture<'a, bool> + Send + Sync + 'a>);

impl<'a> Fence<'a> {
    /// `holds` returns false once the lease is lost or cannot be confirmed.
    pub fn new<F, Fut>(holds: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'a,
        Fut: Future<Output = bool> + Send + 'a,
    {
        Self(Box::new(move || holds().boxed()))
    }

    /// For work that no lease guards, such as a single process on a laptop.
    pub fn open() -> Self {
        Self::new(|| std::future::ready(true))
    }

    async fn holds(&self) -> bool {
        (self.0)().await
    }
}

/// How a commit ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    Committed {
        version: i64,
        /// The response to the put was lost and the commit found in the log.
        found_in_log: bool,
    },
    /// This very transaction has been committed, by another delivery.
    AlreadyCommitted,
    /// A later transaction has been committed; this one must not be.
    Superseded { stored: i64 },
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(
        "version {version} of the catalogue changed pipe {pipe} in the meantime; compare again with a new snapshot"
    )]
    Conflict { pipe: String, version: i64 },
    #[error("the lease on pipe {pipe} is lost; nothing was committed by this delivery")]
    FencedOff { pipe: String },
    #[error("gave up after {attempts} puts that other writers won; try again later")]
    Contended { attempts: u32 },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// What the log says about a commit that is to be made.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Clear,
    Ended(CommitOutcome),
    Conflict { version: i64 },
}

/// Judges by what was committed after the base, and by the stored transaction.
fn judge(
    prepared: &PreparedCommit,
    txn: &Txn,
    stored_txn: Option<i64>,
    newer: &[Summary],
) -> Verdict {
    let mine = |summary: &&Summary| summary.token.as_deref() == Some(&prepared.token);
    if let Some(summary) = newer.iter().find(mine) {
        return Verdict::Ended(CommitOutcome::Committed {
            version: summary.version,
            found_in_log: true,
        });
    }
    match stored_txn {
        Some(stored) if stored == txn.version => {
            return Verdict::Ended(CommitOutcome::AlreadyCommitted);
        }
        Some(stored) if stored > txn.version => {
            return Verdict::Ended(CommitOutcome::Superseded { stored });
        }
        Some(_) | None => {}
    }
    let pipe = prepared.pipe.as_str();
    // What is withheld counts for rows that this commit adds as well.
    let withheld = Withholding::app_id(&prepared.pipe);
    let hostile = |summary: &&Summary| {
        summary.changes_table
            || summary.pipes.iter().any(|touched| touched == pipe)
            || summary.txns.iter().any(|(app_id, _)| *app_id == withheld)
    };
    match newer.iter().find(hostile) {
        Some(summary) => Verdict::Conflict {
            version: summary.version,
        },
        None => Verdict::Clear,
    }
}

/// A log entry that was put and of which it is not known yet whether it is in
/// the log, by its version.
type Doubt = Option<i64>;

impl Catalogue {
    /// Makes the commit, at most once for a transaction.
    pub async fn commit(
        &self,
        prepared: &PreparedCommit,
        txn: &Txn,
        fence: &Fence<'_>,
    ) -> Result<CommitOutcome, CommitError> {
        self.attempt(prepared, txn, fence, &mut None).await
    }

    /// As [`Catalogue::commit`], for who does not try again with these files:
    /// where the commit has not landed and cannot land any more they are
    /// removed. What cannot be removed now is an orphan like what a crash leaves,
    /// and so are files of a commit of which the store did not say what became.
    pub async fn land(
        &self,
        prepared: PreparedCommit,
        txn: &Txn,
        fence: &Fence<'_>,
    ) -> Result<CommitOutcome, CommitError> {
        let mut doubt = None;
        let ended = self.attempt(&prepared, txn, fence, &mut doubt).await;
        let has_landed = matches!(ended, Ok(CommitOutcome::Committed { .. }));
        if !has_landed && doubt.is_none() {
            let pipe = prepared.pipe.clone();
            if let Err(error) = self.discard(prepared).await {
                tracing::debug!(%pipe, %error, "files of a commit of pipe {pipe} that did not land are not removed: {error}");
            }
        }
        ended
    }

    async fn attempt(
        &self,
        prepared: &PreparedCommit,
        txn: &Txn,
        fence: &Fence<'_>,
        doubt: &mut Doubt,
    ) -> Result<CommitOutcome, CommitError> {
        let mut failures = 0;
        for attempt in 0..self.options.commit_attempts.max(1) {
            let turn = self.turn.lock().await;
            let (state, newer) = self.commits_since(prepared.base_version).await?;
            let stored = state.txns.get(txn.app_id.as_str()).copied();
            // The version is taken: by this commit, which is then found, or not.
            *doubt = doubt.filter(|version| *version > state.version);
            match judge(prepared, txn, stored, &newer) {
                Verdict::Clear => {}
                Verdict::Ended(outcome) => return Ok(outcome),
                Verdict::Conflict { version } => {
                    let pipe = prepared.pipe.to_string();
                    return Err(CommitError::Conflict { pipe, version });
                }
            }
            let entry = self.entry(prepared, txn, &state);
            if !fence.holds().await {
                let pipe = prepared.pipe.to_string();
                return Err(CommitError::FencedOff { pipe });
            }
            *doubt = Some(entry.version);
            match put_entry(&self.store, &entry).await {
                Ok(()) => {
                    let version = entry.version;
                    self.take_up(entry).await?;
                    drop(turn);
                    self.checkpoint_if_due(version).await;
                    return Ok(CommitOutcome::Committed {
                        version,
                        found_in_log: false,
                    });
                }
                // Somebody else's, or our own of an attempt within the store's
                // client, or S3's 409 for puts that meet: the log tells.
                Err(object_store::Error::AlreadyExists { .. }) => failures = 0,
                // Whether the entry is there is not known: the next attempt
                // reads the log and finds it by its token.
                Err(error) => {
                    failures += 1;
                    if failures >= STORE_FAILURES_MAX {
                        let path = entry_path(entry.version);
                        return Err(CatalogueError::store("write", path)(error).into());
                    }
                }
            }
            drop(turn);
            self.clock.sleep(self.wait(&prepared.token, attempt)).await;
        }
        Err(CommitError::Contended {
            attempts: self.options.commit_attempts,
        })
    }

    /// A wait between half and the whole of a doubling span, spread by token
    /// and attempt so that writers do not meet again.
    pub(crate) fn wait(&self, token: &str, attempt: u32) -> Duration {
        let span = self
            .options
            .backoff
            .saturating_mul(1 << attempt.min(16))
            .min(self.options.backoff_max);
        let seed = XxHash3_128::oneshot(format!("{token}#{attempt}").as_bytes());
        let share = (seed % 1_000) as u32;
        span / 2 + span.saturating_mul(share) / 2_000
    }

    /// A commit stands without its checkpoint: failing to write one costs
    /// readers time and nothing else.
    async fn checkpoint_if_due(&self, version: i64) {
        let every = self.options.checkpoint_every;
        if every > 0
            && version % every == 0
            && let Err(error) = self.checkpoint().await
        {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                version,
                error,
                "cannot write a catalogue checkpoint at version {version}"
            );
        }
    }

    fn entry(&self, prepared: &PreparedCommit, txn: &Txn, state: &TableState) -> Entry {
        let now_ms = self.clock.now().timestamp_millis();
        let untold = prepared.files.untold.iter().map(Untold::of);
        let untold: Vec<Untold> = untold.collect();
        let mut info = json!({
            // Never before the commit that it follows: readers travel by time.
            "timestamp": now_ms.max(state.timestamp),
            "operation": prepared.operation,
            "operationParameters": {},
            "operationMetrics": prepared.metrics,
            "engineInfo": engine_info(),
            "isBlindAppend": false,
            "readVersion": state.version,
            "pipe": prepared.pipe,
            "run": prepared.written_by,
            TOKEN: prepared.token,
        });
        if !untold.is_empty() {
            info[UNTOLD] = json!(untold);
        }
        let mut lines = vec![
            Line {
                commit_info: info.as_object().cloned(),
                ..Line::default()
            },
            Line {
                txn: Some(TxnAction {
                    app_id: txn.app_id.clone(),
                    version: txn.version,
                    last_updated: Some(now_ms),
                }),
                ..Line::default()
            },
        ];
        lines.extend(file_lines(prepared, now_ms));
        Entry {
            version: state.version + 1,
            lines,
        }
    }
}

fn file_lines(prepared: &PreparedCommit, now_ms: i64) -> impl Iterator<Item = Line> {
    let values = pipe_values(prepared.pipe.as_str());
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let removes = prepared.files.removed.iter().map({
        let values = values.clone();
        move |file| Line {
            remove: Some(Remove {
                path: file.add.path.clone(),
                deletion_timestamp: Some(now_ms),
                data_change: true,
                extended_file_metadata: Some(true),
                partition_values: Some(values.clone()),
                size: Some(file.add.size),
            }),
            ..Line::default()
        }
    });
    let adds = prepared.files.added.iter().map({
        let values = values.clone();
        move |file| Line {
            add: Some(Add {
                path: file.path.clone(),
                partition_values: values.clone(),
                size: size(file.size),
                modification_time: now_ms,
                data_change: true,
                stats: serde_json::to_string(&file.stats).ok(),
                deletion_vector: None,
            }),
            ..Line::default()
        }
    });
    let changes = prepared.files.changes.iter().map(move |file| Line {
        cdc: Some(Cdc {
            path: file.path.clone(),
            partition_values: values.clone(),
            size: size(file.size),
            data_change: false,
            tags: Some(Texts::from([(
                ROWS_TAG.to_owned(),
                Some(file.stats.num_records.to_string()),
            )])),
        }),
        ..Line::default()
    });
    removes.chain(adds).chain(changes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use trawler_core::PipeId;

    use super::*;
    use crate::rewrite::Rewritten;

    #[test]
    fn the_log_decides_who_may_commit() {
        let prepared = PreparedCommit {
            pipe: PipeId::parse("a").unwrap(),
            base_version: 3,
            token: "mine".to_owned(),
            operation: "MERGE",
            written_by: String::new(),
            metrics: serde_json::Map::new(),
            files: Rewritten::default(),
        };
        let summary = |token: &str, pipe: &str, changes_table: bool| Summary {
            version: 4,
            token: Some(token.to_owned()),
            pipes: vec![pipe.to_owned()],
            txns: Vec::new(),
            changes_table,
        };
        let check = |stored: Option<i64>, newer: &[Summary], expected: Verdict| {
            let txn = Txn {
                app_id: "a".to_owned(),
                version: 10,
            };
            assert_eq!(judge(&prepared, &txn, stored, newer), expected);
        };
        let found = Verdict::Ended(CommitOutcome::Committed {
            version: 4,
            found_in_log: true,
        });
        check(None, &[], Verdict::Clear);
        check(Some(9), &[summary("x", "b", false)], Verdict::Clear);
        check(
            Some(9),
            &[summary("x", "a", false)],
            Verdict::Conflict { version: 4 },
        );
        let withheld = Summary {
            txns: vec![("a#withheld".to_owned(), 3)],
            pipes: Vec::new(),
            ..summary("x", "a", false)
        };
        check(Some(9), &[withheld], Verdict::Conflict { version: 4 });
        check(
            Some(9),
            &[summary("x", "b", true)],
            Verdict::Conflict { version: 4 },
        );
        check(Some(10), &[summary("mine", "a", false)], found);
        check(
            Some(10),
            &[summary("x", "a", false)],
            Verdict::Ended(CommitOutcome::AlreadyCommitted),
        );
        check(
            Some(10),
            &[],
            Verdict::Ended(CommitOutcome::AlreadyCommitted),
        );
        check(
            Some(11),
            &[],
            Verdict::Ended(CommitOutcome::Superseded { stored: 11 }),
        );
    }
}
