//! The steps of one redriven job, in this order: the run's document, the
//! record, an image job's result of the burial, the message, the letter. Each
//! of them finds what an earlier try did and does nothing twice.

use std::time::Duration;

use trawler_core::image::ImageStatus;
use trawler_core::ledger::{JobRecord, JobStatus, LedgerError};
use trawler_core::manifest::Manifest;
use trawler_core::ports::{BlobError, Outgoing, QueueError};
use trawler_core::run::{Run, RunPhase};
use trawler_core::{QueueName, RunId};

use super::item::{Item, Work};
use crate::manifests::{self, ManifestError};
use crate::retry::retry;
use crate::{DocumentError, Jobs, JobsError};

/// Tries of a batch that the queue throttles or does not answer: with the waits
/// between them two minutes, after which somebody has to look.
const SEND_TRIES: u32 = 12;

const SEND_WAIT_FIRST: Duration = Duration::from_millis(200);

const SEND_WAIT_MAX: Duration = Duration::from_secs(15);

const OWN_RESULT: &str = "its own result, which is there";

/// What a job needs before its letter goes.
pub(super) enum Prepared {
    /// This message, which its record says was sent.
    Send(Outgoing),
    /// Nothing: this stands for it, and its record says so.
    Superseded(String),
    /// Nothing: the letter is older than what the ledger says.
    Settled(String),
}

/// What the record was found to be.
enum Stand {
    Send { dedup_id: String },
    TakenSince,
    Settled(JobStatus),
    InHand,
}

pub(super) async fn prepare(jobs: &Jobs, item: &Item) -> Result<Prepared, JobsError> {
    let has_result = match &item.work {
        Work::Images(run) => has_own_result(jobs, item, run).await?,
        Work::Collect(_) | Work::Fold { .. } | Work::Alone | Work::Strange => false,
    };
    if has_result && let Some(prepared) = supersede(jobs, item, OWN_RESULT).await? {
        return Ok(prepared);
    }
    let now = jobs.clock().now();
    let mut stand = Stand::InHand;
    let changed = jobs.transition("redrive", item.queue, &item.job, |record| {
        stand = reopen(record, item, now)?;
        Ok(())
    });
    let record = match changed.await {
        Ok(record) => record,
        Err(JobsError::Ledger(LedgerError::Status { status, .. })) if status != JobStatus::Dead => {
            return Ok(settled(status));
        }
        Err(error) => return Err(error),
    };
    match stand {
        Stand::InHand => Err(JobsError::InHand {
            verb: "redrive",
            job: item.job.clone(),
        }),
        Stand::TakenSince => Ok(Prepared::Settled("it was sent and taken since".to_owned())),
        Stand::Settled(status) => Ok(settled(status)),
        Stand::Send { dedup_id } => {
            match &item.work {
                Work::Collect(run) => reopen_run(jobs, run).await?,
                Work::Images(run) if !has_result => remove_result(jobs, item, run).await?,
                Work::Images(_) | Work::Fold { .. } | Work::Alone | Work::Strange => {}
            }
            Ok(Prepared::Send(Outgoing {
                group: record.group,
                dedup_id,
                body: record.body,
            }))
        }
    }
}

fn settled(status: JobStatus) -> Prepared {
    Prepared::Settled(format!("it is {} since", status.as_str()))
}

fn reopen(
    record: &mut JobRecord,
    item: &Item,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Stand, LedgerError> {
    Ok(match record.status {
        JobStatus::Dead => {
            record.redrive_and_send(now)?;
            Stand::Send {
                dedup_id: record.last_dedup_id(),
            }
        }
        JobStatus::Open if record.in_hand => Stand::InHand,
        JobStatus::Open if item.epoch > 0 && record.epoch > item.epoch => Stand::TakenSince,
        // A redrive that died before or after it sent; or a burial that did
        // between letter and record, whose message is still there.
        JobStatus::Open => {
            if record.needs_send() {
                record.mark_sent(now);
            }
            Stand::Send {
                dedup_id: record.last_dedup_id(),
            }
        }
        status @ (JobStatus::Parked | JobStatus::Done | JobStatus::Superseded) => {
            Stand::Settled(status)
        }
    })
}

/// Whether a delivery finished the job: its result is not the one of the
/// burial, or nothing in it was given up.
async fn has_own_result(jobs: &Jobs, item: &Item, run: &RunId) -> Result<bool, JobsError> {
    let key = Manifest::result_key(run, &item.job);
    let result = match manifests::read_result(&jobs.ports, &key).await {
        Ok(result) => result,
        Err(ManifestError::Blob(BlobError::NotFound { .. })) => return Ok(false),
        Err(error) => return Err(of_manifest(error, &key)),
    };
    let gave_up = result
        .outcomes
        .iter()
        .any(|outcome| outcome.status == ImageStatus::Unreachable);
    Ok(result.tried > item.buried || !gave_up)
}

/// The result that the burial put would tell the worker that all is done.
async fn remove_result(jobs: &Jobs, item: &Item, run: &RunId) -> Result<(), JobsError> {
    let key = [Manifest::result_key(run, &item.job)];
    let deleted = retry(jobs.clock(), BlobError::is_transient, || {
        jobs.ports.blobs.delete(&key)
    });
    Ok(deleted.await?)
}

fn of_manifest(error: ManifestError, key: &str) -> JobsError {
    match error {
        ManifestError::Document(error) => error.into(),
        ManifestError::Blob(error) => error.into(),
        ManifestError::Jobs(error) => error,
        error @ (ManifestError::Job { .. } | ManifestError::Unreadable { .. }) => {
            DocumentError::Unreadable {
                key: key.to_owned(),
                reason: error.to_string(),
            }
            .into()
        }
    }
}

async fn reopen_run(jobs: &Jobs, run: &RunId) -> Result<(), JobsError> {
    jobs.documents
        .change(&Run::key(run), |run: &mut Run| {
            if run.phase == RunPhase::Failed {
                run.phase = RunPhase::Planned;
                run.finished = None;
                run.reason.clear();
            }
        })
        .await?;
    Ok(())
}

/// Settles a dead job without sending it. `None` for one that is open: a try
/// before this one opened it and may not have sent it.
pub(super) async fn supersede(
    jobs: &Jobs,
    item: &Item,
    by: &str,
) -> Result<Option<Prepared>, JobsError> {
    let superseded = jobs.transition("supersede", item.queue, &item.job, |record| {
        record.supersede_dead(by)
    });
    match superseded.await {
        Ok(_) => {}
        Err(JobsError::Ledger(LedgerError::Status { status, .. })) => {
            return Ok((status != JobStatus::Open).then(|| settled(status)));
        }
        Err(error) => return Err(error),
    }
    if let Work::Collect(run) = &item.work {
        let reason = format!("superseded by {by}");
        jobs.documents
            .change(&Run::key(run), |run: &mut Run| {
                if run.phase == RunPhase::Failed {
                    run.phase = RunPhase::Superseded;
                    run.reason.clone_from(&reason);
                }
            })
            .await?;
    }
    Ok(Some(Prepared::Superseded(by.to_owned())))
}

/// Sends a batch of one queue; says what the queue refuses, by its place.
pub(super) async fn send(
    jobs: &Jobs,
    queue: QueueName,
    batch: &[Outgoing],
) -> Result<Vec<(usize, QueueError)>, QueueError> {
    let pace = super::pace::Pace::per_second(u32::MAX);
    send_paced(jobs, queue, batch, &pace).await.1
}

/// As `send`, at a pace; with the number of requests.
pub(super) async fn send_paced(
    jobs: &Jobs,
    queue: QueueName,
    batch: &[Outgoing],
    pace: &super::pace::Pace,
) -> (u64, Result<Vec<(usize, QueueError)>, QueueError>) {
    let clock = jobs.clock();
    let mut requests = 0;
    let mut left: Vec<usize> = (0..batch.len()).collect();
    let mut refused = Vec::new();
    for tried in 1.. {
        let messages: Vec<Outgoing> = left.iter().map(|at| batch[*at].clone()).collect();
        pace.turn(clock).await;
        requests += 1;
        let mut last = None;
        match jobs.ports.queue(queue).send(&messages).await {
            Ok(failed) => {
                let mut again = Vec::new();
                for failure in failed {
                    let Some(at) = left.get(failure.index).copied() else {
                        continue;
                    };
                    if failure.source.is_transient() {
                        again.push(at);
                        last = Some(failure.source);
                    } else if messages.len() > 1 {
                        // Refused in this company; alone it is the queue's word.
                        again.push(at);
                    } else {
                        refused.push((at, failure.source));
                    }
                }
                if last.is_none() {
                    // One by one, in their order.
                    for at in again {
                        pace.turn(clock).await;
                        requests += 1;
                        let alone = std::slice::from_ref(&batch[at]);
                        match jobs.ports.queue(queue).send(alone).await {
                            Ok(mut failed) => {
                                refused.extend(failed.pop().map(|failure| (at, failure.source)));
                            }
                            Err(error) => refused.push((at, error)),
                        }
                    }
                    return (requests, Ok(refused));
                }
                left = again;
            }
            Err(error) if error.is_transient() => last = Some(error),
            Err(error) => return (requests, Err(error)),
        }
        if let Some(error) = last
            && tried >= SEND_TRIES
        {
            return (requests, Err(error));
        }
        let wait = SEND_WAIT_FIRST * 2_u32.saturating_pow(tried - 1).min(1 << 16);
        clock.sleep(wait.min(SEND_WAIT_MAX)).await;
    }
    unreachable!("the loop ends by its last try")
}

/// The queue refused the message for good: the job is dead as before.
pub(super) async fn take_back(
    jobs: &Jobs,
    item: &Item,
    error: &QueueError,
) -> Result<(), JobsError> {
    let reason = format!("its message was refused when it was redriven: {error}");
    let taken = jobs.transition("take back", item.queue, &item.job, |record| {
        record.take_redrive_back(&reason);
        Ok(())
    });
    taken.await?;
    Ok(())
}

/// The letter goes. At another version it was buried anew meanwhile and stays.
pub(super) async fn finish(jobs: &Jobs, item: &Item) -> Result<(), JobsError> {
    jobs.documents.delete_at(&item.key, &item.version).await?;
    Ok(())
}
