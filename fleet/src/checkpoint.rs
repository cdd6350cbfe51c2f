//! What a job remembers for its next delivery, fenced by the delivery epoch.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use trawler_core::verdict::Failure;
use trawler_core::{JobId, QueueName};

use crate::{Created, DocumentError, Documents, Jobs, UpdateError};

/// Rounds of "absent, then there after all" before giving up.
const ROUNDS: u32 = 8;

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A later delivery has written; this one is over.
    #[error("save checkpoint of {job}: delivery {epoch} is over, delivery {current} has written")]
    Overtaken {
        job: JobId,
        epoch: u64,
        current: u64,
    },
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Overtaken { .. } => Self::transient(error.to_string()),
            CheckpointError::Document(error) => error.into(),
        }
    }
}

/// The document at `checkpoints/{queue}/{job}`.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    epoch: u64,
    value: serde_json::Value,
}

pub(crate) fn key(queue: QueueName, job: &JobId) -> String {
    format!("checkpoints/{queue}/{job}")
}

/// The latest checkpoint, whichever delivery wrote it.
pub(crate) async fn load<T: DeserializeOwned>(
    documents: &Documents,
    key: &str,
) -> Result<Option<T>, DocumentError> {
    let Some(stored) = documents.get::<Checkpoint>(key).await? else {
        return Ok(None);
    };
    match serde_json::from_value(stored.value) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(DocumentError::Unreadable {
            key: key.to_owned(),
            reason: error.to_string(),
        }),
    }
}

impl Jobs {
    /// What the job's deliveries saved last, for who settles it in their place.
    pub async fn checkpoint<T: DeserializeOwned>(
        &self,
        queue: QueueName,
        job: &JobId,
    ) -> Result<Option<T>, DocumentError> {
        load(&self.documents, &key(queue, job)).await
    }
}

/// Replaces the checkpoint unless a later delivery has written one.
pub(crate) async fn save<T: Serialize>(
    documents: &Documents,
    key: &str,
    job: &JobId,
    epoch: u64,
    value: &T,
) -> Result<(), CheckpointError> {
    let value = serde_json::to_value(value).map_err(|error| DocumentError::Unwritable {
        key: key.to_owned(),
        reason: error.to_string(),
    })?;
    let checkpoint = Checkpoint { epoch, value };
    for _ in 0..ROUNDS {
        let updated = documents.update(key, |stored: &mut Checkpoint| {
            if stored.epoch > epoch {
                return Err(Overtaken(stored.epoch));
            }
            stored.epoch = epoch;
            stored.value.clone_from(&checkpoint.value);
            Ok(())
        });
        match updated.await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(UpdateError::Document(error)) => return Err(error.into()),
            Err(UpdateError::Change(Overtaken(current))) => {
                let job = job.clone();
                return Err(CheckpointError::Overtaken {
                    job,
                    epoch,
                    current,
                });
            }
        }
        if documents.create(key, &checkpoint).await? == Created::New {
            return Ok(());
        }
    }
    Err(DocumentError::Contended {
        key: key.to_owned(),
        rounds: ROUNDS,
    }
    .into())
}

#[derive(Debug, thiserror::Error)]
#[error("delivery {0} has written")]
struct Overtaken(u64);
