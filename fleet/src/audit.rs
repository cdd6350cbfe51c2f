//! Holds the ledger against itself: every fault test ends with it.
//!
//! The record of a settled job does not stay (`Jobs`), so what
//! was planned is counted where it was planned: a job for every run, one for
//! every number of a pipe's folds, one for every line of a manifest that is
//! planned, and one for every number of its refetches. Each has a record, or a document that tells how it ended, and never
//! neither; each is counted in exactly one status.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use trawler_core::dead::DeadLetter;
use trawler_core::folds::Folds;
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::open_runs::OpenRuns;
use trawler_core::refetch::Refetches;
use trawler_core::run::{Run, RunPhase};
use trawler_core::{JobId, JobName, PipeId, QueueName, RunId};

use crate::manifests::{self, ManifestError};
use crate::{Jobs, JobsError, Ports};

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

    /// Counts jobs that have no record any more; says that this is as it should
    /// be.
    fn add(&mut self, queue: QueueName, status: JobStatus, jobs: u64) -> bool {
        if jobs > 0 {
            let of_queue = self.jobs.entry(queue).or_default();
            *of_queue.entry(status).or_default() += jobs;
        }
        true
    }

    /// Nothing is open or parked and nothing contradicts itself.
    pub fn is_settled(&self) -> bool {
        self.count(JobStatus::Open) + self.count(JobStatus::Parked) == 0 && self.problems.is_empty()
    }
}

/// Looks at every run, job, manifest and result.
pub async fn audit(ports: &Ports) -> Result<Audit, ManifestError> {
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
    audit_runs(ports, &mut audit).await?;
    audit_folds(ports, &mut audit).await?;
    audit_refetches(ports, &mut audit).await?;
    for manifest in documents.load::<Manifest>("manifests/", usize::MAX).await? {
        audit_manifest(ports, &manifest, &mut audit).await?;
    }
    Ok(audit)
}

/// Every run has a job that fits its phase, or is over; and every run that is
/// open in its pipe's schedule has a document.
async fn audit_runs(ports: &Ports, audit: &mut Audit) -> Result<(), ManifestError> {
    let (documents, jobs) = (ports.documents(), ports.jobs());
    let mut known = BTreeSet::new();
    for run in documents.load::<Run>("runs/", usize::MAX).await? {
        known.insert(run.id.clone());
        let record = jobs.find(QueueName::Crawl, &JobId::from(&run.id)).await?;
        let status = record.map(|record| record.status);
        let fits = match (run.phase, status) {
            (RunPhase::Finished | RunPhase::Quarantined, None) => {
                audit.add(QueueName::Crawl, JobStatus::Done, 1)
            }
            (RunPhase::Superseded, None) => audit.add(QueueName::Crawl, JobStatus::Superseded, 1),
            // Its dead letter was purged.
            (RunPhase::Failed, None) => audit.add(QueueName::Crawl, JobStatus::Dead, 1),
            (_, None) => false,
            (RunPhase::Finished | RunPhase::Quarantined, Some(status)) => {
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
        let counted = run.phase.is_over().then_some(run.counts.image_jobs);
        audit_settled_images(ports, &run.id, counted, audit).await?;
    }
    for schedule in documents.load::<OpenRuns>("schedule/", usize::MAX).await? {
        for run in schedule.runs().filter(|run| !known.contains(run)) {
            audit
                .problems
                .push(format!("run {run} is open and has no document"));
        }
    }
    Ok(())
}

/// Image jobs of a settled manifest are done, but for those that still have a
/// record. When its document was pruned, the run tells how many there were.
async fn audit_settled_images(
    ports: &Ports,
    run: &RunId,
    counted: Option<u64>,
    audit: &mut Audit,
) -> Result<(), ManifestError> {
    let documents = ports.documents();
    let planned = match manifests::find(&documents, run).await? {
        // Looked at by itself.
        Some(manifest) if !manifest.settled => return Ok(()),
        Some(manifest) => manifest.jobs,
        None => counted.unwrap_or_default(),
    };
    let prefix = format!("jobs/{}/{}@{}#", QueueName::Image, run.pipe, run.seq);
    let recorded = documents.keys(&prefix).await?.len() as u64;
    audit.add(
        QueueName::Image,
        JobStatus::Done,
        planned.saturating_sub(recorded),
    );
    Ok(())
}

/// Every fold that was planned has a record or is known to be done.
async fn audit_folds(ports: &Ports, audit: &mut Audit) -> Result<(), ManifestError> {
    let (documents, jobs) = (ports.documents(), ports.jobs());
    for key in documents.keys("folds/").await? {
        let pipe = PipeId::parse(&key["folds/".len()..]).ok();
        let folds: Option<Folds> = documents.get(&key).await?;
        let (Some(pipe), Some(folds)) = (pipe, folds) else {
            continue;
        };
        for fold in 1..=folds.newest {
            let job = JobName::fold_id(&pipe, fold);
            // The newest number may be taken and its job not planned yet.
            if folds.is_done(fold) && jobs.find(QueueName::Crawl, &job).await?.is_none() {
                audit.add(QueueName::Crawl, JobStatus::Done, 1);
            }
        }
    }
    Ok(())
}

/// Every refetch that was planned has a record or is known to be done. Of a
/// manifest that was pruned nobody knows how many image jobs it had.
async fn audit_refetches(ports: &Ports, audit: &mut Audit) -> Result<(), ManifestError> {
    let (documents, jobs) = (ports.documents(), ports.jobs());
    for key in documents.keys(Refetches::ALL).await? {
        let pipe = PipeId::parse(&key[Refetches::ALL.len()..]).ok();
        let refetches: Option<Refetches> = documents.get(&key).await?;
        let (Some(pipe), Some(refetches)) = (pipe, refetches) else {
            continue;
        };
        for refetch in 1..=refetches.newest {
            let job = JobName::refetch_id(&pipe, refetch);
            if refetches.is_done(refetch) && jobs.find(QueueName::Crawl, &job).await?.is_none() {
                audit.add(QueueName::Crawl, JobStatus::Done, 1);
            }
            let run = Refetches::run(&pipe, refetch);
            audit_settled_images(ports, &run, None, audit).await?;
        }
    }
    Ok(())
}

/// Every dead job tells why, unless a person purged it.
async fn audit_letters(ports: &Ports, audit: &mut Audit) -> Result<(), ManifestError> {
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
async fn audit_messages(ports: &Ports, audit: &mut Audit) -> Result<(), ManifestError> {
    let jobs = ports.jobs();
    for queue in QueueName::ALL {
        if messages(ports, queue).await? > 0 {
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
        if waiting.is_empty() || messages(ports, queue).await? > 0 {
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

/// Every planned job of an open manifest has a record or a result, and every
/// result a job.
async fn audit_manifest(
    ports: &Ports,
    manifest: &Manifest,
    audit: &mut Audit,
) -> Result<(), ManifestError> {
    if manifest.settled {
        // Its results may be on their way out.
        return Ok(());
    }
    let keys = manifests::result_keys(ports, &manifest.run, None, usize::MAX).await?;
    let results: BTreeSet<String> = keys.into_iter().collect();
    let (jobs, mut listed, mut from) = (ports.jobs(), BTreeSet::new(), 0);
    while from < manifest.jobs {
        let part = manifests::read_jobs(ports, manifest, from, manifests::PART_JOBS).await?;
        for (number, job) in (from..).zip(&part) {
            let id = job.id();
            let key = Manifest::result_key(&manifest.run, &id);
            if manifest.is_planned(number) && jobs.find(QueueName::Image, &id).await?.is_none() {
                if results.contains(&key) {
                    audit.add(QueueName::Image, JobStatus::Done, 1);
                } else {
                    audit.problems.push(format!(
                        "image job {id} is planned and has neither record nor result"
                    ));
                }
            }
            if !listed.insert(key) {
                let run = &manifest.run;
                audit
                    .problems
                    .push(format!("run {run} planned image job {id} twice"));
            }
        }
        from += part.len() as u64;
    }
    for stray in results.difference(&listed) {
        audit
            .problems
            .push(format!("result {stray} belongs to no planned job"));
    }
    Ok(())
}

async fn messages(ports: &Ports, queue: QueueName) -> Result<u64, ManifestError> {
    let depth = ports.queue(queue).depth().await;
    Ok(depth.map_err(JobsError::from)?.total())
}
