//! Images, hosts and stores that fail.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use trawler_core::PipeId;
use trawler_core::image::{ImageStatus, KnownImage};
use trawler_core::verdict::{Ending, FailureClass};
use trawler_fleet::{Handler, JobContext};
use trawler_shop::Fault;

use crate::bench::{STORED, path, status};
use crate::world::*;

#[tokio::test]
async fn what_no_retry_mends_is_recorded_at_once() {
    let world = World::start(shop_of(16)).await;
    let mut tasks = world.tasks(0);
    let faults = [
        (status(404), ImageStatus::NotFound),
        (status(410), ImageStatus::NotFound),
        (status(401), ImageStatus::Blocked),
        (status(403), ImageStatus::Blocked),
        (status(451), ImageStatus::Blocked),
        (Fault::HtmlInstead, ImageStatus::NotAnImage),
        (Fault::Endless, ImageStatus::TooLarge),
        (Fault::Huge { bytes: 1 << 40 }, ImageStatus::TooLarge),
        (
            Fault::Bomb {
                decoded_bytes: 64 << 20,
            },
            ImageStatus::TooLarge,
        ),
        (Fault::PixelBomb { side_px: 60_000 }, ImageStatus::TooLarge),
        (Fault::RedirectLoop, ImageStatus::Unreachable),
        (
            Fault::RedirectTo("http://169.254.169.254/latest/meta-data/".to_owned()),
            ImageStatus::RefusedAddress,
        ),
        (
            Fault::RedirectTo("http://10.0.0.1/a.jpg".to_owned()),
            ImageStatus::RefusedAddress,
        ),
        (
            Fault::RedirectTo("file:///etc/passwd".to_owned()),
            ImageStatus::BadUrl,
        ),
    ];
    let mut expected = Vec::new();
    for (task, (fault, status)) in tasks.iter().zip(faults) {
        world.shop.misbehave(path(task), fault);
        expected.push(status);
    }
    expected.extend([STORED, STORED]);
    for (url, status) in [
        ("http://[::1]:9/a.jpg", ImageStatus::RefusedAddress),
        ("ftp://shop.test/a.jpg", ImageStatus::BadUrl),
        ("", ImageStatus::BadUrl),
    ] {
        tasks.push(task("odd", url));
        expected.push(status);
    }
    let outcomes = world.done(&world.job(0, tasks)).await;
    for (outcome, expected) in outcomes.iter().zip(&expected) {
        assert_eq!(
            outcome.status, *expected,
            "{} {}",
            outcome.url, outcome.reason
        );
        let good = *expected == STORED;
        assert_eq!(outcome.reason.is_empty(), good, "{}", outcome.reason);
        assert_eq!(outcome.variants.len(), if good { 2 } else { 0 });
        assert_eq!(outcome.known != KnownImage::default(), good);
    }
    assert_eq!(outcomes.len(), expected.len());
    assert_eq!(world.counted().images_stored, 4);
    world.shop.stop().await;
}

#[tokio::test]
async fn what_a_retry_may_mend_fails_the_job_until_its_last_attempt() {
    let check = |fault: Fault, expected: ImageStatus| async move {
        let world = World::start(shop_of(3)).await;
        let tasks = world.tasks(0);
        world.shop.misbehave(path(&tasks[1]), fault);
        let job = world.job(0, tasks);
        let Ending::Failed(failure) = world.deliver(&job, 0).await else {
            panic!("{expected:?} is tried again");
        };
        assert_eq!(failure.class, FailureClass::Transient, "{failure:?}");
        assert!(world.result(&job).await.is_none());
        let requests = world.requests();

        assert_eq!(world.deliver(&job, ATTEMPTS_MAX - 1).await, Ending::Done);
        let outcomes = world.result(&job).await.unwrap().outcomes;
        assert_eq!(statuses(&outcomes), [STORED, expected, STORED]);
        assert!(!outcomes[1].reason.is_empty());
        assert_eq!(world.requests(), requests + 1, "only the failed one");
        world.shop.stop().await;
    };
    check(Fault::Truncate { after_bytes: 200 }, ImageStatus::Truncated).await;
    check(status(503), ImageStatus::Unreachable).await;
    check(status(500), ImageStatus::Unreachable).await;
    check(Fault::Reset, ImageStatus::Unreachable).await;
}

#[tokio::test]
async fn a_host_that_asks_for_a_rest_gets_it() {
    let world = World::start(shop_of(3)).await;
    let fault = Fault::Status {
        code: 429,
        retry_after_s: Some(90),
    };
    world.shop.misbehave("/img/", fault);
    let job = world.job(0, world.tasks(0));
    let Ending::Failed(failure) = world.deliver(&job, 0).await else {
        panic!("it is tried again");
    };
    assert_eq!(failure.class, FailureClass::Throttled);
    let wait_ms = failure.retry_after_ms.unwrap();
    assert!((85_000..=90_000).contains(&wait_ms), "{wait_ms}");
    assert_eq!(world.deliver(&job, ATTEMPTS_MAX - 1).await, Ending::Done);
    let outcomes = world.result(&job).await.unwrap().outcomes;
    assert_eq!(statuses(&outcomes), [ImageStatus::Unreachable; 3]);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_fails_the_job_and_no_image() {
    let mut world = World::start(shop_of(4)).await;
    world.fetches = 1;
    let whole = Arc::clone(&world.ports.blobs);
    world.ports.blobs = Arc::new(FullBlobs {
        inner: Arc::clone(&whole),
        images_left: AtomicU32::new(5),
    });
    let job = world.job(0, world.tasks(0));
    // Also on what would be the last attempt: the images are not at fault.
    let Ending::Failed(failure) = world.deliver(&job, ATTEMPTS_MAX - 1).await else {
        panic!("nothing can be stored");
    };
    assert_eq!(failure.class, FailureClass::Transient);
    assert!(
        failure.reason.contains("store image images/"),
        "{failure:?}"
    );
    assert!(world.result(&job).await.is_none());
    assert_eq!(world.requests(), 3);

    world.ports.blobs = whole;
    let outcomes = world.done(&job).await;
    assert_eq!(statuses(&outcomes), [STORED; 4]);
    assert_eq!(world.requests(), 5, "the two that were stored are kept");
    assert_eq!(world.counted().images_stored, 8);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_job_that_is_not_understood_fails_for_good() {
    let world = World::start(shop_of(1)).await;
    let job = world.job(0, world.tasks(0));
    let permanent = |ending: Ending| match ending {
        Ending::Failed(failure) if failure.class == FailureClass::Permanent => failure.reason,
        other => panic!("{other:?}"),
    };
    let worker = world.worker();
    let mut taken = world.taken(&job, 0);
    taken.record.body = r#"{"v":9,"job":{}}"#.to_owned();
    let ctx = JobContext::unleased(&world.ports, &taken, &world.drain);
    let reason = permanent(worker.handle(&taken, &ctx).await);
    assert!(reason.contains("version 9"), "{reason}");

    let mut other = job;
    other.run.pipe = PipeId::parse("gone").unwrap();
    let reason = permanent(world.deliver(&other, 0).await);
    assert!(reason.contains("pipe gone is not configured"), "{reason}");
    assert_eq!(world.requests(), 0);
    world.shop.stop().await;
}
