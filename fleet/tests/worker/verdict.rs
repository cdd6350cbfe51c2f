//! What becomes of a job and its message when the work on it ended.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trawler_core::ledger::{JobRecord, JobStatus};
use trawler_core::pause::PauseScope;
use trawler_core::ports::Clock;
use trawler_core::verdict::{Ending, Failure};

use crate::bench::{Act, Bench, CRAWL, START, failing};
use crate::support::{TestClock, pipe, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_02_ack_last() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let at_ack = Arc::new(Mutex::new(Vec::new()));
    let (state, seen, key) = (
        bench.world.state.clone(),
        at_ack.clone(),
        JobRecord::key(CRAWL, &job),
    );
    *bench.world.crawl.on_ack.lock().unwrap() = Some(Box::new(move |_| {
        let record: JobRecord = serde_json::from_slice(&state.peek(&key).unwrap()).unwrap();
        seen.lock().unwrap().push(record.status);
    }));
    let running = bench.start();
    bench.settled(&job).await;
    assert_eq!(*at_ack.lock().unwrap(), [JobStatus::Done]);
    assert_eq!(bench.stop(running).await.done, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_cannot_be_recorded_is_not_acked() {
    let bench = Bench::flowing(&[Act::Step, Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it works", || bench.script.started() == 1).await;
    // State dies under the job; the pause of the pipe ends its work.
    bench.world.crash.after_writes(0);
    bench.world.state.poke(
        &PauseScope::Pipe(pipe("shop")).key(),
        br#"{"since":"2026-11-21T03:00:00Z","reason":"x"}"#,
    );
    bench.drain.finish();
    let report = running.await.unwrap();
    assert_eq!((report.lost, report.done), (1, 0));
    assert_eq!(bench.world.crawl.len(), 1, "the message is still there");
    bench.world.crash.restart();
    assert!(bench.record(&job).in_hand, "nothing was recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_04_every_job_ends_in_one_status() {
    let later = TestClock::flowing(START).now() + chrono::Duration::hours(1);
    let acts = [
        Act::End(Ending::Done),
        failing("flaky"),
        Act::Panic,
        Act::End(Ending::Failed(Failure::permanent("bad"))),
        Act::End(Ending::Superseded {
            by: "newer".to_owned(),
        }),
        Act::End(Ending::NotBefore {
            due: later,
            reason: "night".to_owned(),
        }),
        Act::End(Ending::Failed(Failure::throttled(
            "busy",
            Duration::from_millis(1),
        ))),
        Act::End(Ending::Done),
    ];
    let bench = Bench::flowing(&acts);
    let mut jobs = Vec::new();
    for n in 0..12 {
        jobs.push(bench.plan(&format!("shop-{n}")).await);
    }
    let running = bench.start();
    until("the queue is empty", || bench.world.crawl.len() == 0).await;
    let report = bench.stop(running).await;
    let mut counts = std::collections::BTreeMap::new();
    for job in &jobs {
        let record = bench.record(job);
        assert!(!record.in_hand, "{job}");
        *counts.entry(record.status.as_str()).or_insert(0_u64) += 1;
    }
    assert_eq!(counts.get("open"), None, "an idle queue has no open job");
    assert_eq!(counts["done"], report.done);
    assert_eq!(counts["dead"], 1);
    assert_eq!(counts["superseded"], 1);
    assert_eq!(counts["parked"], 1);
    assert_eq!(bench.world.state.keys("dead/").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_run_out_and_the_job_is_buried_once() {
    let bench = Bench::flowing(&[failing("no answer")]);
    bench.script.bury_failures.store(1, Ordering::SeqCst);
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("the burial was refused once", || {
        bench.script.bury_failures.load(Ordering::SeqCst) == 0
    })
    .await;
    until("it waits", || !bench.record(&job).in_hand).await;
    assert_eq!(bench.status(&job), JobStatus::Open, "not buried yet");
    bench.world.clock.advance(Duration::from_secs(15));
    bench.settled(&job).await;
    let report = bench.stop(running).await;
    assert_eq!((report.retried, report.buried), (3, 1));
    assert_eq!(*bench.script.buried.lock().unwrap(), [job.to_string()]);
    let letters = bench.world.ports.jobs().dead_letters(CRAWL).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].reason.starts_with("no answer (attempt"),
        "{:?}",
        letters[0]
    );
    assert_eq!(bench.record(&job).attempts, letters[0].attempts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_wait_is_parked_and_still_counts_as_an_attempt() {
    let busy = Failure::throttled("busy", Duration::from_secs(600));
    let mut bench = Bench::flowing(&[Act::End(Ending::Failed(busy))]);
    bench.options.retry.backoff_max_ms = 600_000;
    let job = bench.plan("shop").await;
    let running = bench.start();
    until("it is parked", || bench.status(&job) == JobStatus::Parked).await;
    assert_eq!(bench.record(&job).attempts, 1);
    bench.stop(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_kills_its_workers_is_buried_without_being_run() {
    let bench = Bench::flowing(&[Act::End(Ending::Done)]);
    let job = bench.plan("shop").await;
    let jobs = bench.world.ports.jobs();
    for n in 0..3 {
        // Deliveries that vanish: taken, never heard of again.
        let delivery = format!("d{n}");
        jobs.take(CRAWL, &format!("{job}:0"), &delivery)
            .await
            .unwrap();
    }
    let running = bench.start();
    bench.settled(&job).await;
    assert_eq!(bench.script.started(), 0);
    assert_eq!(bench.stop(running).await.buried, 1);
    let record = bench.record(&job);
    assert_eq!((record.status, record.crashes), (JobStatus::Dead, 3));
    assert_eq!(record.attempts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_a_failed_attempt_of_that_job_alone() {
    let bench = Bench::flowing(&[Act::Panic, Act::End(Ending::Done)]);
    let jobs = [bench.plan("one").await, bench.plan("two").await];
    let running = bench.start();
    for job in &jobs {
        bench.settled(job).await;
    }
    let report = bench.stop(running).await;
    assert_eq!((report.retried, report.done), (1, 2));
    let records = jobs.each_ref().map(|job| bench.record(job));
    let attempts: u32 = records.iter().map(|record| record.attempts).sum();
    assert_eq!(attempts, 1);
    assert!(records.iter().all(|record| record.crashes == 0));
}
