//! Keeps a lease while its job is worked on.
//!
//! Renewals are asked for on a fixed schedule, every half visibility from the
//! receive, so that a slow renewal does not shift the next. The deadline counts
//! from the moment a renewal was asked for, on the monotonic clock. A failed
//! renewal is tried again until the lease counts as lost; then the job's token
//! is cancelled, while the lease is still ours by a margin.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trawler_core::QueueName;
use trawler_core::drain::{lease_margin, renew_every};
use trawler_core::ports::{Clock, Lease, Metric, Metrics, Queue, QueueError, VISIBILITY_MAX};

use crate::documents::chain;
use crate::hold::Hold;

/// Left of the queue's 12 h when a job is handed back: ample for a checkpoint.
const LEAVE_BEFORE: Duration = Duration::from_secs(5 * 60);

/// A failed renewal is tried again after so much of the visibility.
const RETRY_SHARE: u32 = 60;

pub(crate) struct Keeper {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) name: QueueName,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) hold: Arc<Hold>,
    /// When the receive was asked for, on the monotonic clock.
    pub(crate) received: Duration,
}

enum Renewal {
    Kept,
    Lost,
    Stopped,
}

impl Keeper {
    /// Runs until `stop`, or until the lease is lost. A renewal that is under
    /// way is always awaited.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let visibility = self.queue.visibility();
        let leave_at = self.received + VISIBILITY_MAX.saturating_sub(LEAVE_BEFORE);
        let mut due = self.received;
        loop {
            due = (due + renew_every(visibility)).min(leave_at);
            if !self.wait_until(due, &stop).await {
                return;
            }
            if due >= leave_at {
                tracing::info!(job = %self.lease.dedup_id, "the queue takes {} back soon: handing it back", self.lease.dedup_id);
                self.hold.too_long();
                return;
            }
            match self.renew(visibility, &stop).await {
                Renewal::Kept => {}
                Renewal::Stopped => return,
                Renewal::Lost => {
                    self.lose();
                    return;
                }
            }
        }
    }

    async fn renew(&self, visibility: Duration, stop: &CancellationToken) -> Renewal {
        let mut told = false;
        loop {
            let asked = self.clock.monotonic();
            let end_of_all = (self.received + VISIBILITY_MAX).saturating_sub(asked);
            let extend = self.queue.extend(&self.lease, visibility.min(end_of_all));
            let mut extend = std::pin::pin!(extend);
            let answer = tokio::select! {
                biased;
                answer = &mut extend => answer,
                () = self.clock.sleep(self.hold.left()) => {
                    // No answer in time. The work stops now; the renewal is
                    // awaited, since it must not be cut off half-way.
                    self.lose();
                    let _ = extend.await;
                    return Renewal::Stopped;
                }
            };
            match answer {
                Ok(()) => {
                    self.hold.renewed(asked, visibility.min(end_of_all));
                    self.metrics
                        .record(Metric::LeaseRenewed { queue: self.name });
                    return Renewal::Kept;
                }
                Err(QueueError::LeaseLost { .. }) => return Renewal::Lost,
                Err(error @ (QueueError::Refused { .. } | QueueError::Unavailable { .. })) => {
                    let left = self.hold.left();
                    if left.is_zero() {
                        return Renewal::Lost;
                    }
                    if !told {
                        self.tell(&error);
                    }
                    told = true;
                    if !error.is_transient() && left <= lease_margin(visibility) {
                        // Nobody else has it yet: it goes back untried instead
                        // of being lost, which would count as a crash.
                        self.hold.too_long();
                        return Renewal::Stopped;
                    }
                    let wait = (visibility / RETRY_SHARE).min(left);
                    if !self.wait_until(self.clock.monotonic() + wait, stop).await {
                        return Renewal::Stopped;
                    }
                    if self.hold.left().is_zero() {
                        return Renewal::Lost;
                    }
                }
            }
        }
    }

    /// What a person has to mend is told aloud.
    fn tell(&self, error: &QueueError) {
        let (job, reason) = (&self.lease.dedup_id, chain(error));
        if error.is_transient() {
            tracing::debug!(%job, %reason, "renewal of {job} failed");
        } else {
            tracing::error!(%job, %reason, "the lease on {job} cannot be renewed: {reason}");
        }
    }

    fn lose(&self) {
        if self.hold.lose() {
            tracing::warn!(job = %self.lease.dedup_id, "the lease on {} is lost: its work stops", self.lease.dedup_id);
            self.metrics.record(Metric::LeaseLost { queue: self.name });
        }
    }

    /// False when stopped first.
    async fn wait_until(&self, due: Duration, stop: &CancellationToken) -> bool {
        let wait = due.saturating_sub(self.clock.monotonic());
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = self.clock.sleep(wait) => true,
        }
    }
}
