//! The handler against a real shop and the ports of one machine: what is
//! requested, stored and recorded, on good days and on bad ones.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use sha2::{Digest, Sha256};
use trawler_core::image::{ImageOutcome, ImageStatus, KnownImage, OutputFormat};
use trawler_core::image_ended::{EndedImages, given_up};
use trawler_core::job::{ImageJob, ImageTask};
use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::pause::PauseScope;
use trawler_core::ports::Notice;
use trawler_core::verdict::{Ending, FailureClass, RetryPolicy};
use trawler_core::{JobId, PipeId, QueueName};
use trawler_fleet::{Handler, JobContext, Pauses, Worker, WorkerOptions, WorkerReport, manifests};
use trawler_shop::{DayChange, Fault, Rule, ShopSpec, Validators};
use world::*;

const STORED: ImageStatus = ImageStatus::Stored;
const UNCHANGED: ImageStatus = ImageStatus::Unchanged;

fn status(code: u16) -> Fault {
    Fault::Status {
        code,
        retry_after_s: None,
    }
}

/// The path of an image, for rules.
fn path(task: &ImageTask) -> String {
    task.url[task.url.find("/img/").unwrap()..].to_owned()
}

#[tokio::test]
async fn each_content_is_stored_once_whoever_shows_it() {
    let world = World::start(ShopSpec {
        images_distinct: 3,
        ..shop_of(6)
    })
    .await;
    let mut tasks = world.tasks(0);
    // The same bytes under another URL.
    tasks.push(task("again", &format!("{}?size=full", tasks[0].url)));
    let outcomes = world.done(&world.job(0, tasks.clone())).await;

    assert_eq!(statuses(&outcomes), [STORED; 7]);
    let ids = |task: &ImageTask| (task.product_id.clone(), task.url.clone());
    let found = outcomes
        .iter()
        .map(|o| (o.product_id.clone(), o.url.clone()));
    assert!(found.eq(tasks.iter().map(ids)), "in the order of the job");
    assert_eq!(world.requests(), 4, "a URL is fetched once");
    let counted = world.counted();
    assert_eq!(counted.images_stored, 6, "3 contents, 2 variants");
    assert_eq!(counted.image_requests_plain, 4);
    assert_eq!(counted.image_requests_conditional, 0);
    assert_eq!(
        counted.image_bytes_down,
        world.shop.stats().image.body_bytes
    );
    assert_eq!(world.stored_keys().await.len(), 6);

    let mut bytes_up = 0;
    let mut seen = std::collections::BTreeSet::new();
    for outcome in &outcomes {
        let source = outcome.source.as_ref().unwrap();
        assert_eq!((source.width, source.height), (80, 80));
        let known = &outcome.known;
        assert_eq!(known.sha256.as_ref(), Some(&source.sha256));
        assert_eq!(known.recipe.as_deref(), Some(world.studio().recipe()));
        assert!(known.etag.is_some() && known.last_modified.is_some());
        assert_eq!(outcome.reason, "");
        for (variant, side) in outcome.variants.iter().zip([16, 48]) {
            let body = world.ports.blobs.get(&variant.key, None).await.unwrap();
            assert_eq!(variant.bytes, body.len() as u64);
            assert_eq!(variant.sha256, hex::encode(Sha256::digest(&body)));
            assert_eq!((variant.width, variant.height), (side, side));
            if seen.insert(variant.key.clone()) {
                bytes_up += variant.bytes;
            }
        }
    }
    assert_eq!(counted.image_bytes_up, bytes_up);
    assert_eq!(outcomes[0].variants, outcomes[6].variants);
    world.shop.stop().await;
}

#[tokio::test]
async fn invariant_06_unchanged_images_cost_nothing() {
    let world = World::start(shop_of(8)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    let (before, keys) = (world.counted(), world.stored_keys().await);
    let body_bytes = world.shop.stats().image.body_bytes;

    let second = world.done(&world.job(1, informed(&first))).await;
    assert_eq!(statuses(&second), [UNCHANGED; 8]);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.known, second.known);
        assert!(second.variants.is_empty() && second.source.is_none());
    }
    let after = world.counted();
    assert_eq!(after.image_requests_conditional, 8);
    assert_eq!(after.image_requests_plain, before.image_requests_plain);
    assert_eq!(after.image_bytes_down, before.image_bytes_down);
    assert_eq!(after.images_stored, before.images_stored);
    assert_eq!(after.image_bytes_up, before.image_bytes_up);
    assert_eq!(world.stored_keys().await, keys);
    let shop = world.shop.stats().image;
    assert_eq!((shop.not_modified, shop.body_bytes), (8, body_bytes));
    world.shop.stop().await;
}

#[tokio::test]
async fn the_same_bytes_without_validators_are_neither_decoded_nor_stored() {
    let world = World::start(ShopSpec {
        validators: Validators::NONE,
        ..shop_of(4)
    })
    .await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    assert!(first.iter().all(|outcome| outcome.known.etag.is_none()));
    let before = world.counted();
    let mut tasks = informed(&first);
    // Bytes that cannot be decoded: had they been, they would be refused.
    world.shop.misbehave(path(&tasks[3]), Fault::HtmlInstead);
    let refused = world
        .done(&world.job(1, vec![task("html", &tasks[3].url)]))
        .await;
    assert_eq!(statuses(&refused), [ImageStatus::NotAnImage]);
    let allow = vec![world.shop.addr().to_string().parse().unwrap()];
    let config = trawler_net::NetConfig {
        allow,
        ..trawler_net::NetConfig::of("Trawler-Test/0.1")
    };
    let fetcher = trawler_net::Fetcher::new(&config).unwrap();
    let request = trawler_net::Request::get(&tasks[3].url).unwrap();
    let html = fetcher.fetch_bytes(&request).await.unwrap();
    let html = html.into_body().unwrap().body;
    tasks[3].known.sha256 = Some(hex::encode(Sha256::digest(&html)));

    let second = world.done(&world.job(2, tasks)).await;
    assert_eq!(statuses(&second), [UNCHANGED; 4]);
    let after = world.counted();
    assert_eq!(after.image_requests_conditional, 0);
    assert_eq!(after.images_stored, before.images_stored);
    assert!(after.image_bytes_down > before.image_bytes_down);
    world.shop.stop().await;
}

#[tokio::test]
async fn new_bytes_under_the_same_url_are_stored_under_new_keys() {
    let world = World::start(ShopSpec {
        day_change: DayChange {
            image_changed_share: 1.0,
            ..DayChange::NONE
        },
        ..shop_of(3)
    })
    .await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    world.shop.set_day(1);
    let second = world.done(&world.job(1, informed(&first))).await;
    assert_eq!(statuses(&second), [STORED; 3]);
    assert_eq!(world.counted().image_requests_conditional, 3);
    assert_eq!(world.counted().images_stored, 12);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.url, second.url);
        assert_ne!(first.known.sha256, second.known.sha256);
        assert_ne!(first.known.etag, second.known.etag);
        for (old, new) in first.variants.iter().zip(&second.variants) {
            assert_ne!(old.key, new.key);
        }
    }
    world.shop.stop().await;
}

#[tokio::test]
async fn a_changed_recipe_renders_again_and_asks_without_conditions() {
    let mut world = World::start(shop_of(3)).await;
    let first = world.done(&world.job(0, world.tasks(0))).await;
    world.variants[0].quality = 60;
    let second = world.done(&world.job(1, informed(&first))).await;
    assert_eq!(statuses(&second), [STORED; 3]);
    let counted = world.counted();
    assert_eq!(counted.image_requests_conditional, 0);
    // The variant that stayed what it was is there already.
    assert_eq!(counted.images_stored, 6 + 3);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.known.sha256, second.known.sha256);
        assert_ne!(first.known.recipe, second.known.recipe);
        assert_ne!(first.variants[0].key, second.variants[0].key);
        assert_eq!(first.variants[1], second.variants[1]);
    }
    world.shop.stop().await;
}

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

#[tokio::test]
async fn a_drain_takes_the_job_back_within_a_step_and_blames_no_image() {
    let world = Arc::new(World::start(shop_of(6)).await);
    let tasks = world.tasks(0);
    // All that is left hangs when the drain comes.
    for task in &tasks[2..] {
        world
            .shop
            .misbehave(path(task), Fault::Delay(Duration::from_secs(60)));
    }
    let job = world.job(0, tasks);
    let delivery = {
        let (world, job) = (Arc::clone(&world), job.clone());
        tokio::spawn(async move { world.deliver(&job, ATTEMPTS_MAX - 1).await })
    };
    until("four requests hang", || {
        let stats = world.shop.stats().image;
        stats.in_flight == 4 && world.counted().images_stored == 4
    })
    .await;
    world.drain.request(Notice::SpotInterruption);
    let ending = tokio::time::timeout(Duration::from_secs(5), delivery).await;
    assert_eq!(ending.unwrap().unwrap(), Ending::HandedBack);
    assert!(world.result(&job).await.is_none());
}

#[tokio::test]
async fn a_paused_pipe_asks_for_nothing() {
    let world = World::start(shop_of(3)).await;
    let job = world.job(0, world.tasks(0));
    let pauses = Pauses::new(&world.ports);
    let scope = PauseScope::Pipe(world.pipe.id.clone());
    pauses.pause(&scope, "maintenance").await.unwrap();
    assert_eq!(world.deliver(&job, 0).await, Ending::Paused);
    assert_eq!(world.requests(), 0);
    pauses.resume(&scope).await.unwrap();
    assert_eq!(world.deliver(&job, 0).await, Ending::Done);
    world.shop.stop().await;
}

#[tokio::test]
async fn a_pause_is_seen_between_two_images() {
    let mut world = World::start(shop_of(60)).await;
    world.fetches = 1;
    // Longer in all than a worker may go on without looking at the flag.
    world
        .shop
        .misbehave("/img/", Fault::Delay(Duration::from_millis(100)));
    let world = Arc::new(world);
    let job = world.job(0, world.tasks(0));
    let delivery = {
        let (world, job) = (Arc::clone(&world), job.clone());
        tokio::spawn(async move { world.deliver(&job, 0).await })
    };
    until("the job is under way", || world.requests() > 0).await;
    let pauses = Pauses::new(&world.ports);
    pauses.pause(&PauseScope::Fleet, "upgrade").await.unwrap();
    assert_eq!(delivery.await.unwrap(), Ending::Paused);
    assert!(world.requests() < 60, "{}", world.requests());
    assert!(world.result(&job).await.is_none());
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
async fn fetches_at_once_are_the_smaller_of_both_bounds() {
    for (fetches, concurrency, expected) in [(2, 64, 2), (8, 3, 3), (0, 4, 1)] {
        let mut world = World::start(shop_of(9)).await;
        world.fetches = fetches;
        world.pipe.fetch.concurrency = concurrency;
        let slow = Fault::Delay(Duration::from_millis(60));
        world.shop.misbehave("/img/", slow);
        let outcomes = world.done(&world.job(0, world.tasks(0))).await;
        assert_eq!(statuses(&outcomes), [STORED; 9]);
        let at_once = world.shop.stats().image.in_flight_max;
        assert_eq!(at_once, expected, "{fetches} and {concurrency}");
        world.shop.stop().await;
    }
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

#[tokio::test]
async fn a_worker_of_the_fleet_takes_jobs_to_their_results() {
    let world = Arc::new(World::start(shop_of(12)).await);
    let tasks = world.tasks(0);
    world
        .shop
        .misbehave_by(Rule::new(path(&tasks[1]), status(503)).first(1));
    let jobs: Vec<ImageJob> = tasks
        .chunks(4)
        .map(|images| world.job(0, images.to_vec()))
        .collect();
    let ledger = world.ports.jobs();
    let now = world.ports.clock.now();
    let records = jobs.iter().map(|job| manifests::image_record(job, now));
    ledger.plan_and_send(records.collect()).await.unwrap();

    let options = WorkerOptions {
        slots: 2,
        receive_wait: Duration::from_secs(1),
        retry: RetryPolicy {
            backoff_base_ms: 1,
            ..RetryPolicy::default()
        },
        ..WorkerOptions::default()
    };
    let worker = Worker::new(
        &world.ports,
        Arc::new(world.worker()),
        options,
        Pauses::new(&world.ports),
        world.drain.clone(),
    );
    let working = tokio::spawn(async move { worker.run().await });
    until("all jobs are done", || {
        world.counted().jobs_settled[&QueueName::Image].get("done") == Some(&3)
    })
    .await;
    world.drain.finish();
    let report: WorkerReport = working.await.unwrap();
    assert_eq!((report.done, report.retried), (3, 1), "{report:?}");
    for job in &jobs {
        let outcomes = world.result(job).await.unwrap().outcomes;
        assert_eq!(statuses(&outcomes), [STORED; 4]);
        assert_eq!(record(&world, &job.id()).await.status, JobStatus::Done);
        let formats = outcomes.iter().flat_map(|outcome| &outcome.variants);
        let extensions = [OutputFormat::Jpeg, OutputFormat::Webp].map(OutputFormat::extension);
        for (variant, extension) in formats.zip(extensions.into_iter().cycle()) {
            assert!(variant.key.ends_with(extension), "{}", variant.key);
        }
    }
    assert_eq!(world.requests(), 13);
    let left = world
        .ports
        .state
        .list("checkpoints/", None, 10)
        .await
        .unwrap();
    assert!(left.is_empty(), "{} checkpoints are left", left.len());
}

async fn record(world: &World, job: &JobId) -> JobRecord {
    let found = world.ports.jobs().find(QueueName::Image, job).await;
    found.unwrap().unwrap()
}
