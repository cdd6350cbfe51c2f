//! So many requests a second, evenly.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trawler_core::ports::Clock;

/// What a late request may catch up: timers are as coarse as a few
/// milliseconds, and without this their rounding would add up.
const CATCH_UP: Duration = Duration::from_millis(50);

/// Gives turns, `interval` apart.
pub(super) struct Pace {
    interval: Duration,
    next: Mutex<Duration>,
}

impl Pace {
    pub(super) fn per_second(requests: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / requests.max(1),
            next: Mutex::default(),
        }
    }

    /// Waits for the caller's turn. Cancel-safe, but the turn is used up.
    pub(super) async fn turn(&self, clock: &dyn Clock) {
        let now = clock.monotonic();
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*next).max(now.saturating_sub(CATCH_UP));
            *next = turn + self.interval;
            turn
        };
        let wait = turn.saturating_sub(now);
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
    }
}
