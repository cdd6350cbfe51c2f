//! The ledger of the version before.

use trawler_core::JobId;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::{ImageResult, Manifest};
use trawler_core::open_runs::OpenRuns;
use trawler_core::ports::Clock;
use trawler_fleet::manifests;

use crate::bench::{
    CRAWL, HOUR, IMAGE, daily, finish_run, runs, scheduler, settle, with_images, world_at,
};

#[tokio::test]
async fn runs_of_the_version_before_are_taken_over() {
    let world = world_at("2026-11-21T03:00:00Z");
    scheduler(&world, &[daily()]).tick().await.unwrap();
    finish_run(&world, &runs(&world)[0].id).await;
    world.clock.advance(HOUR * 24);
    scheduler(&world, &[daily()]).tick().await.unwrap();
    let documents = world.ports.documents();
    documents.delete("schedule/shop").await.unwrap();
    documents
        .delete(&JobRecord::key(CRAWL, &JobId::from(&runs(&world)[1].id)))
        .await
        .unwrap();
    // One run of history, one whose planner died before its record.
    let ticker = scheduler(&world, &[daily()]);
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 0);
    assert_eq!(ticker.tick().await.unwrap().jobs_sent, 1);
    let known: OpenRuns = documents.get("schedule/shop").await.unwrap().unwrap();
    assert_eq!(known.open, [runs(&world)[1].id.seq]);
    assert_eq!(known.newest, Some(runs(&world)[1].id.seq));
    world.clock.advance(HOUR * 24);
    assert_eq!(ticker.tick().await.unwrap().runs_planned, 1);
}

#[tokio::test]
async fn an_image_job_of_the_version_before_ends_as_it_would_have() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 1).await;
    let documents = world.ports.documents();
    let note = |manifest: &mut Manifest| manifest.planned = 1;
    documents.change(&Manifest::key(&run), note).await.unwrap();
    // Named without its run, planned and sent.
    let now = world.clock.now();
    let mut record = manifests::image_record(&jobs[0], now);
    record.job = JobId::parse("shop#0123456789abcdef01234567").unwrap();
    world
        .ports
        .jobs()
        .plan_and_send(vec![record.clone()])
        .await
        .unwrap();
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0);
    let result = ImageResult {
        job: record.job.clone(),
        run: run.clone(),
        tried: now,
        outcomes: Vec::new(),
    };
    manifests::put_result(&world.ports, &result).await.unwrap();
    settle(&world, IMAGE, &record.job, JobStatus::Done).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    world.clock.advance(HOUR);
    ticker.tick().await.unwrap();
    assert_eq!(world.state.keys("jobs/image/"), [""; 0]);
}
