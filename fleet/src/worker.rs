//! The consumer loop: receives one message for a free slot, runs deliveries
//! side by side, and leaves when told to.
//!
//! One long poll is out at a time and is never cut off: what it took would stay
//! locked. What it brings after the drain began is released untouched.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use trawler_core::drain::HAND_BACK_WITHIN;
use trawler_core::ports::{Lease, Metric, RECEIVE_WAIT_MAX};
use trawler_core::verdict::RetryPolicy;

use crate::backoff::Backoff;
use crate::delivery::Settled;
use crate::{Documents, Drain, Handler, Jobs, Pauses, Ports, ProgressBoard, Slots};

/// Longest wait between two tries of a receive that fails.
const RECEIVE_BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The same after jobs that could not be taken, for want of a right to State
/// for example: every receive counts towards the queue's bound of receives,
/// beyond which it gives the message up.
const TAKE_BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Jobs at once; at least 1.
    pub slots: usize,
    /// Longest poll; at most 20 s, and at most a quarter of the visibility,
    /// since a lease counts from the moment it was asked for.
    pub receive_wait: Duration,
    pub retry: RetryPolicy,
    /// How long work that was told to stop may take to return before it is
    /// dropped; below the 5 s of the hand-back, which follows.
    pub grace: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            slots: 1,
            receive_wait: RECEIVE_WAIT_MAX,
            retry: RetryPolicy::default(),
            // A second is left for the ledger and the queue.
            grace: Duration::from_secs(4),
        }
    }
}

/// What became of the deliveries of one `run`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerReport {
    pub done: u64,
    pub superseded: u64,
    pub handed_back: u64,
    pub retried: u64,
    pub parked: u64,
    pub buried: u64,
    /// Messages of jobs that were settled or parked already.
    pub stale: u64,
    /// Messages that name no job; kept as dead letters.
    pub unknown: u64,
    /// Deliveries that ended without a word: lease lost, or the ledger or the
    /// queue did not answer. They come again.
    pub lost: u64,
}

impl WorkerReport {
    fn count(&mut self, settled: Result<Settled, JoinError>) {
        let place = match settled {
            Ok(Settled::Done) => &mut self.done,
            Ok(Settled::Superseded) => &mut self.superseded,
            Ok(Settled::HandedBack) => &mut self.handed_back,
            Ok(Settled::Retried) => &mut self.retried,
            Ok(Settled::Parked) => &mut self.parked,
            Ok(Settled::Buried) => &mut self.buried,
            Ok(Settled::Stale) => &mut self.stale,
            Ok(Settled::Unknown) => &mut self.unknown,
            Ok(Settled::Lost) => &mut self.lost,
            Err(error) => {
                tracing::error!(%error, "a delivery died outside its handler; its message comes again");
                &mut self.lost
            }
        };
        *place += 1;
    }
}

/// A worker of one queue.
pub struct Worker {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) jobs: Jobs,
    pub(crate) documents: Documents,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) options: WorkerOptions,
    pub(crate) pauses: Pauses,
    pub(crate) drain: Drain,
    pub(crate) board: ProgressBoard,
    pub(crate) slots: Slots,
    pub(crate) takes: Backoff,
}

impl Worker {
    pub fn new(
        ports: &Ports,
        handler: Arc<dyn Handler>,
        mut options: WorkerOptions,
        pauses: Pauses,
        drain: Drain,
    ) -> Self {
        options.slots = options.slots.max(1);
        options.grace = options.grace.min(HAND_BACK_WITHIN);
        let jobs = ports.jobs();
        Self {
            shared: Arc::new(Shared {
                documents: jobs.documents.clone(),
                jobs,
                ports: ports.clone(),
                handler,
                options,
                pauses,
                drain,
                board: ProgressBoard::new(),
                slots: Slots::new(Arc::clone(&ports.clock)),
                takes: Backoff::up_to(TAKE_BACKOFF_MAX),
            }),
        }
    }

    /// Shows progress on a board that somebody else watches.
    pub fn with_board(self, board: ProgressBoard) -> Self {
        let Some(shared) = Arc::into_inner(self.shared) else {
            unreachable!("a worker that does not run is not shared")
        };
        Self {
            shared: Arc::new(Shared { board, ..shared }),
        }
    }

    /// Counts its jobs in hand where somebody else looks.
    pub fn with_slots(self, slots: Slots) -> Self {
        let Some(shared) = Arc::into_inner(self.shared) else {
            unreachable!("a worker that does not run is not shared")
        };
        Self {
            shared: Arc::new(Shared { slots, ..shared }),
        }
    }

    /// Works until the drain is requested and everything in hand is settled or
    /// handed back.
    pub async fn run(&self) -> WorkerReport {
        let shared = &self.shared;
        let queue = shared.handler.queue();
        let mut report = WorkerReport::default();
        let mut deliveries: JoinSet<Settled> = JoinSet::new();
        let receives = Backoff::up_to(RECEIVE_BACKOFF_MAX);
        while self.free_slot(&mut deliveries, &mut report).await {
            let wait = receives.wait().max(shared.takes.wait());
            tokio::select! {
                biased;
                () = shared.ports.clock.sleep(wait), if !wait.is_zero() => {}
                () = shared.drain.wait(), if !wait.is_zero() => break,
                else => {}
            }
            let asked = shared.ports.clock.monotonic();
            let received = shared.ports.queue(queue).receive(1, self.receive_wait());
            match received.await {
                Ok(leases) => {
                    receives.worked();
                    for lease in leases {
                        self.start(&mut deliveries, lease, asked);
                    }
                }
                Err(error) => {
                    tracing::warn!(%queue, %error, "receive from the {queue} queue failed");
                    receives.failed();
                    // Who cannot ask for work is not without.
                    shared.slots.still_waiting();
                }
            }
        }
        while let Some(settled) = deliveries.join_next().await {
            report.count(settled);
        }
        shared.ports.metrics.record(Metric::Drained { queue });
        tracing::info!(%queue, ?report, "the {queue} worker has left");
        report
    }

    /// Waits for a free slot; false when the worker has to leave.
    async fn free_slot(
        &self,
        deliveries: &mut JoinSet<Settled>,
        report: &mut WorkerReport,
    ) -> bool {
        while let Some(settled) = deliveries.try_join_next() {
            report.count(settled);
        }
        while deliveries.len() >= self.shared.options.slots {
            tokio::select! {
                biased;
                settled = deliveries.join_next() => {
                    if let Some(settled) = settled {
                        report.count(settled);
                    }
                }
                () = self.shared.drain.wait() => return false,
            }
        }
        !self.shared.drain.requested()
    }

    fn start(&self, deliveries: &mut JoinSet<Settled>, lease: Lease, asked: Duration) {
        let shared = Arc::clone(&self.shared);
        let slot = shared.slots.take();
        deliveries.spawn(async move {
            let _slot = slot;
            shared.deliver(lease, asked).await
        });
    }

    fn receive_wait(&self) -> Duration {
        let queue = self.shared.ports.queue(self.shared.handler.queue());
        self.shared
            .options
            .receive_wait
            .min(RECEIVE_WAIT_MAX)
            .min(queue.visibility() / 4)
    }
}
