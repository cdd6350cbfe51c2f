//! Leases that are renewed, lost, or as long as the queue allows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use trawler_core::ledger::JobStatus;
use trawler_core::ports::{Clock, Metric};
use trawler_core::verdict::Ending;
use trawler_fleet::{CheckpointError, Interrupt, JobContext};

use crate::bench::{Act, Bench, CRAWL, START, V, move_to, stop_frozen};
use crate::support::{TestClock, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_stops_the_worker_and_its_late_settle_is_refused() {
    let mut bench = Bench::flowing(&[Act::DoneLate, Act::End(Ending::Done)]);
    // With no poll out while time jumps: what such a poll brings counts as
    // held since before the jump, and so as lost.
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it works", || bench.script.started() == 1).await;
    let first = bench.record(&job).epoch;
    // Nobody renews while the process sleeps, and the lease runs out.
    bench
        .world
        .crawl
        .failing_extends
        .store(u32::MAX, Ordering::SeqCst);
    bench.world.clock.advance(V);
    bench.settled(&job).await;
    let report = bench.stop(running).await;
    assert_eq!((report.lost, report.done), (1, 1));
    assert_eq!(*bench.script.fences.lock().unwrap(), [false]);
    let record = bench.record(&job);
    assert_eq!((record.epoch, record.crashes), (first + 1, 1));
    let late = bench
        .world
        .ports
        .jobs()
        .transition("settle", CRAWL, &job, |record| {
            record.settle(first, JobStatus::Dead, "late", record.planned)
        })
        .await;
    assert!(late.is_err(), "the older delivery is refused");
    assert_eq!(bench.status(&job), JobStatus::Done);
    let lost = |m: &Metric| matches!(m, Metric::LeaseLost { .. });
    assert_eq!(bench.world.metrics.count(lost), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keeper_renews_on_a_fixed_schedule_and_tries_again() {
    let mut bench = Bench::new(TestClock::frozen(START), &[Act::Step]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let running = bench.start();
    let start = bench.world.clock.monotonic();
    move_to(&bench, start + V / 2).await;
    move_to(&bench, start + V).await;
    until("two renewals", || bench.renewals() == 2).await;
    // One without an answer is asked for again, long before the lease ends,
    // and does not shift the schedule.
    until("the next wait", || {
        bench.world.clock.someone_waits_for(start + V / 2 * 3)
    })
    .await;
    bench.world.crawl.failing_extends.store(1, Ordering::SeqCst);
    move_to(&bench, start + V / 2 * 3).await;
    move_to(&bench, start + V / 2 * 3 + V / 60).await;
    move_to(&bench, start + V * 2).await;
    until("two more", || bench.renewals() == 4).await;
    let asked: Vec<Duration> = {
        let extends = bench.world.crawl.extends.lock().unwrap();
        extends.iter().map(|at| *at - start).collect()
    };
    let due = [V / 2, V, V / 2 * 3, V / 2 * 3 + V / 60, V * 2];
    assert_eq!(asked, due);
    assert_eq!(stop_frozen(&bench, running).await.handed_back, 1);
    assert_eq!(bench.record(&job).hand_backs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_handed_back_before_the_queue_takes_it() {
    let mut bench = Bench::new(TestClock::frozen(START), &[Act::Compute]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let running = bench.start();
    let start = bench.world.clock.monotonic();
    let leave = Duration::from_secs(12 * 60 * 60 - 5 * 60);
    let renewals = u32::try_from(leave.as_secs() / (V / 2).as_secs()).unwrap();
    for n in 1..=renewals {
        move_to(&bench, start + V / 2 * n).await;
    }
    until("it is handed back", || bench.record(&job).hand_backs == 1).await;
    assert_eq!(bench.renewals(), renewals as usize - 1);
    assert_eq!(
        bench.script.interrupts.lock().unwrap()[0],
        Interrupt::HeldTooLong
    );
    stop_frozen(&bench, running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_of_an_older_delivery_are_refused() {
    let bench = Bench::flowing(&[Act::Hang]);
    let job = bench.plan("shop").await;
    let jobs = bench.world.ports.jobs();
    let mut contexts = Vec::new();
    for delivery in ["first", "second"] {
        let taken = jobs
            .take(CRAWL, &format!("{job}:0"), delivery)
            .await
            .unwrap();
        let trawler_fleet::Take::Work(taken) = taken else {
            panic!("{taken:?}")
        };
        contexts.push(JobContext::unleased(
            &bench.world.ports,
            &taken,
            &bench.drain,
        ));
    }
    let [old, new] = &contexts[..] else {
        panic!("two deliveries")
    };
    assert_eq!(old.checkpoint::<u32>().await.unwrap(), None);
    old.save_checkpoint(&7_u32).await.unwrap();
    assert_eq!(new.checkpoint::<u32>().await.unwrap(), Some(7));
    new.save_checkpoint(&8_u32).await.unwrap();
    let refused = old.save_checkpoint(&9_u32).await;
    assert!(matches!(
        refused,
        Err(CheckpointError::Overtaken { current: 2, .. })
    ));
    assert_eq!(new.checkpoint::<u32>().await.unwrap(), Some(8));
    assert!(new.still_mine().await);
    assert!(!old.still_mine().await);
    new.clear_checkpoint().await.unwrap();
    assert_eq!(new.checkpoint::<u32>().await.unwrap(), None);
}

/// Without the right to renew, long work goes back untried: it is no crash, and
/// whoever reads the log knows what to allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_must_not_be_renewed_is_handed_back() {
    let mut bench = Bench::new(TestClock::frozen(START), &[Act::Compute]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let refused = &bench.world.crawl.refused_extends;
    refused.store(u32::MAX, Ordering::SeqCst);
    let running = bench.start();
    until("it works", || bench.script.started() == 1).await;
    let start = bench.world.clock.monotonic();
    // The clock stands from when it is told: on a busy machine the job may see
    // it much later.
    until("it is told", || {
        let context = bench.script.context.lock().unwrap();
        let Some(context) = &*context else {
            return false;
        };
        if context.interrupted().is_some() {
            return true;
        }
        if bench.world.clock.monotonic() < start + V {
            bench.world.clock.advance(V / 120);
        }
        false
    })
    .await;
    until("it is handed back", || bench.record(&job).hand_backs == 1).await;
    assert!(
        bench.world.clock.monotonic() < start + V,
        "while it was ours"
    );
    assert_eq!(bench.record(&job).crashes, 0);
    let interrupts = bench.script.interrupts.lock().unwrap().clone();
    assert_eq!(interrupts[0], Interrupt::HeldTooLong);
    stop_frozen(&bench, running).await;
}
