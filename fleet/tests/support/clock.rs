//! A clock that a test moves, and that flows by itself besides when told so.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use trawler_core::ports::Clock;

pub struct TestClock {
    start: DateTime<Utc>,
    flows_since: Option<Instant>,
    moved: watch::Sender<Duration>,
    sleepers: Mutex<Vec<Duration>>,
}

/// Takes a sleep off the list, also one that was dropped.
struct Asleep<'a> {
    clock: &'a TestClock,
    due: Duration,
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.clock.sleepers.lock().unwrap();
        let at = sleepers.iter().position(|due| *due == self.due).unwrap();
        sleepers.swap_remove(at);
    }
}

impl TestClock {
    /// Time passes only by `advance`.
    pub fn frozen(start: &str) -> Self {
        Self {
            start: DateTime::parse_from_rfc3339(start).unwrap().to_utc(),
            flows_since: None,
            // Not zero, so that a deadline before the start is no surprise.
            moved: watch::Sender::new(Duration::from_secs(1000)),
            sleepers: Mutex::default(),
        }
    }

    /// Time passes as it does, and by `advance`.
    pub fn flowing(start: &str) -> Self {
        Self {
            flows_since: Some(Instant::now()),
            ..Self::frozen(start)
        }
    }

    pub fn advance(&self, span: Duration) {
        self.moved.send_modify(|moved| *moved += span);
    }

    /// Whether somebody sleeps until this very moment. To move a frozen clock
    /// before that would make them oversleep.
    pub fn someone_waits_for(&self, due: Duration) -> bool {
        self.sleepers.lock().unwrap().contains(&due)
    }

    fn passed(&self) -> Duration {
        *self.moved.borrow() + self.flows_since.map(|at| at.elapsed()).unwrap_or_default()
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + self.passed() - Duration::from_secs(1000)
    }

    fn monotonic(&self) -> Duration {
        self.passed()
    }

    async fn sleep(&self, span: Duration) {
        let due = self.passed() + span;
        let mut moved = self.moved.subscribe();
        self.sleepers.lock().unwrap().push(due);
        let _asleep = Asleep { clock: self, due };
        loop {
            let left = due.saturating_sub(self.passed());
            if left.is_zero() {
                return;
            }
            if self.flows_since.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    _ = moved.changed() => {}
                }
            } else {
                moved.changed().await.unwrap();
            }
        }
    }
}
