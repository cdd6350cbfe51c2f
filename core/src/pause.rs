//! Pausing a pipe, a queue or the whole fleet: a document each.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{PipeId, QueueName};

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PauseScope {
    Fleet,
    Queue(QueueName),
    Pipe(PipeId),
}

impl PauseScope {
    pub fn key(&self) -> String {
        match self {
            Self::Fleet => "pause/fleet".to_owned(),
            Self::Queue(queue) => format!("pause/queue/{queue}"),
            Self::Pipe(pipe) => format!("pause/pipe/{pipe}"),
        }
    }

    /// The documents that stop what a person does to a whole queue.
    pub fn of_queue(queue: QueueName) -> [Self; 2] {
        [Self::Fleet, Self::Queue(queue)]
    }

    /// The documents that pause a job of this queue and pipe.
    pub fn of_job(queue: QueueName, pipe: &PipeId) -> [Self; 3] {
        [Self::Fleet, Self::Queue(queue), Self::Pipe(pipe.clone())]
    }
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("the fleet"),
            Self::Queue(queue) => write!(f, "the {queue} queue"),
            Self::Pipe(pipe) => write!(f, "pipe {pipe}"),
        }
    }
}

/// The pause document; there while paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub since: DateTime<Utc>,
    pub reason: String,
}
