//! The clock of this machine.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use trawler_core::ports::Clock;

/// Wall time from the system, monotonic time since this value was made.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
    ahead: Duration,
}

impl SystemClock {
    pub fn new() -> Self {
        Self::ahead(Duration::ZERO)
    }

    /// A clock whose wall time is so far ahead of the system's, for tests of
    /// what happens in days.
    pub fn ahead(ahead: Duration) -> Self {
        Self {
            origin: Instant::now(),
            ahead,
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from(SystemTime::now() + self.ahead)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}
