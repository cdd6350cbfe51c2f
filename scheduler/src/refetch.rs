//! Images that are fetched between two runs: a refetch is numbered and planned
//! as a fold is, and once a day every pipe has one for its failed images. A pipe
//! that is not collected has none: its shop is asked nothing.
//!
//! A pipe whose images never fail has its job all the same, since the catalogue
//! alone knows: with 5,000 pipes about what an unchanged run of each costs (see
//! the crate's table). `[images] retry` of trawler.toml says when, or never.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobStatus;
use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::refetch::{Ages, Failed, Refetches, Wanted};
use trawler_core::withheld::Withholding;
use trawler_core::{JobId, JobName, PipeId, QueueName};
use trawler_fleet::DocumentError;

use crate::error::SchedulerError;
use crate::look::Look;
use crate::tick::{Scheduler, TickReport};

/// Pipes whose retry is planned in one tick, so that a tick stays short.
const RETRIES_A_TICK: usize = 200;

const RETRIES: &str = "upkeep/retries";

/// The document at `upkeep/retries`: how far the retries are planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Retries {
    /// The due instant that is being planned, or was planned last.
    due: DateTime<Utc>,
    /// Pipes up to this one, in order, are planned; `None` when all are.
    after: Option<String>,
}

impl Scheduler {
    /// Plans the pipe's next refetch, unless one is under way, and sends it;
    /// gives its job.
    pub async fn refetch(
        &self,
        pipe: &PipeId,
        wanted: Wanted,
    ) -> Result<Option<JobId>, SchedulerError> {
        self.check_collected(pipe).await?;
        self.send_refetch(pipe, wanted).await
    }

    /// As [`Scheduler::refetch`], for those who work on jobs and may send none:
    /// the next tick sends what is recorded.
    pub async fn record_refetch(
        &self,
        pipe: &PipeId,
        wanted: Wanted,
    ) -> Result<Option<JobId>, SchedulerError> {
        self.check_collected(pipe).await?;
        let Some(job) = self.number_refetch(pipe, wanted).await? else {
            return Ok(None);
        };
        self.jobs.plan(&self.crawl_record(&job)).await?;
        Ok(Some(job.id()))
    }

    /// Pipes whose images can be fetched now: those that are collected, and
    /// their images too. One whose decisions cannot be read is left alone.
    pub async fn fetchable(&self) -> Result<BTreeSet<PipeId>, SchedulerError> {
        let set = self.pipes.current().await?;
        let documents = &self.documents;
        let found = documents.load_readable::<Withholding>(Withholding::ALL, usize::MAX);
        let found = found.await?;
        let retired = found.documents.iter().filter_map(|document| {
            let is_retired = document.said == Some(PipeState::Retired);
            is_retired.then(|| Withholding::key(&document.pipe))
        });
        let mut not_asked: HashSet<String> = retired.collect();
        for error in found.unreadable {
            match error {
                DocumentError::Unreadable { key, .. } => not_asked.insert(key),
                error => return Err(error.into()),
            };
        }
        let is_asked = |pipe: &&Pipe| {
            let may = pipe.images.collect && pipe.state.is_collected();
            may && !not_asked.contains(&Withholding::key(&pipe.id))
        };
        let pipes = set.pipes.values().filter(is_asked);
        Ok(pipes.map(|pipe| pipe.id.clone()).collect())
    }

    async fn send_refetch(
        &self,
        pipe: &PipeId,
        wanted: Wanted,
    ) -> Result<Option<JobId>, SchedulerError> {
        let Some(job) = self.number_refetch(pipe, wanted).await? else {
            return Ok(None);
        };
        self.plan_crawl(&job).await?;
        Ok(Some(job.id()))
    }

    /// The pipe's next refetch, unless one is under way. The number is taken
    /// before the job is recorded, so that a crash in between leaves a number
    /// without a job, which the next one takes.
    async fn number_refetch(
        &self,
        pipe: &PipeId,
        wanted: Wanted,
    ) -> Result<Option<CrawlJob>, SchedulerError> {
        let key = Refetches::key(pipe);
        let known: Refetches = self.documents.get(&key).await?.unwrap_or_default();
        let mut number = known.newest;
        if known.newest > known.done {
            let newest = JobName::refetch_id(pipe, known.newest);
            match self.jobs.find(QueueName::Crawl, &newest).await? {
                Some(record) if !record.status.is_settled() => return Ok(None),
                // A dead one is superseded by the next.
                Some(_) => number += 1,
                None => {}
            }
        } else {
            number += 1;
        }
        if number != known.newest {
            let next = Refetches {
                newest: number,
                done: known.newest,
                ..known
            };
            self.documents.create(&key, &known).await?;
            let taken = self.documents.change(&key, |stored: &mut Refetches| {
                if stored.newest == known.newest {
                    *stored = next;
                }
            });
            if taken.await? != Some(next) {
                // Another one is planning it.
                return Ok(None);
            }
        }
        Ok(Some(CrawlJob::Refetch {
            pipe: pipe.clone(),
            refetch: number,
            wanted,
        }))
    }

    /// Failed images whose retry is due until `until`, as of what was retried
    /// before.
    pub async fn due_retries(
        &self,
        pipe: &PipeId,
        until: DateTime<Utc>,
    ) -> Result<Ages, SchedulerError> {
        let known: Option<Refetches> = self.documents.get(&Refetches::key(pipe)).await?;
        let since = known.and_then(|known| known.retried);
        Ok(Ages::Due { since, until })
    }

    pub(crate) async fn plan_retries(
        &self,
        look: &Look,
        report: &mut TickReport,
    ) -> Result<(), SchedulerError> {
        let schedule = self.options.retry.as_ref();
        let due = schedule.and_then(|schedule| schedule.latest_at_or_before(self.now()));
        let Some(due) = due.filter(|due| self.memory().retried < Some(*due)) else {
            return Ok(());
        };
        let Some(after) = self.retries_after(due).await? else {
            self.memory().retried = Some(due);
            return Ok(());
        };
        let set = match self.pipes.current().await {
            Ok(set) => set,
            // Without pipes nothing is planned.
            Err(error) => return report.keep(error),
        };
        let behind = PipeId::parse(&after).map_or(Bound::Unbounded, Bound::Excluded);
        let mut pipes = set.pipes.range((behind, Bound::Unbounded));
        let mut last = None;
        for (id, pipe) in pipes.by_ref().take(RETRIES_A_TICK) {
            last = Some(id.to_string());
            if !pipe.images.collect || !look.state(pipe).is_collected() {
                continue;
            }
            match self.retry_due(id, due).await {
                Ok(planned) => report.refetches_planned += u64::from(planned),
                Err(error) => report.keep(error)?,
            }
        }
        let last = last.filter(|_| pipes.next().is_some());
        self.documents
            .change(RETRIES, |retries: &mut Retries| {
                if retries.due == due && retries.after.is_some() {
                    retries.after.clone_from(&last);
                }
            })
            .await?;
        Ok(())
    }

    /// Behind which pipe to go on with the retries of this instant; `None` when
    /// all are planned. What was due before the first look is not caught up.
    async fn retries_after(&self, due: DateTime<Utc>) -> Result<Option<String>, SchedulerError> {
        let first = Retries { due, after: None };
        let found = self
            .documents
            .change(RETRIES, |retries: &mut Retries| {
                if retries.due < due {
                    *retries = Retries {
                        due,
                        after: Some(String::new()),
                    };
                }
            })
            .await?;
        match found {
            Some(retries) => Ok(retries.after.filter(|_| retries.due == due)),
            None => {
                self.documents.create(RETRIES, &first).await?;
                Ok(None)
            }
        }
    }

    async fn retry_due(&self, pipe: &PipeId, due: DateTime<Utc>) -> Result<bool, SchedulerError> {
        let which = self.due_retries(pipe, due).await?;
        if matches!(which, Ages::Due { since, .. } if since >= Some(due)) {
            return Ok(false);
        }
        let failed = Failed {
            statuses: Vec::new(),
            which,
        };
        let planned = self.send_refetch(pipe, Wanted::Failed(failed)).await?;
        Ok(planned.is_some())
    }

    /// Whether the refetch ended, so that nothing writes its manifest any more.
    pub(crate) async fn is_refetched(
        &self,
        pipe: &PipeId,
        refetch: i64,
    ) -> Result<bool, SchedulerError> {
        let job = JobName::refetch_id(pipe, refetch);
        if let Some(record) = self.jobs.find(QueueName::Crawl, &job).await? {
            // A dead one may be sent again; then it writes parts of another name.
            return Ok(record.status.is_settled() || record.status == JobStatus::Dead);
        }
        let known: Option<Refetches> = self.documents.get(&Refetches::key(pipe)).await?;
        Ok(known.is_none_or(|known| known.is_done(refetch)))
    }
}
