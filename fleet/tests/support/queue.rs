//! A FIFO queue in memory, with leases by the test's clock.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use trawler_core::ports::{BATCH_MAX, Clock, Depth, Lease, Outgoing, Queue, QueueError, SendError};

use super::stores::take_one;
use super::{Crash, TestClock};

const DEDUP_WINDOW: Duration = Duration::from_secs(5 * 60);

struct Message {
    id: u64,
    outgoing: Outgoing,
    visible_at: Duration,
    leased: bool,
    receives: u32,
    buried: Option<String>,
}

#[derive(Default)]
struct Inner {
    messages: Vec<Message>,
    dead: Vec<Message>,
    seen: HashMap<String, Duration>,
    ids: u64,
}

type OnAck = Box<dyn Fn(&Lease) + Send + Sync>;

pub struct MemQueue {
    inner: Mutex<Inner>,
    clock: Arc<TestClock>,
    crash: Arc<Crash>,
    visibility: Duration,
    news: Notify,
    /// So many of the next renewals get no answer.
    pub failing_extends: AtomicU32,
    /// So many of the next renewals are refused.
    pub refused_extends: AtomicU32,
    /// So many of the next looks into the dead-letter queue are refused.
    pub foreign_dead: AtomicU32,
    /// When renewals were asked for, on the monotonic clock.
    pub extends: Mutex<Vec<Duration>>,
    /// Every receive that was started, and its wait.
    pub receives: Mutex<Vec<Duration>>,
    /// Dedup ids that a batch does not accept, each once.
    pub refuse_once: Mutex<HashSet<String>>,
    /// Dedup ids that are never accepted.
    pub refuse_always: Mutex<HashSet<String>>,
    /// Dedup ids of all messages that were accepted.
    pub sent: Mutex<Vec<String>>,
    /// Asked just before a message leaves.
    pub on_ack: Mutex<Option<OnAck>>,
}

impl MemQueue {
    pub fn new(clock: &Arc<TestClock>, crash: &Arc<Crash>, visibility: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            clock: clock.clone(),
            crash: crash.clone(),
            visibility,
            news: Notify::new(),
            failing_extends: AtomicU32::new(0),
            refused_extends: AtomicU32::new(0),
            foreign_dead: AtomicU32::new(0),
            extends: Mutex::default(),
            receives: Mutex::default(),
            refuse_once: Mutex::default(),
            refuse_always: Mutex::default(),
            sent: Mutex::default(),
            on_ack: Mutex::default(),
        }
    }

    /// Messages that are in the queue, in flight or not.
    pub fn len(&self) -> usize {
        self.inner.lock().unwrap().messages.len()
    }

    /// Messages that a receive could get now.
    pub fn visible(&self) -> usize {
        let now = self.clock.monotonic();
        let inner = self.inner.lock().unwrap();
        let free = inner.messages.iter().filter(|m| m.visible_at <= now);
        free.count()
    }

    pub fn put(&self, group: &str, dedup_id: &str, body: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner.accept(
            Outgoing {
                group: group.to_owned(),
                dedup_id: dedup_id.to_owned(),
                body: body.to_owned(),
            },
            self.clock.monotonic(),
        );
        self.news.notify_waiters();
    }

    /// Moves every message to the backstop dead-letter queue, as the receive
    /// bound would.
    pub fn exhaust(&self) {
        let mut inner = self.inner.lock().unwrap();
        let all = std::mem::take(&mut inner.messages);
        inner.dead.extend(all.into_iter().map(|message| Message {
            visible_at: Duration::ZERO,
            ..message
        }));
    }

    /// Forgets every message, as no queue should.
    pub fn lose_all(&self) {
        self.inner.lock().unwrap().messages.clear();
    }

    fn dead(&self, verb: &'static str) -> Result<(), QueueError> {
        if self.crash.write() {
            return Ok(());
        }
        Err(QueueError::Refused {
            verb,
            reason: "the process is dead".to_owned(),
        })
    }

    fn try_receive(&self, slots: usize) -> Vec<Lease> {
        let now = self.clock.monotonic();
        let mut inner = self.inner.lock().unwrap();
        for message in &mut inner.messages {
            message.leased &= message.visible_at > now;
        }
        let mut locked: HashSet<String> = HashSet::new();
        let mut leases = Vec::new();
        for message in &inner.messages {
            if message.visible_at > now {
                locked.insert(message.outgoing.group.clone());
            }
        }
        for message in &mut inner.messages {
            if leases.len() == slots || locked.contains(&message.outgoing.group) {
                continue;
            }
            message.leased = true;
            message.visible_at = now + self.visibility;
            message.receives += 1;
            leases.push(lease_of(message));
        }
        leases
    }

    fn with_leased<T>(
        &self,
        verb: &'static str,
        lease: &Lease,
        then: impl FnOnce(&mut Inner, usize, Duration) -> T,
    ) -> Result<T, QueueError> {
        let now = self.clock.monotonic();
        let mut inner = self.inner.lock().unwrap();
        let at = inner.messages.iter().position(|message| {
            message.leased && message.visible_at > now && receipt_of(message) == lease.receipt
        });
        match at {
            Some(at) => Ok(then(&mut inner, at, now)),
            None => Err(QueueError::LeaseLost {
                verb,
                message_id: lease.message_id.clone(),
            }),
        }
    }
}

impl Inner {
    fn accept(&mut self, outgoing: Outgoing, now: Duration) {
        let repeated = self
            .seen
            .get(&outgoing.dedup_id)
            .is_some_and(|at| now.saturating_sub(*at) < DEDUP_WINDOW);
        if repeated {
            return;
        }
        self.seen.insert(outgoing.dedup_id.clone(), now);
        self.ids += 1;
        self.messages.push(Message {
            id: self.ids,
            outgoing,
            visible_at: Duration::ZERO,
            leased: false,
            receives: 0,
            buried: None,
        });
    }
}

fn receipt_of(message: &Message) -> String {
    format!("{}/{}", message.id, message.receives)
}

fn lease_of(message: &Message) -> Lease {
    Lease {
        message_id: format!("m{}", message.id),
        group: message.outgoing.group.clone(),
        dedup_id: message.outgoing.dedup_id.clone(),
        body: message.outgoing.body.clone(),
        receive_count: message.receives,
        receipt: receipt_of(message),
        buried: message.buried.clone(),
    }
}

#[async_trait]
impl Queue for MemQueue {
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError> {
        self.dead("send")?;
        assert!((1..=BATCH_MAX).contains(&batch.len()));
        let now = self.clock.monotonic();
        let mut failed = Vec::new();
        for (index, outgoing) in batch.iter().enumerate() {
            let never = self.refuse_always.lock().unwrap();
            let never = never.contains(&outgoing.dedup_id);
            if never || self.refuse_once.lock().unwrap().remove(&outgoing.dedup_id) {
                failed.push(SendError {
                    index,
                    dedup_id: outgoing.dedup_id.clone(),
                    source: QueueError::Refused {
                        verb: "send",
                        reason: "this batch, this once".to_owned(),
                    },
                });
                continue;
            }
            self.sent.lock().unwrap().push(outgoing.dedup_id.clone());
            self.inner.lock().unwrap().accept(outgoing.clone(), now);
        }
        self.news.notify_waiters();
        Ok(failed)
    }

    async fn receive(&self, slots: usize, wait: Duration) -> Result<Vec<Lease>, QueueError> {
        self.receives.lock().unwrap().push(wait);
        let give_up = self.clock.monotonic() + wait;
        loop {
            let news = self.news.notified();
            let leases = self.try_receive(slots);
            let left = give_up.saturating_sub(self.clock.monotonic());
            if !leases.is_empty() || left.is_zero() {
                return Ok(leases);
            }
            // Visibility may end while waiting, so look again now and then.
            let nap = left.min(Duration::from_millis(20));
            tokio::select! {
                () = news => {}
                () = self.clock.sleep(nap) => {}
            }
        }
    }

    async fn extend(&self, lease: &Lease, visibility: Duration) -> Result<(), QueueError> {
        self.extends.lock().unwrap().push(self.clock.monotonic());
        if take_one(&self.refused_extends) {
            return Err(QueueError::Refused {
                verb: "extend",
                reason: "not allowed".to_owned(),
            });
        }
        if take_one(&self.failing_extends) {
            return Err(QueueError::Unavailable {
                verb: "extend",
                source: "no answer".into(),
            });
        }
        self.with_leased("extend", lease, |inner, at, now| {
            inner.messages[at].visible_at = now + visibility;
        })
    }

    async fn ack(&self, lease: Lease) -> Result<(), QueueError> {
        self.dead("ack")?;
        if let Some(hook) = &*self.on_ack.lock().unwrap() {
            hook(&lease);
        }
        self.with_leased("ack", &lease, |inner, at, _| {
            inner.messages.remove(at);
        })
    }

    async fn release(&self, lease: Lease, after: Duration) -> Result<(), QueueError> {
        self.dead("release")?;
        let released = self.with_leased("release", &lease, |inner, at, now| {
            inner.messages[at].leased = false;
            inner.messages[at].visible_at = now + after;
        });
        self.news.notify_waiters();
        released
    }

    async fn bury(&self, lease: Lease, reason: &str) -> Result<(), QueueError> {
        self.dead("bury")?;
        self.with_leased("bury", &lease, |inner, at, _| {
            let mut message = inner.messages.remove(at);
            message.buried = Some(reason.to_owned());
            message.visible_at = Duration::ZERO;
            inner.dead.push(message);
        })
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let now = self.clock.monotonic();
        let inner = self.inner.lock().unwrap();
        let in_flight = inner.messages.iter().filter(|m| m.visible_at > now).count();
        Ok(Depth {
            visible: (inner.messages.len() - in_flight) as u64,
            in_flight: in_flight as u64,
            delayed: 0,
        })
    }

    async fn receive_dead(&self, slots: usize) -> Result<Vec<Lease>, QueueError> {
        if take_one(&self.foreign_dead) {
            return Err(QueueError::Refused {
                verb: "receive_dead",
                reason: "a message of another fleet is among it".to_owned(),
            });
        }
        let now = self.clock.monotonic();
        let mut inner = self.inner.lock().unwrap();
        let free = inner.dead.iter_mut().filter(|m| m.visible_at <= now);
        let leases = free.take(slots).map(|message| {
            message.visible_at = now + self.visibility;
            lease_of(message)
        });
        Ok(leases.collect())
    }

    async fn ack_dead(&self, lease: Lease) -> Result<(), QueueError> {
        self.dead("ack_dead")?;
        let mut inner = self.inner.lock().unwrap();
        inner.dead.retain(|m| receipt_of(m) != lease.receipt);
        Ok(())
    }

    fn visibility(&self) -> Duration {
        self.visibility
    }
}
