//! One SQS FIFO queue with its dead-letter queue, as the API behaves.
//!
//! Facts: the SQS API reference and the quota pages. High throughput or not is
//! a matter of `requests_per_s`; the scope of deduplication is the queue, which
//! is the stricter one. A receive hands out the oldest free group, where AWS
//! promises no order between groups.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use trawler_core::ports::{Clock, Depth};

use super::meter::{Action, Meter};
use super::shelf::Shelf;
use super::throttle::Bucket;

const BATCH_MAX: usize = 10;

/// Of one message and of a whole batch.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

const WAIT_MAX: Duration = Duration::from_secs(20);

const DEDUP_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Attributes of a queue and quotas of its account.
#[derive(Debug, Clone, Copy)]
pub struct SqsOptions {
    pub visibility: Duration,
    /// maxReceiveCount of the redrive policy.
    pub receives_max: u32,
    /// Of each API action; `None` is without bound.
    pub requests_per_s: Option<f64>,
    pub in_flight_max: usize,
    /// Free groups are looked for in so many of the first messages.
    pub look_ahead: usize,
    pub retention: Duration,
}

impl Default for SqsOptions {
    fn default() -> Self {
        Self {
            visibility: Duration::from_secs(300),
            receives_max: 50,
            requests_per_s: None,
            in_flight_max: 120_000,
            look_ahead: 120_000,
            retention: Duration::from_secs(14 * 24 * 60 * 60),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqsError {
    #[error("RequestThrottled")]
    RequestThrottled,
    #[error("ReceiptHandleIsInvalid: the receipt handle has expired or is of no delivery")]
    ReceiptHandleIsInvalid,
    #[error("{code}: {reason}")]
    Refused {
        code: &'static str,
        reason: &'static str,
    },
}

fn refused<T>(code: &'static str, reason: &'static str) -> Result<T, SqsError> {
    Err(SqsError::Refused { code, reason })
}

/// The queue itself or its dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Live,
    Dead,
}

/// One message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub group: String,
    pub dedup_id: String,
    pub body: String,
    /// An attribute, billed as payload.
    pub reason: Option<String>,
}

impl Entry {
    fn payload(&self) -> usize {
        self.body.len() + self.reason.as_ref().map_or(0, String::len)
    }

    fn check(&self) -> Result<(), SqsError> {
        let is_id =
            |id: &str| (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
        let is_text = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        if !is_id(&self.group) {
            return refused("InvalidParameterValue", "MessageGroupId");
        }
        if !is_id(&self.dedup_id) {
            return refused("InvalidParameterValue", "MessageDeduplicationId");
        }
        if self.body.is_empty() {
            return refused("MissingParameter", "MessageBody");
        }
        if self.payload() > PAYLOAD_BYTES_MAX {
            return refused("InvalidParameterValue", "the message is over 1 MiB");
        }
        if !self.body.chars().all(is_text) {
            return refused(
                "InvalidMessageContents",
                "a character that XML does not have",
            );
        }
        Ok(())
    }
}

/// One message of a receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub message_id: String,
    pub receipt: String,
    pub receives: u32,
    pub entry: Arc<Entry>,
}

pub struct Sqs {
    clock: Arc<dyn Clock>,
    options: SqsOptions,
    meter: Arc<Meter>,
    queue: Mutex<Queue>,
    changed: Notify,
}

struct Queue {
    live: Shelf,
    dead: Shelf,
    live_sent: Sent,
    dead_sent: Sent,
    numbers: u64,
    /// Each queue and each action has its own.
    buckets: HashMap<(Side, Action), Bucket>,
}

/// When each dedup id of the last five minutes was first sent.
#[derive(Default)]
struct Sent {
    first: HashMap<String, Duration>,
    order: VecDeque<(Duration, String)>,
}

impl Sent {
    /// False when the id was sent less than five minutes ago.
    fn admit(&mut self, dedup_id: &str, now: Duration) -> bool {
        while let Some((first, _)) = self.order.front()
            && now.saturating_sub(*first) >= DEDUP_WINDOW
        {
            if let Some((_, old)) = self.order.pop_front() {
                self.first.remove(&old);
            }
        }
        if self.first.contains_key(dedup_id) {
            return false;
        }
        self.first.insert(dedup_id.to_owned(), now);
        self.order.push_back((now, dedup_id.to_owned()));
        true
    }
}

impl Queue {
    fn shelf(&mut self, side: Side) -> &mut Shelf {
        match side {
            Side::Live => &mut self.live,
            Side::Dead => &mut self.dead,
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn add(&mut self, side: Side, entry: Arc<Entry>, now: Duration) {
        let number = self.number();
        self.shelf(side).add(number, entry, now);
    }

    fn settle_time(&mut self, now: Duration, retention: Duration) {
        for side in [Side::Live, Side::Dead] {
            let shelf = self.shelf(side);
            shelf.settle_time(now);
            if let Some(oldest) = now.checked_sub(retention) {
                shelf.expire(oldest);
            }
        }
    }

    fn take(
        &mut self,
        side: Side,
        max: usize,
        now: Duration,
        options: &SqsOptions,
    ) -> Vec<Received> {
        let mut taken = Vec::new();
        loop {
            let room = options
                .in_flight_max
                .saturating_sub(self.shelf(side).in_flight());
            let wanted = room.min(max - taken.len());
            let numbers = self.shelf(side).oldest_free(wanted);
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                if side == Side::Live && self.live.receives(number) >= options.receives_max {
                    if let Some(message) = self.live.remove(number) {
                        // The redrive policy keeps no dedup id in mind.
                        self.dead.add(number, message.entry, now);
                    }
                    continue;
                }
                let delivery = self.number();
                let delivered = self
                    .shelf(side)
                    .deliver(number, delivery, now, options.visibility);
                taken.extend(delivered.map(|message| Received {
                    message_id: format!("message-{}", message.number),
                    receipt: format!("{number}/{delivery}"),
                    receives: message.receives,
                    entry: Arc::clone(&message.entry),
                }));
            }
        }
        taken
    }
}

impl Sqs {
    pub fn new(clock: Arc<dyn Clock>, meter: &Arc<Meter>, options: SqsOptions) -> Arc<Self> {
        Arc::new(Self {
            clock,
            options,
            meter: Arc::clone(meter),
            queue: Mutex::new(Queue {
                live: Shelf::new(options.look_ahead),
                dead: Shelf::new(options.look_ahead),
                live_sent: Sent::default(),
                dead_sent: Sent::default(),
                numbers: 0,
                buckets: HashMap::new(),
            }),
            changed: Notify::new(),
        })
    }

    pub fn options(&self) -> &SqsOptions {
        &self.options
    }

    /// The outcome of each entry, in order.
    pub fn send_message_batch(
        &self,
        side: Side,
        entries: Vec<Entry>,
    ) -> Result<Vec<Result<(), SqsError>>, SqsError> {
        let bytes = entries.iter().map(Entry::payload).sum();
        let (mut queue, now) = self.admit(side, Action::SendMessageBatch, bytes)?;
        if entries.is_empty() {
            return refused("EmptyBatchRequest", "no entries");
        }
        if entries.len() > BATCH_MAX {
            return refused("TooManyEntriesInBatchRequest", "more than 10 entries");
        }
        if bytes > PAYLOAD_BYTES_MAX {
            return refused("BatchRequestTooLong", "over 1 MiB");
        }
        let outcomes = entries.into_iter().map(|entry| {
            entry.check()?;
            let sent = match side {
                Side::Live => &mut queue.live_sent,
                Side::Dead => &mut queue.dead_sent,
            };
            if sent.admit(&entry.dedup_id, now) {
                queue.add(side, Arc::new(entry), now);
            }
            Ok(())
        });
        let outcomes = outcomes.collect();
        drop(queue);
        self.changed.notify_waiters();
        Ok(outcomes)
    }

    /// Waits up to `wait` for the first message. A caller that goes away does
    /// not end it; what it takes then is locked for its visibility.
    pub async fn receive_message(
        &self,
        side: Side,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Received>, SqsError> {
        if !(1..=BATCH_MAX).contains(&max) {
            return refused("InvalidParameterValue", "MaxNumberOfMessages");
        }
        if wait > WAIT_MAX {
            return refused("InvalidParameterValue", "WaitTimeSeconds");
        }
        let deadline = self.clock.monotonic() + wait;
        let mut first = Some(self.throttle(side, Action::ReceiveMessage)?);
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = first.take().unwrap_or_else(|| self.clock.monotonic());
            let (taken, next) = {
                let mut queue = self.queue();
                queue.settle_time(now, self.options.retention);
                let taken = queue.take(side, max, now, &self.options);
                (taken, queue.shelf(side).next_visible())
            };
            if !taken.is_empty() || now >= deadline {
                let bytes = taken.iter().map(|message| message.entry.payload()).sum();
                self.meter.count(Action::ReceiveMessage, bytes);
                return Ok(taken);
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            tokio::select! {
                biased;
                () = changed => {}
                () = self.clock.sleep(until.saturating_sub(now)) => {}
            }
        }
    }

    pub fn delete_message(&self, side: Side, receipt: &str) -> Result<(), SqsError> {
        let (mut queue, _) = self.admit(side, Action::DeleteMessage, 0)?;
        let shelf = queue.shelf(side);
        let delivery = held(shelf, receipt)?;
        shelf.remove(delivery);
        drop(queue);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Zero makes the message visible at once.
    pub fn change_message_visibility(
        &self,
        side: Side,
        receipt: &str,
        visibility: Duration,
    ) -> Result<(), SqsError> {
        let (mut queue, now) = self.admit(side, Action::ChangeMessageVisibility, 0)?;
        if visibility > VISIBILITY_MAX {
            return refused("InvalidParameterValue", "VisibilityTimeout");
        }
        let shelf = queue.shelf(side);
        let number = held(shelf, receipt)?;
        let received = shelf.received(number).unwrap_or(now);
        if now + visibility > received + VISIBILITY_MAX {
            return refused(
                "InvalidParameterValue",
                "total visibility beyond 12 h from the receive",
            );
        }
        shelf.extend(number, now, visibility);
        drop(queue);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Approximate numbers of messages, which are exact here.
    pub fn get_queue_attributes(&self, side: Side) -> Result<Depth, SqsError> {
        let (mut queue, _) = self.admit(side, Action::GetQueueAttributes, 0)?;
        Ok(depth(queue.shelf(side)))
    }

    /// As the attributes, without a request: for audits.
    pub fn peek(&self, side: Side) -> Depth {
        let mut queue = self.queue();
        queue.settle_time(self.clock.monotonic(), self.options.retention);
        depth(queue.shelf(side))
    }

    /// Dedup ids of all messages, in order of sending: for audits.
    pub fn peek_dedup_ids(&self, side: Side) -> Vec<String> {
        self.queue().shelf(side).dedup_ids()
    }

    /// Counts the request and brings the queue up to now.
    fn admit(
        &self,
        side: Side,
        action: Action,
        bytes: usize,
    ) -> Result<(MutexGuard<'_, Queue>, Duration), SqsError> {
        let now = self.throttle(side, action)?;
        self.meter.count(action, bytes);
        let mut queue = self.queue();
        queue.settle_time(now, self.options.retention);
        Ok((queue, now))
    }

    fn throttle(&self, side: Side, action: Action) -> Result<Duration, SqsError> {
        let now = self.clock.monotonic();
        if let Some(rate) = self.options.requests_per_s {
            let mut queue = self.queue();
            let bucket = queue.buckets.entry((side, action));
            if !bucket.or_insert_with(|| Bucket::new(rate, now)).admit(now) {
                return Err(SqsError::RequestThrottled);
            }
        }
        Ok(now)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic in here is a bug of the model; the next audit would find it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn depth(shelf: &Shelf) -> Depth {
    let in_flight = shelf.in_flight() as u64;
    Depth {
        visible: shelf.len() as u64 - in_flight,
        in_flight,
        delayed: 0,
    }
}

/// The message that the receipt's delivery holds.
fn held(shelf: &Shelf, receipt: &str) -> Result<u64, SqsError> {
    let found = receipt.split_once('/').and_then(|(number, delivery)| {
        let (number, delivery) = (number.parse().ok()?, delivery.parse().ok()?);
        shelf.is_held(number, delivery).then_some(number)
    });
    found.ok_or(SqsError::ReceiptHandleIsInvalid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn entry(group: &str, number: usize) -> Entry {
        Entry {
            group: group.to_owned(),
            dedup_id: format!("{group}-{number}"),
            body: "x".to_owned(),
            reason: None,
        }
    }

    fn queue(options: SqsOptions) -> (Arc<ManualClock>, Arc<Meter>, Arc<Sqs>) {
        let (clock, meter): (Arc<ManualClock>, Arc<Meter>) = Default::default();
        let sqs = Sqs::new(clock.clone(), &meter, options);
        (clock, meter, sqs)
    }

    async fn take(sqs: &Sqs, max: usize) -> Vec<Received> {
        sqs.receive_message(Side::Live, max, Duration::ZERO)
            .await
            .unwrap()
    }

    #[test]
    fn batches_have_bounds() {
        let (_, _, sqs) = queue(SqsOptions::default());
        let check = |entries: Vec<Entry>, expected: &str| {
            let error = sqs.send_message_batch(Side::Live, entries).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        };
        check(Vec::new(), "EmptyBatchRequest");
        check((0..11).map(|n| entry("g", n)).collect(), "TooManyEntries");
        let large = |n| Entry {
            body: "x".repeat(PAYLOAD_BYTES_MAX / 2),
            ..entry("g", n)
        };
        check(
            vec![large(0), large(1), entry("g", 2)],
            "BatchRequestTooLong",
        );
        let sent = sqs.send_message_batch(Side::Live, vec![large(0), large(1)]);
        assert!(sent.unwrap().iter().all(Result::is_ok));
        let odd = Entry {
            body: "\u{1}".to_owned(),
            ..entry("g", 3)
        };
        let sent = sqs.send_message_batch(Side::Live, vec![odd]).unwrap();
        assert!(sent[0].is_err());
    }

    #[tokio::test]
    async fn each_action_has_its_requests_a_second() {
        let (clock, meter, sqs) = queue(SqsOptions {
            requests_per_s: Some(3.0),
            ..SqsOptions::default()
        });
        let send = |n| sqs.send_message_batch(Side::Live, vec![entry("g", n)]);
        assert_eq!((0..5).filter(|n| send(*n).is_ok()).count(), 3);
        assert_eq!(send(9), Err(SqsError::RequestThrottled));
        assert_eq!(take(&sqs, 1).await.len(), 1);
        clock.advance(SECOND);
        assert!(send(3).is_ok());
        assert_eq!(meter.read().requests(Action::SendMessageBatch), 4);
    }

    #[tokio::test]
    async fn no_more_are_in_flight_than_the_quota_says() {
        let (_, _, sqs) = queue(SqsOptions {
            in_flight_max: 2,
            ..SqsOptions::default()
        });
        for n in 0..4 {
            let group = format!("g{n}");
            sqs.send_message_batch(Side::Live, vec![entry(&group, n)])
                .unwrap();
        }
        let taken = take(&sqs, 10).await;
        assert_eq!(taken.len(), 2);
        assert!(take(&sqs, 10).await.is_empty());
        sqs.delete_message(Side::Live, &taken[0].receipt).unwrap();
        assert_eq!(take(&sqs, 10).await.len(), 1);
    }

    #[tokio::test]
    async fn groups_behind_the_look_ahead_wait() {
        let (_, _, sqs) = queue(SqsOptions {
            look_ahead: 3,
            ..SqsOptions::default()
        });
        for n in 0..4 {
            sqs.send_message_batch(Side::Live, vec![entry("long", n)])
                .unwrap();
        }
        sqs.send_message_batch(Side::Live, vec![entry("behind", 0)])
            .unwrap();
        let first = take(&sqs, 1).await.remove(0);
        assert_eq!(first.entry.group, "long");
        assert!(
            take(&sqs, 1).await.is_empty(),
            "the group behind is not seen"
        );
        sqs.delete_message(Side::Live, &first.receipt).unwrap();
        let second = take(&sqs, 1).await.remove(0);
        sqs.delete_message(Side::Live, &second.receipt).unwrap();
        let third = take(&sqs, 1).await.remove(0);
        assert_eq!(third.entry.group, "long");
        assert_eq!(take(&sqs, 1).await.remove(0).entry.group, "behind");
    }

    #[tokio::test]
    async fn what_is_older_than_the_retention_is_gone() {
        let (clock, _, sqs) = queue(SqsOptions::default());
        sqs.send_message_batch(Side::Live, vec![entry("g", 0)])
            .unwrap();
        clock.advance(sqs.options().retention + SECOND);
        assert!(take(&sqs, 1).await.is_empty());
        assert_eq!(sqs.peek(Side::Live).total(), 0);
    }

    #[tokio::test]
    async fn a_hundred_thousand_messages_of_many_groups_pass() {
        let (_, _, sqs) = queue(SqsOptions::default());
        for batch in 0..10_000_usize {
            let group = |n: usize| format!("g{}", (batch + n) % 1_000);
            let entries = (0..10).map(|n| entry(&group(n), batch));
            sqs.send_message_batch(Side::Live, entries.collect())
                .unwrap();
        }
        let mut taken = 0;
        loop {
            let batch = take(&sqs, 10).await;
            if batch.is_empty() {
                break;
            }
            taken += batch.len();
            for message in batch {
                sqs.delete_message(Side::Live, &message.receipt).unwrap();
            }
        }
        assert_eq!(taken, 100_000);
    }
}
