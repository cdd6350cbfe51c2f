//! From manifests into the ledger and the queue, as far as there is room.

use chrono::{DateTime, Utc};
use trawler_core::job::ImageJob;
use trawler_core::ledger::JobRecord;
use trawler_core::manifest::Manifest;
use trawler_core::{QueueName, RunId};

use super::{ManifestError, Room, Windows, read_jobs, unsettled};
use crate::{DocumentError, Documents, Jobs, Ports};

/// Jobs that are planned and sent in one go.
const SEND_JOBS: usize = 200;

/// Plans and sends jobs of the manifest, in its order, until the first that
/// has no room; says how many. Jobs that an earlier try planned are passed.
pub async fn send_more(
    ports: &Ports,
    jobs: &Jobs,
    manifest: &Manifest,
    room: &mut Room,
) -> Result<u64, ManifestError> {
    let mut planned = manifest.planned;
    let mut full = false;
    while planned < manifest.jobs && !full && !room.is_full() {
        let batch = read_jobs(ports, manifest, planned, SEND_JOBS).await?;
        let mut records = Vec::new();
        for job in batch {
            if !room.admit(&job.group) {
                full = true;
                break;
            }
            records.push(image_record(&job, ports.clock.now()));
        }
        planned += records.len() as u64;
        jobs.plan_and_send(records).await?;
        note_planned(&jobs.documents, &manifest.run, planned).await?;
    }
    Ok(planned - manifest.planned)
}

/// Sends jobs of all manifests as far as there is room; says how many.
pub async fn fill(ports: &Ports, jobs: &Jobs, windows: Windows) -> Result<u64, ManifestError> {
    let manifests = unsettled(&jobs.documents).await?;
    if manifests
        .iter()
        .all(|waiting| waiting.planned >= waiting.jobs)
    {
        return Ok(0);
    }
    let records = jobs.list(QueueName::Image).await?;
    let groups = records
        .iter()
        .filter(|record| !record.status.is_settled())
        .map(|record| record.group.as_str());
    let mut room = Room::new(windows, groups);
    let mut sent = 0;
    for manifest in &manifests {
        sent += send_more(ports, jobs, manifest, &mut room).await?;
    }
    Ok(sent)
}

/// The ledger's record of an image job.
pub fn image_record(job: &ImageJob, now: DateTime<Utc>) -> JobRecord {
    JobRecord::plan(
        job.id(),
        QueueName::Image,
        job.run.pipe.clone(),
        job.group.clone(),
        job.encode(),
        now,
    )
}

async fn note_planned(
    documents: &Documents,
    run: &RunId,
    planned: u64,
) -> Result<(), DocumentError> {
    documents
        .change(&Manifest::key(run), |manifest: &mut Manifest| {
            manifest.planned = manifest.planned.max(planned);
        })
        .await?;
    Ok(())
}
