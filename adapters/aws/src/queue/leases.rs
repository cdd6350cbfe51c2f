//! Until when the leases of this process last, by its own monotonic clock.
//!
//! SQS FIFO refuses a receipt whose visibility has ended ("The receipt handle
//! has expired", see `fault`). A standard queue does not, and neither do
//! emulators: there a late delete removes a message that another worker may be
//! about to get. So the adapter judges first, and a lease whose time has run
//! out here settles nothing, whatever the service would say. The service
//! judges too: it knows of other deliveries, and of receipts of processes
//! before this one, which are unknown here.
//!
//! Our deadline counts from the answer of the receive, the service's from a
//! moment before it: the service's comes first, by the way back of the answer.
//! After an extension ours comes first, since it counts from the asking.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Receipts remembered. A process holds as many leases as it has slots, some
/// hundred at most; the rest is memory of those that have ended.
const RECEIPTS_MAX: usize = 8192;

/// What is known of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Held {
        received: Duration,
        ends: Duration,
    },
    /// Settled, or its time is over.
    Ended,
    /// Received by another process, or long ago.
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    received: Duration,
    ends: Duration,
    settled: bool,
}

/// Bounded: when it is full, the receipts that ended first are forgotten.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<String, Held>>);

impl Leases {
    pub(super) fn received(&self, receipt: &str, now: Duration, visibility: Duration) {
        let mut leases = self.lock();
        if leases.len() >= RECEIPTS_MAX {
            forget_half(&mut leases);
        }
        let held = Held {
            received: now,
            ends: now + visibility,
            settled: false,
        };
        leases.insert(receipt.to_owned(), held);
    }

    pub(super) fn standing(&self, receipt: &str, now: Duration) -> Standing {
        match self.lock().get(receipt) {
            None => Standing::Unknown,
            Some(held) if held.settled || held.ends <= now => Standing::Ended,
            Some(held) => Standing::Held {
                received: held.received,
                ends: held.ends,
            },
        }
    }

    pub(super) fn extended(&self, receipt: &str, asked: Duration, visibility: Duration) {
        if let Some(held) = self.lock().get_mut(receipt) {
            held.ends = asked + visibility;
        }
    }

    pub(super) fn settled(&self, receipt: &str) {
        if let Some(held) = self.lock().get_mut(receipt) {
            held.settled = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        // A map of numbers is whole whatever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_half(leases: &mut HashMap<String, Held>) {
    let mut ends: Vec<Duration> = leases.values().map(|held| held.ends).collect();
    ends.sort_unstable();
    let middle = ends[ends.len() / 2];
    leases.retain(|_, held| held.ends > middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_stands_until_its_time_is_over_or_it_is_settled() {
        let leases = Leases::default();
        leases.received("a", 10 * SECOND, 5 * SECOND);
        let held = |ends| Standing::Held {
            received: 10 * SECOND,
            ends,
        };
        assert_eq!(leases.standing("a", 14 * SECOND), held(15 * SECOND));
        assert_eq!(leases.standing("a", 15 * SECOND), Standing::Ended);
        leases.extended("a", 14 * SECOND, 5 * SECOND);
        assert_eq!(leases.standing("a", 15 * SECOND), held(19 * SECOND));
        leases.settled("a");
        leases.extended("a", 15 * SECOND, 5 * SECOND);
        assert_eq!(leases.standing("a", 15 * SECOND), Standing::Ended);
        assert_eq!(leases.standing("b", SECOND), Standing::Unknown);
        leases.settled("b");
        assert_eq!(leases.standing("b", SECOND), Standing::Unknown);
    }

    #[test]
    fn what_ended_first_is_forgotten_when_it_is_full() {
        let leases = Leases::default();
        for n in 0..=u32::try_from(RECEIPTS_MAX).unwrap_or(u32::MAX) {
            leases.received(&n.to_string(), SECOND * n, SECOND);
        }
        assert!(leases.lock().len() <= RECEIPTS_MAX / 2 + 1);
        assert_eq!(leases.standing("0", Duration::ZERO), Standing::Unknown);
        let last = RECEIPTS_MAX.to_string();
        assert!(matches!(
            leases.standing(&last, Duration::ZERO),
            Standing::Held { .. }
        ));
    }
}
