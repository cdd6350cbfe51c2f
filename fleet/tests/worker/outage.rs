//! A verdict that State does not take when it is given.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::ledger::JobStatus;
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{Handler, JobContext, TakenJob, Worker};

use crate::bench::{Act, Bench, CRAWL};
use crate::support::MemState;

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
