//! Why a tick did not come to its end. The next one tries again.

use trawler_core::pipe::PipeState;
use trawler_core::ports::{BlobError, QueueError};
use trawler_core::schedule::ScheduleError;
use trawler_core::verdict::Failure;
use trawler_core::{JobId, PipeId, QueueName};
use trawler_fleet::manifests::ManifestError;
use trawler_fleet::{DocumentError, JobsError, PipeError, chain};

#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Jobs(#[from] JobsError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("sweep the dead-letter queue of the {queue} queue")]
    Sweep {
        queue: QueueName,
        #[source]
        source: QueueError,
    },
    #[error("pipe {pipe} has no usable schedule")]
    Schedule {
        pipe: PipeId,
        #[source]
        source: ScheduleError,
    },
    #[error(
        "pipe {pipe} is {state} and not collected; {}",
        match state {
            PipeState::Draft => "look at it with `trawler try`, then set state = \"shadow\" or \"live\" in its file",
            _ => "`trawler pipe show` takes back what a person said, and state = \"live\" in its file what that says",
        }
    )]
    NotCollected { pipe: PipeId, state: PipeState },
    #[error(
        "pipe {pipe} is {state}, and what is decided about it is not carried out: its fold {fold} is dead; mend what it died of and `trawler dlq redrive --job {fold}`, or purge it"
    )]
    LeftUndone {
        pipe: PipeId,
        state: PipeState,
        fold: JobId,
    },
    #[error(
        "pipe {pipe} is {state} by its file, and who carried that out goes by older pipe files and did not know: start `trawler crawl` again, and every `trawler run` that is up since before"
    )]
    OlderFiles { pipe: PipeId, state: PipeState },
    #[error(transparent)]
    Pipes(#[from] PipeError),
}

impl SchedulerError {
    /// Whether the same call can succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Document(error) => error.is_transient(),
            Self::Jobs(error) => error.is_transient(),
            Self::Manifest(error) => error.is_transient(),
            Self::Sweep { source, .. } => source.is_transient(),
            Self::Pipes(error) => error.is_transient(),
            Self::Schedule { .. }
            | Self::NotCollected { .. }
            | Self::LeftUndone { .. }
            | Self::OlderFiles { .. } => false,
        }
    }

    /// Whether only a person can mend it, so that trying again is in vain and
    /// must not hold up what has nothing to do with it.
    pub(crate) fn needs_person(&self) -> bool {
        match self {
            Self::Document(error) | Self::Jobs(JobsError::Document(error)) => unreadable(error),
            Self::Manifest(error) => match error {
                ManifestError::Document(error)
                | ManifestError::Jobs(JobsError::Document(error)) => unreadable(error),
                // A part that is gone does not come back by itself.
                ManifestError::Job { .. }
                | ManifestError::Unreadable { .. }
                | ManifestError::Blob(BlobError::NotFound { .. }) => true,
                ManifestError::Blob(BlobError::Refused { .. } | BlobError::Unavailable { .. })
                | ManifestError::Jobs(_) => false,
            },
            Self::Schedule { .. }
            | Self::NotCollected { .. }
            | Self::LeftUndone { .. }
            | Self::OlderFiles { .. } => true,
            Self::Pipes(PipeError::Document(error)) => unreadable(error),
            Self::Pipes(error) => !error.is_transient(),
            Self::Jobs(_) | Self::Sweep { .. } => false,
        }
    }
}

/// Of a job that plans others.
impl From<SchedulerError> for Failure {
    fn from(error: SchedulerError) -> Self {
        let reason = chain(&error);
        if error.is_transient() {
            Self::transient(reason)
        } else {
            Self::permanent(reason)
        }
    }
}

fn unreadable(error: &DocumentError) -> bool {
    match error {
        DocumentError::Unreadable { .. } => true,
        DocumentError::Unwritable { .. }
        | DocumentError::Contended { .. }
        | DocumentError::TooMany { .. }
        | DocumentError::State(_) => false,
    }
}
