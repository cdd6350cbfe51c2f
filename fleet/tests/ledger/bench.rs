//! Records, runs and image jobs to plan, and results to bring.

use std::time::Duration;

use trawler_core::job::ImageJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::ports::Clock;
use trawler_core::{JobId, QueueName, RunId};
use trawler_fleet::Take;

use crate::support::{TestClock, World, image_job_at, pipe, put_result};

pub(crate) const V: Duration = Duration::from_secs(60);

pub(crate) fn world() -> World {
    World::new(TestClock::flowing("2026-11-21T03:00:00Z"), V)
}

pub(crate) fn record(world: &World, name: &str) -> JobRecord {
    let job = JobId::parse(name).unwrap();
    let (group, body) = (name.to_owned(), "{}".to_owned());
    let now = world.clock.now();
    JobRecord::plan(job, QueueName::Crawl, pipe("shop"), group, body, now)
}

pub(crate) fn run() -> RunId {
    RunId::parse("shop@2026-11-21T03:00:00.000Z").unwrap()
}

pub(crate) fn image_job(n: usize, host: &str) -> ImageJob {
    image_job_at(&run(), host, n as u64)
}

/// Puts the result of a job and settles its record.
pub(crate) async fn finish(world: &World, job: &ImageJob) {
    put_result(world, job).await;
    let (jobs, id) = (world.ports.jobs(), job.id());
    let taken = jobs.take(QueueName::Image, &format!("{id}:0"), "d").await;
    assert!(matches!(taken.unwrap(), Take::Work(_)));
    let settled = jobs.transition("settle", QueueName::Image, &id, |record| {
        record.settle(record.epoch, JobStatus::Done, "", record.planned)
    });
    settled.await.unwrap();
}

/// Takes every settled record out of the ledger.
pub(crate) async fn take_away(world: &World) -> u64 {
    let jobs = world.ports.jobs();
    let survey = jobs.survey(QueueName::Image).await.unwrap();
    let settled = survey.jobs.into_iter();
    let settled = settled.filter(|at| at.document.status.is_settled());
    let told = jobs.images_told(settled.collect()).await.unwrap();
    jobs.take_away(QueueName::Image, &told).await.unwrap()
}

pub(crate) fn poke(world: &World, key: &str, document: &impl serde::Serialize) {
    world
        .state
        .poke(key, &serde_json::to_vec(document).unwrap());
}
