//! Holds the ledger against itself: every fault test ends with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use trawler_core::dead::DeadLetter;
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, QueueName};
use trawler_fleet::{Jobs, Ports, manifests};

use crate::error::SchedulerError;

/// What the ledger says, and what in it cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    pub jobs: BTreeMap<QueueName, BTreeMap<JobStatus, u64>>,
    /// Each a sentence that names the document.
    pub problems: Vec<String>,
}

impl Audit {
    pub fn count(&self, status: JobStatus) -> u64 {
        self.jobs
            .values()
            .filter_map(|jobs| jobs.get(&status))
            .sum()
    }

    /// Nothing is open or parked and nothing contradicts itself.
    pub fn is_settled(&self) -> bool {
        self.count(JobStatus::Open) + self.count(JobStatus::Parked) == 0 && self.problems.is_empty()
    }
}

/// Looks at every run, job, manifest and result.
pub async fn audit(ports: &Ports) -> Result<Audit, SchedulerError> {
    let (documents, jobs) = (ports.documents(), ports.jobs());
    let mut audit = Audit::default();
    for queue in QueueName::ALL {
        let counts = audit.jobs.entry(queue).or_default();
        for record in jobs.list(queue).await? {
            *counts.entry(record.status).or_default() += 1;
            if record.in_hand && record.status != JobStatus::Open {
                audit.problems.push(format!(
                    "job {} is {} and in hand",
                    record.job,
                    record.status.as_str()
                ));
            }
            if (record.status == JobStatus::Parked) != record.due.is_some() {
                audit.problems.push(format!(
                    "job {} is {} with due {:?}",
                    record.job,
                    record.status.as_str(),
                    record.due
                ));
            }
        }
    }
    audit_letters(ports, &mut audit).await?;
    audit_messages(ports, &mut audit).await?;
    for run in documents.load::<Run>("runs/", usize::MAX).await? {
        let record = jobs.find(QueueName::Crawl, &JobId::from(&run.id)).await?;
        let status = record.map(|record| record.status);
        let fits = match (run.phase, status) {
            // Pruned jobs leave their run behind.
            (phase, None) => phase.is_over(),
            (RunPhase::Finished, Some(status)) => {
                status == JobStatus::Done || status == JobStatus::Open
            }
            (RunPhase::Failed, Some(status)) => {
                status == JobStatus::Dead || status == JobStatus::Open
            }
            (RunPhase::Superseded, Some(status)) => {
                status == JobStatus::Superseded || status == JobStatus::Open
            }
            (_, Some(status)) => !status.is_settled(),
        };
        if !fits {
            audit.problems.push(format!(
                "run {} is {} and its job {status:?}",
                run.id,
                run.phase.as_str()
            ));
        }
    }
    for manifest in documents.load::<Manifest>("manifests/", usize::MAX).await? {
        audit_manifest(ports, &manifest, &mut audit).await?;
    }
    Ok(audit)
}

/// Every dead job tells why, unless a person purged it.
async fn audit_letters(ports: &Ports, audit: &mut Audit) -> Result<(), SchedulerError> {
    let (documents, jobs) = (ports.documents(), ports.jobs());
    for queue in QueueName::ALL {
        let letters: BTreeSet<String> = documents
            .keys(&format!("dead/{queue}/"))
            .await?
            .into_iter()
            .collect();
        for record in jobs.list(queue).await? {
            let told = letters.contains(&DeadLetter::key(queue, record.job.as_str()));
            if record.status == JobStatus::Dead && !told && !Jobs::is_purged(&record) {
                audit
                    .problems
                    .push(format!("job {} is dead and has no dead letter", record.job));
            }
        }
    }
    Ok(())
}

/// No job waits for a message that is not there. A queue with messages cannot
/// be asked for which, so only an empty one tells.
async fn audit_messages(ports: &Ports, audit: &mut Audit) -> Result<(), SchedulerError> {
    let jobs = ports.jobs();
    for queue in QueueName::ALL {
        if ports.queue(queue).depth().await?.total() > 0 {
            continue;
        }
        let sent = jobs
            .list(queue)
            .await?
            .into_iter()
            .filter(|record| record.status == JobStatus::Open && record.sent.is_some());
        let waiting: Vec<_> = sent.collect();
        // A message that was sent or settled while this looked is no problem:
        // the queue has to be empty still, and the record the same.
        if waiting.is_empty() || ports.queue(queue).depth().await?.total() > 0 {
            continue;
        }
        for record in waiting {
            if jobs.find(queue, &record.job).await?.as_ref() == Some(&*record) {
                audit
                    .problems
                    .push(format!("job {} is open and has no message", record.job));
            }
        }
    }
    Ok(())
}

/// Every planned job has at most one result, and every result a job.
async fn audit_manifest(
    ports: &Ports,
    manifest: &Manifest,
    audit: &mut Audit,
) -> Result<(), SchedulerError> {
    let mut planned = BTreeSet::new();
    let mut from = 0;
    while from < manifest.jobs {
        let jobs = manifests::read_jobs(ports, manifest, from, manifests::PART_JOBS).await?;
        from += jobs.len() as u64;
        for job in jobs {
            if !planned.insert(Manifest::result_key(&manifest.run, &job.id())) {
                audit.problems.push(format!(
                    "run {} planned image job {} twice",
                    manifest.run,
                    job.id()
                ));
            }
        }
    }
    let results: BTreeSet<String> = manifests::result_keys(ports, &manifest.run, None, usize::MAX)
        .await?
        .into_iter()
        .collect();
    for stray in results.difference(&planned) {
        audit
            .problems
            .push(format!("result {stray} belongs to no planned job"));
    }
    if manifest.settled {
        for missing in planned.difference(&results) {
            audit.problems.push(format!(
                "settled run {} has no result {missing}",
                manifest.run
            ));
        }
    }
    Ok(())
}
