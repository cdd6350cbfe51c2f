//! What the faults met: which deliveries were cut off, and where they stood.

use std::collections::{BTreeMap, HashMap};

use trawler_core::JobId;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobRecord;
use trawler_core::run::{Run, RunPhase};
use trawler_fleet::{Documents, Jobs, Ports};

use crate::outcome;

/// Looks at the ledger from time to time, and remembers.
pub(crate) struct Met {
    ports: Ports,
    documents: Documents,
    jobs: Jobs,
    /// Crashes known of, and where the latest delivery stood when it was seen.
    seen: HashMap<JobId, (u32, Option<String>)>,
    /// Deliveries that vanished, by where they stood.
    cut_off: BTreeMap<String, u32>,
}

/// What the ledger says about deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deliveries {
    pub(crate) jobs: u64,
    pub(crate) taken: u64,
    pub(crate) crashes: u64,
    pub(crate) hand_backs: u64,
    pub(crate) attempts: u64,
}

impl Met {
    pub(crate) fn new(ports: &Ports) -> Self {
        Self {
            ports: ports.clone(),
            documents: ports.documents(),
            jobs: ports.jobs(),
            seen: HashMap::new(),
            cut_off: BTreeMap::new(),
        }
    }

    /// Counts what vanished since the last look.
    pub(crate) async fn look(&mut self) {
        let runs = self.documents.load::<Run>("runs/", usize::MAX).await;
        let runs = runs.expect("read the runs");
        let phases: HashMap<JobId, RunPhase> = runs
            .iter()
            .map(|run| (JobId::from(&run.id), run.phase))
            .collect();
        for queue in trawler_core::QueueName::ALL {
            for job in self.jobs.list(queue).await.expect("read the ledger") {
                let at = job.in_hand.then(|| stands_at(&job, &phases));
                let seen = self.seen.entry(job.job.clone()).or_default();
                let crashes = job.crashes - seen.0;
                let before = seen.1.take();
                *seen = (job.crashes, at);
                if crashes > 0 {
                    let what = before.unwrap_or_else(|| kind(&job).to_owned());
                    *self.cut_off.entry(what).or_default() += crashes;
                }
            }
        }
    }

    pub(crate) fn cut_off(&self) -> &BTreeMap<String, u32> {
        &self.cut_off
    }

    pub(crate) async fn deliveries(&self) -> Deliveries {
        let mut sum = Deliveries::default();
        for job in outcome::jobs(&self.ports).await {
            sum.jobs += 1;
            sum.taken += job.epoch;
            sum.crashes += u64::from(job.crashes);
            sum.hand_backs += u64::from(job.hand_backs);
            sum.attempts += u64::from(job.attempts);
        }
        sum
    }
}

fn kind(job: &JobRecord) -> &'static str {
    match CrawlJob::decode(&job.body) {
        Err(_) => "image job",
        Ok(CrawlJob::Fold { .. }) => "fold",
        Ok(CrawlJob::Refetch { .. }) => "refetch",
        Ok(CrawlJob::Upkeep { .. }) => "upkeep",
        Ok(CrawlJob::Collect { .. }) => "run",
    }
}

fn stands_at(job: &JobRecord, phases: &HashMap<JobId, RunPhase>) -> String {
    match phases.get(&job.job) {
        Some(phase) => format!("run, {}", phase.as_str()),
        None => kind(job).to_owned(),
    }
}
