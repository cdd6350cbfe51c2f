//! Images that nobody is asked for: of a pipe that wants none, and of one that
//! is gone.

use trawler_core::image::ImageStatus;
use trawler_core::verdict::Ending;
use trawler_fleet::Handler;

use crate::bench::STORED;
use crate::world::*;

#[tokio::test]
async fn a_pipe_that_wants_no_images_any_more_has_its_jobs_ended_unasked() {
    let mut world = World::start(shop_of(3)).await;
    world.pipe.images.collect = false;
    let outcomes = world.done(&world.job(0, world.tasks(0))).await;
    assert_eq!(statuses(&outcomes), [ImageStatus::NotCollected; 3]);
    assert!(outcomes.iter().all(|outcome| outcome.reason.is_empty()));
    assert_eq!(world.requests(), 0);
    world.pipe.images.collect = true;
    let outcomes = world.done(&world.job(1, world.tasks(0))).await;
    assert_eq!(statuses(&outcomes), [STORED; 3]);
    world.shop.stop().await;
}

#[tokio::test]
async fn images_of_a_pipe_that_is_gone_are_paused_and_not_unreachable() {
    let mut world = World::start(shop_of(3)).await;
    let job = world.job(0, world.tasks(0));
    let taken = world.taken(&job, 0);
    world.pipe.id = trawler_core::PipeId::parse("another").unwrap();
    let worker = world.worker();
    let ctx = world.context(&taken);
    let Ending::Failed(failure) = worker.handle(&taken, &ctx).await else {
        panic!("a job without its pipe cannot be done");
    };
    worker
        .before_bury(&taken, &ctx, &failure.reason)
        .await
        .unwrap();
    let outcomes = world.result(&job).await.unwrap().outcomes;
    assert_eq!(statuses(&outcomes), [ImageStatus::PipePaused; 3]);
    for outcome in outcomes {
        assert!(outcome.reason.contains("pipe shop is not configured"));
    }
    assert_eq!(world.requests(), 0);
    world.shop.stop().await;
}
