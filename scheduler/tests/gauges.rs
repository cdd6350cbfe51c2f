//! What a tick says about the work that waits.
#![allow(clippy::unwrap_used)]

#[path = "../../fleet/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use support::{TestClock, World, pipe_of};
use trawler_core::QueueName;
use trawler_core::pipe::Pipe;
use trawler_core::ports::{Capacity, CapacityError, Completion, Headcount, Metric};
use trawler_fleet::Take;
use trawler_scheduler::{Scheduler, SchedulerOptions};

const MINUTE: Duration = Duration::from_secs(60);
const CRAWL: QueueName = QueueName::Crawl;

/// A group of so many workers; of none it does not answer.
struct Workers(AtomicU32);

#[async_trait]
impl Capacity for Workers {
    async fn want(&self, _: QueueName, workers: u32) -> Result<(), CapacityError> {
        self.0.store(workers, Ordering::SeqCst);
        Ok(())
    }

    async fn headcount(&self, _: QueueName) -> Result<Headcount, CapacityError> {
        match self.0.load(Ordering::SeqCst) {
            0 => Err(CapacityError::Unavailable {
                verb: "count",
                what: "workers".to_owned(),
                source: "the line is dead".into(),
            }),
            in_service => Ok(Headcount {
                in_service,
                ..Headcount::default()
            }),
        }
    }

    async fn protect(&self, _: bool) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn replace(&self) -> Result<(), CapacityError> {
        Ok(())
    }

    async fn complete(&self) -> Result<Completion, CapacityError> {
        Ok(Completion::NoHook)
    }
}

#[tokio::test]
async fn a_tick_records_what_waits_and_for_how_long() {
    let world = World::new(TestClock::frozen("2026-11-21T03:00:00Z"), MINUTE);
    let pipes: Vec<Pipe> = ["one", "two", "three"].map(pipe_of).into();
    let workers = Arc::new(Workers(AtomicU32::new(2)));
    let options = SchedulerOptions::default();
    let ticker = Scheduler::new(world.ports.clone(), pipes.into(), options)
        .with_capacity(Arc::clone(&workers) as Arc<dyn Capacity>);
    ticker.tick().await.unwrap();
    let lease = world.ports.crawl.receive(1, Duration::ZERO).await.unwrap();
    let taken = world
        .ports
        .jobs()
        .take(CRAWL, &lease[0].dedup_id, "d")
        .await;
    assert!(matches!(taken, Ok(Take::Work(_))));
    world.clock.advance(MINUTE);
    world.metrics.seen.lock().unwrap().clear();
    ticker.tick().await.unwrap();
    let recorded = |metric: Metric| world.metrics.count(|seen| *seen == metric);
    let queue = CRAWL;
    assert_eq!(recorded(Metric::QueueDepth { queue, jobs: 3 }), 1);
    let seconds = 60.0;
    assert_eq!(recorded(Metric::OldestAge { queue, seconds }), 1);
    assert_eq!(recorded(Metric::BacklogPerInstance { queue, jobs: 1.5 }), 1);
    assert_eq!(recorded(Metric::DeadLetters { queue, letters: 0 }), 1);
    assert_eq!(recorded(Metric::RunnablePipes { pipes: 2 }), 1);
    assert_eq!(recorded(Metric::PipesOverdue { pipes: 0 }), 1);
    let image = QueueName::Image;
    let none = Metric::QueueDepth {
        queue: image,
        jobs: 0,
    };
    assert_eq!(recorded(none), 1);
    // A capacity service that does not answer costs its own figure alone.
    workers.want(CRAWL, 0).await.unwrap();
    world.metrics.seen.lock().unwrap().clear();
    ticker.tick().await.unwrap();
    assert_eq!(recorded(Metric::QueueDepth { queue, jobs: 3 }), 1);
    let backlog = |metric: &Metric| matches!(metric, Metric::BacklogPerInstance { .. });
    assert_eq!(world.metrics.count(backlog), 0);
}
