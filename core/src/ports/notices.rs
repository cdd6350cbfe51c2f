//! Word that this worker has to leave.

use async_trait::async_trait;

/// Why the worker is asked to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// SIGTERM or SIGINT.
    Signal,
    /// The spot instance is taken back in about two minutes.
    SpotInterruption,
    /// The spot instance is likely to be taken back.
    Rebalance,
    /// The group is shrinking.
    ScaleIn,
}

#[async_trait]
pub trait Notices: Send + Sync {
    /// Waits for the next notice. Cancel-safe; a notice that nobody waited for
    /// is kept for the next call.
    async fn next(&self) -> Notice;
}
