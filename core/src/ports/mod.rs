//! What Trawler needs from the outside world, as few verbs as possible.
//!
//! Each trait states its obligations (limits, order, idempotence, cancel
//! safety, what each error means) and every adapter is held to them by the
//! same contract suite in `tests/contract`.

mod blobs;
mod capacity;
mod clock;
pub mod keys;
pub mod message_bounds;
mod metrics;
mod notices;
mod queue;
mod secrets;
mod state;

pub use blobs::{BlobEntry, BlobError, BlobHead, BlobMeta, Blobs, Put};
pub use capacity::{Capacity, CapacityError, Completion, Headcount, Start};
pub use clock::Clock;
pub use metrics::{KeptMetrics, Metric, Metrics};
pub use notices::{Notice, Notices};
pub use queue::{
    BATCH_MAX, Depth, Lease, MESSAGE_BYTES_MAX, Outgoing, Queue, QueueError, RECEIVE_WAIT_MAX,
    SendError, VISIBILITY_MAX,
};
pub use secrets::{SecretError, Secrets};
pub use state::{STATE_VALUE_BYTES_MAX, State, StateEntry, StateError, Version, Versioned};
