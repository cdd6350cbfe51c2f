//! Looks after this process's place in a fleet that shrinks: protects it while
//! a job is in hand, lets it go when idle, and gives it back at the end.
//!
//! What is due is decided by `trawler_core::tenure`. A call of the capacity
//! service that fails is tried again, with back-off, beside the work and never
//! in its way. The owner runs [`Tenure::keep`] beside the workers and, when
//! they have been joined, [`Tenure::depart`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use trawler_core::ports::{Capacity, CapacityError, Clock, Completion, Metric, Metrics, Notice};
use trawler_core::tenure::{Stand, TenurePolicy, stand, stands_for};

use crate::documents::chain;
use crate::{Drain, Ports, Slots};

const BACKOFF_FIRST: Duration = Duration::from_secs(1);

const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A process that nobody waits for gives its place back for so long. After it
/// the group is left one too many, which the process says when it ends.
const LEAVE_MAX: Duration = Duration::from_secs(5 * 60);

/// A machine that its group keeps, because it is to have so many at least, asks
/// so often whether that is still so: as long as the update of a stack takes, and
/// worth a cent or less.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// How long a group that was told takes to wait for its hook; it does within
/// seconds. Without completion it waits for the hook's own time-out.
const COMPLETE_MAX: Duration = Duration::from_secs(30);

/// What a process that was told to leave may spend on its place: it has 25 s
/// from the notice, most of which the last poll may have taken.
const DEPART_MAX: Duration = Duration::from_secs(3);

/// The place of one worker process.
pub struct Tenure {
    capacity: Arc<dyn Capacity>,
    clock: Arc<dyn Clock>,
    metrics: Arc<dyn Metrics>,
    policy: TenurePolicy,
    slots: Slots,
    /// It was this that asked for the drain.
    idle_exit: AtomicBool,
}

/// What the protection should be, and whether the platform knows.
struct Protection {
    wanted: Option<bool>,
    is_known: bool,
    /// When it may be asked for again, on the monotonic clock.
    retry_at: Duration,
    backoff: Duration,
}

impl Tenure {
    pub fn new(
        ports: &Ports,
        capacity: Arc<dyn Capacity>,
        policy: TenurePolicy,
        slots: Slots,
    ) -> Self {
        Self {
            capacity,
            clock: Arc::clone(&ports.clock),
            metrics: Arc::clone(&ports.metrics),
            policy,
            slots,
            idle_exit: AtomicBool::new(false),
        }
    }

    /// Protects and un-protects until the drain, which it requests itself when
    /// the process has been idle for long enough and its group lets it go.
    pub async fn keep(&self, drain: &Drain) {
        let mut changes = self.slots.watch();
        let mut protection = Protection {
            wanted: None,
            is_known: true,
            retry_at: Duration::ZERO,
            backoff: BACKOFF_FIRST,
        };
        // Until when the group keeps this machine although it is idle.
        let mut kept_until = None;
        while !drain.requested() {
            let occupancy = *changes.borrow_and_update();
            let now = self.clock.monotonic();
            match stand(occupancy, now, &self.policy) {
                Stand::Guarded => {
                    kept_until = None;
                    protection.want(true);
                }
                Stand::Free => protection.want(false),
                Stand::Unchanged => {}
                Stand::Leaving if kept_until.is_some_and(|until| now < until) => {}
                Stand::Leaving => {
                    let may_leave = self.may_leave(&mut kept_until, drain).await;
                    // A job may have come meanwhile.
                    if may_leave && *changes.borrow() == occupancy {
                        tracing::info!("idle for {:?}: leaving", self.policy.idle_exit);
                        self.idle_exit.store(true, Ordering::Relaxed);
                        drain.finish();
                        break;
                    }
                    protection.want(false);
                    continue;
                }
            }
            if protection.is_due(now) {
                tokio::select! {
                    () = self.protect(&mut protection) => {}
                    () = drain.wait() => {}
                }
                // The occupancy may have changed meanwhile.
                continue;
            }
            let wait = stands_for(occupancy, now, &self.policy);
            let retry = (!protection.is_known).then(|| protection.retry_at.saturating_sub(now));
            let ask = kept_until.filter(|until| *until > now);
            let ask = ask.map(|until| until - now);
            let wait = wait.into_iter().chain(retry).chain(ask).min();
            tokio::select! {
                _ = changes.changed() => {}
                () = self.sleep(wait) => {}
                () = drain.wait() => {}
            }
        }
        if let Some(notice) = drain.notice() {
            self.metrics.record(Metric::NoticeHeard { notice });
        }
    }

    /// Gives the place back. To be called once, after the drain, when every
    /// worker has been joined.
    ///
    /// # Errors
    /// The machine keeps its place, is paid for and does nothing: whoever runs
    /// this process is to start it again.
    pub async fn depart(&self, drain: &Drain) -> Result<(), CapacityError> {
        match drain.notice() {
            None if self.idle_exit.load(Ordering::Relaxed) => {
                let leave = || self.capacity.leave();
                self.insist(LEAVE_MAX, "leave", leave).await?;
                self.complete(COMPLETE_MAX).await;
            }
            // The work is over, but not for want of it: somebody else starts
            // this again, or the machine stays for another purpose.
            None | Some(Notice::Signal) => self.unprotect().await,
            Some(Notice::ScaleIn) => self.complete(DEPART_MAX).await,
            // The machine is still there and nobody works on it. A platform
            // that replaces it by itself does so when it can; until then it
            // would be paid for, and its protection keep it.
            Some(Notice::Rebalance) => {
                self.unprotect().await;
                let replace = || self.capacity.replace();
                self.insist(LEAVE_MAX, "replace", replace).await?;
                self.complete(COMPLETE_MAX).await;
            }
            // The platform has taken the machine back already.
            Some(Notice::SpotInterruption) => {}
        }
        Ok(())
    }

    /// Whether the group lets this machine go; not where it does not say. Ends
    /// with the drain.
    async fn may_leave(&self, kept_until: &mut Option<Duration>, drain: &Drain) -> bool {
        let may_leave = tokio::select! {
            may_leave = self.capacity.may_leave() => may_leave,
            () = drain.wait() => return false,
        };
        match may_leave {
            Ok(true) => return true,
            Ok(false) if kept_until.is_none() => {
                tracing::info!(
                    "idle for {:?}, but its group is to have so many machines at least: this one goes on taking jobs, and asks again every {KEPT_FOR:?}",
                    self.policy.idle_exit
                );
            }
            Ok(false) => {}
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(
                    reason,
                    "whether this machine may leave is not known, and is asked again in {KEPT_FOR:?}: {reason}"
                );
            }
        }
        *kept_until = Some(self.clock.monotonic() + KEPT_FOR);
        false
    }

    async fn unprotect(&self) {
        let unprotect = || self.capacity.protect(false);
        if let Err(error) = self.insist(DEPART_MAX, "unprotect", unprotect).await {
            let reason = chain(&error);
            tracing::warn!(reason, "unprotect failed, and is given up: {reason}");
        }
    }

    /// Tells the platform that it need not wait, as soon as it waits.
    async fn complete(&self, within: Duration) {
        let deadline = self.clock.monotonic() + within;
        let mut backoff = BACKOFF_FIRST;
        loop {
            match self.capacity.complete().await {
                Ok(Completion::Completed | Completion::NoHook) => return,
                Ok(Completion::NotAwaited) => {}
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "complete the drain failed: {}", chain(&error));
                    if !error.is_transient() {
                        return;
                    }
                }
            }
            let left = deadline.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                tracing::info!("the platform did not wait for the end of the drain");
                return;
            }
            self.clock.sleep(backoff.min(left)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Calls until it is done, for `within` at most.
    async fn insist<F: Future<Output = Result<(), CapacityError>>>(
        &self,
        within: Duration,
        verb: &'static str,
        call: impl Fn() -> F,
    ) -> Result<(), CapacityError> {
        let deadline = self.clock.monotonic() + within;
        let mut backoff = BACKOFF_FIRST;
        loop {
            let Err(error) = call().await else {
                return Ok(());
            };
            let left = deadline.saturating_sub(self.clock.monotonic());
            if !error.is_transient() || left.is_zero() {
                return Err(error);
            }
            let reason = chain(&error);
            tracing::debug!(reason, "{verb} failed, and is tried again: {reason}");
            self.clock.sleep(backoff.min(left)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn protect(&self, protection: &mut Protection) {
        let Some(busy) = protection.wanted else {
            return;
        };
        match self.capacity.protect(busy).await {
            Ok(()) => {
                protection.is_known = true;
                protection.backoff = BACKOFF_FIRST;
            }
            Err(error) => {
                let (reason, wait) = (chain(&error), protection.backoff);
                if wait == BACKOFF_FIRST {
                    tracing::warn!(
                        reason,
                        "protection from scale-in is not set, and is tried again beside the work: {reason}"
                    );
                }
                protection.retry_at = self.clock.monotonic() + wait;
                protection.backoff = (wait * 2).min(BACKOFF_MAX);
            }
        }
    }

    async fn sleep(&self, wait: Option<Duration>) {
        match wait {
            Some(wait) => self.clock.sleep(wait).await,
            None => std::future::pending().await,
        }
    }
}

impl Protection {
    fn want(&mut self, busy: bool) {
        if self.wanted != Some(busy) {
            self.wanted = Some(busy);
            self.is_known = false;
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        !self.is_known && now >= self.retry_at
    }
}
