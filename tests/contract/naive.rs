//! A naive SQS FIFO queue: a list in memory, searched from its beginning, with
//! no index and no cleverness.
//!
//! It says what the semantics are; the suite is proven against it, and the
//! simulation compares adapters with it. It is as strict as the port lets it
//! be: every bound is checked and every stale receipt refused. Durability it
//! has none: a restart hands out the same list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use trawler_core::ports::{
    BATCH_MAX, Clock, Depth, Lease, MESSAGE_BYTES_MAX, Outgoing, Queue, QueueError,
    RECEIVE_WAIT_MAX, SendError, VISIBILITY_MAX,
};
use trawler_tests::{ManualClock, QUEUE_RECEIVE_COUNT_MAX, QUEUE_VISIBILITY, QueueHarness, until};

const DEDUP: TimeDelta = TimeDelta::minutes(5);

pub(crate) struct NaiveQueue {
    clock: Arc<dyn Clock>,
    shelves: Mutex<Shelves>,
    changed: Notify,
}

#[derive(Default)]
struct Shelves {
    live: Vec<Message>,
    dead: Vec<Message>,
    /// When each dedup id was first sent.
    sent: BTreeMap<String, DateTime<Utc>>,
    numbers: u64,
}

struct Message {
    number: u64,
    outgoing: Outgoing,
    receive_count: u32,
    hidden: Option<Hidden>,
    /// Why it was buried.
    reason: Option<String>,
}

struct Hidden {
    until: DateTime<Utc>,
    /// `None` while a released message waits.
    lease: Option<Held>,
}

struct Held {
    receipt: String,
    received: DateTime<Utc>,
}

impl Message {
    fn is_hidden(&self, now: DateTime<Utc>) -> bool {
        self.hidden
            .as_ref()
            .is_some_and(|hidden| hidden.until > now)
    }

    fn held(&self, receipt: &str, now: DateTime<Utc>) -> Option<&Held> {
        let hidden = self.hidden.as_ref().filter(|hidden| hidden.until > now)?;
        hidden.lease.as_ref().filter(|held| held.receipt == receipt)
    }
}

impl Shelves {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn send(&mut self, outgoing: &Outgoing, now: DateTime<Utc>) {
        let first = self.sent.get(&outgoing.dedup_id);
        if first.is_some_and(|first| now - first < DEDUP) {
            return;
        }
        self.sent.insert(outgoing.dedup_id.clone(), now);
        let number = self.number();
        self.live.push(Message {
            number,
            outgoing: outgoing.clone(),
            receive_count: 0,
            hidden: None,
            reason: None,
        });
    }

    /// The oldest message whose group has nothing hidden names the group; as
    /// many of it as fit come, then the next group's.
    fn receive(&mut self, slots: usize, now: DateTime<Utc>, from_dead: bool) -> Vec<Lease> {
        let mut leases = Vec::new();
        while leases.len() < slots {
            let shelf = if from_dead { &self.dead } else { &self.live };
            let locked: BTreeSet<&str> = shelf
                .iter()
                .filter(|message| message.is_hidden(now))
                .map(|message| message.outgoing.group.as_str())
                .collect();
            let Some(group) = shelf
                .iter()
                .map(|message| &message.outgoing.group)
                .find(|group| !locked.contains(group.as_str()))
                .cloned()
            else {
                break;
            };
            let numbers: Vec<u64> = shelf
                .iter()
                .filter(|message| message.outgoing.group == group)
                .map(|message| message.number)
                .take(slots - leases.len())
                .collect();
            for number in numbers {
                leases.extend(self.deliver(number, now, from_dead));
            }
        }
        leases
    }

    fn deliver(&mut self, number: u64, now: DateTime<Utc>, from_dead: bool) -> Option<Lease> {
        let receipt = format!("receipt-{}", self.number());
        let shelf = if from_dead {
            &mut self.dead
        } else {
            &mut self.live
        };
        let at = shelf.iter().position(|message| message.number == number)?;
        if !from_dead && shelf[at].receive_count >= QUEUE_RECEIVE_COUNT_MAX {
            let exhausted = shelf.remove(at);
            self.bury(exhausted);
            return None;
        }
        let message = &mut shelf[at];
        message.receive_count += 1;
        message.hidden = Some(Hidden {
            until: now + QUEUE_VISIBILITY,
            lease: Some(Held {
                receipt: receipt.clone(),
                received: now,
            }),
        });
        Some(Lease {
            message_id: format!("message-{number}"),
            group: message.outgoing.group.clone(),
            dedup_id: message.outgoing.dedup_id.clone(),
            body: message.outgoing.body.clone(),
            receive_count: message.receive_count,
            receipt,
            buried: message.reason.clone(),
        })
    }

    fn bury(&mut self, mut message: Message) {
        message.hidden = None;
        self.dead.push(message);
        self.dead.sort_by_key(|message| message.number);
    }
}

impl NaiveQueue {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            shelves: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Works on the message that the lease holds, at its place on its shelf.
    fn settle(
        &self,
        verb: &'static str,
        lease: &Lease,
        is_dead: bool,
        work: impl FnOnce(&mut Shelves, usize, DateTime<Utc>) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let now = self.clock.now();
        let shelves = &mut *self.shelves.lock().unwrap();
        let shelf = if is_dead {
            &shelves.dead
        } else {
            &shelves.live
        };
        let at = shelf
            .iter()
            .position(|message| message.held(&lease.receipt, now).is_some())
            .ok_or_else(|| QueueError::LeaseLost {
                verb,
                message_id: lease.message_id.clone(),
            })?;
        work(shelves, at, now)?;
        self.changed.notify_waiters();
        Ok(())
    }
}

/// Refused when the message would stay hidden for longer than 12 h after its
/// receive.
fn hide(
    verb: &'static str,
    message: &mut Message,
    now: DateTime<Utc>,
    span: Duration,
    stays_leased: bool,
) -> Result<(), QueueError> {
    let hidden = message.hidden.as_mut().expect("the message is held");
    let held = hidden.lease.as_ref().expect("the message is held");
    if now + span > held.received + VISIBILITY_MAX {
        return Err(refused(verb, "more than 12 h after the receive"));
    }
    hidden.until = now + span;
    if !stays_leased {
        hidden.lease = None;
    }
    Ok(())
}

fn refused(verb: &'static str, reason: &str) -> QueueError {
    QueueError::Refused {
        verb,
        reason: reason.to_owned(),
    }
}

fn check(message: &Outgoing) -> Result<(), &'static str> {
    let is_id =
        |id: &str| !id.is_empty() && id.len() <= 128 && id.chars().all(|c| c.is_ascii_graphic());
    if !is_id(&message.group) {
        Err("the group is no id")
    } else if !is_id(&message.dedup_id) {
        Err("the dedup id is no id")
    } else if message.body.is_empty() || message.body.len() > MESSAGE_BYTES_MAX {
        Err("the body is empty or too long")
    } else {
        Ok(())
    }
}

#[async_trait]
impl Queue for NaiveQueue {
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError> {
        if batch.len() > BATCH_MAX {
            return Err(refused("send", "too many messages"));
        }
        let mut failed = Vec::new();
        for (index, message) in batch.iter().enumerate() {
            match check(message) {
                Ok(()) => self.shelves.lock().unwrap().send(message, self.clock.now()),
                Err(reason) => failed.push(SendError {
                    index,
                    dedup_id: message.dedup_id.clone(),
                    source: refused("send", reason),
                }),
            }
        }
        self.changed.notify_waiters();
        Ok(failed)
    }

    async fn receive(&self, slots: usize, wait: Duration) -> Result<Vec<Lease>, QueueError> {
        if !(1..=BATCH_MAX).contains(&slots) || wait > RECEIVE_WAIT_MAX {
            return Err(refused("receive", "slots or wait out of bounds"));
        }
        let deadline = self.clock.monotonic() + wait;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = self.clock.now();
            let leases = self.shelves.lock().unwrap().receive(slots, now, false);
            let left = deadline.saturating_sub(self.clock.monotonic());
            if !leases.is_empty() || left.is_zero() {
                return Ok(leases);
            }
            // Visibility ends by the second here, as tests let time pass.
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep(left.min(Duration::from_secs(1))) => {}
            }
        }
    }

    async fn extend(&self, lease: &Lease, visibility: Duration) -> Result<(), QueueError> {
        if visibility.is_zero() || visibility > VISIBILITY_MAX {
            return Err(refused("extend", "visibility out of bounds"));
        }
        self.settle("extend", lease, false, |shelves, at, now| {
            hide("extend", &mut shelves.live[at], now, visibility, true)
        })
    }

    async fn ack(&self, lease: Lease) -> Result<(), QueueError> {
        self.settle("ack", &lease, false, |shelves, at, _| {
            shelves.live.remove(at);
            Ok(())
        })
    }

    async fn release(&self, lease: Lease, after: Duration) -> Result<(), QueueError> {
        if after > VISIBILITY_MAX {
            return Err(refused("release", "delay out of bounds"));
        }
        self.settle("release", &lease, false, |shelves, at, now| {
            hide("release", &mut shelves.live[at], now, after, false)
        })
    }

    async fn bury(&self, lease: Lease, reason: &str) -> Result<(), QueueError> {
        self.settle("bury", &lease, false, |shelves, at, _| {
            let mut message = shelves.live.remove(at);
            message.reason = Some(reason.to_owned());
            shelves.bury(message);
            Ok(())
        })
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let now = self.clock.now();
        let mut depth = Depth::default();
        for message in &self.shelves.lock().unwrap().live {
            match message.hidden.as_ref().filter(|hidden| hidden.until > now) {
                None => depth.visible += 1,
                Some(Hidden { lease: Some(_), .. }) => depth.in_flight += 1,
                Some(Hidden { lease: None, .. }) => depth.delayed += 1,
            }
        }
        Ok(depth)
    }

    async fn receive_dead(&self, slots: usize) -> Result<Vec<Lease>, QueueError> {
        if !(1..=BATCH_MAX).contains(&slots) {
            return Err(refused("receive_dead", "slots out of bounds"));
        }
        let now = self.clock.now();
        Ok(self.shelves.lock().unwrap().receive(slots, now, true))
    }

    async fn ack_dead(&self, lease: Lease) -> Result<(), QueueError> {
        self.settle("ack_dead", &lease, true, |shelves, at, _| {
            shelves.dead.remove(at);
            Ok(())
        })
    }

    fn visibility(&self) -> Duration {
        QUEUE_VISIBILITY
    }
}

pub(crate) struct NaiveHarness {
    clock: Arc<ManualClock>,
    queue: Arc<NaiveQueue>,
}

impl NaiveHarness {
    pub(crate) async fn fresh() -> Self {
        let clock: Arc<ManualClock> = Arc::default();
        Self {
            queue: Arc::new(NaiveQueue::new(clock.clone())),
            clock,
        }
    }
}

#[async_trait]
impl QueueHarness for NaiveHarness {
    fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    async fn restart(&mut self) {}

    async fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    async fn until_waiting(&self) {
        until("the receive waits", || self.clock.sleepers() > 0).await;
    }
}
