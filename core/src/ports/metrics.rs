//! Figures about the work. Never in a job's way: recording cannot fail or wait.

use crate::QueueName;

/// One observation. The variants are the whole vocabulary, so that no metric
/// gets a dimension per pipe (custom metrics are billed each).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    JobSettled {
        queue: QueueName,
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
    RunFinished {
        seconds: f64,
    },
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
}

pub trait Metrics: Send + Sync {
    fn record(&self, metric: Metric);
}
