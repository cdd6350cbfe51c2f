//! A FIFO queue with leases, as SQS FIFO defines it.

use std::time::Duration;

use async_trait::async_trait;

/// Messages in one send, as in SQS.
pub const BATCH_MAX: usize = 10;

/// A message body stays within 32 KiB: SQS bills in units of 64 KB, and half
/// of it leaves room for attributes.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Longest long poll, as in SQS.
pub const RECEIVE_WAIT_MAX: Duration = Duration::from_secs(20);

/// Longest visibility, counted from the receive, as in SQS.
pub const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// A message on its way into a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// At most 128 ASCII characters; messages of one group are delivered in
    /// order, and one lease at a time locks the group.
    pub group: String,
    /// At most 128 ASCII characters. A second send with the same id within 5
    /// minutes of the first succeeds and delivers nothing, even when the first
    /// message has been acked since.
    pub dedup_id: String,
    pub body: String,
}

/// The exclusive, temporary right to work on one message.
///
/// Not `Clone`: whoever settles the lease (ack, release, bury) gives it up, so
/// that a message cannot be settled twice by the same worker. Dropping a lease
/// settles nothing; the message reappears when its visibility ends.
#[derive(Debug)]
pub struct Lease {
    pub message_id: String,
    pub group: String,
    pub dedup_id: String,
    pub body: String,
    /// Deliveries so far, this one included: 1 on the first.
    pub receive_count: u32,
    /// What the adapter needs to settle this very delivery; a receipt of an
    /// earlier delivery is refused once a later one exists.
    pub receipt: String,
    /// Why the message was buried. Only messages of the backstop dead-letter
    /// queue have one; of those that the queue gave up by itself, not all.
    pub buried: Option<String>,
}

impl Lease {
    /// The name of this delivery among those of its message.
    pub fn delivery(&self) -> String {
        format!("{}/{}", self.message_id, self.receive_count)
    }
}

/// Messages in a queue, approximately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

impl Depth {
    pub fn total(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

/// Why a queue operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The lease has ended: visibility ran out, or somebody else holds the
    /// message, or it has been settled. Stop working on it; never retry.
    #[error("{verb}: the lease on message {message_id} is lost; another worker may hold it")]
    LeaseLost {
        verb: &'static str,
        message_id: String,
    },
    /// The caller broke an obligation; retrying the same call cannot succeed.
    #[error("{verb}: {reason}")]
    Refused { verb: &'static str, reason: String },
    /// The queue could not be reached or was busy; the same call may succeed
    /// later.
    #[error("{verb}: the queue did not answer")]
    Unavailable {
        verb: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl QueueError {
    /// Whether the same call can succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::LeaseLost { .. } | Self::Refused { .. } => false,
        }
    }
}

/// One message of a batch that was not accepted.
#[derive(Debug, thiserror::Error)]
#[error("send of message {index} ({dedup_id})")]
pub struct SendError {
    pub index: usize,
    pub dedup_id: String,
    #[source]
    pub source: QueueError,
}

/// One FIFO queue.
///
/// Obligations of every adapter:
/// - Order within a group is the order of sending. While a message of a group
///   is leased, nothing else of the group is handed out, except that one
///   `receive` of several slots may return several messages of one group, in
///   order.
/// - At least once: a message leaves only by `ack` or `bury`, or after the
///   receive bound of the queue, into its backstop dead-letter queue.
/// - Durable: what `send` accepted survives kill -9 of every process.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends up to [`BATCH_MAX`] messages in order. Returns the ones that were
    /// not accepted; the others are durable. Retrying the failed ones with the
    /// same dedup id is idempotent within 5 minutes. Not cancel-safe: a
    /// cancelled send may have happened.
    async fn send(&self, batch: &[Outgoing]) -> Result<Vec<SendError>, QueueError>;

    /// Takes up to `slots` (1 to 10) messages, waiting up to `wait` for the
    /// first. Never abort it mid-flight: what it took would stay locked until
    /// its visibility ends. An empty answer is no error.
    async fn receive(&self, slots: usize, wait: Duration) -> Result<Vec<Lease>, QueueError>;

    /// The lease now ends `visibility` from the moment the queue handled the
    /// call. [`QueueError::LeaseLost`] when it has ended before.
    async fn extend(&self, lease: &Lease, visibility: Duration) -> Result<(), QueueError>;

    /// The message is done and leaves for ever.
    async fn ack(&self, lease: Lease) -> Result<(), QueueError>;

    /// The message becomes visible again `after` from now, at its old place in
    /// its group; the group stays locked until then.
    async fn release(&self, lease: Lease, after: Duration) -> Result<(), QueueError>;

    /// The message moves to the backstop dead-letter queue now, with the
    /// reason. For bodies that nothing better can be done with: a job that
    /// Trawler can name is buried as a dead-letter document and acked.
    async fn bury(&self, lease: Lease, reason: &str) -> Result<(), QueueError>;

    /// Approximate counts.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// Takes up to `slots` messages out of the backstop dead-letter queue, for
    /// the sweep into dead-letter documents; ack them with
    /// [`Queue::ack_dead`] once they are documents.
    async fn receive_dead(&self, slots: usize) -> Result<Vec<Lease>, QueueError>;

    /// The swept message leaves the backstop dead-letter queue for ever.
    async fn ack_dead(&self, lease: Lease) -> Result<(), QueueError>;

    /// The visibility that `receive` gives a lease.
    fn visibility(&self) -> Duration;
}
