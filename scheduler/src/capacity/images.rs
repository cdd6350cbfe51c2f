//! Image work of each pipe: what the ledger and the manifests say of it.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use trawler_core::job::JOB_IMAGES_MAX;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::verdict::PAUSED;
use trawler_core::{PipeId, QueueName};
use trawler_fleet::PipeSet;

use crate::look::Look;

/// The image jobs of one pipe.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ImageWork {
    /// That are to be done, those included that are not sent yet.
    pub(super) jobs: u64,
    /// That were ever sent, of the runs that are not put away.
    pub(super) planned: u64,
    /// Sent and not settled.
    pub(super) open: u64,
    /// Of these, in somebody's hands.
    pub(super) in_hand: u64,
    /// That may be in flight at once: message groups.
    pub(super) lanes: u32,
    pub(super) since: Option<DateTime<Utc>>,
    /// Those that wait for an instant, by its minute.
    pub(super) parked: BTreeMap<DateTime<Utc>, Parked>,
    /// Time of a full job at the rate of the pipe; `None`: it is not configured.
    pub(super) by_rate_ms: Option<f64>,
}

/// Image jobs of one pipe that go on at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parked {
    pub(super) jobs: u64,
    pub(super) lanes: u32,
}

/// What there is to do, of pipes that have any.
pub(super) fn image_work(look: &Look, set: &PipeSet) -> BTreeMap<PipeId, ImageWork> {
    let mut found: BTreeMap<&PipeId, ImageWork> = BTreeMap::new();
    // Message groups that were counted, of open jobs and of those of a minute.
    let mut groups: HashSet<(&PipeId, Option<DateTime<Utc>>, &str)> = HashSet::new();
    for job in look.jobs(QueueName::Image).iter().map(|at| &at.document) {
        let parked_until = parked_until(job);
        if job.status != JobStatus::Open && parked_until.is_none() {
            continue;
        }
        let lane = u32::from(groups.insert((&job.pipe, parked_until, &job.group)));
        let work = found.entry(&job.pipe).or_default();
        match parked_until {
            Some(until) => {
                let parked = work.parked.entry(until).or_default();
                parked.jobs += 1;
                parked.lanes += lane;
            }
            None => {
                work.jobs += 1;
                work.open += 1;
                work.lanes += lane;
                work.in_hand += u64::from(job.in_hand);
                // What was parked is late by when it could go on.
                work.began(job.sent.unwrap_or(job.planned));
            }
        }
    }
    for manifest in &look.manifests {
        let work = found.entry(&manifest.run.pipe).or_default();
        work.planned += manifest.planned_jobs();
        if !manifest.settled {
            work.jobs += manifest.jobs.saturating_sub(manifest.planned_jobs());
            work.began(manifest.written);
        }
    }
    let with_work = found
        .into_iter()
        .filter(|(_, work)| work.jobs > 0 || !work.parked.is_empty());
    with_work
        .map(|(pipe, mut work)| {
            let configured = set.pipes.get(pipe);
            let shards = configured.map_or(1, |pipe| pipe.images.shards);
            work.lanes = work.lanes.max(shards);
            work.by_rate_ms = configured.map(|pipe| by_rate_ms(pipe.fetch.rate_per_s));
            (pipe.clone(), work)
        })
        .collect()
}

/// The minute in which a parked job goes on; not of one that waits for a
/// person.
fn parked_until(job: &JobRecord) -> Option<DateTime<Utc>> {
    let waits = job.status == JobStatus::Parked && job.reason != PAUSED;
    let due = job.due.filter(|_| waits)?;
    Some(due.duration_trunc(TimeDelta::minutes(1)).unwrap_or(due))
}

/// Time of a full job at so many requests a second.
pub(super) fn by_rate_ms(rate_per_s: f64) -> f64 {
    JOB_IMAGES_MAX as f64 / rate_per_s * 1_000.0
}

impl ImageWork {
    fn began(&mut self, at: DateTime<Utc>) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
    }
}
