//! Takes away what is settled and old, and what crashes left: once in
//! [`PRUNE_EVERY`], by listings alone. Run documents stay; they are the history
//! that people look at.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::refetch::{Refetches, Wanted};
use trawler_core::run::Run;
use trawler_core::{JobId, PipeId, QueueName, RunId, RunSeq};
use trawler_fleet::{Created, manifests};

use crate::error::SchedulerError;
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

/// How often: what is left lies there for an hour longer, and the listings
/// (a page a 1,000 keys of a week) stay below a cent a day.
const PRUNE_EVERY: chrono::Duration = chrono::Duration::hours(1);

/// Things taken away in one pass, so that a tick stays short.
const PRUNED_A_PASS: u64 = 10_000;

const UPKEEP: &str = "upkeep/prune";

/// The document at `upkeep/prune`: when the last pass began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Upkeep {
    last: DateTime<Utc>,
}

impl Scheduler {
    /// A pass, if it is time for one and nobody else began it.
    pub(crate) async fn prune(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let now = self.now();
        let is_due = |last: DateTime<Utc>| now - last >= PRUNE_EVERY;
        let known = self.memory().pruned;
        if known.is_some_and(|last| !is_due(last)) {
            return Ok(());
        }
        let (mut mine, mut last) = (false, now);
        let claimed = self
            .documents
            .change(UPKEEP, |upkeep: &mut Upkeep| {
                mine = is_due(upkeep.last);
                if mine {
                    upkeep.last = now;
                }
                last = upkeep.last;
            })
            .await?;
        if claimed.is_none() {
            let first = self.documents.create(UPKEEP, &Upkeep { last: now }).await?;
            mine = first == Created::New;
        }
        self.memory().pruned = Some(last);
        if !mine {
            return Ok(());
        }
        self.prune_settled(report).await?;
        self.prune_orphans(look, report).await?;
        self.prune_checkpoints(report).await
    }

    /// Logs and documents of what settled long ago, by their names.
    async fn prune_settled(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        let before = (self.now() - self.options.settled_kept).timestamp_millis();
        for queue in QueueName::ALL {
            let keys = self.jobs.settled_logs(queue).await?;
            let old = keys.into_iter().filter(|key| {
                let name = key.rsplit('/').next().unwrap_or_default();
                let written = name.split('-').next().unwrap_or_default();
                written.parse::<i64>().is_ok_and(|at| at < before)
            });
            let old: Vec<String> = old.collect();
            report.pruned += old.len() as u64;
            self.remove_blobs(&old).await?;
        }
        let keys = manifests::blob_keys(&self.ports, Wanted::LISTS).await?;
        let old = keys.into_iter().filter(|key| {
            let name = key.rsplit('/').next().unwrap_or_default();
            name.parse::<i64>().is_ok_and(|at| at < before)
        });
        let old: Vec<String> = old.collect();
        report.pruned += old.len() as u64;
        self.remove_blobs(&old).await?;
        for key in self.documents.keys(Manifest::SETTLED).await? {
            if report.pruned >= PRUNED_A_PASS {
                break;
            }
            let Some(run) = run_of(&key[Manifest::SETTLED.len()..]) else {
                continue;
            };
            let settled = match Refetches::number(&run) {
                // Its number is no instant.
                Some(_) => match self.documents.get::<Manifest>(&key).await {
                    Ok(manifest) => manifest.map(|manifest| manifest.written.timestamp_millis()),
                    Err(error) => {
                        report.keep(error)?;
                        None
                    }
                },
                None => Some(run.seq.0),
            };
            if settled.is_none_or(|settled| settled >= before) {
                continue;
            }
            match self.is_over(&run).await {
                Ok(true) => {
                    self.documents.delete(&key).await?;
                    report.pruned += 1;
                }
                Ok(false) => {}
                Err(error) => report.keep(error)?,
            }
        }
        Ok(())
    }

    /// Parts of a crawler that died before it wrote the manifest, or was not
    /// the first to; results that came when their manifest was gone; inputs
    /// that were kept for a delivery which did not need them.
    async fn prune_orphans(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let open: HashMap<&RunId, &str> = look
            .manifests
            .iter()
            .map(|manifest| (&manifest.run, manifest.jobs_key.as_str()))
            .collect();
        let mut over: HashMap<RunId, bool> = HashMap::new();
        for prefix in ["manifests/", "results/", "inputs/"] {
            let mut orphans = Vec::new();
            for key in manifests::blob_keys(&self.ports, prefix).await? {
                if orphans.len() as u64 >= PRUNED_A_PASS {
                    break;
                }
                let Some(run) = run_of(&key[prefix.len()..]) else {
                    continue;
                };
                let is_orphan = match open.get(&run) {
                    // Parts of another delivery than the one whose manifest it is.
                    Some(jobs_key) => prefix == "manifests/" && !key.starts_with(jobs_key),
                    None => match over.get(&run) {
                        Some(is_over) => *is_over,
                        None => {
                            let is_over = match self.is_retired(&run).await {
                                Ok(is_over) => is_over,
                                Err(error) => {
                                    report.keep(error)?;
                                    false
                                }
                            };
                            over.insert(run, is_over);
                            is_over
                        }
                    },
                };
                if is_orphan {
                    orphans.push(key);
                }
            }
            report.pruned += orphans.len() as u64;
            self.remove_blobs(&orphans).await?;
        }
        Ok(())
    }

    /// Whether the run has no manifest that is open, and never will have. The
    /// run is asked first: a manifest is written before its run is over. Asked
    /// the other way round, a crawler could write it and finish between the two
    /// questions, and its parts would be taken away. Whoever takes up a failed
    /// run writes parts of another name. Test:
    /// `parts_of_a_manifest_that_is_being_written_stay`.
    async fn is_retired(&self, run: &RunId) -> Result<bool, SchedulerError> {
        if !self.is_over(run).await? {
            return Ok(false);
        }
        let manifest = manifests::find(&self.documents, run).await?;
        Ok(manifest.is_none_or(|manifest| manifest.settled))
    }

    async fn is_over(&self, run: &RunId) -> Result<bool, SchedulerError> {
        if let Some(refetch) = Refetches::number(run) {
            return self.is_refetched(&run.pipe, refetch).await;
        }
        let found: Option<Run> = self.documents.get(&Run::key(run)).await?;
        Ok(found.is_none_or(|run| run.phase.is_over()))
    }

    async fn remove_blobs(&self, keys: &[String]) -> Result<(), SchedulerError> {
        for keys in keys.chunks(manifests::DELETE_MAX) {
            manifests::delete(&self.ports, keys).await?;
        }
        Ok(())
    }

    /// A worker removes the checkpoint of a job that it settled; what a crash
    /// left goes here. Those of dead jobs stay, for a redrive goes on from them.
    async fn prune_checkpoints(&self, report: &mut TickReport) -> Result<(), SchedulerError> {
        for queue in QueueName::ALL {
            let prefix = format!("checkpoints/{queue}/");
            for key in self.documents.keys(&prefix).await? {
                let Ok(job) = JobId::parse(&key[prefix.len()..]) else {
                    continue;
                };
                let useless = match self.jobs.find(queue, &job).await {
                    Err(error) => {
                        report.keep(error)?;
                        false
                    }
                    Ok(None) => true,
                    Ok(Some(record)) => match record.status {
                        JobStatus::Done | JobStatus::Superseded => true,
                        JobStatus::Open | JobStatus::Parked | JobStatus::Dead => false,
                    },
                };
                if useless && report.pruned < PRUNED_A_PASS {
                    self.documents.delete(&key).await?;
                    report.pruned += 1;
                }
            }
        }
        Ok(())
    }
}

/// The run that a key names: `{pipe}/{14 digits}` and anything behind that.
fn run_of(rest: &str) -> Option<RunId> {
    let (pipe, rest) = rest.split_once('/')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some(RunId {
        pipe: PipeId::parse(pipe).ok()?,
        seq: RunSeq(rest[..digits].parse().ok()?),
    })
}
