//! Why a tick did not come to its end. The next one tries again.

use trawler_core::PipeId;
use trawler_core::ports::QueueError;
use trawler_core::schedule::ScheduleError;
use trawler_fleet::manifests::ManifestError;
use trawler_fleet::{DocumentError, JobsError};

#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Jobs(#[from] JobsError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("sweep the backstop dead-letter queue")]
    Queue(#[from] QueueError),
    #[error("pipe {pipe} has no usable schedule")]
    Schedule {
        pipe: PipeId,
        #[source]
        source: ScheduleError,
    },
    #[error("there is no pipe {0}")]
    NoSuchPipe(PipeId),
}
