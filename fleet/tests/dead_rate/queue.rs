//! A queue that takes so many requests a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use trawler_core::ports::{Clock, Depth, Lease, Outgoing, Queue, QueueError, SendError};
use trawler_fleet::dead::REQUESTS_PER_S;

use crate::clock::VirtualClock;
use crate::support::Crash;

pub(crate) const QUEUE_LATENCY: Duration = Duration::from_millis(20);

pub(crate) const DEDUP: Duration = Duration::from_secs(5 * 60);

/// What the queue takes at once beyond its rate.
pub(crate) const BURST: f64 = 30.0;

#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) tokens: f64,
    pub(crate) refilled: Duration,
    pub(crate) seen: HashMap<String, Duration>,
    /// Messages that were accepted and not swallowed, in order.
    pub(crate) messages: Vec<Outgoing>,
    pub(crate) requests: u64,
    pub(crate) throttled: u64,
}

/// Takes [`REQUESTS_PER_S`] requests a second and throttles the rest.
pub(crate) struct ThrottledQueue {
    pub(crate) sent: Mutex<Sent>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) crash: Arc<Crash>,
}

impl ThrottledQueue {
    pub(crate) fn take_token(&self, sent: &mut Sent) -> bool {
        let now = self.clock.monotonic();
        let passed = (now - sent.refilled).as_secs_f64();
        sent.refilled = now;
        sent.tokens = (sent.tokens + passed * f64::from(REQUESTS_PER_S)).min(BURST);
        sent.requests += 1;
        if sent.tokens < 1.0 {
            sent.throttled += 1;
            return false;
        }
        sent.tokens -= 1.0;
        true
    }
}

#[async_trait]
impl Queue for ThrottledQueue {
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError> {
        assert!((1..=10).contains(&batch.len()));
        {
            let mut sent = self.sent.lock().unwrap();
            if !self.crash.write() {
                return Err(QueueError::Refused {
                    verb: "send",
                    reason: "the process is dead".to_owned(),
                });
            }
            if !self.take_token(&mut sent) {
                return Err(QueueError::Unavailable {
                    verb: "send",
                    source: "throttled".into(),
                });
            }
            let now = self.clock.monotonic();
            for message in batch {
                let repeated = sent
                    .seen
                    .get(&message.dedup_id)
                    .is_some_and(|at| now - *at < DEDUP);
                if !repeated {
                    sent.seen.insert(message.dedup_id.clone(), now);
                    sent.messages.push(message.clone());
                }
            }
        }
        sleep(QUEUE_LATENCY).await;
        Ok(Vec::new())
    }

    async fn receive(&self, _: usize, _: Duration) -> Result<Vec<Lease>, QueueError> {
        Ok(Vec::new())
    }

    async fn extend(&self, _: &Lease, _: Duration) -> Result<(), QueueError> {
        Ok(())
    }

    async fn ack(&self, _: Lease) -> Result<(), QueueError> {
        Ok(())
    }

    async fn release(&self, _: Lease, _: Duration) -> Result<(), QueueError> {
        Ok(())
    }

    async fn bury(&self, _: Lease, _: &str) -> Result<(), QueueError> {
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }

    async fn receive_dead(&self, _: usize) -> Result<Vec<Lease>, QueueError> {
        Ok(Vec::new())
    }

    async fn ack_dead(&self, _: Lease) -> Result<(), QueueError> {
        Ok(())
    }

    fn visibility(&self) -> Duration {
        Duration::from_secs(120)
    }
}
