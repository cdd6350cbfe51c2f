//! Dead letters: documents, because a FIFO queue cannot be listed, counted or
//! backed up without locking it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{PipeId, QueueName};

/// The document at `dead/{queue}/{job}`: why a job was buried, and all that
/// is needed to send it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The job id, or `message-{id}` for a body that names no job.
    pub job: String,
    pub queue: QueueName,
    #[serde(default)]
    pub pipe: Option<PipeId>,
    pub group: String,
    pub body: String,
    pub reason: String,
    pub attempts: u32,
    pub crashes: u32,
    pub buried: DateTime<Utc>,
}

impl DeadLetter {
    pub fn key(queue: QueueName, job: &str) -> String {
        format!("dead/{queue}/{job}")
    }
}
