//! The clock of tokio, which tests pause.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use trawler_core::ports::Clock;

pub(crate) struct VirtualClock {
    pub(crate) origin: Instant,
}

impl VirtualClock {
    pub(crate) fn epoch() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-11-21T03:00:00Z")
            .unwrap()
            .to_utc()
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        Self::epoch() + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        sleep(span).await;
    }
}
