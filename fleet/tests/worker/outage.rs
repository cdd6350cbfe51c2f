//! A verdict that State does not take when it is given.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::drain::EXIT_WITHIN;
use trawler_core::ledger::JobStatus;
use trawler_core::ports::{Clock, Notice};
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{Handler, JobContext, TakenJob, Worker};

use crate::bench::{Act, Bench, CRAWL, START};
use crate::support::{MemState, TestClock, until};

/// More reads than one look at a document tries.
const AWAY_READS: u32 = 8;

/// Ends a job just when State goes away.
struct Cut {
    state: Arc<MemState>,
    ending: Ending,
}

#[async_trait]
impl Handler for Cut {
    fn queue(&self) -> QueueName {
        CRAWL
    }

    async fn handle(&self, job: &TakenJob, _: &JobContext) -> Ending {
        if job.record.hand_backs > 0 {
            return Ending::Done;
        }
        self.state.failing_gets.store(AWAY_READS, Ordering::SeqCst);
        self.ending.clone()
    }

    async fn before_bury(&self, _: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
        Ok(())
    }
}

/// One delivery's verdict waits for State, or one more delivery brings it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_waits_for_the_store_while_the_lease_is_kept() {
    let check = |ending: Ending, status: JobStatus, hand_backs: u32| async move {
        let mut bench = Bench::flowing(&[Act::Hang]);
        bench.options.slots = 1;
        let job = bench.plan("shop").await;
        let cut = Cut {
            state: bench.world.state.clone(),
            ending: ending.clone(),
        };
        let worker = Worker::new(
            &bench.world.ports,
            Arc::new(cut),
            bench.options.clone(),
            bench.pauses.clone(),
            bench.drain.clone(),
        );
        let running = tokio::spawn(async move { worker.run().await });
        bench.settled(&job).await;
        let report = bench.stop(running).await;
        let record = bench.record(&job);
        assert_eq!(record.status, status, "{ending:?}");
        let counts = (record.attempts, record.crashes, record.hand_backs);
        assert_eq!(counts, (0, 0, hand_backs), "{ending:?}");
        assert_eq!(report.lost, 0, "{ending:?}");
    };
    check(Ending::Done, JobStatus::Done, 0).await;
    // A failure beside a store that is away says nothing of the job.
    let failure = Failure::transient("the checkpoint could not be read");
    check(Ending::Failed(failure), JobStatus::Done, 1).await;
}

/// The answer of a write may be lost as well, for longer than one look tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_was_written_unheard_counts_once() {
    struct Unheard(Arc<MemState>);
    #[async_trait]
    impl Handler for Unheard {
        fn queue(&self) -> QueueName {
            CRAWL
        }

        async fn handle(&self, job: &TakenJob, _: &JobContext) -> Ending {
            if job.record.attempts > 0 {
                return Ending::Done;
            }
            self.0.lost_answers.store(1, Ordering::SeqCst);
            self.0.gets_after_lost.store(AWAY_READS, Ordering::SeqCst);
            Ending::Failed(Failure::transient("no answer"))
        }

        async fn before_bury(&self, _: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
            Ok(())
        }
    }
    let mut bench = Bench::flowing(&[Act::Hang]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let worker = Worker::new(
        &bench.world.ports,
        Arc::new(Unheard(bench.world.state.clone())),
        bench.options.clone(),
        bench.pauses.clone(),
        bench.drain.clone(),
    );
    let running = tokio::spawn(async move { worker.run().await });
    bench.settled(&job).await;
    assert_eq!(bench.stop(running).await.lost, 0);
    let record = bench.record(&job);
    assert_eq!((record.attempts, record.crashes), (1, 0), "{record:?}");
}

/// The record may say that a delivery has the job though no answer came: the
/// same delivery asks again, and nobody finds a crash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_take_that_was_written_unheard_is_taken_again() {
    let mut bench = Bench::flowing(&[Act::End(Ending::Done)]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    bench.world.state.lost_answers.store(1, Ordering::SeqCst);
    let state = &bench.world.state;
    state.gets_after_lost.store(AWAY_READS, Ordering::SeqCst);
    let running = bench.start();
    bench.settled(&job).await;
    assert_eq!(bench.stop(running).await.done, 1);
    let record = bench.record(&job);
    assert_eq!((record.epoch, record.crashes), (1, 0), "{record:?}");
}

/// Every receive counts towards the bound beyond which the queue gives a
/// message up: a worker that may not write State does not use it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_cannot_take_jobs_receives_fewer_and_fewer() {
    let mut bench = Bench::new(TestClock::frozen(START), &[Act::End(Ending::Done)]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    bench.world.state.read_only.store(true, Ordering::SeqCst);
    let running = bench.start();
    let receives = || bench.world.crawl.receives.lock().unwrap().len();
    let start = bench.world.clock.monotonic();
    let hour = Duration::from_secs(60 * 60);
    until("an hour passes", || {
        bench.world.clock.advance(Duration::from_secs(5));
        bench.world.clock.monotonic() > start + hour
    })
    .await;
    let received = receives();
    assert!(
        (5..60).contains(&received),
        "{received} receives in {hour:?}"
    );
    bench.world.state.read_only.store(false, Ordering::SeqCst);
    until("it is done", || {
        bench.world.clock.advance(Duration::from_secs(5));
        bench.status(&job) == JobStatus::Done
    })
    .await;
    bench.drain.finish();
    until("it has left", || {
        bench.world.clock.advance(Duration::from_millis(20));
        running.is_finished()
    })
    .await;
}

/// What cannot be recorded keeps nobody beyond the time to leave in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_leaves_in_time_though_its_store_is_away() {
    let mut bench = Bench::new(TestClock::frozen(START), &[Act::Step]);
    bench.options.slots = 1;
    bench.plan("shop").await;
    let running = bench.start();
    until("it works", || bench.script.started() == 1).await;
    bench
        .world
        .state
        .failing_gets
        .store(u32::MAX, Ordering::SeqCst);
    let told = bench.world.clock.monotonic();
    bench.drain.request(Notice::SpotInterruption);
    until("it has left", || {
        bench.world.clock.advance(Duration::from_millis(20));
        running.is_finished()
    })
    .await;
    let took = bench.world.clock.monotonic() - told;
    // The clock runs ahead of who waits for it.
    assert!(took < EXIT_WITHIN + Duration::from_secs(5), "{took:?}");
    assert_eq!(running.await.unwrap().lost, 1);
    assert_eq!(bench.world.crawl.len(), 1, "its message comes again");
}
