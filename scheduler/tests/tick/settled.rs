//! What is settled leaves the ledger, and is still known.

use std::time::Duration;

use trawler_core::feed::FeedMode;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::manifest::Manifest;
use trawler_core::ports::Clock;
use trawler_core::run::Run;
use trawler_core::{JobId, JobName, RunId};
use trawler_fleet::Take;
use trawler_fleet::audit;
use trawler_fleet::manifests;

use crate::bench::{
    CRAWL, HOUR, IMAGE, daily, finish_image, scheduler, settle, with_images, world_at,
};
use crate::support::pipe;

#[tokio::test]
async fn what_is_settled_and_old_goes_and_history_stays() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 1).await;
    let count = |run: &mut Run| run.counts.image_jobs = 1;
    let documents = world.ports.documents();
    documents.change(&Run::key(&run), count).await.unwrap();
    ticker.tick().await.unwrap();
    finish_image(&world, &jobs[0]).await;
    ticker.tick().await.unwrap();
    let fold = CrawlJob::Fold {
        pipe: pipe("shop"),
        fold: 1,
    };
    let now = world.clock.now();
    manifests::note_fold(&world.ports.documents(), &run, 1, now)
        .await
        .unwrap();
    settle(&world, CRAWL, &fold.id(), JobStatus::Done).await;
    world
        .state
        .poke(&format!("checkpoints/image/{}", jobs[0].id()), b"{}");
    world.clock.advance(HOUR * 24 * 8);
    for _ in 0..2 {
        scheduler(&world, &[]).tick().await.unwrap();
    }
    assert_eq!(world.state.keys("jobs/image/"), [""; 0]);
    assert_eq!(world.state.keys("manifests/"), [""; 0]);
    assert_eq!(world.state.keys("checkpoints/"), [""; 0]);
    assert_eq!(world.state.keys("jobs/crawl/"), [""; 0]);
    assert_eq!(world.state.keys("runs/").len(), 1);
    let audited = audit(&world.ports).await.unwrap();
    assert!(audited.is_settled(), "{audited:?}");
    assert_eq!(audited.count(JobStatus::Done), 3, "run, image job, fold");
    // What is kept for people goes a week later.
    let logs = world.blobs.keys();
    assert!(
        logs.iter().all(|key| key.starts_with("settled/")),
        "{logs:?}"
    );
    world.clock.advance(HOUR * 24 * 8);
    scheduler(&world, &[]).tick().await.unwrap();
    assert_eq!(world.state.keys("settled/"), [""; 0]);
    assert_eq!(world.blobs.keys(), [""; 0]);
    assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn settled_records_leave_the_ledger_and_are_still_known_and_counted() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 3).await;
    ticker.tick().await.unwrap();
    for job in &jobs[..2] {
        finish_image(&world, job).await;
    }
    let before = audit(&world.ports).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(ticker.tick().await.unwrap().records_taken, 3);
    let open = JobRecord::key(IMAGE, &jobs[2].id());
    assert_eq!(world.state.keys("jobs/"), [open]);
    assert_eq!(audit(&world.ports).await.unwrap().jobs, before.jobs);
    let ledger = world.ports.jobs();
    let logged = ledger.settled(IMAGE).await.unwrap();
    assert!(
        logged
            .iter()
            .all(|job| job.epoch == 1 && job.body.is_empty())
    );
    assert_eq!(logged.len(), 2);
    // Late messages are stale, and nothing is planned again.
    for (queue, job) in [(CRAWL, JobId::from(&run)), (IMAGE, jobs[0].id())] {
        let late = ledger
            .take(queue, &format!("{job}:0"), "late")
            .await
            .unwrap();
        assert!(matches!(late, Take::Stale(JobStatus::Done)), "{late:?}");
    }
    finish_image(&world, &jobs[2]).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    let fold = JobName::fold_id(&run.pipe, 1);
    settle(&world, CRAWL, &fold, JobStatus::Done).await;
    let now = world.clock.now();
    let documents = world.ports.documents();
    manifests::note_fold(&documents, &run, 3, now)
        .await
        .unwrap();
    world.clock.advance(Duration::from_secs(60));
    ticker.tick().await.unwrap();
    assert_eq!(world.state.keys("jobs/"), [""; 0]);
    assert_eq!(world.state.keys("manifests/"), [""; 0]);
    for (queue, job) in [(CRAWL, fold), (IMAGE, jobs[0].id())] {
        let late = ledger
            .take(queue, &format!("{job}:0"), "late")
            .await
            .unwrap();
        assert!(matches!(late, Take::Stale(JobStatus::Done)), "{late:?}");
    }
    world.crawl.lose_all();
    world.image.lose_all();
    let audited = audit(&world.ports).await.unwrap();
    assert!(audited.is_settled(), "{audited:?}");
    assert_eq!(audited.count(JobStatus::Done), 1 + 3 + 1);
}

#[tokio::test]
async fn taking_settled_records_away_survives_a_death_at_any_write() {
    let mut writes = 0;
    loop {
        let world = world_at("2026-11-21T03:00:00Z");
        let ticker = scheduler(&world, &[daily()]);
        let (run, jobs) = with_images(&world, &ticker, 2).await;
        ticker.tick().await.unwrap();
        for job in &jobs {
            finish_image(&world, job).await;
        }
        ticker.tick().await.unwrap();
        settle(
            &world,
            CRAWL,
            &JobName::fold_id(&run.pipe, 1),
            JobStatus::Done,
        )
        .await;
        let now = world.clock.now();
        let documents = world.ports.documents();
        manifests::note_fold(&documents, &run, 2, now)
            .await
            .unwrap();
        world.clock.advance(HOUR);
        world.crash.after_writes(writes);
        let died = scheduler(&world, &[daily()]).tick().await.is_err();
        world.crash.restart();
        world.crawl.lose_all();
        world.image.lose_all();
        let between = audit(&world.ports).await.unwrap();
        assert_eq!(between.problems, [""; 0], "{writes}");
        assert_eq!(between.count(JobStatus::Done), 4, "{writes}");
        for _ in 0..2 {
            scheduler(&world, &[daily()]).tick().await.unwrap();
        }
        assert_eq!(world.state.keys("jobs/"), [""; 0], "{writes}");
        let audited = audit(&world.ports).await.unwrap();
        assert_eq!(audited.jobs, between.jobs, "{writes}");
        let logged = world.ports.jobs().settled(IMAGE).await.unwrap();
        assert_eq!(logged.len(), 2, "{writes}: each once");
        if !died {
            break;
        }
        writes += 1;
    }
    assert!(writes >= 8, "{writes}");
}

#[tokio::test]
async fn parts_and_results_that_nobody_needs_are_pruned() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, _) = with_images(&world, &ticker, 1).await;
    let under_way = RunId::parse("shop@2026-11-21T02:00:00.000Z").unwrap();
    let documents = world.ports.documents();
    let planned = Run::plan(under_way.clone(), FeedMode::Full, world.clock.now());
    documents
        .create(&Run::key(&under_way), &planned)
        .await
        .unwrap();
    let part = |run: &RunId, epoch| format!("{}.000000", Manifest::jobs_key(run, epoch));
    // A delivery that died before the one whose manifest it is; one that is
    // writing now; one of a run that nobody knows; a result that came late.
    let gone = RunId::parse("shop@2026-11-01T03:00:00.000Z").unwrap();
    let late = format!("{}x.json", Manifest::results_of(&gone));
    for key in [
        part(&run, 0),
        part(&under_way, 1),
        part(&gone, 1),
        late.clone(),
    ] {
        world.blobs.poke(&key, b"");
    }
    world.clock.advance(HOUR);
    ticker.tick().await.unwrap();
    let left = world.blobs.keys();
    for key in [part(&run, 1), part(&under_way, 1)] {
        assert!(left.contains(&key), "{key} of {left:?}");
    }
    for key in [part(&run, 0), part(&gone, 1), late] {
        assert!(!left.contains(&key), "{key}");
    }
}
