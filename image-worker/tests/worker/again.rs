//! Jobs that come again, and jobs that are buried.

use trawler_core::image::{ImageOutcome, ImageStatus};
use trawler_core::image_ended::{EndedImages, given_up};
use trawler_core::verdict::Ending;
use trawler_fleet::{Handler, JobContext};
use trawler_shop::Rule;

use crate::bench::{STORED, path, status};
use crate::world::*;

#[tokio::test]
async fn finished_images_are_kept_and_not_fetched_again() {
    let world = World::start(shop_of(5)).await;
    let tasks = world.tasks(0);
    world
        .shop
        .misbehave_by(Rule::new(path(&tasks[2]), status(503)).first(1));
    let job = world.job(0, tasks);
    let ending = world.deliver(&job, 0).await;
    assert!(matches!(ending, Ending::Failed(_)), "{ending:?}");
    assert_eq!((world.requests(), world.counted().images_stored), (5, 8));

    assert_eq!(world.deliver(&job, 1).await, Ending::Done);
    assert_eq!((world.requests(), world.counted().images_stored), (6, 10));
    let outcomes = world.result(&job).await.unwrap().outcomes;
    assert_eq!(statuses(&outcomes), [STORED; 5]);
    let ids = outcomes.iter().map(|outcome| &outcome.product_id);
    assert!(ids.eq(job.images.iter().map(|task| &task.product_id)));
    world.shop.stop().await;
}

#[tokio::test]
async fn a_job_that_has_a_result_asks_for_nothing() {
    let world = World::start(shop_of(3)).await;
    let job = world.job(0, world.tasks(0));
    world.done(&job).await;
    let (result, requests) = (world.result(&job).await, world.requests());
    let counted = world.counted();
    assert_eq!(world.deliver(&job, 0).await, Ending::Done);
    assert_eq!(world.result(&job).await, result);
    assert_eq!(world.requests(), requests);
    assert_eq!(world.counted(), counted);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_buried_job_has_a_result_for_every_image() {
    let world = World::start(shop_of(4)).await;
    let job = world.job(0, world.tasks(0));
    let (worker, taken) = (world.worker(), world.taken(&job, 5));
    for _ in 0..2 {
        worker
            .before_bury(&taken, &world.context(&taken), "it kills its worker")
            .await
            .unwrap();
    }
    let outcomes = world.result(&job).await.unwrap().outcomes;
    assert_eq!(statuses(&outcomes), [ImageStatus::Unreachable; 4]);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.reason == "it kills its worker")
    );
    // A redrive finds it as well.
    assert_eq!(world.deliver(&job, 0).await, Ending::Done);
    assert_eq!(world.requests(), 0);

    // A result that is there is not replaced.
    let job = world.job(1, world.tasks(0));
    world.done(&job).await;
    let result = world.result(&job).await;
    let late = world.taken(&job, 5);
    worker
        .before_bury(&late, &world.context(&late), "late")
        .await
        .unwrap();
    assert_eq!(world.result(&job).await, result);

    // What cannot be read belongs to no manifest.
    let mut unread = taken;
    unread.record.body = "{}".to_owned();
    let ctx = world.context(&unread);
    worker
        .before_bury(&unread, &ctx, "not a job")
        .await
        .unwrap();
    world.shop.stop().await;
}

#[tokio::test]
async fn what_a_job_had_stored_before_it_crashed_stays_stored_when_it_is_buried() {
    let world = World::start(shop_of(4)).await;
    let job = world.job(0, world.tasks(0));
    let (worker, taken) = (world.worker(), world.taken(&job, 5));
    let stored = ImageOutcome {
        status: ImageStatus::Stored,
        ..given_up(&job.images[2], "")
    };
    let mut ended = EndedImages::default();
    ended.insert(&job.images, &[2], &stored);
    let ctx = world.context(&taken);
    ctx.save_checkpoint(&ended).await.unwrap();
    let why = "it kills its worker";
    worker.before_bury(&taken, &ctx, why).await.unwrap();
    let outcomes = world.result(&job).await.unwrap().outcomes;
    let mut expected = [ImageStatus::Unreachable; 4];
    expected[2] = ImageStatus::Stored;
    assert_eq!(statuses(&outcomes), expected);
    assert_eq!(world.requests(), 0);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_checkpoint_of_another_version_costs_requests_and_no_job() {
    let world = World::start(shop_of(2)).await;
    let job = world.job(0, world.tasks(0));
    let taken = world.taken(&job, 0);
    let ctx = JobContext::unleased(&world.ports, &taken, &world.drain);
    ctx.save_checkpoint(&["of", "old"]).await.unwrap();
    assert_eq!(world.worker().handle(&taken, &ctx).await, Ending::Done);
    assert_eq!(world.requests(), 2);
    world.shop.stop().await;
}
