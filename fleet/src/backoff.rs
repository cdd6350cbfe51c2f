//! Waits that double with every failure in a row.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);

/// For everybody at once who fails for the same reason.
pub(crate) struct Backoff {
    failures: AtomicU32,
    max: Duration,
}

impl Backoff {
    pub(crate) fn up_to(max: Duration) -> Self {
        Self {
            failures: AtomicU32::new(0),
            max,
        }
    }

    pub(crate) fn failed(&self) {
        // Wraps after so many failures that nobody waits for them.
        self.failures.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn worked(&self) {
        self.failures.store(0, Ordering::Release);
    }

    /// Before the next try; zero when the last one worked.
    pub(crate) fn wait(&self) -> Duration {
        match self.failures.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            failures => FIRST
                .saturating_mul(2_u32.saturating_pow(failures - 1))
                .min(self.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_end_with_success() {
        let backoff = Backoff::up_to(Duration::from_secs(3));
        let mut waits = vec![backoff.wait()];
        for _ in 0..5 {
            backoff.failed();
            waits.push(backoff.wait());
        }
        assert_eq!(
            waits.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [0, 500, 1000, 2000, 3000, 3000]
        );
        backoff.worked();
        assert!(backoff.wait().is_zero());
    }
}
