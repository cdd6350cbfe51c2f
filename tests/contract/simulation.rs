//! Random operations on the local queue and on the naive queue, side by side
//! on one clock: every answer must be the same.
//!
//! `TRAWLER_SEED=n cargo test -p trawler-tests --test contract simulation`
//! repeats the walk of one seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use trawler_core::ports::{Lease, MESSAGE_BYTES_MAX, Outgoing, Queue, QueueError};
use trawler_tests::{ManualClock, QUEUE_VISIBILITY, QueueHarness};

use crate::local_adapter::LocalQueueHarness;
use crate::naive::NaiveQueue;
use crate::queue::copy;

const SEEDS: std::ops::Range<u64> = 0..12;
const STEPS: usize = 400;

/// Old leases are kept to be settled too late; more than this are forgotten.
const HELD_MAX: usize = 24;

/// The same delivery, as each side names it.
struct Held {
    local: Lease,
    model: Lease,
}

struct Walk {
    rng: SmallRng,
    clock: Arc<ManualClock>,
    local: LocalQueueHarness,
    model: NaiveQueue,
    held: Vec<Held>,
    dead: Vec<Held>,
    sent: usize,
    /// How each message that was accepted ended, by body.
    ledger: BTreeMap<String, Ending>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    Acked,
    AckedDead,
}

/// What matters about an answer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Lost,
    Refused,
}

fn answer(result: Result<(), QueueError>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(QueueError::LeaseLost { .. }) => Answer::Lost,
        Err(QueueError::Refused { .. }) => Answer::Refused,
        Err(error @ QueueError::Unavailable { .. }) => panic!("{error:?}"),
    }
}

impl Walk {
    async fn new(seed: u64) -> Self {
        let clock: Arc<ManualClock> = Arc::default();
        Self {
            rng: SmallRng::seed_from_u64(seed),
            local: LocalQueueHarness::with_clock(clock.clone()).await,
            model: NaiveQueue::new(clock.clone()),
            clock,
            held: Vec::new(),
            dead: Vec::new(),
            sent: 0,
            ledger: BTreeMap::new(),
        }
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..20 => self.send().await,
            20..45 => self.receive().await,
            45..80 => self.settle().await,
            80..85 => self.receive_dead().await,
            85..88 => self.ack_dead().await,
            88..97 => {
                let span = Duration::from_millis(self.rng.random_range(0..6000));
                self.clock.advance(span);
            }
            97 => self.clock.advance(Duration::from_secs(5 * 60)),
            98 => self.local.restart().await,
            _ => self.clock.advance(QUEUE_VISIBILITY),
        }
        let (local, model) = (self.local.queue().depth().await, self.model.depth().await);
        assert_eq!(local.unwrap(), model.unwrap());
    }

    fn message(&mut self) -> Outgoing {
        self.sent += 1;
        // Now and then a dedup id that was used before.
        let number = if self.rng.random_bool(0.15) {
            self.rng.random_range(0..self.sent)
        } else {
            self.sent
        };
        let group = format!("g{}", self.rng.random_range(0..4));
        let length = if self.rng.random_bool(0.03) {
            MESSAGE_BYTES_MAX
        } else {
            0
        };
        Outgoing {
            group,
            dedup_id: format!("d{number}"),
            body: format!("{}{}", self.sent, " ".repeat(length)),
        }
    }

    async fn send(&mut self) {
        let count = self.rng.random_range(1..=4);
        let batch: Vec<Outgoing> = (0..count).map(|_| self.message()).collect();
        let local = self.local.queue().send(&batch).await.unwrap();
        let model = self.model.send(&batch).await.unwrap();
        let failures = |failed: &[trawler_core::ports::SendError]| -> Vec<usize> {
            failed.iter().map(|error| error.index).collect()
        };
        assert_eq!(failures(&local), failures(&model));
    }

    fn pair(local: Vec<Lease>, model: Vec<Lease>) -> Vec<Held> {
        let facts = |leases: &[Lease]| -> Vec<(String, String, String, u32)> {
            leases
                .iter()
                .map(|lease| {
                    (
                        lease.group.clone(),
                        lease.dedup_id.clone(),
                        lease.body.clone(),
                        lease.receive_count,
                    )
                })
                .collect()
        };
        assert_eq!(facts(&local), facts(&model));
        local
            .into_iter()
            .zip(model)
            .map(|(local, model)| Held { local, model })
            .collect()
    }

    async fn receive(&mut self) {
        let slots = *[1, 1, 1, 2, 3, 10].choose(&mut self.rng).unwrap();
        let local = self.local.queue().receive(slots, Duration::ZERO).await;
        let model = self.model.receive(slots, Duration::ZERO).await;
        let taken = Self::pair(local.unwrap(), model.unwrap());
        for held in &taken {
            let ending = self
                .ledger
                .entry(held.local.body.clone())
                .or_insert(Ending::Open);
            assert_eq!(*ending, Ending::Open, "{:?} came back", held.local);
        }
        self.held.extend(taken);
        let surplus = self.held.len().saturating_sub(HELD_MAX);
        self.held.drain(..surplus);
    }

    async fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.held.len());
        // Sometimes the lease is kept, to be settled once more.
        let held = if self.rng.random_bool(0.2) {
            let held = &self.held[at];
            Held {
                local: copy(&held.local),
                model: copy(&held.model),
            }
        } else {
            self.held.swap_remove(at)
        };
        let queue = self.local.queue();
        let span = Duration::from_secs(self.rng.random_range(0..15));
        let body = held.local.body.clone();
        let (local, model) = match self.rng.random_range(0..10) {
            0..5 => {
                let local = queue.ack(held.local).await;
                if local.is_ok() {
                    self.ledger.insert(body, Ending::Acked);
                }
                (local, self.model.ack(held.model).await)
            }
            5..7 => {
                let local = queue.extend(&held.local, span).await;
                let model = self.model.extend(&held.model, span).await;
                self.held.push(held);
                (local, model)
            }
            7 => {
                let local = queue.bury(held.local, "for the test").await;
                (local, self.model.bury(held.model, "for the test").await)
            }
            8 => {
                let local = queue.release(held.local, span).await;
                (local, self.model.release(held.model, span).await)
            }
            _ => {
                let local = queue.release(held.local, Duration::ZERO).await;
                (local, self.model.release(held.model, Duration::ZERO).await)
            }
        };
        assert_eq!(answer(local), answer(model));
    }

    async fn receive_dead(&mut self) {
        let slots = self.rng.random_range(1..=3);
        let local = self.local.queue().receive_dead(slots).await.unwrap();
        let model = self.model.receive_dead(slots).await.unwrap();
        self.dead.extend(Self::pair(local, model));
    }

    async fn ack_dead(&mut self) {
        if self.dead.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.dead.len());
        let held = self.dead.swap_remove(at);
        let body = held.local.body.clone();
        let local = self.local.queue().ack_dead(held.local).await;
        if local.is_ok() {
            let before = self.ledger.insert(body, Ending::AckedDead);
            assert_eq!(before, Some(Ending::Open));
        }
        let model = self.model.ack_dead(held.model).await;
        assert_eq!(answer(local), answer(model));
    }

    /// Works everything off and audits that nothing was lost on the way.
    async fn finish(&mut self) {
        self.clock.advance(Duration::from_secs(60 * 60));
        self.held.clear();
        self.dead.clear();
        loop {
            self.receive().await;
            self.receive_dead().await;
            if self.held.is_empty() && self.dead.is_empty() {
                break;
            }
            for held in std::mem::take(&mut self.held) {
                self.ledger.insert(held.local.body.clone(), Ending::Acked);
                let local = self.local.queue().ack(held.local).await;
                let model = self.model.ack(held.model).await;
                assert_eq!((answer(local), answer(model)), (Answer::Done, Answer::Done));
            }
            while !self.dead.is_empty() {
                self.ack_dead().await;
            }
        }
        assert_eq!(self.local.queue().depth().await.unwrap().total(), 0);
        let open: Vec<_> = self
            .ledger
            .iter()
            .filter(|(_, ending)| **ending == Ending::Open)
            .collect();
        assert!(open.is_empty(), "lost: {open:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_queue_answers_as_the_model_does() {
    let _beside = crate::machine::beside().await;
    let seeds = match std::env::var("TRAWLER_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("TRAWLER_SEED is a number");
            seed..seed + 1
        }
        Err(_) => SEEDS,
    };
    for seed in seeds {
        println!("TRAWLER_SEED={seed}");
        let mut walk = Walk::new(seed).await;
        for _ in 0..STEPS {
            walk.step().await;
        }
        walk.finish().await;
        assert!(walk.ledger.len() > STEPS / 8, "the walk did some work");
    }
}
