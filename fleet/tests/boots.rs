//! What machines tell of their start, many of them at once.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use chrono::TimeDelta;
use support::{TestClock, World};
use tokio::task::JoinSet;
use trawler_core::QueueName;
use trawler_core::boots::Boots;
use trawler_core::ports::{Clock, Start};
use trawler_fleet::tell_start;

const CRAWL: QueueName = QueueName::Crawl;

fn world() -> World {
    World::new(
        TestClock::frozen("2026-11-21T03:00:00Z"),
        Duration::from_secs(60),
    )
}

async fn told(world: &World) -> Option<Boots> {
    let documents = world.ports.documents();
    documents.get(Boots::KEY).await.unwrap()
}

#[tokio::test]
async fn machines_that_start_at_once_all_tell_how_long_it_took() {
    let world = world();
    let mut telling = JoinSet::new();
    for at in 0..40 {
        let start = Start {
            machine: format!("i-{at}"),
            at: world.clock.now() - TimeDelta::seconds(at + 1),
        };
        let ports = world.ports.clone();
        telling.spawn(async move { tell_start(&ports, &start, &[CRAWL]).await });
    }
    telling.join_all().await;
    let boots = told(&world).await.unwrap();
    // Nineteen of twenty took no longer: the second of the slowest is left out.
    assert_eq!(boots.p95(CRAWL), Some(Duration::from_secs(38)));
    assert_eq!(boots.p95(QueueName::Image), None);
}

#[tokio::test]
async fn a_machine_whose_clock_is_behind_tells_nothing() {
    let world = world();
    let start = Start {
        machine: "i-1".to_owned(),
        at: world.clock.now() + TimeDelta::seconds(1),
    };
    tell_start(&world.ports, &start, &[CRAWL]).await;
    assert_eq!(told(&world).await, None);
}
