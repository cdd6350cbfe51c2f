//! Images between runs: one refetch a pipe at a time, planned once whatever
//! dies, and every day by the clock.

use chrono::{DateTime, Utc};
use trawler_core::job::CrawlJob;
use trawler_core::ledger::JobStatus;
use trawler_core::manifest::Manifest;
use trawler_core::pipe::{Pipe, PipeState};
use trawler_core::ports::Clock;
use trawler_core::refetch::{Ages, Failed, Refetches, Wanted};
use trawler_core::schedule::Schedule;
use trawler_core::withheld::{Act, Withholding};
use trawler_core::{JobName, QueueName};
use trawler_fleet::{audit, manifests};
use trawler_scheduler::{Scheduler, SchedulerError, SchedulerOptions};

use crate::bench::{CRAWL, HOUR, daily, image_job, scheduler, settle, world_at};
use crate::support::{World, pipe, pipe_of, put_result};
use crate::withheld::{decided, pipe_in};

fn all() -> Wanted {
    Wanted::Failed(Failed {
        statuses: Vec::new(),
        which: Ages::Any,
    })
}

fn listed() -> Wanted {
    Wanted::Listed {
        key: "refetches/shop/1".to_owned(),
    }
}

fn refetches(world: &World, name: &str) -> Refetches {
    let stored = world.state.peek(&Refetches::key(&pipe(name))).unwrap();
    serde_json::from_slice(&stored).unwrap()
}

#[tokio::test]
async fn a_pipe_has_one_refetch_at_a_time_and_a_dead_one_is_followed() {
    let world = world_at("2026-11-21T02:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let shop = pipe("shop");
    let first = ticker.refetch(&shop, all()).await.unwrap().unwrap();
    assert_eq!(first.as_str(), "shop#refetch@1");
    assert_eq!(ticker.refetch(&shop, all()).await.unwrap(), None);
    settle(&world, CRAWL, &first, JobStatus::Dead).await;
    let second = ticker.refetch(&shop, all()).await.unwrap().unwrap();
    assert_eq!(second.as_str(), "shop#refetch@2");
    settle(&world, CRAWL, &second, JobStatus::Done).await;
    // Its record leaves the ledger, and its number tells.
    world.clock.advance(HOUR / 60);
    ticker.tick_without_planning().await.unwrap();
    assert_eq!(refetches(&world, "shop").done, 2);
    assert!(world.state.keys("jobs/crawl/shop#refetch@2").is_empty());
    let jobs = world.ports.jobs();
    let told = jobs.settled_as(CRAWL, &second).await.unwrap();
    assert_eq!(told, Some(JobStatus::Done));
    let third = ticker.refetch(&shop, all()).await.unwrap().unwrap();
    assert_eq!(third.as_str(), "shop#refetch@3");
}

#[tokio::test]
async fn a_refetch_whose_planner_dies_at_any_write_is_planned_once() {
    for writes in 0.. {
        let world = world_at("2026-11-21T02:00:00Z");
        let shop = pipe("shop");
        world.crash.after_writes(writes);
        let planned = scheduler(&world, &[daily()]).refetch(&shop, all()).await;
        world.crash.restart();
        let ticker = scheduler(&world, &[daily()]);
        ticker.refetch(&shop, all()).await.unwrap();
        ticker.tick_without_planning().await.unwrap();
        assert_eq!(
            world.state.keys("jobs/crawl/"),
            ["jobs/crawl/shop#refetch@1"],
            "{writes}"
        );
        assert_eq!(world.crawl.len(), 1, "{writes}");
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if planned.is_ok() {
            assert!(writes >= 4, "{writes}");
            return;
        }
    }
}

#[tokio::test]
async fn a_refetch_that_a_worker_records_is_sent_by_the_next_tick_and_by_nobody_before() {
    for writes in 0.. {
        let world = world_at("2026-11-21T02:00:00Z");
        let shop = pipe("shop");
        world.crash.after_writes(writes);
        let worker = scheduler(&world, &[daily()]);
        let recorded = worker.record_refetch(&shop, listed()).await;
        world.crash.restart();
        let worker = scheduler(&world, &[daily()]);
        let again = worker.record_refetch(&shop, listed()).await.unwrap();
        if recorded.is_ok() {
            assert_eq!(again, None, "{writes}: it is under way");
        }
        // The role of a crawl machine may not do it.
        assert_eq!(world.crawl.sent.lock().unwrap().len(), 0, "{writes}");
        let ticker = scheduler(&world, &[daily()]);
        let sent = ticker.tick_without_planning().await.unwrap().jobs_sent;
        assert_eq!((sent, world.crawl.len()), (1, 1), "{writes}");
        let sent = ticker.tick_without_planning().await.unwrap().jobs_sent;
        assert_eq!((sent, world.crawl.len()), (0, 1), "{writes}");
        assert_eq!(wanted(&world, "shop", 1), listed());
        assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
        if recorded.is_ok() {
            assert!(writes >= 3, "{writes}");
            return;
        }
    }
}

#[tokio::test]
async fn the_shop_of_a_pipe_that_is_not_collected_is_asked_for_no_image() {
    use PipeState::{Draft, Hidden, Live, Retired, Shadow};
    let check = async |file: PipeState, acts: &[Act], expected: Option<PipeState>| {
        let world = world_at("2026-11-21T02:00:00Z");
        decided(&world, acts, 9).await;
        let (ticker, shop) = (scheduler(&world, &[pipe_in(file)]), pipe("shop"));
        let fetchable = ticker.fetchable().await.unwrap();
        assert_eq!(fetchable.contains(&shop), expected.is_none(), "{file}");
        let found = [
            ticker.record_refetch(&shop, listed()).await,
            ticker.refetch(&shop, all()).await,
        ];
        let Some(expected) = expected else {
            let job = JobName::refetch_id(&shop, 1);
            let [first, second] = found.map(Result::unwrap);
            assert_eq!((first, second), (Some(job), None), "{file} {acts:?}");
            return;
        };
        for found in found {
            let Err(SchedulerError::NotCollected { state, .. }) = found else {
                panic!("{file} {acts:?}: {found:?}");
            };
            assert_eq!(state, expected);
        }
        assert!(world.state.keys("jobs/").is_empty());
        assert!(world.state.keys(Refetches::ALL).is_empty());
    };
    check(Live, &[], None).await;
    check(Shadow, &[], None).await;
    check(Hidden, &[], None).await;
    check(Live, &[Act::Hide], None).await;
    check(Live, &[Act::Retire, Act::Show], None).await;
    check(Draft, &[], Some(Draft)).await;
    check(Retired, &[], Some(Retired)).await;
    check(Live, &[Act::Retire], Some(Retired)).await;
}

#[tokio::test]
async fn pipes_whose_images_nobody_wants_or_whose_decisions_are_damaged_are_not_fetched() {
    let world = world_at("2026-11-21T02:00:00Z");
    let mut without: Pipe = pipe_of("without");
    without.images.collect = false;
    let pipes = [daily(), without, pipe_of("damaged"), pipe_of("other")];
    world
        .state
        .poke(&Withholding::key(&pipe("damaged")), b"{\"");
    let fetchable = scheduler(&world, &pipes).fetchable().await.unwrap();
    assert_eq!(fetchable, [pipe("other"), pipe("shop")].into());
}

/// With retries at a quarter to five.
fn retrying(world: &World, pipes: usize) -> Scheduler {
    let options = SchedulerOptions {
        retry: Some(Schedule::parse("45 4 * * *", "UTC").unwrap()),
        ..SchedulerOptions::default()
    };
    let pipes: Vec<_> = (0..pipes)
        .map(|n| pipe_of(&format!("shop-{n:03}")))
        .collect();
    Scheduler::new(world.ports.clone(), pipes.into(), options)
}

fn wanted(world: &World, name: &str, refetch: i64) -> Wanted {
    let job = JobName::refetch_id(&pipe(name), refetch);
    match CrawlJob::decode(&world.record(CRAWL, &job).body).unwrap() {
        CrawlJob::Refetch { wanted, .. } => wanted,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn once_a_day_every_pipe_has_a_retry_from_where_the_last_one_ended() {
    // 250 pipes are more than one tick plans.
    let world = world_at("2026-11-21T04:00:00Z");
    let ticker = retrying(&world, 250);
    let mut planned = Vec::new();
    for hours in [0, 1, 0, 0, 1] {
        world.clock.advance(HOUR * hours);
        let report = ticker.tick().await.unwrap();
        planned.push(report.refetches_planned);
    }
    assert_eq!(planned, [0, 200, 50, 0, 0]);
    let due = |day: u32| -> DateTime<Utc> { format!("2026-11-{day}T04:45:00Z").parse().unwrap() };
    let ages = |since, until| {
        Wanted::Failed(Failed {
            statuses: Vec::new(),
            which: Ages::Due { since, until },
        })
    };
    assert_eq!(wanted(&world, "shop-007", 1), ages(None, due(21)));
    // Its worker is through with it; another scheduler takes over.
    settle(
        &world,
        CRAWL,
        &JobName::refetch_id(&pipe("shop-007"), 1),
        JobStatus::Done,
    )
    .await;
    let retried = |refetches: &mut Refetches| refetches.retried = Some(due(21));
    let key = Refetches::key(&pipe("shop-007"));
    let documents = world.ports.documents();
    documents.change(&key, retried).await.unwrap();
    let ticker = retrying(&world, 250);
    assert_eq!(ticker.tick().await.unwrap().refetches_planned, 0);
    world.clock.advance(HOUR * 24);
    let mut planned = 0;
    for _ in 0..3 {
        planned += ticker.tick().await.unwrap().refetches_planned;
    }
    assert_eq!(planned, 1, "the others are still at their first");
    assert_eq!(wanted(&world, "shop-007", 2), ages(Some(due(21)), due(22)));
}

#[tokio::test]
async fn the_manifest_of_a_refetch_is_sent_folded_and_forgotten_as_that_of_a_run() {
    let world = world_at("2026-11-21T02:00:00Z");
    let ticker = scheduler(&world, &[daily()]);
    let shop = pipe("shop");
    let job = ticker.refetch(&shop, all()).await.unwrap().unwrap();
    let run = Refetches::run(&shop, 1);
    let image = image_job(&run, 1);
    manifests::write(&world.ports, &run, 1, std::slice::from_ref(&image))
        .await
        .unwrap();
    // A pass that prunes while the job is open takes none of its parts.
    world.clock.advance(HOUR * 2);
    settle(&world, CRAWL, &job, JobStatus::Done).await;
    assert_eq!(
        ticker
            .tick_without_planning()
            .await
            .unwrap()
            .image_jobs_sent,
        1
    );
    put_result(&world, &image).await;
    settle(&world, QueueName::Image, &image.id(), JobStatus::Done).await;
    assert_eq!(
        ticker.tick_without_planning().await.unwrap().folds_planned,
        1
    );
    let (documents, now) = (world.ports.documents(), world.clock.now());
    manifests::note_fold(&documents, &run, 1, now)
        .await
        .unwrap();
    settle(&world, CRAWL, &JobName::fold_id(&shop, 1), JobStatus::Done).await;
    ticker.tick_without_planning().await.unwrap();
    assert!(world.state.peek(&Manifest::settled_key(&run)).is_some());
    world.clock.advance(HOUR);
    ticker.tick_without_planning().await.unwrap();
    assert!(world.state.peek(&Manifest::settled_key(&run)).is_some());
    let audited = audit(&world.ports).await.unwrap();
    assert_eq!(audited.problems, [""; 0]);
    assert_eq!(audited.count(JobStatus::Done), 3, "{audited:?}");
    world.clock.advance(HOUR * 24 * 8);
    ticker.tick_without_planning().await.unwrap();
    assert!(world.state.peek(&Manifest::settled_key(&run)).is_none());
    let jobs = world.ports.jobs();
    let told = jobs
        .settled_as(QueueName::Image, &image.id())
        .await
        .unwrap();
    assert_eq!(told, Some(JobStatus::Done), "a late message is stale");
    assert_eq!(audit(&world.ports).await.unwrap().problems, [""; 0]);
}
