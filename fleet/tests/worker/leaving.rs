//! A worker that is told to leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use trawler_core::QueueName;
use trawler_core::drain::{EXIT_WITHIN, HAND_BACK_WITHIN};
use trawler_core::ledger::JobStatus;
use trawler_core::ports::Notice;
use trawler_core::verdict::{Ending, Failure};
use trawler_fleet::{Handler, Interrupt, JobContext, TakenJob, Worker};

use crate::bench::{Act, Bench, CRAWL, V};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_09_drain_hands_back_what_it_holds() {
    let mut bench = Bench::flowing(&[Act::Hang, Act::Compute]);
    bench.options.receive_wait = Duration::from_secs(20);
    let jobs = [bench.plan("stubborn").await, bench.plan("busy").await];
    let running = bench.start();
    until("both work", || bench.script.started() == 2).await;
    let told = Instant::now();
    bench.drain.request(Notice::SpotInterruption);
    until("both are visible", || bench.world.crawl.visible() == 2).await;
    assert!(told.elapsed() < HAND_BACK_WITHIN);
    let report = running.await.unwrap();
    assert!(told.elapsed() < EXIT_WITHIN);
    assert_eq!(report.handed_back, 2);
    for job in &jobs {
        let record = bench.record(job);
        assert_eq!(record.status, JobStatus::Open);
        assert_eq!(
            (record.attempts, record.crashes, record.hand_backs),
            (0, 0, 1)
        );
        assert!(!record.in_hand);
    }
    assert_eq!(*bench.script.interrupts.lock().unwrap(), [Interrupt::Drain]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_09_a_poll_is_not_cut_off_and_what_it_brings_is_released() {
    let mut bench = Bench::flowing(&[Act::End(Ending::Done)]);
    bench.options.receive_wait = Duration::from_secs(20);
    let running = bench.start();
    let receives = || bench.world.crawl.receives.lock().unwrap().len();
    until("it polls", || receives() == 1).await;
    assert!(bench.world.crawl.receives.lock().unwrap()[0] <= V / 4);
    bench.drain.request(Notice::Signal);
    let job = bench.plan("late").await;
    let report = running.await.unwrap();
    assert_eq!(receives(), 1, "no receive after the notice");
    assert_eq!(report.handed_back, 1);
    assert_eq!(bench.script.started(), 0);
    assert_eq!(bench.world.crawl.visible(), 1);
    assert_eq!(bench.record(&job).epoch, 0, "it was not even taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transient_failure_of_a_worker_that_leaves_is_a_hand_back() {
    struct Cut;
    #[async_trait]
    impl Handler for Cut {
        fn queue(&self) -> QueueName {
            CRAWL
        }
        async fn handle(&self, _: &TakenJob, ctx: &JobContext) -> Ending {
            ctx.progress("download", 1, Some(2));
            ctx.cancelled().cancelled().await;
            Ending::Failed(Failure::transient("the download was cut off"))
        }
        async fn before_bury(&self, _: &TakenJob, _: &JobContext, _: &str) -> Result<(), Failure> {
            Ok(())
        }
    }
    let mut bench = Bench::flowing(&[Act::Hang]);
    bench.options.slots = 1;
    let job = bench.plan("shop").await;
    let board = trawler_fleet::ProgressBoard::new();
    let worker = Worker::new(
        &bench.world.ports,
        Arc::new(Cut),
        bench.options.clone(),
        bench.pauses.clone(),
        bench.drain.clone(),
    )
    .with_board(board.clone());
    let running = tokio::spawn(async move { worker.run().await });
    until("it shows progress", || board.snapshot().len() == 1).await;
    assert_eq!(board.snapshot()[0].what, "download");
    assert_eq!(bench.stop(running).await.handed_back, 1);
    assert_eq!(bench.record(&job).attempts, 0);
    assert!(board.snapshot().is_empty(), "nothing is in hand any more");
}
