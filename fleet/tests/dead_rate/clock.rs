//! The clock of tokio, which tests pause, and a process's life on it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use trawler_core::ports::Clock;

/// The clock of tokio, which tests pause.
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

/// Dies at a write, with every port of the process.
pub(crate) struct Life {
    pub(crate) writes_left: AtomicI64,
}

impl Life {
    pub(crate) fn write(&self) -> bool {
        self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0
    }

    pub(crate) fn is_over(&self) -> bool {
        self.writes_left.load(Ordering::SeqCst) <= 0
    }
}
