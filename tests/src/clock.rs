//! A clock that stands still until a test moves it.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
use tokio::sync::watch;
use trawler_core::ports::Clock;

/// Wall and monotonic time move together, by [`ManualClock::advance`] alone.
#[derive(Debug)]
pub struct ManualClock {
    origin: DateTime<Utc>,
    passed: watch::Sender<Duration>,
}

impl ManualClock {
    pub fn starting_at(origin: DateTime<Utc>) -> Self {
        Self {
            origin,
            passed: watch::Sender::new(Duration::ZERO),
        }
    }

    /// Lets time pass and wakes every sleep that has ended by then.
    pub fn advance(&self, span: Duration) {
        self.passed.send_modify(|passed| *passed += span);
    }

    /// How many sleeps are under way.
    pub fn sleepers(&self) -> usize {
        self.passed.receiver_count()
    }
}

impl Default for ManualClock {
    /// Starts at an instant that is no round number in any zone.
    fn default() -> Self {
        let origin = Utc
            .with_ymd_and_hms(2026, 11, 21, 3, 14, 15)
            .single()
            .expect("the instant exists and is unique in UTC");
        Self::starting_at(origin)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.origin + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.passed.borrow()
    }

    async fn sleep(&self, span: Duration) {
        let mut passed = self.passed.subscribe();
        let end = *passed.borrow() + span;
        // Fails only without a sender, and this clock is one.
        let _ = passed.wait_for(|passed| *passed >= end).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_sleep_ends_when_the_clock_has_moved_far_enough() {
        let clock = Arc::new(ManualClock::default());
        let start = clock.now();
        let sleeper = Arc::clone(&clock);
        let sleep = tokio::spawn(async move { sleeper.sleep(Duration::from_secs(10)).await });
        crate::until("the sleep is under way", || clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleep.is_finished());
        clock.advance(Duration::from_secs(1));
        sleep.await.expect("the sleep does not panic");
        assert_eq!(clock.now() - start, chrono::TimeDelta::seconds(10));
        clock.sleep(Duration::ZERO).await;
    }
}
