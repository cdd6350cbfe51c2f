//! Image jobs: sent as their host has room, folded once.

use trawler_core::JobName;
use trawler_core::job::CrawlJob;
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::ports::Clock;
use trawler_fleet::audit;
use trawler_fleet::manifests;
use trawler_scheduler::TickReport;

use crate::bench::{
    CRAWL, HOUR, bury, daily, finish_image, scheduler, settle, with_images, world_at,
};
use crate::support::pipe;

#[tokio::test]
async fn image_jobs_go_out_as_their_host_has_room_and_are_folded_once() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 5).await;
    assert_eq!(ticker.tick().await.unwrap().image_jobs_sent, 3);
    assert!(ticker.has_work().await.unwrap());
    assert_eq!(ticker.tick().await.unwrap(), TickReport::default());
    for job in &jobs[..2] {
        finish_image(&world, job).await;
    }
    let report = ticker.tick().await.unwrap();
    assert_eq!((report.image_jobs_sent, report.folds_planned), (2, 0));
    // After a while what is there is folded, once.
    world.clock.advance(HOUR * 2);
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0);
    let fold = |fold| {
        let pipe = pipe("shop");
        CrawlJob::Fold { pipe, fold }.id()
    };
    let documents = world.ports.documents();
    let now = world.clock.now();
    manifests::note_fold(&documents, &run, 2, now)
        .await
        .unwrap();
    settle(&world, CRAWL, &fold(1), JobStatus::Done).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0, "nothing new");
    for job in &jobs[2..] {
        finish_image(&world, job).await;
    }
    assert_eq!(
        ticker.tick().await.unwrap().folds_planned,
        1,
        "all is there"
    );
    manifests::note_fold(&documents, &run, 5, now)
        .await
        .unwrap();
    settle(&world, CRAWL, &fold(2), JobStatus::Done).await;
    world.crawl.lose_all();
    world.image.lose_all();
    assert_eq!(ticker.tick().await.unwrap().pruned, 1, "the manifest");
    assert_eq!(ticker.tick().await.unwrap(), TickReport::default());
    assert!(!ticker.has_work().await.unwrap());
    let audited = audit(&world.ports).await.unwrap();
    assert!(audited.is_settled(), "{audited:?}");
    assert_eq!(audited.count(JobStatus::Done), 1 + 5 + 2);
}

#[tokio::test]
async fn sending_and_folding_survive_a_death_at_any_write() {
    let mut writes = 0;
    loop {
        let world = world_at("2026-11-21T03:00:00Z");
        let ticker = scheduler(&world, &[daily()]);
        let (_, jobs) = with_images(&world, &ticker, 2).await;
        world.crash.after_writes(writes);
        let sent = scheduler(&world, &[daily()]).tick().await.is_ok();
        world.crash.restart();
        scheduler(&world, &[daily()]).tick().await.unwrap();
        assert_eq!(world.image.len(), 2, "{writes}");
        for job in &jobs {
            finish_image(&world, job).await;
        }
        world.crash.after_writes(writes);
        let folded = scheduler(&world, &[daily()]).tick().await.is_ok();
        world.crash.restart();
        scheduler(&world, &[daily()]).tick().await.unwrap();
        scheduler(&world, &[daily()]).tick().await.unwrap();
        assert_eq!(world.crawl.len(), 1, "one fold, after {writes} writes");
        assert_eq!(
            world.state.keys("jobs/crawl/shop#images@"),
            ["jobs/crawl/shop#images@1"]
        );
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if sent && folded {
            break;
        }
        writes += 1;
    }
    assert!(writes >= 6, "{writes}");
}

#[tokio::test]
async fn a_dead_fold_waits_for_a_person_and_a_purged_one_for_nobody() {
    let world = world_at("2026-11-21T03:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let (run, jobs) = with_images(&world, &ticker, 1).await;
    ticker.tick().await.unwrap();
    finish_image(&world, &jobs[0]).await;
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    let fold = JobName::fold_id(&run.pipe, 1);
    settle(&world, CRAWL, &fold, JobStatus::Dead).await;
    bury(&world, CRAWL, &fold).await;
    world.clock.advance(HOUR * 3);
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 0);
    assert!(world.state.peek(&JobRecord::key(CRAWL, &fold)).is_some());
    let ledger = world.ports.jobs();
    ledger.purge(CRAWL, fold.as_str()).await.unwrap();
    assert_eq!(ticker.tick().await.unwrap().folds_planned, 1);
    ticker.tick().await.unwrap();
    let next = JobRecord::key(CRAWL, &JobName::fold_id(&run.pipe, 2));
    assert_eq!(world.state.keys("jobs/crawl/"), [next]);
}
