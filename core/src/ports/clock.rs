//! Time, so that decisions can be tested at any instant.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Wall time for what is written down, monotonic time for deadlines.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> DateTime<Utc>;

    /// Never goes back; the origin is arbitrary.
    fn monotonic(&self) -> Duration;

    /// Cancel-safe.
    async fn sleep(&self, span: Duration);
}
