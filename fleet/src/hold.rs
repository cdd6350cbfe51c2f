//! What a delivery may still do: the one place that its keeper, its watcher
//! and its work (also in blocking threads) look at.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trawler_core::drain::lease_margin;
use trawler_core::maintenance::Closed;
use trawler_core::ports::Clock;
use trawler_core::verdict::Ending;

use crate::Drain;

/// Why work has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Another worker may have the job; nothing may be settled any more.
    LeaseLost,
    /// The queue takes the message back soon, renewed or not.
    HeldTooLong,
    Drain,
    /// By a person, or by a maintenance window.
    Paused,
}

impl Interrupt {
    /// How a handler ends because of it.
    pub fn ending(self) -> Ending {
        match self {
            Self::LeaseLost | Self::HeldTooLong | Self::Drain => Ending::HandedBack,
            Self::Paused => Ending::Paused,
        }
    }
}

const HELD: u8 = 0;
const LOST: u8 = 1;
const TOO_LONG: u8 = 2;

pub(crate) struct Hold {
    clock: Arc<dyn Clock>,
    drain: Drain,
    token: CancellationToken,
    ended: AtomicU8,
    paused: AtomicBool,
    closed: Mutex<Option<Closed>>,
    /// Monotonic nanoseconds at which the lease counts as lost.
    lost_at: AtomicU64,
    margin: Duration,
}

impl Hold {
    /// A lease that was asked for at `asked` and lasts `visibility` from then.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        drain: &Drain,
        asked: Duration,
        visibility: Duration,
    ) -> Self {
        let hold = Self {
            clock,
            drain: drain.clone(),
            token: drain.token().child_token(),
            ended: AtomicU8::new(HELD),
            paused: AtomicBool::new(false),
            closed: Mutex::default(),
            lost_at: AtomicU64::new(0),
            margin: lease_margin(visibility),
        };
        hold.renewed(asked, visibility);
        hold
    }

    /// A hold without a lease, which only drain and pause end.
    pub(crate) fn unleased(clock: Arc<dyn Clock>, drain: &Drain) -> Self {
        let hold = Self::new(clock, drain, Duration::ZERO, Duration::ZERO);
        hold.lost_at.store(u64::MAX, Ordering::Release);
        hold
    }

    /// The lease lasts `visibility` from `asked`, when the renewal was asked
    /// for: the queue may have counted from any later moment.
    pub(crate) fn renewed(&self, asked: Duration, visibility: Duration) {
        let lost_at = (asked + visibility).saturating_sub(self.margin);
        let nanos = u64::try_from(lost_at.as_nanos()).unwrap_or(u64::MAX);
        self.lost_at.store(nanos, Ordering::Release);
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// How long from now until the lease counts as lost.
    pub(crate) fn left(&self) -> Duration {
        // The clock first: a renewal in between may only make it longer.
        let now = self.clock.monotonic();
        let lost_at = Duration::from_nanos(self.lost_at.load(Ordering::Acquire));
        lost_at.saturating_sub(now)
    }

    /// True for the first who finds it lost.
    pub(crate) fn lose(&self) -> bool {
        let before = self.ended.swap(LOST, Ordering::AcqRel);
        self.token.cancel();
        before != LOST
    }

    pub(crate) fn too_long(&self) {
        // Lost stays lost.
        let _ = self
            .ended
            .compare_exchange(HELD, TOO_LONG, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    pub(crate) fn set_closed(&self, closed: Option<Closed>) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
    }

    /// The maintenance window that keeps the job from going on, if it is that
    /// and no pause.
    pub(crate) fn closed(&self) -> Option<Closed> {
        if self.paused.load(Ordering::Acquire) {
            return None;
        }
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.clone()
    }

    /// Looks at the clock as well, since a stalled process renews nothing.
    pub(crate) fn is_lost(&self) -> bool {
        self.ended.load(Ordering::Acquire) == LOST || self.left().is_zero()
    }

    /// Told to stop for good, or too late.
    pub(crate) fn must_stop(&self) -> bool {
        self.is_lost() || self.must_leave()
    }

    /// Told to stop for good, by drain or by the 12 h of the queue.
    pub(crate) fn must_leave(&self) -> bool {
        self.drain.requested() || self.ended.load(Ordering::Acquire) == TOO_LONG
    }

    pub(crate) fn interrupted(&self) -> Option<Interrupt> {
        if self.is_lost() {
            Some(Interrupt::LeaseLost)
        } else if self.ended.load(Ordering::Acquire) == TOO_LONG {
            Some(Interrupt::HeldTooLong)
        } else if self.drain.requested() {
            Some(Interrupt::Drain)
        } else if self.paused.load(Ordering::Acquire) || self.closed().is_some() {
            Some(Interrupt::Paused)
        } else {
            None
        }
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// Ends a hold with its delivery, however that ends: blocking work that
/// outlives it finds itself interrupted.
pub(crate) struct EndWith(pub(crate) Arc<Hold>);

impl Drop for EndWith {
    fn drop(&mut self) {
        self.0.lose();
    }
}
