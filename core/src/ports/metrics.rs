//! Figures about the work. Never in a job's way: recording cannot fail or wait.

use crate::QueueName;
use crate::figures::Figures;
use crate::ports::Notice;

/// One observation. The variants are the whole vocabulary, so that no metric
/// gets a dimension per pipe (custom metrics are billed each). What becomes of
/// them is in [`crate::figures`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    JobSettled {
        queue: QueueName,
        /// A word of [`crate::verdict::Verdict::as_str`].
        verdict: &'static str,
    },
    LeaseRenewed {
        queue: QueueName,
    },
    LeaseLost {
        queue: QueueName,
    },
    Drained {
        queue: QueueName,
    },
    /// Somebody told this process to leave.
    NoticeHeard {
        notice: Notice,
    },
    RunFinished {
        seconds: f64,
    },
    /// A commit of this process landed in the catalogue.
    CommitLanded,
    ProductsRead {
        rows: u64,
    },
    ProductsChanged {
        rows: u64,
    },
    RowsRewritten {
        rows: u64,
    },
    FeedBytesDown {
        bytes: u64,
    },
    /// Pages of a site that were asked for.
    SitePages {
        pages: u64,
    },
    SiteBytesDown {
        bytes: u64,
    },
    ImageRequests {
        conditional: bool,
        count: u64,
    },
    ImageBytesDown {
        bytes: u64,
    },
    ImagesStored {
        count: u64,
    },
    ImageBytesUp {
        bytes: u64,
    },
    /// Open jobs of the ledger: in the queue, in hand, or about to be sent.
    QueueDepth {
        queue: QueueName,
        jobs: u64,
    },
    /// How long the oldest open job has waited since its latest send.
    OldestAge {
        queue: QueueName,
        seconds: f64,
    },
    /// Open jobs for each worker in service.
    BacklogPerInstance {
        queue: QueueName,
        jobs: f64,
    },
    /// Pipes that one more crawler would find work of: a job of theirs is
    /// open, and nobody has one in hand. What the depth of a FIFO queue does
    /// not tell.
    RunnablePipes {
        pipes: u64,
    },
    /// Whether the scheduler has set the capacity of the groups by its plan.
    /// While it has, the alarms on the queues leave them alone.
    CapacityPlanned {
        planned: bool,
    },
    /// Pipes whose last complete run is older than the `max_age` that their
    /// file allows.
    PipesOverdue {
        pipes: u64,
    },
    /// Dead jobs of the ledger. Messages that name no job are not among them.
    DeadLetters {
        queue: QueueName,
        letters: u64,
    },
    /// Figures that could not be delivered and were dropped.
    FiguresLost {
        count: u64,
    },
}

pub trait Metrics: Send + Sync {
    fn record(&self, metric: Metric);
}

/// Metrics that can tell what they have recorded since they were made.
pub trait KeptMetrics: Metrics {
    fn figures(&self) -> Figures;
}
