//! A FIFO queue on SQLite with the semantics of SQS FIFO.
//!
//! What is decided in SQL is in `sql`, what becomes of the leases of a killed
//! process in `holders`; here is the waiting. Time comes from the clock alone.
//! Visibility is kept in wall time, because processes share it: when the wall
//! clock is set back, leases end that much later. Messages have no retention:
//! they stay until they are acked.

mod holders;
mod sql;

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};
use trawler_core::QueueName;
use trawler_core::ports::{
    Clock, Depth, Lease, Outgoing, Queue, QueueError, SendError, VISIBILITY_MAX,
    message_bounds as bounds,
};

use crate::database::{Database, in_transaction};
pub(crate) use holders::Holders;
use sql::{Delivery, Shelf};

/// A long poll looks at the file this often for what other processes did; one
/// look costs some 20 microseconds, and work in this process wakes it at once.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Most deliveries before a message goes to the backstop; the bound of SQS.
const RECEIVE_COUNT_MAX: u32 = 1000;

/// What SQS calls the attributes of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOptions {
    /// How long a received message is its receiver's: 1 ms to 12 h.
    pub visibility: Duration,
    /// Deliveries after which a message goes to the backstop dead-letter queue
    /// instead of being delivered again: 1 to 1000.
    pub receive_count_max: u32,
}

impl QueueOptions {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.visibility < Duration::from_millis(1) || self.visibility > VISIBILITY_MAX {
            Err(format!(
                "visibility {:?} is outside the bounds 1 ms to {VISIBILITY_MAX:?}",
                self.visibility
            ))
        } else if !(1..=RECEIVE_COUNT_MAX).contains(&self.receive_count_max) {
            Err(format!(
                "receive_count_max {} is outside the bounds 1 to {RECEIVE_COUNT_MAX}",
                self.receive_count_max
            ))
        } else {
            Ok(())
        }
    }
}

/// One queue of one machine. Cheap to clone.
///
/// Dropping the future of `receive` midway gives back what it took: if the
/// transaction is under way, as soon as it ends; if it has ended, with the
/// next `receive` of this queue in this process. In both cases the delivery is
/// not counted. What a process held that was killed is visible again within a
/// second of anybody's receive, as a delivery that counts.
#[derive(Clone)]
pub struct LocalQueue {
    name: QueueName,
    options: QueueOptions,
    shelf: Shelf,
    dead: Shelf,
    database: Database,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
    returns: Returns,
    holders: Holders,
}

/// Deliveries that nobody got, waiting to be undone.
type Returns = Arc<Mutex<Vec<Delivery>>>;

/// Leases on their way from the transaction to the caller. Dropped on the way,
/// it leaves their deliveries to be undone.
struct Parcel {
    leases: Vec<Lease>,
    returns: Returns,
}

impl Parcel {
    fn unpack(mut self) -> Vec<Lease> {
        std::mem::take(&mut self.leases)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if !self.leases.is_empty() {
            let unseen = self.leases.iter().filter_map(Delivery::of);
            lock(&self.returns).extend(unseen);
        }
    }
}

impl LocalQueue {
    pub(crate) fn new(
        name: QueueName,
        options: QueueOptions,
        database: Database,
        clock: Arc<dyn Clock>,
        wake: Arc<Notify>,
        holders: Holders,
    ) -> Self {
        Self {
            name,
            options,
            shelf: Shelf::of(name),
            dead: Shelf::dead_of(name),
            database,
            clock,
            wake,
            returns: Returns::default(),
            holders,
        }
    }

    pub fn name(&self) -> QueueName {
        self.name
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    /// Takes what there is now, in one transaction.
    async fn take(&self, verb: &'static str, slots: usize) -> Result<Vec<Lease>, QueueError> {
        let unavailable = |source| unavailable(verb, source);
        if lock(&self.returns).is_empty() {
            let (shelf, now) = (self.shelf, self.now_ms());
            let visible = self
                .database
                .read(move |connection| sql::any_visible(connection, shelf, now))
                .await
                .map_err(unavailable)?;
            if !visible {
                return Ok(Vec::new());
            }
        }
        let holder = self.holder(verb).await?;
        let (hand_over, taken) = oneshot::channel();
        let order = sql::Receive {
            shelf: self.shelf,
            dead: Some((self.dead, self.options.receive_count_max)),
            slots,
            now: self.now_ms(),
            visibility: millis(self.options.visibility),
            holder,
        };
        let returns = Arc::clone(&self.returns);
        // The leases travel beside the result, so that the closure learns
        // whether anybody is still there to take them.
        let working = self.database.with_writer(move |connection| {
            give_back(connection, order.shelf, &returns)?;
            let leases = in_transaction(connection, |tx| sql::receive(tx, &order))?;
            let parcel = Parcel {
                leases,
                returns: Arc::clone(&returns),
            };
            if let Err(parcel) = hand_over.send(parcel) {
                drop(parcel);
                give_back(connection, order.shelf, &returns)?;
            }
            Ok(())
        });
        working.await.map_err(unavailable)?;
        // The sender has sent whenever the work has ended without an error.
        Ok(taken.await.map(Parcel::unpack).unwrap_or_default())
    }

    async fn holder(&self, verb: &'static str) -> Result<Arc<str>, QueueError> {
        let mine = self.holders.mine().await;
        mine.map_err(|source| unavailable(verb, source))
    }

    /// Brings back what dead processes of this machine held.
    async fn reclaim(&self, verb: &'static str) -> Result<(), QueueError> {
        let now = self.clock.monotonic();
        let freed = self.holders.reclaim(&self.database, now).await;
        if freed.map_err(|source| unavailable(verb, source))? {
            self.wake.notify_waiters();
        }
        Ok(())
    }

    /// Runs one settling statement and says whether the lease was still good.
    async fn settle<F>(&self, verb: &'static str, lease: &Lease, work: F) -> Result<(), QueueError>
    where
        F: FnOnce(&rusqlite::Transaction<'_>, Delivery, i64) -> rusqlite::Result<sql::Settled>
            + Send
            + 'static,
    {
        let lost = || QueueError::LeaseLost {
            verb,
            message_id: lease.message_id.clone(),
        };
        let delivery = Delivery::of(lease).ok_or_else(lost)?;
        let now = self.now_ms();
        let settled = self
            .database
            .write(move |tx| work(tx, delivery, now))
            .await
            .map_err(|source| unavailable(verb, source))?;
        match settled {
            sql::Settled::Done => {
                self.wake.notify_waiters();
                Ok(())
            }
            sql::Settled::Lost => Err(lost()),
            sql::Settled::TooLong => Err(QueueError::Refused {
                verb,
                reason: format!(
                    "the lease on message {} would end more than {VISIBILITY_MAX:?} after its receive; release it before",
                    lease.message_id
                ),
            }),
        }
    }
}

#[async_trait]
impl Queue for LocalQueue {
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError> {
        const VERB: &str = "send";
        bounds::check_batch(batch).map_err(|reason| refused(VERB, reason))?;
        let mut accepted = Vec::with_capacity(batch.len());
        let mut failed = Vec::new();
        for (index, message) in batch.iter().enumerate() {
            match bounds::check_message(message) {
                Ok(()) => accepted.push(message.clone()),
                Err(reason) => failed.push(SendError {
                    index,
                    dedup_id: message.dedup_id.clone(),
                    source: QueueError::Refused { verb: VERB, reason },
                }),
            }
        }
        if !accepted.is_empty() {
            let (shelf, now) = (self.shelf, self.now_ms());
            self.database
                .write(move |tx| sql::send(tx, shelf, &accepted, now))
                .await
                .map_err(|source| unavailable(VERB, source))?;
            self.wake.notify_waiters();
        }
        Ok(failed)
    }

    async fn receive(&self, slots: usize, wait: Duration) -> Result<Vec<Lease>, QueueError> {
        const VERB: &str = "receive";
        bounds::check_receive(slots, wait).map_err(|reason| refused(VERB, reason))?;
        let deadline = self.clock.monotonic().saturating_add(wait);
        loop {
            let mut woken = pin!(self.wake.notified());
            // From here on a send is heard, also one during the look below.
            woken.as_mut().enable();
            self.reclaim(VERB).await?;
            let leases = self.take(VERB, slots).await?;
            let left = deadline.saturating_sub(self.clock.monotonic());
            if !leases.is_empty() || left.is_zero() {
                return Ok(leases);
            }
            tokio::select! {
                () = woken => {}
                () = self.clock.sleep(left.min(POLL_EVERY)) => {}
            }
        }
    }

    async fn extend(&self, lease: &Lease, visibility: Duration) -> Result<(), QueueError> {
        const VERB: &str = "extend";
        bounds::check_extend(visibility).map_err(|reason| refused(VERB, reason))?;
        let shelf = self.shelf;
        self.settle(VERB, lease, move |tx, delivery, now| {
            sql::extend(tx, shelf, delivery, now, millis(visibility))
        })
        .await
    }

    async fn ack(&self, lease: Lease) -> Result<(), QueueError> {
        let shelf = self.shelf;
        self.settle("ack", &lease, move |tx, delivery, now| {
            sql::ack(tx, shelf, delivery, now)
        })
        .await
    }

    async fn release(&self, lease: Lease, after: Duration) -> Result<(), QueueError> {
        const VERB: &str = "release";
        bounds::check_release(after).map_err(|reason| refused(VERB, reason))?;
        let shelf = self.shelf;
        self.settle(VERB, &lease, move |tx, delivery, now| {
            sql::release(tx, shelf, delivery, now, millis(after))
        })
        .await
    }

    async fn bury(&self, lease: Lease, reason: &str) -> Result<(), QueueError> {
        let (shelf, dead) = (self.shelf, self.dead);
        let reason = bounds::clip_reason(reason);
        self.settle("bury", &lease, move |tx, delivery, now| {
            sql::bury(tx, shelf, dead, delivery, now, &reason)
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let (shelf, now) = (self.shelf, self.now_ms());
        self.database
            .read(move |connection| sql::depth(connection, shelf, now))
            .await
            .map_err(|source| unavailable("depth", source))
    }

    async fn receive_dead(&self, slots: usize) -> Result<Vec<Lease>, QueueError> {
        const VERB: &str = "receive_dead";
        bounds::check_receive(slots, Duration::ZERO).map_err(|reason| refused(VERB, reason))?;
        let order = sql::Receive {
            shelf: self.dead,
            dead: None,
            slots,
            now: self.now_ms(),
            visibility: millis(self.options.visibility),
            holder: self.holder(VERB).await?,
        };
        self.database
            .write(move |tx| sql::receive(tx, &order))
            .await
            .map_err(|source| unavailable(VERB, source))
    }

    async fn ack_dead(&self, lease: Lease) -> Result<(), QueueError> {
        let dead = self.dead;
        self.settle("ack_dead", &lease, move |tx, delivery, now| {
            sql::ack(tx, dead, delivery, now)
        })
        .await
    }

    fn visibility(&self) -> Duration {
        self.options.visibility
    }
}

impl std::fmt::Debug for LocalQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalQueue")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Undoes the deliveries that nobody got; what fails is left for the next time.
fn give_back(
    connection: &mut rusqlite::Connection,
    shelf: Shelf,
    returns: &Returns,
) -> rusqlite::Result<()> {
    let unseen = std::mem::take(&mut *lock(returns));
    if unseen.is_empty() {
        return Ok(());
    }
    in_transaction(connection, |tx| sql::undo(tx, shelf, &unseen))
        .inspect_err(|_| lock(returns).extend(unseen))
}

fn lock(returns: &Returns) -> std::sync::MutexGuard<'_, Vec<Delivery>> {
    // A list of numbers is whole whatever panicked beside it.
    returns.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(span: Duration) -> i64 {
    // Bounded by 12 h before it gets here.
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn refused(verb: &'static str, reason: String) -> QueueError {
    QueueError::Refused { verb, reason }
}

fn unavailable(
    verb: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> QueueError {
    QueueError::Unavailable {
        verb,
        source: Box::new(source),
    }
}
