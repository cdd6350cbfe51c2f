//! A worker that finds an object, and a sweep that takes it away, at the same
//! time and in many orders.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trawler_fleet::{Removals, Stays};

use crate::testing::Table;
use crate::world::{DAY, META, World, body_of, key_of};

/// Orders that are tried.
const SEEDS: u64 = 150;

/// Calls after which the sweep of two objects is over, and more.
const SWEEP_CALLS: u64 = 30;

/// How the worker makes sure of what it refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    AsItShould,
    /// As if nobody removed anything: to see that the orders are bad enough.
    None,
}

/// Puts the picture until it may be referred to; the instant at which it has to
/// wait until is slept off afterwards, when the sweep is over.
async fn store(world: &World, worker: &Removals, care: Care) -> Option<DateTime<Utc>> {
    let key = key_of(1);
    loop {
        let look = worker.look().await.unwrap();
        let body = Bytes::from(body_of(1));
        world.ports.blobs.put(&key, body, META).await.unwrap();
        if care == Care::None {
            return None;
        }
        match worker.stays(&look, &key).await.unwrap() {
            Stays::Yes => return None,
            Stays::PutAgain => {}
            Stays::NotBefore(due) => return Some(due),
        }
    }
}

/// Says whether the object is there when the worker refers to it, and what it
/// met on the way.
async fn order(table: &Arc<Table>, seed: u64, care: Care) -> (bool, bool) {
    let world = World::beside(table).await;
    world.leave(1);
    world.leave(2);
    world.remove(true).await.unwrap();
    world.pass(DAY + Duration::from_secs(60 * 60));
    let worker = Removals::new(&world.ports);
    world.turns.seed(seed);
    let waited = {
        let work = async {
            world.turns.called(seed % SWEEP_CALLS).await;
            store(&world, &worker, care).await
        };
        let (swept, waited) = futures::join!(world.remove(true), work);
        swept.unwrap();
        waited
    };
    if let Some(due) = waited {
        let span = due - world.ports.clock.now();
        world.pass(span.to_std().unwrap() + Duration::from_secs(1));
        assert_eq!(store(&world, &worker, care).await, None, "{seed}");
    }
    (world.stored().contains(&key_of(1)), waited.is_some())
}

#[tokio::test]
async fn every_order_of_worker_and_sweep_keeps_what_is_referred_to() {
    let (mut waited, mut lost) = (0, 0);
    let table = Arc::new(Table::new().await);
    for seed in 0..SEEDS {
        let (is_there, has_waited) = order(&table, seed, Care::AsItShould).await;
        assert!(is_there, "seed {seed} lost an image that is referred to");
        waited += u32::from(has_waited);
        let (is_there, _) = order(&table, seed, Care::None).await;
        lost += u32::from(!is_there);
    }
    println!("{SEEDS} orders: {waited} met the sweep, {lost} would have lost the image");
    assert!(waited > 0 && lost > 0, "the orders are too tame");
}
