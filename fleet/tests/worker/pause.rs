//! Paused work.

use trawler_core::ledger::JobStatus;
use trawler_core::pause::PauseScope;
use trawler_core::ports::Clock;
use trawler_core::verdict::Ending;

use crate::bench::{Act, Bench, CRAWL, START};
use crate::support::{TestClock, pipe, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_10_pause_parks_and_loses_nothing() {
    let check = |scope: PauseScope, act: Act| async move {
        let bench = Bench::flowing(&[act, Act::End(Ending::Done)]);
        let job = bench.plan("shop").await;
        let running = bench.start();
        until("it works", || bench.script.started() == 1).await;
        bench
            .pauses
            .pause(&scope, "the partner asked")
            .await
            .unwrap();
        until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
        until("its message is gone", || bench.world.crawl.len() == 0).await;
        let record = bench.record(&job);
        assert_eq!((record.attempts, record.crashes), (0, 0), "{scope}");
        bench.pauses.resume(&scope).await.unwrap();
        assert!(record.is_due(bench.world.clock.now(), false));
        let jobs = bench.world.ports.jobs();
        jobs.unpark(CRAWL, &job).await.unwrap();
        bench.settled(&job).await;
        let report = bench.stop(running).await;
        assert_eq!((report.parked, report.done), (1, 1), "{scope}");
    };
    check(PauseScope::Fleet, Act::Step).await;
    check(PauseScope::Queue(CRAWL), Act::Step).await;
    check(PauseScope::Pipe(pipe("shop")), Act::Step).await;
    // A loop that cannot ask State sees the flag within two seconds.
    check(PauseScope::Pipe(pipe("shop")), Act::Compute).await;
    check(PauseScope::Pipe(pipe("shop")), Act::NoSteps).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_paused_before_it_starts_is_parked_untried() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let scope = PauseScope::Pipe(pipe("shop"));
    bench.pauses.pause(&scope, "first").await.unwrap();
    bench.pauses.pause(&scope, "second").await.unwrap();
    let listed = bench.pauses.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].1.reason, "second");
    let (job, other) = (bench.plan("shop").await, bench.plan("other").await);
    let running = bench.start();
    until("the other is done", || {
        bench.status(&other) == JobStatus::Done
    })
    .await;
    until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
    assert_eq!(bench.script.started(), 1);
    let record = bench.record(&job);
    assert_eq!((record.attempts, record.hand_backs), (0, 0));
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_job_comes_back_within_the_dedup_window() {
    let due = TestClock::flowing(START).now();
    let park = Ending::NotBefore {
        due,
        reason: "maintenance".to_owned(),
    };
    let bench = Bench::flowing(&[Act::End(park), Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
    let jobs = bench.world.ports.jobs();
    assert_eq!(jobs.unpark(CRAWL, &job).await.unwrap().sent, 1);
    bench.settled(&job).await;
    assert_eq!(bench.status(&job), JobStatus::Done);
    bench.stop(running).await;
}
